"""How many jobs a second are accepted over HTTP, and how long does an app wait?

`POST /functions/v1/generate-image` of 64 users with credits and tokens, from a load generator in
another process. Afterwards every job that was answered is looked up in the database.

The server's worker is off at first, so that submission alone is measured on the cores there are;
then the same again with the worker on, which paints pictures at the same time.
"""

from uuid import UUID, uuid4

import asyncpg

from bench.process import HOST, MeasurementFailed, ask
from bench.rounds import Run, act
from bench.served import Served, serving

USERS = 64
CREDITS_EACH = 1_000_000_000
CONNECTIONS = (16, 64)
PATH = "/functions/v1/generate-image"
BODY = {"prompt": "a robot holding a skateboard", "aspectRatio": "1:1", "quantity": 1}
JOB_ID = r'"jobId": *"([0-9a-f-]{36})"'


async def measure(run: Run) -> None:
    """Add rate, p50 and p99 at 16 and 64 clients, worker off, then on."""
    for worker, suffix in ((False, ""), (True, "_worker_on")):
        run.say(f"starting tintype serve, worker {'on' if worker else 'off'}")
        async with serving(run, worker=worker) as served:
            tokens = await _make_users(served)
            for _ in range(run.sizes.repeats):
                for connections in CONNECTIONS:
                    await _press(run, served, tokens, connections, suffix)
            if not worker:
                await _check_ledger(served)


async def _press(
    run: Run, served: Served, tokens: list[str], connections: int, suffix: str
) -> None:
    result = await ask(
        "bench.clients.load",
        {
            "host": HOST,
            "port": served.port,
            "requests": [
                {
                    "method": "POST",
                    "path": PATH,
                    "headers": {"authorization": f"Bearer {token}"},
                    "body": BODY,
                }
                for token in tokens
            ],
            "finds": JOB_ID,
            "connections": connections,
            "warm_seconds": run.sizes.http_warm_seconds,
            "seconds": run.sizes.http_seconds,
        },
    )
    if result["refused"] or result["p99_ms"] is None:
        raise MeasurementFailed(f"{result['refused']} were refused: {result['refusals']}")
    await _check_jobs(served, [UUID(job_id) for job_id in result["found"]])
    what = f"generate-image, {connections} clients" + (", worker painting" if suffix else "")
    name = f"submit_http{suffix}"
    run.note(f"{name}_per_s_at_{connections}", result["per_s"], unit="jobs/s", what=what)
    for wait in ("p50_ms", "p99_ms"):
        run.note(f"{name}_{wait}_at_{connections}", result[wait], unit="ms", what=what)


async def _check_jobs(served: Served, job_ids: list[UUID]) -> None:
    """Stop unless every accepted job is its own and really there, with its hold."""
    connection = await asyncpg.connect(served.database_url)
    try:
        found = await connection.fetchval(
            "select count(*) from public.jobs as j inner join public.credit_entries as e"
            " on e.hold_id = j.id and e.kind = 'hold' where j.id = any ($1)",
            job_ids,
        )
    finally:
        await connection.close()
    if found != len(job_ids):
        raise MeasurementFailed(f"{len(job_ids)} jobs were accepted and {found} exist")


async def _check_ledger(served: Served) -> None:
    found = await act("tintype", "verify", url=served.database_url)
    if not found["holds_true"]:
        raise MeasurementFailed(f"the ledger does not hold: {found['findings']}")


async def _make_users(served: Served) -> list[str]:
    """Give 64 new users credits, and return a token of each."""
    users = [uuid4() for _ in range(USERS)]
    connection = await asyncpg.connect(served.database_url)
    try:
        await connection.execute(
            "select tintype.grant_credits(u, $2) from unnest($1::uuid[]) as u", users, CREDITS_EACH
        )
    finally:
        await connection.close()
    return served.tokens(users)
