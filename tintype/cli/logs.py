"""How are events told to whoever runs the server?

A line for each, with its own fields and those of what was being done: the request, the job, the
attempt, the user, the trace. What a user wrote is in no event, and what looks like a secret in the
words of an error is left out.
"""

import re
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from tintype import events, spans

# These happen with every job; they are told with --verbose only.
FREQUENT = frozenset(
    {
        "CallbackReceived",
        "JobAccepted",
        "JobRendered",
        "JobSettled",
        "JobsClaimed",
        "ProviderCalled",
    }
)
TROUBLE = frozenset(
    {
        "JobFenced",
        "JobRetried",
        "JobsRescued",
        "LoopFailed",
        "PromptKept",
        "ProviderPaused",
    }
)
FAULTS = frozenset({"FunctionFailed"})
# Tokens, keys of ours and of providers, and the password of a URL.
SECRET = re.compile(
    r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|\b(?:sb_secret_|ttl_|whsec_|AIza|sk-)[\w+/=-]{8,}"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
)
HIDDEN = "[hidden]"


def tell(*, verbose: bool) -> Callable[[], None]:
    """Write events to standard error: coloured lines on a terminal, else JSON lines.

    Returns what ends that.
    """
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            _placed,
            _without_secrets,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log = structlog.get_logger()

    def reader(name: str, fields: dict[str, Any]) -> None:
        level = _level(name)
        if level != "debug" or verbose:
            # Whoever took the log may be gone; the work goes on.
            with suppress(OSError, ValueError):
                getattr(log, level)(name, **fields)

    return events.subscribe(reader)


def _level(name: str) -> str:
    if name in FREQUENT:
        return "debug"
    if name in FAULTS:
        return "error"
    return "warning" if name in TROUBLE else "info"


def _placed(_log: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add what was being done; the event's own fields count more."""
    for name, value in spans.fields().items():
        line.setdefault(name, value)
    return line


def _without_secrets(
    _log: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = SECRET.sub(HIDDEN, value)
    return line
