"""What is wrong with this installation, and what mends it?"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.text import Text

from tintype import app as server
from tintype import clock, jobs
from tintype.cli import presence
from tintype.cli.reach import Data, configured, opened_pool, run, where
from tintype.cli.telling import Json, out, plain, print_json
from tintype.config import Config
from tintype.database import Pool, named_queries
from tintype.errors import OperatorError, TintypeError
from tintype.providers import Catalogue
from tintype.workers import pauses

FREE_BYTES_MIN = 1024**3
MARKS = {"ok": ("ok  ", "green"), "warning": ("warn", "yellow"), "error": ("bad ", "red")}


class Check(msgspec.Struct, frozen=True):
    """One thing looked at."""

    name: str
    level: Literal["ok", "warning", "error"]
    detail: str
    hint: str | None = None


def doctor(
    *,
    resume: Annotated[
        bool,
        Parameter(help="End the pauses of providers.", negative="", show_default=False),
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Check the machine, the database, the providers and the queues.

    Says of each whether it is ok, and what mends it if not. Exits 1 if something is bad.
    """
    config = configured(data)
    checks = [_python(), _folder(config), _keys(config), _server(config), *_models(config)]

    async def work() -> None:
        try:
            async with opened_pool(data) as (_, pool):
                if resume:
                    await pauses.resume(pool)
                checks.extend(await _database(pool))
        except TintypeError as error:
            checks.append(Check("database", "error", error.message, error.hint))

    run(work())
    if json:
        print_json(checks)
    else:
        for check in checks:
            out.print(Text.assemble(MARKS[check.level], f" {check.name}: {plain(check.detail)}"))
            if check.hint:
                out.print(f"     {check.hint}")
    if any(check.level == "error" for check in checks):
        raise SystemExit(1)


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", "ok" if sys.version_info >= (3, 11) else "error", version)


def _folder(config: Config) -> Check:
    folder: Path = config.data
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{config.data}, {free / 1024**3:.1f} GiB free"
    if not os.access(folder, os.W_OK):
        return Check("data folder", "error", f"{folder} cannot be written", "Choose --data.")
    if free < FREE_BYTES_MIN:
        return Check("data folder", "warning", detail, "Less than 1 GiB is left for pictures.")
    return Check("data folder", "ok", detail)


def _keys(config: Config) -> Check:
    try:
        server.open_keys(config)
    except OperatorError as error:
        return Check("keys", "error", error.message, error.hint)
    return Check("keys", "ok", str(config.keys_file or config.data / "keys.json"))


def _server(config: Config) -> Check:
    found = presence.find(config.data)
    if found is None:
        hint = f"Start it: tintype serve{where(config)}"
        return Check("server", "warning", "not running", hint)
    return Check("server", "ok", f"{found.url or 'starting'} (process {found.pid})")


def _models(config: Config) -> list[Check]:
    catalogue = Catalogue(config.providers)
    model, warnings = catalogue.resolve(None, clock.now())
    checks = [Check("default model", "ok", f"{model.id} ({model.provider})")]
    if model.provider == "sandbox":
        hint = "Set GEMINI_API_KEY or AI_GATEWAY_API_KEY for real pictures."
        checks = [Check("default model", "warning", "sandbox: drawn, not generated", hint)]
    checks += [Check("model", "warning", warning) for warning in warnings]
    return checks


async def _database(pool: Pool) -> list[Check]:
    row = await pool.fetchrow(named_queries("doctor")["server"])
    checks = [Check("database", "ok", f"Postgres {row['version']}"), *_capture(row)]
    lost = await pool.fetchval(named_queries("doctor")["lost"])
    checks.append(
        Check("jobs", "error" if lost else "ok", f"{lost} wait for work and are in no queue")
    )
    for depth in await jobs.depth(pool):
        detail = f"{depth['ready']} ready, {depth['delayed']} delayed, {depth['leased']} leased"
        checks.append(Check(f"queue {depth['queue']}", "ok", detail))
    for pause in await pauses.listing(pool):
        what = f"{pause.provider} {pause.model}".strip()
        checks.append(
            Check(
                f"provider {what}",
                "warning",
                f"{pause.cause}, {pause.seconds:.0f} s more: {pause.detail}",
                "Mend it, then `tintype doctor --resume`.",
            )
        )
    return checks


def _capture(row: Mapping[str, Any]) -> list[Check]:
    """Look at what realtime reads changes from; without the log it is what triggers note down."""
    if row["wal_level"] != "logical":
        detail = f"wal_level is {row['wal_level']}: realtime goes by triggers, later and dearer"
        hint = "alter system set wal_level = 'logical'; then restart Postgres."
        return [Check("changes", "warning", detail, hint)]
    if not row["may_replicate"]:
        detail = f"the role {row['login_role']} may not replicate: realtime goes by triggers"
        return [Check("changes", "warning", detail, f"alter role {row['login_role']} replication;")]
    checks = [Check("changes", "ok", "read from the write-ahead log")]
    if row["slot_keep"] == "-1":
        checks.append(
            Check(
                "replication slots",
                "warning",
                "max_slot_wal_keep_size is -1: a slot that nobody reads keeps the log for ever",
                "alter system set max_slot_wal_keep_size = '1GB'; select pg_reload_conf();",
            )
        )
    return checks
