"""Commands of an operator: migrate, keys, openapi, ledger."""

from typing import Any

from cyclopts import App

from tintype import credits, events
from tintype.cli.reach import Data, configured, opened_pool, run
from tintype.cli.telling import Json, Output, err, out, plain, print_json, print_values

ledger = App(name="ledger", help="Prove that the money adds up.")


def migrate(*, data: Data = None, json: Json = False) -> None:
    """Bring the database to this version's shape.

    Safe to repeat and to run from many machines at once; `serve` and `worker` do it too.
    """
    applied: list[str] = []

    def note(name: str, fields: dict[str, Any]) -> None:
        if name == "MigrationApplied":
            applied.append(fields["name"])

    async def work() -> list[dict[str, Any]]:
        async with opened_pool(data) as (_, pool):  # opening migrates
            rows = await pool.fetch("select name, applied_at from tintype.migrations order by 1")
        return [dict(row) for row in rows]

    forget = events.subscribe(note)
    try:
        known = run(work())
    finally:
        forget()
    if json:
        print_json({"applied": applied, "migrations": known})
        return
    for name in applied:
        out.print(f"applied {name}")
    if not applied:
        newest = max(row["applied_at"] for row in known)
        out.print(f"nothing to apply; up to date since {newest:%Y-%m-%d %H:%M:%S}")


def keys(*, data: Data = None, output: Output = "env") -> None:
    """Print the API keys of a data folder.

    They are made at first use; no server needs to run.
    """
    from tintype.cli.serving import key_values

    print_values(key_values(configured(data)), output)


def openapi(*, data: Data = None) -> None:
    """Print the OpenAPI document of this project's functions.

    It is version 3.1, as the server serves it, and made from the files of the current folder; no
    server needs to run. A function that does not load is left out.
    """
    from tintype.functions import Loader, openapi_document

    chosen = configured(data)
    print_json(openapi_document(run(Loader(chosen.project, chosen.functions).load_all())))


@ledger.command
def verify(*, data: Data = None, json: Json = False) -> None:
    """Prove by query that every balance, hold and settlement adds up; exit 1 if one does not.

    Reads from one snapshot, and can be run while jobs run.
    """

    async def work() -> credits.Verification:
        async with opened_pool(data) as (_, pool):
            with err.status("verifying the ledger"):
                return await credits.verify(pool)

    found = run(work())
    if json:
        print_json(found)
    else:
        print_verification(found)
    if not found.holds_true:
        raise SystemExit(1)


def print_verification(found: credits.Verification) -> None:
    """Print what was looked at and what was found."""
    out.print(
        f"ledger verify: {found.accounts} accounts, {found.holds} holds "
        f"({found.open_holds} open), {found.jobs} jobs: "
        + ("every rule holds" if found.holds_true else f"{len(found.findings)} findings")
    )
    for finding in found.findings:
        out.print(f"  {finding.rule}: {finding.subject}: {plain(finding.detail)}")
