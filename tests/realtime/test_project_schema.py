"""Does it work on a Supabase project's database, and leave alone what is there?"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from realtime_site import open_site

from tintype import database
from tintype.auth import KeySet

# What a project has of it: another owner's, partitioned by the day.
PROJECT = """
create schema realtime;
create table realtime.messages (
  topic text not null, extension text not null, payload jsonb, event text,
  private boolean default false, updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(), id uuid not null default gen_random_uuid(),
  primary key (id, inserted_at)
) partition by range (inserted_at);
create table realtime.messages_today partition of realtime.messages default;
alter table realtime.messages enable row level security;
create publication supabase_realtime_messages_publication for table realtime.messages;
create publication supabase_realtime;
create function realtime.topic() returns text language sql stable as
$$ select nullif(current_setting('realtime.topic', true), '')::text $$;
create function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void language sql as
$$ insert into realtime.messages (payload, event, topic, private, extension)
   values (payload, event, topic, private, 'broadcast') $$;
create function realtime.broadcast_changes(
  topic_name text, event_name text, operation text, table_name text, table_schema text,
  new record, old record, level text default 'ROW'
) returns void language plpgsql as $$ begin end $$;
grant usage on schema realtime to anon, authenticated, service_role;
grant select, insert, update on realtime.messages to anon, authenticated, service_role;
create policy hear on realtime.messages for select to authenticated
using ((select auth.uid())::text = (select realtime.topic()));
"""
SHAPE = """
select array_agg(
  concat(n.nspname, c.relname, c.relkind, c.relacl, c.relowner::regrole, c.relrowsecurity)
  order by c.relname
) || (select array_agg(concat(p.proname, p.proacl, p.prosrc) order by p.proname)
  from pg_proc as p where p.pronamespace = 'realtime'::regnamespace)
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'realtime'
"""
AUTH = """
create schema auth;
create function auth.uid() returns uuid language sql stable as
$$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
grant usage on schema auth to anon, authenticated, service_role;
"""


@pytest.fixture
async def project(postgres_url: str, template: str) -> AsyncIterator[tuple[str, Any]]:
    """Yield a project's URL for a role that owns nothing in `realtime`, and an administrator.

    `template` has made the roles that every project has.
    """
    name, role = (f"tintype_{kind}_{uuid4().hex[:12]}" for kind in ("project", "migrator"))
    base = postgres_url.rsplit("/", 1)[0]
    root = await asyncpg.connect(postgres_url)
    await root.execute(
        f"create role {role} login replication bypassrls password 'x' in role service_role"
    )
    await root.execute(f"grant anon, authenticated to {role}")
    await root.execute(f'create database "{name}" template template0')
    inside = await asyncpg.connect(f"{base}/{name}")
    await inside.execute(AUTH + PROJECT)
    await inside.execute(
        f'grant create on database "{name}" to {role}; grant all on schema public, auth to {role};'
        f"alter publication supabase_realtime owner to {role}"
    )
    server = base.rpartition("@")[2].removeprefix("postgresql://")
    yield f"postgresql://{role}:x@{server}/{name}", inside
    await inside.close()
    await root.execute(f'drop database "{name}" with (force)')
    await root.execute(f"drop role {role}")
    await root.close()


async def test_what_the_project_has_is_used_and_left_alone(
    project: tuple[str, Any], keys: KeySet, ada: UUID, bob: UUID
) -> None:
    url, admin = project
    before = await admin.fetchval(SHAPE)
    await database.migrate(url)
    assert await admin.fetchval(SHAPE) == before
    async with open_site(url, keys) as site:
        hers, his = await site.connect(), await site.connect()
        config = {"private": True, "broadcast": {"replication_ready": True}}
        assert (await hers.join(str(ada), token=site.token(ada), **config))["status"] == "ok"
        assert (await his.join(str(ada), token=site.token(bob), **config))["status"] == "error"
        await admin.execute("select realtime.send('{\"n\": 1}', 'e', $1)", str(ada))
        heard = (await hers.event("broadcast"))["payload"]
        assert (heard["event"], heard["payload"]) == ("e", {"n": 1})
    assert await admin.fetchval("select count(*) from realtime.messages") == 1


async def test_where_there_is_no_such_table_and_none_can_be_made_private_channels_are_refused(
    project: tuple[str, Any], keys: KeySet, ada: UUID
) -> None:
    url, admin = project
    await admin.execute("drop publication supabase_realtime_messages_publication")
    await admin.execute("drop table realtime.messages")
    await database.migrate(url)
    async with open_site(url, keys) as site:
        talker = await site.connect()
        answer = await talker.join("secret", private=True, token=site.token(ada))
        assert answer["response"]["reason"].startswith("Un")
        assert (await talker.join("open", broadcast={"self": True}))["status"] == "ok"
