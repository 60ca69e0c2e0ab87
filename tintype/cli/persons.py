"""Commands about identities: list, show, remove, removals."""

from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter

from tintype.cli.people import find_user
from tintype.cli.reach import Data, opened_pool, run
from tintype.cli.telling import Json, Limit, out, plain, print_json, print_rows
from tintype.errors import NotFound

identities = App(name="identities", help="Look at trained identities, and remove them.")

COLUMNS = ("id", "status", "name", "images", "step", "steps_total", "error_code", "created_at")
REMOVAL_COLUMNS = ("id", "kind", "attempts", "created_at", "done_at", "last_error")


@identities.command(name="list")
def list_(
    *,
    user: Annotated[str | None, Parameter(help="Only this user's: e-mail or id.")] = None,
    limit: Limit = 50,
    data: Data = None,
    json: Json = False,
) -> None:
    """List identities, newest first."""
    from tintype import identities as room

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            user_id = (await find_user(pool, user)).id if user else None
            found = await room.listing(pool, user_id=user_id, limit=limit)
        print_rows(found, COLUMNS, as_json=json, empty="There are no such identities.")

    run(work())


@identities.command
def show(identity_id: UUID, /, *, data: Data = None, json: Json = False) -> None:
    """Show an identity with its training and the consent that was recorded."""
    from tintype import identities as room

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            found = await room.get(pool, identity_id)
        if found is None:
            raise _unknown(identity_id)
        if json:
            print_json(found)
            return
        facts = {
            "id": found.id,
            "user": found.user_id,
            "name": found.name,
            "status": found.status,
            "images": found.images,
            "trained": f"step {found.step} of {found.steps_total}",
            "repository": found.url or found.repository,
            "job": found.job_id,
            "consent": {None: "not said", True: "given", False: "refused"}[found.consent["given"]],
            "created": f"{found.created_at:%Y-%m-%d %H:%M:%S}",
            "error": f"{found.error_code}: {found.error_message}" if found.error_code else None,
        }
        for name, value in facts.items():
            if value is not None:
                out.print(f"{name:>12}  {plain(str(value))}")

    run(work())


@identities.command
def remove(identity_id: UUID, /, *, data: Data = None, json: Json = False) -> None:
    """Remove an identity: its pictures, adapter, repository and rows.

    The row goes at once; a running server or worker removes the rest, and
    `tintype identities removals` tells when nothing is left.
    """
    from tintype import identities as room

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            if not await room.delete(pool, identity_id):
                raise _unknown(identity_id)
        if json:
            print_json({"id": identity_id, "status": "removing"})
        else:
            out.print(f"{identity_id} is being removed")

    run(work())


@identities.command
def removals(*, limit: Limit = 50, data: Data = None, json: Json = False) -> None:
    """List what was deleted and how far its removal is, newest first.

    With --json each has its proof: what was listed in the end, and empty.
    """
    from tintype import identities as room

    async def work() -> None:
        async with opened_pool(data) as (_, pool):
            found = await room.removals(pool, limit=limit)
        print_rows(found, REMOVAL_COLUMNS, as_json=json, empty="Nothing was removed lately.")

    run(work())


def _unknown(identity_id: UUID) -> NotFound:
    return NotFound(
        "identity_not_found",
        f"There is no identity {identity_id}.",
        hint="List them: tintype identities list",
    )
