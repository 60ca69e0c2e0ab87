"""What goes on after the answer?

`wait_until`, as `EdgeRuntime.waitUntil`: work that the caller does not wait for and the server
does. When the server stops it waits for that work, then cancels what is left: the
`asyncio.CancelledError` that the work gets is its `beforeunload`, the moment to save how far it is.
It does not survive a kill of the process; work that must is a job.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from tintype import clock, events
from tintype.errors import TooManyRequests
from tintype.functions.wire.failure import described

BACKGROUND_TASKS_MAX = 1000
BACKGROUND_SECONDS_MAX = 400
BUSY_RETRY_SECONDS = 5
# What cancelled work has to put itself away.
UNLOAD_SECONDS_MAX = 2


class Background:
    """The work under way behind answered requests, bounded in number and in time."""

    def __init__(self, *, tasks_max: int = BACKGROUND_TASKS_MAX) -> None:
        self._tasks: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._tasks_max = tasks_max

    def start(self, work: Coroutine[Any, Any, Any], *, function: str, request: str) -> None:
        """Begin `work`; what it raises becomes a `FunctionFailed` event.

        Raises `TooManyRequests` when `tasks_max` are under way; `work` is closed then.
        """
        if len(self._tasks) >= self._tasks_max:
            work.close()
            raise TooManyRequests(
                "background_full",
                "Too much background work is under way.",
                retry_after_seconds=BUSY_RETRY_SECONDS,
            )
        task = asyncio.create_task(_run(work, function, request))
        self._tasks[task] = function, request

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.pop(task)
            work.close()
            if task.cancelled():
                _report(function, "stopped before its end, the server shut down", request)

        task.add_done_callback(ended)

    async def close(self, seconds: float, *, unload_seconds: float = UNLOAD_SECONDS_MAX) -> None:
        """Wait up to `seconds` for the work under way, then cancel what is left.

        Cancelled work has `unload_seconds` for what it does about it; what has not ended then is
        reported and left behind.
        """
        await self._ended(seconds)
        for task in self._tasks:
            task.cancel()
        await self._ended(unload_seconds)
        for function, request in self._tasks.values():
            _report(function, "does not end, the server stops without it", request)

    async def _ended(self, seconds: float) -> None:
        deadline = clock.monotonic_seconds() + seconds
        while self._tasks and (left := deadline - clock.monotonic_seconds()) > 0:
            await asyncio.wait(self._tasks, timeout=left)


async def _run(work: Coroutine[Any, Any, Any], function: str, request: str) -> None:
    try:
        async with asyncio.timeout(BACKGROUND_SECONDS_MAX):
            await work
    except (Exception, SystemExit) as error:
        _report(function, described(error), request)


def _report(function: str, reason: str, request: str) -> None:
    error = f"In the background: {reason}"
    events.emit(events.FunctionFailed(function=function, error=error, request=request))
