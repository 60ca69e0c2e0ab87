from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.project import Project
from tests.functions.described import judge_every_answer
from tests.support.product import Product, open_product

# Without an account at the Hub nothing of an identity gets so far that it could be judged.
HUB = {"TINTYPE_IDENTITIES_HUB": "storage"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the whole product, its worker at work; every answer is held to the document."""
    async with open_product(database_url, tmp_path, **HUB) as product:
        await judge_every_answer(product)
        yield product


@pytest.fixture
async def idle_product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the whole product with no worker: what is accepted stays queued."""
    async with open_product(database_url, tmp_path, works=False, **HUB) as product:
        await judge_every_answer(product)
        yield product
