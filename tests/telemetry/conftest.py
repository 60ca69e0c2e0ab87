from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lanes.bench_of_work import Bench
from tests.support.product import Product, open_product
from tests.telemetry.collector import Collector, collecting


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture
async def traced(database_url: str, tmp_path: Path, collector: Collector) -> AsyncIterator[Product]:
    """Return a product that sends its traces to the collector."""
    async with open_product(
        database_url,
        tmp_path,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=pictures%20and%20video",
        OTEL_SERVICE_NAME="studio",
    ) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker of `sdxl_queue`, with a user who has credits."""
    return await Bench.open(product)
