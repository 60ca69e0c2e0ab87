"""How many requests with pictures may be received at once?

Each takes disk, `REQUEST_BYTES_MAX` at most, so all of them together have a bound. They wait their
turn for a while, one caller's beside everybody else's, and are then told to come back.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import disk_usage

from tintype.errors import Unavailable
from tintype.identities.receiving.decoder import IMAGE_BYTES_MAX
from tintype.identities.receiving.outline import IMAGES_MAX

RECEIVING_MAX = 8
RECEIVING_PER_CALLER_MAX = 4
WAITING_MAX = 100
WAIT_SECONDS_MAX = 20.0
RETRY_AFTER_SECONDS = 30
# As received, and as validated: at most 2048 x 2048 pixels, which a PNG holds in 12.6 MB.
REQUEST_BYTES_MAX = IMAGES_MAX * (IMAGE_BYTES_MAX + 13 * 1024 * 1024)
# Left to the database on the same disk.
FREE_BYTES_MIN = 256 * 1024 * 1024


class Gate:
    """Lets `receiving_max` requests in at once, `per_caller_max` of one caller."""

    def __init__(
        self,
        *,
        receiving_max: int = RECEIVING_MAX,
        per_caller_max: int = RECEIVING_PER_CALLER_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._receiving_max = receiving_max
        self._per_caller_max = per_caller_max
        self._wait_seconds_max = wait_seconds_max
        self._inside: Counter[str] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def entered(
        self, caller: str, folder: Path, *, announced_bytes: int = 0
    ) -> AsyncIterator[None]:
        """Hold a place for `caller` while one request is received into `folder` and validated.

        `announced_bytes` is its Content-Length, 0 when it has none. Raises `Unavailable`: `busy`
        after `wait_seconds_max` without a place, or at once when `WAITING_MAX` wait already;
        `disk_full` when the disk could not take it.
        """
        _check_room(folder, announced_bytes or REQUEST_BYTES_MAX)
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                await self._turn(caller)
        except TimeoutError:
            raise _busy() from None
        self._inside[caller] += 1
        try:
            yield
        finally:
            self._inside[caller] -= 1
            if not self._inside[caller]:
                del self._inside[caller]
            for turn in self._waiting:
                if not turn.done():
                    turn.set_result(None)

    async def _turn(self, caller: str) -> None:
        while (
            self._inside.total() >= self._receiving_max
            or self._inside[caller] >= self._per_caller_max
        ):
            if len(self._waiting) >= WAITING_MAX:
                raise _busy()
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            finally:
                self._waiting.remove(turn)


def _check_room(folder: Path, bytes_wanted: int) -> None:
    if disk_usage(folder).free < bytes_wanted + FREE_BYTES_MIN:
        raise Unavailable(
            "disk_full",
            "The server has no room for these pictures.",
            hint="Try again later, or send fewer or smaller pictures.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )


def _busy() -> Unavailable:
    return Unavailable(
        "busy",
        "Too many training pictures are being received.",
        hint=f"Try again in {RETRY_AFTER_SECONDS} s.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
