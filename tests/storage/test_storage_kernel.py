"""What the kernel relies on: whole bytes or none, one version, and work found after a kill."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from storage_site import JPEG, OBJECT_BYTES_MAX, PNG, files_below, principal_of

from tintype import database
from tintype.errors import NotFound, TooLarge
from tintype.storage import FolderBackend, Storage, StoredObject

KILLED_AFTER_WRITE = """
import asyncio, sys, os, signal
from pathlib import Path
from tintype.storage import FolderBackend
from tintype.storage.objects import Storage
from tintype.config import Config

async def main():
    backend = FolderBackend(Path(sys.argv[1]))
    storage = Storage(Config(data=Path("."), project=Path(".")), None, backend, None)
    data = b"\\x89PNG\\r\\n\\x1a\\n" + b"p" * 3_000_000
    await storage.write("generations", sys.argv[2] + "/0-a.png", data, media_type="image/png")

    async def endless():
        yield data
        print("halfway", flush=True)
        await asyncio.sleep(60)

    await storage.write("generations", sys.argv[2] + "/1-b.png", endless(), media_type="image/png")

asyncio.run(main())
"""


def on_disk(storage: Storage) -> set[str]:
    return files_below(storage.config.data / "objects")


async def recorded(storage: Storage, name: str, data: bytes, owner: UUID) -> StoredObject:
    stored = await storage.write("generations", name, data, media_type="image/png")
    async with database.transaction(storage.pool) as connection:
        await storage.record(connection, stored, owner=owner)
    return stored


async def test_what_is_written_and_recorded_is_read(storage: Storage, ada: UUID) -> None:
    stored = await recorded(storage, f"{ada}/job/0-a.png", PNG, ada)
    assert await storage.read("generations", f"{ada}/job/0-a.png") == PNG
    found = await storage.stat("generations", f"{ada}/job/0-a.png")
    assert found is not None and found.id is not None
    assert (found.version, found.size, found.etag) == (stored.version, len(PNG), stored.etag)
    assert found.cache_control == "max-age=3600"
    row = await storage.find("generations", f"{ada}/job/0-a.png")
    assert row is not None and (row.owner, row.owner_id) == (ada, str(ada))
    assert on_disk(storage) == {f"generations/{ada}/job/0-a.png/{stored.version}"}


async def test_bytes_without_a_row_are_no_object(storage: Storage, ada: UUID) -> None:
    await storage.write("generations", f"{ada}/job/0-a.png", PNG, media_type="image/png")
    assert await storage.stat("generations", f"{ada}/job/0-a.png") is None
    with pytest.raises(NotFound):
        await storage.read("generations", f"{ada}/job/0-a.png")


async def test_the_owner_sees_it_and_another_does_not(
    storage: Storage, ada: UUID, bob: UUID
) -> None:
    await recorded(storage, f"{ada}/job/0-a.png", PNG, ada)
    for user, seen in ((ada, True), (bob, False)):
        found = await storage.stat("generations", f"{ada}/job/0-a.png", principal_of(user))
        assert (found is not None) is seen


async def test_a_row_that_is_rolled_back_leaves_the_bytes_to_be_found(
    storage: Storage, ada: UUID
) -> None:
    stored = await storage.write("generations", f"{ada}/job/0-a.png", PNG, media_type="image/png")
    with pytest.raises(ZeroDivisionError):
        async with database.transaction(storage.pool) as connection:
            await storage.record(connection, stored, owner=ada)
            raise ZeroDivisionError
    assert await storage.unrecorded("generations", f"{ada}/job") == [stored]


async def test_unrecorded_finds_only_what_has_no_row_below_the_folder(
    storage: Storage, ada: UUID
) -> None:
    await recorded(storage, f"{ada}/job/0-a.png", PNG, ada)
    lost = await storage.write("generations", f"{ada}/job/1-b", JPEG, media_type="image/jpeg")
    await storage.write("generations", f"{ada}/job2/1-b.png", JPEG, media_type="image/jpeg")
    assert await storage.unrecorded("generations", f"{ada}/job") == [lost]
    async with database.transaction(storage.pool) as connection:
        await storage.record(connection, lost, owner=ada)
    assert await storage.unrecorded("generations", f"{ada}/job") == []
    assert await storage.read("generations", f"{ada}/job/1-b") == JPEG


async def test_unrecorded_below_nothing_is_nothing(storage: Storage) -> None:
    assert await storage.unrecorded("generations", "nobody/nothing") == []


async def test_a_killed_worker_leaves_whole_bytes_and_no_half_ones(
    storage: Storage, ada: UUID
) -> None:
    root = storage.config.data / "objects"
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED_AFTER_WRITE,
        str(root),
        f"{ada}/job",
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"halfway\n"
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    [adopted] = await storage.unrecorded("generations", f"{ada}/job")
    assert adopted.name == f"{ada}/job/0-a.png"
    assert (adopted.size, adopted.media_type) == (3_000_008, "image/png")
    async with database.transaction(storage.pool) as connection:
        await storage.record(connection, adopted, owner=ada)
    whole = await storage.read("generations", adopted.name, bytes_max=adopted.size)
    assert len(whole) == adopted.size
    assert all(
        name == f"generations/{adopted.name}/{adopted.version}" or name.startswith(".staging/")
        for name in on_disk(storage)
    )


async def test_what_a_kill_left_in_staging_is_removed_after_a_day(tmp_path: Path) -> None:
    staging = tmp_path / ".staging"
    staging.mkdir()
    for name, age_seconds in (("old#1", 25 * 3600), ("young#1", 3600)):
        (staging / name).write_bytes(b"half")
        modified = (staging / name).stat().st_mtime - age_seconds
        os.utime(staging / name, (modified, modified))
    FolderBackend(tmp_path)
    assert files_below(tmp_path) == {".staging/young#1"}


async def test_concurrent_upserts_leave_exactly_one_version(storage: Storage, ada: UUID) -> None:
    principal = principal_of(ada)
    pictures = [PNG + bytes([number]) for number in range(12)]

    async def upsert(picture: bytes) -> None:
        await storage.put(
            principal, "uploads", f"{ada}/a.png", picture, media_type="image/png", upsert=True
        )

    await asyncio.gather(*(upsert(picture) for picture in pictures))
    assert await storage.read("uploads", f"{ada}/a.png") in pictures
    found = await storage.stat("uploads", f"{ada}/a.png")
    assert found is not None
    assert on_disk(storage) == {f"uploads/{ada}/a.png/{found.version}"}


async def test_of_concurrent_first_uploads_one_wins_and_the_others_leave_nothing(
    storage: Storage, ada: UUID
) -> None:
    principal = principal_of(ada)
    results = await asyncio.gather(
        *(
            storage.put(
                principal, "uploads", f"{ada}/a.png", PNG + bytes([n]), media_type="image/png"
            )
            for n in range(8)
        ),
        return_exceptions=True,
    )
    won = [result for result in results if isinstance(result, StoredObject)]
    assert len(won) == 1
    assert {getattr(r, "code", None) for r in results if r not in won} == {"object_exists"}
    assert on_disk(storage) == {f"uploads/{ada}/a.png/{won[0].version}"}


async def test_readers_never_see_half_a_picture_while_it_is_replaced(
    storage: Storage, ada: UUID
) -> None:
    pictures = [bytes([n]) * 300_000 for n in range(6)]
    await recorded(storage, f"{ada}/a", pictures[0], ada)
    written = asyncio.Event()

    async def replace() -> None:
        for picture in pictures[1:]:
            stored = await storage.write("generations", f"{ada}/a", picture, media_type="a/b")
            async with database.transaction(storage.pool) as connection:
                replaced = await storage.record(connection, stored, owner=ada)
            assert replaced is not None
            await storage.discard(replaced)
        written.set()

    async def read() -> int:
        reads = 0
        while not written.is_set():
            assert await storage.read("generations", f"{ada}/a") in pictures
            reads += 1
        return reads

    reads, _ = await asyncio.gather(read(), replace())
    assert reads > 0
    assert len(on_disk(storage)) == 1


async def test_neighbours_come_and_go_without_disturbing_each_other(
    storage: Storage, ada: UUID
) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(10):
            stored = await storage.write(
                "generations", f"{ada}/deep/er/{number}", PNG, media_type="image/png"
            )
            await storage.discard(stored)

    await asyncio.gather(*(come_and_go(number) for number in range(8)))
    assert on_disk(storage) == set()


async def test_discard_keeps_what_has_a_row(storage: Storage, ada: UUID) -> None:
    stored = await recorded(storage, f"{ada}/a", PNG, ada)
    await storage.discard(stored)
    assert await storage.read("generations", f"{ada}/a") == PNG
    lost = await storage.write("generations", f"{ada}/a", JPEG, media_type="image/jpeg")
    await storage.discard(lost)
    await storage.discard(lost)
    assert len(on_disk(storage)) == 1


async def test_write_stops_at_its_limit_and_when_its_source_fails(
    storage: Storage, ada: UUID
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise ConnectionResetError

    with pytest.raises(TooLarge):
        await storage.write("generations", f"{ada}/a", PNG, media_type="a/b", bytes_max=10)
    with pytest.raises(ConnectionResetError):
        await storage.write("generations", f"{ada}/a", failing(), media_type="a/b")
    assert on_disk(storage) == set()


async def test_a_canceled_write_leaves_nothing(storage: Storage, ada: UUID) -> None:
    halfway = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(3_000_000)
        halfway.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(storage.write("generations", f"{ada}/a", slow(), media_type="a/b"))
    await halfway.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert on_disk(storage) == set()
    assert await storage.unrecorded("generations", str(ada)) == []


async def test_reading_more_than_asked_for_is_refused(storage: Storage, ada: UUID) -> None:
    await recorded(storage, f"{ada}/a", PNG, ada)
    with pytest.raises(TooLarge):
        await storage.read("generations", f"{ada}/a", bytes_max=len(PNG) - 1)
    await recorded(storage, f"{ada}/b", bytes(OBJECT_BYTES_MAX + 1), ada)
    with pytest.raises(TooLarge):
        await storage.read("generations", f"{ada}/b")


async def test_a_row_needs_its_bucket(storage: Storage, ada: UUID) -> None:
    stored = await storage.write("nowhere", f"{ada}/a", PNG, media_type="image/png")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with database.transaction(storage.pool) as connection:
            await storage.record(connection, stored, owner=ada)


async def test_remove_as_the_kernel_removes_anyones(storage: Storage, ada: UUID) -> None:
    await recorded(storage, f"{ada}/a", PNG, ada)
    removed = await storage.remove("generations", [f"{ada}/a", f"{uuid4()}/b"])
    assert [row.name for row in removed] == [f"{ada}/a"]
    assert on_disk(storage) == set()
