"""How much is going on, and how fast does it go?"""

from datetime import UTC, datetime, timedelta

from tintype import clock, jobs
from tintype.functions.context import Context
from tintype.functions.operating.asking import (
    JOBS_SEEN_MAX,
    Minutes,
    Text,
    Told,
    View,
    first_id_of,
    query,
    rows_of,
)
from tintype.functions.operating.hands import Workers, workers_of
from tintype.workers import pauses

HOUR_MINUTES = 60
# This is asked for every other second; the whole proof is a view of its own.
LEDGER_JOBS_SEEN_MAX = 5000
# A chart has at most this many buckets, each as wide as one of the steps.
BUCKETS_MAX = 120
BUCKET_SECONDS = (5, 15, 30, 60, 120, 300, 600, 900)
# A job that was accepted this long before the window, and ended in it, is still counted.
LOOK_BACK_MINUTES = 60


class QueueLoad(Told, frozen=True):
    """One queue; `oldest_seconds` is how long the oldest job that could be claimed has waited."""

    queue: str
    ready: int
    delayed: int
    leased: int
    oldest_seconds: float | None


class Overview(Told, frozen=True):
    """How things stand. `jobs_last_hour` counts the newest `jobs_seen_max` jobs by status; the
    ledger's rules are checked for the newest 5000 of those alone. A hold is open for each
    unfinished job."""

    at: datetime
    queues: list[QueueLoad]
    outside_workers: int
    outside_workers_alive: int
    inside_workers_alive: int
    pauses: int
    open_holds: int
    credits_held: int
    ledger_holds_true: bool
    jobs_last_hour: dict[str, int]
    jobs_seen_max: int = JOBS_SEEN_MAX


class AskOverview(View, tag="overview", frozen=True):
    """How do things stand?"""

    async def read(self, context: Context) -> Overview:
        """Return the state of queues, workers, providers and the newest jobs."""
        pool = context.pool
        bound = first_id_of(HOUR_MINUTES)
        found = await jobs.queues(pool, jobs_max=JOBS_SEEN_MAX)
        statuses = await pool.fetch(query("statuses"), bound, JOBS_SEEN_MAX)
        workers: Workers = await workers_of(context)
        return Overview(
            at=clock.now(),
            queues=rows_of(QueueLoad, found),
            outside_workers=len(workers.outside),
            outside_workers_alive=sum(one.is_alive for one in workers.outside),
            inside_workers_alive=len(workers.inside),
            pauses=len(await pauses.listing(pool)),
            open_holds=sum(row["ready"] + row["delayed"] + row["leased"] for row in found),
            credits_held=await pool.fetchval(query("held")),
            ledger_holds_true=not await pool.fetchval(
                query("recent_findings"), bound, LEDGER_JOBS_SEEN_MAX
            ),
            jobs_last_hour={row["status"]: row["jobs"] for row in statuses},
        )


class Bucket(Told, frozen=True):
    """What was accepted and what ended within one step of time. Seconds are of the jobs that
    ended: from creation to the end of completed ones, and from creation to the first start."""

    begins_at: datetime
    accepted: int
    completed: int
    failed: int
    canceled: int
    seconds_p50: float | None
    seconds_p95: float | None
    queued_seconds_p50: float | None
    queued_seconds_p95: float | None


class Throughput(Told, frozen=True):
    """The buckets, oldest first; the last is not over. `is_truncated`: only the newest jobs of the
    window were looked at."""

    bucket_seconds: int
    buckets: list[Bucket]
    is_truncated: bool
    jobs_seen_max: int = JOBS_SEEN_MAX


class AskThroughput(View, tag="throughput", frozen=True):
    """How many jobs came and ended lately, and how long did they take?"""

    minutes: Minutes = HOUR_MINUTES
    job_type: Text | None = None

    async def read(self, context: Context) -> Throughput:
        """Return what happened in the last `minutes`, of one type of job or of all."""
        width = next(
            step for step in BUCKET_SECONDS if self.minutes * 60 <= step * (BUCKETS_MAX - 1)
        )
        last = datetime.fromtimestamp(clock.now().timestamp() // width * width, UTC)
        first = last - timedelta(seconds=self.minutes * 60 // width * width)
        bound = jobs.first_id((first - timedelta(minutes=LOOK_BACK_MINUTES)).timestamp())
        rows = await context.pool.fetch(
            query("throughput"), bound, self.job_type, JOBS_SEEN_MAX, first, last, width
        )
        counted = await context.pool.fetchval(
            query("counted"), bound, self.job_type, JOBS_SEEN_MAX + 1
        )
        return Throughput(
            bucket_seconds=width,
            buckets=rows_of(Bucket, rows),
            is_truncated=counted > JOBS_SEEN_MAX,
        )
