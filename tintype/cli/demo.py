"""Does it work here? The whole way of one job, in one command."""

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from cyclopts import Parameter
from msgspec.structs import replace

from tintype import app as server
from tintype import auth, clock, config, credits, database
from tintype.cli import asking
from tintype.cli.operate import print_verification
from tintype.cli.reach import Data, run
from tintype.cli.serving import keep_up
from tintype.cli.telling import err, out, plain, stop, table
from tintype.config import Config
from tintype.database import Pool, transaction

EMAIL = "demo@example.com"
PROMPT = "a robot holding a skateboard"
CREDITS = 20
ENTRIES_SHOWN_MAX = 6
OUTPUT = Path("demo-output")


def demo(
    prompt: Annotated[str, Parameter(help="What the pictures show.")] = PROMPT,
    /,
    *,
    quantity: Annotated[int, Parameter(help="How many pictures, 1 to 4.")] = 4,
    model: Annotated[str, Parameter(help="The sandbox draws them without a provider.")] = "sandbox",
    output: Annotated[Path, Parameter(help="Folder for the pictures.")] = OUTPUT,
    data: Annotated[Data, Parameter(help="Data folder (default ./.tintype/demo).")] = None,
) -> None:
    """Run one job from the request to the stored pictures, with no keys.

    Starts Postgres and the server on free ports, gives a user credits, asks for
    pictures over HTTP, watches them come, shows what they cost and proves the
    ledger.

    For example:
      tintype demo
      tintype demo "a lighthouse in a storm" --quantity 2
    """
    started = clock.monotonic_seconds()
    chosen = config.load(data=data or Path.cwd() / ".tintype" / "demo", port=_free_port())
    chosen = replace(chosen, worker=replace(chosen.worker, inside_serve=True))
    body = {"prompt": prompt, "quantity": quantity, "model": model}
    run(_demo(chosen, body, output))
    out.print(f"done in {clock.monotonic_seconds() - started:.1f} s")


async def _demo(chosen: Config, body: dict[str, Any], output: Path) -> None:
    is_ready = asyncio.Event()
    serving = asyncio.create_task(keep_up(chosen, lambda _: is_ready.set()))
    waiting = asyncio.create_task(is_ready.wait())
    try:
        with err.status("starting Postgres and the server"):
            await _first(waiting, serving)
        out.print(f"Tintype is ready on {chosen.public_url}")
        await _first(asyncio.create_task(_run(chosen, body, output)), serving)
    finally:
        waiting.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _first(act: asyncio.Task[Any], serving: asyncio.Task[None]) -> None:
    """Wait for `act`; a server that ends before it, by trouble or Ctrl-C, ends it too."""
    try:
        await asyncio.wait((act, serving), return_when=asyncio.FIRST_COMPLETED)
        if not act.done():
            await serving
            raise KeyboardInterrupt
        await act
    finally:
        act.cancel()
        with suppress(asyncio.CancelledError):
            await act


async def _run(chosen: Config, body: dict[str, Any], output: Path) -> None:
    found = database.find_embedded(chosen.data / "postgres")
    url = chosen.database_url or (found.url if found else "")
    pool = await database.connect(url, size_max=2)
    try:
        await _tell(chosen, pool, body, output)
    finally:
        await pool.close()


async def _tell(chosen: Config, pool: Pool, body: dict[str, Any], output: Path) -> None:
    user_id = await _user(pool)
    await _print_statement(pool, user_id, "before")
    token = server.open_keys(chosen).mint(user_id, email=EMAIL)
    answer = await asking.submit(chosen.public_url, token, body)
    pictures = "1 picture" if answer["quantity"] == 1 else f"{answer['quantity']} pictures"
    out.print(
        f'\n"{plain(body["prompt"])}", {pictures}: job {answer["jobId"]}, '
        f"{answer['creditsHeld']} credits held, {answer['creditsRemaining']} left"
    )
    job = await asking.watch(pool, UUID(answer["jobId"]), out)
    if job.status != "completed":
        stop(f"The job ended as {job.status}: {job.error_message}")
    for file in await asking.download(job.result_urls, output, body["prompt"], replace=True):
        out.print(f"  {file}")
    out.print()
    await _print_statement(pool, user_id, "after")
    found = await credits.verify(pool)
    print_verification(found)
    if not found.holds_true:
        raise SystemExit(1)


async def _user(pool: Pool) -> UUID:
    async with transaction(pool) as connection:
        user = await auth.find_user(connection, EMAIL)
        user_id = user.id if user else await auth.create_user(connection, EMAIL)
    account = await credits.get(pool, user_id)
    if account is None or account.available < CREDITS // 2:
        await credits.grant(pool, user_id, CREDITS, note="demo")
    return user_id


async def _print_statement(pool: Pool, user_id: UUID, when: str) -> None:
    account = await credits.get(pool, user_id)
    if account is None:
        return
    out.print(
        f"Credits {when}: {account.balance} settled, {account.held} held, "
        f"{account.available} available"
    )
    entries = await credits.statement(pool, user_id, limit=ENTRIES_SHOWN_MAX)
    for line in table(entries, ("kind", "amount", "units")):
        out.print(line)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
