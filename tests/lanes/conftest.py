"""A running product, a worker that is let in, and jobs on its queue."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.lanes.bench_of_work import Bench
from tests.support.product import Product, open_product


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker of `sdxl_queue` and what it needs, with a user who has credits."""
    return await Bench.open(product)


@pytest.fixture
async def job_id(bench: Bench) -> UUID:
    """Return a job that waits on `sdxl_queue`."""
    return await bench.enqueue()
