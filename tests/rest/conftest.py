"""A served rest over a small library of our own, and callers with their tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx2
import pytest
from rest_site import Site, authenticate
from starlette.applications import Starlette
from starlette.routing import Mount

from support.serve import ANSWER_SECONDS_MAX, serving
from tintype import database
from tintype.rest import open_rest

SCHEMA = (Path(__file__).parent / "library.sql").read_text("utf-8")


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
async def template(template: str, postgres_url: str) -> AsyncIterator[str]:
    """Return the name of a migrated database that holds the library, for copies."""
    name = f"{template}_library"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template "{template}"')
    library = await asyncpg.connect(with_database(postgres_url, name))
    await library.execute(SCHEMA)
    await library.close()
    yield name
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()


@asynccontextmanager
async def opened(pool: database.Pool, database_url: str) -> AsyncIterator[Site]:
    rest = await open_rest(pool, authenticate, database_url=database_url)
    app = Starlette(routes=[Mount("/rest/v1", app=rest)])
    try:
        async with (
            serving(app) as url,
            httpx2.AsyncClient(
                base_url=f"{url}/rest/v1", trust_env=False, timeout=ANSWER_SECONDS_MAX
            ) as http,
        ):
            yield Site(url, rest, http)
    finally:
        await rest.close()


@pytest.fixture
async def site(pool: database.Pool, database_url: str) -> AsyncIterator[Site]:
    """Return the library, served."""
    async with opened(pool, database_url) as site:
        yield site


@pytest.fixture(scope="session")
async def shelf(postgres_url: str, template: str) -> AsyncIterator[Site]:
    """Return the library, served, one for all tests that only read."""
    name = f"{template}_shelf"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template "{template}"')
    url = with_database(postgres_url, name)
    pool = await database.connect(url)
    async with opened(pool, url) as site:
        yield site
    await pool.close()
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()
