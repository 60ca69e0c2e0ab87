"""Does Supabase's own Python client, unmodified, get what it expects?"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from realtime import AsyncRealtimeClient, RealtimeSubscribeStates
from realtime.types import RealtimePostgresChangesListenEvent as Listen
from realtime_site import Site, add_project
from supabase import AsyncClient, acreate_client

Admin = "asyncpg.Connection[asyncpg.Record]"
# supabase-py hands its own options to its parts in a way that these call old.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")


class Ear:
    """Collects what callbacks are called with."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, *said: Any) -> None:
        self.heard.append(said[0] if len(said) == 1 else said)
        self._news.set()

    async def until(self, count: int) -> list[Any]:
        async with asyncio.timeout(60):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard


@pytest.fixture
async def client(site: Site, ada: UUID) -> AsyncIterator[AsyncClient]:
    client = await acreate_client(site.url, site.keys.anon_key)
    await client.realtime.set_auth(site.token(ada))
    yield client
    await client.realtime.close()


async def subscribed(channel: Any) -> None:
    states = Ear()
    await channel.subscribe(states)
    [(state, error)] = await states.until(1)
    assert (state, error) == (RealtimeSubscribeStates.SUBSCRIBED, None)


async def test_changes_reach_the_callbacks_of_their_events(
    site: Site, client: AsyncClient, admin: Admin, ada: UUID, bob: UUID
) -> None:
    everything, updates, system = Ear(), Ear(), Ear()
    channel = client.channel("changes")
    channel.on_postgres_changes(
        Listen.All, everything, table="projects", filter=f"user_id=eq.{ada}"
    )
    channel.on_postgres_changes(Listen.Update, updates, table="projects", schema="public")
    channel.on_system(system)
    await subscribed(channel)
    [told] = await system.until(1)
    assert told.message == "Subscribed to PostgreSQL"
    await add_project(admin, bob, "his")
    project = await add_project(admin, ada, "hers")
    first = (await everything.until(1))[0]
    assert first["data"]["record"]["name"] == "hers"
    await admin.execute("update public.projects set name = 'new'")
    assert (await everything.until(2))[1]["data"]["record"]["name"] == "new"
    assert (await updates.until(1))[0]["data"]["old_record"] == {"id": str(project)}
    await client.remove_channel(channel)


async def test_select_after_subscribed_and_then_the_changes_leave_no_gap(
    site: Site, client: AsyncClient, admin: Admin, ada: UUID
) -> None:
    stop = asyncio.Event()
    written: list[str] = []

    async def write() -> None:
        while not stop.is_set():
            written.append(str(await add_project(site.pool, ada)))

    writing = asyncio.create_task(write())
    changes = Ear()
    channel = client.channel("gap").on_postgres_changes(
        Listen.Insert, changes, table="projects", filter=f"user_id=eq.{ada}"
    )
    await subscribed(channel)
    rows = await admin.fetch("select id::text from public.projects")
    known = {row["id"] for row in rows}
    await changes.until(20)
    stop.set()
    await writing
    async with asyncio.timeout(60):
        while known | {c["data"]["record"]["id"] for c in changes.heard} != set(written):
            await asyncio.sleep(0.01)
    ids = [change["data"]["record"]["id"] for change in changes.heard]
    assert len(ids) == len(set(ids))


async def test_broadcasts_and_their_http_form_arrive(
    site: Site, client: AsyncClient, ada: UUID
) -> None:
    other = AsyncRealtimeClient(f"{site.url}/realtime/v1", token=site.keys.anon_key)
    heard = Ear()
    channel = other.channel("room").on_broadcast("ping", heard)
    await subscribed(channel)
    sender = client.channel("room")
    await subscribed(sender)
    await sender.send_broadcast("ping", {"n": 1})
    await sender.http_send("ping", {"n": 2})
    assert [one["payload"] for one in await heard.until(2)] == [{"n": 1}, {"n": 2}]
    await other.close()


async def test_presence_is_kept_in_step(site: Site, client: AsyncClient) -> None:
    syncs = Ear()
    channel = client.channel("people", {"config": {"presence": {"key": "ada", "enabled": True}}})  # type: ignore[arg-type]
    channel.on_presence_sync(lambda: syncs(dict(channel.presence_state())))
    await subscribed(channel)
    await channel.track({"online": True})
    while not (syncs.heard and syncs.heard[-1]):
        await syncs.until(len(syncs.heard) + 1)
    [meta] = channel.presence_state()["ada"]
    assert meta["online"] is True and meta["presence_ref"]
    await channel.untrack()
    while channel.presence_state():
        await syncs.until(len(syncs.heard) + 1)


async def test_a_lost_slot_makes_the_client_subscribe_again_by_itself(
    site: Site, client: AsyncClient, admin: Admin, ada: UUID
) -> None:
    states, changes = Ear(), Ear()
    channel = client.channel("again").on_postgres_changes(Listen.All, changes, table="projects")
    await channel.subscribe(states)
    site.realtime._changes._lost("Changes may have been missed.")
    seen = await states.until(4)
    assert RealtimeSubscribeStates.CHANNEL_ERROR in {state for state, _ in seen}
    while states.heard[-1][0] is not RealtimeSubscribeStates.SUBSCRIBED:
        await states.until(len(states.heard) + 1)
    await add_project(admin, ada)
    await changes.until(1)


async def test_a_wrong_table_is_reported_as_a_channel_error(client: AsyncClient) -> None:
    states = Ear()
    channel = client.channel("wrong").on_postgres_changes(Listen.All, Ear(), table="nothing")
    await channel.subscribe(states)
    while states.heard[-1][0] is not RealtimeSubscribeStates.CHANNEL_ERROR:
        await states.until(len(states.heard) + 1)
    assert "Unable to subscribe" in str(states.heard[-1][1])
