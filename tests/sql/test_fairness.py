"""Whose job is next, and what does it cost to find out?"""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from support import kernel
from tintype import database

Row = asyncpg.Record
Admin = asyncpg.Connection
ANNA, BERT, CLEO = kernel.user(1), kernel.user(2), kernel.user(3)
BACKLOG_JOBS = 50_000
DELAYED_JOBS = 20_000


@pytest.fixture
async def rich(pool: database.Pool) -> database.Pool:
    """The kernel's pool, with three users who can pay for everything here."""
    for user in (ANNA, BERT, CLEO):
        await kernel.grant(pool, user, 10**9)
    return pool


async def queue(pool: database.Pool, user: UUID, count: int, **fields: Any) -> list[UUID]:
    return await kernel.accepted(pool, *(kernel.submission(user, **fields) for _ in range(count)))


async def next_users(pool: database.Pool, count: int) -> list[UUID]:
    return [(await kernel.claim(pool))[0]["user_id"] for _ in range(count)]


async def test_a_higher_priority_goes_first_whoever_came_earlier(rich: database.Pool) -> None:
    for priority in (0, -5, 7, 3):
        await queue(rich, ANNA, 2, priority=priority)
    claimed = await kernel.claim(rich, 3) + await kernel.claim(rich, 10)
    assert [row["priority"] for row in claimed] == [7, 7, 3, 3, 0, 0, -5, -5]


async def test_of_one_users_jobs_the_oldest_goes_first(rich: database.Pool) -> None:
    jobs = await queue(rich, ANNA, 5) + await queue(rich, ANNA, 5)
    claimed = [row["id"] for _ in range(5) for row in await kernel.claim(rich, 2)]
    assert claimed == jobs


async def test_five_hundred_jobs_of_one_user_do_not_stand_before_anothers_three(
    rich: database.Pool,
) -> None:
    await queue(rich, ANNA, 500)
    await next_users(rich, 20)
    await queue(rich, BERT, 3)
    assert (await next_users(rich, 8)).count(BERT) == 3


async def test_users_take_turns_within_one_claim(rich: database.Pool) -> None:
    await queue(rich, ANNA, 50)
    await queue(rich, BERT, 50)
    users = [row["user_id"] for row in await kernel.claim(rich, 20)]
    assert users.count(BERT) == 10
    assert {frozenset(users[place : place + 2]) for place in range(0, 20, 2)} == {
        frozenset({ANNA, BERT})
    }


async def test_one_job_of_high_priority_does_not_bring_its_users_backlog_before_others(
    rich: database.Pool,
) -> None:
    await queue(rich, ANNA, 500)
    await queue(rich, ANNA, 1, priority=5)
    assert (await kernel.claim(rich))[0]["priority"] == 5
    await queue(rich, BERT, 3)
    assert (await next_users(rich, 8)).count(BERT) == 3


async def test_a_user_who_comes_back_waits_for_a_turn_like_everybody(rich: database.Pool) -> None:
    await queue(rich, BERT, 1)
    await next_users(rich, 1)
    await queue(rich, ANNA, 300)
    await next_users(rich, 200)
    await queue(rich, BERT, 20)
    users = await next_users(rich, 20)
    assert 9 <= users.count(BERT) <= 11, "neither all of the 199 turns missed, nor none at all"


async def test_a_user_who_had_many_jobs_is_not_punished_once_they_are_done(
    rich: database.Pool,
) -> None:
    await queue(rich, BERT, 300)
    await next_users(rich, 300)
    await queue(rich, ANNA, 20)
    await queue(rich, BERT, 20)
    assert 9 <= (await next_users(rich, 20)).count(BERT) <= 11


async def test_forgetting_old_shares_changes_nobodys_turn(rich: database.Pool) -> None:
    await queue(rich, ANNA, 100)
    await queue(rich, BERT, 5)
    await next_users(rich, 20)
    assert await rich.fetchval("select tintype.prune(100)") == 1
    await queue(rich, BERT, 10)
    await queue(rich, ANNA, 10)
    assert 9 <= (await next_users(rich, 20)).count(BERT) <= 11


async def test_a_retry_comes_back_when_its_time_has_come_and_not_before(
    rich: database.Pool, admin: "Admin[Row]"
) -> None:
    await queue(rich, ANNA, 20)
    [first] = await kernel.claim(rich)
    await kernel.fail(rich, first["id"], 1, delay=3600)
    assert first["id"] not in {row["id"] for row in await kernel.claim(rich, 2)}
    await kernel.make_due(admin)
    [again] = await kernel.claim(rich)
    assert (again["id"], again["attempt"], again["retries"]) == (first["id"], 2, 1)


async def test_a_retry_keeps_its_priority(rich: database.Pool, admin: "Admin[Row]") -> None:
    await queue(rich, ANNA, 1, priority=-1)
    [low] = await kernel.claim(rich)
    await kernel.fail(rich, low["id"], 1, delay=3600)
    await queue(rich, ANNA, 2)
    await kernel.make_due(admin)
    assert [row["priority"] for row in await kernel.claim(rich, 3)] == [0, 0, -1]


async def test_queues_do_not_see_each_other(rich: database.Pool) -> None:
    await queue(rich, ANNA, 3, queue="videos")
    assert await kernel.claim(rich, 10) == []
    assert len(await kernel.claim(rich, 10, queue="videos")) == 3


async def test_canceled_jobs_at_the_head_do_not_make_the_queue_look_empty(
    rich: database.Pool,
) -> None:
    jobs = await queue(rich, ANNA, 12)
    for job in jobs[:10]:
        await kernel.cancel(rich, job)
    assert [row["id"] for row in await kernel.claim(rich)] == [jobs[10]]
    assert [row["id"] for row in await rich.fetch("select * from public.claim_next_job()")] == [
        jobs[11]
    ]
    assert await rich.fetchval("select count(*) from tintype.leases") == 2


async def test_a_job_that_was_given_back_before_it_was_claimed_does_not_stop_the_queue(
    rich: database.Pool, admin: "Admin[Row]"
) -> None:
    [first, second] = await queue(rich, ANNA, 2)
    await kernel.fail(rich, first, 1, delay=0)
    await kernel.fail(rich, second, 1, delay=3600)
    await kernel.fail(rich, second, 2, delay=3600)
    await admin.execute("update tintype.queues set virtual_time = 2")
    await kernel.make_due(admin)
    assert {row["id"]: row["attempt"] for row in await kernel.claim(rich, 10)} == {
        first: 2,
        second: 3,
    }


async def test_a_claim_takes_no_more_than_its_limit_when_the_statistics_say_the_queue_is_empty(
    rich: database.Pool, admin: "Admin[Row]"
) -> None:
    """A worker asks an idle queue, analyzed empty, until its plan is kept; then jobs come."""
    await queue(rich, ANNA, 1)
    await kernel.claim(rich)
    await admin.execute("vacuum (analyze) tintype.ready")
    async with rich.acquire() as worker:
        for _ in range(8):
            assert await kernel.claim(worker) == []
        await queue(rich, ANNA, 50)
        for limit in (1, 2, 16):
            assert len(await kernel.claim(worker, limit)) == limit
        await worker.fetch("select * from public.claim_next_job()")
    assert await rich.fetchval("select count(*) from tintype.ready") == 50 - 1 - 2 - 16 - 1


async def test_a_job_that_was_taken_again_under_another_lease_is_not_called_lost(
    rich: database.Pool,
) -> None:
    [first, second] = await queue(rich, ANNA, 2)
    [row, _] = await kernel.claim(rich, 2)
    await kernel.fail(rich, first, 1, delay=0)
    [again] = await kernel.claim(rich)
    assert again["id"] == first
    leases = [row["lease_id"], again["lease_id"]]
    assert await kernel.renew(rich, leases) == set()
    await kernel.cancel(rich, second)
    assert await kernel.renew(rich, leases) == {second}


@pytest.fixture
async def backlog(admin: "Admin[Row]", rich: database.Pool) -> AsyncIterator["Admin[Row]"]:
    """A deep queue that autovacuum has not looked at, beside many delayed jobs and old answers."""
    await admin.execute("vacuum (analyze) tintype.ready, tintype.delayed, public.jobs")
    await admin.execute(
        f"""
        insert into public.jobs (id, user_id, created_at, expires_at)
        select lpad(to_hex(n), 32, '0')::uuid, '{ANNA}', now(), now() + interval '1 day'
        from generate_series(1, {BACKLOG_JOBS}) as n;
        insert into tintype.ready
        select 'images', 0, n, lpad(to_hex(n), 32, '0')::uuid, 1
        from generate_series(1, {BACKLOG_JOBS}) as n;
        insert into tintype.delayed
        select 'images', now() + n * interval '1 minute', gen_random_uuid(), 1, 0
        from generate_series(1, {DELAYED_JOBS}) as n;
        insert into tintype.answers
        select '{ANNA}', 'r', n, 'f', '{{}}', now() + interval '1 day'
        from generate_series(1, {DELAYED_JOBS}) as n;
        """
    )
    yield admin


async def rows_read(connection: "Admin[Row]", statement: str, *arguments: Any) -> dict[str, int]:
    """Return how many rows each table gave to a statement, functions within it included."""
    counters = (
        "select relname::text, seq_tup_read + coalesce(idx_tup_fetch, 0) as rows"
        " from pg_stat_xact_user_tables"
    )
    async with connection.transaction():
        before = {row["relname"]: row["rows"] for row in await connection.fetch(counters)}
        await connection.fetch(statement, *arguments)
        after = {row["relname"]: row["rows"] for row in await connection.fetch(counters)}
    return {name: rows - before[name] for name, rows in after.items() if rows - before[name]}


async def test_a_claim_reads_as_many_rows_as_it_takes_whatever_waits(backlog: "Admin[Row]") -> None:
    claim = "select id from tintype.claim(gen_random_uuid(), 'images', 'worker', $1, 60)"
    for limit in (1, 16, 100):
        for _ in range(7):  # from the sixth on, the plan may be one for any limit
            rows = await rows_read(backlog, claim, limit)
            assert rows["ready"] <= 2 * limit, rows
            assert rows["jobs"] <= 2 * limit, rows
            assert rows.get("delayed", 0) == 0, rows
    await backlog.execute("analyze")
    rows = await rows_read(backlog, claim, 16)
    assert rows["ready"] <= 32 and rows["jobs"] <= 32, rows


async def test_settling_reads_the_jobs_it_names_and_no_others(backlog: "Admin[Row]") -> None:
    claimed = await kernel.claim(backlog, 20)
    ids, ones = [row["id"] for row in claimed], [1] * len(claimed)
    rows = await rows_read(backlog, "select * from tintype.report($1, $2, $3)", ids, ones, ones)
    assert rows["jobs"] <= 40, rows
    lease, nothing = [claimed[0]["lease_id"]], [None] * len(ids)
    settle = "select * from tintype.settle_complete($1, $2, $3, $4, $5)"
    rows = await rows_read(backlog, settle, ids, ones, nothing, nothing, lease)
    assert rows["jobs"] <= 80, rows


async def test_pruning_reads_what_has_expired_and_nothing_else(backlog: "Admin[Row]") -> None:
    rows = await rows_read(backlog, "select tintype.prune(100)")
    # The planner looks at the end of an index once.
    assert rows.get("answers", 0) <= 1, rows


async def test_the_claims_statement_uses_its_index_in_every_plan(backlog: "Admin[Row]") -> None:
    """The statement is read out of the verb as the database keeps it."""
    verb = await backlog.fetchrow(
        "select prosrc, proconfig from pg_proc where oid = $1::text::regprocedure",
        "tintype.take(text, integer)",
    )
    assert verb is not None
    text, settings = verb
    found = re.search(r"select c\.\w+.*?skip locked", text, re.DOTALL)
    assert found is not None
    inner = found[0].replace("p_queue", "$1").replace("p_limit", "$2")
    await backlog.execute(f"prepare head (text, integer) as {inner}")
    for setting in settings or ():
        name, _, value = setting.partition("=")
        await backlog.fetchval("select set_config($1, $2, false)", name, value.strip('"'))
    for mode in ("force_custom_plan", "force_generic_plan"):
        for refresh in ("", "analyze tintype.ready"):
            await backlog.execute(f"{refresh}; set plan_cache_mode = {mode}")
            plan = await backlog.fetchval("explain (format json) execute head('images', 16)")
            nodes = list(nodes_of(json.loads(plan)[0]["Plan"]))
            assert [node["Node Type"] for node in nodes] == ["Limit", "LockRows", "Index Scan"]
            assert nodes[-1]["Index Name"] == "ready_pkey"
    await backlog.execute("reset all")


def nodes_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in nodes_of(child))]
