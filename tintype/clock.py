"""What time is it?

The only source of now in Python. SQL has its own, `tintype.clock()`, which the verbs use.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def unix_seconds() -> float:
    """Return the seconds since 1970-01-01 UTC, as JWTs and webhooks count them."""
    return time.time()


def monotonic_seconds() -> float:
    """Return a reading that only grows, for measuring durations and deadlines."""
    return time.monotonic()
