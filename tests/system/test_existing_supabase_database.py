"""A Supabase project's database, its users and its tokens: the guide's promises, on a real one.

docs/guides/existing-supabase-database.md says what is left alone, what is added, and how to go
back; the statements it shows are the ones run here.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from joserfc import jws, jwt
from joserfc.jwk import OctKey
from realtime.types import RealtimePostgresChangesListenEvent as Listen
from supabase import acreate_client

from tests.auth.outside_issuer import OutsideIssuer
from tests.support.buckets import BUCKETS
from tests.support.product import Product, open_product
from tests.support.supabase_project import ADA, ADAS_PASSWORD, BOB, open_supabase_project
from tintype import auth, database
from tintype.errors import OperatorError

ISSUER = "https://abcdefgh.supabase.co/auth/v1"
CHANGE_SECONDS_MAX = 100
# supabase-py hands its own options to its parts in a way that these call old.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")
ROWS = """
select (
  select jsonb_agg(to_jsonb(u) order by u.id) from auth.users as u
)::text as users, (
  select jsonb_agg(to_jsonb(i) order by i.id) from auth.identities as i
)::text as identities, (
  select jsonb_agg(to_jsonb(n) order by n.id) from public.notes as n
)::text as notes, (
  select jsonb_agg(to_jsonb(o) order by o.id) from storage.objects as o
  where o.bucket_id not in ('generations', 'uploads')
)::text as objects
"""
# Everything of the project's own that a migration could have touched.
SHAPE = """
select 'column ' || c.table_schema || '.' || c.table_name || '.' || c.column_name || ' '
  || c.data_type || ' ' || coalesce(c.column_default, '') || c.is_nullable as text
from information_schema.columns as c
where c.table_schema in ('auth', 'storage', 'realtime')
  or (c.table_schema, c.table_name) = ('public', 'notes')
union all
select 'relation ' || c.oid::regclass || ' ' || c.relowner::regrole || ' ' || c.relrowsecurity
  || ' ' || coalesce(c.relacl::text, '')
from pg_class as c
where c.relnamespace::regnamespace::text in ('auth', 'storage', 'realtime')
  or c.oid = 'public.notes'::regclass
union all
select 'function ' || p.oid::regprocedure || ' ' || p.proowner::regrole || ' '
  || coalesce(p.proacl::text, '') || p.prosrc
from pg_proc as p
where p.pronamespace::regnamespace::text in ('auth', 'storage', 'realtime')
union all
select 'policy ' || p.schemaname || '.' || p.tablename || ' ' || p.policyname || ' '
  || coalesce(p.qual, '')
from pg_policies as p
union all
select 'trigger ' || t.tgrelid::regclass || ' ' || t.tgname
from pg_trigger as t
where not t.tgisinternal
order by 1
"""
GRANTS = """
select format('%s %s %s', c.oid::regclass, x.grantee::regrole, x.privilege_type) as text
from pg_class as c
cross join aclexplode(c.relacl) as x
where
  c.relnamespace::regnamespace::text in ('public', 'tintype')
  and c.relkind in ('r', 'v', 'S')
  and c.relname not like 'notes%'
  and x.grantee::regrole::text in ('anon', 'authenticated', 'service_role')
union all
select format('%s %s %s', p.oid::regprocedure, x.grantee::regrole, x.privilege_type)
from pg_proc as p
cross join aclexplode(p.proacl) as x
where
  p.pronamespace::regnamespace::text in ('public', 'tintype')
  and x.grantee::regrole::text in ('anon', 'authenticated', 'service_role')
order by 1
"""


@pytest.fixture
async def project_url(postgres_url: str) -> AsyncIterator[str]:
    async with open_supabase_project(postgres_url) as url:
        yield url


@pytest.fixture
def issuer() -> Iterator[OutsideIssuer]:
    issuer = OutsideIssuer()
    yield issuer
    issuer.stop()


@pytest.fixture
async def product(
    project_url: str, issuer: OutsideIssuer, tmp_path: Path
) -> AsyncIterator[Product]:
    """Return Tintype as the guide configures it, on the project's database."""
    async with open_product(
        project_url,
        tmp_path,
        TINTYPE_JWKS_URL=issuer.url,
        TINTYPE_JWT_ISSUER=ISSUER,
        TINTYPE_WELCOME_CREDITS="20",
    ) as product:
        yield product


def token(issuer: OutsideIssuer, user: UUID, **changes: Any) -> str:
    """Return an access token as the project's own sign-in makes it."""
    claims = {
        "iss": ISSUER,
        "sub": str(user),
        "aud": "authenticated",
        "role": "authenticated",
        "exp": int(time.time()) + 600,
        "session_id": "d0000000-0000-4000-8000-00000000000d",
    }
    header = {"alg": "ES256", "kid": "ec", "typ": "JWT"}
    return jws.serialize_compact(header, json.dumps(claims | changes).encode(), issuer.ec)


def headers(product: Product, access_token: str) -> dict[str, str]:
    return {"apikey": product.keys.anon_key, "authorization": f"Bearer {access_token}"}


async def fetch(url: str, statement: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [str(row[0]) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def fetchrow(url: str, statement: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(statement)
        assert row is not None
        return dict(row)
    finally:
        await connection.close()


async def test_the_migrations_add_policies_and_buckets_and_change_nothing_else(
    project_url: str,
) -> None:
    before, rows = await fetch(project_url, SHAPE), await fetchrow(project_url, ROWS)
    await database.migrate(project_url)
    after = await fetch(project_url, SHAPE)
    assert await fetchrow(project_url, ROWS) == rows
    assert set(before) <= set(after)
    added = {line.split()[0] + " " + line.split()[1] for line in set(after) - set(before)}
    assert {line for line in added if not line.startswith("policy public.")} == {
        "policy storage.objects",
        "trigger jobs",
        "trigger models",
        "trigger trained_identities",
    }
    buckets = await fetch(project_url, "select id from storage.buckets order by id")
    assert buckets == sorted({"avatars", *BUCKETS})
    assert await database.migrate(project_url) == []


async def test_a_table_under_one_of_our_names_stops_the_migration_until_it_is_renamed(
    project_url: str,
) -> None:
    connection = await asyncpg.connect(project_url)
    await connection.execute("create table public.projects (name text)")
    with pytest.raises(OperatorError) as caught:
        await database.migrate(project_url)
    assert caught.value.code == "table_exists" and "projects" in caught.value.message
    await connection.execute("alter table public.projects rename to my_projects")
    assert (await database.migrate(project_url))[-1] == "verbs"
    await connection.close()


async def test_a_projects_default_privileges_open_nothing_of_ours(
    project_url: str, database_url: str
) -> None:
    await database.migrate(project_url)
    expected = await fetch(database_url, GRANTS)
    assert len(expected) > 20
    assert await fetch(project_url, GRANTS) == expected


async def test_a_user_of_the_project_runs_a_job_with_the_projects_token(
    product: Product, issuer: OutsideIssuer
) -> None:
    ada = headers(product, token(issuer, ADA))
    answer = await product.http.post(
        "/functions/v1/generate-image",
        json={"prompt": "a robot", "model": "sandbox", "imageSize": "512"},
        headers=ada | {"prefer": "wait=30"},
    )
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert (job["status"], job["creditsHeld"], job["creditsRemaining"]) == ("completed", 1, 19)
    picture = await product.http.get(job["resultUrls"][0])
    assert picture.headers["content-type"] == "image/png"

    rows = await product.http.get(f"/rest/v1/jobs?id=eq.{job['jobId']}", headers=ada)
    assert [row["user_id"] for row in rows.json()] == [str(ADA)]
    bob = headers(product, token(issuer, BOB))
    assert (await product.http.get("/rest/v1/jobs", headers=bob)).json() == []
    await product.assert_ledger_holds()


async def test_the_projects_own_tables_and_policies_serve_on(
    product: Product, issuer: OutsideIssuer
) -> None:
    ada = headers(product, token(issuer, ADA))
    notes = await product.http.get("/rest/v1/notes?select=body", headers=ada)
    assert notes.json() == [{"body": "from before"}]
    written = await product.http.post(
        "/rest/v1/notes", json={"body": "new"}, headers=ada | {"prefer": "return=representation"}
    )
    assert (written.status_code, written.json()[0]["user_id"]) == (201, str(ADA))
    listed = await product.http.post(
        "/storage/v1/object/list/avatars", json={"prefix": str(ADA)}, headers=ada
    )
    assert [entry["name"] for entry in listed.json()] == ["me.png"]


async def test_an_upload_comes_and_goes_under_the_projects_guard_of_deletes(
    product: Product, issuer: OutsideIssuer
) -> None:
    ada = headers(product, token(issuer, ADA))
    path = f"/storage/v1/object/uploads/{ADA}/a.png"
    picture = b"\x89PNG\r\n\x1a\n" + bytes(50)
    put = await product.http.post(
        path, content=picture, headers=ada | {"content-type": "image/png"}
    )
    assert put.status_code == 200, put.text
    got = await product.http.get(path, headers=ada)
    assert got.content == picture
    removed = await product.http.request(
        "DELETE", "/storage/v1/object/uploads", json={"prefixes": [f"{ADA}/a.png"]}, headers=ada
    )
    assert [row["name"] for row in removed.json()] == [f"{ADA}/a.png"]
    # The bytes of what the project stored lie where the project's own storage put them.
    elsewhere = await product.http.get(f"/storage/v1/object/avatars/{ADA}/me.png", headers=ada)
    assert elsewhere.json()["statusCode"] == "404"


async def test_changes_of_the_projects_own_tables_reach_their_owner(
    product: Product, issuer: OutsideIssuer
) -> None:
    access_token = token(issuer, ADA)
    client = await acreate_client(product.url, product.keys.anon_key)
    await client.realtime.set_auth(access_token)
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    subscribed = asyncio.Event()
    channel = client.channel("notes").on_postgres_changes(
        Listen.Insert, heard.put_nowait, table="notes", schema="public"
    )
    await channel.subscribe(lambda state, error: subscribed.set())
    async with asyncio.timeout(CHANGE_SECONDS_MAX):
        await subscribed.wait()
        for owner, body in ((BOB, "his"), (ADA, "hers")):
            await product.http.post(
                "/rest/v1/notes",
                json={"body": body},
                headers=headers(product, token(issuer, owner)),
            )
        change = await heard.get()
    assert change["data"]["record"]["body"] == "hers"
    await client.realtime.close()


async def test_a_user_of_the_project_signs_in_here_with_the_old_password(
    product: Product,
) -> None:
    answer = await product.http.post(
        "/auth/v1/token?grant_type=password",
        json={"email": "ada@example.com", "password": ADAS_PASSWORD},
        headers={"apikey": product.keys.anon_key},
    )
    assert answer.status_code == 200, answer.text
    signed_in = headers(product, answer.json()["access_token"])
    notes = await product.http.get("/rest/v1/notes?select=body", headers=signed_in)
    assert notes.json() == [{"body": "from before"}]


async def test_an_app_that_is_out_there_keeps_the_projects_keys(
    project_url: str, tmp_path: Path
) -> None:
    secret = "the-legacy-secret-of-the-project-40-characters"
    shared = OctKey.import_key(secret)

    def key(role: str, **claims: Any) -> str:
        known = {"iss": "supabase", "ref": "abcdefgh", "role": role, "exp": int(time.time()) + 600}
        return jwt.encode({"alg": "HS256", "typ": "JWT"}, known | claims, shared)

    path = tmp_path / "keys.json"
    auth.open_keys(path, issuer=ISSUER)
    kept = json.loads(path.read_bytes())
    kept |= {"jwt_secret": secret, "anon_key": key("anon")}
    kept |= {"service_role_key": key("service_role")}
    path.write_text(json.dumps(kept))
    async with open_product(project_url, tmp_path, TINTYPE_KEYS_FILE=str(path)) as product:
        signed_in = {
            "apikey": key("anon"),
            "authorization": f"Bearer {key('authenticated', sub=str(ADA), iss=ISSUER)}",
        }
        notes = await product.http.get("/rest/v1/notes?select=body", headers=signed_in)
        assert notes.json() == [{"body": "from before"}]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://otherone.supabase.co/auth/v1"},
        {"role": "service_role"},
        {"exp": 1},
    ],
    ids=["another project's", "with the service role", "expired"],
)
async def test_a_token_that_is_not_the_projects_for_a_user_is_refused(
    product: Product, issuer: OutsideIssuer, changes: dict[str, Any]
) -> None:
    stranger = headers(product, token(issuer, ADA, **changes))
    answer = await product.http.get("/rest/v1/notes", headers=stranger)
    assert (answer.status_code, answer.json()["code"]) in ((401, "PGRST301"), (401, "PGRST303"))


async def test_the_operator_sees_the_projects_users(product: Product) -> None:
    answer: httpx2.Response = await product.http.get(
        "/auth/v1/admin/users", headers=headers(product, product.keys.service_role_key)
    )
    assert {user["email"] for user in answer.json()["users"]} == {
        "ada@example.com",
        "bob@example.com",
    }
    async with database.transaction(product.pool) as connection:
        listed = await auth.list_users(connection)
        assert {user.id for user in listed} == {ADA, BOB}
        assert await auth.find_user(connection, "Ada@Example.com") in listed
        assert await auth.find_user(connection, BOB) in listed


async def test_the_statements_that_go_back_leave_the_project_as_it_was(
    project_url: str, repository: Path
) -> None:
    before, rows = await fetch(project_url, SHAPE), await fetchrow(project_url, ROWS)
    await database.migrate(project_url)
    guide = (repository / "docs/guides/existing-supabase-database.md").read_text("utf-8")
    statements = re.search(r"```sql\n(-- Take Tintype out.*?)```", guide, re.DOTALL)
    assert statements is not None
    connection = await asyncpg.connect(project_url)
    await connection.execute(statements[1])
    await connection.close()
    assert await fetch(project_url, SHAPE) == before
    assert await fetchrow(project_url, ROWS) == rows
    assert await fetch(project_url, "select id from storage.buckets") == ["avatars"]
    left = await fetch(
        project_url,
        "select c.oid::regclass from pg_class as c"
        " where c.relnamespace::regnamespace::text in ('public', 'tintype') and c.relkind in"
        " ('r', 'v', 'S') and c.oid::regclass::text not like '%notes%'",
    )
    assert left == []
