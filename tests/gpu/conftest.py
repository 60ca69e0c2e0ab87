"""Tiny models on this machine's disk, and the running product with its workers outside."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.lanes.bench_of_work import Bench
from tests.support.product import Product, open_product


class Models:
    """Folders of tiny models, made when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        from tests.gpu import tiny

        # The machine's cores are the tests' own: more threads only wait for each other.
        tiny.torch.set_num_threads(1)
        self.folder = folder
        self.sdxl = tiny.sdxl(folder / "sdxl")
        self.flux = tiny.flux(folder / "flux")
        self.wan = tiny.wan(folder / "wan")
        self.writer = tiny.writer(folder / "writer")
        self.loras = folder / "loras"
        for number, name in enumerate(("one", "two")):
            tiny.lora(self.sdxl, self.loras / f"{name}.safetensors", seed=number)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker of both queues that is let in, and a person with credits."""
    return await Bench.open(product, "sdxl_queue", "wan_queue")
