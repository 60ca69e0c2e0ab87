"""How do things stand in the database, and what may it cost to ask?

A Reading is one answer that is kept for a while. However many scrapes come, it is made once; a
slow one is left to go on behind the scrape that asked for it; and it takes at most a twentieth of
the time, however large the tables have grown. What cannot be read is left out of a scrape, never
told from memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tintype import clock, credits, events, jobs
from tintype.database import Pool, named_queries
from tintype.telemetry.metrics import NAMES_MAX, OTHER, PREFIX

QUICK_SECONDS = 5.0
SLOW_SECONDS = 60.0
QUICK_SECONDS_MAX = 2.0
SLOW_SECONDS_MAX = 30.0
# A scrape waits this long for readings under way; Prometheus gives it ten.
WAIT_SECONDS_MAX = 3.0
# A reading that took a second is not made again for this many.
REST_PER_SECOND = 20.0
COUNTED_JOBS_MAX = 1_000_000
SEEN_SECONDS = 60
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Families: TypeAlias = list[GaugeMetricFamily]


class Reading:
    """What `read` returned, for `seconds` at least. One `read` runs at a time, and for
    `seconds_max` at most."""

    def __init__(
        self,
        name: str,
        read: Callable[[], Awaitable[Families]],
        *,
        seconds: float,
        seconds_max: float,
    ) -> None:
        self.name = name
        self.families: Families | None = None
        self.took_seconds = 0.0
        self._read = read
        self._seconds = seconds
        self._seconds_max = seconds_max
        self._due_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> "asyncio.Task[None] | None":
        """Read anew if it is time to; return what is under way, if anything is."""
        if self._task is not None and not self._task.done():
            return self._task
        if clock.monotonic_seconds() < self._due_at:
            return None
        self._task = asyncio.create_task(self._run())
        return self._task

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        began = clock.monotonic_seconds()
        try:
            async with asyncio.timeout(self._seconds_max):
                self.families = await self._read()
        except Exception as error:
            self.families = None
            events.emit(
                events.LoopFailed(
                    loop=f"reading {self.name}", error=repr(error), delay_seconds=self._seconds
                )
            )
        now = clock.monotonic_seconds()
        self.took_seconds = now - began
        self._due_at = now + max(self._seconds, self.took_seconds * REST_PER_SECOND)


class Readings(Collector):
    """The gauges: `refresh` asks, `collect` tells what is known."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # Slow readings come one after the other: they hold one connection of the pool together.
        self._slow = asyncio.Lock()
        self._queues = Reading(
            "queues", self._read_queues, seconds=QUICK_SECONDS, seconds_max=QUICK_SECONDS_MAX
        )
        slow = {
            "storage": self._read_storage,
            "ledger": self._read_ledger,
            "users": self._read_users,
        }
        self._all = [
            self._queues,
            *(
                Reading(name, read, seconds=SLOW_SECONDS, seconds_max=SLOW_SECONDS_MAX)
                for name, read in slow.items()
            ),
        ]

    async def refresh(self) -> None:
        """Read what is due; return when that is done, or after `WAIT_SECONDS_MAX`."""
        tasks = [task for one in self._all if (task := one.begin()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=WAIT_SECONDS_MAX)

    async def close(self) -> None:
        """Stop what is under way."""
        await asyncio.gather(*(one.close() for one in self._all))

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield what could be read, and what could not."""
        is_up = self._queues.families is not None
        yield _family("database_up", "Whether the database answered.", [((), is_up)])
        yield _family(
            "reading_up",
            "Whether this part of the gauges could be read.",
            [((one.name,), one.families is not None) for one in self._all],
            "reading",
        )
        yield _family(
            "reading_seconds",
            "How long reading it took.",
            [((one.name,), one.took_seconds) for one in self._all],
            "reading",
        )
        for one in self._all:
            yield from one.families or ()

    async def _read_queues(self) -> Families:
        async with self._pool.acquire() as connection:
            rows = await jobs.queues(connection, jobs_max=COUNTED_JOBS_MAX)
            workers = await connection.fetch(
                named_queries("telemetry")["outside_workers"], SEEN_SECONDS
            )
        states = ("ready", "delayed", "leased")
        return [
            _family(
                "queue_jobs",
                f"Jobs of a queue, at most {COUNTED_JOBS_MAX} of a state.",
                [((row["queue"], state), row[state]) for row in rows for state in states],
                "queue",
                "state",
            ),
            _family(
                "queue_oldest_seconds",
                "The age of the oldest job that could be claimed; 0 when there is none.",
                [((row["queue"],), row["oldest_seconds"] or 0) for row in rows],
                "queue",
                combine=max,
            ),
            _family(
                "outside_workers",
                f"Workers outside the server seen in the last {SEEN_SECONDS} s.",
                [((row["queue"],), row["workers"]) for row in workers],
                "queue",
            ),
        ]

    async def _read_storage(self) -> Families:
        async with self._slow:
            rows = await self._pool.fetch(named_queries("telemetry")["storage"])
        return [
            _family(
                "storage_bytes",
                "The bytes of a bucket's objects.",
                [((row["bucket"],), row["bytes"]) for row in rows],
                "bucket",
            ),
            _family(
                "storage_objects",
                "The objects of a bucket.",
                [((row["bucket"],), row["objects"]) for row in rows],
                "bucket",
            ),
        ]

    async def _read_ledger(self) -> Families:
        async with self._slow:
            found = await credits.verify(self._pool)
            held = await self._pool.fetchval(named_queries("telemetry")["credits_held"])
        return [
            _family(
                "ledger_findings",
                "Broken rules that verifying the ledger found; must be 0.",
                [((), len(found.findings))],
            ),
            _family("holds_open", "Holds that are not resolved.", [((), found.open_holds)]),
            _family("credits_held", "Credits under open holds.", [((), held)]),
        ]

    async def _read_users(self) -> Families:
        now = clock.now()
        bounds = [jobs.first_id((now - span).timestamp()) for span in (HOUR, DAY)]
        async with self._slow:
            row = await self._pool.fetchrow(named_queries("telemetry")["active_users"], *bounds)
        counts = dict(row or {})
        return [
            _family(
                "active_users",
                "Users whose jobs were accepted within the last hour and day.",
                [((window,), counts[window]) for window in ("hour", "day")],
                "window",
            )
        ]


def _family(
    name: str,
    told: str,
    values: Sequence[tuple[tuple[str, ...], Any]],
    *labels: str,
    combine: Callable[[list[float]], float] = sum,
) -> GaugeMetricFamily:
    """Return one gauge. Of more than `NAMES_MAX` first labels the rest are combined as "other"."""
    names = list(dict.fromkeys(key[0] for key, _ in values if key))
    shown = set(names[:NAMES_MAX])
    merged: dict[tuple[str, ...], list[float]] = {}
    for key, value in values:
        if key and key[0] not in shown:
            key = (OTHER, *key[1:])
        merged.setdefault(key, []).append(float(value))
    family = GaugeMetricFamily(f"{PREFIX}_{name}", told, labels=labels)
    for key, found in merged.items():
        family.add_metric(key, combine(found))
    return family
