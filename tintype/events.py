"""What does the system notice?

Every event is declared here with its fields; rooms call `emit`, readers (the log, counters)
subscribe. No room writes free-form log lines.
"""

from collections.abc import Callable
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. The class name is the event's name, in the past tense."""


class ServerStarted(Event, frozen=True):
    url: str


class DatabaseStarted(Event, frozen=True):
    version: str
    port: int
    recovered: bool


class MigrationApplied(Event, frozen=True):
    name: str


class JobAccepted(Event, frozen=True):
    """A new job is committed, with its hold."""

    job: str
    user: str
    job_type: str
    queue: str
    quantity: int


class JobsClaimed(Event, frozen=True):
    count: int
    worker: str


class JobSettled(Event, frozen=True):
    """A job ended, and its hold with it. `running_seconds` is None if it never started."""

    job: str
    user: str
    job_type: str
    queue: str
    status: str
    outputs: int
    cause: str | None
    attempt: int
    seconds: float
    running_seconds: float | None


class JobRetried(Event, frozen=True):
    """An attempt failed; the job goes back to its queue."""

    job: str
    job_type: str
    cause: str
    delay_seconds: float
    attempt: int


class JobsRescued(Event, frozen=True):
    """Jobs were taken from workers whose leases had expired."""

    count: int


class JobFenced(Event, frozen=True):
    job: str
    attempt: int


class WorkerDrained(Event, frozen=True):
    returned: int


class LoopFailed(Event, frozen=True):
    """A background loop hit an error; it goes on after `delay_seconds`."""

    loop: str
    error: str
    delay_seconds: float


class ProviderPaused(Event, frozen=True):
    provider: str
    cause: str
    seconds: float
    detail: str


class ProviderCalled(Event, frozen=True):
    provider: str
    model: str
    outcome: str
    milliseconds: int


class CallbackReceived(Event, frozen=True):
    """A worker outside the server reported; `outcome` is the code of a refusal otherwise."""

    job: str
    worker: str
    status: str
    outcome: str


class OutputAdopted(Event, frozen=True):
    """A picture stored before a crash was found and kept instead of made again."""

    job: str
    position: int


class RemovalProved(Event, frozen=True):
    """What an identity, a model or a user left is gone, and a listing has shown it."""

    removal: str
    kind: str
    user: str


class ModelLoaded(Event, frozen=True):
    """A worker with a GPU is ready. Offloaded: parts are on the GPU only while they work."""

    model: str
    device: str
    is_offloaded: bool
    seconds: float


class JobRendered(Event, frozen=True):
    job: str
    outputs: int
    seconds: float


class PromptKept(Event, frozen=True):
    """A prompt could not be rewritten; the job is made with it as it was."""

    error: str


class FunctionFailed(Event, frozen=True):
    function: str
    error: str
    request: str


class FunctionLogsDropped(Event, frozen=True):
    """Lines of functions' logs that came too fast, or while the database was away."""

    count: int


class OperatorActed(Event, frozen=True):
    """Somebody with an operator's rights changed something; `outcome` is the code of a refusal
    otherwise, `operator` the user, or service_role."""

    operator: str
    act: str
    subject: str
    outcome: str
    request: str


Reader = Callable[[str, dict[str, Any]], None]
_readers: list[Reader] = []


def subscribe(reader: Reader) -> Callable[[], None]:
    """Add a reader, called with each event's name and fields; return what removes it again."""
    _readers.append(reader)
    return lambda: _readers.remove(reader)


def emit(event: Event) -> None:
    """Hand `event` to every reader, in the order in which they subscribed."""
    if _readers:
        fields = msgspec.structs.asdict(event)
        for reader in tuple(_readers):
            reader(type(event).__name__, fields)
