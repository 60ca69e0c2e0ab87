"""The product that the tests with supabase-py share, a module at a time, and their clients."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import fresh_database
from tests.support.product import Product, open_product
from tests.system.supabase_py_site import Apps


@pytest.fixture(scope="module")
async def product(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    async with (
        fresh_database(postgres_url, template) as database_url,
        open_product(database_url, folder, TINTYPE_WORKER_CONCURRENCY="2") as product,
    ):
        yield product


@pytest.fixture
async def apps(product: Product) -> AsyncIterator[Apps]:
    product.provider.reset()
    apps = Apps(product)
    yield apps
    await apps.close()
