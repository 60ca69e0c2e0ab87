"""What does change capture cost those who work?

The settle and the enqueue measure, each time on a new database that a `tintype serve` without a
worker looks after. Four states, in turns:

    off        nobody is connected: there is no replication slot
    elsewhere  somebody asks for changes of `projects`: the slot is live, nothing is told
    on         somebody asks for its own jobs, as apps do: the slot is live, a share is told
    all        the service asks for all jobs: every change is told

The subscriber must get every change that is its own, once. How much later than the end of the work
it had the last says whether the capture kept up. The server that decodes and the process of
Postgres that sends share the cores with those who work.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from bench.contestants.tintype_queue import USERS
from bench.postgres import settle_down
from bench.process import MeasurementFailed, Talker, talking
from bench.rounds import Run, act, check_ledger
from bench.served import Served, serving
from bench.settle import prepared
from bench.usage import Usage

OFF, ELSEWHERE, ON, ALL = "off", "elsewhere", "on", "all"
STATES = {
    OFF: "nobody connected, no slot",
    ELSEWHERE: "slot live, nobody bound to jobs",
    ON: "a user bound to its own jobs, 1 in 200",
    ALL: "the service bound to all jobs",
}
CALLERS = 128
USER = USERS[0]


async def measure(run: Run) -> None:
    """Add both rates in each state, and those of each over `off`, of the same round."""
    states = list(STATES)
    # What is looked for is smaller than what the machine drifts between rounds: more of them.
    rounds = 2 * run.sizes.repeats - 1
    async with prepared(run, ("tintype",)) as templates:
        await act("tintype", "fill", url=templates["tintype"], jobs=run.sizes.capture_jobs)
        for turn in range(rounds):
            run.say(f"capture, round {turn + 1} of {rounds}")
            shift = turn % len(states)
            rates = {
                state: await _work(run, templates["tintype"], state)
                for state in (*states[shift:], *states[:shift])
            }
            for state in states[1:]:
                for measure, rate in rates[state].items():
                    run.note(
                        f"capture_{measure}_rate_{state}_over_off",
                        rate / rates[OFF][measure],
                        unit="×",
                        what=f"{STATES[state]}, over {OFF} of the same round",
                    )


async def _work(run: Run, template: str, state: str) -> dict[str, float]:
    """Settle, then enqueue, on one copy of the filled database; return both rates."""
    jobs = run.sizes.capture_jobs
    async with run.server.copy(template) as url:
        await settle_down(url)
        async with serving(run, database_url=url) as served, _listening(served, state) as listener:
            usages = await _usages(served)
            before = {who: usage.processor_seconds for who, usage in usages.items()}
            result = await act(
                "tintype", "settle", url=url, mode="batched", jobs=jobs, seconds_max=0
            )
            rates = {"settle": float(result["per_s"])}
            await _hear(run, listener, url, state, "settle", "completed")
            for who, usage in usages.items():
                run.note(
                    f"capture_settle_{state}_{who}_us_per_job",
                    (usage.processor_seconds - before[who]) * 1e6 / jobs,
                    unit="µs",
                    what=f"processor time of the {who}; {STATES[state]}",
                )
            await check_ledger(url, jobs=jobs, open_holds=0)
            result = await act(
                "tintype",
                "enqueue",
                url=url,
                mode="one",
                callers=CALLERS,
                seconds=run.sizes.enqueue_seconds,
            )
            rates["enqueue"] = float(result["per_s"])
            await _hear(run, listener, url, state, "enqueue", "queued")
    for measure, rate in rates.items():
        what = "claim 1,000, settle a claim" if measure == "settle" else f"{CALLERS} callers"
        run.note(
            f"capture_{measure}_{state}_per_s",
            rate,
            unit="jobs/s",
            what=f"{what}; {STATES[state]}",
        )
    return rates


async def _usages(served: Served) -> dict[str, Usage]:
    """Return what the server takes, and the process of Postgres that reads the log for it."""
    connection = await asyncpg.connect(served.database_url)
    try:
        sender = await connection.fetchval(
            "select active_pid from pg_replication_slots where database = current_database()"
        )
    finally:
        await connection.close()
    server, walsender = Usage(served.process_id), Usage(sender or 0)
    found = {"server": server} if server.is_told else {}
    return found | ({"walsender": walsender} if walsender.is_of("walsender") else {})


@asynccontextmanager
async def _listening(served: Served, state: str) -> AsyncIterator[Talker | None]:
    """Yield the subscriber of `state`, joined."""
    if state == OFF:
        yield None
        return
    binding = {"event": "*", "schema": "public", "table": "jobs"}
    key, token = served.keys.anon_key, served.tokens([USER])[0]
    if state == ELSEWHERE:
        binding["table"] = "projects"
    elif state == ON:
        binding["filter"] = f"user_id=eq.{USER}"
    else:
        key = token = served.keys.service_role_key
    async with talking("bench.clients.listen") as listener:
        spec: dict[str, Any] = {"port": served.port, "token": token, "binding": binding}
        await listener.ask(spec | {"path": f"/realtime/v1/websocket?apikey={key}&vsn=2.0.0"})
        yield listener


async def _hear(
    run: Run, listener: Talker | None, url: str, state: str, measure: str, status: str
) -> None:
    """Stop unless the subscriber gets one change of each of its jobs that has this status now."""
    if listener is None:
        return
    ended = time.time()
    expected = 0 if state == ELSEWHERE else await _count(url, status, of_user=state == ON)
    heard = await listener.ask({"changes": expected, "since": ended})
    if heard["changes"] != expected or heard["ended"]:
        raise MeasurementFailed(f"of {expected} changes the subscriber got {heard}")
    if expected:
        run.note(
            f"capture_{measure}_{state}_late_ms",
            heard["late_ms"],
            unit="ms",
            what=f"last change after the work; {STATES[state]}",
        )


async def _count(url: str, status: str, *, of_user: bool) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval(
                "select count(*) from public.jobs where status = $1 and (user_id = $2 or not $3)",
                status,
                USER,
                of_user,
            )
        )
    finally:
        await connection.close()
