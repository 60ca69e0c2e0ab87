"""Which job does a worker outside the server have, what may it write, and until when?"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from test_kernel_concurrency import CONNECTIONS, assert_the_ledger_holds, until_blocked

from support import kernel
from tintype import database

Row = asyncpg.Record
Admin = asyncpg.Connection
ANNA, BERT = kernel.user(1), kernel.user(2)
BUCKET = "sdxl_image_fast"


@pytest.fixture
async def wide(database_url: str) -> AsyncIterator[database.Pool]:
    """A pool through which many calls go at once."""
    pool = await database.connect(database_url, size_max=CONNECTIONS)
    yield pool
    await pool.close()


class Crew:
    """Workers that are let in, each with the id of its key."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    async def add(self, name: str, *queues: str) -> tuple[UUID, UUID]:
        key_id = uuid4()
        worker_id = await self._pool.fetchval(
            "select tintype.add_worker($1, $2, $3, $4)", name, list(queues), key_id, uuid4().bytes
        )
        return worker_id, key_id

    async def job_of(self, worker: tuple[UUID, UUID], name: str, bucket: str = BUCKET) -> bool:
        """Whether the worker may write the object now, and whether confirming it says the same."""
        return bool(
            await self._pool.fetchval(
                "select tintype.confirm_write($1, $2, $3, $4)", *worker, bucket, name
            )
        )


@pytest.fixture
def crew(pool: database.Pool) -> Crew:
    return Crew(pool)


async def job_with_picture(pool: database.Pool, **fields: Any) -> tuple[UUID, UUID]:
    """Submit a job of Anna's that fills a picture; return both ids."""
    if await pool.fetchval("select count(*) from public.credit_accounts") == 0:
        await kernel.grant(pool, ANNA, 1000)
    image = uuid4()
    [job] = await kernel.accepted(
        pool, kernel.submission(ANNA, image_id=image, payload={"bucket": BUCKET}, **fields)
    )
    return job, image


async def test_a_worker_that_is_added_again_keeps_its_id_and_loses_its_key(
    pool: database.Pool, crew: Crew
) -> None:
    first = await crew.add("gpu", "images")
    second = await crew.add("gpu", "images", "videos")
    assert first[0] == second[0] and first[1] != second[1]
    assert await pool.fetchval("select queues from tintype.workers") == ["images", "videos"]
    assert await pool.fetchval("select tintype.revoke_worker('gpu')")
    assert not await pool.fetchval("select tintype.revoke_worker('gpu')")
    assert not await pool.fetchval("select tintype.revoke_worker('nobody')")
    third = await crew.add("gpu", "images")
    assert third[0] != first[0]


@pytest.mark.parametrize(
    ("name", "queues"), [("", ["a"]), ("A", ["a"]), ("x" * 64, ["a"]), ("x", []), ("x", ["a"] * 17)]
)
async def test_a_worker_that_does_not_fit_is_refused(
    pool: database.Pool, name: str, queues: list[str]
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await Crew(pool).add(name, *queues)


async def test_a_revoked_workers_jobs_are_rescued_at_once(pool: database.Pool, crew: Crew) -> None:
    worker_id, _ = await crew.add("gpu", "images")
    job, _ = await job_with_picture(pool)
    other, _ = await job_with_picture(pool)
    await kernel.pop(pool, holder=f"worker:{worker_id}")
    await kernel.pop(pool, holder="worker:another")
    assert await kernel.rescue(pool) == []
    await pool.fetchval("select tintype.revoke_worker('gpu')")
    assert [(row["job_id"], row["status"]) for row in await kernel.rescue(pool)] == [
        (job, "queued")
    ]
    assert await kernel.held_by(pool, other, "worker:another")


async def test_revoking_and_renewing_lock_leases_in_the_same_order(
    wide: database.Pool, admin: "Admin[Row]"
) -> None:
    worker_id, _ = await Crew(wide).add("gpu", "images")
    holder = f"worker:{worker_id}"
    leases = []
    for _ in range(4):
        await job_with_picture(wide)
        [row] = await kernel.pop(wide, holder=holder)
        leases.append(row["lease_id"])
    middle = sorted(leases)[1]
    async with admin.transaction():
        await admin.execute("select from tintype.leases where id = $1 for update", middle)
        calls: list[Awaitable[Any]] = [
            asyncio.ensure_future(kernel.renew(wide, leases[::-1], worker=holder)),
            asyncio.ensure_future(wide.fetchval("select tintype.revoke_worker('gpu')")),
        ]
        await until_blocked(admin, 2)
    await asyncio.gather(*calls)


async def test_a_worker_is_noted_as_seen_once_in_ten_seconds(
    pool: database.Pool, admin: "Admin[Row]", crew: Crew
) -> None:
    worker_id, _ = await crew.add("gpu", "images")
    see = "select tintype.see_worker($1)"
    await pool.execute(see, worker_id)
    first = await pool.fetchval("select seen_at from tintype.workers")
    await pool.execute(see, worker_id)
    assert first == await pool.fetchval("select seen_at from tintype.workers") is not None
    await admin.execute("update tintype.workers set seen_at = seen_at - interval '11 seconds'")
    await pool.execute(see, worker_id)
    assert await pool.fetchval("select seen_at from tintype.workers") > first


async def test_a_pop_lasts_as_long_as_the_slowest_type_of_it(pool: database.Pool) -> None:
    await kernel.grant(pool, ANNA, 100)
    seconds = kernel.text({"quick": 100, "slow": 900})
    for types, expected in ((["quick"], 100), (["quick", "slow"], 900), (["quick", "new"], 600)):
        await kernel.accepted(pool, *(kernel.submission(ANNA, job_type=one) for one in types))
        rows = await pool.fetch(
            "select * from tintype.pop($1, 'images', 'worker:1', 5, $2::text::jsonb)",
            uuid4(),
            seconds,
        )
        assert sorted(row["job_type"] for row in rows) == sorted(types)
        assert {row["status"] for row in rows} == {"processing"}
        left = await pool.fetchval(
            "select extract(epoch from max(expires_at) - tintype.clock()) from tintype.leases"
            " where job_ids @> array[$1::uuid]",
            rows[0]["id"],
        )
        assert expected - 5 < left <= expected


async def test_a_job_that_is_canceled_while_it_is_popped_is_not_lent(
    wide: database.Pool, admin: "Admin[Row]"
) -> None:
    job, _ = await job_with_picture(wide)
    other, _ = await job_with_picture(wide)
    async with admin.transaction():
        await admin.fetch("select * from tintype.settle_cancel($1, null, 'Canceled.')", job)
        popping = asyncio.ensure_future(kernel.pop(wide, 2))
        await until_blocked(admin, 1)
    assert [row["id"] for row in await popping] == [other]


async def test_a_job_is_held_by_who_has_its_present_attempt(pool: database.Pool) -> None:
    job, _ = await job_with_picture(pool)
    [row] = await kernel.pop(pool, holder="worker:1")
    assert await kernel.held_by(pool, job, "worker:1") == (row["lease_id"], "worker:1", 1)
    assert await kernel.held_by(pool, job, "x", "worker:1") is not None
    assert await kernel.held_by(pool, job, "worker:2") is None
    assert await kernel.held_by(pool, uuid4(), "worker:1") is None
    await kernel.fail(pool, job, 1, delay=0)
    assert await kernel.held_by(pool, job, "worker:1") is None
    [row] = await kernel.pop(pool, holder="worker:1")
    assert await kernel.held_by(pool, job, "worker:1") == (row["lease_id"], "worker:1", 2)
    await kernel.cancel(pool, job)
    assert await kernel.held_by(pool, job, "worker:1") is None


async def test_a_lease_that_is_prolonged_never_gets_shorter_and_never_comes_back(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    await job_with_picture(pool)
    [row] = await kernel.pop(pool)
    seconds = "select extract(epoch from expires_at - tintype.clock()) from tintype.leases"
    prolong = "select tintype.prolong($1, $2)"
    await pool.execute(prolong, row["lease_id"], 10)
    assert await admin.fetchval(seconds) > 600
    await pool.execute(prolong, row["lease_id"], 99_999)
    assert await admin.fetchval(seconds) > 90_000
    await kernel.expire_leases(admin)
    await pool.execute(prolong, row["lease_id"], 99_999)
    assert len(await kernel.rescue(pool)) == 1


@pytest.mark.parametrize(
    ("name", "is_in_scope"),
    [
        ("{user}/sdxl_{job}_1752000000_0.png", True),
        ("{user}/{job}/0.png", True),
        ("{user}/{image}.png", True),
        ("{user}/{video}.mp4", False),
        ("{user}/other.png", False),
        ("{user}/", False),
        ("{user}", False),
        ("{job}.png", False),
        ("x/{user}/{job}.png", False),
        ("{user}x/{job}.png", False),
        ("{other}/{job}.png", False),
        ("{user}/{other}/0.png", False),
        ("{user}/../{user}/{job}.png", False),
        ("{user}/./{job}.png", False),
        ("{user}/{job}/..", False),
        ("{user}/{job}..png", True),
        ("", False),
    ],
)
async def test_a_name_is_in_scope_that_lies_with_the_user_and_names_the_job(
    pool: database.Pool, crew: Crew, name: str, is_in_scope: bool
) -> None:
    worker = await crew.add("gpu", "images")
    job, image = await job_with_picture(pool)
    await kernel.pop(pool, holder=f"worker:{worker[0]}")
    words = {"user": ANNA, "job": job, "image": image, "video": uuid4(), "other": uuid4()}
    assert await crew.job_of(worker, name.format(**words)) == is_in_scope
    assert not await crew.job_of(worker, name.format(**words), "image_fast")


async def test_only_who_has_the_job_may_write_for_it(
    pool: database.Pool, admin: "Admin[Row]", crew: Crew
) -> None:
    worker, other = await crew.add("gpu-1", "images"), await crew.add("gpu-2", "images")
    job, image = await job_with_picture(pool)
    names = [f"{ANNA}/{job}/0.png", f"{ANNA}/{image}.png"]

    async def may_write(who: tuple[UUID, UUID]) -> set[bool]:
        return {await crew.job_of(who, name) for name in names}

    assert await may_write(worker) == {False}
    await kernel.pop(pool, holder=f"worker:{worker[0]}")
    assert await may_write(worker) == {True}
    assert await may_write(other) == {False}
    assert await may_write((worker[0], other[1])) == {False}
    assert await may_write((other[0], worker[1])) == {False}
    await kernel.expire_leases(admin)
    await kernel.rescue(pool)
    assert await may_write(worker) == {False}
    await kernel.pop(pool, holder="carrier:images")
    assert (await may_write(worker), await may_write(other)) == ({True}, {True})
    stranger = await crew.add("gpu-3", "videos")
    assert await may_write(stranger) == {False}
    await pool.fetchval("select tintype.revoke_worker('gpu-1')")
    assert await may_write(worker) == {False}
    await kernel.cancel(pool, job)
    assert await may_write(other) == {False}


async def test_what_is_not_a_workers_any_more_is_not_written(
    pool: database.Pool, admin: "Admin[Row]", crew: Crew
) -> None:
    worker = await crew.add("gpu", "images")
    job, _ = await job_with_picture(pool)
    await kernel.pop(pool, holder=f"worker:{worker[0]}")
    name = f"{ANNA}/{job}/0.png"
    for owner, may_write in ((f"worker:{worker[0]}", True), (str(ANNA), False), (None, False)):
        await admin.execute(
            "insert into storage.objects (bucket_id, name, version, owner_id)"
            " values ($1, $2, 'v', $3)"
            " on conflict (bucket_id, name) do update set owner_id = excluded.owner_id",
            BUCKET,
            name,
            owner,
        )
        assert await crew.job_of(worker, name) == may_write


async def test_a_write_and_a_delivery_wait_for_each_other(
    wide: database.Pool, admin: "Admin[Row]", database_url: str
) -> None:
    """Whichever comes second sees what the first did: nothing is replaced unseen."""
    crew = Crew(wide)
    worker = await crew.add("gpu", "images")
    job, _ = await job_with_picture(wide)
    await kernel.pop(wide, holder=f"worker:{worker[0]}")
    name = f"{ANNA}/{job}/0.png"
    async with admin.transaction():
        assert await admin.fetchval(
            "select tintype.confirm_write($1, $2, $3, $4)", *worker, BUCKET, name
        )
        delivering = asyncio.ensure_future(kernel.deliver(wide, job, 1, 0))
        await until_blocked(admin, 1)
    assert await delivering
    async with admin.transaction():
        await kernel.complete(admin, [(job, 1)])
        writing = asyncio.ensure_future(crew.job_of(worker, name))
        await until_blocked(admin, 1)
    assert not await writing


async def test_a_report_is_remembered_for_a_week_for_each_worker(
    pool: database.Pool, admin: "Admin[Row]", crew: Crew
) -> None:
    workers = [await crew.add(name, "images") for name in ("gpu-1", "gpu-2")]
    job, _ = await job_with_picture(pool)
    for worker_id, _ in workers * 2:
        await pool.execute("select tintype.note_callback($1, $2)", job, worker_id)
    assert await admin.fetchval("select count(*) from tintype.callbacks") == 2
    assert await admin.fetchval("select count(*) from tintype.leftovers") == 1
    assert await pool.fetchval("select tintype.prune(10)") == 0
    await admin.execute(
        "update tintype.callbacks set reported_at = reported_at - interval '8 days'"
    )
    assert [await pool.fetchval("select tintype.prune(1)") for _ in range(3)] == [1, 1, 0]


async def test_a_job_whose_outputs_are_all_there_ends_when_its_worker_is_lost(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    job, _ = await job_with_picture(pool, quantity=2)
    await kernel.pop(pool)
    for position in range(2):
        await kernel.deliver(pool, job, 1, position)
    await kernel.expire_leases(admin)
    assert [(row["status"], row["delivered"]) for row in await kernel.rescue(pool)] == [
        ("completed", 2)
    ]
    row = await pool.fetchrow("select * from public.jobs")
    assert row is not None and (row["error_code"], row["retries"]) == (None, 0)
    await assert_the_ledger_holds(pool)


@pytest.mark.parametrize("ending", ["complete", "fail", "cancel", "rescue"])
async def test_pictures_that_were_not_made_fail_with_their_job_however_it_ends(
    pool: database.Pool, admin: "Admin[Row]", ending: str
) -> None:
    job, image = await job_with_picture(pool, quantity=3, max_retries=0)
    await kernel.pop(pool)
    await kernel.deliver(pool, job, 1, 1)
    match ending:
        case "complete":
            await kernel.complete(pool, [(job, 1)])
        case "fail":
            await kernel.fail(pool, job, 1)
        case "cancel":
            await kernel.cancel(pool, job)
        case "rescue":
            await kernel.expire_leases(admin)
            await kernel.rescue(pool)
    rows = await admin.fetch(
        "select id, status, error_message is null as is_silent from public.generations"
        " order by position"
    )
    assert [(row["status"], row["is_silent"]) for row in rows] == [
        ("failed", False),
        ("completed", True),
        ("failed", False),
    ]
    assert rows[0]["id"] == image
    assert await admin.fetchval("select count(*) from tintype.leftovers") == 1
    await assert_the_ledger_holds(pool)


async def test_a_job_that_is_tried_again_keeps_its_pictures_waiting(pool: database.Pool) -> None:
    job, _ = await job_with_picture(pool, quantity=2)
    await kernel.pop(pool)
    await kernel.fail(pool, job, 1, delay=0)
    assert await pool.fetchval("select array_agg(distinct status) from public.generations") == [
        "generating"
    ]


async def test_a_picture_is_named_by_its_owner_while_it_waits(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    for user in (ANNA, BERT):
        await kernel.grant(pool, user, 100)
    asset = await kernel.begin_asset(admin, ANNA)

    async def outcomes(*users: UUID, **fields: Any) -> list[str]:
        named = {"image_id": asset, "asset_id": asset} | fields
        rows = await kernel.submit(pool, *(kernel.submission(user, **named) for user in users))
        return [row["outcome"] for row in rows]

    assert await outcomes(BERT) == ["asset_not_found"]
    assert await outcomes(ANNA, image_id=None, video_id=asset) == ["asset_not_found"]
    assert await outcomes(ANNA, asset_id=uuid4()) == ["asset_not_found"]
    assert await outcomes(ANNA, ANNA) == ["accepted", "asset_not_found"]
    assert await outcomes(ANNA) == ["asset_not_found"]
    row = await pool.fetchrow("select * from public.generations")
    assert row is not None and (row["status"], row["position"]) == ("generating", 0)
    await kernel.cancel(pool, row["job_id"])
    assert await outcomes(ANNA) == ["accepted"]
    again = await pool.fetchrow("select * from public.generations")
    assert again is not None and again["id"] == asset and again["job_id"] != row["job_id"]
    assert (again["status"], again["error_message"]) == ("generating", None)
    await assert_the_ledger_holds(pool)


async def test_of_many_jobs_for_one_picture_at_the_same_moment_one_is_accepted(
    wide: database.Pool, admin: "Admin[Row]"
) -> None:
    await kernel.grant(wide, ANNA, 100)
    for _ in range(10):
        asset = await kernel.begin_asset(admin, ANNA)
        calls = [
            kernel.submit(wide, kernel.submission(ANNA, image_id=asset, asset_id=asset))
            for _ in range(6)
        ]
        found = [rows[0]["outcome"] for rows in await asyncio.gather(*calls)]
        assert sorted(found) == ["accepted", *["asset_not_found"] * 5]
    assert await wide.fetchval("select held from public.credit_accounts") == 10
    await assert_the_ledger_holds(wide)


async def test_naming_pictures_and_ending_their_jobs_do_not_deadlock(
    wide: database.Pool, admin: "Admin[Row]"
) -> None:
    """The account is locked, so that both stand before it with what they locked first in hand."""
    await kernel.grant(wide, ANNA, 1000)
    job, image = await job_with_picture(wide)
    await kernel.pop(wide)
    pending = await kernel.begin_asset(admin, ANNA)
    async with admin.transaction():
        await admin.execute("select from public.credit_accounts for update")
        calls: list[Awaitable[Any]] = [
            asyncio.ensure_future(kernel.cancel(wide, job)),
            asyncio.ensure_future(
                kernel.submit(
                    wide,
                    kernel.submission(ANNA, image_id=image, asset_id=image),
                    kernel.submission(ANNA, image_id=pending, asset_id=pending),
                )
            ),
        ]
        await until_blocked(admin, 2)
    _, outcomes = await asyncio.gather(*calls)
    assert [row["outcome"] for row in outcomes] == ["asset_not_found", "accepted"]
    await assert_the_ledger_holds(wide)


@pytest.mark.parametrize(
    "columns",
    [
        {"status": "generating"},
        {"status": "completed"},
        {"status": "completed", "path": "x", "url": "x"},
        {"status": "unknown"},
        {"status": "pending", "prompt": "x" * 5001},
    ],
)
async def test_a_row_of_pictures_is_what_its_status_says(
    admin: "Admin[Row]", columns: dict[str, str]
) -> None:
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(2, len(columns) + 2))
    with pytest.raises(asyncpg.CheckViolationError):
        await admin.execute(
            f"insert into public.generations (user_id, {names}) values ($1, {places})",
            ANNA,
            *columns.values(),
        )


OLD = UUID("01900000-0000-7000-8000-000000000001")


async def old_job(pool: database.Pool, admin: "Admin[Row]", number: int, *, due: bool) -> UUID:
    """Submit a job whose id is years old; `due`: it has waited longer than it may."""
    job = UUID(int=OLD.int + number)
    await kernel.accepted(
        pool,
        kernel.submission(
            ANNA, job_id=job, hold_id=job, image_id=uuid4(), payload={"bucket": BUCKET}
        ),
    )
    if due:
        await admin.execute(
            "update public.jobs set expires_at = now() - interval '1 second' where id = $1", job
        )
    return job


async def expired(pool: database.Pool, limit: int = 10) -> list[UUID]:
    return [
        row["job_id"] for row in await pool.fetch("select * from tintype.settle_expired($1)", limit)
    ]


async def test_a_job_that_nobody_comes_for_ends_as_expired_and_frees_its_credits(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    await kernel.grant(pool, ANNA, 10)
    due = [await old_job(pool, admin, number, due=True) for number in range(3)]
    stays = await old_job(pool, admin, 3, due=False)
    assert await expired(pool, 2) == due[:2]
    assert await expired(pool, 2) == due[2:]
    assert await expired(pool, 2) == []
    rows = await admin.fetch("select id, status, error_code from public.jobs order by id")
    assert [tuple(row) for row in rows] == [(one, "failed", "expired") for one in due] + [
        (stays, "queued", None)
    ]
    assert [row["job_id"] for row in await admin.fetch("select job_id from tintype.ready")] == [
        stays
    ]
    assert await admin.fetchval("select held from public.credit_accounts") == 1
    assert (
        await admin.fetchval("select count(*) from public.generations where status = 'failed'") == 3
    )
    await assert_the_ledger_holds(pool)


async def test_a_job_that_waits_for_another_try_expires_too(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    await kernel.grant(pool, ANNA, 10)
    job = await old_job(pool, admin, 0, due=True)
    await kernel.pop(pool)
    await pool.fetch("select * from tintype.settle_fail($1, 1, 'transient', 'x', 3600, true)", job)
    assert await expired(pool) == [job]
    assert await admin.fetchval("select count(*) from tintype.delayed") == 0
    await assert_the_ledger_holds(pool)


async def test_a_job_that_somebody_works_on_does_not_expire(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    await kernel.grant(pool, ANNA, 10)
    await old_job(pool, admin, 0, due=True)
    await kernel.pop(pool)
    assert await expired(pool) == []


async def test_expiring_and_claiming_at_the_same_moment_end_a_job_once(
    wide: database.Pool, admin: "Admin[Row]"
) -> None:
    await kernel.grant(wide, ANNA, 100)
    for number in range(30):
        await old_job(wide, admin, number, due=True)
    await asyncio.gather(
        *(expired(wide, 3) for _ in range(10)), *(kernel.pop(wide) for _ in range(10))
    )
    await expired(wide, 100)
    rows = await admin.fetch("select status, count(*) as jobs from public.jobs group by status")
    found = {row["status"]: row["jobs"] for row in rows}
    assert found.get("failed", 0) + found.get("processing", 0) == 30
    await assert_the_ledger_holds(wide)
