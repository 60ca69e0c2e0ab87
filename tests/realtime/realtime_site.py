"""A served realtime on a real database, its people, and clients that speak in frames."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from support.serve import serving
from tintype import database
from tintype.auth import KeySet
from tintype.realtime import Realtime, open_realtime

Row = asyncpg.Record
# Longer than a statement may take: one that died with its connection is noticed by then.
ANSWER_SECONDS_MAX = 60


@dataclass(frozen=True)
class Site:
    """The served room, and ways to meet it."""

    url: str
    realtime: Realtime
    keys: KeySet
    pool: database.Pool
    _stack: AsyncExitStack

    def token(self, user: UUID, **options: Any) -> str:
        return self.keys.mint(user, **options)

    async def connect(
        self, *, version: str = "2.0.0", key: str | None = None, **options: Any
    ) -> "Talker":
        """Return a raw client that is connected with the anon key."""
        address = self.url.replace("http", "ws", 1) + "/realtime/v1/websocket"
        address += f"?apikey={key or self.keys.anon_key}&vsn={version}"
        options = {"compression": None, "max_size": None} | options
        connection = await websockets.connect(address, **options)
        self._stack.push_async_callback(connection.close)
        return Talker(connection, version)


@asynccontextmanager
async def open_site(
    database_url: str, keys: KeySet, *, grace_seconds: float = 0
) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        pool = await database.connect(database_url)
        stack.push_async_callback(pool.close)
        realtime = open_realtime(pool, database_url, keys, grace_seconds=grace_seconds)
        url = await stack.enter_async_context(serving(Starlette(routes=realtime.routes())))
        await realtime.start()
        stack.push_async_callback(realtime.close)
        clients = await stack.enter_async_context(AsyncExitStack())
        yield Site(url, realtime, keys, pool, clients)


@dataclass
class Talker:
    """A client that sends and reads frames of either version as they are."""

    connection: ClientConnection
    version: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    refs: int = 0

    async def send(
        self, topic: str, event: str, payload: Any, *, join_ref: str | None = None
    ) -> str:
        self.refs += 1
        ref = str(self.refs)
        if self.version == "2.0.0":
            frame: Any = [join_ref, ref, topic, event, payload]
        else:
            frame = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        await self.connection.send(json.dumps(frame))
        return ref

    async def next(self) -> dict[str, Any]:
        """Return the next frame, whatever it is."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            data = await self.connection.recv()
        if isinstance(data, bytes):
            return {"binary": data}
        frame = json.loads(data)
        if self.version == "2.0.0":
            names = ("join_ref", "ref", "topic", "event", "payload")
            frame = dict(zip(names, frame, strict=True))
        return frame

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first frame that is wanted; the others before it go to `seen`."""
        while True:
            frame = await self.next()
            if wanted(frame):
                return frame
            self.seen.append(frame)

    async def reply(self, ref: str) -> dict[str, Any]:
        frame = await self.until(lambda f: f.get("event") == "phx_reply" and f["ref"] == ref)
        return frame["payload"]

    async def event(self, name: str) -> dict[str, Any]:
        return await self.until(lambda frame: frame.get("event") == name)

    async def join(
        self, name: str = "room", *, token: str | None = None, **config: Any
    ) -> dict[str, Any]:
        """Join `realtime:name` and return the payload of the reply."""
        payload: dict[str, Any] = {"config": config}
        if token is not None:
            payload["access_token"] = token
        return await self.reply(await self.send(f"realtime:{name}", "phx_join", payload))

    async def subscribe(
        self, *bindings: dict[str, Any], name: str = "room", token: str | None = None
    ) -> list[int]:
        """Join with bindings, wait until changes flow, and return the ids."""
        answer = await self.join(name, token=token, postgres_changes=list(bindings))
        assert answer["status"] == "ok", answer
        system = await self.event("system")
        assert system["payload"]["status"] == "ok", system
        return [entry["id"] for entry in answer["response"]["postgres_changes"]]

    async def change(self) -> dict[str, Any]:
        """Return the payload's data of the next change."""
        frame = await self.event("postgres_changes")
        return frame["payload"]["data"]

    async def changes(self, count: int) -> list[dict[str, Any]]:
        return [await self.change() for _ in range(count)]


def every(table: str, **options: Any) -> dict[str, Any]:
    return {"event": "*", "schema": "public", "table": table} | options


async def add_project(via: Any, user: UUID, name: str = "First") -> UUID:
    project = uuid4()
    await via.execute(
        "insert into public.projects (id, user_id, name) values ($1, $2, $3)", project, user, name
    )
    return project


async def comes_true(question: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the question is answered with yes."""
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        while not await question():
            await asyncio.sleep(0.01)


async def is_quiet(talker: Talker) -> bool:
    """Whether nothing was told before the answer to what is asked now."""
    talker.seen.clear()
    await talker.reply(await talker.send("phoenix", "heartbeat", {}))
    return talker.seen == []
