"""The reference pages say what the source says."""

import re

import pytest

from tests.support.reference import FOLDER, PAGES, ROOT


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_is_the_newest(page: str) -> None:
    expected = PAGES[page]()
    assert (FOLDER / page).read_text() == expected, "run python -m tests.support.reference"


def test_every_test_that_the_readme_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+(?:\.py|/))`", (ROOT / "README.md").read_text())
    assert named
    for path in named:
        assert (ROOT / path).exists(), path


def test_every_link_of_the_pages_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
