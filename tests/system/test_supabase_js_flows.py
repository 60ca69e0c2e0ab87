"""Does supabase-js bring an app from sign-in to a picture on the screen?"""

from collections.abc import AsyncIterator

import pytest

from tests.support.node import Report, checks_of
from tests.system.supabase_js_site import open_site

SCRIPT = "flows.js"


@pytest.fixture(scope="module")
async def report(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Report]:
    async with open_site(postgres_url, template, tmp_path_factory.mktemp("flows")) as site:
        yield await site.report(SCRIPT)


@pytest.mark.parametrize("name", checks_of(SCRIPT))
async def test_supabase_js_makes_pictures(name: str, report: Report) -> None:
    report.assert_passed(name)
