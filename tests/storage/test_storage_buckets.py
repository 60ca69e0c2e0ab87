"""Buckets, as the service role keeps them and as nobody else may."""

from collections.abc import Awaitable
from uuid import UUID

import pytest
from storage3.exceptions import StorageApiError
from storage_site import PNG, Site, bearer, token

from tests.support.buckets import BUCKETS
from tintype.jobs import job_types


async def code_of(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(StorageApiError) as caught:
        await call
    return str(caught.value.status), caught.value.code


async def test_a_new_database_has_its_buckets_and_one_for_each_type_of_job(site: Site) -> None:
    found = {bucket.id: bucket for bucket in await site.service().list_buckets()}
    assert set(found) == BUCKETS
    for kind in job_types().values():
        bucket = found[kind.bucket]
        assert not bucket.public and bucket.file_size_limit
        assert kind.content_type in (bucket.allowed_mime_types or [])
    assert found["generations"].public and not found["uploads"].public
    assert found["uploads"].file_size_limit == 20 * 1024 * 1024
    assert "image/png" in (found["uploads"].allowed_mime_types or [])


async def test_the_service_role_makes_changes_and_removes_a_bucket(site: Site) -> None:
    service = site.service()
    options = {"public": True, "file_size_limit": 1000, "allowed_mime_types": ["image/*"]}
    assert await service.create_bucket("mine", options=options) == {"name": "mine"}
    made = await service.get_bucket("mine")
    assert (made.public, made.file_size_limit, made.owner) == (True, 1000, "")
    await service.update_bucket("mine", {"public": False})
    changed = await service.get_bucket("mine")
    assert (changed.public, changed.file_size_limit) == (False, 1000)
    assert await service.delete_bucket("mine") == {"message": "Successfully deleted"}
    assert await code_of(service.get_bucket("mine")) == ("404", "Bucket not found")


async def test_a_size_limit_may_be_written_with_a_unit(site: Site) -> None:
    service = site.service()
    await service.create_bucket("mine", options={"file_size_limit": 1})
    for limit, size in (
        ("20MB", 20_000_000),
        ("1.5kb", 1500),
        ("7", 7),
        (8.0, 8),
        ("2 GB", 2 * 10**9),
    ):
        await service.update_bucket("mine", {"file_size_limit": limit})
        assert (await service.get_bucket("mine")).file_size_limit == size
    await service.update_bucket("mine", {"file_size_limit": None})
    assert (await service.get_bucket("mine")).file_size_limit is None
    malformed = ("400", "InvalidRequest")
    for limit in ("-1", "much", -5, "1EB", "1.2.3MB", 1e300):
        assert await code_of(service.update_bucket("mine", {"file_size_limit": limit})) == malformed


async def test_a_bucket_exists_once_and_under_a_sound_name(site: Site) -> None:
    service = site.service()
    assert await code_of(service.create_bucket("uploads")) == ("409", "Duplicate")
    for name in ("a/b", "..", ".staging", "", "a\0b", "ü", "x" * 101):
        assert (await code_of(service.create_bucket(name)))[1] == "InvalidKey"


async def test_a_bucket_with_objects_is_not_removed_until_it_is_emptied(site: Site) -> None:
    service = site.service()
    await service.create_bucket("mine")
    for name in ("a", "a/b", "c"):
        await service.from_("mine").upload(name, PNG)
    assert await code_of(service.delete_bucket("mine")) == ("409", "InvalidRequest")
    assert "queued" in (await service.empty_bucket("mine"))["message"]
    assert site.files() == set()
    await service.delete_bucket("mine")


@pytest.mark.parametrize("role", ["authenticated", "anon"])
async def test_nobody_else_sees_makes_or_changes_buckets(site: Site, ada: UUID, role: str) -> None:
    caller = site.client(role, ada if role == "authenticated" else None)
    assert await caller.list_buckets() == []
    not_found = ("404", "Bucket not found")
    assert await code_of(caller.get_bucket("uploads")) == not_found
    assert await code_of(caller.create_bucket("mine")) == ("403", "Unauthorized")
    assert await code_of(caller.update_bucket("uploads", {"public": True})) == not_found
    assert await code_of(caller.delete_bucket("uploads")) == not_found
    answer = await site.http.post(
        "/bucket/uploads/empty", headers={"Authorization": f"Bearer {token(role, ada)}"}, json={}
    )
    assert answer.status_code == 403
    assert not (await site.storage.bucket("uploads")).public


async def test_buckets_are_listed_sorted_searched_and_paged(site: Site) -> None:
    headers = {"Authorization": f"Bearer {token('service_role')}"}

    async def ids(**query: object) -> list[str]:
        answer = await site.http.get("/bucket", headers=headers, params=query)
        return [bucket["id"] for bucket in answer.json()]

    names = sorted(BUCKETS)
    assert await ids(sortColumn="name", sortOrder="desc") == names[::-1]
    assert await ids(search="upl") == ["uploads"]
    assert await ids(limit=1, offset=1) == names[1:2]
    bad = await site.http.get("/bucket", headers=headers, params={"sortColumn": "owner; drop"})
    assert (bad.status_code, bad.json()["statusCode"]) == (400, "400")


async def test_a_bucket_needs_a_caller(site: Site, ada: UUID) -> None:
    answer = await site.http.get("/bucket")
    assert answer.json()["message"] == "headers must have required property 'authorization'"
    assert (await site.http.get("/bucket", headers=bearer(ada))).json() == []
