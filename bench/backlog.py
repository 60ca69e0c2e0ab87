"""Does claiming a job cost more when a million are waiting?

Two databases on the same server, one with about a thousand jobs queued and one with a million, are
worked on in turns by one process with the same code: top the queue up to its depth (not timed),
then claim and settle a thousand jobs (timed). After the turns the deep one is drained on without
refilling, to see whether the rate falls along the way.
"""

from bench.contestants.tintype_queue import WARM_TURNS
from bench.postgres import settle_down
from bench.rounds import Run, act, check_ledger
from bench.settle import prepared

SHALLOW, DEEP = "shallow", "deep"


async def measure(run: Run) -> None:
    """Add the rates at both backlogs, their ratio, and the drain of the deep one."""
    sizes = run.sizes
    depths = {SHALLOW: sizes.shallow_jobs, DEEP: sizes.deep_jobs}
    async with (
        prepared(run, ("tintype",)) as templates,
        run.server.copy(templates["tintype"]) as shallow,
        run.server.copy(templates["tintype"]) as deep,
    ):
        urls = {SHALLOW: shallow, DEEP: deep}
        for name, url in urls.items():
            run.say(f"filling the {name} queue with {depths[name]:,} jobs through submit")
            await act("tintype", "fill", url=url, jobs=depths[name])
            await settle_down(url)
        for _ in range(sizes.repeats):
            rates = await act(
                "tintype", "turns", urls=urls, turns=sizes.turns, turn_jobs=sizes.turn_jobs
            )
            for name, rate in rates.items():
                run.note(
                    f"tintype_settle_at_{_told(depths[name])}_queued_per_s",
                    rate,
                    unit="jobs/s",
                    what=f"{sizes.turns} turns of {sizes.turn_jobs:,} jobs, refilled untimed",
                )
            run.note(
                "claim_rate_1m_over_1k",
                rates[DEEP] / rates[SHALLOW],
                unit="×",
                what="the deep rate over the shallow one, of turns taken in alternation",
            )
        await _drain_on(run, deep)
        done = sizes.repeats * (WARM_TURNS + sizes.turns) * sizes.turn_jobs
        run.say("verifying both ledgers")
        await check_ledger(shallow, jobs=depths[SHALLOW] + done, open_holds=depths[SHALLOW])
        left = depths[DEEP] - sizes.drain_jobs
        await check_ledger(deep, jobs=depths[DEEP] + done, open_holds=left)


async def _drain_on(run: Run, url: str) -> None:
    jobs = run.sizes.drain_jobs
    result = await act("tintype", "drain", url=url, jobs=jobs)
    what = f"{jobs:,} of {run.sizes.deep_jobs:,} jobs, without refilling"
    run.note("tintype_drain_from_1m_per_s", result["per_s"], unit="jobs/s", what=what)
    slices = result["slices_per_s"]
    run.note(
        "tintype_drain_from_1m_last_over_first",
        slices[-1] / slices[0],
        unit="×",
        what="rate of its last tenth over that of its first",
    )


def _told(jobs: int) -> str:
    if jobs >= 1_000_000:
        return f"{jobs // 1_000_000}m"
    return f"{jobs // 1000}k" if jobs >= 1000 else str(jobs)
