"""What has happened, how often, and how long did it take?

One reader of the events, and the counters and histograms that it feeds. A label's values are
bounded: what is not known is counted as "other".
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from tintype import __version__, events, jobs
from tintype.errors import Invalid, Misconfigured, Quota, Refused, Transient

PREFIX = "tintype"
OTHER = "other"
NONE = "none"
# Jobs take from a sandbox's moment to a long video.
JOB_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200)
PROVIDER_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 180)
# How many names an operator may give to queues, buckets, functions and loops before they are other.
NAMES_MAX = 64

CAUSES = (
    NONE,
    *(kind.cause for kind in (Refused, Invalid, Quota, Transient, Misconfigured)),
    "expired",
    "canceled",
    "worker_lost",
    "worker_error",
)
PROVIDER_OUTCOMES = (*CAUSES, "delivered", "partly_delivered", "crashed")
CALLBACK_OUTCOMES = (
    "applied",
    "duplicate",
    "crashed",
    "callback_not_proved",
    "job_not_held",
    "outputs_missing",
    "too_many_outputs",
    "path_out_of_scope",
    "path_missing",
    "file_changed",
    "file_empty",
    "file_too_large",
    "file_unreadable",
)

T = TypeVar("T", Counter, Histogram)
Fields = dict[str, Any]


class Label:
    """The values that one label may have: those known, and the first `room` others."""

    def __init__(self, known: Iterable[str] = (), *, room: int = 0) -> None:
        self._values = set(known)
        self._left = room

    def of(self, value: str | None) -> str:
        """Return `value` if it may stand, else "other"; "none" for None."""
        if value is None:
            return NONE
        if value in self._values:
            return value
        if self._left > 0:
            self._left -= 1
            self._values.add(value)
            return value
        return OTHER


class Children(dict[tuple[str, ...], T]):
    """The children of one metric by their labels: found in one look, made at the first."""

    def __init__(self, parent: T) -> None:
        super().__init__()
        self._parent: T = parent

    def __missing__(self, labels: tuple[str, ...]) -> T:
        child: T = self._parent.labels(*labels)
        self[labels] = child
        return child


class Metrics:
    """The counters of one process, in a registry of their own. `read` is the reader."""

    def __init__(self) -> None:
        # Prometheus tells by itself that a counter began anew, without a second line for each.
        cast(Callable[[], None], disable_created_metrics)()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._job_type = Label(("image", "video", *jobs.job_types()))
        self._status = Label(jobs.TERMINAL)
        self._cause = Label(CAUSES)
        self._provider = Label(room=NAMES_MAX)
        self._model = Label(room=NAMES_MAX)
        self._function = Label(room=NAMES_MAX)
        self._loop = Label(room=NAMES_MAX)
        self._outcome = Label(PROVIDER_OUTCOMES)
        self._callback = Label(CALLBACK_OUTCOMES)
        self._report = Label(("processing", "completed", "failed"))
        self._declare()
        readers: dict[type[events.Event], Callable[[Fields], None]] = {
            events.JobAccepted: self._job_accepted,
            events.JobsClaimed: lambda fields: self._claimed.inc(fields["count"]),
            events.JobSettled: self._job_settled,
            events.JobRetried: self._job_retried,
            events.JobsRescued: lambda fields: self._rescued.inc(fields["count"]),
            events.JobFenced: lambda fields: self._fenced.inc(),
            events.OutputAdopted: lambda fields: self._adopted.inc(),
            events.ProviderCalled: self._provider_called,
            events.ProviderPaused: self._provider_paused,
            events.CallbackReceived: self._callback_received,
            events.FunctionFailed: self._function_failed,
            events.FunctionLogsDropped: lambda fields: self._lines_dropped.inc(fields["count"]),
            events.LoopFailed: self._loop_failed,
        }
        self._readers = {event.__name__: reader for event, reader in readers.items()}

    def read(self, name: str, fields: Fields) -> None:
        """Count one event; what is not counted is passed over."""
        reader = self._readers.get(name)
        if reader is not None:
            reader(fields)

    def _declare(self) -> None:
        info = Gauge(
            f"{PREFIX}_info", "The version that runs.", ["version"], registry=self.registry
        )
        info.labels(__version__).set(1)
        self._accepted = self._counters(
            "jobs_accepted", "Jobs committed with their hold.", "job_type"
        )
        self._claimed = self._counter("jobs_claimed", "Jobs that this process's worker took.")
        self._settled = self._counters(
            "jobs_settled", "Jobs that ended here, by how and why.", "job_type", "status", "cause"
        )
        self._outputs = self._counters(
            "outputs_delivered", "Pictures and videos of jobs that ended.", "job_type"
        )
        self._seconds = self._histograms(
            "job_seconds", "From a job's creation to its end.", JOB_SECONDS, "job_type", "status"
        )
        self._running = self._histograms(
            "job_running_seconds",
            "From a job's first start to its end.",
            JOB_SECONDS,
            "job_type",
            "status",
        )
        self._retried = self._counters(
            "job_retries", "Attempts that failed and are made again.", "job_type", "cause"
        )
        self._rescued = self._counter(
            "jobs_rescued", "Jobs taken from workers that lost their lease."
        )
        self._fenced = self._counter("jobs_fenced", "Attempts whose end came too late to count.")
        self._adopted = self._counter("outputs_adopted", "Pictures of crashed attempts kept.")
        self._called = self._counters(
            "provider_calls", "Calls to providers.", "provider", "model", "outcome"
        )
        self._called_seconds = self._histograms(
            "provider_seconds", "How long providers took.", PROVIDER_SECONDS, "provider", "outcome"
        )
        self._paused = self._counters(
            "provider_pauses", "Times that a provider had to rest.", "provider", "cause"
        )
        self._callbacks = self._counters(
            "callbacks", "Reports of workers outside the server.", "status", "outcome"
        )
        self._functions = self._counters(
            "function_failures", "Calls of functions that ended by a fault.", "function"
        )
        self._lines_dropped = self._counter(
            "function_log_lines_dropped", "Lines of functions' logs that could not be kept."
        )
        self._loops = self._counters("loop_failures", "Faults of background loops.", "loop")

    def _job_accepted(self, fields: Fields) -> None:
        self._accepted[self._job_type.of(fields["job_type"]),].inc()

    def _job_settled(self, fields: Fields) -> None:
        job_type = self._job_type.of(fields["job_type"])
        status = self._status.of(fields["status"])
        self._settled[job_type, status, self._cause.of(fields["cause"])].inc()
        self._seconds[job_type, status].observe(fields["seconds"])
        if fields["running_seconds"] is not None:
            self._running[job_type, status].observe(fields["running_seconds"])
        if fields["outputs"]:
            self._outputs[job_type,].inc(fields["outputs"])

    def _job_retried(self, fields: Fields) -> None:
        job_type = self._job_type.of(fields["job_type"])
        self._retried[job_type, self._cause.of(fields["cause"])].inc()

    def _provider_called(self, fields: Fields) -> None:
        provider = self._provider.of(fields["provider"])
        outcome = self._outcome.of(fields["outcome"])
        self._called[provider, self._model.of(fields["model"]), outcome].inc()
        self._called_seconds[provider, outcome].observe(fields["milliseconds"] / 1000)

    def _provider_paused(self, fields: Fields) -> None:
        provider = self._provider.of(fields["provider"])
        self._paused[provider, self._cause.of(fields["cause"])].inc()

    def _callback_received(self, fields: Fields) -> None:
        status = self._report.of(fields["status"])
        self._callbacks[status, self._callback.of(fields["outcome"])].inc()

    def _function_failed(self, fields: Fields) -> None:
        self._functions[self._function.of(fields["function"]),].inc()

    def _loop_failed(self, fields: Fields) -> None:
        self._loops[self._loop.of(fields["loop"]),].inc()

    def _counter(self, name: str, told: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", told, registry=self.registry)

    def _counters(self, name: str, told: str, *labels: str) -> Children[Counter]:
        return Children(Counter(f"{PREFIX}_{name}", told, labels, registry=self.registry))

    def _histograms(
        self, name: str, told: str, buckets: tuple[float, ...], *labels: str
    ) -> Children[Histogram]:
        return Children(
            Histogram(f"{PREFIX}_{name}", told, labels, buckets=buckets, registry=self.registry)
        )
