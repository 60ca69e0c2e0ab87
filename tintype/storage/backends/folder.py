"""How do bytes lie in a folder of this machine?

Through obstore's `LocalStore`, which writes `<path>#<number>` and renames it to `<path>` at the
end, never lists such a file, and removes it when the writing fails or is canceled; it syncs
nothing. So bytes are first put whole under `.staging/`, synced, and then renamed to their key: a
kill at any moment leaves at most a file in `.staging/`, which is no key and is removed after a day.

Reading goes past obstore: its stream reads 8 kB at a time, and takes twenty times as long.
"""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore

from tintype import clock
from tintype.errors import InvalidRequest
from tintype.storage.backends.backend import BackendFailed, Source, Stat

STAGING = ".staging"
STAGING_SECONDS_MAX = 24 * 3600
WRITE_BYTES = 1024 * 1024
READ_BYTES = 512 * 1024


class FolderBackend:
    """A `Backend` in the folder `root`, which is made when missing. Processes may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._store = LocalStore(root, automatic_cleanup=True, mkdir=True)
        self._remove_abandoned()

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        staged = f"{STAGING}/{uuid4().hex}"
        source = Source(chunks)
        try:
            # One part at a time: an upload holds two megabytes of memory, however large it is.
            async with obstore.open_writer_async(
                self._store, staged, buffer_size=WRITE_BYTES, max_concurrency=1
            ) as writer:
                async for chunk in source:
                    await writer.write(chunk)
            await asyncio.to_thread(_sync, self._root / staged)
            await self._place(staged, key)
        except BaseException as error:
            await self._undo(staged, key)
            if source.is_innocent_of(error):
                raise BackendFailed(str(error)) from error
            raise

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(_Reading, self._root / key)
        except NotADirectoryError as error:
            raise FileNotFoundError(key) from error
        except PermissionError as error:
            raise BackendFailed(str(error)) from error
        return _pieces(file, start, end)

    async def copy(self, source: str, target: str) -> None:
        # A hard link: the bytes under a key never change, and the last of the two names frees them.
        staged = f"{STAGING}/{uuid4().hex}"
        await obstore.copy_async(self._store, source, staged)
        try:
            await self._place(staged, target)
        except BaseException:
            await self._undo(staged, target)
            raise

    async def list(self, prefix: str) -> AsyncIterator[Stat]:
        async for batch in obstore.list(self._store, prefix):
            for meta in batch:
                if not meta["path"].startswith(f"{STAGING}/"):
                    yield Stat(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def _undo(self, staged: str, key: str) -> None:
        # A canceled rename may have happened. Of a key that the disk cannot hold, nothing is there.
        for path in (staged, key):
            with suppress(BaseError, OSError):
                await self.delete(path)

    async def _place(self, staged: str, key: str) -> None:
        try:
            await obstore.rename_async(self._store, staged, key)
        except GenericError as error:
            # A part of the path is a file already (`a/<a's version>`) or too long for the disk.
            raise InvalidRequest("invalid_key", f"Invalid key: {key[:200]}") from error
        await asyncio.to_thread(self._sync_folders, self._root / key)

    def _sync_folders(self, path: Path) -> None:
        for folder in path.parents:
            # A neighbour's delete may have emptied and removed it; then there is nothing to keep.
            with suppress(FileNotFoundError):
                _sync(folder)
            if folder == self._root:
                return

    def _remove_abandoned(self) -> None:
        oldest = clock.unix_seconds() - STAGING_SECONDS_MAX
        for path in (self._root / STAGING).glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


class _Reading:
    """An open file; a delete leaves its bytes there until nobody holds this any more."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, size: int, offset: int) -> bytes:
        assert self._descriptor is not None
        return os.pread(self._descriptor, size, offset)

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


async def _pieces(file: _Reading, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = await asyncio.to_thread(file.read, min(READ_BYTES, end - start), start)
        if not piece:
            raise BackendFailed("A file is shorter than its object.")
        start += len(piece)
        yield piece


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
