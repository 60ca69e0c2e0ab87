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


class JobsClaimed(Event, frozen=True):
    count: int
    worker: str


class JobSettled(Event, frozen=True):
    job: str
    status: str
    outputs: int
    cause: str | None


class JobRetried(Event, frozen=True):
    job: str
    cause: str
    delay_seconds: float
    attempt: int


class JobsRescued(Event, frozen=True):
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


class OutputAdopted(Event, frozen=True):
    """A picture stored before a crash was found and kept instead of made again."""

    job: str
    position: int


class FunctionFailed(Event, frozen=True):
    function: str
    error: str
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
