from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.workshop import Workshop, workshop
from tintype.database import Pool


@pytest.fixture
async def shop(pool: Pool, database_url: str, tmp_path: Path) -> AsyncIterator[Workshop]:
    async with workshop(pool, database_url, tmp_path) as open_shop:
        yield open_shop
