"""Who may do what in schema storage, and whether it fits a database that has one already."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from storage3.exceptions import StorageApiError
from storage_site import JPEG, PNG, Site

from tintype import database

Admin = "asyncpg.Connection[asyncpg.Record]"
PRIVILEGES = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
ROW_PRIVILEGES = {"select", "insert", "update", "delete"}


@pytest.mark.parametrize("table", ["storage.buckets", "storage.objects"])
async def test_tables_are_under_row_security_and_no_role_may_more_than_rows(
    admin: Admin, table: str
) -> None:
    assert await admin.fetchval(
        "select relrowsecurity from pg_class where oid = $1::text::regclass", table
    )
    for role in ("anon", "authenticated", "service_role"):
        granted = {
            privilege
            for privilege in PRIVILEGES
            if await admin.fetchval(
                "select has_table_privilege($1, $2, $3)", role, table, privilege
            )
        }
        assert granted == ROW_PRIVILEGES


async def test_the_functions_are_granted_by_name_and_not_to_public(admin: Admin) -> None:
    rows = await admin.fetch(
        "select p.oid::regprocedure::text as name, p.prosecdef,"
        " coalesce(array_to_string(p.proacl, ','), '=X') as acl"
        " from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname = 'storage' or p.proname = 'record_object'"
    )
    callers = {}
    for row in rows:
        assert not row["prosecdef"]
        assert not any(entry.startswith("=") for entry in row["acl"].split(","))
        callers[row["name"]] = [
            role
            for role in ("anon", "authenticated", "service_role")
            if await admin.fetchval(
                "select has_function_privilege($1, $2, 'execute')", role, row["name"]
            )
        ]
    everyone = ["anon", "authenticated", "service_role"]
    assert callers == {
        "storage.foldername(text)": everyone,
        "storage.filename(text)": everyone,
        "storage.extension(text)": everyone,
        "tintype.record_object(text,text,text,jsonb,jsonb,text,boolean)": ["service_role"],
    }


async def test_policies_name_the_operations_and_roles_they_open(admin: Admin) -> None:
    rows = await admin.fetch(
        "select tablename, cmd, roles::text[] as roles from pg_policies"
        " where schemaname = 'storage'"
    )
    assert sorted((row["tablename"], row["cmd"], *row["roles"]) for row in rows) == [
        ("objects", "ALL", "authenticated"),
        ("objects", "ALL", "tintype_worker"),
        ("objects", "SELECT", "authenticated"),
        ("objects", "SELECT", "authenticated"),
    ]


@pytest.mark.parametrize(
    ("name", "folders", "filename", "extension"),
    [
        ("a/b/c.tar.gz", ["a", "b"], "c.tar.gz", "gz"),
        ("c.png", [], "c.png", "png"),
        ("a/c", ["a"], "c", "c"),
    ],
)
async def test_names_come_apart_as_supabase_takes_them_apart(
    admin: Admin, name: str, folders: list[str], filename: str, extension: str
) -> None:
    row = await admin.fetchrow(
        "select storage.foldername($1), storage.filename($1), storage.extension($1)", name
    )
    assert tuple(row) == (folders, filename, extension)


async def test_a_user_reaches_no_row_of_another_by_sql_either(
    pool: database.Pool, ada: UUID, bob: UUID
) -> None:
    await pool.execute(
        "insert into storage.objects (bucket_id, name, version) values ('uploads', $1, 'v')",
        f"{ada}/cat.png",
    )
    claims: dict[str, Any] = {"sub": str(bob), "role": "authenticated"}
    for role in ("authenticated", "anon"):
        async with database.transaction(pool, role=role, claims=claims) as connection:
            assert await connection.fetch("select * from storage.objects") == []
            assert (
                await connection.execute("update storage.objects set version = 'x'") == "UPDATE 0"
            )
            assert await connection.execute("delete from storage.objects") == "DELETE 0"
            assert await connection.fetch("select * from storage.buckets") == []


async def test_a_name_may_be_unique_by_an_index_of_another_shape(
    site: Site, ada: UUID, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """As on a Supabase project whose storage keeps versions of objects."""
    await admin.execute(
        "alter table storage.objects add column archived_at timestamptz;"
        "drop index storage.bucketid_objname;"
        "create unique index current_name on storage.objects (bucket_id, name)"
        " where archived_at is null"
    )
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a.png", PNG, {"content-type": "image/png"})
    with pytest.raises(StorageApiError, match="already exists"):
        await files.upload(f"{ada}/a.png", PNG, {"content-type": "image/png"})
    replacing = {"content-type": "image/png", "upsert": "true"}
    await asyncio.gather(*(files.upload(f"{ada}/b.png", PNG, replacing) for _ in range(8)))
    await files.upload(f"{ada}/a.png", JPEG, replacing)
    await files.move(f"{ada}/a.png", f"{ada}/c.png")
    assert await files.download(f"{ada}/c.png") == JPEG
    assert len(site.files()) == 2


async def test_the_migration_leaves_a_storage_schema_that_exists_to_its_owner(
    admin: Admin,
) -> None:
    """As on a Supabase project, where another role owns the schema and we may only add rows."""
    text = (database.sql_folder() / "migrations" / "0004_storage.sql").read_text("utf-8")
    owner, migrator = (f"{name}_{uuid4().hex[:8]}" for name in ("storage_owner", "migrator"))
    await admin.execute(
        f"create role {owner}; create role {migrator} bypassrls;"
        "delete from storage.buckets where id = 'uploads';"
        f"alter schema storage owner to {owner};"
        f"alter table storage.buckets owner to {owner};"
        f"alter table storage.objects owner to {owner};"
        f"grant usage on schema storage to {migrator};"
        f"grant select, insert, update, delete on all tables in schema storage to {migrator};"
    )
    try:
        name = await admin.fetchval("select current_database()")
        await admin.execute(f'grant create on database "{name}" to {migrator}')
        await admin.execute(f"set role {migrator}")
        await admin.execute(text)
        await admin.execute("reset role")
        buckets = await admin.fetch("select id from storage.buckets order by id")
        assert {"generations", "uploads"} <= {row["id"] for row in buckets}
    finally:
        await admin.execute("reset role")
        await admin.execute(
            f"reassign owned by {owner}, {migrator} to current_user;"
            f"drop owned by {owner}, {migrator}; drop role {owner}, {migrator}"
        )
