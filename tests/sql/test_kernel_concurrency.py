"""What is left when many want the same credits, job, key or rows at the same moment?"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from support import kernel
from tintype import credits, database

Row = asyncpg.Record
CONNECTIONS = 8
ANNA, BERT = kernel.user(1), kernel.user(2)


@pytest.fixture
async def wide(database_url: str) -> AsyncIterator[database.Pool]:
    """A kernel's pool with all of its connections open."""
    pool = await database.connect(database_url, size_max=CONNECTIONS)
    await asyncio.gather(*(pool.fetchval("select pg_sleep(0.01)") for _ in range(CONNECTIONS)))
    yield pool
    await pool.close()


async def assert_the_ledger_holds(pool: database.Pool) -> None:
    verification = await credits.verify(pool)
    assert verification.holds_true, verification.findings


async def outcomes_of(*calls: Awaitable[list[Row]]) -> Counter[str]:
    return Counter(row["outcome"] for rows in await asyncio.gather(*calls) for row in rows)


async def test_one_credit_and_fifty_concurrent_submits_give_one_job(wide: database.Pool) -> None:
    await kernel.grant(wide, ANNA, 1)
    outcomes = await outcomes_of(*(kernel.submit(wide, kernel.submission(ANNA)) for _ in range(50)))
    assert outcomes == {"accepted": 1, "insufficient": 49}
    assert await wide.fetchval("select count(*) from public.jobs") == 1
    assert await wide.fetchval("select available from public.credit_accounts") == 0
    await assert_the_ledger_holds(wide)


async def test_three_credits_and_ten_concurrent_calls_for_three_give_one_job(
    wide: database.Pool,
) -> None:
    await kernel.grant(wide, ANNA, 3)
    outcomes = await outcomes_of(
        *(kernel.submit(wide, kernel.submission(ANNA, quantity=3)) for _ in range(10))
    )
    assert outcomes == {"accepted": 1, "insufficient": 9}
    assert await wide.fetchval("select count(*) from public.jobs") == 1
    await assert_the_ledger_holds(wide)


async def test_a_batch_that_asks_for_too_much_gets_what_is_there_in_its_order(
    wide: database.Pool,
) -> None:
    await kernel.grant(wide, ANNA, 3)
    await kernel.grant(wide, BERT, 10)
    rows = [kernel.submission(ANNA, quantity=3) for _ in range(5)]
    rows += [kernel.submission(ANNA, quantity=1), kernel.submission(BERT, quantity=2)]
    found = [row["outcome"] for row in await kernel.submit(wide, *rows)]
    assert found == ["accepted", *["insufficient"] * 5, "accepted"]
    await assert_the_ledger_holds(wide)


async def test_a_smaller_call_of_a_batch_is_held_after_a_larger_one_was_refused(
    wide: database.Pool,
) -> None:
    await kernel.grant(wide, ANNA, 3)
    rows = [kernel.submission(ANNA, quantity=quantity) for quantity in (2, 4, 1, 1)]
    found = [row["outcome"] for row in await kernel.submit(wide, *rows)]
    assert found == ["accepted", "insufficient", "accepted", "insufficient"]
    await assert_the_ledger_holds(wide)


async def test_the_same_key_at_the_same_moment_gives_one_job_and_one_answer(
    wide: database.Pool,
) -> None:
    await kernel.grant(wide, ANNA, 100)
    calls = [
        kernel.submit(wide, kernel.submission(ANNA, key="k", fingerprint="f")) for _ in range(40)
    ]
    rows = [rows[0] for rows in await asyncio.gather(*calls)]
    assert Counter(row["outcome"] for row in rows) == {"accepted": 1, "replayed": 39}
    answers = [row["answer"] for row in rows]
    assert all(answer == answers[0] for answer in answers)
    assert await wide.fetchval("select count(*) from public.jobs") == 1
    await assert_the_ledger_holds(wide)


async def test_the_same_key_twice_in_one_batch_gives_one_job_and_disturbs_nobody(
    wide: database.Pool,
) -> None:
    for user in (ANNA, BERT):
        await kernel.grant(wide, user, 100)
    rows = [
        kernel.submission(ANNA, key="k", fingerprint="f"),
        kernel.submission(BERT, key="k", fingerprint="other"),
        kernel.submission(ANNA, key="k", fingerprint="f"),
        kernel.submission(ANNA, key="k", fingerprint="changed"),
    ]
    found = await kernel.submit(wide, *rows)
    assert [row["outcome"] for row in found] == ["accepted", "accepted", "replayed", "key_reused"]
    assert found[2]["answer"] == found[0]["answer"]
    await assert_the_ledger_holds(wide)


async def test_the_rows_of_a_batch_are_known_by_their_ordinal_and_not_by_their_place(
    wide: database.Pool,
) -> None:
    await kernel.grant(wide, ANNA, 100)
    await kernel.submit(wide, kernel.submission(ANNA, key="k", fingerprint="f"))
    again = kernel.submission(ANNA, key="k", fingerprint="f") | {"ordinal": 7}
    fresh = kernel.submission(ANNA) | {"ordinal": 3}
    found = await wide.fetch("select * from tintype.submit($1)", kernel.text([again, fresh]))
    assert {row["ordinal"]: row["outcome"] for row in found} == {7: "replayed", 3: "accepted"}
    assert await wide.fetchval("select count(*) from public.jobs") == 2


async def test_concurrent_grants_of_one_payment_count_once(wide: database.Pool) -> None:
    statement = "select tintype.grant_credits($1, 5, 'payment-1')"
    granted = await asyncio.gather(*(wide.fetchval(statement, ANNA) for _ in range(30)))
    assert Counter(granted) == {True: 1, False: 29}
    assert await wide.fetchval("select balance from public.credit_accounts") == 5
    await assert_the_ledger_holds(wide)


async def test_a_hold_resolves_once_whoever_resolves_it_and_however_often(
    wide: database.Pool, database_url: str
) -> None:
    """As the owner of the functions: callers only reach capture through a job that just ended."""
    await kernel.grant(wide, ANNA, 100)
    owners = await database.connect(database_url, size_max=CONNECTIONS, role=None)
    release = "select * from tintype.release(array[$1::uuid], array[$2::uuid])"
    for turn in range(20):
        [hold] = await kernel.accepted(wide, kernel.submission(ANNA, quantity=4, price=1))
        statement = (
            "select * from tintype.capture(array[$1::uuid], array[$2::integer], array[$3::uuid])"
        )
        calls = [owners.fetch(statement, hold, units, ANNA) for units in (1, 0, 4, 1, 2, 9)]
        resolved = [row for rows in await asyncio.gather(*calls) for row in rows]
        assert len(resolved) == 1, turn
        assert resolved[0]["captured"] + resolved[0]["released"] == 4
        assert await owners.fetch(release, hold, ANNA) == []
        assert await wide.fetchval("select held from public.credit_accounts") == 0
    await owners.close()


async def test_no_two_workers_claim_the_same_job(wide: database.Pool) -> None:
    jobs = 3000
    await kernel.grant(wide, ANNA, jobs)
    await kernel.grant(wide, BERT, jobs)
    for user in (ANNA, BERT):
        await kernel.accepted(wide, *(kernel.submission(user) for _ in range(jobs // 2)))

    async def worker(name: str) -> list[UUID]:
        claimed: list[UUID] = []
        while rows := await kernel.claim(wide, 7, worker=name):
            assert len(rows) <= 7
            claimed += [row["id"] for row in rows]
        return claimed

    hauls = await asyncio.gather(*(worker(str(number)) for number in range(4)))
    claimed = Counter(job for haul in hauls for job in haul)
    assert len(claimed) == jobs and set(claimed.values()) == {1}
    assert all(hauls), "one worker took everything"


async def hold_in_a_lease(wide: database.Pool, **fields: Any) -> tuple[UUID, UUID]:
    """Submit one job for Anna and claim it; return it and its lease."""
    [job] = await kernel.accepted(wide, kernel.submission(ANNA, quantity=4, price=3, **fields))
    [row] = await kernel.claim(wide)
    assert row["id"] == job
    return job, row["lease_id"]


async def quiet(call: Awaitable[Any]) -> Any:
    """Return what a call returns, or None when it comes too late."""
    try:
        return await call
    except asyncpg.PostgresError as error:
        if error.sqlstate != "TT409":
            raise
        return None


async def test_one_of_complete_cancel_fail_and_rescue_ends_a_job(
    wide: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    await kernel.grant(wide, ANNA, 10_000)
    endings: Counter[str] = Counter()
    for turn in range(60):
        job, lease = await hold_in_a_lease(wide, max_retries=0)
        for position in range(turn % 3):
            await kernel.deliver(wide, job, 1, position)
        await kernel.expire_leases(admin)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: kernel.complete(wide, [(job, 1)], [lease]),  # noqa: B023
            lambda: kernel.cancel(wide, job, ANNA),  # noqa: B023
            lambda: kernel.fail(wide, job, 1),  # noqa: B023
            lambda: kernel.rescue(wide),
            lambda: kernel.deliver(wide, job, 1, 3),  # noqa: B023
            lambda: kernel.report(wide, (job, 1, 50)),  # noqa: B023
        ]
        random.shuffle(calls)
        found = dict(
            zip(
                [id(call) for call in calls],
                await asyncio.gather(*(quiet(call()) for call in calls)),
                strict=True,
            )
        )
        row = await wide.fetchrow("select * from public.jobs where id = $1", job)
        assert row is not None and row["completed_at"] is not None
        endings[row["status"]] += 1
        winners = [
            answer for answer in found.values() if isinstance(answer, (list, Row)) and len(answer)
        ]
        assert len(winners) == 1, winners
        await assert_the_ledger_holds(wide)
    assert len(endings) > 1, "the same call won every time: nothing raced"


async def test_a_job_that_several_give_back_is_queued_once(
    wide: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    await kernel.grant(wide, ANNA, 10_000)
    for _ in range(30):
        job, lease = await hold_in_a_lease(wide)
        await kernel.expire_leases(admin)
        await asyncio.gather(
            kernel.rescue(wide),
            kernel.fail(wide, job, 1, delay=0),
            kernel.rescue(wide),
            kernel.fail(wide, job, 1, delay=0, spends=False),
            kernel.renew(wide, [lease]),
        )
        row = await wide.fetchrow("select * from public.jobs where id = $1", job)
        assert row is not None and (row["status"], row["attempt"]) == ("queued", 2)
        assert await wide.fetchval("select count(*) from tintype.ready where job_id = $1", job) == 1
        await kernel.cancel(wide, job)
        await kernel.claim(wide, 100)
    await assert_the_ledger_holds(wide)


async def test_batches_that_name_the_same_jobs_in_other_orders_do_not_deadlock(
    wide: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    """The middle job of three is locked, so that both batches stand before it with one in hand."""
    await kernel.grant(wide, ANNA, 1000)
    for second in (
        lambda jobs: kernel.report(wide, *((job, 1, 20) for job in jobs)),
        lambda jobs: kernel.complete(wide, [(job, 1) for job in jobs]),
    ):
        jobs = await kernel.accepted(wide, *(kernel.submission(ANNA) for _ in range(3)))
        async with admin.transaction():
            await admin.execute("select from public.jobs where id = $1 for update", jobs[1])
            calls = [
                asyncio.ensure_future(kernel.report(wide, *((job, 1, 10) for job in jobs))),
                asyncio.ensure_future(second(jobs[::-1])),
            ]
            await until_blocked(admin, 2)
        await asyncio.gather(*calls)


async def test_rescue_of_two_leases_and_a_late_completion_do_not_deadlock(
    wide: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    """The first lease to expire holds the youngest job, which also lies first in the table."""
    await kernel.grant(wide, ANNA, 1000)
    jobs = await kernel.accepted(wide, *(kernel.submission(ANNA) for _ in range(3)))
    leases = {}
    for _ in jobs:
        [row] = await kernel.claim(wide)
        leases[row["id"]] = row["lease_id"]
    for job in jobs[:2]:
        await kernel.report(wide, (job, 1, 5))
    # Enough rows for a plan that would rather walk the table than its index.
    await kernel.accepted(wide, *(kernel.submission(ANNA) for _ in range(40)))
    await admin.execute("analyze public.jobs")
    for place, job in enumerate(jobs):
        await admin.execute(
            "update tintype.leases set expires_at = now() - $2 * interval '1 minute' where id = $1",
            leases[job],
            place + 1,
        )
    async with admin.transaction():
        await admin.execute("select from public.jobs where id = $1 for update", jobs[1])
        rescue = asyncio.ensure_future(kernel.rescue(wide))
        await until_blocked(admin, 1)
        complete = asyncio.ensure_future(
            kernel.complete(wide, [(job, 1) for job in jobs], list(leases.values()))
        )
        await until_blocked(admin, 2)
    taken, completed = await asyncio.gather(rescue, complete)
    assert len(taken) + len(completed) == len(jobs)
    await assert_the_ledger_holds(wide)


@pytest.mark.parametrize("verb", ["complete", "report", "deliver", "fail", "cancel"])
async def test_what_waits_for_a_report_of_the_same_attempt_is_not_lost(
    wide: database.Pool, admin: "asyncpg.Connection[Row]", verb: str
) -> None:
    """The row that was waited for is a newer one than the statement began with."""
    await kernel.grant(wide, ANNA, 1000)
    job, lease = await hold_in_a_lease(wide)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "complete": lambda: kernel.complete(wide, [(job, 1)], [lease]),
        "report": lambda: kernel.report(wide, (job, 1, 60)),
        "deliver": lambda: kernel.deliver(wide, job, 1, 0),
        "fail": lambda: kernel.fail(wide, job, 1, delay=0),
        "cancel": lambda: kernel.cancel(wide, job),
    }
    async with admin.transaction():
        assert await kernel.report(admin, (job, 1, 50)) == {job}
        waiting = asyncio.ensure_future(calls[verb]())
        await until_blocked(admin, 1)
    assert await waiting, f"{verb} took effect on nothing"
    await assert_the_ledger_holds(wide)


async def until_blocked(admin: "asyncpg.Connection[Row]", count: int) -> None:
    """Wait until `count` backends of this database wait for a lock."""
    statement = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and wait_event_type = 'Lock'"
    )
    while await admin.fetchval(statement) < count:
        await admin.execute("select pg_stat_clear_snapshot()")
        await asyncio.sleep(0.005)


class Crowd:
    """Workers and users that meet on the same jobs, accounts, leases and shares."""

    def __init__(self, pool: database.Pool, admin: "asyncpg.Connection[Row]", seed: int) -> None:
        self.pool = pool
        self.admin = admin
        self.random = random.Random(seed)
        self.users = [kernel.user(number) for number in range(1, 6)]
        # Every job ever claimed, with the attempt of that claim; most of them are out of date.
        self.claims: list[tuple[UUID, int]] = []
        self.lease_ids: list[UUID] = []
        self._admin_is_free = asyncio.Lock()

    def batch(self, size: int) -> list[tuple[UUID, int]]:
        recent = self.claims[-60:]
        chosen = dict(self.random.sample(recent, min(size, len(recent))))
        return self.random.sample(sorted(chosen.items()), len(chosen))

    def leases(self) -> list[UUID]:
        return self.random.sample(self.lease_ids[-12:], min(6, len(self.lease_ids[-12:])))

    async def submit(self) -> None:
        rows = [
            kernel.submission(
                self.random.choice(self.users),
                quantity=2,
                priority=self.random.choice([0, 0, 5]),
                key=self.random.choice([None, "a", "b", "c"]),
                fingerprint="f",
                queue=self.random.choice(["images", "videos"]),
                max_retries=1,
            )
            for _ in range(8)
        ]
        await kernel.submit(self.pool, *rows)

    async def claim(self) -> None:
        queue = self.random.choice(["images", "videos"])
        for row in await kernel.claim(self.pool, 6, queue=queue):
            self.claims.append((row["id"], row["attempt"]))
            self.lease_ids.append(row["lease_id"])

    async def complete(self) -> None:
        await kernel.complete(self.pool, self.batch(12), self.leases())

    async def report(self) -> None:
        await kernel.report(self.pool, *((job, attempt, 10) for job, attempt in self.batch(12)))

    async def deliver(self) -> None:
        for job, attempt in self.batch(2):
            await quiet(kernel.deliver(self.pool, job, attempt, self.random.randrange(2)))

    async def fail(self) -> None:
        for job, attempt in self.batch(2):
            delay = self.random.choice([None, 0, 0.001])
            await kernel.fail(self.pool, job, attempt, delay=delay)

    async def cancel(self) -> None:
        for job, _ in self.batch(2):
            await quiet(kernel.cancel(self.pool, job))

    async def rescue(self) -> None:
        async with self._admin_is_free:
            for lease in self.leases():  # one at a time: no lock is kept while waiting for another
                await kernel.expire_leases(self.admin, [lease])
        await kernel.rescue(self.pool, 5)

    async def renew(self) -> None:
        await kernel.renew(self.pool, self.leases())

    async def close_leases(self) -> None:
        await self.pool.execute("select tintype.close_leases($1)", self.leases())

    async def grant(self) -> None:
        await kernel.grant(self.pool, self.random.choice(self.users), 5)

    async def prune(self) -> None:
        await self.pool.execute("select tintype.prune(5)")

    async def run(self, acts: int) -> None:
        verbs = [
            *[self.submit, self.claim, self.complete] * 3,
            *[self.report, self.deliver, self.fail, self.cancel, self.rescue, self.renew],
            *[self.close_leases, self.grant, self.prune],
        ]

        async def member() -> None:
            for _ in range(acts):
                await self.random.choice(verbs)()

        await asyncio.gather(*(member() for _ in range(CONNECTIONS)))


async def test_a_crowd_on_the_same_rows_never_deadlocks_and_money_stays_exact(
    wide: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    for user in [kernel.user(number) for number in range(1, 6)]:
        await kernel.grant(wide, user, 200)
    crowd = Crowd(wide, admin, seed=7)
    await crowd.run(acts=400)
    await assert_the_ledger_holds(wide)
    assert await admin.fetchval("select count(*) from public.jobs where completed_at is not null")
    lost = await admin.fetch(
        """
        select j.id from public.jobs as j
        where j.completed_at is null and 1 <> (
          (select count(*) from tintype.ready as r where (r.job_id, r.attempt) = (j.id, j.attempt))
          + (
            select count(*) from tintype.delayed as d
            where (d.job_id, d.attempt) = (j.id, j.attempt)
          )
          + (
            select count(*) from tintype.leases as l, unnest(l.job_ids, l.attempts) as h (id, a)
            where (h.id, h.a) = (j.id, j.attempt)
          )
        )
        """
    )
    assert lost == []
