"""How much of a request's body may come in, and what becomes of the rest?

A body is counted as it arrives and refused at the byte where the limit is passed; nothing beyond
one chunk of it is held. A client that is still sending when the answer is ready is heard out for a
bounded time, so that it can read the answer: closing a socket with unread bytes resets it, and the
reset destroys an answer the client has not read yet.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from tintype import clock
from tintype.errors import TooLarge

DISCARD_SECONDS_MAX = 30
DISCARD_IDLE_SECONDS_MAX = 2


class Body:
    """The body of one request, between the server and the function.

    `bytes_max` is set when the function is known. `unread` says that more of it is on its way,
    `seconds` how long reading took.
    """

    __slots__ = (
        "_begun",
        "_receive",
        "_whole",
        "announced_bytes",
        "bytes_max",
        "disconnected",
        "received_bytes",
        "seconds",
        "unread",
    )

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        self._receive = receive
        self._begun = False
        self._whole: bytes | None = None
        self.announced_bytes = int(headers.get(b"content-length", b"0"))
        self.received_bytes = 0
        self.bytes_max = 0
        self.seconds = 0.0
        self.disconnected = False
        self.unread = self.announced_bytes > 0 or b"transfer-encoding" in headers

    def check_announced(self) -> None:
        """Raise `TooLarge` for a Content-Length over the limit, before a byte is read."""
        if self.announced_bytes > self.bytes_max:
            raise self._too_large()

    async def receive(self) -> Message:
        """Return the server's next message; raise `TooLarge` once the limit is passed."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.unread = message.get("more_body", False)
            self.received_bytes += len(message.get("body", b""))
            if self.received_bytes > self.bytes_max:
                raise self._too_large()
        else:
            self.disconnected = True
        return message

    async def read(self) -> bytes:
        """Return the whole body; a second call returns the same bytes.

        Raises `TooLarge` past the limit, `ClientDisconnect` when the body ends early.
        """
        if self._whole is not None:
            return self._whole
        chunks = [chunk async for chunk in self.chunks()]
        self._whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return self._whole

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, once; none of it is kept, and while nobody asks for more
        the client is held back.

        Raises `TooLarge` at the byte that passes the limit, `ClientDisconnect` when the body ends
        early, and `RuntimeError` for a body that was read in pieces before.
        """
        if self._begun:
            raise RuntimeError("A body that is read in pieces can be read once.")
        self._begun = True
        while self.unread:
            started = clock.monotonic_seconds()
            message = await self.receive()
            self.seconds += clock.monotonic_seconds() - started
            if self.disconnected:
                raise ClientDisconnect()
            if chunk := message.get("body"):
                yield chunk

    async def discard(self) -> None:
        """Read the rest and keep none of it, for `DISCARD_SECONDS_MAX` at most in all and
        `DISCARD_IDLE_SECONDS_MAX` while nothing comes."""
        deadline = clock.monotonic_seconds() + DISCARD_SECONDS_MAX
        while self.unread and not self.disconnected:
            left = min(deadline - clock.monotonic_seconds(), DISCARD_IDLE_SECONDS_MAX)
            if left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    message = await self._receive()
            except TimeoutError:
                return
            self.disconnected = message["type"] != "http.request"
            self.unread = message.get("more_body", False)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            "body_too_large",
            f"The body is over this function's limit of {self.bytes_max} bytes.",
            hint="Upload files to storage and send their paths.",
            details={"limit_bytes": self.bytes_max},
        )
