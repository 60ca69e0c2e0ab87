"""Who hears of which change, and what exactly?"""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from realtime_site import Site, add_project, every, is_quiet

from support import kernel
from tintype import database

Admin = "asyncpg.Connection[asyncpg.Record]"


async def test_the_owner_hears_of_every_change_and_nobody_else_does(
    site: Site, admin: Admin, ada: UUID, bob: UUID
) -> None:
    hers, his = await site.connect(), await site.connect(version="1.0.0")
    [number] = await hers.subscribe(every("projects"), token=site.token(ada))
    await his.subscribe(every("projects"), token=site.token(bob))
    nobodys = await site.connect()
    refused = await nobodys.join(postgres_changes=[every("projects")])
    assert refused["status"] == "ok"
    assert (await nobodys.event("system"))["payload"]["status"] == "error"

    project = await add_project(admin, ada)
    frame = await hers.event("postgres_changes")
    assert (frame["ref"], frame["payload"]["ids"]) == (None, [number])
    data = frame["payload"]["data"]
    assert data["commit_timestamp"].endswith("Z") and data["errors"] is None
    stored = await admin.fetchval(
        "select to_jsonb(p)::text from public.projects as p where id = $1", project
    )
    assert data["record"] == json.loads(stored)
    assert "old_record" not in data
    assert {one["name"]: one["type"] for one in data["columns"]} == {
        "id": "uuid",
        "user_id": "uuid",
        "name": "text",
        "canvas_state": "jsonb",
        "created_at": "timestamptz",
        "updated_at": "timestamptz",
    }

    await admin.execute("update public.projects set name = 'Second' where id = $1", project)
    data = await hers.change()
    assert (data["type"], data["record"]["name"]) == ("UPDATE", "Second")
    assert data["old_record"] == {"id": str(project)}
    await admin.execute("delete from public.projects where id = $1", project)
    data = await hers.change()
    assert (data["type"], data["old_record"]) == ("DELETE", {"id": str(project)})
    assert "record" not in data

    await add_project(admin, bob, "His")
    seen = await his.until(lambda frame: frame["event"] == "postgres_changes")
    assert seen["payload"]["data"]["type"] == "DELETE", "all that he hears of hers is the key"
    assert (await his.change())["record"]["name"] == "His"
    assert not [frame for frame in nobodys.seen if frame["event"] == "postgres_changes"]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
async def test_the_service_sees_everything_and_a_missing_grant_nothing(
    site: Site, admin: Admin, ada: UUID, role: str
) -> None:
    keys = {"anon": site.keys.anon_key, "service_role": site.keys.service_role_key}
    talker = await site.connect()
    answer = await talker.join(
        token=keys.get(role) or site.token(ada), postgres_changes=[every("auth_only")]
    )
    assert answer["status"] == "ok"
    assert (await talker.event("system"))["payload"]["message"].startswith("Unable to subscribe")
    await talker.join("p", token=keys.get(role) or site.token(ada))
    if role == "service_role":
        await talker.subscribe(every("projects"), token=keys[role], name="q")
        await add_project(admin, ada)
        assert (await talker.change())["record"]["user_id"] == str(ada)


FILTERS = [
    ("name=eq.b", "b"),
    ("name=neq.a", "b c d,e"),
    ("name=in.(a,c)", "a c"),
    ('name=in.("d,e",b)', "b d,e"),
    ("name=in.()", ""),
    ("name=eq.d,e", "d,e"),
    ('name=eq."d,e"', "d,e"),
    ('name=not.eq."d,e",number=lt.9', "a b c"),
    (r'name=neq."x\"y,z=eq.\\"', "a b c d,e"),
    ('name=like."d,*"', "d,e"),
    ("name=gt.a", "b c d,e"),
    ("name=gte.b,name=lt.c", "b"),
    ("name=like.*,*", "d,e"),
    ("name=ilike.A", "a"),
    ("name=match.^[ab]$", "a b"),
    ("name=imatch.^[AB]$", "a b"),
    ("name=not.eq.a", "b c d,e"),
    ("name=not.in.(a,b)", "c d,e"),
    ("name=isdistinct.a", "b c d,e"),
    ("name=is.not_null,name=not.like.a", "b c d,e"),
    ("number=eq.2", "b"),
    ("number=lt.3", "a b"),
    ("number=lte.3", "a b c"),
    ("number=gt.2", "c d,e"),
    ("number=gte.2", "b c d,e"),
    ("amount=eq.1.50", "a"),
    ("amount=gt.2", "b c d,e"),
    ("done=is.true", "b d,e"),
    ("done=eq.false", "a c"),
    ("at=eq.2026-01-02T00:00:00Z", "b"),
    ("at=eq.2026-01-02T01:00:00%2B01:00", None),
    ("at=gt.2026-01-02T01:00:00+01:00", "c d,e"),
    ("tags=eq.{x}", "a b c d,e"),
    ("maybe=is.null", "a c d,e"),
    ("maybe=eq.yes", "b"),
    ("maybe=neq.yes", ""),
    ("maybe=isdistinct.yes", "a c d,e"),
    ('"odd,name"=eq.1', "a"),
]


async def make_things(admin: Any) -> None:
    await admin.execute(
        """
        create table public.things (
          id integer primary key, name text, number integer, amount numeric, done boolean,
          at timestamptz, tags text[], maybe text, "odd,name" integer
        );
        grant select on public.things to anon, authenticated, service_role;
        alter publication supabase_realtime add table public.things;
        """
    )


async def test_every_filter_lets_through_what_the_same_condition_in_sql_does(
    site: Site, admin: Admin
) -> None:
    await make_things(admin)
    talker = await site.connect()
    ids = {}
    for number, (text, _) in enumerate(FILTERS):
        name = f"room{number}"
        answer = await talker.join(name, postgres_changes=[every("things", filter=text)])
        ids[name] = answer["response"]["postgres_changes"][0]["id"]
        system = await talker.event("system")
        assert system["payload"]["status"] == ("ok" if FILTERS[number][1] is not None else "error")
    await talker.subscribe(every("things"), name="last")
    for number, name in enumerate(["a", "b", "c", "d,e"], 1):
        await admin.execute(
            "insert into public.things values ($1::integer, $2, $1, $1 * 1.5, $1 % 2 = 0,"
            " '2026-01-01Z'::timestamptz + ($1 - 1) * interval '1 day', '{x}', $3, $1)",
            number,
            name,
            "yes" if name == "b" else None,
        )
    found: dict[str, list[str]] = {name: [] for name in [*ids, "last"]}
    talker.seen.clear()

    async def heard() -> None:
        """Sort what came so far; whatever was sent before the answer has come before it."""
        await talker.reply(await talker.send("phoenix", "heartbeat", {}))
        for frame in talker.seen:
            found[frame["topic"].removeprefix("realtime:")].append(
                frame["payload"]["data"]["record"]["name"]
            )
        talker.seen.clear()

    while len(found["last"]) < 4:
        await heard()
    await heard()
    for number, (text, expected) in enumerate(FILTERS):
        assert " ".join(found[f"room{number}"]) == (expected or ""), text


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "nocolumn=eq.1",
        "number=eq.many",
        "number=like",
        "number=equals.1",
        "name=is.maybe",
        "number=in.1,2",
        "name=match.(",
        "tags=lt.x",
        "name=in.(" + ",".join("a" * 101) + ")",
        "number=eq.1; drop table public.things",
        "number=eq.1) or (true",
    ],
)
async def test_a_filter_that_cannot_be_applied_is_told_and_nothing_is_heard(
    site: Site, admin: Admin, text: str
) -> None:
    await make_things(admin)
    talker = await site.connect()
    answer = await talker.join(postgres_changes=[every("things", filter=text)])
    assert answer["status"] == "ok"
    payload = (await talker.event("system"))["payload"]
    assert payload["status"] == "error"
    assert payload["message"].startswith("Unable to subscribe to changes with given parameters")
    assert await admin.fetchval("select count(*) from public.things") == 0


async def test_every_type_is_written_as_to_jsonb_writes_it(site: Site, admin: Admin) -> None:
    await admin.execute(
        """
        create type public.mood as enum ('good', 'so "so"');
        create domain public.small as integer check (value < 10);
        create table public.kinds (
          id bigint primary key, a smallint, b real, c double precision, d numeric, e boolean,
          f json, g jsonb, h text, i varchar(9), j uuid, k date, l time, m timestamp,
          n timestamptz, o bytea, p int[], q text[], r jsonb[], s public.mood, t public.small,
          u timestamptz[], v int[][], w interval, x numeric, y char(3), z inet
        );
        grant select on public.kinds to service_role;
        alter publication supabase_realtime add table public.kinds;
        """
    )
    talker = await site.connect()
    await talker.subscribe(every("kinds"), token=site.keys.service_role_key)
    await admin.execute(
        """
        insert into public.kinds values (
          9007199254740993, -1, 1.5, 1e10, 12345678901234567890.10, true,
          '{"a" : [1, null]}', '{"b": 1.50}', E'a "quote" \\n \\\\ é 😀', 'v',
          gen_random_uuid(), '2026-01-02', '03:04:05', '2026-01-02 03:04:05.6',
          '2026-01-02 03:04:05.678901+02', '\\x00ff', '{1,NULL,3}',
          array['a,b', 'c"d', 'NULL', null, '', 'e\\f', '{}'], array['{"k": "v,w"}'::jsonb],
          'so "so"', 7, array['2026-01-02 03:04:05+00'::timestamptz], '{{1,2},{3,4}}',
          '1 day 02:00', 'NaN', 'ab', '10.0.0.1'
        )
        """
    )
    await admin.execute("insert into public.kinds (id) values (1)")
    for _ in range(2):
        data = await talker.change()
        stored = await admin.fetchval(
            "select to_jsonb(kinds)::text from public.kinds where id = $1", data["record"]["id"]
        )
        assert data["record"] == json.loads(stored)
    types = {one["name"]: one["type"] for one in data["columns"]}
    assert (types["p"], types["q"], types["s"], types["g"]) == ("_int4", "_text", "mood", "jsonb")


REPORT = """
update public.jobs set status = $2, progress = $3, seq = nextval('tintype.change_seq'),
  completed_at = case when $2 = 'completed' then now() end
where id = $1
"""


async def add_job(pool: database.Pool, user: UUID) -> UUID:
    await kernel.grant(pool, user, 5)
    [job] = await kernel.accepted(pool, kernel.submission(user))
    return job


async def test_a_view_shows_the_row_that_was_logged_as_the_view_shows_it(
    site: Site, admin: Admin, pool: database.Pool, ada: UUID, bob: UUID
) -> None:
    talker, other = await site.connect(), await site.connect()
    await talker.subscribe(every("generation_jobs"), every("jobs"), token=site.token(ada))
    await other.subscribe(every("generation_jobs"), token=site.token(bob))
    job = await add_job(pool, ada)
    await admin.execute(REPORT, job, "processing", 50)
    await admin.execute(REPORT, job, "completed", 100)
    await add_job(pool, bob)
    changes = await talker.changes(6)
    jobs = [one["record"] for one in changes if one["table"] == "jobs"]
    shown = [one["record"] for one in changes if one["table"] == "generation_jobs"]
    assert [row["status"] for row in jobs] == ["queued", "processing", "completed"]
    assert [row["status"] for row in shown] == ["pending", "generating", "completed"]
    assert [row["seq"] for row in shown] == [row["seq"] for row in jobs]
    final = await admin.fetchval(
        "select to_jsonb(g)::text from public.generation_jobs as g where id = $1", job
    )
    assert shown[-1] == json.loads(final)
    assert changes[-1]["old_record"] == {"id": str(job)}
    heard = await other.change()
    assert (heard["record"]["user_id"], heard["type"]) == (str(bob), "INSERT")


async def test_pictures_and_videos_each_come_through_their_own_view(
    site: Site, admin: Admin, pool: database.Pool, ada: UUID, bob: UUID
) -> None:
    talker, other = await site.connect(), await site.connect()
    views = [every("images"), every("photos"), every("videos")]
    await talker.subscribe(*views, token=site.token(ada))
    await other.subscribe(*views, token=site.token(bob))
    await kernel.grant(pool, ada, 5)
    [job] = await kernel.accepted(pool, kernel.submission(ada, quantity=2))
    for position, kind in enumerate(("image", "video")):
        await admin.execute(
            "insert into public.generations"
            " (user_id, job_id, position, bucket, path, url, media_type)"
            " values ($1, $2, $3, 'generations', 'p', 'u', $4)",
            ada,
            job,
            position,
            kind,
        )
    heard = [(one["table"], one["record"]["media_type"]) for one in await talker.changes(3)]
    assert sorted(heard[:2]) == [("images", "image"), ("photos", "image")]
    assert heard[2] == ("videos", "video")
    assert await is_quiet(other)


async def test_a_view_keeps_its_filter_on_a_column_that_it_computes(
    site: Site, admin: Admin, pool: database.Pool, ada: UUID
) -> None:
    talker = await site.connect()
    wanted = every("generation_jobs", filter="status=eq.generating")
    await talker.subscribe(wanted, token=site.token(ada))
    job = await add_job(pool, ada)
    await admin.execute(REPORT, job, "processing", 50)
    assert (await talker.change())["record"]["status"] == "generating"


async def test_one_message_names_every_binding_that_fits(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    ids = await talker.subscribe(
        every("projects"),
        every("projects", filter=f"user_id=eq.{ada}"),
        every("projects", filter="name=eq.other"),
        {"event": "DELETE", "schema": "public", "table": "projects"},
        {"event": "INSERT", "schema": "public"},
        {"event": "INSERT", "schema": "*", "table": "*"},
        token=site.token(ada),
    )
    await add_project(admin, ada)
    frame = await talker.event("postgres_changes")
    assert frame["payload"]["ids"] == sorted([ids[0], ids[1], ids[4], ids[5]])


async def test_a_binding_may_select_its_columns(site: Site, admin: Admin, ada: UUID) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects", select=["name", "id"]), token=site.token(ada))
    project = await add_project(admin, ada)
    data = await talker.change()
    assert data["record"] == {"id": str(project), "name": "First"}
    assert {one["name"] for one in data["columns"]} == {"id", "name"}
    answer = await talker.join(
        "bad", postgres_changes=[every("projects", select=["secret"])], token=site.token(ada)
    )
    assert answer["status"] == "ok"
    assert "secret" in (await talker.event("system"))["payload"]["message"]


async def test_columns_without_a_grant_are_left_out(site: Site, admin: Admin) -> None:
    await admin.execute(
        "create table public.half (id integer primary key, open text, secret text);"
        "grant select (id, open) on public.half to anon;"
        "alter publication supabase_realtime add table public.half"
    )
    talker = await site.connect()
    await talker.subscribe(every("half"))
    await admin.execute("insert into public.half values (1, 'a', 'b')")
    data = await talker.change()
    assert data["record"] == {"id": 1, "open": "a"}
    assert "secret" not in json.dumps(data)
    await talker.join("room2", postgres_changes=[every("half", filter="secret=eq.b")])
    assert (await talker.event("system"))["payload"]["status"] == "error"


async def test_a_large_value_that_an_update_leaves_alone_is_still_told(
    site: Site, admin: Admin, ada: UUID
) -> None:
    large = json.dumps({"a": [str(uuid4()) for _ in range(2_000)]})
    talker = await site.connect()
    project = await add_project(admin, ada)
    await admin.execute(
        "update public.projects set canvas_state = $2::text::jsonb where id = $1", project, large
    )
    await talker.subscribe(every("projects"), token=site.token(ada))
    await admin.execute("update public.projects set name = 'New' where id = $1", project)
    data = await talker.change()
    assert data["record"]["canvas_state"] == json.loads(large)


async def test_a_row_beyond_the_limit_comes_with_its_small_values_and_says_so(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    project = await add_project(admin, ada)
    await talker.change()
    await admin.execute(
        "update public.projects set canvas_state = jsonb_build_object('a', repeat('x', 1100000))"
        " where id = $1",
        project,
    )
    data = await talker.change()
    assert data["errors"] == ["Error 413: Payload Too Large"]
    assert data["record"]["id"] == str(project) and "canvas_state" not in data["record"]


async def test_balances_come_with_the_column_that_postgres_computes(
    site: Site, pool: database.Pool, ada: UUID
) -> None:
    talker = await site.connect()
    await talker.subscribe(
        every("credit_accounts", filter=f"user_id=eq.{ada}"), token=site.token(ada)
    )
    await kernel.grant(pool, ada, 7)
    heard = await talker.change()
    while heard["record"]["balance"] != 7:
        heard = await talker.change()
    assert heard["record"]["available"] == 7


async def test_a_table_without_row_security_shows_what_identified_a_deleted_row(
    site: Site, admin: Admin
) -> None:
    await make_things(admin)
    await admin.execute("alter table public.things replica identity full")
    talker = await site.connect()
    await talker.subscribe(every("things", filter="name=eq.a"))
    await admin.execute("insert into public.things (id, name) values (1, 'a'), (2, 'b')")
    assert (await talker.change())["type"] == "INSERT"
    await admin.execute("update public.things set number = 5 where id = 1")
    data = await talker.change()
    assert (data["record"]["number"], data["old_record"]["number"]) == (5, None)
    await admin.execute("delete from public.things")
    data = await talker.change()
    assert (data["type"], data["old_record"]["name"]) == ("DELETE", "a")


async def test_a_filter_on_a_column_outside_the_key_never_fits_a_deletion(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    project = await add_project(admin, ada)
    await talker.subscribe(
        every("projects", filter=f"user_id=eq.{ada}"),
        every("projects", filter=f"id=eq.{project}"),
        token=site.token(ada),
    )
    await admin.execute("delete from public.projects where id = $1", project)
    frame = await talker.event("postgres_changes")
    assert len(frame["payload"]["ids"]) == 1


async def test_a_policy_that_raises_ends_the_channel_out_loud(
    site: Site, admin: Admin, ada: UUID
) -> None:
    await admin.execute(
        "create policy broken on public.projects for select to authenticated"
        " using (1 / (name <> 'zero')::integer = 1)"
    )
    talker, service = await site.connect(), await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    await service.subscribe(every("projects"), token=site.keys.service_role_key)
    await add_project(admin, uuid4(), "zero")
    assert (await service.change())["record"]["name"] == "zero"
    system = await talker.event("system")
    assert "Changes may have been missed" in system["payload"]["message"]
    assert (await talker.event("phx_error"))["topic"] == "realtime:room"


async def test_a_channel_that_was_joined_before_the_session_was_there_hears_once_it_is(
    site: Site, admin: Admin, ada: UUID
) -> None:
    talker = await site.connect()
    answer = await talker.join(postgres_changes=[every("projects")])
    assert answer["status"] == "ok"
    system = (await talker.event("system"))["payload"]
    assert system["status"] == "error" and "anon may not select" in system["message"]
    await talker.send("realtime:room", "access_token", {"access_token": site.token(ada)})
    system = (await talker.event("system"))["payload"]
    assert (system["status"], system["message"]) == ("ok", "Subscribed to PostgreSQL")
    await add_project(admin, ada)
    assert (await talker.change())["record"]["name"] == "First"


async def test_a_new_token_changes_what_is_heard(
    site: Site, admin: Admin, ada: UUID, bob: UUID
) -> None:
    talker = await site.connect()
    await talker.subscribe(every("projects"), token=site.token(ada))
    await talker.send("realtime:room", "access_token", {"access_token": site.token(bob)})
    await talker.reply(await talker.send("phoenix", "heartbeat", {}))
    await add_project(admin, ada, "hers")
    await add_project(admin, bob, "his")
    assert (await talker.change())["record"]["name"] == "his"
