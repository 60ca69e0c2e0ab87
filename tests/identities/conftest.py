import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.functions.described import judge_every_answer
from tests.identities.trainer import Trainer, training_for
from tests.support.hub_server import HubServer
from tests.support.product import Product, open_product


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the whole product, which keeps identities in its own storage."""
    async with open_product(database_url, tmp_path, TINTYPE_IDENTITIES_HUB="storage") as product:
        await judge_every_answer(product)
        yield product


@pytest.fixture
async def idle_product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the same with no worker: what is accepted stays queued."""
    async with open_product(
        database_url, tmp_path, works=False, TINTYPE_IDENTITIES_HUB="storage"
    ) as product:
        await judge_every_answer(product)
        yield product


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with HubServer() as hub:
        yield hub


@pytest.fixture
async def hub_product(database_url: str, tmp_path: Path, hub: HubServer) -> AsyncIterator[Product]:
    """Return the whole product, which publishes identities at a Hub of this test."""
    async with open_product(
        database_url, tmp_path, HUGGINGFACE_TOKEN=hub.token, HF_ENDPOINT=hub.url
    ) as product:
        yield product


@pytest.fixture
async def trainer(product: Product) -> AsyncIterator[Trainer]:
    async with training_for(product) as trainer:
        yield trainer


@pytest.fixture
def killed() -> Callable[[str], Path]:
    """Run a program that kills itself, and return the path that it printed before."""

    def run(program: str) -> Path:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        return Path(done.stdout.strip())

    return run
