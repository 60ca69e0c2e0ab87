"""What is remembered of a job that did not go the plain way, and for how long."""

from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import pytest

from support import kernel
from tintype import database, jobs

Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
ANNA = kernel.user(1)


@pytest.fixture(autouse=True)
async def credits_of_anna(pool: database.Pool) -> None:
    await kernel.grant(pool, ANNA, 100)


async def history(pool: database.Pool, job: UUID) -> list[tuple[Any, ...]]:
    rows = await jobs.history(pool, job)
    return [tuple(row[name] for name in ("attempt", "kind", "code", "worker")) for row in rows]


async def test_a_job_that_succeeds_at_once_leaves_nothing(pool: database.Pool) -> None:
    [job] = await kernel.accepted(pool, kernel.submission(ANNA))
    [row] = await kernel.claim(pool)
    await kernel.report(pool, (job, 1, 50))
    await kernel.deliver(pool, job, 1, 0)
    await kernel.complete(pool, [(job, 1)], [row["lease_id"]])
    assert await history(pool, job) == []


async def test_a_retried_job_tells_why_and_who_had_it(pool: database.Pool, admin: Admin) -> None:
    [job] = await kernel.accepted(pool, kernel.submission(ANNA, max_retries=1))
    await kernel.claim(pool, worker="first")
    await kernel.report(pool, (job, 1, 0))
    await kernel.fail(pool, job, 1, delay=60)
    await kernel.make_due(admin)
    await kernel.claim(pool, worker="second")
    await kernel.report(pool, (job, 2, 0))
    await kernel.report(pool, (job, 2, 10))
    await kernel.fail(pool, job, 2, delay=60)
    assert await history(pool, job) == [
        (1, "retried", "transient", "first"),
        (2, "started", None, "second"),
        (2, "failed", "transient", "second"),
    ]
    [first, *_] = await jobs.history(pool, job)
    assert first["message"] == "The provider did not answer."


async def test_lost_workers_are_named_by_the_jobs_they_lost(
    pool: database.Pool, admin: Admin
) -> None:
    kept, lost = await kernel.accepted(
        pool, kernel.submission(ANNA), kernel.submission(ANNA, max_retries=0)
    )
    await kernel.claim(pool, 1, worker="first")
    await kernel.claim(pool, 1, worker="second")
    await kernel.expire_leases(admin)
    assert len(await kernel.rescue(pool)) == 2
    assert await history(pool, kept) == [(1, "rescued", "worker_lost", "first")]
    assert await history(pool, lost) == [(1, "failed", "worker_lost", "second")]


async def test_a_canceled_job_tells_who_worked_on_it(pool: database.Pool) -> None:
    taken, waiting = await kernel.accepted(pool, *(kernel.submission(ANNA) for _ in range(2)))
    await kernel.claim(pool, 1, worker="first")
    for job in (taken, waiting):
        await kernel.cancel(pool, job)
        await kernel.cancel(pool, job)
    assert await history(pool, taken) == [(1, "canceled", "canceled", "first")]
    assert await history(pool, waiting) == [(1, "canceled", "canceled", None)]


async def test_a_job_that_is_handed_on_says_so(pool: database.Pool, admin: Admin) -> None:
    [job] = await kernel.accepted(pool, kernel.submission(ANNA))
    await kernel.claim(pool)
    await admin.execute(
        "update public.jobs set queue = 'elsewhere', attempt = attempt + 1 where id = $1", job
    )
    assert await history(pool, job) == [(1, "forwarded", None, "worker")]


async def test_a_job_that_never_ends_is_remembered_up_to_a_bound_and_its_end_always(
    pool: database.Pool, admin: Admin
) -> None:
    [job] = await kernel.accepted(pool, kernel.submission(ANNA))
    for attempt in range(1, 106):
        await admin.execute("update public.jobs set attempt = $2 where id = $1", job, attempt + 1)
    await kernel.cancel(pool, job)
    found = await history(pool, job)
    assert len(found) == 101
    assert found[-1][1] == "canceled"


async def test_history_goes_with_its_job_and_with_age(pool: database.Pool, admin: Admin) -> None:
    # Of now; the others of these tests are of a time far ahead.
    old, new = UUID(int=1), jobs.new_id()
    rows = [kernel.submission(ANNA, job_id=one, hold_id=one) for one in (old, new)]
    await kernel.accepted(pool, *rows)
    for job in (old, new):
        await kernel.cancel(pool, job)
    await jobs.prune(pool, limit=10)
    assert (len(await history(pool, old)), len(await history(pool, new))) == (0, 1)
    await admin.execute("delete from public.jobs where id = $1", new)
    assert await history(pool, new) == []


async def test_logs_are_kept_for_a_week_and_a_number_of_lines(
    pool: database.Pool, admin: Admin
) -> None:
    line = {"function": "f", "request_id": "r", "level": "info", "message": "m"}
    await pool.execute(
        "select tintype.add_logs($1)",
        kernel.text(
            [
                line | {"at": "2020-01-01T00:00:00Z"},
                line | {"at": "2099-01-01T00:00:00Z", "status": 200, "seconds": 0.5},
            ]
        ),
    )
    await jobs.prune(pool, limit=10)
    [kept] = await pool.fetch("select id, status, seconds from tintype.function_logs")
    assert (kept["status"], kept["seconds"]) == (200, 0.5)
    await admin.execute(
        "insert into tintype.function_logs (id, at, function, request_id, level, message)"
        " overriding system value"
        " select 100000 + $1, now(), 'f', 'r', 'info', 'm'",
        kept["id"],
    )
    await jobs.prune(pool, limit=10)
    assert await pool.fetchval("select count(*) from tintype.function_logs") == 1


async def test_a_delayed_job_is_hastened_and_no_other(pool: database.Pool) -> None:
    delayed, ready = await kernel.accepted(pool, *(kernel.submission(ANNA) for _ in range(2)))
    await kernel.claim(pool)
    await kernel.fail(pool, delayed, 1, delay=3600)
    assert [row["id"] for row in await kernel.claim(pool, 5)] == [ready]
    await pool.execute("select tintype.hasten($1)", delayed)
    assert [row["id"] for row in await kernel.claim(pool, 5)] == [delayed]
    for job, state in ((delayed, "TT409"), (ready, "TT409"), (kernel.job_id(), "TT404")):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await pool.execute("select tintype.hasten($1)", job)
        assert caught.value.sqlstate == state
