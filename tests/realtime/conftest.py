"""A realtime behind a real server, on a database of its own."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from realtime_site import Site, open_site

from tintype.auth import KeySet, open_keys

Admin = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
def keys(tmp_path: Path) -> KeySet:
    return open_keys(tmp_path / "keys.json", issuer="https://pictures.example/auth/v1")


@pytest.fixture
async def site(database_url: str, keys: KeySet) -> AsyncIterator[Site]:
    async with open_site(database_url, keys) as site:
        yield site


@pytest.fixture
async def weak_url(database_url: str, admin: Admin) -> AsyncIterator[str]:
    """Return the URL of a login role that may not replicate."""
    role = f"weak_{uuid4().hex[:8]}"
    await admin.execute(f"create role {role} login password 'weak' in role service_role")
    await admin.execute(f"grant anon, authenticated to {role}")
    parts = urlsplit(database_url)
    yield parts._replace(netloc=f"{role}:weak@{parts.hostname}:{parts.port}").geturl()
    await admin.execute(f"drop owned by {role}")
    await admin.execute(f"drop role {role}")


@pytest.fixture
def ada() -> UUID:
    return uuid4()


@pytest.fixture
def bob() -> UUID:
    return uuid4()
