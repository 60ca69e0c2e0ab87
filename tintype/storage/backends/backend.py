"""What must a place that keeps bytes be able to do?

A key is `/`-separated text of at most `keys.NAME_BYTES_MAX` bytes plus bucket and version, without
empty, `.` or `..` segments. A key is written once: nothing is ever overwritten.
"""

from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec
from obstore.exceptions import BaseError


class Stat(msgspec.Struct, frozen=True):
    """Whole bytes that lie on a backend."""

    key: str
    size: int
    modified_at: datetime


class BackendFailed(Exception):
    """The place did not answer as it should. What was to be read or stored is as it was before."""


class Source:
    """The chunks of a `put`, which remembers whether it was they that failed."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self._error: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except BaseException as error:
            self._error = error
            raise

    def is_innocent_of(self, error: BaseException) -> bool:
        """Return whether `error` is one of the place: its errors look like those of a source."""
        return error is not self._error and isinstance(error, OSError | BaseError)


class Backend(Protocol):
    """A place that keeps bytes, held to it by `tests/conformance/test_storage_backend.py`.

    Every verb raises `BackendFailed` when the place cannot be reached or does not let us in.
    """

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """Store all chunks under `key`, or, when `chunks` raises or the task is canceled, nothing.

        On return the bytes outlive this process and the machine's power. Until then no `get`,
        `list` or `copy` sees any of them. Raises `InvalidRequest` for a key that the place cannot
        hold; what `chunks` raises comes out unchanged.
        """
        ...

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Open bytes `start` to `end` (exclusive; start < end ≤ size) and return their chunks.

        A `delete` after the return does not disturb the reading. Raises `FileNotFoundError`.
        """
        ...

    async def copy(self, source: str, target: str) -> None:
        """Store the bytes of `source` under `target` too, as `put` would. `FileNotFoundError`."""
        ...

    def list(self, prefix: str) -> AsyncIterator[Stat]:
        """Yield what lies below the folder `prefix`, in no order; nothing unfinished."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the bytes; what is not there is fine."""
        ...
