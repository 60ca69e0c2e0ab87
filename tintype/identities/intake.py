"""How do many requests with pictures come in without filling memory or disk?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from tintype import clock
from tintype.identities.hub import repository_name
from tintype.identities.receiving import Gate
from tintype.identities.scratch import Scratch


class Intake:
    """The one place of a server where the pictures of requests are received."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._gate = Gate()
        self._named_at = clock.now()

    def name(self, identity_name: str) -> str:
        """Return a name for the repository of a new identity, which no other one here gets."""
        # The name holds the millisecond.
        self._named_at = max(clock.now(), self._named_at + timedelta(milliseconds=1))
        return repository_name(identity_name, self._named_at)

    @asynccontextmanager
    async def entered(self, caller: str, *, announced_bytes: int) -> AsyncIterator[Path]:
        """Yield a folder for one request of `caller`, gone at the end, when its turn has come.

        Raises `Unavailable`: `busy`, `disk_full`.
        """
        async with (
            self._gate.entered(caller, self._scratch.root, announced_bytes=announced_bytes),
            self._scratch.folder() as folder,
        ):
            yield folder
