"""What is being done, inside of what, and for whom?

A Span is one piece of work: a request, an attempt, a call to a provider. Spans nest, and their
fields tell every log line what it belongs to. Where a tracer is installed, each becomes a span of
a distributed trace; its `traceparent` (W3C Trace Context, https://www.w3.org/TR/trace-context/)
travels with the job, and is handed on unchanged where nothing traces.
"""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Protocol

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.A)
# Where in a `traceparent` its trace's id stands.
TRACE_ID = slice(3, 35)


class Trace(Protocol):
    """A span as a tracer keeps it. `traceparent` is what its own parts go under."""

    @property
    def traceparent(self) -> str:
        """Return what names this span to other processes."""

    def note(self, fields: Mapping[str, Any]) -> None:
        """Add fields."""

    def end(self, error: BaseException | None) -> None:
        """Say that the work is over, and whether by an error."""


class Tracer(Protocol):
    """Keeps spans."""

    def begin(
        self, name: str, fields: Mapping[str, Any], *, parent: str | None, link: str | None
    ) -> Trace:
        """Begin a span under `parent`, or a new trace; `link` is one that it came out of."""


class Span:
    """One piece of work, from entering to leaving the `with`."""

    __slots__ = ("_given", "_own", "_token", "_trace", "fields", "name", "traceparent")

    def __init__(self, name: str, traceparent: object, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields
        self.traceparent: str | None = None
        self._given = traceparent
        self._own = fields
        self._trace: Trace | None = None
        self._token: Token[Span | None]

    def __enter__(self) -> "Span":
        outer = _current.get()
        inherited = None
        if outer is not None:
            self.fields = {**outer.fields, **self._own}
            inherited = outer.traceparent
        self.traceparent = inherited
        link = None
        if self._given is not None:
            joined = checked(self._given)
            if joined is not None and (
                inherited is None or inherited[TRACE_ID] != joined[TRACE_ID]
            ):
                self.traceparent, link = joined, inherited
        if _tracer is not None:
            self._trace = _tracer.begin(self.name, self._own, parent=self.traceparent, link=link)
            self.traceparent = self._trace.traceparent
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        if self._trace is not None:
            self._trace.end(error)

    def note(self, **fields: Any) -> None:
        """Add what became known on the way."""
        self.fields = {**self.fields, **fields}
        if self._trace is not None:
            self._trace.note(fields)


_current: ContextVar[Span | None] = ContextVar("tintype_span", default=None)
# The newest of those that are installed keeps the spans.
_tracers: list[Tracer] = []
_tracer: Tracer | None = None


def span(name: str, /, *, traceparent: object = None, **fields: Any) -> Span:
    """Return the span of a piece of work, for `with`.

    With a valid `traceparent` it belongs to that trace: directly under it, or under the enclosing
    span where that is of the same trace already. What is no `traceparent` is ignored, as the
    standard wants.
    """
    return Span(name, traceparent, fields)


def note(**fields: Any) -> None:
    """Add fields to the innermost span; without one nothing happens."""
    current = _current.get()
    if current is not None:
        current.note(**fields)


def fields() -> Mapping[str, Any]:
    """Return the fields of the spans around, the inner over the outer, and their trace's id."""
    current = _current.get()
    if current is None:
        return {}
    if current.traceparent is None:
        return current.fields
    return {**current.fields, "trace": current.traceparent[TRACE_ID]}


def traceparent() -> str | None:
    """Return what to hand on to other processes; None outside of every trace."""
    current = _current.get()
    return None if current is None else current.traceparent


def checked(value: object) -> str | None:
    """Return `value` if it is a `traceparent` of version 00, else None."""
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else None


def install(tracer: Tracer) -> Callable[[], None]:
    """Let `tracer` keep every span that begins from now on; return what ends that."""
    global _tracer
    _tracers.append(tracer)
    _tracer = tracer

    def remove() -> None:
        global _tracer
        _tracers.remove(tracer)
        _tracer = _tracers[-1] if _tracers else None

    return remove
