"""What did functions say, and how did their calls end?

Lines wait in memory and are written together, behind every answer: a call never waits for its
log. What opens a door is left out: tokens, keys, passwords in URLs. More than `LINES_WAITING_MAX`
lines, or a database that is away, cost lines and nothing else; how many is told by an event.
"""

import asyncio
import builtins
import re
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from tintype import clock, events
from tintype.database import Pool

LINES_WAITING_MAX = 2000
WRITE_SECONDS = 1.0
WRITE_SECONDS_MAX = 10.0
# What one call may print; the rest reaches standard output alone.
LINES_PER_CALL_MAX = 200
MESSAGE_CHARACTERS_MAX = 4000

# JWTs (access tokens, keys, what signs a URL), opaque keys of this server and of the services that
# functions call, the password in a URL.
SECRETS = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]{5,}"
    r"|\b(?:sb_secret_|sk-|sk_live_|hf_|r8_|AIza)[\w-]{16,}"
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
)

Level: TypeAlias = Literal["info", "warning", "error"]


class Line(msgspec.Struct, frozen=True):
    """One line: of a call's end if it has a `status`, else of what was printed or went wrong."""

    at: datetime
    function: str
    request_id: str
    level: Level
    message: str
    status: int | None = None
    seconds: float | None = None


Write = Callable[[Sequence[Line]], Awaitable[None]]


class Journal:
    """The lines of one process's functions, on their way to where `write` puts them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._closing = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._forget = events.subscribe(self._hear)

    def add(
        self,
        function: str,
        request_id: str,
        level: Level,
        message: str,
        *,
        status: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Take one line; drop it when too many wait. Called on the event loop's thread."""
        if len(self._lines) >= LINES_WAITING_MAX:
            self._dropped += 1
        else:
            self._lines.append(
                Line(clock.now(), function, request_id, level, _storable(message), status, seconds)
            )
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits and hear no more. Safe to call twice."""
        if not self._closing.is_set():
            self._forget()
        self._closing.set()
        if self._writing is not None:
            await self._writing

    def _hear(self, name: str, fields: dict[str, Any]) -> None:
        if name == events.FunctionFailed.__name__:
            self.add(fields["function"], fields["request"], "error", fields["error"])

    async def _run(self) -> None:
        while self._lines or self._dropped:
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._closing.wait()
            await self._flush()

    async def _flush(self) -> None:
        lines = list(self._lines)
        self._lines.clear()
        if lines:
            try:
                async with asyncio.timeout(WRITE_SECONDS_MAX):
                    await self._write(lines)
            # Whatever it was, the next lines are tried again: a log that has died tells nobody.
            except Exception:
                self._dropped += len(lines)
        dropped, self._dropped = self._dropped, 0
        if dropped:
            events.emit(events.FunctionLogsDropped(count=dropped))


def to_database(pool: Pool) -> Write:
    """Return what keeps lines in `tintype.function_logs`."""

    async def write(lines: Sequence[Line]) -> None:
        await pool.execute("select tintype.add_logs($1)", msgspec.json.encode(lines).decode())

    return write


class _Voice:
    """Whose words are printed now, and how many more there may be."""

    __slots__ = ("function", "journal", "left", "loop", "request_id", "thread")

    def __init__(self, journal: Journal, function: str, request_id: str) -> None:
        self.journal = journal
        self.function = function
        self.request_id = request_id
        self.left = LINES_PER_CALL_MAX
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()

    def say(self, level: Level, text: str) -> None:
        if self.left <= 0:
            return
        self.left -= 1
        line = self.function, self.request_id, level, text
        if threading.get_ident() == self.thread:
            self.journal.add(*line)
        else:
            # A function may print from a thread of its own, and after the server has ended.
            with suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.journal.add, *line)


_voice: ContextVar[_Voice | None] = ContextVar("tintype_function_voice", default=None)


@contextmanager
def heard(journal: Journal, function: str, request_id: str) -> Iterator[None]:
    """Let what is printed inside, and by tasks and threads begun there, be this call's lines."""
    token = _voice.set(_Voice(journal, function, request_id))
    try:
        yield
    finally:
        _voice.reset(token)


def print_heard(
    *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, **more: Any
) -> None:
    """Print as ever; a project's files have this as their `print`, and it is kept as a line."""
    builtins.print(*values, sep=sep, end=end, file=file, **more)
    voice = _voice.get()
    if voice is not None and file in (None, sys.stdout, sys.stderr):
        text = (" " if sep is None else sep).join(str(value) for value in values)
        voice.say("error" if file is sys.stderr else "info", text)


def _storable(text: str) -> str:
    """Return what Postgres and UTF-8 can hold of a text, and nobody may not read."""
    # A secret that the limit cuts through is known by its whole.
    hidden = SECRETS.sub("…", text[: 2 * MESSAGE_CHARACTERS_MAX])[:MESSAGE_CHARACTERS_MAX]
    return hidden.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
