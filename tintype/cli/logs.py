"""How are events told to whoever runs the server?"""

import sys
from typing import Any

import structlog

from tintype import events

# These happen with every job; they are told with --verbose only.
FREQUENT = frozenset({"JobsClaimed", "ProviderCalled", "JobSettled"})
TROUBLE = frozenset({"LoopFailed", "FunctionFailed", "ProviderPaused", "JobFenced"})


def tell(*, verbose: bool) -> None:
    """Write events to standard error: coloured lines on a terminal, else JSON lines."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log = structlog.get_logger()

    def reader(name: str, fields: dict[str, Any]) -> None:
        if name in FREQUENT and not verbose:
            return
        (log.warning if name in TROUBLE else log.info)(name, **fields)

    events.subscribe(reader)
