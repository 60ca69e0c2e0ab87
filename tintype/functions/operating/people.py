"""Who uses this, and what credits have they?"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from tintype import auth, credits
from tintype.credits import Account, Entry
from tintype.database import transaction
from tintype.errors import NotFound, RequestError
from tintype.functions.context import Context
from tintype.functions.operating.asking import Act, Operator, Text, Told, View, query, rows_of
from tintype.functions.operating.rows import JobRow, job_rows

USERS_MAX = 100
OFFSET_MAX = 1_000_000
STATEMENT_ROWS = 100
NEWEST_JOBS = 20
GRANT_CREDITS_MAX = 1_000_000_000


class Somebody(Told, frozen=True):
    """A user: `balance` is settled, `held` set aside for running jobs, `available` the rest."""

    id: UUID
    email: str | None
    created_at: datetime
    last_sign_in_at: datetime | None
    is_anonymous: bool
    balance: int
    held: int
    available: int
    is_premium: bool
    jobs_last_day: int


class Users(Told, frozen=True):
    """A page of users, newest first; `next` is the `offset` of the page after this."""

    users: list[Somebody]
    next: int | None


class AskUsers(View, tag="users", frozen=True):
    """Who is there? `search` is part of an address, or a whole id."""

    search: Text | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=USERS_MAX)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0, le=OFFSET_MAX)] = 0

    async def read(self, context: Context) -> Users:
        """Return a page of those who signed up or have credits."""
        user_id = None if self.search is None else _id(self.search)
        search = None if user_id is not None else self.search
        rows = await context.pool.fetch(
            query("users"), search, user_id, self.limit + 1, self.offset
        )
        found = rows_of(Somebody, rows)
        more = len(found) > self.limit
        return Users(users=found[: self.limit], next=self.offset + self.limit if more else None)


class EntryRow(Told, frozen=True):
    """One line of the ledger."""

    id: int
    kind: str
    amount: int
    units: int
    hold_id: UUID | None
    note: str | None
    created_at: datetime


class Person(Told, frozen=True):
    """One user, with the newest entries and jobs first."""

    user: Somebody
    statement: list[EntryRow]
    jobs: list[JobRow]


class AskUser(View, tag="user", frozen=True):
    """What is there of one user, named by id or e-mail?"""

    user: Text

    async def read(self, context: Context) -> Person:
        """Return account, statement and newest jobs. Raises `NotFound` `user_not_found`."""
        user_id = await find_person(context, self.user)
        rows = await context.pool.fetch(query("users"), None, user_id, 1, 0)
        entries = await credits.statement(context.pool, user_id, limit=STATEMENT_ROWS)
        return Person(
            user=rows_of(Somebody, rows)[0],
            statement=[entry_row(entry) for entry in reversed(entries)],
            jobs=await job_rows(context, {"user_id": user_id}, limit=NEWEST_JOBS),
        )


class Granted(Told, frozen=True):
    """What the user has now. Not `granted`: the reference was granted before, nothing changed."""

    granted: bool
    user_id: UUID
    balance: int
    held: int
    available: int


class Grant(Act, tag="grant", frozen=True):
    """Add credits to the account of a user, named by id or e-mail. A `reference` counts once."""

    user: Text
    amount: Annotated[int, msgspec.Meta(ge=1, le=GRANT_CREDITS_MAX)]
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    reference: Text | None = None

    async def perform(self, context: Context, operator: Operator) -> Granted:
        """Grant, and tell it. Raises `NotFound` `user_not_found`, `InvalidRequest`
        `grant_out_of_range` for a balance that would be too large."""
        try:
            user_id = await find_person(context, self.user)
            is_granted = await credits.grant(
                context.pool, user_id, self.amount, reference=self.reference, note=self.note
            )
        except RequestError as error:
            operator.tell("grant", self.user, error.code)
            raise
        told = f"granted {self.amount}" if is_granted else "granted_before"
        operator.tell("grant", user_id, told)
        account = await credits.get(context.pool, user_id)
        assert account is not None
        return _granted(account, is_granted)


def _granted(account: Account, is_granted: bool) -> Granted:
    return Granted(
        granted=is_granted,
        user_id=account.user_id,
        balance=account.balance,
        held=account.held,
        available=account.available,
    )


def entry_row(entry: Entry) -> EntryRow:
    """Return an entry of the ledger as it is told."""
    return EntryRow(**msgspec.structs.asdict(entry))


async def find_person(context: Context, who: str) -> UUID:
    """Return the id of the user with this id or e-mail.

    An id without a row counts where it has credits: another issuer's users sign in elsewhere.
    Raises `NotFound` `user_not_found`.
    """
    wanted = _id(who)
    async with transaction(context.pool) as connection:
        user = await auth.find_user(connection, wanted or who)
    if user is not None:
        return user.id
    if wanted is not None and await credits.get(context.pool, wanted) is not None:
        return wanted
    raise NotFound("user_not_found", "There is no such user.")


def _id(who: str) -> UUID | None:
    try:
        return UUID(who)
    except ValueError:
        return None
