"""How does the load generator speak websocket, without being what is measured?

A library that parses frames in Python costs as much for each message that arrives as the server
spends to send it. These sockets do what one client of a measurement needs and no more: the opening
handshake, small text frames out, whole frames in, an answer to pings.
"""

import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
NORMAL = (1000).to_bytes(2, "big")
OPEN_SECONDS_MAX = 60
# Connections that are opened at one time.
OPENING_MAX = 50


class Socket(asyncio.Protocol):
    """One websocket. `hear` is called with the payload of every frame that holds one."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.hear: Callable[[bytes], None] = lambda payload: None
        self.ended: str | None = None
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._place = (host, port, path)
        self._rest = b""
        self._is_open = False
        self._transport: Any = None

    async def open(self) -> None:
        """Connect and shake hands. Raises `ConnectionError` with what the server said."""
        host, port, path = self._place
        await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        await self._opened

    def send(self, text: str) -> None:
        """Send one text frame."""
        self._write(TEXT, text.encode())

    def close(self) -> None:
        """Say that it is over, and close."""
        if self.ended is None:
            self.ended = "closed here"
            self._write(CLOSE, NORMAL)
        self._transport.close()

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is over."""
        self.ended = self.ended or f"the connection was lost: {error}"
        if not self._opened.done():
            self._opened.set_exception(ConnectionError(self.ended))

    def data_received(self, data: bytes) -> None:
        """Take whole frames, and keep what has come of the next."""
        buffer = self._rest + data if self._rest else data
        place = 0 if self._is_open else self._shake(buffer)
        end = len(buffer)
        while end - place >= 2:
            size, start = buffer[place + 1], place + 2
            if size == 126:
                size, start = int.from_bytes(buffer[place + 2 : place + 4], "big"), place + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[place + 2 : place + 10], "big"), place + 10
            if start + size > end:
                break
            if buffer[place] in (TEXT, BINARY):
                self.hear(buffer[start : start + size])
            else:
                self._control(buffer[place], buffer[start : start + size])
            place = start + size
        self._rest = buffer[place:]

    def _shake(self, buffer: bytes) -> int:
        """Return where the frames begin, 0 as long as they do not."""
        head, found, _ = buffer.partition(b"\r\n\r\n")
        if not found:
            return 0
        if not head.startswith(b"HTTP/1.1 101"):
            self.ended = f"refused: {buffer[:300].decode(errors='replace')}"
            self._transport.close()
            return len(buffer)
        self._is_open = True
        self._opened.set_result(None)
        return len(head) + 4

    def _control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._write(PONG, payload)
        elif kind == CLOSE:
            self.ended = f"closed by the server: {payload[2:].decode(errors='replace')}"
            self._transport.close()
        elif kind != PONG:
            self.ended = f"a frame of kind {kind:#x} came"
            self._transport.close()

    def _write(self, kind: int, payload: bytes) -> None:
        # A client has to mask; the mask 0 leaves the payload as it is.
        size = len(payload)
        head = bytes((kind, 0x80 | size)) if size < 126 else bytes((kind, 0x80 | 126))
        if size >= 126:
            head += size.to_bytes(2, "big")
        self._transport.write(head + bytes(4) + payload)


class Channel:
    """A socket that has joined one topic, vsn 2.0.0."""

    def __init__(self, socket: Socket, topic: str) -> None:
        self.socket = socket
        self.topic = f"realtime:{topic}"
        self._refs = 1

    async def join(self, token: str, binding: dict[str, str] | None = None) -> None:
        """Join, with a binding until changes flow. Raises `ConnectionError` when refused."""
        changes = [binding] if binding is not None else []
        joined = asyncio.get_running_loop().create_future()
        awaited = [b'"status":"ok"', b"Subscribed to PostgreSQL"] if changes else [b'"status":"ok"']

        def hear(payload: bytes) -> None:
            if joined.done():
                return
            if b'"status":"error"' in payload:
                joined.set_exception(ConnectionError(payload.decode()))
            elif awaited[0] in payload:
                awaited.pop(0)
                if not awaited:
                    joined.set_result(None)

        self.socket.hear = hear
        config = {"broadcast": {"self": False}, "postgres_changes": changes}
        self._push("phx_join", {"config": config, "access_token": token})
        await joined

    def broadcast(self, payload: dict[str, object]) -> None:
        """Tell everybody else on the topic."""
        self._push("broadcast", {"type": "broadcast", "event": "tick", "payload": payload})

    def _push(self, event: str, payload: dict[str, Any]) -> None:
        frame = ["1", str(self._refs), self.topic, event, payload]
        self._refs += 1
        self.socket.send(json.dumps(frame, separators=(",", ":")))


async def opened(host: str, port: int, path: str, count: int) -> list[Socket]:
    """Return so many open sockets; raise `ConnectionError` or `TimeoutError`."""
    sockets = [Socket(host, port, path) for _ in range(count)]
    await few_at_a_time([socket.open for socket in sockets])
    return sockets


async def few_at_a_time(acts: list[Callable[[], Any]]) -> None:
    """Await all of the acts, `OPENING_MAX` at a time, `OPEN_SECONDS_MAX` together."""
    turns = iter(acts)

    async def take() -> None:
        for act in turns:
            await act()

    async with asyncio.timeout(OPEN_SECONDS_MAX), asyncio.TaskGroup() as group:
        for _ in range(OPENING_MAX):
            group.create_task(take())
