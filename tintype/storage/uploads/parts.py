"""How is a body cut into parts while it arrives, and what if it stops arriving?"""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect

# A sender that is silent for this long is taken for gone; what it sent before is kept.
SILENCE_SECONDS_MAX = 60


class Body:
    """The bytes of one request, read once and part by part."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._ended = False

    async def has_more(self) -> bool:
        """Return whether a byte is left, waiting for it. A body that breaks off has none."""
        while not self._rest and not self._ended:
            try:
                async with asyncio.timeout(SILENCE_SECONDS_MAX):
                    self._rest = await anext(self._chunks)
            except (StopAsyncIteration, ClientDisconnect, TimeoutError):
                self._ended = True
        return bool(self._rest)

    async def take(self, size_max: int) -> AsyncIterator[bytes]:
        """Yield bytes until they are `size_max`, or the body ends or breaks off."""
        while size_max > 0 and await self.has_more():
            chunk, self._rest = self._rest[:size_max], self._rest[size_max:]
            size_max -= len(chunk)
            yield chunk
