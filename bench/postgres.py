"""On which Postgres?

One server for every contestant, with the settings below, or the one that `DATABASE_URL` names.
Every measurement gets a database of its own, copied from the contestant's prepared template and
dropped afterwards, so that nobody inherits bloat.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tintype import database

# Durable: a commit that returned is on disk. The memory is what a machine of 4 GB would give.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "wal_level": "logical",
    "jit": "off",
}
TOLD = (*SETTINGS, "autovacuum", "autovacuum_naptime", "max_connections", "huge_pages")


class Server:
    """A Postgres that an administrator's URL opens."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def empty(self) -> AsyncIterator[str]:
        """Yield the URL of a new, empty database, which is dropped at the end."""
        name = _new_name()
        await self._execute(f'create database "{name}" template template0')
        try:
            yield with_database(self._url, name)
        finally:
            await self._execute(f'drop database if exists "{name}" with (force)')

    @asynccontextmanager
    async def copy(self, template_url: str) -> AsyncIterator[str]:
        """Yield the URL of a copy of a database that nobody is connected to."""
        name = _new_name()
        template = urlsplit(template_url).path.removeprefix("/")
        await self._execute(f'create database "{name}" template "{template}"')
        try:
            yield with_database(self._url, name)
        finally:
            await self._execute(f'drop database if exists "{name}" with (force)')

    async def facts(self) -> dict[str, str]:
        """Return the version and the settings that figures depend on."""
        connection = await asyncpg.connect(self._url)
        try:
            facts = {"version": await connection.fetchval("show server_version")}
            for name in TOLD:
                facts[name] = await connection.fetchval(f"show {name}")
            return facts
        finally:
            await connection.close()

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Server]:
    """Yield the server of `DATABASE_URL`, else an embedded one that lives and ends in `folder`."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield Server(given)
        return
    embedded = await asyncio.to_thread(
        database.start_embedded, folder / "postgres", settings=SETTINGS
    )
    try:
        yield Server(embedded.url)
    finally:
        await asyncio.to_thread(embedded.stop)


async def settle_down(url: str) -> None:
    """Bring a freshly filled database to rest, so that its fill does not disturb what follows."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("vacuum (analyze)", timeout=600)
        await connection.execute("checkpoint", timeout=600)
    finally:
        await connection.close()


def with_database(url: str, name: str) -> str:
    """Return `url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _new_name() -> str:
    return f"tintype_bench_{uuid4().hex[:12]}"
