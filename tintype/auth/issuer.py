"""Which keys does another issuer sign with at the moment?

Its JWKS is fetched when a token names an unknown key and once in a while, never more often than
`REFETCH_SECONDS_MIN`. While the issuer is down, the last good keys go on verifying.
"""

import asyncio

import httpx2
import msgspec

from tintype import clock, events
from tintype.auth.verify import VerificationKey, outside_keys

CONNECT_SECONDS_MAX = 5.0
FETCH_SECONDS_MAX = 10.0
DOCUMENT_BYTES_MAX = 256 * 1024
KEYS_MAX = 100
# An unknown kid costs a request, so strangers cannot make us ask more often than this.
REFETCH_SECONDS_MIN = 30.0
# A key that the issuer has withdrawn is dropped after this.
AGE_SECONDS_MAX = 600.0


class Issuer:
    """The keys published at one URL. Used from one event loop."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[VerificationKey] = []
        self._tried_at: float | None = None
        self._fetch: asyncio.Task[bool] | None = None

    @property
    def due(self) -> bool:
        """Whether asking again is allowed now."""
        return self._age() >= REFETCH_SECONDS_MIN

    @property
    def stale(self) -> bool:
        """Whether the keys are old enough to ask again without a reason."""
        return self._age() >= AGE_SECONDS_MAX

    @property
    def fetching(self) -> bool:
        """Whether a fetch is under way that a caller can join."""
        return self._fetch is not None and not self._fetch.done()

    async def refresh(self) -> bool:
        """Fetch the key set and return whether it was replaced; callers at once share a fetch.

        Any failure keeps the keys that are there and is told as the event `LoopFailed`.
        """
        return await asyncio.shield(self.begin())

    def begin(self) -> "asyncio.Task[bool]":
        """Start a fetch, or return the one that is under way."""
        if self._fetch is None or not self.fetching:
            self._tried_at = clock.monotonic_seconds()
            self._fetch = asyncio.create_task(self._replace())
        return self._fetch

    async def _replace(self) -> bool:
        try:
            async with asyncio.timeout(FETCH_SECONDS_MAX):
                self.keys = outside_keys(msgspec.json.decode(await self._document()))[:KEYS_MAX]
        except Exception as error:  # whatever another's server sends, the good keys stay
            events.emit(
                events.LoopFailed(
                    loop="jwks",
                    error=f"{self.url}: {type(error).__name__} {error}".strip(),
                    delay_seconds=REFETCH_SECONDS_MIN,
                )
            )
            return False
        return True

    async def _document(self) -> bytes:
        timeout = httpx2.Timeout(FETCH_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        async with (
            httpx2.AsyncClient(timeout=timeout) as client,
            client.stream("GET", self.url, headers={"accept": "application/json"}) as response,
        ):
            response.raise_for_status()
            document = bytearray()
            async for part in response.aiter_bytes():
                document += part
                if len(document) > DOCUMENT_BYTES_MAX:
                    raise ValueError(f"the key set is over {DOCUMENT_BYTES_MAX} bytes")
        return bytes(document)

    def _age(self) -> float:
        return (
            float("inf") if self._tried_at is None else clock.monotonic_seconds() - self._tried_at
        )
