"""One Postgres for the run, one database per test from a migrated template."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tintype import database


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return an administrator's URL: `TINTYPE_TEST_DATABASE_URL`, else an embedded Postgres."""
    given = os.environ.get("TINTYPE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("postgres")
    server = database.start_embedded(folder / "postgres", settings={"fsync": "off"})
    try:
        yield server.url
    finally:
        server.stop()


def with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
async def template(postgres_url: str) -> AsyncIterator[str]:
    name = f"tintype_template_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template template0')
    await database.migrate(with_database(postgres_url, name))
    yield name
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Return the URL of a fresh, migrated database that ends with the test."""
    name = f"tintype_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template "{template}"')
    yield with_database(postgres_url, name)
    await admin.execute(f'drop database if exists "{name}" with (force)')
    await admin.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[database.Pool]:
    """Return the kernel's pool, as the server opens it."""
    pool = await database.connect(database_url)
    yield pool
    await pool.close()


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Return a connection that may do anything, to set up and to look behind the scenes."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def repository() -> Path:
    return Path(__file__).parent.parent
