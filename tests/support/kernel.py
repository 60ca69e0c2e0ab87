"""Small factories that call the verbs of the kernel over asyncpg, as workers and functions do.

Ids are made from counters, so that they grow with time as the product's do, and so that a run can
be repeated.
"""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg

Row: TypeAlias = asyncpg.Record
Via: TypeAlias = "asyncpg.Connection[Row] | asyncpg.Pool[Row]"

ROUTE = "generate-image"
LEASE_SECONDS = 3600
# 8 hexadecimal digits of an id say what it is of.
USER_SPACE = 0xA0000000 << 96
JOB_SPACE = 0xB0000000 << 96

_numbers = itertools.count(1)


def user(number: int) -> UUID:
    """Return the id of user `number`, always the same."""
    return UUID(int=USER_SPACE + number)


def job_id() -> UUID:
    """Return the next id of a job; it is greater than all before."""
    return UUID(int=JOB_SPACE + next(_numbers))


def submission(user_id: UUID, ordinal: int = 1, **fields: Any) -> dict[str, Any]:
    """Return one row for `submit`: 1 output for 1 credit unless `quantity` and `price` differ."""
    quantity = fields.pop("quantity", 1)
    price = fields.pop("price", 1)
    identity = job_id()
    row = {
        "ordinal": ordinal,
        "user_id": user_id,
        "job_id": identity,
        "hold_id": identity,
        "amount": quantity * price,
        "units": quantity,
        "quantity": quantity,
        "project_id": None,
        "template_id": None,
        "image_id": None,
        "video_id": None,
        "asset_id": None,
        "batch_id": None,
        "is_new_batch": False,
        "model_id": None,
        "identity_id": None,
        "expires_seconds": 3600,
        "job_type": "image",
        "queue": "images",
        "priority": 0,
        "max_retries": 3,
        "prompt": "a robot holding a skateboard",
        "payload": {},
        "metadata": {},
        "route": ROUTE,
        "key": None,
        "fingerprint": None,
    }
    unknown = fields.keys() - row.keys()
    if unknown:
        raise TypeError(f"a submission has no {min(unknown)}")
    return row | fields


def text(value: Any) -> str:
    """Return JSON as the verbs take it."""
    return json.dumps(value, default=str)


async def submit(via: Via, *submissions: dict[str, Any]) -> list[Row]:
    """Submit in one transaction; return `ordinal, outcome, answer` in the order of ordinal."""
    numbered = [row | {"ordinal": place} for place, row in enumerate(submissions, 1)]
    rows = await via.fetch("select * from tintype.submit($1)", text(numbered))
    return sorted(rows, key=lambda row: row["ordinal"])


async def accepted(via: Via, *submissions: dict[str, Any]) -> list[UUID]:
    """Submit rows that must all be accepted and return the ids of their jobs."""
    outcomes = [row["outcome"] for row in await submit(via, *submissions)]
    assert outcomes == ["accepted"] * len(submissions), outcomes
    return [row["job_id"] for row in submissions]


async def grant(via: Via, user_id: UUID, amount: int) -> None:
    """Add credits, opening the account if need be."""
    assert await via.fetchval("select tintype.grant_credits($1, $2)", user_id, amount)


async def claim(
    via: Via, limit: int = 1, *, worker: str = "worker", queue: str = "images"
) -> list[Row]:
    """Claim; each row is a whole job with the `lease_id` it is under."""
    return list(
        await via.fetch(
            "select $1::uuid as lease_id, c.* from tintype.claim($1, $2, $3, $4, $5) as c",
            uuid4(),
            queue,
            worker,
            limit,
            LEASE_SECONDS,
        )
    )


async def pop(
    via: Via, limit: int = 1, *, holder: str = "worker:1", queue: str = "images"
) -> list[Row]:
    """Claim for a worker that cannot renew; each row is a whole job with its `lease_id`."""
    return list(
        await via.fetch(
            "select $1::uuid as lease_id, p.*"
            " from tintype.pop($1, $2, $3, $4, $5::text::jsonb) as p",
            uuid4(),
            queue,
            holder,
            limit,
            text({"image": LEASE_SECONDS}),
        )
    )


async def held_by(via: Via, job: UUID, *holders: str) -> tuple[UUID, str, int] | None:
    """Return lease, holder and attempt under which one of the holders has the job."""
    row = await via.fetchrow("select * from tintype.held_by($1, $2)", list(holders), job)
    return None if row is None else tuple(row)


async def begin_asset(admin: Via, user_id: UUID) -> UUID:
    """Add a pending picture of the user's, as an app does, and return its id."""
    return await admin.fetchval(
        "insert into public.generations (user_id, status) values ($1, 'pending') returning id",
        user_id,
    )


async def report(via: Via, *reports: tuple[UUID, int, int]) -> set[UUID]:
    """Report `(job_id, attempt, progress)`; return the ids that are still held."""
    columns = [list(column) for column in zip(*reports, strict=True)] or [[], [], []]
    found = await via.fetch("select job_id from tintype.report($1, $2, $3)", *columns)
    return {row["job_id"] for row in found}


async def deliver(via: Via, job: UUID, attempt: int, position: int) -> bool:
    """Deliver the output of `position`."""
    output = {
        "position": position,
        "bucket": "generations",
        "path": f"{job}/{position}.png",
        "url": f"https://example.test/{job}/{position}.png",
    }
    statement = "select tintype.deliver($1, $2, $3::text::jsonb)"
    return bool(await via.fetchval(statement, job, attempt, text(output)))


async def complete(
    via: Via,
    jobs: Iterable[tuple[UUID, int]],
    lease_ids: Sequence[UUID] = (),
) -> list[Row]:
    """Settle `(job_id, attempt)` as completed; return the jobs that this call ended."""
    ids, attempts = [list(column) for column in zip(*jobs, strict=True)] or [[], []]
    nothing = [None] * len(ids)
    statement = "select * from tintype.settle_complete($1, $2, $3, $4, $5)"
    return list(await via.fetch(statement, ids, attempts, nothing, nothing, list(lease_ids)))


async def fail(
    via: Via,
    job: UUID,
    attempt: int,
    *,
    delay: float | None = None,
    spends: bool = True,
) -> Row | None:
    """Give up an attempt; return `status, next_run_at, retries, delivered`, or None if fenced."""
    return await via.fetchrow(
        "select * from tintype.settle_fail($1, $2, $3, $4, $5, $6)",
        job,
        attempt,
        "transient",
        "The provider did not answer.",
        delay,
        spends,
    )


async def forward(via: Via, job: UUID, attempt: int, queue: str = "training") -> bool:
    """Move a job on to another queue; return whether the attempt held it."""
    statement = "select tintype.forward($1, $2, $3, '{}')"
    return bool(await via.fetchval(statement, job, attempt, queue))


async def cancel(via: Via, job: UUID, user_id: UUID | None = None) -> list[Row]:
    """Cancel as `user_id`, or as the operator; return the job if this call ended it."""
    statement = "select * from tintype.settle_cancel($1, $2, $3)"
    return list(await via.fetch(statement, job, user_id, "Canceled by its owner."))


async def rescue(via: Via, limit: int = 100) -> list[Row]:
    """Rescue up to `limit` expired leases; return every job taken."""
    return list(await via.fetch("select * from tintype.settle_rescue($1)", limit))


async def renew(
    via: Via, lease_ids: Sequence[UUID], *, worker: str = "worker", seconds: int = LEASE_SECONDS
) -> set[UUID]:
    """Renew the leases; return the jobs under them that the worker has lost."""
    statement = "select lost_job_id from tintype.renew($1, $2, $3)"
    rows = await via.fetch(statement, worker, list(lease_ids), seconds)
    return {row["lost_job_id"] for row in rows}


async def expire_leases(admin: Via, lease_ids: Sequence[UUID] | None = None) -> None:
    """Let the time of the leases (all of them by default) be over."""
    await admin.execute(
        "update tintype.leases set expires_at = now() - interval '1 second'"
        " where $1::uuid[] is null or id = any ($1)",
        None if lease_ids is None else list(lease_ids),
    )


async def make_due(admin: Via) -> None:
    """Let the time of every delayed job have come."""
    await admin.execute("update tintype.delayed set run_at = run_at - interval '1 day'")
