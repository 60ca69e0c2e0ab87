"""Large objects pass through without staying in memory.

`TINTYPE_TEST_LARGE_BYTES` makes them larger: 1000000000 is what the promise speaks of.
"""

import hashlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from storage_process import ServedStorage, served_storage
from storage_site import bearer
from tus import Tus

GROWTH_BYTES_MAX = 64 * 1024 * 1024
LARGE_BYTES = int(os.environ.get("TINTYPE_TEST_LARGE_BYTES", "200000000"))
PIECE = bytes(range(256)) * 1024

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
    pytest.mark.timeout(600),
]


@pytest.fixture
async def served(
    place: dict[str, Any],
    database_url: str,
    tmp_path: Path,
    admin: "asyncpg.Connection[asyncpg.Record]",
) -> AsyncIterator[ServedStorage]:
    await admin.execute(
        "update storage.buckets set file_size_limit = null, allowed_mime_types = null"
    )
    settings = {"object_bytes_max": 2 * LARGE_BYTES} | place
    async with served_storage(database_url, tmp_path, **settings) as child:
        yield child


def large() -> tuple[AsyncIterator[bytes], str]:
    """Return the bytes, made as they are sent, and their hash."""
    digest = hashlib.sha256()
    for _ in range(LARGE_BYTES // len(PIECE)):
        digest.update(PIECE)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LARGE_BYTES // len(PIECE)):
            yield PIECE

    return pieces(), digest.hexdigest()


async def hash_of(http: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> str:
    digest = hashlib.sha256()
    async with http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        async for chunk in answer.aiter_raw():
            digest.update(chunk)
    return digest.hexdigest()


async def warm(http: httpx2.AsyncClient, user: UUID) -> None:
    """Have every module imported and every connection opened before anything is weighed."""
    await http.post(f"/object/uploads/{user}/warm", headers=bearer(user), content=PIECE * 8)
    await http.get(f"/object/uploads/{user}/warm", headers=bearer(user))
    await Tus(http, bearer(user)).create("uploads", f"{user}/tus", len(PIECE), PIECE)


@pytest.mark.parametrize("way", ["raw", "form", "resumable"])
async def test_a_large_object_goes_in_and_out_in_little_memory(
    served: ServedStorage, ada: UUID, way: str
) -> None:
    pieces, expected = large()
    path = f"/object/uploads/{ada}/large"
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False, timeout=300) as http:
        await warm(http, ada)
        before = served.memory_bytes("VmRSS")
        if way == "raw":
            answer = await http.post(path, headers=bearer(ada), content=pieces)
        elif way == "form":
            answer = await http.post(path, headers=as_form(ada), content=in_a_form(pieces))
        else:
            tus = Tus(http, bearer(ada))
            begun = await tus.begin("uploads", f"{ada}/large", LARGE_BYTES // 262144 * 262144)
            answer = await tus.patch(begun, 0, pieces)
        assert answer.status_code in (200, 204), answer.text
        uploaded = served.memory_bytes("VmHWM") - before
        assert await hash_of(http, path, bearer(ada)) == expected
        downloaded = served.memory_bytes("VmHWM") - before
    print(f"\n{way}: {LARGE_BYTES} bytes, growth in {uploaded >> 20} MiB, out {downloaded >> 20}")
    assert uploaded < GROWTH_BYTES_MAX and downloaded < GROWTH_BYTES_MAX


async def test_a_reader_that_stops_reading_holds_no_memory(
    served: ServedStorage, ada: UUID
) -> None:
    pieces, _ = large()
    path = f"/object/uploads/{ada}/large"
    async with httpx2.AsyncClient(base_url=served.url, trust_env=False, timeout=300) as http:
        await warm(http, ada)
        await http.post(path, headers=bearer(ada), content=pieces)
        before = served.memory_bytes("VmRSS")
        for _ in range(5):
            async with http.stream("GET", path, headers=bearer(ada)) as answer:
                await anext(answer.aiter_raw())
                # Another request shows that the server is not held up by the one that waits.
                small = await http.get(f"/object/uploads/{ada}/warm", headers=bearer(ada))
                assert len(small.content) == len(PIECE) * 8
        assert served.memory_bytes("VmHWM") - before < GROWTH_BYTES_MAX


def as_form(user: UUID) -> dict[str, str]:
    return bearer(user) | {"Content-Type": "multipart/form-data; boundary=edge"}


async def in_a_form(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b'--edge\r\nContent-Disposition: form-data; name=""; filename="blob"\r\n\r\n'
    async for piece in pieces:
        yield piece
    yield b"\r\n--edge--\r\n"
