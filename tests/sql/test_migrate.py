"""Does a database come to this version's shape once, whole, and never by half?"""

import asyncio
import importlib
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tintype import database
from tintype.errors import OperatorError

Row = asyncpg.Record

DUMP = """
select 'function ' || p.oid::regprocedure || ' ' || pg_get_functiondef(p.oid) as text
from pg_proc as p
where p.pronamespace::regnamespace::text in ('public', 'tintype')
union all
select 'column ' || c.table_schema || '.' || c.table_name || '.' || c.column_name || ' '
  || c.data_type
from information_schema.columns as c
where c.table_schema in ('public', 'tintype', 'storage', 'auth')
union all
select 'policy ' || p.schemaname || '.' || p.tablename || ' ' || p.policyname || ' '
  || coalesce(p.qual, '')
from pg_policies as p
order by 1
"""


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    """Return the URL of a database that nobody has migrated."""
    name = f"tintype_empty_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template template0')
    yield f"{postgres_url.rsplit('/', 1)[0]}/{name}"
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the SQL folder, which `migrate` reads from now on."""
    folder = tmp_path / "sql"
    shutil.copytree(database.sql_folder(), folder)
    module = importlib.import_module("tintype.database.migrate")
    monkeypatch.setattr(module, "sql_folder", lambda: folder)
    return folder


async def dump(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [row["text"] for row in await connection.fetch(DUMP)]
    finally:
        await connection.close()


async def fetchval(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_the_first_time_applies_every_migration_in_order_and_then_the_verbs(
    empty_url: str,
) -> None:
    files = sorted((database.sql_folder() / "migrations").glob("*.sql"))
    applied = await database.migrate(empty_url)
    assert applied == [*(f"migrations/{path.name}" for path in files), "verbs"]
    names = await fetchval(
        empty_url, "select array_agg(name order by name) from tintype.migrations"
    )
    assert names == sorted(applied)


async def test_the_second_time_applies_nothing_and_changes_nothing(empty_url: str) -> None:
    await database.migrate(empty_url)
    before = await dump(empty_url)
    assert len(before) > 100
    assert await database.migrate(empty_url) == []
    assert await dump(empty_url) == before


async def test_two_processes_that_migrate_at_once_apply_everything_once(empty_url: str) -> None:
    program = (
        "import asyncio, sys; from tintype import database;"
        "print(len(asyncio.run(database.migrate(sys.argv[1]))))"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, empty_url, stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0]
    files = len(list((database.sql_folder() / "migrations").glob("*.sql")))
    assert sorted(int(output) for output, _ in outputs) == [0, files + 1]


async def test_a_migration_whose_text_changed_is_refused_and_nothing_is_applied(
    empty_url: str, texts: Path
) -> None:
    await database.migrate(empty_url)
    before = await dump(empty_url)
    migration = min((texts / "migrations").glob("*.sql"))
    migration.write_text(migration.read_text("utf-8") + "\n-- one more thought\n", "utf-8")
    (texts / "migrations" / "9999_new.sql").write_text("create table public.new ();", "utf-8")
    with pytest.raises(OperatorError) as caught:
        await database.migrate(empty_url)
    assert caught.value.code == "migration_changed"
    assert migration.name in caught.value.message
    assert await dump(empty_url) == before


async def test_a_database_of_a_newer_version_is_refused_and_left_alone(
    empty_url: str, texts: Path
) -> None:
    newer = texts / "migrations" / "9999_from_the_future.sql"
    newer.write_text("create table public.future ();", "utf-8")
    await database.migrate(empty_url)
    before = await dump(empty_url)
    newer.unlink()
    verb = texts / "verbs" / "clock.sql"
    verb.write_text(verb.read_text("utf-8") + "\n-- older\n", "utf-8")
    with pytest.raises(OperatorError) as caught:
        await database.migrate(empty_url)
    assert caught.value.code == "database_is_newer"
    assert "9999_from_the_future" in caught.value.message and caught.value.hint
    assert await dump(empty_url) == before


async def test_verbs_are_replaced_whole_when_a_text_changes(empty_url: str, texts: Path) -> None:
    await database.migrate(empty_url)
    before = await dump(empty_url)
    extra = texts / "verbs" / "extra.sql"
    extra.write_text(
        "create function tintype.extra(p_number integer) returns integer language sql"
        " set search_path = '' as $$ select p_number $$;",
        "utf-8",
    )
    assert await database.migrate(empty_url) == ["verbs"]
    assert await fetchval(empty_url, "select tintype.extra(3)") == 3

    extra.write_text(extra.read_text("utf-8").replace("integer", "bigint"), "utf-8")
    assert await database.migrate(empty_url) == ["verbs"]
    kept = await fetchval(empty_url, "select count(*) from pg_proc where proname = 'extra'")
    assert kept == 1, "the function of the old signature stayed beside the new one"

    extra.unlink()
    assert await database.migrate(empty_url) == ["verbs"]
    assert await dump(empty_url) == before


async def test_a_verb_that_does_not_parse_leaves_all_the_old_ones(
    empty_url: str, texts: Path
) -> None:
    await database.migrate(empty_url)
    before = await dump(empty_url)
    broken = texts / "verbs" / "zebra.sql"
    broken.write_text("create function tintype.zebra() returns nonsense", "utf-8")
    with pytest.raises(asyncpg.PostgresError):
        await database.migrate(empty_url)
    assert await dump(empty_url) == before
    broken.unlink()
    assert await database.migrate(empty_url) == []


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_can_be_mended(
    empty_url: str, texts: Path
) -> None:
    await database.migrate(empty_url)
    before = await dump(empty_url)
    new = texts / "migrations" / "9999_new.sql"
    new.write_text("create table public.half (); select 1 / 0;", "utf-8")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await database.migrate(empty_url)
    assert await dump(empty_url) == before
    new.write_text("create table public.whole (id integer);", "utf-8")
    assert await database.migrate(empty_url) == ["migrations/9999_new.sql", "verbs"]


async def test_jobs_and_money_outlive_a_change_of_the_verbs(empty_url: str, texts: Path) -> None:
    await database.migrate(empty_url)
    await fetchval(empty_url, "select tintype.grant_credits(gen_random_uuid(), 7)")
    verb = texts / "verbs" / "clock.sql"
    verb.write_text(verb.read_text("utf-8") + "\n-- again\n", "utf-8")
    assert await database.migrate(empty_url) == ["verbs"]
    assert await fetchval(empty_url, "select sum(balance) from public.credit_accounts") == 7


@pytest.mark.parametrize(
    "clash",
    ["create table public.projects (id bigint)", "create table public.photos (id bigint)"],
)
async def test_a_table_of_the_same_name_is_told_and_left_alone(empty_url: str, clash: str) -> None:
    connection = await asyncpg.connect(empty_url)
    await connection.execute(clash)
    with pytest.raises(OperatorError, match="something of its own") as caught:
        await database.migrate(empty_url)
    assert (caught.value.code, caught.value.hint) == (
        "table_exists",
        "Rename it, then start again.",
    )
    table = clash.split()[2]
    assert await connection.fetchval(f"select count(*) from {table}") == 0
    await connection.execute(f"alter table {table} rename to theirs")
    assert await database.migrate(empty_url)
    await connection.close()
