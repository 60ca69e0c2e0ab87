"""How long does a worker wait for its next job, and what does it cost to wait for one?

Workers outside the server pop a queue of 100,000 jobs through `/redis/v1`, as the original's poll:
`GET /redis/v1/rpop/sdxl_queue` over connections that stay open, from another process, one after the
other and eight at once. Every answer must hold another job. A pop looks the token up, leases the
job, shows it as processing and commits.

Then the queue is empty and 50 workers ask every 2 s, each with a token of its own; what the server
and its Postgres take of one core meanwhile is what idle workers cost.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec

from bench.postgres import settle_down
from bench.process import HOST, MeasurementFailed, ask
from bench.rounds import Run
from bench.served import Served, serving
from bench.usage import Usage
from tintype import database, jobs
from tintype.workers import outside

QUEUE = "sdxl_queue"
JOB_TYPE = "sdxl_image_fast"
PATH = f"/redis/v1/rpop/{QUEUE}"
USERS = 64
BATCH_JOBS = 1000
CONNECTIONS = (1, 8)
POLL_SECONDS = 2.0
# In the answer the job is a text of JSON in JSON.
ID = r'\\"id\\": *\\"([0-9a-f-]{36})\\"'
NOTHING = r'("result": *null)'


async def measure(run: Run) -> None:
    """Add p50, p99 and rate of pops from a deep queue, and the share of a core of idle workers."""
    async with serving(run) as served:
        tokens = await _workers(served, run.sizes.lanes_workers)
        await _fill(run, served, run.sizes.lanes_jobs)
        for turn in range(run.sizes.repeats):
            run.say(f"lanes, round {turn + 1} of {run.sizes.repeats}")
            for connections in CONNECTIONS:
                await _pop(run, served, tokens[0], connections)
        await _empty(served)
        for _ in range(run.sizes.repeats):
            await _idle(run, served, tokens)


async def _pop(run: Run, served: Served, token: str, connections: int) -> None:
    result = await ask(
        "bench.clients.load",
        {
            "host": HOST,
            "port": served.port,
            "requests": [_request(token)],
            "finds": ID,
            "connections": connections,
            "warm_seconds": run.sizes.http_warm_seconds,
            "seconds": run.sizes.lanes_seconds,
        },
    )
    if result["refused"] or result["p99_ms"] is None:
        raise MeasurementFailed(f"{result['refused']} pops were refused: {result['refusals']}")
    if len(set(result["found"])) != len(result["found"]):
        raise MeasurementFailed("a job was popped twice")
    depth = f"{run.sizes.lanes_jobs:,} jobs queued"
    what = f"RPOP over HTTP, {depth}, {connections} connection{'s' if connections > 1 else ''}"
    run.note(f"rpop_per_s_at_{connections}", result["per_s"], unit="jobs/s", what=what)
    for wait in ("p50_ms", "p99_ms"):
        run.note(f"rpop_{wait}_at_{connections}", result[wait], unit="ms", what=what)


async def _idle(run: Run, served: Served, tokens: Sequence[str]) -> None:
    """Note what the workers add to what the server and its Postgres take by themselves."""
    if not Usage(served.process_id).is_told:
        run.remark("This system does not tell what processes take: idle workers are not measured.")
        return
    alone, _ = await _taken(run, served, [])
    crowd, waits = await _taken(run, served, tokens)
    what = f"{len(tokens)} workers that poll an empty queue every 2 s"
    added = {name: 100 * max(0.0, share - alone[name]) for name, share in crowd.items()}
    for name, percent in added.items():
        run.note(f"idle_lanes_{name}_percent", percent, unit="% of a core", what=what)
    if "postgres" in added:
        run.note(
            "idle_lanes_percent", sum(added.values()), unit="% of a core", what=f"both, {what}"
        )
    else:
        run.remark("Postgres is not the server's own: what idle workers cost it is not measured.")
    run.note("idle_lanes_p99_ms", waits, unit="ms", what=what)


async def _taken(run: Run, served: Served, tokens: Sequence[str]) -> tuple[dict[str, float], float]:
    """Return the shares of a core that are taken while these workers poll, and their p99."""
    before = _processor_seconds(served)
    result = await ask(
        "bench.clients.poll",
        {
            "host": HOST,
            "port": served.port,
            "requests": [_request(token) for token in tokens],
            "finds": NOTHING,
            "every_seconds": POLL_SECONDS,
            "seconds": run.sizes.lanes_idle_seconds,
        },
    )
    if result["refused"]:
        raise MeasurementFailed(f"{result['refused']} polls were refused: {result['refusals']}")
    after = _processor_seconds(served)
    shares = {name: (after[name] - before[name]) / result["seconds"] for name in before}
    return shares, result["p99_ms"]


def _request(token: str) -> dict[str, object]:
    return {"method": "GET", "path": PATH, "headers": {"authorization": f"Bearer {token}"}}


async def _workers(served: Served, count: int) -> list[str]:
    """Let workers in and return the token of each."""
    pool = await database.connect(served.database_url, size_max=1)
    try:
        added = [
            await outside.add_worker(pool, served.keys, f"gpu-{number}", [QUEUE])
            for number in range(count)
        ]
        return [one.lane_token for one in added]
    finally:
        await pool.close()


async def _fill(run: Run, served: Served, count: int) -> None:
    """Queue jobs as `queue-job` does, in batches."""
    run.say(f"queueing {count:,} jobs")
    kind = jobs.job_types()[JOB_TYPE]
    users = [uuid4() for _ in range(USERS)]
    connection = await asyncpg.connect(served.database_url)
    try:
        for user in users:
            await connection.execute("select tintype.grant_credits($1, $2)", user, count)
        for start in range(0, count, BATCH_JOBS):
            batch = [
                _submission(users[number % USERS], number - start, kind)
                for number in range(start, min(start + BATCH_JOBS, count))
            ]
            found = await connection.fetch(
                "select outcome from tintype.submit($1)", msgspec.json.encode(batch).decode()
            )
            if {row["outcome"] for row in found} != {"accepted"}:
                raise MeasurementFailed("a job was not accepted")
    finally:
        await connection.close()
    await settle_down(served.database_url)


def _submission(user: object, ordinal: int, kind: jobs.JobType) -> dict[str, object]:
    identity = jobs.new_id()
    return {
        "ordinal": ordinal,
        "user_id": user,
        "job_id": identity,
        "hold_id": identity,
        "amount": kind.price_credits,
        "units": 1,
        "quantity": 1,
        "expires_seconds": 24 * 3600,
        "job_type": kind.name,
        "queue": kind.queue,
        "priority": 0,
        "max_retries": 3,
        "prompt": "a robot holding a skateboard",
        "payload": {"bucket": kind.bucket, "config": {"size": "1024*1024", "num_images": 1}},
        "metadata": {},
        "image_id": jobs.new_id(),
    }


async def _empty(served: Served) -> None:
    connection = await asyncpg.connect(served.database_url)
    try:
        await connection.execute("delete from tintype.ready")
    finally:
        await connection.close()
    await settle_down(served.database_url)


def _processor_seconds(served: Served) -> dict[str, float]:
    """Return how long the server was at work, and its Postgres where that is its own.

    Of Postgres it is the first process, its children, and those that have ended.
    """
    seconds = {"server": Usage(served.process_id).processor_seconds}
    pid_file = served.data / "postgres" / "postmaster.pid"
    if pid_file.exists():
        first = int(pid_file.read_text().splitlines()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        seconds["postgres"] = Usage(first).processor_seconds_with_ended + sum(
            Usage(int(child)).processor_seconds for child in children
        )
    return seconds
