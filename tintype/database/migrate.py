"""Which shape has the database, and how does it get the newest one?

Migrations make tables and run once, in the order of their names, forward only. Verbs and
policies are functions and grants: all of them are replaced whenever any of their text has changed.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tintype import events
from tintype.database.queries import sql_folder
from tintype.errors import OperatorError

# One migrating process at a time, in any one database.
ADVISORY_LOCK = 7_305_417_221
SERVER_VERSION_MIN = 15
VERBS = "verbs"
REMEMBER = (
    "insert into tintype.migrations (name, digest) values ($1, $2)"
    " on conflict (name) do update set digest = excluded.digest, applied_at = now()"
)
# A function whose signature changed would otherwise stay beside its successor.
DROP_VERBS = """
do $$
declare
  v_name text;
begin
  for v_name in
    select format('drop routine if exists %s cascade', p.oid::regprocedure)
    from pg_proc as p
    where p.pronamespace = 'tintype'::regnamespace
  loop
    execute v_name;
  end loop;
  drop type if exists tintype.ended cascade;
end
$$
"""


async def migrate(url: str) -> list[str]:
    """Bring the database at `url` to this version's shape and return what was applied.

    Safe to run from many processes at once and to run again after a crash: each file is one
    transaction. Raises `OperatorError` when an applied migration's text has changed since, when
    the database was migrated by a newer Tintype, when it has a table of its own under one of
    our names, or when Postgres is too old.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if connection.get_server_version().major < SERVER_VERSION_MIN:
            raise OperatorError(
                "postgres_too_old", f"Tintype needs Postgres {SERVER_VERSION_MIN} or newer."
            )
        await connection.execute("select pg_advisory_lock($1)", ADVISORY_LOCK)
        await connection.execute(
            "create schema if not exists tintype;"
            "create table if not exists tintype.migrations ("
            "  name text primary key, digest text not null,"
            "  applied_at timestamptz not null default now());"
        )
        return await _apply(connection)
    finally:
        await connection.close()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    rows = await connection.fetch("select name, digest from tintype.migrations")
    known = {row["name"]: row["digest"] for row in rows}
    migrations = sorted((sql_folder() / "migrations").glob("*.sql"))
    unknown = known.keys() - {_name(path) for path in migrations} - {VERBS}
    if unknown:
        raise OperatorError(
            "database_is_newer",
            f"The database has migrations that this version does not know: {min(unknown)}.",
            hint="Install the newer Tintype that made them.",
        )
    applied = []
    for path in migrations:
        if await _apply_migration(connection, path, known):
            applied.append(_name(path))
    if await _apply_verbs(connection, known, forced=bool(applied)):
        applied.append(VERBS)
    for name in applied:
        events.emit(events.MigrationApplied(name=name))
    return applied


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


async def _apply_migration(
    connection: "asyncpg.Connection[asyncpg.Record]", path: Path, known: dict[str, str]
) -> bool:
    text = path.read_text("utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    name = _name(path)
    if name in known:
        if known[name] != digest:
            raise OperatorError(
                "migration_changed",
                f"{name} was applied with another text.",
                hint="Migrations are forward only: write a new one.",
            )
        return False
    with _clash_told(name):
        async with connection.transaction():
            await connection.execute(text)
            await connection.execute(REMEMBER, name, digest)
    return True


async def _apply_verbs(
    connection: "asyncpg.Connection[asyncpg.Record]", known: dict[str, str], *, forced: bool
) -> bool:
    """Replace all verbs and policies in one transaction, so that no caller meets a mixture."""
    texts = [
        path.read_text("utf-8")
        for folder in ("verbs", "policies")
        for path in sorted((sql_folder() / folder).glob("*.sql"))
    ]
    digest = hashlib.sha256("\n".join([DROP_VERBS, *texts]).encode()).hexdigest()
    if known.get(VERBS) == digest and not forced:
        return False
    with _clash_told(VERBS):
        async with connection.transaction():
            for text in [DROP_VERBS, *texts]:
                await connection.execute(text)
            await connection.execute(REMEMBER, VERBS, digest)
    return True


@contextmanager
def _clash_told(name: str) -> Iterator[None]:
    """Tell the operator that the database has something of its own under one of our names."""
    try:
        yield
    except (asyncpg.DuplicateTableError, asyncpg.WrongObjectTypeError) as error:
        raise OperatorError(
            "table_exists",
            f"The database has something of its own where {name} makes a table or view: {error}.",
            hint="Rename it, then start again.",
        ) from error
