"""Commands about credits: show, grant, statement, premium."""

from typing import Annotated

from cyclopts import App, Parameter

from tintype import credits
from tintype.cli.people import find_user
from tintype.cli.reach import Data, opened_pool, run
from tintype.cli.telling import LIST_ROWS_MAX, Json, Limit, out, print_json, print_rows

money = App(name="credits", help="Look at credits and grant them.")

ACCOUNT = ("user_id", "balance", "held", "available", "is_premium")
ENTRY = ("id", "created_at", "kind", "amount", "units", "hold_id", "note")


@money.command
def show(user: str | None = None, /, *, data: Data = None, json: Json = False) -> None:
    """Show settled, held and available credits of a user (e-mail or id), or of everyone."""

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            if user is None:
                found = await credits.listing(pool, limit=LIST_ROWS_MAX)
            else:
                account = await credits.get(pool, (await find_user(pool, user)).id)
                found = [account] if account else []
        print_rows(found, ACCOUNT, as_json=json, empty="No account has been opened.")

    run(work())


@money.command
def grant(
    user: str,
    amount: int,
    /,
    *,
    reference: Annotated[str | None, Parameter(help="A payment's id; it counts once.")] = None,
    note: Annotated[str | None, Parameter(help="Why, for the statement.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Add credits to a user's account.

    For example:
      tintype credits grant you@example.com 100 --reference invoice-17
    """

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            user_id = (await find_user(pool, user)).id
            added = await credits.grant(pool, user_id, amount, reference=reference, note=note)
            account = await credits.get(pool, user_id)
        if json:
            print_json({"granted": added, "account": account})
        else:
            said = f"granted {amount}" if added else f"{reference} was granted before"
            out.print(f"{said}; {account.available if account else 0} available")

    run(work())


@money.command
def statement(user: str, /, *, limit: Limit = 50, data: Data = None, json: Json = False) -> None:
    """List a user's newest ledger entries, the newest last."""

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            user_id = (await find_user(pool, user)).id
            entries = await credits.statement(pool, user_id, limit=limit)
        print_rows(entries, ENTRY, as_json=json, empty="There are no entries.")

    run(work())


@money.command
def premium(
    user: str,
    /,
    *,
    off: Annotated[bool, Parameter(help="Charge again.", negative="", show_default=False)] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Charge a user for nothing from now on; --off charges again."""

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            user_id = (await find_user(pool, user)).id
            await credits.set_premium(pool, user_id, not off)
            account = await credits.get(pool, user_id)
        if json:
            print_json(account)
        else:
            out.print(f"{user} is {'charged' if off else 'premium'}")

    run(work())
