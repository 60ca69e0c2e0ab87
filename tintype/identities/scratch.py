"""Where do pictures lie while they are on their way through this machine?"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path


class Scratch:
    """Folders below `root`, each for one piece of work, each gone when that ends.

    A folder in use is locked by its process. What a killed process left is nobody's, and goes with
    the next `sweep`; processes may share `root`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """Yield an empty folder that only this process's user may read; remove it at the end."""
        # Shielded: what a thread has begun to make is to be removed as well.
        making = asyncio.ensure_future(asyncio.to_thread(self._make))
        try:
            folder, lock = await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.to_thread(_remove, *(await making))
            raise
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(_remove, folder, lock))

    def sweep(self) -> int:
        """Remove the folders of processes that are gone; return how many. Blocks."""
        self._make_root()
        with _locked(self.root, fcntl.LOCK_EX):
            return sum(_remove_if_free(path) for path in self.root.iterdir() if path.is_dir())

    def _make(self) -> tuple[Path, int]:
        self._make_root()
        # No sweep sees it before it is locked.
        with _locked(self.root, fcntl.LOCK_SH):
            folder = Path(tempfile.mkdtemp(dir=self.root))
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            return folder, lock

    def _make_root(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _remove(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _remove_if_free(folder: Path) -> bool:
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    _remove(folder, lock)
    return True
