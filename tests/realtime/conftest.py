"""A realtime behind a real server, on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from realtime_site import Site, open_site

from tintype.auth import KeySet, open_keys


@pytest.fixture
def keys(tmp_path: Path) -> KeySet:
    return open_keys(tmp_path / "keys.json", issuer="https://pictures.example/auth/v1")


@pytest.fixture
async def site(database_url: str, keys: KeySet) -> AsyncIterator[Site]:
    async with open_site(database_url, keys) as site:
        yield site


@pytest.fixture
def ada() -> UUID:
    return uuid4()


@pytest.fixture
def bob() -> UUID:
    return uuid4()
