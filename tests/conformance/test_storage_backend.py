"""Every `Backend` keeps the same promises."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from support.s3 import S3Server
from tintype.errors import InvalidRequest
from tintype.storage import Backend, BackendFailed, FolderBackend, S3Backend, S3Settings

DATA = bytes(range(256)) * 12_000


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(params=["folder", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "folder":
        return FolderBackend(tmp_path / "bytes")
    server: S3Server = request.getfixturevalue("s3")
    return S3Backend(S3Settings(**server.settings(server.make_bucket())))


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def content(backend: Backend, key: str, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in await backend.get(key, start, end)])


async def keys_of(backend: Backend, prefix: str) -> dict[str, int]:
    return {stat.key: stat.size async for stat in backend.list(prefix)}


async def test_bytes_come_back_whole_and_in_part(backend: Backend) -> None:
    await backend.put("b/a/v1", pieces(DATA[:1000], b"", DATA[1000:]))
    assert await content(backend, "b/a/v1", 0, len(DATA)) == DATA
    assert await content(backend, "b/a/v1", 500, 70_000) == DATA[500:70_000]
    assert await content(backend, "b/a/v1", len(DATA) - 1, len(DATA)) == DATA[-1:]


async def test_no_bytes_are_kept_too(backend: Backend) -> None:
    await backend.put("b/empty/v1", pieces())
    assert await keys_of(backend, "b") == {"b/empty/v1": 0}


async def test_every_allowed_character_is_kept(backend: Backend) -> None:
    key = "b u/Az09_!.*'() &$=@;:+,?-/ /v1"
    await backend.put(key, pieces(b"x"))
    assert await keys_of(backend, "b u") == {key: 1}
    assert await content(backend, key, 0, 1) == b"x"


async def test_a_listing_holds_what_lies_below_the_folder_and_no_more(backend: Backend) -> None:
    for key in ("b/a/v1", "b/a/b/v2", "b/ab/v3", "c/a/v4"):
        await backend.put(key, pieces(key.encode()))
    assert await keys_of(backend, "b/a") == {"b/a/v1": 6, "b/a/b/v2": 8}
    assert set(await keys_of(backend, "b")) == {"b/a/v1", "b/a/b/v2", "b/ab/v3"}
    assert await keys_of(backend, "nothing/here") == {}


async def test_a_failing_source_leaves_nothing_and_comes_out_unchanged(backend: Backend) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield DATA
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await backend.put("b/a/v1", failing())
    assert await keys_of(backend, "") == {}
    with pytest.raises(FileNotFoundError):
        await backend.get("b/a/v1", 0, 1)


async def test_unfinished_bytes_are_not_seen(backend: Backend) -> None:
    halfway, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield DATA
        halfway.set()
        await go_on.wait()
        yield b"end"

    async def put() -> None:
        await backend.put("b/a/v1", slow())

    task = asyncio.create_task(put())
    await halfway.wait()
    assert await keys_of(backend, "") == {}
    with pytest.raises(FileNotFoundError):
        await backend.get("b/a/v1", 0, 1)
    with pytest.raises(FileNotFoundError):
        await backend.copy("b/a/v1", "b/b/v2")
    go_on.set()
    await task
    assert await keys_of(backend, "") == {"b/a/v1": len(DATA) + 3}


async def test_a_copy_outlives_its_source(backend: Backend) -> None:
    await backend.put("b/a/v1", pieces(DATA))
    await backend.copy("b/a/v1", "c/d/e/v2")
    await backend.delete("b/a/v1")
    assert await content(backend, "c/d/e/v2", 0, len(DATA)) == DATA
    assert await keys_of(backend, "") == {"c/d/e/v2": len(DATA)}


async def test_deleting_what_is_not_there_is_fine(backend: Backend) -> None:
    await backend.delete("b/a/v1")
    await backend.put("b/a/v1", pieces(b"x"))
    await backend.delete("b/a/v1")
    await backend.delete("b/a/v1")
    assert await keys_of(backend, "") == {}


async def test_a_reading_goes_on_after_the_bytes_are_deleted(backend: Backend) -> None:
    await backend.put("b/a/v1", pieces(DATA))
    chunks = await backend.get("b/a/v1", 0, len(DATA))
    await backend.delete("b/a/v1")
    assert b"".join([chunk async for chunk in chunks]) == DATA


async def test_a_key_below_a_whole_key_is_refused_or_kept_and_hurts_nothing(
    backend: Backend,
) -> None:
    await backend.put("b/a/v1", pieces(b"x"))
    kept = {"b/a/v1": 1}
    with suppress(InvalidRequest):
        await backend.put("b/a/v1/v2", pieces(b"yy"))
        kept["b/a/v1/v2"] = 2
    assert await keys_of(backend, "") == kept
    assert await content(backend, "b/a/v1", 0, 1) == b"x"


async def test_what_fits_in_no_part_goes_up_and_comes_back_in_many(backend: Backend) -> None:
    piece = bytes(range(256)) * 4096
    count = 33
    await backend.put("b/big/v1", pieces(*[piece] * count, b"end"))
    size = count * len(piece) + 3
    assert await keys_of(backend, "b") == {"b/big/v1": size}
    digest = hashlib.sha256()
    async for chunk in await backend.get("b/big/v1", 0, size):
        digest.update(chunk)
    assert digest.digest() == hashlib.sha256(piece * count + b"end").digest()
    assert await content(backend, "b/big/v1", size - 5, size) == piece[-2:] + b"end"


async def test_a_source_that_fails_after_many_parts_leaves_nothing(backend: Backend) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(1024 * 1024)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await backend.put("b/a/v1", failing())
    assert await keys_of(backend, "") == {}


async def test_a_canceled_source_leaves_nothing(backend: Backend) -> None:
    halfway = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield DATA
        halfway.set()
        await asyncio.Event().wait()

    async def put() -> None:
        await backend.put("b/a/v1", slow())

    task = asyncio.create_task(put())
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys_of(backend, "") == {}


async def test_many_at_once_are_all_kept(backend: Backend) -> None:
    keys = [f"b/{number % 3}/{number}/v" for number in range(24)]
    await asyncio.gather(*(backend.put(key, pieces(key.encode())) for key in keys))
    assert set(await keys_of(backend, "b")) == set(keys)
    for key in keys:
        assert await content(backend, key, 0, len(key)) == key.encode()


async def test_an_aborted_upload_leaves_no_parts_in_the_bucket(s3: S3Server) -> None:
    bucket = s3.make_bucket()
    backend = S3Backend(S3Settings(**s3.settings(bucket)))

    async def failing() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(1024 * 1024)
        assert s3.unfinished(bucket) == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await backend.put("b/a/v1", failing())
    assert s3.unfinished(bucket) == 0


async def test_a_bucket_that_is_not_there_is_an_error_and_not_an_absence(s3: S3Server) -> None:
    backend = S3Backend(S3Settings(**s3.settings("never-made")))
    with pytest.raises(BackendFailed):
        await backend.put("b/a/v1", pieces(b"x"))


async def test_a_source_whose_connection_breaks_is_not_taken_for_the_place(
    backend: Backend,
) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await backend.put("b/a/v1", breaking())
    assert await keys_of(backend, "") == {}
