"""A key set in a folder of its own, alone and joined with another's; and a served sign-in."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from outside_issuer import ISSUER, OUTSIDE, Clock, OutsideIssuer
from sign_in_site import Site, opened

from tintype import clock
from tintype.auth import KeySet, Settings, open_keys
from tintype.database import Pool


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(clock, "unix_seconds", moved.unix_seconds)
    monkeypatch.setattr(clock, "monotonic_seconds", moved.monotonic_seconds)
    return moved


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def keys(session_folder: Path) -> KeySet:
    return open_keys(session_folder / "keys.json", issuer=ISSUER)


@pytest.fixture
def outside() -> Iterator[OutsideIssuer]:
    outside = OutsideIssuer()
    yield outside
    outside.stop()


@pytest.fixture
def joined(session_folder: Path, outside: OutsideIssuer) -> KeySet:
    """Return a key set that also takes the tokens of `outside`."""
    return open_keys(
        session_folder / "keys.json",
        issuer=ISSUER,
        jwks_url=outside.url,
        outside_issuer=OUTSIDE,
    )


@pytest.fixture
async def site(keys: KeySet, pool: Pool) -> AsyncIterator[Site]:
    async with opened(keys, pool, Settings()) as site:
        yield site
