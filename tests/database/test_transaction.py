"""What a transaction promises: a role and settings for its length, and a clean connection after."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tintype import database

Admin = asyncpg.Connection

WHO = """
select current_user as role, current_setting('request.jwt.claims', true) as claims,
  current_setting('app.word', true) as word, pg_backend_pid() as pid
"""


@pytest.fixture
async def lone(database_url: str) -> AsyncIterator[database.Pool]:
    """Return a pool of one connection, so that whoever comes next gets the one just used."""
    pool = await database.connect(database_url, size_max=1)
    yield pool
    await pool.close()


async def test_role_claims_and_settings_end_with_the_transaction(lone: database.Pool) -> None:
    async with database.transaction(
        lone, role="anon", claims={"sub": "x"}, settings={"app.word": "it's"}
    ) as connection:
        told = await connection.fetchrow(WHO)
    assert (told["role"], told["claims"], told["word"]) == ("anon", '{"sub":"x"}', "it's")
    async with database.transaction(lone) as connection:
        after = await connection.fetchrow(WHO)
    assert (after["role"], after["claims"] or "", after["word"] or "") == ("service_role", "", "")
    assert after["pid"] == told["pid"]


async def test_what_was_set_for_the_session_is_forgotten(lone: database.Pool) -> None:
    async with database.transaction(lone) as connection:
        await connection.execute("set session statement_timeout = 59999; listen something")
        await connection.fetch("select set_config('app.word', 'kept', false)")
        await connection.fetch("select pg_advisory_lock(7)")
    for _ in range(2):
        async with database.transaction(lone) as connection:
            assert (await connection.fetchrow(WHO))["word"] in ("", None)
            assert await connection.fetchval("show statement_timeout") != "59999ms"
            assert await connection.fetch("select pg_listening_channels()") == []
            locks = "select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
            assert await connection.fetch(locks) == []


async def test_a_read_only_transaction_changes_nothing(lone: database.Pool, admin: Admin) -> None:
    await admin.execute("create table things (id int); grant all on things to service_role")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.transaction(lone, read_only=True) as connection:
            await connection.execute("insert into things values (1)")
    async with database.transaction(lone) as connection:
        await connection.execute("insert into things values (2)")
    assert await admin.fetchval("select array_agg(id) from things") == [2]


async def test_an_error_rolls_back_and_is_told_as_it_was(lone: database.Pool, admin: Admin) -> None:
    await admin.execute(
        "create table things (id int primary key deferrable initially deferred);"
        "grant all on things to service_role"
    )
    with pytest.raises(LookupError):
        async with database.transaction(lone) as connection:
            await connection.execute("insert into things values (1)")
            raise LookupError
    # This one fails at the commit itself.
    with pytest.raises(asyncpg.UniqueViolationError):
        async with database.transaction(lone) as connection:
            await connection.execute("insert into things values (1), (1)")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as caught:
        async with database.transaction(lone) as connection:
            await connection.execute("insert into things values (1)")
            pid = await connection.fetchval("select pg_backend_pid()")
            await admin.execute("select pg_terminate_backend($1, 5000)", pid)
            await connection.execute("insert into things values (2)")
    assert database.is_passing(caught.value)
    async with database.transaction(lone) as connection:
        assert await connection.fetchval("select count(*) from things") == 0


async def test_a_caller_that_goes_away_leaves_nothing_behind(
    lone: database.Pool, admin: Admin
) -> None:
    await admin.execute("create table things (id int); grant all on things to service_role")
    waiting = asyncio.Event()

    async def work() -> None:
        async with database.transaction(lone, role="service_role") as connection:
            await connection.execute("insert into things values (1)")
            waiting.set()
            await connection.execute("select pg_sleep(60)")

    task = asyncio.create_task(work())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.transaction(lone) as connection:
        assert await connection.fetchval("select count(*) from things") == 0


async def test_only_a_callers_role_and_a_settings_name_are_taken(lone: database.Pool) -> None:
    for given in ({"role": "postgres"}, {"settings": {"a', 'b'); drop table x; --": "1"}}):
        with pytest.raises(ValueError):
            async with database.transaction(lone, **given):  # type: ignore[arg-type]
                pass
    async with database.transaction(lone) as connection:
        assert await connection.fetchval("select 1") == 1
