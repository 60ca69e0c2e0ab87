"""Does the kernel keep its promises under any sequence of its verbs?

A machine draws verbs with their arguments, calls them over several connections to a real Postgres,
compares each answer with the model's, and after every step reads all tables and holds them against
the promises and against the model. `TINTYPE_HYPOTHESIS=deep` runs it for many minutes.
"""

import asyncio
import json
import os
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar
from uuid import UUID, uuid4

import asyncpg
import kernel_promises
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from kernel_bench import CONNECTIONS, VERBS, Bench, verb
from kernel_model import Model, ModelAccount, ModelJob

from support import kernel
from tintype import credits

IS_DEEP = os.environ.get("TINTYPE_HYPOTHESIS") == "deep"
EXAMPLES = 1000 if IS_DEEP else 80
STEPS = 100 if IS_DEEP else 60
USERS = [kernel.user(number) for number in range(3)]
STRANGER = kernel.user(99)
WORKERS = ["one", "two", "worker:1", "carrier:images"]
QUEUES = ["images", "videos"]

EMPTY = """
delete from public.generations; delete from public.jobs; delete from public.credit_entries;
delete from public.credit_accounts; delete from tintype.ready; delete from tintype.delayed;
delete from tintype.leases; delete from tintype.leftovers; delete from tintype.answers;
delete from tintype.shares; delete from tintype.queues; delete from tintype.callbacks;
"""

users = st.sampled_from(USERS)
connections = st.integers(0, CONNECTIONS - 1)
workers = st.sampled_from(WORKERS)
queues = st.sampled_from(["images", "images", "images", "videos"])
any_job = st.integers(0, 1000)
# Mostly the attempt that holds the job, else one before or after it.
attempts = st.sampled_from([0] * 8 + [-1, 1])
submissions = st.fixed_dictionaries(
    {
        "user": users,
        "quantity": st.integers(1, 4),
        "price": st.integers(1, 4),
        "priority": st.integers(-1, 1),
        "max_retries": st.sampled_from([0, 1, 3]),
        "queue": queues,
        "key": st.sampled_from([None, None, "a", "b"]),
        "fingerprint": st.sampled_from(["this", "this", "that"]),
        # A job without a row that follows it, with a new one, or with one that is named.
        "asset": st.sampled_from([None, "new", "new", 0, 1, 2]),
    }
)


@pytest.fixture(scope="module")
def bench(postgres_url: str) -> Iterator[Bench]:
    name = f"tintype_machine_{uuid4().hex[:12]}"
    parts = postgres_url.rsplit("/", 1)[0]

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f'create database "{name}" template template0'))
    bench = Bench(f"{parts}/{name}")
    yield bench
    bench.close()
    asyncio.run(execute(f'drop database "{name}" with (force)'))


class KernelMachine(RuleBasedStateMachine):
    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        # Each job's row as it was last seen; terminal rows must stay so to the letter.
        self.rows: dict[str, dict[str, Any]] = {}
        self.run(self.bench.admin.execute(EMPTY))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.bench.run(work)

    def via(self, connection: int) -> "asyncpg.Connection[asyncpg.Record]":
        return self.bench.kernels[connection]

    def job(self, number: int) -> ModelJob:
        jobs = list(self.model.jobs.values())
        return jobs[number % len(jobs)]

    def busy_job(self, number: int) -> ModelJob:
        """A job that a worker holds when there is one, else any."""
        leased = self.model.live("leased")
        return leased[number % len(leased)] if leased else self.job(number)

    @initialize(amounts=st.lists(st.integers(1, 60), min_size=2, max_size=2), data=st.data())
    def two_users_have_credits_and_jobs(self, amounts: list[int], data: st.DataObject) -> None:
        for user, amount in zip(USERS, amounts, strict=False):
            self.grant(0, user, amount, None)
        for _ in range(2):
            self.submit(0, data.draw(st.lists(submissions, min_size=1, max_size=3)))

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(WEIGHTED), label="verb")
        verb = VERBS[name]
        if verb.needs is None or getattr(self.model, verb.needs):
            arguments = {key: data.draw(one, key) for key, one in verb.arguments.items()}
            verb.call(self, **arguments)

    @verb(
        1,
        connection=connections,
        user=users,
        amount=st.integers(1, 30),
        reference=st.sampled_from([None, "payment-1", "payment-2"]),
    )
    def grant(self, connection: int, user: UUID, amount: int, reference: str | None) -> None:
        statement = "select tintype.grant_credits($1, $2, $3)"
        found = self.run(self.via(connection).fetchval(statement, user, amount, reference))
        assert found == self.model.grant(user, amount, reference)

    @verb(1, user=users, is_premium=st.booleans())
    def set_premium(self, user: UUID, is_premium: bool) -> None:
        self.run(self.via(0).execute("select tintype.set_premium($1, $2)", user, is_premium))
        self.model.accounts.setdefault(user, ModelAccount())
        self.model.accounts[user].is_premium = is_premium

    @verb(5, connection=connections, wanted=st.lists(submissions, min_size=1, max_size=3))
    def submit(self, connection: int, wanted: list[dict[str, Any]]) -> None:
        rows = [self.submission(**one) for one in wanted]
        found = self.run(kernel.submit(self.via(connection), *rows))
        answers = [
            (row["outcome"], None if row["answer"] is None else json.loads(row["answer"]))
            for row in found
        ]
        assert answers == self.model.submit(rows)

    def submission(self, user: UUID, asset: str | int | None, **fields: Any) -> dict[str, Any]:
        if asset is None:
            return kernel.submission(user, **fields)
        known = [*self.model.pending, *(job.asset for job in self.model.jobs.values() if job.asset)]
        if asset == "new" or not known:
            return kernel.submission(user, image_id=uuid4(), **fields)
        named = known[int(asset) * 7 % len(known)]
        return kernel.submission(user, image_id=named, asset_id=named, **fields)

    @verb(1, user=users)
    def begin_asset(self, user: UUID) -> None:
        asset = self.run(kernel.begin_asset(self.bench.admin, user))
        self.model.pending[asset] = user

    @verb(4, connection=connections, worker=workers, queue=queues, limit=st.integers(1, 3))
    def pop(self, connection: int, worker: str, queue: str, limit: int) -> None:
        found = self.run(kernel.pop(self.via(connection), limit, holder=worker, queue=queue))
        waiting = {job.id: job for job in self.model.live("ready") if job.queue == queue}
        assert bool(found) == bool(waiting) and len(found) <= limit
        for row in found:
            job = waiting[row["id"]]
            assert (row["attempt"], row["status"]) == (job.attempt, "processing")
            assert self.model.report(job, job.attempt, 0)
        if found:
            claims = [(row["id"], row["attempt"]) for row in found]
            self.model.claimed(found[0]["lease_id"], worker, claims)

    @verb(2, needs="jobs", connection=connections, number=any_job, worker=workers)
    def held_by(self, connection: int, number: int, worker: str) -> None:
        job = self.busy_job(number)
        found = self.run(kernel.held_by(self.via(connection), job.id, worker, "nobody"))
        lease_id = self.model.holder_of(job, worker)
        assert found == (None if lease_id is None else (lease_id, worker, job.attempt))

    @verb(8, connection=connections, worker=workers, queue=queues, limit=st.integers(1, 4))
    def claim(self, connection: int, worker: str, queue: str, limit: int) -> None:
        found = self.run(kernel.claim(self.via(connection), limit, worker=worker, queue=queue))
        waiting = [job for job in self.model.live("ready") if job.queue == queue]
        assert bool(found) == bool(waiting), "none come back only when none are ready"
        assert len(found) <= limit
        assert {row["id"] for row in found} <= {job.id for job in waiting}
        by_priority = sorted((job.priority for job in waiting), reverse=True)
        assert [row["priority"] for row in found] == by_priority[: len(found)]
        for row in found:
            assert row["attempt"] == self.model.jobs[row["id"]].attempt
        if found:
            claims = [(row["id"], row["attempt"]) for row in found]
            self.model.claimed(found[0]["lease_id"], worker, claims)

    @verb(
        3,
        needs="jobs",
        connection=connections,
        reports=st.lists(
            st.tuples(any_job, attempts, st.integers(0, 100)),
            min_size=1,
            max_size=3,
            unique_by=(lambda report: report[0]),
        ),
    )
    def report(self, connection: int, reports: list[tuple[int, int, int]]) -> None:
        shown = {
            job.id: (job, job.attempt + other, progress)
            for job, other, progress in ((self.busy_job(n), o, p) for n, o, p in reports)
        }
        rows = [(job.id, attempt, progress) for job, attempt, progress in shown.values()]
        found = self.run(kernel.report(self.via(connection), *rows))
        assert found == {job.id for job, *rest in shown.values() if self.model.report(job, *rest)}

    @verb(
        9,
        needs="jobs",
        connection=connections,
        number=any_job,
        other=attempts,
        position=st.integers(-1, 4),
    )
    def deliver(self, connection: int, number: int, other: int, position: int) -> None:
        job = self.busy_job(number)
        expected = self.model.deliver(job, job.attempt + other, position)
        delivery = kernel.deliver(self.via(connection), job.id, job.attempt + other, position)
        if expected is None:
            assert self.refusal(delivery) == "TT409"
        else:
            assert self.run(delivery) == expected

    @verb(
        3,
        needs="jobs",
        connection=connections,
        numbers=st.lists(st.tuples(any_job, attempts), min_size=1, max_size=3),
        with_leases=st.booleans(),
    )
    def complete(self, connection: int, numbers: list[tuple[int, int]], with_leases: bool) -> None:
        jobs = {
            job.id: (job, job.attempt + o) for job, o in ((self.busy_job(n), o) for n, o in numbers)
        }
        lease_ids = [*self.model.leases, uuid4()] if with_leases else []
        found = self.run(
            kernel.complete(self.via(connection), [(i, a) for i, (_, a) in jobs.items()], lease_ids)
        )
        expected = {
            (job.id, "completed", job.result_count)
            for job, attempt in jobs.values()
            if self.model.complete(job, attempt)
        }
        assert {(row["job_id"], row["status"], row["delivered"]) for row in found} == expected
        self.model.close_leases(lease_ids)

    @verb(
        4,
        needs="jobs",
        connection=connections,
        number=any_job,
        other=attempts,
        delay=st.sampled_from([None, 0.0, 0.0, 3600.0, 3600.0]),
        spends=st.booleans(),
    )
    def fail(
        self, connection: int, number: int, other: int, delay: float | None, spends: bool
    ) -> None:
        job = self.busy_job(number)
        attempt = job.attempt + other
        found = self.run(
            kernel.fail(self.via(connection), job.id, attempt, delay=delay, spends=spends)
        )
        expected = self.model.fail(job, attempt, delay, spends)
        assert (found and found["status"]) == expected
        if found:
            assert (found["retries"], found["delivered"]) == (job.retries, job.result_count)

    @verb(2, needs="jobs", connection=connections, number=any_job, other=attempts, queue=queues)
    def forward(self, connection: int, number: int, other: int, queue: str) -> None:
        job = self.busy_job(number)
        attempt = job.attempt + other
        found = self.run(kernel.forward(self.via(connection), job.id, attempt, queue))
        assert found == self.model.forward(job, attempt, queue)

    @verb(
        2,
        needs="jobs",
        connection=connections,
        number=any_job,
        who=st.sampled_from(["own", "other", "anyone"]),
    )
    def cancel(self, connection: int, number: int, who: str) -> None:
        assert self.refusal(kernel.cancel(self.via(connection), uuid4())) == "TT404"
        job = self.job(number)
        user = {"own": job.user, "other": STRANGER, "anyone": None}[who]
        expected = self.model.cancel(job, user)
        call = kernel.cancel(self.via(connection), job.id, user)
        if expected in ("TT404", "TT409"):
            assert self.refusal(call) == expected
        else:
            found = [(row["job_id"], row["status"], row["delivered"]) for row in self.run(call)]
            ended = [(job.id, "canceled", job.result_count)]
            assert found == ([] if expected == "again" else ended)

    @verb(3, needs="leases", number=any_job)
    def a_lease_expires(self, number: int) -> None:
        lease_ids = list(self.model.leases)
        lease_id = lease_ids[number % len(lease_ids)]
        self.run(kernel.expire_leases(self.bench.admin, [lease_id]))
        self.model.leases[lease_id].is_expired = True

    @verb(3, connection=connections, limit=st.integers(1, 3), have_all_expired=st.booleans())
    def rescue(self, connection: int, limit: int, have_all_expired: bool) -> None:
        for number in range(len(self.model.leases) if have_all_expired else 0):
            self.a_lease_expires(number)
        expired = [i for i, lease in self.model.leases.items() if lease.is_expired]
        before = set(self.model.leases)
        found = {
            row["job_id"]: row["status"]
            for row in self.run(kernel.rescue(self.via(connection), limit))
        }
        left = self.run(self.bench.admin.fetch("select id from tintype.leases"))
        gone = before - {row["id"] for row in left}
        assert gone <= set(expired) and len(gone) == min(limit, len(expired))
        assert found == self.model.rescue(sorted(gone))

    @verb(
        3,
        connection=connections,
        worker=workers,
        numbers=st.lists(any_job, min_size=1, max_size=2),
    )
    def renew(self, connection: int, worker: str, numbers: list[int]) -> None:
        lease_ids = [*self.model.leases, uuid4()]
        chosen = {lease_ids[number % len(lease_ids)] for number in numbers}
        found = self.run(kernel.renew(self.via(connection), sorted(chosen), worker=worker))
        mine = [
            i for i in chosen if i in self.model.leases and self.model.leases[i].worker == worker
        ]
        held: set[UUID] = set()
        lost: set[UUID] = set()
        for lease_id in mine:
            self.model.leases[lease_id].is_expired = False
            lost |= self.model.lost(lease_id)
            held |= {i for i, _ in self.model.leases[lease_id].holds} - self.model.lost(lease_id)
        # A lease also names what had ended before the claim, which the worker was never given.
        assert lost - held <= set(found)
        assert held.isdisjoint(found), "a job that is held under another lease was called lost"

    @verb(2, queue=queues)
    def the_delayed_come_due(self, queue: str) -> None:
        self.run(kernel.make_due(self.bench.admin))
        for connection in (0, 1):
            self.run(
                self.via(connection).fetch(
                    "select id from tintype.claim(gen_random_uuid(), $1, 'nobody', 0, 60)", queue
                )
            )
        for job in self.model.live("delayed"):
            if job.queue == queue:
                job.place = "ready"
        self.run(
            self.bench.admin.execute(
                "update tintype.delayed set run_at = run_at + interval '1 day'"
            )
        )

    @verb(1, limit=st.integers(1, 5))
    def prune(self, limit: int) -> None:
        self.run(self.via(0).fetchval("select tintype.prune($1)", limit))

    @verb(2, connection=connections)
    def claim_next_job(self, connection: int) -> None:
        found = self.run(self.via(connection).fetch("select * from public.claim_next_job()"))
        waiting = [job for job in self.model.live("ready") if job.queue == "images"]
        assert len(found) == bool(waiting)
        for row in found:
            job = self.model.jobs[row["id"]]
            assert job in waiting and job.priority == max(other.priority for other in waiting)
            assert row["status"] == "processing"
            self.model.report(job, job.attempt, 0)
            lease_id = self.run(
                self.bench.admin.fetchval(
                    "select id from tintype.leases where $1 = any (job_ids) and id <> all ($2)",
                    job.id,
                    list(self.model.leases),
                )
            )
            self.model.claimed(lease_id, "rpc", [(job.id, job.attempt)])

    @verb(
        2,
        needs="jobs",
        connection=connections,
        number=any_job,
        urls=st.integers(0, 5),
        off=st.sampled_from([0, 0, 1]),
    )
    def complete_job_with_result(self, connection: int, number: int, urls: int, off: int) -> None:
        job = self.busy_job(number)
        results = [f"https://example.test/{job.id}/{place}.jpg" for place in range(urls)]
        statement = "select public.complete_job_with_result($1, $2, $3)"
        call = self.via(connection).fetchval(statement, job.id, results, urls + off)
        if job.status == "completed" and job.urls == results:
            self.run(call)
        elif job.status != "processing":
            assert self.refusal(call) == "TT409"
        elif off or not 1 <= urls <= job.quantity:
            assert self.refusal(call) == "TT400"
        else:
            self.run(call)
            holders = [i for i, lease in self.model.leases.items() if job.id in dict(lease.holds)]
            assert self.model.complete(job, job.attempt, results)
            self.model.close_leases(holders)

    @verb(
        1,
        needs="jobs",
        number=any_job,
        kinds=st.lists(
            st.sampled_from(["complete", "cancel", "fail"]), min_size=2, max_size=CONNECTIONS
        ),
    )
    def race(self, number: int, kinds: list[str]) -> None:
        job = self.busy_job(number)

        async def enter(kind: str, place: int) -> str | None:
            via = self.via(place)
            if kind == "complete":
                won = await kernel.complete(via, [(job.id, job.attempt)])
                return "completed in full" if won else None
            if kind == "fail":
                row = await kernel.fail(via, job.id, job.attempt)
                return row and str(row["status"])
            try:
                return "canceled" if await kernel.cancel(via, job.id, job.user) else None
            except asyncpg.PostgresError as error:
                assert error.sqlstate == "TT409"
                return None

        async def everybody() -> list[str | None]:
            return await asyncio.gather(*(enter(kind, n) for n, kind in enumerate(kinds)))

        was_live = job.is_live
        winners = [status for status in self.run(everybody()) if status is not None]
        assert len(winners) == was_live
        if winners:
            self.model.end(job, winners[0].removesuffix(" in full"))
            if winners[0].endswith("in full"):
                job.progress = 100

    def refusal(self, call: Coroutine[Any, Any, Any]) -> str:
        with pytest.raises(asyncpg.PostgresError) as caught:
            self.run(call)
        return str(caught.value.sqlstate)

    @invariant()
    def every_promise_holds(self) -> None:
        seen = json.loads(self.run(self.bench.admin.fetchval(kernel_promises.SNAPSHOT)))
        kernel_promises.jobs(seen, self.model, self.rows)
        kernel_promises.assets(seen, self.model)
        kernel_promises.places(seen, self.model)
        kernel_promises.holds(seen)
        kernel_promises.accounts(seen, self.model)

    def teardown(self) -> None:
        verification = self.run(credits.verify(self.bench.pool))
        assert verification.holds_true, verification.findings


WEIGHTED = [name for name, verb in VERBS.items() for _ in range(verb.weight)]


@pytest.mark.timeout(7200 if IS_DEEP else 120)
def test_the_kernel_keeps_its_promises_under_any_sequence_of_verbs(bench: Bench) -> None:
    KernelMachine.bench = bench
    run_state_machine_as_test(
        KernelMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            # The smallest failing sequence takes minutes to find: that is for the long run.
            phases=[Phase.generate, *([Phase.shrink] if IS_DEEP else [])],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
