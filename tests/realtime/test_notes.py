"""Is the same promised where the log may not be read?"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest
from realtime_site import Site, Talker, add_project, comes_true, every, is_quiet, open_site

from support import kernel
from tintype import database
from tintype.auth import KeySet
from tintype.database import start_embedded

Admin = "asyncpg.Connection[asyncpg.Record]"
TRIGGERS = "select count(*) from pg_trigger where tgname = 'tintype_notes'"
NOTES = "select count(*) from tintype.changes"
READERS = "select count(*) from tintype.captures"


@pytest.fixture
async def weak(weak_url: str, keys: KeySet) -> AsyncIterator[Site]:
    async with open_site(weak_url, keys) as site:
        yield site


async def is_left_alone(admin: Any) -> bool:
    """Whether nothing of the notes is in the database."""
    return [await admin.fetchval(query) for query in (TRIGGERS, NOTES, READERS)] == [0, 0, 0]


async def terminate_readers(admin: Any) -> int:
    found = await admin.fetch(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and usename like 'weak%'"
    )
    return len(found)


async def test_changes_come_as_they_do_from_the_log(
    weak: Site, admin: Any, ada: UUID, bob: UUID
) -> None:
    hers, his = await weak.connect(), await weak.connect()
    await hers.subscribe(every("projects"), token=weak.token(ada))
    await his.subscribe(every("projects"), token=weak.token(bob))
    assert (
        await admin.fetchval(
            "select count(*) from pg_replication_slots where database = current_database()"
        )
        == 0
    )
    await admin.execute("set timezone = 'Asia/Tokyo'; set datestyle = 'SQL'")
    project = await add_project(admin, ada)
    stored = await weak.pool.fetchval(
        "select to_jsonb(p)::text from public.projects as p where id = $1", project
    )
    inserted = await hers.change()
    assert inserted["record"] == json.loads(stored) and "old_record" not in inserted
    assert inserted["errors"] is None and inserted["commit_timestamp"].endswith("Z")
    await admin.execute("update public.projects set name = 'Second'")
    updated = await hers.change()
    assert (updated["type"], updated["record"]["name"]) == ("UPDATE", "Second")
    assert updated["old_record"] == {"id": str(project)}
    await admin.execute("delete from public.projects")
    deleted = await hers.change()
    assert (deleted["type"], deleted["old_record"]) == ("DELETE", {"id": str(project)})
    assert "record" not in deleted
    assert (await his.change())["type"] == "DELETE", "all that he hears of hers is the key"


async def test_every_type_is_written_as_to_jsonb_writes_it(weak: Site, admin: Any) -> None:
    await admin.execute(
        """
        create table public.kinds (
          id bigint primary key, b real, c double precision, d numeric, e boolean, g jsonb,
          h text, m timestamp, n timestamptz, o bytea, q text[], w interval,
          twice bigint generated always as (id * 2) stored
        );
        grant select on public.kinds to service_role;
        alter publication supabase_realtime add table public.kinds;
        """
    )
    talker = await weak.connect()
    await talker.subscribe(every("kinds"), token=weak.keys.service_role_key)
    await admin.execute(
        "insert into public.kinds values (9007199254740993, 1.1, 0.1, 12345678901234567890.10,"
        " true, '{\"b\": 1.50}', E'a \"q\" \\n é', '2026-01-02 03:04:05.6',"
        " '2026-01-02 03:04:05.678901+02', '\\x00ff', array['a,b', null], '1 day 02:00')"
    )
    data = await talker.change()
    stored = await weak.pool.fetchval("select to_jsonb(k)::text from public.kinds as k")
    assert data["record"] == json.loads(stored)


async def test_views_filters_and_balances_work_as_from_the_log(
    weak: Site, admin: Any, pool: database.Pool, ada: UUID
) -> None:
    talker = await weak.connect()
    await talker.subscribe(
        every("generation_jobs", filter=f"user_id=eq.{ada}"),
        every("credit_accounts"),
        token=weak.token(ada),
    )
    await kernel.grant(pool, ada, 5)
    [job] = await kernel.accepted(pool, kernel.submission(ada))
    balances, heard = [], await talker.change()
    while heard["table"] != "generation_jobs":
        balances.append(heard["record"]["available"])
        heard = await talker.change()
    assert (heard["record"]["id"], heard["record"]["status"]) == (str(job), "pending")
    assert balances[-2:] == [5, 4]


async def test_a_table_that_shows_whole_rows_shows_them_here_too(weak: Site, admin: Any) -> None:
    await admin.execute(
        "create table public.open (id integer primary key, name text);"
        "alter table public.open replica identity full;"
        "grant select on public.open to anon;"
        "alter publication supabase_realtime add table public.open;"
        "insert into public.open values (1, 'a')"
    )
    talker = await weak.connect()
    await talker.subscribe(every("open"))
    await admin.execute("update public.open set id = 2")
    data = await talker.change()
    assert (data["record"], data["old_record"]) == (
        {"id": 2, "name": "a"},
        {"id": 1, "name": "a"},
    )
    await admin.execute("delete from public.open")
    assert (await talker.change())["old_record"] == {"id": 2, "name": "a"}


async def test_none_is_lost_and_none_comes_twice_when_connections_are_terminated(
    weak: Site, admin: Any, database_url: str, ada: UUID
) -> None:
    talker = await weak.connect()
    await talker.subscribe(every("projects"), token=weak.token(ada))
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
            terminated += await terminate_readers(admin)
            await asyncio.sleep(0.05)
        return terminated

    await asyncio.gather(write(), terminate())
    heard = [change["record"]["name"] for change in await talker.changes(count)]
    assert heard == [str(number) for number in range(count)]
    await add_project(admin, ada, "last")
    assert (await talker.change())["record"]["name"] == "last", "nothing came twice"


async def test_none_is_lost_when_postgres_is_killed(
    tmp_path: Path, keys: KeySet, ada: UUID
) -> None:
    server = await asyncio.to_thread(start_embedded, tmp_path / "postgres")
    try:
        await database.migrate(server.url)
        admin = await asyncpg.connect(server.url)
        await admin.execute(
            "create role weak login password 'weak' in role service_role; grant anon to weak"
        )
        await admin.close()
        parts = urlsplit(server.url)
        weak_url = parts._replace(netloc=f"weak:weak@{parts.netloc.rpartition('@')[2]}").geturl()
        async with open_site(weak_url, keys) as site:
            talker = await site.connect()
            await talker.subscribe(every("projects"), token=site.keys.service_role_key)
            admin = await asyncpg.connect(server.url)
            for number in range(50):
                await add_project(admin, ada, str(number))
            process = await asyncio.create_subprocess_exec("kill", "-KILL", str(server.pid))
            await process.wait()
            admin.terminate()

            async def is_gone() -> bool:
                return not server.running

            await comes_true(is_gone)
            await asyncio.to_thread(server.revive)
            admin = await asyncpg.connect(server.url)
            await add_project(admin, ada, "last")
            await admin.close()
            heard = [change["record"]["name"] for change in await talker.changes(51)]
            assert heard == [*map(str, range(50)), "last"]
            assert not [frame for frame in talker.seen if frame["event"] == "phx_error"]
    finally:
        await asyncio.to_thread(server.stop)


async def test_2000_changes_of_four_connections_arrive_once_and_each_transaction_in_one_piece(
    weak: Site, admin: Any, database_url: str
) -> None:
    await admin.execute(
        "create table public.events (id integer primary key, writer integer, transaction xid8);"
        "grant select on public.events to anon;"
        "alter publication supabase_realtime add table public.events"
    )
    talker = await weak.connect()
    await talker.subscribe(every("events"))
    ids = itertools.count(1)

    async def write(writer: int) -> list[int]:
        written = []
        connection = await asyncpg.connect(database_url)
        for _ in range(100):
            async with connection.transaction():
                for _ in range(5):
                    written.append(next(ids))
                    await connection.execute(
                        "insert into public.events values ($1, $2, pg_current_xact_id())",
                        written[-1],
                        writer,
                    )
        await connection.close()
        return written

    written = await asyncio.gather(*(write(writer) for writer in range(4)))
    heard = [change["record"] for change in await talker.changes(2000)]
    assert len({row["id"] for row in heard}) == 2000
    pieces = [key for key, _ in itertools.groupby(heard, key=lambda row: row["transaction"])]
    assert len(pieces) == len(set(pieces)) == 400
    for writer in range(4):
        assert [row["id"] for row in heard if row["writer"] == writer] == written[writer]


async def test_the_changes_of_one_row_come_as_they_were_made_whichever_transaction_began_first(
    weak: Site, admin: Any, database_url: str, ada: UUID
) -> None:
    talker = await weak.connect()
    await talker.subscribe(every("projects"), token=weak.token(ada))
    project = await add_project(admin, ada, "0")
    early = await asyncpg.connect(database_url)
    transaction = early.transaction()
    await transaction.start()
    await early.execute("select pg_current_xact_id()")
    rename = "update public.projects set name = $2 where id = $1"
    await admin.execute(rename, project, "1")
    await early.execute(rename, project, "2")
    await transaction.commit()
    await early.close()
    await admin.execute(rename, project, "3")
    assert [one["record"]["name"] for one in await talker.changes(4)] == ["0", "1", "2", "3"]


async def test_a_long_transaction_holds_back_and_loses_nothing(
    weak: Site, admin: Any, database_url: str, ada: UUID
) -> None:
    talker = await weak.connect()
    await talker.subscribe(every("projects"), token=weak.token(ada))
    other = await asyncpg.connect(database_url)
    async with admin.transaction():
        await add_project(admin, ada, "long")
        await add_project(other, ada, "short")
        assert await is_quiet(talker)
    await add_project(other, ada, "after")
    await other.close()
    assert [one["record"]["name"] for one in await talker.changes(3)] == ["long", "short", "after"]


async def test_changes_are_noted_only_while_somebody_listens(
    weak: Site, admin: Any, ada: UUID
) -> None:
    talker = await weak.connect()
    assert await is_left_alone(admin)
    await talker.join("chat", broadcast={"replication_ready": True})
    assert await admin.fetchval(TRIGGERS) == 1, "a chat needs no notes of the tables"
    await add_project(admin, ada)
    assert await admin.fetchval(NOTES) == 0
    await talker.subscribe(every("projects"), token=weak.token(ada))
    await add_project(admin, ada)
    await talker.change()

    async def is_removed() -> bool:
        return await admin.fetchval(NOTES) == 0

    await comes_true(is_removed)
    for name in ("chat", "room"):
        await talker.reply(await talker.send(f"realtime:{name}", "phx_leave", {}))

    async def is_over() -> bool:
        return await is_left_alone(admin)

    await comes_true(is_over)
    await talker.subscribe(every("projects"), token=weak.token(ada))
    await add_project(admin, ada)
    assert (await talker.change())["type"] == "INSERT"


async def test_two_servers_each_hear_everything_and_the_last_cleans_up(
    weak_url: str, keys: KeySet, admin: Any, ada: UUID
) -> None:
    async with open_site(weak_url, keys) as first:
        hers = await first.connect()
        await hers.subscribe(every("projects"), token=keys.mint(ada))
        async with open_site(weak_url, keys) as second:
            his = await second.connect()
            await his.subscribe(every("projects"), token=keys.mint(ada))
            for number in range(20):
                await add_project(admin, ada, str(number))
            for talker in (hers, his):
                heard = [change["record"]["name"] for change in await talker.changes(20)]
                assert heard == [str(number) for number in range(20)]
        assert await admin.fetchval(TRIGGERS) > 1
        await add_project(admin, ada, "last")
        assert (await hers.change())["record"]["name"] == "last"
    assert await is_left_alone(admin)


async def test_what_a_crashed_server_left_is_removed_at_the_next_start(
    weak_url: str, keys: KeySet, admin: Any, ada: UUID
) -> None:
    await admin.execute(
        "insert into tintype.captures values ('tintype_notes_x', now() - interval '1 hour', '0');"
        "select tintype.note_table('public.projects', false)"
    )
    await add_project(admin, ada)
    assert await admin.fetchval(NOTES) == 1

    async def is_over() -> bool:
        return await is_left_alone(admin)

    async with open_site(weak_url, keys):
        await comes_true(is_over)


async def told_of_a_loss(talker: Talker) -> str:
    system = await talker.event("system")
    assert system["payload"]["status"] == "error"
    await talker.event("phx_error")
    return str(system["payload"]["message"])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        # As an upgrade does, which replaces the functions.
        ("drop function tintype.note_change() cascade", "were gone"),
        (
            "drop trigger tintype_notes on public.projects;"
            "select tintype.note_table('public.projects', false)",
            "were gone",
        ),
        ("delete from tintype.captures", "not heard of"),
    ],
)
async def test_where_changes_may_be_missing_it_is_said_and_the_channel_can_be_joined_again(
    weak: Site, admin: Any, ada: UUID, trouble: str, reason: str
) -> None:
    definition = await admin.fetchval("select pg_get_functiondef('tintype.note_change'::regproc)")
    talker = await weak.connect()
    await talker.subscribe(every("projects"), token=weak.token(ada))
    await admin.execute(trouble)
    await admin.execute(definition)
    assert reason in await told_of_a_loss(talker)
    await talker.subscribe(every("projects"), token=weak.token(ada))
    await add_project(admin, ada)
    assert (await talker.change())["record"]["name"] == "First"


async def test_a_table_that_joins_the_publication_later_is_heard_of(weak: Site, admin: Any) -> None:
    talker = await weak.connect()
    await talker.subscribe(every("projects"), token=weak.keys.service_role_key)
    await admin.execute(
        "create table public.later (id integer primary key);grant select on public.later to anon;"
        "alter publication supabase_realtime add table public.later"
    )
    await talker.subscribe(every("later"), name="later")
    await admin.execute("insert into public.later values (1)")
    assert (await talker.change())["record"] == {"id": 1}
    await admin.execute("drop table public.later")
    await talker.reply(await talker.send("phoenix", "heartbeat", {}))
    assert not [frame for frame in talker.seen if frame["event"] == "phx_error"]


async def test_the_database_broadcasts_here_too(weak: Site, admin: Any) -> None:
    talker = await weak.connect()
    await talker.join(broadcast={"replication_ready": True})
    await admin.execute("select realtime.send('{\"n\": 1}', 'e', 'room', false)")
    assert (await talker.event("broadcast"))["payload"]["payload"]["n"] == 1


async def test_a_busy_table_is_waited_for_and_its_writers_are_not_stopped(
    weak: Site, admin: Any, database_url: str, ada: UUID
) -> None:
    talker = await weak.connect()
    transaction = admin.transaction()
    await transaction.start()
    await add_project(admin, ada, "before")
    joining = asyncio.create_task(
        talker.subscribe(every("projects"), token=weak.keys.service_role_key)
    )
    async with AsyncExitStack() as stack:
        other = await asyncpg.connect(database_url)
        stack.push_async_callback(other.close)
        for number in range(5):
            await add_project(other, ada, str(number))
        assert not joining.done()
        await transaction.commit()
        await joining
        await add_project(other, ada, "after")
    heard = [(await talker.change())["record"]["name"]]
    assert heard == ["after"]
