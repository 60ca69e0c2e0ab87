"""Uploads that stop and go on: TUS 1.0.0, its refusals, and what a kill leaves."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from storage_process import served_storage
from storage_site import JPEG, OBJECT_BYTES_MAX, PNG, SECRET, MakeBucket, Site, bearer, token
from tus import Tus, described, path_of

from tintype.errors import Unavailable
from tintype.storage.signatures import Signer
from tintype.storage.uploads import PART_BYTES, Resumable
from tintype.storage.uploads import parts as parts_module
from tintype.storage.uploads import upload as upload_module
from tintype.storage.uploads.locks import UploadLocks

BIG = PNG + bytes(range(256)) * 4000


@pytest.fixture
def tus(site: Site, ada: UUID) -> Tus:
    return Tus(site.http, bearer(ada))


@pytest.fixture
def stranger(site: Site, bob: UUID) -> Tus:
    return Tus(site.http, bearer(bob))


async def test_a_server_tells_what_it_can(site: Site) -> None:
    answer = await site.http.options("/upload/resumable")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-max-size"] == str(OBJECT_BYTES_MAX)
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "expiration",
    }


async def test_an_upload_in_pieces_becomes_the_object(site: Site, ada: UUID, tus: Tus) -> None:
    metadata = {"contentType": "image/png", "cacheControl": "60", "metadata": '{"mood":"calm ü"}'}
    answer = await tus.create("uploads", f"{ada}/a.png", len(BIG), **metadata)
    assert answer.status_code == 201
    location = answer.headers["location"]
    assert location.startswith("https://pictures.example/storage/v1/upload/resumable/")
    encoded = location.rpartition("/")[2]
    assert base64.urlsafe_b64decode(encoded + "==").decode().startswith(f"uploads/{ada}/a.png/")
    assert "upload-expires" in answer.headers
    path = path_of(answer)
    for start in range(0, len(BIG), 300_000):
        assert await tus.offset(path) == start
        assert await site.rows() == set()
        answer = await tus.patch(path, start, BIG[start : start + 300_000])
        assert answer.status_code == 204
        assert answer.headers["upload-offset"] == str(min(start + 300_000, len(BIG)))
    assert answer.headers["tus-complete"] == "1"
    files = site.user(ada).from_("uploads")
    assert await files.download(f"{ada}/a.png") == BIG
    info = await files.info(f"{ada}/a.png")
    assert (info["content_type"], info["cache_control"]) == ("image/png", "max-age=60")
    assert info["metadata"] == {"mood": "calm ü"}
    row = await site.storage.find("uploads", f"{ada}/a.png")
    assert row is not None and row.owner_id == str(ada)
    assert site.files() == {f"uploads/{ada}/a.png/{info['version']}"}


async def test_head_says_what_was_said_at_the_beginning(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", 100)
    answer = await tus.head(path)
    assert answer.headers["upload-length"] == "100"
    assert answer.headers["upload-offset"] == "0"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["upload-metadata"] == described("uploads", f"{ada}/a.png")


async def test_a_complete_upload_still_says_so_to_who_did_not_hear_it(
    site: Site, ada: UUID, tus: Tus
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    await tus.patch(path, 0, PNG)
    answer = await tus.head(path)
    assert answer.headers["upload-offset"] == answer.headers["upload-length"] == str(len(PNG))
    assert (await tus.patch(path, len(PNG), b"")).status_code == 204
    assert (await tus.patch(path, 0, PNG)).status_code == 409
    assert (await tus.delete(path)).status_code == 404
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG


async def test_the_first_bytes_can_come_with_the_beginning(site: Site, ada: UUID, tus: Tus) -> None:
    answer = await tus.create("uploads", f"{ada}/a.png", len(PNG), PNG[:100])
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "100")
    assert (await tus.patch(path_of(answer), 100, PNG[100:])).status_code == 204
    whole = await tus.create("uploads", f"{ada}/b.png", len(PNG), PNG)
    assert whole.headers["tus-complete"] == "1"
    for name in ("a.png", "b.png"):
        assert await site.storage.read("uploads", f"{ada}/{name}") == PNG


async def test_the_length_can_come_last(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", None)
    answer = await tus.head(path)
    assert answer.headers["upload-defer-length"] == "1" and "upload-length" not in answer.headers
    await tus.patch(path, 0, PNG[:50])
    await tus.patch(path, 50, PNG[50:])
    assert await site.rows() == set()
    answer = await tus.patch(path, len(PNG), b"", Upload_Length=str(len(PNG)))
    assert answer.headers["tus-complete"] == "1"
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG


async def test_a_length_that_came_is_kept(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", None)
    await tus.patch(path, 0, PNG[:50], Upload_Length=str(len(PNG)))
    for length in (len(PNG) + 1, 20, OBJECT_BYTES_MAX + 1):
        answer = await tus.patch(path, 50, b"x", Upload_Length=str(length))
        assert answer.status_code in (400, 413)
    assert (await tus.head(path)).headers["upload-length"] == str(len(PNG))
    assert await tus.offset(path) == 50


async def test_all_bytes_without_an_object_are_not_called_the_end(
    site: Site, ada: UUID, tus: Tus
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", None)
    await tus.patch(path, 0, PNG)
    await site.storage.pool.execute(
        "select tintype.set_upload_length(id, $1) from tintype.uploads", len(PNG)
    )
    answer = await tus.head(path)
    assert answer.headers["upload-defer-length"] == "1" and "upload-length" not in answer.headers
    await tus.patch(path, len(PNG), b"", Upload_Length=str(len(PNG)))
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG


async def test_nothing_at_all_is_an_object_at_once(
    site: Site, tus: Tus, make_bucket: MakeBucket
) -> None:
    await make_bucket("any")
    service = Tus(site.http, {"Authorization": f"Bearer {token('service_role')}"})
    answer = await service.create("any", "empty", 0)
    assert (answer.status_code, answer.headers["tus-complete"]) == (201, "1")
    assert await site.rows() == {("any", "empty")}


async def test_a_wrong_offset_changes_nothing(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    await tus.patch(path, 0, PNG[:100])
    for offset in (0, 99, 101, len(PNG)):
        answer = await tus.patch(path, offset, PNG[:10])
        assert (answer.status_code, answer.text) == (409, "Upload-Offset conflict")
        assert answer.headers["content-type"].startswith("text/plain")
    assert await tus.offset(path) == 100


@pytest.mark.parametrize("is_counted", [True, False])
async def test_more_than_the_length_is_refused(
    site: Site, ada: UUID, tus: Tus, is_counted: bool
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))

    async def uncounted() -> AsyncIterator[bytes]:
        yield PNG
        yield b"more"

    answer = await tus.patch(path, 0, PNG + b"more" if is_counted else uncounted())
    assert (answer.status_code, answer.text) == (413, "Maximum size exceeded")
    assert await tus.offset(path) == 0
    assert await site.rows() == set() and site.files() == set()
    assert (await tus.patch(path, 0, PNG)).headers["tus-complete"] == "1"


async def test_an_upload_over_the_limit_does_not_begin(site: Site, ada: UUID, tus: Tus) -> None:
    answer = await tus.create("uploads", f"{ada}/a.png", OBJECT_BYTES_MAX + 1)
    assert (answer.status_code, answer.text) == (413, "Maximum size exceeded")
    deferred = await tus.begin("uploads", f"{ada}/a.png", None)
    answer = await tus.patch(deferred, 0, bytes(OBJECT_BYTES_MAX + 1))
    assert answer.status_code == 413
    assert await tus.offset(deferred) == 0


async def test_what_exists_needs_upsert_at_the_beginning_and_at_the_end(
    site: Site, ada: UUID, tus: Tus
) -> None:
    early = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    await site.user(ada).from_("uploads").upload(f"{ada}/a.png", JPEG)
    late = await tus.create("uploads", f"{ada}/a.png", len(PNG))
    end = await tus.patch(early, 0, PNG)
    for answer in (late, end):
        assert (answer.status_code, answer.text) == (409, "The resource already exists")
    assert await site.storage.read("uploads", f"{ada}/a.png") == JPEG
    answer = await tus.create("uploads", f"{ada}/a.png", len(PNG), PNG, upsert=True)
    assert answer.headers["tus-complete"] == "1"
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG
    assert len(site.files()) == 1


async def test_row_level_security_is_asked_at_the_beginning(
    site: Site, ada: UUID, stranger: Tus
) -> None:
    answer = await stranger.create("uploads", f"{ada}/a.png", len(PNG))
    assert answer.status_code == 403
    assert answer.text == "new row violates row-level security policy"
    nobody = await Tus(site.http, {}).create("uploads", f"{ada}/a.png", len(PNG))
    assert nobody.status_code == 400
    assert nobody.text == "headers must have required property 'authorization'"
    assert await site.storage.pool.fetchval("select count(*) from tintype.uploads") == 0


async def test_row_level_security_is_asked_again_at_the_end(
    site: Site, ada: UUID, tus: Tus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    await tus.patch(path, 0, PNG[:100])
    await admin.execute("drop policy users_keep_own_uploads on storage.objects")
    answer = await tus.patch(path, 100, PNG[100:])
    assert answer.status_code == 403
    assert await site.rows() == set()
    assert await tus.offset(path) == 100
    assert len(site.files()) == 1


async def test_another_users_upload_does_not_exist(
    site: Site, ada: UUID, tus: Tus, stranger: Tus
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    service = Tus(site.http, {"Authorization": f"Bearer {token('service_role')}"})
    anon = Tus(site.http, {"Authorization": f"Bearer {token('anon')}"})
    signed = Tus(site.http, {"x-signature": Signer(SECRET).upload(
        "uploads", f"{ada}/a.png", owner=str(ada), upsert=False)})  # fmt: skip
    for other in (stranger, service, anon, signed):
        assert (await other.head(path)).status_code == 404
        assert (await other.patch(path, 0, PNG)).status_code == 404
        assert (await other.delete(path)).status_code == 404
    assert await tus.offset(path) == 0


async def test_an_id_that_was_made_up_opens_nothing(
    site: Site, ada: UUID, bob: UUID, tus: Tus
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    version = base64.urlsafe_b64decode(path.rpartition("/")[2] + "==").decode().rpartition("/")[2]
    for text in (
        f"uploads/{ada}/a.png/{uuid4()}",
        f"uploads/{bob}/b.png/{version}",
        f"generations/{ada}/a.png/{version}",
        f"uploads/../../etc/passwd/{version}",
        f"../{version}",
        version,
        "\0",
        "ü",
    ):
        made_up = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        assert (await tus.head(f"/upload/resumable/{made_up}")).status_code == 404
    for raw in ("%00", "..", "a" * 5000, "====", "%252e%252e"):
        assert (await tus.head(f"/upload/resumable/{raw}")).status_code in (404, 412)
    assert await tus.offset(path) == 0


async def test_a_name_that_is_no_key_does_not_begin(site: Site, tus: Tus) -> None:
    for name in ("../a", "a/../../b", "%2e%2e/a", "a\0b", "a//b", "x" * 1025, "ü", "a\\b"):
        answer = await tus.create("uploads", name, 10)
        assert answer.status_code == 400 and answer.text.startswith("Invalid key")
    assert await site.storage.pool.fetchval("select count(*) from tintype.uploads") == 0


MALFORMED = [
    {"Upload-Length": "-1"},
    {"Upload-Length": "ten"},
    {"Upload-Length": "9" * 30},
    {"Upload-Length": "5", "Upload-Defer-Length": "1"},
    {},
    {"Upload-Length": "5", "Upload-Metadata": "bucketName %%%"},
    {"Upload-Length": "5", "Upload-Metadata": "bucketName /w==,objectName YQ=="},
    {"Upload-Length": "5", "Upload-Metadata": "x" * 20_000},
    {"Upload-Length": "5", "Upload-Metadata": "bucketName dXBsb2Fkcw=="},
    {"Upload-Length": "5", "Upload-Metadata": described("uploads", "a", metadata="[")},
    {"Upload-Length": "5", "Upload-Metadata": described("uploads", "a", contentType="a\r\nb")},
    {"Upload-Length": "5", "Upload-Metadata": described("uploads", "a", cacheControl="a\nb")},
]


async def test_a_malformed_beginning_is_refused(site: Site, ada: UUID) -> None:
    for headers in MALFORMED:
        known = {"Tus-Resumable": "1.0.0", "Upload-Metadata": described("uploads", f"{ada}/a")}
        answer = await site.http.post("/upload/resumable", headers=bearer(ada) | known | headers)
        assert answer.status_code in (400, 413)
        assert answer.headers["content-type"].startswith("text/plain")
        assert await site.storage.pool.fetchval("select count(*) from tintype.uploads") == 0


async def test_another_version_of_the_protocol_is_refused(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a", 10)
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = await site.http.head(path, headers=bearer(ada) | version)
        assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")


async def test_a_chunk_of_another_type_is_refused(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a", 10)
    assert (await tus.patch(path, 0, b"x", Content_Type="image/png")).status_code == 415
    assert (await tus.patch(path, 0, b"x", Upload_Offset="-1")).status_code == 400


async def test_what_only_calls_itself_a_png_does_not_become_an_object(
    site: Site, ada: UUID, tus: Tus, make_bucket: MakeBucket
) -> None:
    answer = await tus.create("uploads", f"{ada}/a.png", 5, b"<svg>", contentType="image/png")
    assert answer.status_code == 415
    await make_bucket("papers", types=["text/plain", "image/*"])
    service = Tus(site.http, {"Authorization": f"Bearer {token('service_role')}"})
    early = await service.create("papers", "a", 5, contentType="text/html")
    assert (early.status_code, early.text) == (415, "mime type text/html is not supported")
    assert await site.rows() == set() and site.files() == set()


async def test_an_expired_or_forged_token_goes_no_further(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a", 10)
    for given in (
        token("authenticated", ada, seconds=-10),
        token("authenticated", ada, secret=b"x" * 32),
        "nonsense",
    ):
        other = Tus(site.http, {"Authorization": f"Bearer {given}"})
        assert (await other.patch(path, 0, b"x")).status_code == 403
        assert (await other.create("uploads", f"{ada}/b", 5)).status_code == 403


async def test_a_signed_url_uploads_in_pieces_too(site: Site, ada: UUID) -> None:
    signed = await site.user(ada).from_("uploads").create_signed_upload_url(f"{ada}/a.png")
    holder = Tus(site.http, {"x-signature": signed["token"]}, "/upload/resumable/sign")
    answer = await holder.create("uploads", f"{ada}/a.png", len(PNG), contentType="image/png")
    path = path_of(answer)
    assert path.startswith("/upload/resumable/sign/")
    await holder.patch(path, 0, PNG[:70])
    assert await holder.offset(path) == 70
    assert (await holder.patch(path, 70, PNG[70:])).headers["tus-complete"] == "1"
    row = await site.storage.find("uploads", f"{ada}/a.png")
    assert row is not None and row.owner_id == str(ada)
    again = await holder.create("uploads", f"{ada}/a.png", len(PNG))
    assert (again.status_code, again.text) == (409, "The resource already exists")


async def test_a_signature_for_something_else_uploads_nothing(site: Site, ada: UUID) -> None:
    signer = Signer(SECRET)
    for given in (
        signer.upload("uploads", f"{ada}/b.png", owner=str(ada), upsert=False),
        signer.download("uploads", f"{ada}/a.png", 60),
        Signer(b"x" * 32).upload("uploads", f"{ada}/a.png", owner=str(ada), upsert=True),
        "",
    ):
        holder = Tus(site.http, {"x-signature": given}, "/upload/resumable/sign")
        assert (await holder.create("uploads", f"{ada}/a.png", 5)).status_code == 400
    # A caller's own token is no signature.
    tus = Tus(site.http, bearer(ada), "/upload/resumable/sign")
    assert (await tus.create("uploads", f"{ada}/a.png", 5)).status_code == 400


async def test_an_upload_can_be_ended_and_leaves_nothing(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    await tus.patch(path, 0, PNG[:100])
    assert len(site.files()) == 1
    assert (await tus.delete(path)).status_code == 204
    assert site.files() == set()
    assert (await tus.head(path)).status_code == 404
    assert (await tus.patch(path, 100, PNG[100:])).status_code == 404
    assert await site.storage.pool.fetchval("select count(*) from tintype.uploads") == 0


async def test_a_proxy_that_lets_only_post_through_is_no_obstacle(
    site: Site, ada: UUID, tus: Tus
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    headers = bearer(ada) | {"Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": "PATCH"}
    headers |= {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = await site.http.post(path, headers=headers, content=PNG)
    assert answer.headers["tus-complete"] == "1"


async def test_two_at_once_are_one_and_a_refusal(
    site: Site, ada: UUID, tus: Tus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:100]
        await go_on.wait()
        yield PNG[100:]

    first = asyncio.create_task(tus.patch(path, 0, slow()))
    held = "select count(*) from pg_locks where locktype = 'advisory' and database = ("
    held += "select oid from pg_database where datname = current_database())"
    while not await admin.fetchval(held):
        await asyncio.sleep(0.005)
    for answer in (await tus.patch(path, 0, PNG), await tus.delete(path)):
        assert (answer.status_code, answer.text) == (503, "acquiring lock timeout")
    go_on.set()
    assert (await first).headers["tus-complete"] == "1"
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG


async def test_the_lock_holds_between_processes_and_ends_with_its_holder(site: Site) -> None:
    here, there = UploadLocks(site.storage.pool), UploadLocks(site.storage.pool)
    one, two = uuid4(), uuid4()
    async with here.hold(one):
        async with here.hold(two):
            for locks in (here, there):
                with pytest.raises(Unavailable):
                    async with locks.hold(one):
                        raise AssertionError
        async with there.hold(two):
            pass
    async with there.hold(one):
        pass
    assert site.storage.pool.get_idle_size() == site.storage.pool.get_size()


async def test_a_connection_that_breaks_keeps_what_arrived(site: Site, ada: UUID, tus: Tus) -> None:
    path = await tus.begin("uploads", f"{ada}/a.png", len(BIG))

    async def breaking() -> AsyncIterator[bytes]:
        yield BIG[:200_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await tus.patch(path, 0, breaking())
    while not (kept := await tus.offset(path)):
        await asyncio.sleep(0.005)
    assert 0 < kept <= 200_000
    # The server may still be putting away what came: a client asks again, as TUS tells it to.
    while (answer := await tus.patch(path, kept, BIG[kept:])).status_code != 204:
        assert answer.status_code in (409, 503), answer.text
        kept = await tus.offset(path)
    assert answer.headers["tus-complete"] == "1"
    assert await site.storage.read("uploads", f"{ada}/a.png") == BIG


async def test_a_sender_that_falls_silent_is_let_go_and_what_it_sent_is_kept(
    site: Site, ada: UUID, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "SILENCE_SECONDS_MAX", 0.05)
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    go_on = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield PNG[:100]
        await go_on.wait()

    task = asyncio.create_task(tus.patch(path, 0, silent()))
    while await tus.offset(path) != 100:
        await asyncio.sleep(0.005)
    go_on.set()
    await task
    assert (await tus.patch(path, 100, PNG[100:])).headers["tus-complete"] == "1"


async def test_what_is_not_gone_on_with_ends_and_is_swept(
    site: Site, ada: UUID, tus: Tus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    left = await tus.begin("uploads", f"{ada}/left.png", len(PNG))
    await tus.patch(left, 0, PNG[:100])
    done = await tus.begin("uploads", f"{ada}/done.png", len(PNG))
    await tus.patch(done, 0, PNG)
    kept = await tus.begin("uploads", f"{ada}/kept.png", len(PNG))
    await tus.patch(kept, 0, PNG[:100])
    uploads = Resumable(site.storage)
    assert await uploads.sweep() == 0
    await admin.execute(
        "update tintype.uploads set expires_at = now() - interval '1 s' where name not like $1",
        "%kept.png",
    )
    assert (await tus.head(left)).status_code == 404
    assert await uploads.sweep() == 2
    assert await uploads.sweep() == 0
    assert await tus.offset(kept) == 100
    assert await site.storage.read("uploads", f"{ada}/done.png") == PNG
    assert len(site.files()) == 2


async def test_bytes_whose_last_moment_failed_are_swept_with_their_upload(
    site: Site, ada: UUID, tus: Tus, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    identity = await admin.fetchval("select id from tintype.uploads")
    await site.storage.write(
        "uploads", f"{ada}/a.png", PNG, media_type="image/png", version=str(identity)
    )
    await admin.execute("update tintype.uploads set expires_at = now() - interval '1 s'")
    assert await Resumable(site.storage).sweep() == 1
    assert site.files() == set()


async def test_a_caller_has_so_many_uploads_open(
    site: Site, ada: UUID, tus: Tus, stranger: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_module, "UPLOADS_OPEN_MAX", 3)
    answers = await asyncio.gather(
        *(tus.create("uploads", f"{ada}/{number}", 10) for number in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 3


async def test_an_upload_comes_in_so_many_pieces(
    site: Site, ada: UUID, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_module, "PARTS_MAX", 2)
    path = await tus.begin("uploads", f"{ada}/a.png", len(PNG))
    for offset in range(2):
        assert (await tus.patch(path, offset, PNG[offset : offset + 1])).status_code == 204
    assert (await tus.patch(path, 2, PNG[2:3])).status_code == 413


async def test_a_killed_server_goes_on_where_its_bytes_end(
    database_url: str,
    tmp_path: Path,
    ada: UUID,
    admin: "asyncpg.Connection[asyncpg.Record]",
    place: dict[str, Any],
) -> None:
    await admin.execute(
        "update storage.buckets set file_size_limit = null, allowed_mime_types = null"
    )
    data = b"".join(number.to_bytes(4, "big") * 65536 for number in range(80))
    async with (
        served_storage(database_url, tmp_path, object_bytes_max=10**9, **place) as served,
        httpx2.AsyncClient(base_url=served.url, trust_env=False, timeout=60) as http,
    ):
        tus = Tus(http, bearer(ada))
        path = await tus.begin("uploads", f"{ada}/big", len(data))
        offset = 0
        for _ in range(2):

            async def until_killed(start: int) -> AsyncIterator[bytes]:
                """Send a part and a half, see the part recorded, and never end."""
                yield data[start : start + PART_BYTES + 2_000_000]
                while await tus.offset(path) < start + PART_BYTES:
                    await asyncio.sleep(0.01)
                served.kill()
                yield b""

            with pytest.raises(httpx2.HTTPError):
                await tus.patch(path, offset, until_killed(offset))
            await served.start()
            recorded = await tus.offset(path)
            assert recorded == offset + PART_BYTES
            offset = recorded
        answer = await tus.patch(path, offset, data[offset:])
        assert (answer.status_code, answer.headers["tus-complete"]) == (204, "1")
        whole = await http.get(f"/object/uploads/{ada}/big", headers=bearer(ada))
        assert whole.content == data


async def test_policies_say_who_reads_uploads_and_nobody_else_does(
    admin: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    for table in ("tintype.uploads", "tintype.upload_parts"):
        for role, granted in (("service_role", True), ("authenticated", False), ("anon", False)):
            assert granted is await admin.fetchval(
                "select has_table_privilege($1, $2, 'select')", role, table
            )
