"""The tables of sign-in are Supabase's, are nobody's to read, and are left alone where they are."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sign_in_site import PASSWORD, Admin, Site, opened

from tintype import database
from tintype.auth import KeySet, Settings

TABLES = ("users", "identities", "sessions", "refresh_tokens", "mfa_amr_claims")
# What a Supabase project has that a fresh database of ours has not: owners of their own, and no
# defaults.
PROJECT = """
create schema auth;
create table auth.users (
  instance_id uuid, id uuid not null primary key, aud varchar(255), role varchar(255),
  email varchar(255), encrypted_password varchar(255), email_confirmed_at timestamptz,
  invited_at timestamptz, confirmation_token varchar(255), confirmation_sent_at timestamptz,
  recovery_token varchar(255), recovery_sent_at timestamptz, email_change_token_new varchar(255),
  email_change varchar(255), email_change_sent_at timestamptz, last_sign_in_at timestamptz,
  raw_app_meta_data jsonb, raw_user_meta_data jsonb, is_super_admin boolean,
  created_at timestamptz, updated_at timestamptz, phone text unique default null,
  phone_confirmed_at timestamptz, phone_change text default '',
  phone_change_token varchar(255) default '', phone_change_sent_at timestamptz,
  confirmed_at timestamptz
  generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current varchar(255) default '',
  email_change_confirm_status smallint default 0, banned_until timestamptz,
  reauthentication_token varchar(255) default '', reauthentication_sent_at timestamptz,
  is_sso_user boolean not null default false, deleted_at timestamptz,
  is_anonymous boolean not null default false
);
create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
create table auth.identities (
  provider_id text not null, user_id uuid not null references auth.users on delete cascade,
  identity_data jsonb not null, provider text not null, last_sign_in_at timestamptz,
  created_at timestamptz, updated_at timestamptz,
  email text generated always as (lower(identity_data ->> 'email')) stored,
  id uuid not null default gen_random_uuid() primary key, unique (provider_id, provider)
);
create table auth.sessions (
  id uuid not null primary key, user_id uuid not null references auth.users on delete cascade,
  created_at timestamptz, updated_at timestamptz, factor_id uuid, aal auth.aal_level,
  not_after timestamptz, refreshed_at timestamp, user_agent text, ip inet, tag text,
  oauth_client_id uuid, refresh_token_hmac_key text, refresh_token_counter bigint, scopes text
);
create table auth.refresh_tokens (
  instance_id uuid, id bigserial primary key, token varchar(255) unique, user_id varchar(255),
  revoked boolean, created_at timestamptz, updated_at timestamptz, parent varchar(255),
  session_id uuid references auth.sessions on delete cascade
);
create table auth.mfa_amr_claims (
  session_id uuid not null references auth.sessions on delete cascade,
  created_at timestamptz not null, updated_at timestamptz not null,
  authentication_method text not null, id uuid not null primary key,
  unique (session_id, authentication_method)
);
alter table auth.users enable row level security;
alter table auth.identities enable row level security;
alter table auth.sessions enable row level security;
alter table auth.refresh_tokens enable row level security;
alter table auth.mfa_amr_claims enable row level security;
create schema tintype;
create function tintype.clock() returns timestamptz language sql volatile set search_path = ''
as $$ select pg_catalog.clock_timestamp() $$;
grant usage on schema tintype to service_role;
"""
COLUMNS = """
select table_name || '.' || column_name as name from information_schema.columns
where table_schema = 'auth'
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
async def project(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Return the URL of a database like a Supabase project's, as a role that owns nothing there.

    `template` has made the roles that every project has.
    """
    name, role = (f"tintype_{kind}_{uuid4().hex[:12]}" for kind in ("project", "migrator"))
    base = postgres_url.rsplit("/", 1)[0]
    root = await asyncpg.connect(postgres_url)
    await root.execute(f'create database "{name}" template template0')
    await root.execute(f"create role {role} login bypassrls in role service_role")
    inside = await asyncpg.connect(f"{base}/{name}")
    await inside.execute(PROJECT)
    await inside.execute(
        f"grant create, usage on schema tintype to {role}; grant usage on schema auth to {role};"
        f"grant all on all tables in schema auth to {role};"
        f"grant all on all sequences in schema auth to {role};"
        f"grant execute on function tintype.clock() to {role}, service_role"
    )
    await inside.close()
    yield f"{base.replace('postgres@', f'{role}@')}/{name}"
    await root.execute(f'drop database "{name}" with (force)')
    await root.execute(f"drop role {role}")
    await root.close()


async def test_a_supabase_projects_tables_are_used_and_not_changed(
    project: str, keys: KeySet
) -> None:
    migrator = await asyncpg.connect(project)
    before = await migrator.fetch(COLUMNS)
    for file in ("migrations/0005_auth.sql", "verbs/auth.sql", "policies/sign_in.sql"):
        await migrator.execute((database.sql_folder() / file).read_text("utf-8"))
    assert await migrator.fetch(COLUMNS) == before
    pool = await database.connect(project)
    async with opened(keys, pool, Settings()) as site:
        session = await site.sign_up()
        assert (await site.refresh(session["refresh_token"])).status_code == 200
        changed = {"email": "bob@example.com", "password": "another one"}
        token = session["access_token"]
        assert (await site.ask("PUT", "/user", changed, token=token)).status_code == 200
        taken = {"email": "bob@example.com", "password": PASSWORD}
        assert (await site.ask("POST", "/signup", taken)).status_code == 422
        assert len((await site.as_operator("GET", "/admin/users")).json()["users"]) == 1
        row = await migrator.fetchrow("select * from auth.users")
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
