"""What may a connection cost before a request is whole?

uvicorn reads a request's head without a bound in bytes or time, waits for a body as long as its
sender likes, and leaves a websocket's handshake unanswered that the websockets library cannot
read. Here each has its limit, and beyond it the connection ends.
"""

import asyncio
import logging
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A token has at most 16 KiB; a URL with a filter of 100 uuids has 5.
HEAD_BYTES_MAX = 64 * 1024
HEAD_SECONDS_MAX = 20
# Between two pieces of a body, however long the whole takes.
BODY_IDLE_SECONDS_MAX = 30
# What uvicorn says of every malformed request, and of every upgrade that is refused with an answer:
# lines that any stranger could write into the log, and nothing for an operator to do.
HUSHED = (
    "Invalid HTTP request received.",
    "ASGI callable returned without completing handshake.",
)


def hush_log() -> None:
    """Leave those of uvicorn's lines out of the log that only tell of a stranger's mistakes."""
    logger = logging.getLogger("uvicorn.error")
    if _is_news not in logger.filters:
        logger.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.getMessage() not in HUSHED


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with limits on the head of a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give a new connection `HEAD_SECONDS_MAX` for its first head."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._head_bytes = 0
        self._head_wanted = True
        self._give_up = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the limits with the connection."""
        self._give_up.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; end the connection when a head goes on beyond `HEAD_BYTES_MAX`."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_wanted and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Begin to count a head; called again for each request of the connection."""
        super().on_message_begin()
        self._head_bytes = 0
        self._head_wanted = True
        self._give_up.cancel()
        self._give_up = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.close)

    def on_headers_complete(self) -> None:
        """Stop counting: the head is whole."""
        self._head_wanted = False
        self._give_up.cancel()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the websockets library; what it cannot read is refused here.

        Left alone, a handshake that is too long or not by GET is neither answered nor ended.
        """
        super().handle_websocket_upgrade()
        taken: Any = self.transport.get_protocol()
        if taken.conn.handshake_exc is not None:
            self._refuse("This is not a websocket's handshake.")

    def _refuse(self, reason: str) -> None:
        if not self.transport.is_closing():
            self.send_400_response(reason)


class Patience:
    """Tells an app that its client is gone when a body stops coming for too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; only HTTP has bodies."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole = False

        async def hear() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(BODY_IDLE_SECONDS_MAX):
                    message: Message = await receive()
            except TimeoutError:
                whole = True
                return _GONE
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, hear, send)


_GONE: dict[str, Any] = {"type": "http.disconnect"}
