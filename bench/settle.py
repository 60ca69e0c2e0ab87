"""How many jobs a second does one worker process finish, beside its peers?

Every contestant drains the same number of jobs that are queued already, with one worker process,
until its database shows all of them done. Peers do no more than that; Tintype's jobs each hold a
credit, and finishing one writes an entry to the ledger and moves an account's balance.
"""

import contextlib
from collections.abc import AsyncIterator

from bench.postgres import settle_down
from bench.rounds import Run, act, check_ledger

# Contestant, mode, event loop (as its own command line runs it, or faster), figure, what it is.
DRAINS = (
    (
        "tintype",
        "batched",
        "uvloop",
        "tintype_settle_per_s",
        "claim 1,000, settle a claim in one statement, with the ledger",
    ),
    (
        "tintype",
        "gathered",
        "uvloop",
        "tintype_settle_each_per_s",
        "claim 1,000, each job awaits Settler.complete, with the ledger",
    ),
    (
        "procrastinate",
        "default",
        "asyncio",
        "procrastinate_settle_default_per_s",
        "one job at a time, no ledger",
    ),
    (
        "procrastinate",
        "fast",
        "uvloop",
        "procrastinate_settle_fast_per_s",
        "concurrency 30, no ledger",
    ),
    (
        "pgqueuer",
        "default",
        "uvloop",
        "pgqueuer_settle_default_per_s",
        "batches of 10, no ledger",
    ),
    (
        "pgqueuer",
        "fast500",
        "uvloop",
        "pgqueuer_settle_fast500_per_s",
        "batches of 500 and a pool, no ledger",
    ),
    (
        "pgqueuer",
        "fast1000",
        "uvloop",
        "pgqueuer_settle_fast1000_per_s",
        "batches of 1,000 and a pool, no ledger",
    ),
)
PEERS = ("procrastinate", "pgqueuer")
OURS = "tintype_settle_per_s"


async def measure(run: Run) -> None:
    """Add the drains of all, interleaved, then the sustained one of ours."""
    async with prepared(run, ("tintype", *PEERS)) as templates:
        for turn in range(run.sizes.repeats):
            run.say(f"settle, round {turn + 1} of {run.sizes.repeats}")
            # Each round starts with another, so that nobody always follows the same neighbour.
            shift = turn % len(DRAINS)
            for drain in (*DRAINS[shift:], *DRAINS[:shift]):
                contestant, mode, loop, name, what = drain
                rate = await _drain(run, templates[contestant], contestant, mode, loop)
                run.note(name, rate, unit="jobs/s", what=what)
        for _ in range(run.sizes.repeats):
            await _sustain(run, templates["tintype"])
    _compare(run)


@contextlib.asynccontextmanager
async def prepared(run: Run, contestants: tuple[str, ...]) -> AsyncIterator[dict[str, str]]:
    """Yield the URL of a database with its schema for each contestant, to be copied."""
    async with contextlib.AsyncExitStack() as stack:
        templates = {}
        for contestant in contestants:
            templates[contestant] = await stack.enter_async_context(run.server.empty())
            await act(contestant, "prepare", url=templates[contestant])
        yield templates


async def _drain(run: Run, template: str, contestant: str, mode: str, loop: str) -> float:
    jobs = run.sizes.settle_jobs
    async with run.server.copy(template) as url:
        await act(contestant, "fill", url=url, jobs=jobs)
        await settle_down(url)
        result = await act(
            contestant,
            "settle",
            loop=loop,
            url=url,
            mode=mode,
            jobs=jobs,
            seconds_max=run.sizes.settle_seconds_max,
        )
        if contestant == "tintype":
            await check_ledger(url, jobs=jobs, open_holds=0)
        return float(result["per_s"])


async def _sustain(run: Run, template: str) -> None:
    jobs = run.sizes.sustained_jobs
    async with run.server.copy(template) as url:
        await act("tintype", "fill", url=url, jobs=jobs)
        await settle_down(url)
        result = await act("tintype", "settle", url=url, mode="batched", jobs=jobs, seconds_max=0)
        await check_ledger(url, jobs=jobs, open_holds=0)
    slices = result["slices_per_s"]
    run.note(
        "tintype_settle_sustained_per_s",
        result["per_s"],
        unit="jobs/s",
        what=f"as tintype_settle_per_s, over {jobs:,} jobs",
    )
    run.note(
        "tintype_settle_sustained_last_over_first",
        slices[-1] / slices[0],
        unit="×",
        what="rate of its last tenth over that of its first",
    )


def _compare(run: Run) -> None:
    """Add ours over the better peer, round by round, the best mode of each peer counting."""
    ours = run.figures.find(OURS)
    peers = [
        figure
        for contestant, _, _, name, _ in DRAINS
        if contestant in PEERS and (figure := run.figures.find(name))
    ]
    if ours is None or not peers:
        return
    best = max(peers, key=lambda figure: figure.median)
    for own, other in zip(ours.runs, best.runs, strict=True):
        run.note(
            "settle_ratio_vs_best_python_peer",
            own / other,
            unit="×",
            what=f"{OURS} over {best.name}, of the same round",
        )
