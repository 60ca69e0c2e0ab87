"""How does a frame get out?

Straight to the transport while that has room: a frame that goes to a thousand sockets is then made
once and written a thousand times, without a task's wake-up and a message of ASGI for each. The ASGI
server's own `send` is the other way; it waits where the client reads slowly.
"""

from contextlib import suppress

from starlette.types import Receive
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Beyond this the transport has no room; the queue of the socket takes over, and its limits.
BUFFERED_BYTES_MAX = 64 * 1024
TEXT, BINARY = 0x81, 0x82


class Outlet:
    """The transport below one websocket, where the server is one that is known."""

    def __init__(self, receive: Receive) -> None:
        protocol = getattr(receive, "__self__", None)
        self._protocol = protocol if isinstance(protocol, WebSocketsSansIOProtocol) else None

    def write(self, frame: bytes) -> bool:
        """Write one whole frame; return whether there was room for it, and else write nothing.

        Only for an accepted websocket, and not between the frames of a message.
        """
        if self._protocol is None:
            return False
        transport = self._protocol.transport
        if transport.is_closing() or self._protocol.close_sent:
            return False
        if transport.get_write_buffer_size() > BUFFERED_BYTES_MAX:
            return False
        transport.write(frame)
        return True

    def abort(self) -> None:
        """Break the connection of a client that takes nothing, not even the close frame.

        ASGI has no word for it, and a plain close would wait until the client reads what is sent.
        """
        if self._protocol is not None:
            with suppress(OSError, RuntimeError):
                self._protocol.transport.abort()


def frame_of(written: str | bytes) -> bytes:
    """Return a message as one frame from a server, RFC 6455 section 5.2."""
    kind, payload = (TEXT, written.encode()) if isinstance(written, str) else (BINARY, written)
    length = len(payload)
    if length < 126:
        return bytes((kind, length)) + payload
    if length < 65536:
        return bytes((kind, 126)) + length.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + length.to_bytes(8, "big") + payload
