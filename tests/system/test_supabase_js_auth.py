"""Does supabase-js sign people up, in and out, and does the operator see them?"""

from collections.abc import AsyncIterator

import pytest

from tests.support.node import Report, checks_of
from tests.system.supabase_js_site import open_site

SCRIPT = "auth.js"


@pytest.fixture(scope="module")
async def report(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Report]:
    async with open_site(postgres_url, template, tmp_path_factory.mktemp("auth")) as site:
        yield await site.report(SCRIPT)


@pytest.mark.parametrize("name", checks_of(SCRIPT))
async def test_supabase_js_signs_in(name: str, report: Report) -> None:
    report.assert_passed(name)
