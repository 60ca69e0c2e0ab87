"""Commands about users: add, list, token."""

from typing import Annotated, NamedTuple
from uuid import UUID

from cyclopts import App, Parameter
from cyclopts.validators import Number

from tintype import auth, credits
from tintype.cli.reach import Data, opened_pool, run
from tintype.cli.telling import Json, Limit, out, print_json, print_rows
from tintype.database import Pool, transaction
from tintype.errors import NotFound

users = App(name="users", help="Add and list users, and make tokens for them.")

TOKEN_SECONDS = 3600
TOKEN_SECONDS_MAX = 30 * 24 * 3600


class Person(NamedTuple):
    """Whom a command is about."""

    id: UUID
    email: str


async def find_user(pool: Pool, who: str) -> Person:
    """Return the user with this e-mail or id.

    An id without a row counts where it has credits: another issuer's users sign in elsewhere.
    Raises `NotFound` `user_not_found`.
    """
    wanted = _id(who) or who
    async with transaction(pool) as connection:
        user = await auth.find_user(connection, wanted)
    if user is not None:
        return Person(user.id, user.email or "")
    if isinstance(wanted, UUID):
        if await credits.get(pool, wanted) is not None:
            return Person(wanted, "")
        raise NotFound(
            "user_not_found", f"There is no user {who}.", hint="List them: tintype users list"
        )
    raise NotFound(
        "user_not_found", f"There is no user {who}.", hint=f"Add one: tintype users add {who}"
    )


def _id(who: str) -> UUID | None:
    try:
        return UUID(who)
    except ValueError:
        return None


@users.command
def add(
    email: str,
    /,
    *,
    credits_granted: Annotated[
        int,
        Parameter(name="--credits", help="Credits to start with.", validator=Number(gte=0)),
    ] = 0,
    data: Data = None,
    json: Json = False,
) -> None:
    """Add a user; one who is there already is left as before, and given the credits.

    For example:
      tintype users add you@example.com --credits 20
    """

    async def work() -> None:
        async with opened_pool(data) as (config, pool):
            async with transaction(pool) as connection:
                found = await auth.find_user(connection, email)
                user_id = found.id if found else await auth.create_user(connection, email)
            await credits.open_account(pool, user_id, welcome=config.credits.welcome)
            if credits_granted:
                await credits.grant(pool, user_id, credits_granted, note="users add")
            account = await credits.get(pool, user_id)
        if json:
            print_json({"id": user_id, "email": email, "account": account})
        else:
            out.print(f"{email}  {user_id}  {account.available if account else 0} credits")

    run(work())


@users.command(name="list")
def list_(*, limit: Limit = 50, data: Data = None, json: Json = False) -> None:
    """List users, newest first."""

    async def work() -> None:
        async with opened_pool(data) as (_, pool), transaction(pool) as connection:
            found = await auth.list_users(connection, limit=limit)
        print_rows(
            found,
            ("id", "email", "created_at"),
            as_json=json,
            empty="There are no users. Add one: tintype users add you@example.com",
        )

    run(work())


@users.command
def token(
    user: str,
    /,
    *,
    seconds: Annotated[
        int,
        Parameter(help="How long it is valid.", validator=Number(gte=1, lte=TOKEN_SECONDS_MAX)),
    ] = TOKEN_SECONDS,
    data: Data = None,
) -> None:
    """Print an access token of a user (e-mail or id), as sign-in would give it.

    For example:
      TOKEN=$(tintype users token you@example.com)
    """

    from tintype import app as server

    async def work() -> None:
        async with opened_pool(data) as (config, pool):
            found = await find_user(pool, user)
        print(server.open_keys(config).mint(found.id, email=found.email, seconds=seconds))

    run(work())
