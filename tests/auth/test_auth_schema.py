"""The tables of sign-in are Supabase's, are nobody's to read, and are left alone where they are."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sign_in_site import PASSWORD, Admin, Site, opened

from tests.support.supabase_project import open_supabase_project
from tintype import database
from tintype.auth import KeySet, Settings

TABLES = ("users", "identities", "sessions", "refresh_tokens", "mfa_amr_claims")
COLUMNS = """
select table_name || '.' || column_name as name from information_schema.columns
where table_schema = 'auth'
order by 1
"""


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_no_caller_reads_or_writes_a_table_or_calls_a_verb(
    site: Site, admin: "Admin[Any]", role: str
) -> None:
    user = (await site.sign_up())["user"]["id"]
    statements = [f"select * from auth.{table}" for table in TABLES]
    statements += [f"delete from auth.{table}" for table in TABLES]
    statements += [
        "select tintype.read_user(gen_random_uuid())",
        "select * from tintype.find_credentials('ada@example.com', null)",
        "select tintype.change_user(gen_random_uuid(), '{}', null, 1)",
        "select tintype.page_users(1, 0)",
    ]
    await admin.execute(
        "select set_config('role', $1, false), set_config('request.jwt.claims', $2, false)",
        role,
        f'{{"sub": "{user}", "role": "{role}"}}',
    )
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await admin.execute(statement)


async def test_the_kernels_role_reaches_sessions_and_tokens_by_verbs_alone(
    site: Site, pool: database.Pool
) -> None:
    await site.sign_up()
    for table in TABLES[1:]:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.fetch(f"select * from auth.{table}")
    for internal in (
        "name_identity(gen_random_uuid(), 'a@b.c')",
        "add_refresh_token(gen_random_uuid(), gen_random_uuid(), 'x', null)",
        "forget_tokens(gen_random_uuid(), 0)",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.fetch(f"select tintype.{internal}")


async def test_the_tables_have_every_column_that_a_supabase_project_has(
    admin: "Admin[Any]", project: str
) -> None:
    ours = {row["name"] for row in await admin.fetch(COLUMNS)}
    connection = await asyncpg.connect(project)
    theirs = {row["name"] for row in await connection.fetch(COLUMNS)}
    await connection.close()
    newer = {
        f"sessions.{name}"
        for name in ("oauth_client_id", "refresh_token_hmac_key", "refresh_token_counter", "scopes")
    }
    assert ours == theirs - newer


@pytest.fixture
async def project(postgres_url: str) -> AsyncIterator[str]:
    """Return the URL of a database like a Supabase project's, as a role that owns nothing there."""
    async with open_supabase_project(postgres_url) as url:
        yield url


async def test_a_supabase_projects_tables_are_used_and_not_changed(
    project: str, keys: KeySet
) -> None:
    migrator = await asyncpg.connect(project)
    before = await migrator.fetch(COLUMNS)
    await database.migrate(project)
    assert await migrator.fetch(COLUMNS) == before
    pool = await database.connect(project)
    async with opened(keys, pool, Settings()) as site:
        session = await site.sign_up("carol@example.com")
        assert (await site.refresh(session["refresh_token"])).status_code == 200
        changed = {"email": "dora@example.com", "password": "another one"}
        token = session["access_token"]
        assert (await site.ask("PUT", "/user", changed, token=token)).status_code == 200
        taken = {"email": "dora@example.com", "password": PASSWORD}
        assert (await site.ask("POST", "/signup", taken)).status_code == 422
        assert len((await site.as_operator("GET", "/admin/users")).json()["users"]) == 3
        row = await migrator.fetchrow(
            "select * from auth.users where id = $1", session["user"]["id"]
        )
        assert row is not None
        for name in ("confirmation_token", "recovery_token", "email_change_token_new"):
            assert row[name] == "", "GoTrue cannot read null here"
        assert str(row["instance_id"]) == "00000000-0000-0000-0000-000000000000"
        gone = await site.as_operator("DELETE", f"/admin/users/{session['user']['id']}")
        assert gone.status_code == 200
    await pool.close()
    await migrator.close()


async def test_users_who_were_there_before_get_an_identity(admin: "Admin[Any]") -> None:
    await admin.execute(
        "insert into auth.users (id, email, raw_app_meta_data)"
        """ values (gen_random_uuid(), 'a@b.c', '{"provider": "email"}')"""
    )
    text = (database.sql_folder() / "migrations" / "0005_auth.sql").read_text("utf-8")
    for _ in range(2):
        await admin.execute(text)
        rows = await admin.fetch("select email, provider from auth.identities")
        assert [dict(row) for row in rows] == [{"email": "a@b.c", "provider": "email"}]


async def test_sign_in_finds_its_user_by_index(admin: "Admin[Any]") -> None:
    await admin.execute(
        "insert into auth.users (id, email) select gen_random_uuid(), n || '@b.c'"
        " from generate_series(1, 5000) as n; analyze auth.users"
    )
    plan = await admin.fetch(
        "explain select u.id from auth.users as u"
        " where u.email = 'x' and u.is_sso_user = false and u.deleted_at is null"
    )
    assert "users_email_partial_key" in str(plan)
    pages = await admin.fetch(
        "explain select u.id from auth.users as u where u.deleted_at is null"
        " order by u.created_at desc, u.id desc limit 50"
    )
    assert "users_created_at_idx" in str(pages)
