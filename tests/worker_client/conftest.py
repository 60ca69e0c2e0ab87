"""A running product, a worker that is let in, and a client with its key."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lanes.bench_of_work import Bench
from tests.support.product import Product, open_product
from tintype.worker_client import WorkerClient


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker of `sdxl_queue` and what it needs, with a user who has credits."""
    return await Bench.open(product)


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[WorkerClient]:
    async with WorkerClient(bench.product.url, bench.credentials.key) as client:
        yield client
