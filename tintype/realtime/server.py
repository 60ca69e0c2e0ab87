"""What does the room offer to the outside, and how is it opened and closed?"""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from tintype import auth
from tintype.auth import KeySet, Principal
from tintype.database import Pool
from tintype.errors import Unauthenticated
from tintype.realtime import payloads
from tintype.realtime.capture import GRACE_SECONDS
from tintype.realtime.changes import Changes
from tintype.realtime.channel import PREFIX
from tintype.realtime.frames import VERSIONS, Message, RawMessage, broadcast_payload, quote
from tintype.realtime.limits import (
    POST_BYTES_MAX,
    POST_MESSAGES_MAX,
    SOCKETS_MAX,
    TICK_SECONDS,
    TOPIC_BYTES_MAX,
)
from tintype.realtime.permissions import Permissions
from tintype.realtime.socket import GOING_AWAY, Socket
from tintype.realtime.topics import Halls, Topics

VERSION_DEFAULT = "1.0.0"


def open_realtime(
    pool: Pool, database_url: str, keys: KeySet, *, grace_seconds: float = GRACE_SECONDS
) -> "Realtime":
    """Return the room, not started. `pool` is the kernel's; `database_url` names the login role.

    The login role makes replication slots. `grace_seconds` is how long the capture of changes
    outlives its last subscriber.
    """
    return Realtime(pool, database_url, keys, grace_seconds=grace_seconds)


class Realtime:
    """The sockets of one server and what is said on them. Used from one event loop."""

    def __init__(
        self, pool: Pool, database_url: str, keys: KeySet, *, grace_seconds: float
    ) -> None:
        self._keys = keys
        self._halls = Halls(Topics(), Topics())
        self._permissions = Permissions(pool)
        self._changes = Changes(database_url, pool, self._halls, grace_seconds=grace_seconds)
        self._sockets: set[Socket] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def slot(self) -> str | None:
        """The replication slot that is in use now, if any."""
        return self._changes.capture.slot

    def routes(self) -> list[BaseRoute]:
        """Return `/realtime/v1/websocket` and the two forms of `/realtime/v1/api/broadcast`."""
        return [
            WebSocketRoute("/realtime/v1/websocket", _Door(self)),
            Route("/realtime/v1/api/broadcast", self._post_many, methods=["POST"]),
            Route(
                "/realtime/v1/api/broadcast/{topic:path}/events/{event:path}",
                self._post_one,
                methods=["POST"],
            ),
        ]

    async def start(self) -> None:
        """Begin to watch the time, and to remove what crashed servers left and what is old."""
        self._tasks = [
            asyncio.create_task(self._tick()),
            asyncio.create_task(self._changes.recent.watch()),
            asyncio.create_task(self._changes.capture.sweep()),
        ]

    async def close(self) -> None:
        """Close every socket, so that clients go elsewhere, and drop the slot. Safe to call twice.

        A crash leaves the slot; another server drops it when its owner was not seen for a while.
        """
        self._closing = True
        for socket in list(self._sockets):
            socket.end(GOING_AWAY, "the server is going away")
        await self._empty.wait()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        await self._changes.capture.close()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket from its opening handshake on."""
        query = {
            name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()
        }
        headers = HTTPConnection(scope).headers
        if (await receive())["type"] != "websocket.connect":
            return None
        version = query.get("vsn", VERSION_DEFAULT)
        if version not in VERSIONS:
            return await _refuse(send, 400, f"vsn is one of {', '.join(VERSIONS)}")
        if self._closing or len(self._sockets) >= SOCKETS_MAX:
            return await _refuse(send, 503, "Too many connected users")
        try:
            principal = await auth.authenticate(self._keys, headers, query)
        except Unauthenticated as error:
            return await _refuse(send, 401, error.message)
        if principal is None:
            return await _refuse(send, 401, "No API key found in request")
        socket = Socket(
            receive,
            send,
            version=version,
            principal=principal,
            keys=self._keys,
            halls=self._halls,
            permissions=self._permissions,
            changes=self._changes,
        )
        self._sockets.add(socket)
        self._empty.clear()
        try:
            await socket.run()
        finally:
            self._sockets.discard(socket)
            if not self._sockets:
                self._empty.set()
        return None

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for socket in list(self._sockets):
                socket.tick()

    async def _post_many(self, request: Request) -> Response:
        principal = await self._caller(request)
        if principal is None:
            return _answer(401, {"message": "Unauthorized"})
        body = await _body(request)
        if body is None:
            return _answer(413, {"message": "Payload Too Large"})
        try:
            posted = payloads.decode_posted(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return _answer(422, {"errors": {"messages": [str(error)]}})
        if len(posted.messages) > POST_MESSAGES_MAX:
            return _answer(422, {"errors": {"messages": [f"at most {POST_MESSAGES_MAX} messages"]}})
        for one in posted.messages:
            if not _is_topic(one.topic) or not one.event:
                return _answer(422, {"errors": {"messages": ["topic and event can't be blank"]}})
        private = [one.topic for one in posted.messages if one.private]
        rights = await self._permissions.of(principal, private) if private else {}
        for one in posted.messages:
            if not one.private or rights[one.topic].sends_broadcast:
                payload = broadcast_payload(one.event, one.payload)
                message = Message(PREFIX + one.topic, "broadcast", payload)
                self._halls.of(one.private).broadcast(message)
        return Response(status_code=202)

    async def _post_one(self, request: Request) -> Response:
        principal = await self._caller(request)
        if principal is None:
            return _answer(401, {"message": "Unauthorized"})
        body = await _body(request)
        if body is None:
            return _answer(413, {"message": "Payload Too Large"})
        topic, event = request.path_params["topic"], request.path_params["event"]
        if not _is_topic(topic) or not event or len(event.encode()) > TOPIC_BYTES_MAX:
            return _answer(422, {"errors": {"topic": ["is too long"]}})
        name = PREFIX + topic
        try:
            if request.headers.get("content-type", "").startswith("application/octet-stream"):
                message: Message = RawMessage(name, event, body)
            else:
                payload = broadcast_payload(event, msgspec.json.decode(body))
                message = Message(name, "broadcast", payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _answer(422, {"errors": {"payload": ["is not JSON"]}})
        private = request.query_params.get("private") == "true"
        if not private or (await self._permissions.of(principal, [topic]))[topic].sends_broadcast:
            self._halls.of(private).broadcast(message)
        return Response(status_code=202)

    async def _caller(self, request: Request) -> Principal | None:
        try:
            return await auth.authenticate(self._keys, request.headers, request.query_params)
        except Unauthenticated:
            return None


class _Door:
    """An ASGI application, so that a socket meets the server's own `receive` and `send`."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._realtime.serve(scope, receive, send)


def _is_topic(topic: str) -> bool:
    return 0 < len((PREFIX + topic).encode("utf-8", "replace")) <= TOPIC_BYTES_MAX and bool(topic)


async def _body(request: Request) -> bytes | None:
    """Return the body, or None where it is over the limit; no more than that is ever held."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > POST_BYTES_MAX:
            return None
    return bytes(received)


def _answer(status: int, body: object) -> Response:
    return Response(quote(body), status_code=status, media_type="application/json")


async def _refuse(send: Send, status: int, message: str) -> None:
    """Refuse the handshake with an HTTP answer."""
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    body = quote({"message": message}).encode()
    await send({"type": "websocket.http.response.body", "body": body})
