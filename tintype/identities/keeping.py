"""Where does an identity lie in our own storage, and how do files come and go?

The bucket `identities` holds the tree of each identity, `{user}/{repository}/…`; the bucket
`training` holds what a training needs and makes, `{user}/{job}/…`.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from tintype import database
from tintype.database import Pool
from tintype.errors import NotFound, TooLarge
from tintype.storage import Storage, StoredObject

TREES = "identities"
TRAININGS = "training"
README = "README.md"
READ_BYTES = 1024 * 1024
STORES_AT_ONCE_MAX = 4

T = TypeVar("T")


class Kept(msgspec.Struct, frozen=True):
    """A file of this machine that is to be kept as an object."""

    bucket: str
    name: str
    local: Path
    media_type: str


def tree_folder(user_id: UUID, repository: str) -> str:
    """Return the folder in `TREES` of one identity, with a slash at its end."""
    return f"{user_id}/{repository}/"


def training_folder(user_id: UUID, job_id: UUID) -> str:
    """Return the folder in `TRAININGS` of one training, with a slash at its end."""
    return f"{user_id}/{job_id}/"


def tree_url(storage: Storage, user_id: UUID, repository: str) -> str:
    """Return where the owner reads what the tree is: its card."""
    return storage.object_url(TREES, f"{tree_folder(user_id, repository)}{README}")


async def keep(storage: Storage, pool: Pool, files: Sequence[Kept], *, owner: UUID) -> None:
    """Make each file an object of `owner`'s, all of them or, in the rows, none.

    What was under a name before is replaced. A crash in the middle leaves bytes without rows.
    """
    places = asyncio.Semaphore(STORES_AT_ONCE_MAX)

    async def write(file: Kept) -> StoredObject:
        async with places:
            return await storage.write(
                file.bucket, file.name, _pieces(file.local), media_type=file.media_type
            )

    stored = await all_of(write(file) for file in files)
    await record(storage, pool, stored, owner=owner)


async def record(
    storage: Storage, pool: Pool, stored: Sequence[StoredObject], *, owner: UUID
) -> None:
    """Make what was written objects of `owner`'s, in one transaction."""
    replaced: list[StoredObject | None] = []
    async with database.transaction(pool) as connection:
        for one in stored:
            replaced.append(await storage.record(connection, one, owner=owner))
    for old in replaced:
        if old is not None:
            await storage.discard(old)


async def bring(storage: Storage, bucket: str, name: str, local: Path, *, bytes_max: int) -> None:
    """Write an object's bytes to the file `local`. Raises `NotFound` and `TooLarge`."""
    stored = await storage.stat(bucket, name)
    if stored is None:
        raise NotFound("object_not_found", f"There is no object {bucket}/{name}.")
    if stored.size > bytes_max:
        raise TooLarge("object_too_large", f"The object {bucket}/{name} is over {bytes_max} bytes.")
    try:
        chunks = await storage.open(stored)
    except FileNotFoundError:
        raise NotFound("object_not_found", f"The object {bucket}/{name} is gone.") from None
    with local.open("wb") as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)


async def _pieces(local: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(local.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, READ_BYTES):
            yield piece


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Do all the works at once and return what they give; raise, once all have ended, the first
    trouble in their order."""
    results = await asyncio.gather(*works, return_exceptions=True)
    done: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
