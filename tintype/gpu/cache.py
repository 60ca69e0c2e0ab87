"""Which trained adapters lie on this machine's disk?

An adapter is a person's face: the folder and its files are this user's alone. A file's name is the
hash of its bytes, and a file under its name is whole. Workers of several GPUs share the folder.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx2

from tintype import clock
from tintype.errors import OperatorError
from tintype.gpu.adapters import Trained
from tintype.gpu.recipe import Adapter
from tintype.gpu.tensors import check_file
from tintype.worker_client import JobFailed, JobLost, Task, WorkerRefused

ADAPTER_CACHE_BYTES_MAX = 20 * 2**30
# A download that was broken off is swept away when it is this old.
BROKEN_SECONDS_MAX = 24 * 3600
LOCKED_SECONDS = 0.1
CHUNK_BYTES = 2**20
WHOLE = re.compile(r"[0-9a-f]{64}\.safetensors")
# What `Task.fetch` writes until it is whole, and what is whole but not looked at yet.
BROKEN = re.compile(r"[0-9a-f]{64}\.new(?:\.part)?")


class AdapterCache:
    """A folder of adapters, at most `bytes_max`; the least recently used goes first."""

    def __init__(self, folder: Path, *, bytes_max: int = ADAPTER_CACHE_BYTES_MAX) -> None:
        """Use `folder`, made when it is first needed.

        Raises `OperatorError` `adapter_folder_open` when it is there and not this user's alone.
        """
        self.folder = folder.absolute()
        self._bytes_max = bytes_max
        if self.folder.exists():
            self._check_folder()

    async def files(self, task: Task, adapters: Sequence[Adapter]) -> list[Trained]:
        """Return the adapters of a job as files, having downloaded those that were not here.

        None is downloaded twice at once, by other processes neither. Raises `JobFailed`: to be
        tried again when a download fails or holds other bytes than it should, not when what came is
        no adapter; `JobLost`. What was broken off is no file of the folder.
        """
        return [
            Trained(one.sha256, await self._file(task, one, adapters), one.weight)
            for one in adapters
        ]

    async def _file(self, task: Task, adapter: Adapter, beside: Sequence[Adapter]) -> Path:
        file = self.folder / f"{adapter.sha256}.safetensors"
        await asyncio.to_thread(self._make_folder)
        async with self._alone(adapter.sha256):
            if not await asyncio.to_thread(_touched, file, adapter.bytes):
                keep = {f"{one.sha256}.safetensors" for one in beside}
                await asyncio.to_thread(self._make_room, adapter.bytes, keep)
                await _download(task, adapter, file)
        return file

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_folder()

    def _check_folder(self) -> None:
        about = self.folder.stat()
        if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
            raise OperatorError(
                "adapter_folder_open",
                f"The folder {self.folder} is not this user's alone.",
                hint="chmod 700 it, or name another with --adapters.",
            )

    @asynccontextmanager
    async def _alone(self, sha256: str) -> AsyncIterator[None]:
        """Hold the lock of an adapter. Sixteen do for all: they are never taken away."""
        place = self.folder / f"{sha256[0]}.lock"
        handle = os.open(place, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(LOCKED_SECONDS)
            yield
        finally:
            os.close(handle)

    def _make_room(self, wanted: int, keep: set[str]) -> None:
        """Remove old files until `wanted` bytes fit, and what was broken off long ago."""
        whole: list[tuple[float, int, Path]] = []
        for file in self.folder.iterdir():
            with suppress(FileNotFoundError):
                about = file.stat()
                is_old = clock.unix_seconds() - about.st_mtime > BROKEN_SECONDS_MAX
                if WHOLE.fullmatch(file.name):
                    whole.append((about.st_mtime, about.st_size, file))
                elif BROKEN.fullmatch(file.name) and is_old:
                    file.unlink()
        taken = sum(size for _, size, _ in whole)
        for _, size, file in sorted(whole):
            if taken + wanted <= self._bytes_max:
                break
            if file.name not in keep:
                file.unlink(missing_ok=True)
                taken -= size


async def _download(task: Task, adapter: Adapter, file: Path) -> None:
    new = file.with_suffix(".new")
    try:
        await task.fetch(adapter.url, new, bytes_max=adapter.bytes)
        await asyncio.to_thread(_check, new, adapter)
        await asyncio.to_thread(_keep, new, file)
    except JobLost:
        raise
    except (WorkerRefused, httpx2.TransportError) as error:
        raise JobFailed("The adapter could not be downloaded.", retry=True) from error
    finally:
        new.unlink(missing_ok=True)


def _check(new: Path, adapter: Adapter) -> None:
    if new.stat().st_size != adapter.bytes or _sha256(new) != adapter.sha256:
        raise JobFailed("The adapter that was downloaded is not the one it should be.", retry=True)
    check_file(new)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _keep(new: Path, file: Path) -> None:
    """Give a whole file its name, which then holds after a power cut too."""
    with new.open("rb") as opened:
        os.fsync(opened.fileno())
    new.replace(file)


def _touched(file: Path, size: int) -> bool:
    """Return whether a file is there, and note that it is used."""
    try:
        if file.stat().st_size != size:
            return False
        os.utime(file)
    except FileNotFoundError:
        return False
    return True
