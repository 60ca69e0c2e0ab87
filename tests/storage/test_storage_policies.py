"""Which policies each operation needs: with them it goes, without any one of them it does not."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest
from storage_site import JPEG, PNG, Site, bearer, token
from tus import Tus

Admin = "asyncpg.Connection[asyncpg.Record]"
Act = Callable[[Site, UUID], Awaitable[httpx2.Response]]


def asking(method: str, path: str, **options: Any) -> Act:
    async def act(site: Site, user: UUID) -> httpx2.Response:
        headers = bearer(user) | options.get("headers", {})
        sent = {name: value for name, value in options.items() if name != "headers"}
        return await site.http.request(method, path, headers=headers, **sent)

    return act


async def resumed(site: Site, user: UUID) -> httpx2.Response:
    return await Tus(site.http, bearer(user)).create("things", "tus", len(PNG), PNG)


SIGNING = {"expiresIn": 60}
HERE_TO = {"bucketId": "things", "sourceKey": "here", "destinationKey": "there"}
ELSEWHERE = HERE_TO | {"destinationBucket": "others"}
REPLACING = {"x-upsert": "true"}
# What is asked, which policies it needs on the bucket `things`, and on the bucket `others`.
NEEDS: tuple[tuple[str, Act, set[str], set[str]], ...] = (
    ("download", asking("GET", "/object/things/here"), {"select"}, set()),
    ("info", asking("GET", "/object/info/things/here"), {"select"}, set()),
    ("sign", asking("POST", "/object/sign/things/here", json=SIGNING), {"select"}, set()),
    ("upload", asking("POST", "/object/things/new", content=PNG), {"insert"}, set()),
    (
        "sign an upload",
        asking("POST", "/object/upload/sign/things/new", json={}),
        {"insert"},
        set(),
    ),
    ("resumable", resumed, {"insert"}, set()),
    (
        "upsert",
        asking("POST", "/object/things/here", content=JPEG, headers=REPLACING),
        {"insert", "update", "select"},
        set(),
    ),
    (
        "update",
        asking("PUT", "/object/things/here", content=JPEG),
        {"insert", "update", "select"},
        set(),
    ),
    ("move", asking("POST", "/object/move", json=HERE_TO), {"select", "update"}, set()),
    ("copy", asking("POST", "/object/copy", json=HERE_TO), {"select", "insert"}, set()),
    ("copy away", asking("POST", "/object/copy", json=ELSEWHERE), {"select"}, {"insert"}),
    ("remove", asking("DELETE", "/object/things/here"), {"select", "delete"}, set()),
)


async def grant(admin: Any, bucket: str, operations: set[str]) -> None:
    for operation in ("select", "insert", "update", "delete"):
        await admin.execute(f"drop policy if exists {bucket}_{operation} on storage.objects")
        if operation in operations:
            clause = "with check" if operation == "insert" else "using"
            await admin.execute(
                f"create policy {bucket}_{operation} on storage.objects for {operation}"
                f" to authenticated {clause} (bucket_id = '{bucket}')"
            )


async def put_back(site: Site) -> None:
    service = site.service()
    for bucket in ("things", "others"):
        await service.empty_bucket(bucket)
    await service.from_("things").upload("here", PNG, {"content-type": "image/png"})


@pytest.mark.parametrize(
    ("act", "here", "there"), [need[1:] for need in NEEDS], ids=[need[0] for need in NEEDS]
)
async def test_an_operation_goes_with_its_policies_and_with_none_less(
    site: Site, ada: UUID, admin: Admin, act: Act, here: set[str], there: set[str]
) -> None:
    for bucket in ("things", "others"):
        await site.service().create_bucket(bucket)
    for lacking in [*here, *there]:
        await put_back(site)
        await grant(admin, "things", here - {lacking})
        await grant(admin, "others", there - {lacking})
        before, files = await site.rows(), site.files()
        answer = await act(site, ada)
        assert answer.status_code in (400, 403), lacking
        if answer.status_code == 400:
            assert answer.json()["code"] in ("NoSuchKey", "AccessDenied"), lacking
        assert (await site.rows(), site.files()) == (before, files)
    await put_back(site)
    await grant(admin, "things", here)
    await grant(admin, "others", there)
    assert (await act(site, ada)).is_success
    everything = {"select", "insert", "update", "delete"}
    await put_back(site)
    await grant(admin, "things", everything - here)
    await grant(admin, "others", everything - there)
    assert not (await act(site, ada)).is_success


async def test_an_object_is_moved_to_another_bucket_by_who_may_change_both(
    site: Site, ada: UUID, admin: Admin
) -> None:
    for bucket in ("things", "others"):
        await site.service().create_bucket(bucket)
    await put_back(site)
    move = asking("POST", "/object/move", json=ELSEWHERE)
    await grant(admin, "things", {"select", "update"})
    assert (await move(site, ada)).json()["code"] == "AccessDenied"
    assert await site.rows() == {("things", "here")}
    await grant(admin, "others", {"select", "update"})
    assert (await move(site, ada)).is_success
    assert await site.rows() == {("others", "there")}
    assert await site.storage.read("others", "there") == PNG and len(site.files()) == 1


async def test_a_copy_into_another_bucket_keeps_to_that_buckets_limits(
    site: Site, admin: Admin
) -> None:
    service = site.service()
    await service.create_bucket("things")
    await service.create_bucket("others", options={"file_size_limit": 10})
    await put_back(site)
    headers = {"Authorization": f"Bearer {token('service_role')}"}
    for verb in ("move", "copy"):
        answer = await site.http.post(f"/object/{verb}", headers=headers, json=ELSEWHERE)
        assert answer.json()["code"] == "EntityTooLarge"
    await service.update_bucket("others", {"file_size_limit": None, "allowed_mime_types": ["a/b"]})
    for verb in ("move", "copy"):
        answer = await site.http.post(f"/object/{verb}", headers=headers, json=ELSEWHERE)
        assert answer.json()["code"] == "InvalidMimeType"
    assert await site.rows() == {("things", "here")} and len(site.files()) == 1
