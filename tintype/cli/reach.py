"""How does a command reach the server's parts?"""

import asyncio
import logging
import shlex
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import uvloop
from cyclopts import Parameter
from msgspec.structs import replace

from tintype import clock, config, database
from tintype.cli import presence
from tintype.cli.telling import err, stop
from tintype.cli.trouble import told_of
from tintype.config import Config
from tintype.database import Pool
from tintype.errors import OperatorError

Result = TypeVar("Result")

Data: TypeAlias = Annotated[
    Path | None, Parameter(help="Folder of the database, keys and objects (default ./.tintype).")
]
TERMINATED = 143
REVIVAL_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.1


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run one command's work; SIGTERM ends it as Ctrl-C does, with everything put away."""
    # A lost connection is told by whoever needed it, once, and not with a traceback.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)

    async def act() -> Result:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return uvloop.run(act())
    except asyncio.CancelledError:
        raise SystemExit(TERMINATED) from None


def configured(data: Path | None = None) -> Config:
    """Return the configuration of the current folder, with the URL of the server that runs."""
    chosen = config.load(data=data)
    server = presence.find(chosen.data)
    return chosen if server is None or server.url is None else at(chosen, server.url)


def at(chosen: Config, url: str) -> Config:
    """Return the configuration of a server that clients see at `url`."""
    return replace(chosen, server=replace(chosen.server, public_url=url))


@asynccontextmanager
async def opened_pool(data: Path | None) -> AsyncIterator[tuple[Config, Pool]]:
    """Yield a pool on the database, which is started for this command if no server runs."""
    chosen = configured(data)
    with told_of(chosen):
        async with AsyncExitStack() as stack:
            with err.status("opening the database"):
                server = None
                if chosen.database_url is None:
                    server = await stack.enter_async_context(presence.alone(chosen.data))
                if server is not None and server.url is not None:
                    chosen = at(chosen, server.url)
                    url = await asyncio.to_thread(database_url, chosen)
                else:
                    url = await stack.enter_async_context(_database_here(chosen))
                pool = await database.connect(url, size_max=4)
                stack.push_async_callback(pool.close)
            yield chosen, pool


def _database_here(chosen: Config) -> AbstractAsyncContextManager[str]:
    from tintype import app  # the whole server, which a command beside a running one spares

    return app.open_database(chosen)


def server_url(chosen: Config) -> str:
    """Return the URL of the server that runs on this data folder; stop when there is none."""
    server = presence.find(chosen.data)
    if server is None:
        stop(
            f"No server runs on {chosen.data}.",
            hint=f"Start one: tintype serve{where(chosen)}",
        )
    if server.url is None:
        stop(f"The server on {chosen.data} is still starting.", hint="Ask again in a moment.")
    return server.url


def database_url(chosen: Config) -> str:
    """Return the URL of the running server's database. Blocking.

    A Postgres that was killed is waited for, as the server starts it again. Raises
    `OperatorError` `database_away`.
    """
    if chosen.database_url is not None:
        return chosen.database_url
    folder = chosen.data / "postgres"
    deadline = clock.monotonic_seconds() + REVIVAL_SECONDS_MAX
    while folder.exists() and clock.monotonic_seconds() < deadline:
        found = database.find_embedded(folder)
        if found is not None:
            return found.url
        time.sleep(LOOK_SECONDS)
    raise OperatorError(
        "database_away",
        f"No Postgres runs in {folder}.",
        hint="If the server was started with DATABASE_URL, set it for this command too.",
    )


def where(chosen: Config) -> str:
    """Return the `--data` that a command needs to reach this folder from here, or nothing."""
    if chosen.data == Path.cwd().resolve() / ".tintype":
        return ""
    return f" --data {shlex.quote(str(chosen.data))}"
