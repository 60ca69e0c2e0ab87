"""One served product for a whole module: what is attacked here must not have to be fresh."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.support.product import Product, open_product


@pytest.fixture(scope="module")
async def served_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Return the URL of a migrated database that ends with the module."""
    name = f"tintype_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template "{template}"')
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    await admin.execute(f'drop database if exists "{name}" with (force)')
    await admin.close()


@pytest.fixture(scope="module")
async def product(
    served_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    folder: Path = tmp_path_factory.mktemp("product")
    # Without an account at the Hub nothing gets so far that it could be refused.
    async with open_product(
        served_url, folder, works=False, TINTYPE_IDENTITIES_HUB="storage"
    ) as product:
        yield product
