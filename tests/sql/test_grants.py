"""Who may do what, and does anything answer to somebody it should not?

The expectation is a list of every object; one that is in the database and not in the list fails.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from support import kernel
from tintype import database

Row = asyncpg.Record
Admin = asyncpg.Connection
ANNA, BERT = kernel.user(1), kernel.user(2)
ANON, USERS, SERVICE, PUBLIC = "anon", "authenticated", "service_role", "PUBLIC"
WORKER = "tintype_worker"
APPS = (ANON, USERS, SERVICE)

READ, WRITE = frozenset({"SELECT"}), frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
NOBODY: dict[str, frozenset[str]] = {}
OWN_ROWS = {USERS: READ, SERVICE: READ}
# A user begins a row of pictures or videos, and writes nothing of what a job writes into it.
BEGUN = READ | {
    f"INSERT of {column}"
    for column in ("id", "user_id", "project_id", "media_type", "status", "prompt", "metadata")
}
BEGUN_ROWS = {USERS: BEGUN, SERVICE: READ}
KEPT_ROWS = READ | {"DELETE"}
BATCHES = KEPT_ROWS | {
    f"INSERT of {column}"
    for column in (
        "user_id",
        "project_id",
        "model_id",
        "identity_id",
        "prompt",
        "aspect_ratio",
        "reference_image_urls",
        "total_images",
        "status",
    )
}
MODELS = (
    KEPT_ROWS
    | {"UPDATE of name"}
    | {
        f"INSERT of {column}"
        for column in ("user_id", "name", "base_model", "trigger_word", "images_count", "status")
    }
)
IDENTITIES = KEPT_ROWS | {"UPDATE of identity_name"}
RELATIONS = {
    "auth.identities": NOBODY,
    "auth.mfa_amr_claims": NOBODY,
    "auth.refresh_tokens": NOBODY,
    "auth.refresh_tokens_id_seq": NOBODY,
    "auth.sessions": NOBODY,
    "auth.users": NOBODY,
    "public.batches": {USERS: BATCHES, SERVICE: BATCHES},
    "public.batches_id_seq": dict.fromkeys((USERS, SERVICE), frozenset({"USAGE"})),
    "public.credit_accounts": OWN_ROWS,
    "public.credit_entries": OWN_ROWS,
    "public.credit_entries_id_seq": NOBODY,
    "public.generation_jobs": OWN_ROWS,
    "public.generations": BEGUN_ROWS,
    "public.images": BEGUN_ROWS,
    "public.jobs": OWN_ROWS,
    "public.models": {USERS: MODELS, SERVICE: MODELS},
    "public.models_id_seq": dict.fromkeys((USERS, SERVICE), frozenset({"USAGE"})),
    "public.photos": OWN_ROWS,
    "public.projects": {USERS: WRITE, SERVICE: WRITE},
    "public.templates": {USERS: WRITE, SERVICE: WRITE},
    "public.trained_identities": {USERS: IDENTITIES, SERVICE: IDENTITIES},
    "public.training_steps": OWN_ROWS,
    "public.videos": BEGUN_ROWS,
    "realtime.messages": dict.fromkeys(APPS, frozenset({"SELECT", "INSERT"})),
    "storage.buckets": dict.fromkeys(APPS, WRITE) | {WORKER: READ},
    "storage.objects": dict.fromkeys(APPS, WRITE) | {WORKER: WRITE - {"DELETE"}},
    "tintype.answers": NOBODY,
    "tintype.callbacks": {SERVICE: READ},
    "tintype.captures": {SERVICE: WRITE},
    "tintype.change_seq": dict.fromkeys((USERS, SERVICE), frozenset({"USAGE"})),
    "tintype.changes": {SERVICE: frozenset({"SELECT", "DELETE"})},
    "tintype.changes_id_seq": NOBODY,
    "tintype.checkpoints": {SERVICE: READ},
    "tintype.delayed": {SERVICE: READ},
    "tintype.function_logs": {SERVICE: READ},
    "tintype.function_logs_id_seq": NOBODY,
    "tintype.job_history": {SERVICE: READ},
    "tintype.leases": {SERVICE: READ},
    "tintype.leftovers": {SERVICE: WRITE - {"INSERT"}},
    "tintype.migrations": {SERVICE: READ},
    "tintype.provider_pauses": {SERVICE: WRITE},
    "tintype.queues": {SERVICE: READ},
    "tintype.ready": {SERVICE: READ},
    "tintype.removals": {SERVICE: READ},
    "tintype.shares": NOBODY,
    "tintype.training_files": NOBODY,
    "tintype.upload_parts": {SERVICE: READ},
    "tintype.uploads": {SERVICE: READ},
    "tintype.workers": {SERVICE: READ},
}
KERNEL_ONLY = frozenset({SERVICE})
INTERNAL: frozenset[str] = frozenset()
FUNCTIONS = {
    "auth.email": frozenset({PUBLIC}),
    "auth.jwt": frozenset({PUBLIC}),
    "auth.role": frozenset({PUBLIC}),
    "auth.uid": frozenset({PUBLIC}),
    "public.claim_next_job": KERNEL_ONLY,
    "public.complete_job_with_result": KERNEL_ONLY,
    "public.queue_positions": frozenset({USERS}),
    "realtime.broadcast_changes": frozenset(APPS),
    "realtime.send": frozenset(APPS),
    "realtime.topic": frozenset(APPS),
    "storage.extension": frozenset(APPS),
    "storage.filename": frozenset(APPS),
    "storage.foldername": frozenset(APPS),
    "tintype.add_logs": KERNEL_ONLY,
    "tintype.add_refresh_token": INTERNAL,
    "tintype.add_user": KERNEL_ONLY,
    "tintype.add_worker": KERNEL_ONLY,
    "tintype.await_commits": KERNEL_ONLY,
    "tintype.begin_assets": INTERNAL,
    "tintype.begin_batches": INTERNAL,
    "tintype.begin_followers": INTERNAL,
    "tintype.begin_rows": INTERNAL,
    "tintype.begin_trainings": INTERNAL,
    "tintype.begin_upload": KERNEL_ONLY,
    "tintype.cancel": INTERNAL,
    "tintype.capture": INTERNAL,
    "tintype.change_user": KERNEL_ONLY,
    "tintype.claim": KERNEL_ONLY,
    "tintype.claim_removals": KERNEL_ONLY,
    "tintype.clock": KERNEL_ONLY,
    "tintype.close_leases": KERNEL_ONLY,
    "tintype.complete": INTERNAL,
    "tintype.complete_upload": KERNEL_ONLY,
    "tintype.confirm_grant": KERNEL_ONLY,
    "tintype.confirm_write": KERNEL_ONLY,
    "tintype.deliver": KERNEL_ONLY,
    "tintype.describe_session": INTERNAL,
    "tintype.emails_of": KERNEL_ONLY,
    "tintype.end_assets": INTERNAL,
    "tintype.end_removal": KERNEL_ONLY,
    "tintype.end_unasked": INTERNAL,
    "tintype.end_unfinished": INTERNAL,
    "tintype.end_upload": KERNEL_ONLY,
    "tintype.enqueue": INTERNAL,
    "tintype.erase_rows": KERNEL_ONLY,
    "tintype.expire": INTERNAL,
    "tintype.extend_upload": KERNEL_ONLY,
    "tintype.fail": INTERNAL,
    "tintype.find_credentials": KERNEL_ONLY,
    "tintype.find_session": KERNEL_ONLY,
    "tintype.find_user_id": KERNEL_ONLY,
    "tintype.first_id": INTERNAL,
    "tintype.follow_job": INTERNAL,
    "tintype.forget_tokens": INTERNAL,
    "tintype.forget_upload": KERNEL_ONLY,
    "tintype.forward": KERNEL_ONLY,
    "tintype.grant_credits": KERNEL_ONLY,
    "tintype.grant_file": KERNEL_ONLY,
    "tintype.hasten": KERNEL_ONLY,
    "tintype.held_by": KERNEL_ONLY,
    "tintype.hold": INTERNAL,
    "tintype.hold_removals": KERNEL_ONLY,
    "tintype.hold_one_by_one": INTERNAL,
    "tintype.is_banned": INTERNAL,
    "tintype.is_in_scope": KERNEL_ONLY,
    "tintype.keep_checkpoint": INTERNAL,
    "tintype.job_written_to": INTERNAL,
    "tintype.late_removal": INTERNAL,
    "tintype.leave_to_remover": INTERNAL,
    "tintype.number_rename": INTERNAL,
    "tintype.lock_named": INTERNAL,
    "tintype.merge_metadata": INTERNAL,
    "tintype.name_identity": INTERNAL,
    "tintype.name_lost_worker": INTERNAL,
    "tintype.name_provider": INTERNAL,
    "tintype.note_callback": KERNEL_ONLY,
    "tintype.note_change": INTERNAL,
    "tintype.note_history": INTERNAL,
    "tintype.note_published": KERNEL_ONLY,
    "tintype.note_table": KERNEL_ONLY,
    "tintype.noted_tables": KERNEL_ONLY,
    "tintype.open_account": KERNEL_ONLY,
    "tintype.open_session": KERNEL_ONLY,
    "tintype.page_users": KERNEL_ONLY,
    "tintype.plan_removal": KERNEL_ONLY,
    "tintype.pop": KERNEL_ONLY,
    "tintype.prolong": KERNEL_ONLY,
    "tintype.promote": INTERNAL,
    "tintype.prune": KERNEL_ONLY,
    "tintype.prune_history": INTERNAL,
    "tintype.prune_messages": KERNEL_ONLY,
    "tintype.read_user": KERNEL_ONLY,
    "tintype.record_adapter": KERNEL_ONLY,
    "tintype.record_object": KERNEL_ONLY,
    "tintype.record_training_images": KERNEL_ONLY,
    "tintype.release": INTERNAL,
    "tintype.remember": INTERNAL,
    "tintype.removal_of_model": KERNEL_ONLY,
    "tintype.remove_generations": KERNEL_ONLY,
    "tintype.remove_user": KERNEL_ONLY,
    "tintype.renew": KERNEL_ONLY,
    "tintype.report": KERNEL_ONLY,
    "tintype.report_training": KERNEL_ONLY,
    "tintype.requeue": INTERNAL,
    "tintype.rescue": INTERNAL,
    "tintype.revoke_sessions": KERNEL_ONLY,
    "tintype.revoke_worker": KERNEL_ONLY,
    "tintype.rfc3339": INTERNAL,
    "tintype.rotate_session": KERNEL_ONLY,
    "tintype.screen": INTERNAL,
    "tintype.search_users": KERNEL_ONLY,
    "tintype.see_worker": KERNEL_ONLY,
    "tintype.set_premium": KERNEL_ONLY,
    "tintype.set_upload_length": KERNEL_ONLY,
    "tintype.settle": INTERNAL,
    "tintype.settle_cancel": KERNEL_ONLY,
    "tintype.settle_complete": KERNEL_ONLY,
    "tintype.settle_expired": KERNEL_ONLY,
    "tintype.settle_fail": KERNEL_ONLY,
    "tintype.settle_rescue": KERNEL_ONLY,
    "tintype.shape_rows": KERNEL_ONLY,
    "tintype.stop_notes": KERNEL_ONLY,
    "tintype.stored_answer": KERNEL_ONLY,
    "tintype.submit": KERNEL_ONLY,
    "tintype.take": INTERNAL,
    "tintype.upload_offset": KERNEL_ONLY,
    "tintype.topic_rights": KERNEL_ONLY,
    "tintype.visible_of": KERNEL_ONLY,
    "tintype.visible_rows": KERNEL_ONLY,
    "tintype.visible_statement": KERNEL_ONLY,
    "tintype.without": INTERNAL,
    "tintype.worker_may_write": frozenset({WORKER}),
}
SCHEMAS = {
    "auth": frozenset(APPS),
    "public": frozenset({*APPS, PUBLIC}),
    "realtime": frozenset(APPS),
    "storage": frozenset({*APPS, WORKER}),
    "tintype": KERNEL_ONLY | {WORKER},
}

# What belongs to a user, with the column that says whose it is.
OWNED = {
    "public.batches": "user_id",
    "public.credit_accounts": "user_id",
    "public.credit_entries": "user_id",
    "public.generation_jobs": "user_id",
    "public.generations": "user_id",
    "public.images": "user_id",
    "public.jobs": "user_id",
    "public.models": "user_id",
    "public.photos": "user_id",
    "public.projects": "user_id",
    "public.templates": "user_id",
    "public.trained_identities": "user_id",
    "public.training_steps": "user_id",
    "public.videos": "user_id",
    "storage.objects": "owner",
}

GRANTS_OF_RELATIONS = """
select c.relnamespace::regnamespace || '.' || c.relname as name, a.role, a.privilege_type
from pg_class as c
left join lateral (
  select coalesce(r.rolname, 'PUBLIC') as role, x.privilege_type
  from aclexplode(c.relacl) as x
  left join pg_roles as r on x.grantee = r.oid
  where x.grantee <> c.relowner
  union all
  select coalesce(r.rolname, 'PUBLIC'), x.privilege_type || ' of ' || t.attname
  from pg_attribute as t, aclexplode(t.attacl) as x
  left join pg_roles as r on x.grantee = r.oid
  where t.attrelid = c.oid
) as a on true
where c.relnamespace::regnamespace::text = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
"""
GRANTS_OF_FUNCTIONS = """
select p.pronamespace::regnamespace || '.' || p.proname as name, p.oid, a.role
from pg_proc as p
left join lateral (
  select coalesce(r.rolname, 'PUBLIC') as role
  from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as x
  left join pg_roles as r on x.grantee = r.oid
  where x.grantee <> p.proowner
) as a on true
where p.pronamespace::regnamespace::text = any ($1)
"""


def schemas() -> list[str]:
    return list(SCHEMAS)


@asynccontextmanager
async def acting(
    admin: "Admin[Row]", role: str, user: UUID | None = None
) -> AsyncIterator["Admin[Row]"]:
    """Act as a caller in a transaction that is rolled back."""
    transaction = admin.transaction()
    await transaction.start()
    try:
        claims = kernel.text({"sub": user, "role": role} if user else {"role": role})
        await admin.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await admin.execute(f"set local role {role}")
        yield admin
    finally:
        await transaction.rollback()


async def refusal(connection: "Admin[Row]", statement: str, *arguments: Any) -> str:
    """Return the SQLSTATE with which a statement is refused; the transaction goes on."""
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with connection.transaction():
            await connection.fetch(statement, *arguments)
    return str(caught.value.sqlstate)


async def test_every_table_view_and_sequence_has_exactly_the_grants_of_the_list(
    admin: "Admin[Row]",
) -> None:
    found: dict[str, dict[str, set[str]]] = {}
    for row in await admin.fetch(GRANTS_OF_RELATIONS, schemas()):
        roles = found.setdefault(row["name"], {})
        if row["role"] is not None:
            roles.setdefault(row["role"], set()).add(row["privilege_type"])
    assert found == {
        name: {role: set(may) for role, may in roles.items()} for name, roles in RELATIONS.items()
    }


async def test_every_function_can_be_called_by_exactly_the_roles_of_the_list(
    admin: "Admin[Row]",
) -> None:
    rows = await admin.fetch(GRANTS_OF_FUNCTIONS, schemas())
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["name"], set()).update({row["role"]} - {None})
    assert found == {name: set(roles) for name, roles in FUNCTIONS.items()}
    assert len({row["oid"] for row in rows}) == len(found), "a name with two signatures"


async def test_every_schema_can_be_used_by_exactly_the_roles_of_the_list(
    admin: "Admin[Row]",
) -> None:
    rows = await admin.fetch(
        """
        select n.nspname, coalesce(r.rolname, 'PUBLIC') as role, x.privilege_type
        from pg_namespace as n, aclexplode(n.nspacl) as x
        left join pg_roles as r on x.grantee = r.oid
        where n.nspname = any ($1) and x.grantee <> n.nspowner
        """,
        schemas(),
    )
    assert {row["privilege_type"] for row in rows} == {"USAGE"}
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["nspname"], set()).add(row["role"])
    assert found == {name: set(roles) for name, roles in SCHEMAS.items()}


async def test_there_is_no_other_schema_that_apps_could_use(admin: "Admin[Row]") -> None:
    rows = await admin.fetch(
        "select nspname from pg_namespace"
        " where nspname !~ '^pg_' and nspname <> 'information_schema'"
    )
    assert {row["nspname"] for row in rows} == SCHEMAS.keys()


async def test_no_app_role_inherits_rights_or_creates_anything(admin: "Admin[Row]") -> None:
    rows = await admin.fetch("select * from pg_roles where rolname = any ($1)", list(APPS))
    assert len(rows) == len(APPS)
    for row in rows:
        assert not row["rolsuper"] and not row["rolcreaterole"] and not row["rolcanlogin"]
        assert row["rolbypassrls"] == (row["rolname"] == SERVICE)
    memberships = await admin.fetch(
        "select from pg_auth_members where member::regrole::text = any ($1)", list(APPS)
    )
    assert memberships == []


async def test_every_definer_function_pins_its_search_path_and_is_closed_to_the_public(
    admin: "Admin[Row]",
) -> None:
    rows = await admin.fetch(
        """
        select p.oid::regprocedure::text as name, p.proconfig, exists (
          select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as x
          where x.grantee = 0
        ) as is_open
        from pg_proc as p
        where p.prosecdef and p.pronamespace::regnamespace::text = any ($1)
        """,
        schemas(),
    )
    assert len(rows) > 20
    assert [row["name"] for row in rows if 'search_path=""' not in (row["proconfig"] or [])] == []
    assert [row["name"] for row in rows if row["is_open"]] == []


async def test_row_level_security_is_on_wherever_apps_can_reach(admin: "Admin[Row]") -> None:
    rows = await admin.fetch(
        """
        select c.oid::regclass::text as name, c.relkind::text as kind, c.relrowsecurity as is_on,
          coalesce('security_invoker=true' = any (c.reloptions), false) as is_invoker
        from pg_class as c
        where c.relnamespace::regnamespace::text in ('public', 'storage', 'auth')
          and c.relkind in ('r', 'p', 'v', 'm', 'f')
        """
    )
    assert [row["name"] for row in rows if row["kind"] in "rp" and not row["is_on"]] == []
    assert [row["name"] for row in rows if row["kind"] == "v" and not row["is_invoker"]] == []
    assert {row["kind"] for row in rows} == {"r", "v"}


@pytest.fixture
async def rows_of_two(admin: "Admin[Row]", pool: database.Pool) -> "Admin[Row]":
    """Anna and Bert each have a row in everything that belongs to users."""
    for user in (ANNA, BERT):
        await kernel.grant(pool, user, 10)
        await admin.execute("insert into public.projects (user_id) values ($1)", user)
        await admin.execute("insert into public.templates (user_id, name) values ($1, 'x')", user)
        await admin.execute("insert into public.batches (user_id) values ($1)", user)
        await admin.execute("insert into public.models (user_id) values ($1)", user)
        await admin.execute(
            "insert into public.trained_identities"
            " (user_id, identity_name, model_id, trigger_word, num_training_images)"
            " values ($1, 'x', $1::uuid::text, 'x', 3)",
            user,
        )
        await admin.execute(
            "insert into public.training_steps (job_id, step, user_id, steps_total)"
            " values (gen_random_uuid(), 1, $1, 2)",
            user,
        )
        [job] = await kernel.accepted(pool, kernel.submission(user, quantity=2))
        await kernel.claim(pool)
        for position, media_type in enumerate(("image", "video")):
            await kernel.deliver(pool, job, 1, position)
            await admin.execute(
                "update public.generations set media_type = $3 where job_id = $1 and position = $2",
                job,
                position,
                media_type,
            )
        for bucket in ("generations", "uploads"):
            await admin.execute(
                "insert into storage.objects (bucket_id, name, owner) values ($1, $2, $3)",
                bucket,
                f"{user}/1.png",
                user,
            )
        await admin.execute("insert into auth.users (id) values ($1)", user)
        await admin.execute("select realtime.send('{}', 'e', $1::uuid::text)", user)
    return admin


async def test_a_user_reads_own_rows_and_nobody_elses(rows_of_two: "Admin[Row]") -> None:
    readable = {
        name for name, roles in RELATIONS.items() if roles.get(USERS, frozenset()) >= READ
    } - {"realtime.messages", "storage.buckets"}
    assert readable == OWNED.keys()
    for name, column in OWNED.items():
        assert await rows_of_two.fetchval(f"select count(distinct {column}) from {name}") == 2
        async with acting(rows_of_two, USERS, ANNA) as anna:
            found = await anna.fetch(f"select distinct {column} as owner from {name}")
        assert [row["owner"] for row in found] == [ANNA], name
        async with acting(rows_of_two, USERS, uuid4()) as stranger:
            assert await stranger.fetchval(f"select count(*) from {name}") == 0, name
        async with acting(rows_of_two, USERS) as nameless:
            assert await nameless.fetchval(f"select count(*) from {name}") == 0, name


async def test_a_public_template_is_read_by_others_and_changed_by_none_of_them(
    rows_of_two: "Admin[Row]",
) -> None:
    await rows_of_two.execute("update public.templates set is_public = true")
    async with acting(rows_of_two, USERS, ANNA) as anna:
        assert await anna.fetchval("select count(*) from public.templates") == 2
        assert await anna.execute("update public.templates set name = 'mine'") == "UPDATE 1"
        assert await anna.execute("delete from public.templates") == "DELETE 1"
        assert await anna.execute("update public.projects set name = 'mine'") == "UPDATE 1"
    async with acting(rows_of_two, ANON) as anon:
        assert await refusal(anon, "select * from public.templates") == "42501"


async def test_a_user_makes_rows_for_nobody_else(rows_of_two: "Admin[Row]") -> None:
    async with acting(rows_of_two, USERS, ANNA) as anna:
        for statement in (
            "insert into public.projects (user_id) values ($1)",
            "insert into public.templates (user_id, name) values ($1, 'x')",
            "insert into public.batches (user_id) values ($1)",
            "insert into public.models (user_id) values ($1)",
            "update public.projects set user_id = $1",
            "update public.templates set user_id = $1",
            "insert into storage.objects (bucket_id, name) values ('uploads', $1::uuid || '/2')",
            "update storage.objects set name = $1::uuid || '/3' where bucket_id = 'uploads'",
        ):
            assert await refusal(anna, statement, BERT) == "42501", statement
            if statement.startswith("insert"):
                await anna.execute(statement, ANNA)


@pytest.mark.parametrize("role", [ANON, USERS])
async def test_apps_never_change_jobs_outputs_or_credits(
    rows_of_two: "Admin[Row]", role: str
) -> None:
    changes = {
        "public.jobs": "status = 'completed'",
        "public.generations": "url = 'x'",
        "public.credit_accounts": "balance = 1000",
        "public.credit_entries": "amount = 1000",
        "public.images": "url = 'x'",
        "public.photos": "url = 'x'",
        "public.videos": "url = 'x'",
        "public.generation_jobs": "prompt = 'x'",
        "auth.users": "role = 'service_role'",
    }
    async with acting(rows_of_two, role, ANNA) as caller:
        for name, change in changes.items():
            for statement in (
                f"update {name} set {change}",
                f"delete from {name}",
                f"insert into {name} default values",
            ):
                assert await refusal(caller, statement) == "42501", statement
        for name in RELATIONS:
            if not name.endswith("_seq"):
                assert await refusal(caller, f"truncate {name}") in ("42501", "42809"), name


async def test_not_even_the_kernels_role_changes_jobs_or_credits_without_a_verb(
    rows_of_two: "Admin[Row]",
) -> None:
    async with acting(rows_of_two, SERVICE) as service:
        for name in ("public.jobs", "public.credit_accounts", "public.credit_entries"):
            assert await refusal(service, f"delete from {name}") == "42501"
        assert await refusal(service, "select tintype.capture('{}', '{}', '{}')") == "42501"
        assert await refusal(service, "select tintype.enqueue('[]')") == "42501"


async def test_anonymous_callers_read_nothing(rows_of_two: "Admin[Row]") -> None:
    async with acting(rows_of_two, ANON) as anon:
        for name in RELATIONS:
            if name.startswith(("realtime.", "storage.")):
                assert await anon.fetchval(f"select count(*) from {name}") == 0, name
            elif not name.endswith("_seq"):
                assert await refusal(anon, f"select * from {name}") == "42501", name
        for bucket in ("generations", "uploads"):
            statement = "insert into storage.objects (bucket_id, name) values ($1, 'x')"
            assert await refusal(anon, statement, bucket) == "42501"


@pytest.mark.parametrize("role", [ANON, USERS])
async def test_apps_cannot_call_a_verb(rows_of_two: "Admin[Row]", role: str) -> None:
    async with acting(rows_of_two, role, ANNA) as caller:
        for statement in (
            "select * from public.claim_next_job()",
            "select public.complete_job_with_result(gen_random_uuid(), '{x}', 1)",
            "select tintype.grant_credits(gen_random_uuid(), 5)",
            "select * from tintype.submit('[]')",
            "select * from tintype.settle_cancel(gen_random_uuid(), null, 'x')",
        ):
            assert await refusal(caller, statement) == "42501", statement


async def test_a_worker_that_speaks_sql_claims_completes_and_is_guarded(
    admin: "Admin[Row]", pool: database.Pool
) -> None:
    await kernel.grant(pool, ANNA, 10)
    [job] = await kernel.accepted(pool, kernel.submission(ANNA, quantity=3, price=2))
    complete = "select public.complete_job_with_result($1, $2, $3)"
    pictures = ["https://example.test/1.png", "https://example.test/2.png"]
    async with acting(admin, SERVICE) as worker:
        assert await refusal(worker, complete, uuid4(), pictures, 2) == "TT404"
        assert await refusal(worker, complete, job, pictures, 2) == "TT409"
        [claimed] = await worker.fetch("select * from public.claim_next_job('mine')")
        assert (claimed["id"], claimed["status"]) == (job, "processing")
        assert await worker.fetch("select * from public.claim_next_job()") == []
        for urls, count in (
            (pictures, 3),
            (pictures, 0),
            (pictures, None),
            ([], 0),
            (None, 0),
            (None, None),
            ([*pictures, None], 3),
            ([*pictures, *pictures], 4),
        ):
            assert await refusal(worker, complete, job, urls, count) == "TT400", (urls, count)
        await worker.fetchval(complete, job, pictures, 2)
        row = await worker.fetchrow("select * from public.jobs where id = $1", job)
        account = await worker.fetchrow("select * from public.credit_accounts")
        assert row is not None and account is not None
        assert (row["status"], row["result_count"]) == ("completed", 2)
        assert (account["balance"], account["held"]) == (6, 0)

        await worker.fetchval(complete, job, pictures, 2)
        assert await worker.fetchrow("select * from public.jobs where id = $1", job) == row
        assert await worker.fetchrow("select * from public.credit_accounts") == account
        assert await refusal(worker, complete, job, pictures[:1], 1) == "TT409"
