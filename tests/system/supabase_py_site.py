"""supabase-py as PyPI has it, and the little that an app builds around it.

The clients are never changed and nothing of theirs is replaced. `Stream` is what supabase_flutter
has and supabase-py has not: `.from(table).stream(primaryKey: […]).eq(…)`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from realtime import AsyncRealtimeChannel, RealtimeSubscribeStates
from realtime.types import RealtimePostgresChangesListenEvent as Listen
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from tests.support.product import Product
from tintype import credits

PASSWORD = "correct horse"
NEWS_SECONDS_MAX = 100
SUBSCRIBED = RealtimeSubscribeStates.SUBSCRIBED


class Ear:
    """What a callback was called with, in order."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, *said: Any) -> None:
        self.heard.append(said[0] if len(said) == 1 else said)
        self._news.set()

    async def until(self, enough: Callable[[list[Any]], object]) -> list[Any]:
        """Return what was heard once it is enough."""
        async with asyncio.timeout(NEWS_SECONDS_MAX):
            while not enough(self.heard):
                self._news.clear()
                await self._news.wait()
        return self.heard


class Changes(Ear):
    """The changes of a table, as an app with a callback hears of them."""

    @property
    def records(self) -> list[dict[str, Any]]:
        return [change["data"].get("record") or {} for change in self.heard]

    def of(self, key: str, value: Any) -> list[dict[str, Any]]:
        """Return the records whose column `key` is `value`."""
        return [record for record in self.records if record.get(key) == value]

    async def until_one(self, **fields: Any) -> dict[str, Any]:
        """Return the first record with these fields."""
        found: list[dict[str, Any]] = []

        def is_there(_: list[Any]) -> bool:
            found[:] = [r for r in self.records if fields.items() <= r.items()]
            return bool(found)

        await self.until(is_there)
        return found[0]


class App(msgspec.Struct):
    """A client with a session of its own, or none."""

    client: AsyncClient
    product: Product

    async def user_id(self) -> str:
        found = await self.client.auth.get_user()
        assert found is not None
        return found.user.id

    async def watch(self, table: str, event: Listen = Listen.All, **options: Any) -> Changes:
        """Return the changes of a table from now on; the options are the client's."""
        changes, states = Changes(), Ear()
        channel = self.client.channel(f"watch-{uuid4().hex[:8]}")
        channel.on_postgres_changes(event, changes, table=table, schema="public", **options)
        await channel.subscribe(states)
        assert states.heard == [(SUBSCRIBED, None)]
        return changes

    async def generate(self, **body: Any) -> dict[str, Any]:
        """Invoke `generate-image` and return its answer."""
        answer = await self.client.functions.invoke(
            "generate-image", {"body": {"prompt": "a robot"} | body, "responseType": "json"}
        )
        assert isinstance(answer, dict)
        return answer

    async def project(self, name: str = "Robots") -> str:
        """Make a project and return its id."""
        row = {"user_id": await self.user_id(), "name": name}
        made = (await self.client.table("projects").insert(row).execute()).data[0]
        return str(made["id"])

    async def credits(self) -> tuple[int, int]:
        """Return settled and available credits, as the app reads them."""
        found = await self.client.table("credit_accounts").select("*").single().execute()
        return found.data["balance"], found.data["available"]


class Apps:
    """Opens clients and closes them."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._opened: list[AsyncClient] = []

    async def open(self, key: str | None = None, *, url: str | None = None) -> App:
        """Return a client without a session, with the anon key unless another is given."""
        # The timer that refreshes a session would outlive the test.
        options = AsyncClientOptions(auto_refresh_token=False)
        client = await acreate_client(
            url or self._product.url, key or self._product.keys.anon_key, options
        )
        self._opened.append(client)
        return App(client, self._product)

    async def sign_up(self, amount: int = 20, *, url: str | None = None) -> App:
        """Return the client of a new user with `amount` credits."""
        app = await self.open(url=url)
        email = f"{uuid4().hex[:12]}@example.com"
        made = await app.client.auth.sign_up({"email": email, "password": PASSWORD})
        assert made.session is not None and made.user is not None
        if amount:
            await credits.grant(self._product.pool, made.user.id, amount)
        return app

    async def service(self) -> App:
        """Return the client that an operator's script has."""
        return await self.open(self._product.keys.service_role_key)

    async def close(self) -> None:
        for client in self._opened:
            await client.realtime.close()


# supabase_flutter numbers its streams: `schema:table:number`.
NUMBERS = itertools.count(1)


class Stream:
    """The rows of a table that fit, kept up to date; `emitted` is what the app has been given.

    As supabase_flutter's `SupabaseStreamBuilder` does it: the channel is subscribed, the rows are
    selected, and neither waits for the other. What is selected replaces all rows; a change replaces
    the row with its key, or adds it. Every later subscription selects again. `selects` holds the
    first selection up until it is set.
    """

    def __init__(
        self, app: App, table: str, *, selects: asyncio.Event | None = None, **equal: Any
    ) -> None:
        self.emitted: list[list[dict[str, Any]]] = []
        self.errors: list[object] = []
        self.subscribed = asyncio.Event()
        self._client = app.client
        self._table, self._equal, self._selects = table, equal, selects
        self._rows: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._channel: AsyncRealtimeChannel | None = None

    async def __aenter__(self) -> "Stream":
        """Listen."""
        filters = ",".join(f"{column}=eq.{value}" for column, value in self._equal.items())
        self._channel = self._client.channel(f"public:{self._table}:{next(NUMBERS)}")
        self._channel.on_postgres_changes(
            Listen.All, self._change, table=self._table, schema="public", filter=filters or None
        )
        self._start(self._channel.subscribe(self._status))
        self._start(self._select())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._channel is not None
        for task in self._tasks:
            task.cancel()
        await self._channel.unsubscribe()

    async def until(self, enough: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
        """Return the rows of the first event that is enough."""
        seen = 0
        async with asyncio.timeout(NEWS_SECONDS_MAX):
            while True:
                for rows in self.emitted[seen:]:
                    if enough(rows):
                        return rows
                seen = len(self.emitted)
                self._news.clear()
                await self._news.wait()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _change(self, payload: Any) -> None:
        change = payload["data"]
        is_deletion = change["type"] == Listen.Delete
        row = change["old_record"] if is_deletion else change["record"]
        place = next(
            (number for number, known in enumerate(self._rows) if known["id"] == row["id"]), None
        )
        if not is_deletion and place is None:
            self._rows.append(row)
        elif not is_deletion:
            self._rows[place] = row
        elif place is not None:
            del self._rows[place]
        else:
            return
        self._emit()

    def _status(self, status: RealtimeSubscribeStates, error: Exception | None) -> None:
        if status is SUBSCRIBED and self.subscribed.is_set():
            self._start(self._select())
        elif status is SUBSCRIBED:
            self.subscribed.set()
        elif status is not RealtimeSubscribeStates.CLOSED:
            self.errors.append((status, error))

    async def _select(self) -> None:
        if self._selects is not None:
            await self._selects.wait()
        query = self._client.table(self._table).select("*")
        for column, value in self._equal.items():
            query = query.eq(column, value)
        self._rows = list((await query.execute()).data)
        self._emit()

    def _emit(self) -> None:
        self.emitted.append(list(self._rows))
        self._news.set()


class Relay:
    """A connection to the server that can be cut, as a phone's is."""

    def __init__(self, url: str) -> None:
        self.url = ""
        self._to = urlsplit(url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        """Break every connection. New ones come through when it is mended."""
        self.hold()
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Let what is connected go on, and nothing new through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self._whole.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        ahead, onward = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._writers |= {writer, onward}
        try:
            await asyncio.gather(_pass(reader, onward), _pass(ahead, writer))
        finally:
            self._writers -= {writer, onward}


@asynccontextmanager
async def relayed(url: str) -> AsyncIterator[Relay]:
    """Yield a relay to `url`."""
    relay = Relay(url)
    async with AsyncExitStack() as stack:
        server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
        stack.callback(relay.cut)
        stack.callback(server.close)
        host, port = server.sockets[0].getsockname()[:2]
        relay.url = f"http://{host}:{port}"
        yield relay


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
