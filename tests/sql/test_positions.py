"""Where a job stands in its line."""

from typing import Any
from uuid import UUID

import asyncpg

from support import kernel
from tintype import database

Row = asyncpg.Record
ANNA, BERT = kernel.user(1), kernel.user(2)
ASK = "select job_id, queue_position from public.queue_positions($1)"


async def places(admin: "asyncpg.Connection[Row]", user: UUID, *jobs: UUID) -> dict[UUID, int]:
    claims = kernel.text({"sub": user, "role": "authenticated"})
    async with admin.transaction():
        await admin.execute("select set_config('request.jwt.claims', $1, true)", claims)
        await admin.execute("set local role authenticated")
        rows = await admin.fetch(ASK, list(jobs))
        await admin.execute("reset role")
    return {row["job_id"]: row["queue_position"] for row in rows}


async def test_places_are_those_in_which_jobs_are_claimed(
    pool: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    raw: Any = admin
    for user in (ANNA, BERT):
        await kernel.grant(raw, user, 10)
    annas = [(await kernel.accepted(raw, kernel.submission(ANNA)))[0] for _ in range(3)]
    berts = await kernel.accepted(raw, kernel.submission(BERT))
    told = await places(admin, ANNA, *annas) | await places(admin, BERT, *berts)
    assert sorted(told.values()) == [1, 2, 3, 4]
    first = min(told, key=lambda job: told[job])
    assert [row["id"] for row in await kernel.claim(raw)] == [first]
    left = await places(admin, ANNA, *annas) | await places(admin, BERT, *berts)
    assert left == {job: place - 1 for job, place in told.items() if job != first}


async def test_nobody_is_told_of_somebody_elses_job(
    pool: database.Pool, admin: "asyncpg.Connection[Row]"
) -> None:
    raw: Any = admin
    await kernel.grant(raw, ANNA, 10)
    jobs = await kernel.accepted(raw, kernel.submission(ANNA))
    assert await places(admin, ANNA, *jobs) == {jobs[0]: 1}
    assert await places(admin, BERT, *jobs) == {}
