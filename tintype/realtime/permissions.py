"""Who may hear and speak on a private topic?

The policies of `realtime.messages` decide, under the caller's role and claims: who may select a
message of the topic hears it, who may insert one says it. `realtime.topic()` is the topic's name,
and the column `extension` tells `broadcast` from `presence`.
"""

import asyncio
from collections.abc import Sequence

import asyncpg
import msgspec

from tintype.auth import Principal
from tintype.database import Pool, named_queries
from tintype.realtime.frames import quote

# Joins that ask the database at one time; the connections are shared with everything else.
ASKING_MAX = 4


class Rights(msgspec.Struct, frozen=True):
    """What one caller may do on one topic. `trouble` is what a broken policy said."""

    hears_broadcast: bool
    hears_presence: bool
    sends_broadcast: bool
    sends_presence: bool
    trouble: str | None = None


PUBLIC_RIGHTS = Rights(True, True, True, True)
NO_RIGHTS = Rights(False, False, False, False)


class Permissions:
    """Answers of the database, asked anew each time. Used from one event loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asking = asyncio.Semaphore(ASKING_MAX)

    async def of(self, principal: Principal, topics: Sequence[str]) -> dict[str, Rights]:
        """Return the rights on each private topic; none where the database has no such table."""
        names = list(dict.fromkeys(topics))
        async with self._asking:
            try:
                rows = await self._pool.fetch(
                    named_queries("realtime")["topic_rights"],
                    names,
                    principal.role,
                    quote(principal.claims),
                )
            except asyncpg.InsufficientPrivilegeError:
                return dict.fromkeys(names, NO_RIGHTS)
        return {
            names[row["place"]]: Rights(
                hears_broadcast="broadcast" in row["hears"],
                hears_presence="presence" in row["hears"],
                sends_broadcast="broadcast" in row["speaks"],
                sends_presence="presence" in row["speaks"],
                trouble=row["trouble"],
            )
            for row in rows
        }
