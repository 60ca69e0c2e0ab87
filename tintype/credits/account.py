"""How many credits has a user, and where did they go?"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
import msgspec

from tintype.database import Pool, named_queries
from tintype.errors import InvalidRequest

# A grant larger than this is a slip of the hand.
GRANT_CREDITS_MAX = 1_000_000_000
STATEMENT_ROWS_MAX = 1000


class Account(msgspec.Struct, frozen=True):
    """`balance` is settled; `held` is set aside for running jobs; `available` is the rest."""

    user_id: UUID
    balance: int
    held: int
    available: int
    is_premium: bool


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger. Entries are added and never change."""

    id: int
    kind: Literal["grant", "hold", "capture", "release"]
    amount: int
    units: int
    hold_id: UUID | None
    note: str | None
    created_at: datetime


class Hold(msgspec.Struct, frozen=True):
    """Credits set aside for `units` outputs, and what became of them so far."""

    hold_id: UUID
    user_id: UUID
    amount: int
    units: int
    captured: int
    released: int


async def get(pool: Pool, user_id: UUID) -> Account | None:
    """Return the user's account, or None if it was never opened."""
    row = await pool.fetchrow(named_queries("credits")["account"], user_id)
    return None if row is None else Account(**dict(row))


async def hold(pool: Pool, hold_id: UUID) -> Hold | None:
    """Return the hold, or None if there is none under this id."""
    row = await pool.fetchrow(named_queries("credits")["hold"], hold_id)
    return None if row is None else Hold(**dict(row))


async def listing(pool: Pool, *, limit: int = 100) -> list[Account]:
    """Return accounts by user, at most `limit`."""
    rows = await pool.fetch(named_queries("credits")["accounts"], limit)
    return [Account(**dict(row)) for row in rows]


async def statement(pool: Pool, user_id: UUID, *, limit: int = 100) -> list[Entry]:
    """Return the user's newest entries, oldest of them first."""
    rows = await pool.fetch(
        named_queries("credits")["statement"], user_id, min(limit, STATEMENT_ROWS_MAX)
    )
    return [Entry(**dict(row)) for row in reversed(rows)]


async def open_account(pool: Pool, user_id: UUID, *, welcome: int) -> bool:
    """Open the account with `welcome` credits; False when it is open already."""
    return bool(await pool.fetchval("select tintype.open_account($1, $2)", user_id, welcome))


async def grant(
    pool: Pool, user_id: UUID, amount: int, *, reference: str | None = None, note: str | None = None
) -> bool:
    """Add `amount` credits; False, and nothing changes, when `reference` was granted before."""
    if not 0 < amount <= GRANT_CREDITS_MAX:
        raise InvalidRequest(
            "grant_out_of_range", f"A grant is 1 to {GRANT_CREDITS_MAX} credits, not {amount}."
        )
    try:
        return bool(
            await pool.fetchval(
                "select tintype.grant_credits($1, $2, $3, $4)", user_id, amount, reference, note
            )
        )
    except asyncpg.NumericValueOutOfRangeError as error:
        raise InvalidRequest("grant_out_of_range", "The balance would be too large.") from error


async def set_premium(pool: Pool, user_id: UUID, is_premium: bool) -> None:
    """Charge the user for nothing from now on, or charge again."""
    await pool.execute("select tintype.set_premium($1, $2)", user_id, is_premium)
