"""A database like a Supabase project's, reached as the role that is called postgres there.

That role is no superuser: it may make roles, bypasses row-level security and may replicate, but
owns neither `auth` nor `storage`. On Supabase an extension lets it make policies on the tables of
`storage` all the same; here the membership of their owner stands for that, hidden from
`pg_has_role`, so that the migrations go the way they go there.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import asyncpg

SHAPE = Path(__file__).with_suffix(".sql")
ADA = UUID("a0000000-0000-4000-8000-00000000000a")
BOB = UUID("b0000000-0000-4000-8000-00000000000b")
ADAS_PASSWORD = "correct horse"
ROLES = """
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then
    create role authenticated nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'service_role') then
    create role service_role nologin bypassrls;
  end if;
exception when duplicate_object or unique_violation then
  null;
end
$$;
create role {administrator} createrole;
create role {auth_administrator} noinherit createrole;
create role {storage_administrator} noinherit createrole;
create role {project} login password '{password}' createrole createdb replication bypassrls;
grant anon, authenticated, service_role to {project};
grant {storage_administrator} to {project};
"""
# What Supabase's own extension does for the role postgres.
POLICIES_WITHOUT_OWNERSHIP = """
create schema supautils;
create function supautils.pg_has_role(p_role oid, p_privilege text) returns boolean
language sql stable set search_path = '' as $$
  select
    p_role <> '{storage_administrator}'::regrole
    and pg_catalog.pg_has_role(p_role, p_privilege)
$$;
grant usage on schema supautils to public;
"""


@asynccontextmanager
async def open_supabase_project(postgres_url: str) -> AsyncIterator[str]:
    """Yield the URL of such a database, made on the server of an administrator's URL.

    Ada and Bob are users of it, each with a note; Ada has an avatar and, as bcrypt, a password.
    """
    mark = uuid4().hex[:8]
    kinds = ("project", "administrator", "auth_administrator", "storage_administrator")
    roles = {kind: f"tintype_{kind}_{mark}" for kind in kinds}
    password = secrets.token_hex(16)
    name = f"tintype_project_{mark}"
    root = await asyncpg.connect(postgres_url)
    try:
        await root.execute(_filled(ROLES, roles | {"password": password}))
        await root.execute(f"create database {name} owner {roles['project']} template template0")
        inside = await asyncpg.connect(_reaching(postgres_url, name))
        await inside.execute(_filled(SHAPE.read_text("utf-8"), roles))
        await inside.execute(_filled(POLICIES_WITHOUT_OWNERSHIP, roles))
        await inside.close()
        await root.execute(
            f"alter role {roles['project']} in database {name}"
            ' set search_path = supautils, pg_catalog, "$user", public, extensions'
        )
        yield _reaching(postgres_url, name, f"{roles['project']}:{password}")
    finally:
        await root.execute(f"drop database if exists {name} with (force)")
        for role in roles.values():
            await root.execute(f"drop role if exists {role}")
        await root.close()


def _filled(text: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _reaching(url: str, database: str, login: str | None = None) -> str:
    parts = urlsplit(url)
    if login is not None:
        parts = parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}")
    return urlunsplit(parts._replace(path=f"/{database}"))
