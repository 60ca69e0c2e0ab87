"""What list v2 shows, page by page, as supabase-py asks for it."""

from typing import Any
from uuid import UUID

import pytest
from storage_site import PNG, Site, bearer

from tintype.auth import Principal

SERVICE = Principal("service_role", None, {"role": "service_role"})
NAMES = ("a.png", "b.png", "sub/c.png", "sub/d.png", "sub2/deep/e.png", "z.png")


@pytest.fixture
async def folder(site: Site, ada: UUID) -> str:
    for name in NAMES:
        await site.storage.put(SERVICE, "uploads", f"{ada}/{name}", PNG, media_type="image/png")
    return f"{ada}/"


async def listed(site: Site, user: UUID, **body: Any) -> dict[str, Any]:
    answer = await site.http.post("/object/list-v2/uploads", headers=bearer(user), json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(page: dict[str, Any]) -> list[str]:
    return [entry["name"] for entry in page["objects"]]


async def test_without_a_delimiter_everything_below_is_listed(
    site: Site, ada: UUID, folder: str
) -> None:
    page = await site.user(ada).from_("uploads").list_v2({"prefix": folder})
    assert [entry.name for entry in page.objects] == [folder + name for name in NAMES]
    assert page.folders == []
    assert not page.hasNext and page.nextCursor is None
    assert page.objects[0].metadata["size"] == len(PNG)


async def test_with_a_delimiter_what_lies_deeper_is_a_folder(
    site: Site, ada: UUID, folder: str
) -> None:
    page = await site.user(ada).from_("uploads").list_v2({"prefix": folder, "with_delimiter": True})
    assert [entry.name for entry in page.objects] == [
        folder + name for name in ("a.png", "b.png", "z.png")
    ]
    assert [entry.key for entry in page.objects] == ["a.png", "b.png", "z.png"]
    assert [(entry.name, entry.key) for entry in page.folders] == [
        (f"{folder}sub/", "sub"),
        (f"{folder}sub2/", "sub2"),
    ]


async def test_the_prefix_is_the_beginning_of_a_name_and_not_a_folder(
    site: Site, ada: UUID, folder: str
) -> None:
    page = await listed(site, ada, prefix=f"{folder}sub", with_delimiter=True)
    assert [entry["name"] for entry in page["folders"]] == [f"{folder}sub/", f"{folder}sub2/"]
    assert await listed(site, ada, prefix=f"{folder}nothing") == {
        "hasNext": False,
        "folders": [],
        "objects": [],
    }


@pytest.mark.parametrize("with_delimiter", [True, False])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("column", ["name", "created_at", "updated_at"])
async def test_pages_of_one_hold_everything_once_and_in_order(
    site: Site, ada: UUID, folder: str, column: str, order: str, with_delimiter: bool
) -> None:
    sort = {"prefix": folder, "sortBy": {"column": column, "order": order}}
    sort["with_delimiter"] = with_delimiter
    whole = await listed(site, ada, **sort)
    seen: list[str] = []
    cursor = None
    while True:
        page = await listed(site, ada, **sort, limit=1, cursor=cursor)
        seen += [entry["name"] for entry in page["folders"] + page["objects"]]
        cursor = page.get("nextCursor")
        assert page["hasNext"] is (cursor is not None)
        if cursor is None:
            break
    everything = [entry["name"] for entry in whole["folders"] + whole["objects"]]
    assert sorted(seen) == sorted(everything)
    if not with_delimiter:
        assert seen == names(whole)
    if column == "name":
        assert seen == sorted(everything, reverse=order == "desc")


async def test_what_comes_and_goes_between_two_pages_moves_nothing(
    site: Site, ada: UUID, folder: str
) -> None:
    first = await listed(site, ada, prefix=folder, limit=2)
    await site.storage.remove("uploads", [f"{folder}a.png", f"{folder}b.png"])
    await site.user(ada).from_("uploads").upload(f"{folder}aa.png", PNG)
    second = await listed(site, ada, prefix=folder, limit=2, cursor=first["nextCursor"])
    assert names(second) == [f"{folder}sub/c.png", f"{folder}sub/d.png"]


async def test_a_stranger_sees_nothing_and_a_cursor_opens_nothing(
    site: Site, ada: UUID, bob: UUID, folder: str
) -> None:
    first = await listed(site, ada, prefix=folder, limit=1)
    for body in ({"prefix": folder}, {"prefix": "", "cursor": first["nextCursor"]}):
        assert await listed(site, bob, **body) == {"hasNext": False, "folders": [], "objects": []}


CURSORS = ["%%%", "e30", "WyJuYW1lIl0", "x" * 5000, "WzEsMiwzLDRd"]


async def test_a_cursor_of_ones_own_making_is_refused(site: Site, ada: UUID) -> None:
    for cursor in CURSORS:
        answer = await site.http.post(
            "/object/list-v2/uploads", headers=bearer(ada), json={"cursor": cursor}
        )
        assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


NO_PREFIXES = ["../", "%2e%2e/", "a\u0000b", "ü", "a' or true --", "/" * 2000]


async def test_a_prefix_that_no_name_has_finds_nothing(site: Site, ada: UUID, folder: str) -> None:
    for prefix in NO_PREFIXES:
        page = await listed(site, ada, prefix=prefix)
        assert page == {"hasNext": False, "folders": [], "objects": []}


async def test_a_missing_bucket_is_said_to_be_missing(site: Site, ada: UUID) -> None:
    answer = await site.http.post("/object/list-v2/nowhere", headers=bearer(ada), json={})
    assert answer.json()["code"] == "NoSuchBucket"
