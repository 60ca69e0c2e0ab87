"""Which server runs on this data folder?

A server holds the lock of `server.lock` while it lives; the lock ends with the process, however
that ends. `server.json` says where it answers, and is believed only while the lock is held.
A short command that starts the folder's Postgres holds the same lock meanwhile, so that it never
stops a database that somebody else has begun to use.
"""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from tintype import clock
from tintype.errors import OperatorError

LOCK_NAME = "server.lock"
NOTE_NAME = "server.json"
# A command waits this long for another one to end, or for a server to be ready.
WAIT_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.05


class Server(msgspec.Struct, frozen=True):
    """A server that lives. It has no `url` until it is ready to answer."""

    pid: int
    url: str | None = None


def find(folder: Path) -> Server | None:
    """Return the server that lives on `folder`; a file left by a killed one is not believed."""
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(folder)
    else:
        return None
    finally:
        os.close(handle)


@asynccontextmanager
async def alone(folder: Path, *, patient: bool = True) -> AsyncIterator[Server | None]:
    """Yield None while this process alone may start the folder's database, or the server.

    A server that is not ready yet is waited for if `patient`, as is another command; raises
    `OperatorError` `folder_busy` after `WAIT_SECONDS_MAX`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        found = await _wait(folder, handle, patient=patient)
        if found is None:
            (folder / NOTE_NAME).unlink(missing_ok=True)
        yield found
    finally:
        os.close(handle)


@contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Let commands know that a server is starting here; at the end, that it is gone."""
    announce(folder, None)
    try:
        yield
    finally:
        (folder / NOTE_NAME).unlink(missing_ok=True)


def announce(folder: Path, url: str | None) -> None:
    """Say where this process answers."""
    new = folder / f".{NOTE_NAME}.new"
    new.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    new.replace(folder / NOTE_NAME)


async def _wait(folder: Path, handle: int, *, patient: bool) -> Server | None:
    deadline = clock.monotonic_seconds() + WAIT_SECONDS_MAX
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _read(folder)
            if found is not None and (found.url is not None or not patient):
                return found
        else:
            return None
        if clock.monotonic_seconds() > deadline:
            raise OperatorError(
                "folder_busy",
                f"Another command has been using {folder} for {WAIT_SECONDS_MAX:.0f} s.",
                hint="Wait until it has ended, or start the server: commands share it.",
            )
        await asyncio.sleep(LOOK_SECONDS)


def _read(folder: Path) -> Server | None:
    try:
        found = msgspec.json.decode((folder / NOTE_NAME).read_bytes(), type=Server)
        os.kill(found.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.MsgspecError):
        return None
    except PermissionError:
        pass
    return found
