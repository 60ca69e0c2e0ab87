"""A storage on a real disk and database, behind a real server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from storage_site import OBJECT_BYTES_MAX, SECRET, MakeBucket, Site, authenticate

from support.s3 import S3Server
from support.serve import ANSWER_SECONDS_MAX, serving
from tintype import database
from tintype.config import Config, ServerConfig, StorageConfig
from tintype.storage import Storage, open_storage, routes


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        data=tmp_path / "data",
        project=tmp_path,
        server=ServerConfig(public_url="https://pictures.example"),
        storage=StorageConfig(object_bytes_max=OBJECT_BYTES_MAX),
    )


@pytest.fixture
def storage(config: Config, pool: database.Pool) -> Storage:
    return open_storage(config, pool, SECRET)


@pytest.fixture
async def site(storage: Storage) -> AsyncIterator[Site]:
    app = Starlette(routes=[Mount("/storage/v1", routes=routes(storage, authenticate))])
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=f"{url}/storage/v1", timeout=ANSWER_SECONDS_MAX) as http,
    ):
        yield Site(url, storage, http)


@pytest.fixture
def ada() -> UUID:
    return uuid4()


@pytest.fixture
def bob() -> UUID:
    return uuid4()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Return each of the backends as `[tintype.storage]` names it."""
    if request.param == "folder":
        yield {}
        return
    with S3Server() as server:
        yield {"backend": "s3", **server.settings(server.make_bucket())}


@pytest.fixture
async def make_bucket(storage: Storage) -> MakeBucket:
    """Return what makes a bucket, which only the service role may use."""

    async def make(name: str, *, public: bool = False, types: list[str] | None = None) -> str:
        await storage.pool.execute(
            "insert into storage.buckets (id, name, public, allowed_mime_types)"
            " values ($1, $1, $2, $3)",
            name,
            public,
            types,
        )
        return name

    return make
