"""Is the database away for a moment, and should this be tried again?"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

Result = TypeVar("Result")

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0

# The connection broke or Postgres is starting, stopping or recovering; or two transactions met
# in a way that one of them had to give up (deadlock, serialization).
PASSING = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InternalClientError,
)

# All that a statement may raise, passing or not: asyncpg's errors have no common root, and a
# connection that breaks in the middle of one statement says so of the next in words of its own.
STATEMENT_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)


def is_passing(error: BaseException) -> bool:
    """Whether `error` is the kind of trouble that goes away by itself."""
    return isinstance(error, PASSING)


async def persist(act: Callable[[], Awaitable[Result]], *, seconds_max: float) -> Result:
    """Run `act` until it meets no passing trouble, for `seconds_max` at most; return its result.

    `act` must be safe to repeat: an attempt whose answer was lost may have been committed.
    Raises the last trouble when the time is up, and any other error at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds_max
    delay = RETRY_SECONDS_FIRST
    while True:
        try:
            return await act()
        except PASSING:
            if loop.time() + delay > deadline:
                raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)
