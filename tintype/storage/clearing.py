"""How does everything below a folder go, and how is it shown to be gone?"""

import msgspec

from tintype.errors import RequestError
from tintype.storage import rows
from tintype.storage.objects import Storage
from tintype.storage.uploads import Resumable

CLEARED_ROWS_MAX = 500


class Left(msgspec.Struct, frozen=True):
    """What lies below a folder: rows, bytes that a row may or may not point at, open uploads."""

    objects: int
    files: int
    uploads: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self == Left(0, 0, 0)


async def clear_folder(storage: Storage, bucket: str, prefix: str) -> None:
    """Remove all objects, bytes and open uploads below the folder `prefix`, which ends with `/`.

    Nobody may be at work there. An upload that is just being written to stays. A crash in the
    middle leaves the rest for another call; safe to repeat.
    """
    resumable = Resumable(storage)
    for row in await storage.pool.fetch(rows.sql("uploads_below"), bucket, *_range(prefix)):
        try:
            await resumable.drop(row["id"], bucket, row["name"])
        except RequestError:
            continue
    while names := await _names(storage, bucket, prefix):
        await storage.remove(bucket, names)
    await storage.sweep(bucket, prefix)


async def look_below(storage: Storage, bucket: str, prefix: str) -> Left:
    """Count what the database and the backend have below the folder `prefix`."""
    row = await storage.pool.fetchrow(rows.sql("count_below"), bucket, *_range(prefix))
    assert row is not None
    files = 0
    async for _ in storage.backend.list(f"{bucket}/{prefix.rstrip('/')}"):
        files += 1
    return Left(row["objects"], files, row["uploads"])


async def _names(storage: Storage, bucket: str, prefix: str) -> list[str]:
    found = await storage.pool.fetch(
        rows.sql("names_below"), bucket, *_range(prefix), CLEARED_ROWS_MAX
    )
    return [row["name"] for row in found]


def _range(prefix: str) -> tuple[str, str]:
    """Return the folder and the first text after all that begins with it: 0 comes after /."""
    folder = prefix.rstrip("/")
    return f"{folder}/", f"{folder}0"
