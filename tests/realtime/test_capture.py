"""Does every committed change arrive, once and in order, whatever happens to Postgres?"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from realtime_site import Site, Talker, add_project, comes_true, every, open_site

from tintype import database
from tintype.auth import KeySet
from tintype.database import EmbeddedPostgres, start_embedded
from tintype.realtime.replication import Stream

Admin = "asyncpg.Connection[asyncpg.Record]"
SLOTS = "select slot_name::text from pg_replication_slots where database = current_database()"


async def slots(admin: Any) -> list[str]:
    return [row["slot_name"] for row in await admin.fetch(SLOTS)]


async def test_2000_changes_of_four_connections_arrive_once_and_in_commit_order(
    site: Site, admin: Admin, database_url: str, ada: UUID
) -> None:
    await admin.execute(
        """
        create table public.events (
          id integer primary key, writer integer, number integer, transaction xid8
        );
        create table public.order_of_commits (id integer primary key);
        grant select on public.events to anon;
        alter publication supabase_realtime add table public.events;
        """
    )
    # What a second slot says is the order of the commits.
    await admin.execute(
        "select pg_create_logical_replication_slot('witness_' || $1, 'pgoutput')".replace(
            "$1", f"'{uuid4().hex[:8]}'"
        )
    )
    talker = await site.connect()
    await talker.subscribe(every("events"))
    ids = itertools.count(1)

    async def write(writer: int) -> None:
        connection = await asyncpg.connect(database_url)
        for number in range(0, 500, 5):
            async with connection.transaction():
                for step in range(5):
                    await connection.execute(
                        "insert into public.events values ($1, $2, $3, pg_current_xact_id())",
                        next(ids),
                        writer,
                        number + step,
                    )
        await connection.close()

    await asyncio.gather(*(write(writer) for writer in range(4)))
    heard = [change["record"] for change in await talker.changes(2000)]
    assert len({row["id"] for row in heard}) == 2000
    assert [row["id"] for row in heard] == await witnessed(admin)
    for writer in range(4):
        numbers = [row["number"] for row in heard if row["writer"] == writer]
        assert numbers == list(range(500))


async def witnessed(admin: Any) -> list[int]:
    """Return the ids of `events` as the other slot has them, and drop that slot."""
    slot = next(name for name in await slots(admin) if name.startswith("witness_"))
    rows = await admin.fetch(
        "select data from pg_logical_slot_get_binary_changes($1, null, null,"
        " 'proto_version', '1', 'publication_names', 'supabase_realtime')",
        slot,
    )
    await admin.execute("select pg_drop_replication_slot($1)", slot)
    inserts = [bytes(row["data"]) for row in rows if row["data"][:1] == b"I"]
    found = []
    for data in inserts:
        length = int.from_bytes(data[9:13], "big")
        found.append(int(data[13 : 13 + length]))
    return found


async def test_none_is_lost_when_the_walsender_is_terminated_again_and_again(
    site: Site, admin: Admin, database_url: str, ada: UUID
) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    count, done = 300, asyncio.Event()

    async def write() -> None:
        connection = await asyncpg.connect(database_url)
        for number in range(count):
            await add_project(connection, ada, str(number))
        await connection.close()
        done.set()

    async def terminate() -> int:
        terminated = 0
        while not done.is_set() or terminated < 3:
            terminated += len(
                await admin.fetch(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots"
                    " where database = current_database() and active_pid is not null"
                )
            )
            await asyncio.sleep(0.05)
        return terminated

    _, terminated = await asyncio.gather(write(), terminate())
    heard = [change["record"]["name"] for change in await talker.changes(count)]
    assert heard == [str(number) for number in range(count)] and terminated >= 3
    await add_project(admin, ada, "last")
    assert (await talker.change())["record"]["name"] == "last", "nothing came twice"


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = start_embedded(tmp_path / "postgres", settings={"fsync": "off"})
    yield server
    server.stop()


@pytest.mark.parametrize("signal", ["INT", "QUIT", "KILL"])
async def test_none_is_lost_when_postgres_itself_restarts(
    embedded: EmbeddedPostgres, keys: KeySet, ada: UUID, signal: str
) -> None:
    await database.migrate(embedded.url)
    async with open_site(embedded.url, keys) as site:
        talker = await site.connect()
        await talker.subscribe(every("projects"), token=site.token(ada))
        names = []
        for round_ in range(2):
            admin = await asyncpg.connect(embedded.url)
            for number in range(50):
                names.append(f"{round_}-{number}")
                await add_project(admin, ada, names[-1])
            process = await asyncio.create_subprocess_exec("kill", f"-{signal}", str(embedded.pid))
            await process.wait()
            admin.terminate()
            await comes_true(gone(embedded))
            await asyncio.to_thread(embedded.revive)
        admin = await asyncpg.connect(embedded.url)
        await add_project(admin, ada, "last")
        await admin.close()
        heard = [change["record"]["name"] for change in await talker.changes(101)]
        assert heard == [*names, "last"]
        assert not [frame for frame in talker.seen if frame["event"] == "phx_error"]


def gone(server: EmbeddedPostgres) -> Any:
    async def is_gone() -> bool:
        return not server.running

    return is_gone


async def test_a_lost_slot_is_told_and_the_channel_can_be_joined_again(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    [slot] = await slots(admin)

    async def dropped() -> bool:
        try:
            await admin.execute(
                "select pg_terminate_backend(active_pid) from pg_replication_slots"
                " where slot_name = $1 and active_pid is not null",
                slot,
            )
            await admin.execute("select pg_drop_replication_slot($1)", slot)
        except asyncpg.ObjectInUseError:
            return False
        return True

    await comes_true(dropped)
    system = await talker.event("system")
    assert system["payload"]["status"] == "error"
    assert "slot was lost" in system["payload"]["message"]
    await talker.event("phx_error")
    await talker.subscribe(every("projects"), token=site.token(ada))
    await add_project(admin, ada)
    assert (await talker.change())["record"]["name"] == "First"
    assert await slots(admin) != [slot]


async def test_a_slot_whose_log_postgres_has_thrown_away_is_told(
    tmp_path: Path, keys: KeySet, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await asyncio.to_thread(
        start_embedded,
        tmp_path / "postgres",
        settings={"fsync": "off", "max_slot_wal_keep_size": "16MB", "min_wal_size": "32MB"},
    )
    try:
        await database.migrate(server.url)
        may_go_on = asyncio.Event()
        async with open_site(server.url, keys) as site:
            talker = await site.connect()
            await talker.subscribe(every("projects"), token=site.token(ada))
            read = Stream.read

            async def read_late(stream: Stream) -> list[bytes]:
                messages = await read(stream)
                await may_go_on.wait()
                return messages

            monkeypatch.setattr(Stream, "read", read_late)
            admin = await asyncpg.connect(server.url)

            async def is_gone() -> bool:
                await add_project(admin, ada)
                await admin.execute("select pg_switch_wal()")
                await admin.execute("checkpoint")
                status = await admin.fetchval("select wal_status from pg_replication_slots")
                return bool(status == "lost")

            await comes_true(is_gone)
            may_go_on.set()
            system = await talker.event("system")
            assert "slot was lost" in system["payload"]["message"]
            await talker.event("phx_error")
            await talker.subscribe(every("projects"), token=site.token(ada))
            await add_project(admin, ada, "again")
            assert (await talker.change())["record"]["name"] == "again"
            await admin.close()
    finally:
        await asyncio.to_thread(server.stop)


async def test_there_is_a_slot_only_while_somebody_is_on_a_channel(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    await talker.reply(await talker.send("phoenix", "heartbeat", {}))
    assert await slots(admin) == []
    await talker.subscribe(every("projects"), token=site.token(ada))
    assert await slots(admin) == [site.realtime.slot]
    await talker.reply(await talker.send("realtime:room", "phx_leave", {}))

    async def is_gone() -> bool:
        left = await admin.fetchval("select count(*) from tintype.captures")
        return await slots(admin) == [] and left == 0

    await comes_true(is_gone)
    await talker.subscribe(every("projects"), token=site.token(ada))
    await add_project(admin, ada)
    assert (await talker.change())["type"] == "INSERT"


async def test_a_disconnected_client_holds_no_slot(site: Site, admin: Admin, ada: UUID) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    talker.connection.transport.abort()

    async def is_gone() -> bool:
        return await slots(admin) == []

    await comes_true(is_gone)


async def test_two_servers_on_one_database_each_hear_everything(
    database_url: str, keys: KeySet, admin: Admin, ada: UUID
) -> None:
    async with AsyncExitStack() as stack:
        talkers: list[Talker] = []
        for _ in range(2):
            site = await stack.enter_async_context(open_site(database_url, keys))
            talkers.append(await site.connect())
            await talkers[-1].subscribe(every("projects"), token=keys.mint(ada))
        assert len(await slots(admin)) == 2
        for number in range(20):
            await add_project(admin, ada, str(number))
        for talker in talkers:
            heard = [change["record"]["name"] for change in await talker.changes(20)]
            assert heard == [str(number) for number in range(20)]
    assert await slots(admin) == []


async def test_the_slot_of_a_crashed_server_is_dropped_and_that_of_a_live_one_is_not(
    site: Site, admin: Admin, ada: UUID
) -> None:
    for name, age in (("tintype_crashed", "1 hour"), ("tintype_live", "0 s")):
        await admin.execute(f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")
        await admin.execute(
            f"insert into tintype.captures values ('{name}', now() - interval '{age}')"
        )
    await admin.execute("select pg_create_logical_replication_slot('others', 'pgoutput')")
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    left = set(await slots(admin))
    assert left == {"tintype_live", "others", site.realtime.slot}
    for name in ("tintype_live", "others"):
        await admin.execute("select pg_drop_replication_slot($1)", name)


async def test_a_table_that_joins_the_publication_later_is_heard_of(
    site: Site, admin: Admin
) -> None:
    await admin.execute(
        "create table public.later (id integer primary key);grant select on public.later to anon"
    )
    talker = await site.connect()
    await talker.join(postgres_changes=[every("later")])
    assert (await talker.event("system"))["payload"]["status"] == "error"
    await admin.execute("alter publication supabase_realtime add table public.later")
    await talker.subscribe(every("later"))
    await admin.execute("insert into public.later values (1)")
    assert (await talker.change())["record"] == {"id": 1}
    await admin.execute("alter table public.later add column more text default 'x'")
    await admin.execute("insert into public.later values (2)")
    assert (await talker.change())["record"] == {"id": 2, "more": "x"}


async def test_a_row_is_asked_about_only_when_its_commit_can_be_seen(
    admin: Admin, pool: database.Pool, database_url: str
) -> None:
    writer = await asyncpg.connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    xid = int(await writer.fetchval("select pg_current_xact_id()::text")) % 2**32
    waiting = asyncio.create_task(pool.execute("select tintype.await_commits($1)", [xid]))

    async def waits() -> bool:
        return bool(
            await admin.fetchval(
                "select exists (select from pg_stat_activity where wait_event = 'PgSleep'"
                " and datname = current_database())"
            )
        )

    await comes_true(waits)
    assert not waiting.done()
    await transaction.commit()
    async with asyncio.timeout(60):
        await waiting
    await writer.close()
