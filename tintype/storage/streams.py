"""How do bytes pass through, counted, hashed and cut off at a limit?"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from tintype.errors import TooLarge

# Bodies arrive in pieces of 64 kB at most; what is done once a piece is done less often so.
PIECE_BYTES = 1024 * 1024
# A larger piece is hashed beside the event loop, while it is written and the next one arrives.
HASH_INLINE_BYTES_MAX = 64 * 1024


class Meter:
    """Gathers, counts and hashes what passes; raises `TooLarge` when it passes `bytes_max`."""

    def __init__(self, bytes_max: int | None) -> None:
        self.size = 0
        self._bytes_max = bytes_max
        self._digest = hashlib.md5(usedforsecurity=False)

    async def through(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yield the bytes in pieces of `PIECE_BYTES` or a little more."""
        loop = asyncio.get_running_loop()
        hashing: asyncio.Future[None] | None = None
        async for piece in _gathered(chunks):
            self.size += len(piece)
            if self._bytes_max is not None and self.size > self._bytes_max:
                raise too_large(self._bytes_max)
            if hashing is not None:
                await hashing
            if len(piece) > HASH_INLINE_BYTES_MAX:
                hashing = loop.run_in_executor(None, self._digest.update, piece)
            else:
                self._digest.update(piece)
            yield piece
        if hashing is not None:
            await hashing

    def etag(self) -> str:
        """Return the quoted MD5 of what has passed."""
        return f'"{self._digest.hexdigest()}"'


async def _gathered(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if size:
        yield b"".join(held)


async def chunks_of(data: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield bytes, whether they come in one piece or in many."""
    if isinstance(data, bytes):
        yield data
        return
    async for chunk in data:
        yield chunk


async def peek(chunks: AsyncIterator[bytes], size: int) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return the first `size` bytes (fewer when there are no more), and all bytes still to read."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= size:
            break

    async def whole() -> AsyncIterator[bytes]:
        if head:
            yield head
        async for chunk in chunks:
            yield chunk

    return head[:size], whole()


async def nothing() -> AsyncIterator[bytes]:
    """Yield no bytes."""
    no_chunks: tuple[bytes, ...] = ()
    for chunk in no_chunks:
        yield chunk


def too_large(bytes_max: int) -> TooLarge:
    """Return what says that the limit of `bytes_max` bytes was passed."""
    return TooLarge(
        "object_too_large",
        "The object exceeded the maximum allowed size",
        hint=f"At most {bytes_max} bytes fit here.",
    )
