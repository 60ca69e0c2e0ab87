"""How many jobs a second are queued, and how long does a caller wait?

One process queues jobs: callers that each await one job, again and again, and batches of 1,000.
Every one of Tintype's jobs is a hold on an account and an entry in the ledger as well.
"""

from bench.rounds import Run, act
from bench.settle import PEERS, prepared

# Contestant, mode, callers, figure, what it is.
CALLS = (
    ("tintype", "one", 16, "tintype_enqueue_16", "16 callers of Submitter.submit, with the hold"),
    ("tintype", "one", 128, "tintype_enqueue_128", "128 callers of Submitter.submit"),
    ("tintype", "batch", 2, "tintype_enqueue_batch", "1,000 in a transaction, 2 connections"),
    ("procrastinate", "one", 16, "procrastinate_enqueue_16", "16 callers of defer_async"),
    ("procrastinate", "batch", 2, "procrastinate_enqueue_batch", "batch_defer_async of 1,000, 2×"),
    ("pgqueuer", "one", 16, "pgqueuer_enqueue_16", "16 callers of enqueue, through a pool"),
    ("pgqueuer", "batch", 2, "pgqueuer_enqueue_batch", "enqueue of 1,000, 2 connections"),
)


async def measure(run: Run) -> None:
    """Add rate, p50 and p99 of each, interleaved."""
    async with prepared(run, ("tintype", *PEERS)) as templates:
        for turn in range(run.sizes.repeats):
            run.say(f"enqueue, round {turn + 1} of {run.sizes.repeats}")
            for contestant, mode, callers, name, what in CALLS:
                async with run.server.copy(templates[contestant]) as url:
                    result = await act(
                        contestant,
                        "enqueue",
                        url=url,
                        mode=mode,
                        callers=callers,
                        seconds=run.sizes.enqueue_seconds,
                    )
                run.note(f"{name}_per_s", result["per_s"], unit="jobs/s", what=what)
                if mode == "one":
                    for wait in ("p50_ms", "p99_ms"):
                        run.note(f"{name}_{wait}", result[wait], unit="ms", what=what)
