"""The same storage with its bytes in a bucket of S3."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount
from storage_site import JPEG, PNG, SECRET, Site, authenticate, bearer, principal_of
from tus import Tus

from support.s3 import S3Server
from support.serve import ANSWER_SECONDS_MAX, serving
from tintype import database
from tintype.config import Config, StorageConfig
from tintype.errors import OperatorError
from tintype.storage import FolderBackend, S3Backend, S3Settings, Storage, routes
from tintype.storage.backends import open_backend
from tintype.storage.signatures import Signer

AS_PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


@pytest.fixture
def storage(config: Config, pool: database.Pool, s3: S3Server, bucket: str) -> Storage:
    backend = S3Backend(S3Settings(**s3.settings(bucket)))
    limits = msgspec.structs.replace(config.storage, object_bytes_max=100_000_000)
    config = msgspec.structs.replace(config, storage=limits)
    return Storage(config, pool, backend, Signer(SECRET))


@pytest.fixture
async def site(storage: Storage) -> AsyncIterator[Site]:
    app = Starlette(routes=[Mount("/storage/v1", routes=routes(storage, authenticate))])
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=f"{url}/storage/v1", timeout=ANSWER_SECONDS_MAX) as http,
    ):
        yield Site(url, storage, http)


async def test_an_object_lives_there_from_upload_to_removal(
    site: Site, ada: UUID, s3: S3Server, bucket: str
) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat (one).png", PNG, AS_PNG)
    assert await files.download(f"{ada}/cat (one).png") == PNG
    part = await site.http.get(
        f"/object/uploads/{ada}/cat%20(one).png", headers=bearer(ada) | {"Range": "bytes=2-4"}
    )
    assert (part.status_code, part.content) == (206, PNG[2:5])
    await files.update(f"{ada}/cat (one).png", JPEG, AS_PNG)
    await files.copy(f"{ada}/cat (one).png", f"{ada}/copy.png")
    await files.move(f"{ada}/cat (one).png", f"{ada}/sub/moved.png")
    assert await files.download(f"{ada}/copy.png") == JPEG
    assert await files.download(f"{ada}/sub/moved.png") == JPEG
    assert len(s3.keys(bucket)) == 2
    await files.remove([f"{ada}/copy.png", f"{ada}/sub/moved.png"])
    assert s3.keys(bucket) == set()


async def test_a_refused_upload_leaves_nothing_there(
    site: Site, ada: UUID, bob: UUID, s3: S3Server, bucket: str
) -> None:
    for user, data in ((bob, PNG), (ada, b"<svg>"), (ada, PNG + bytes(21_000_000))):
        answer = await site.http.post(
            f"/object/uploads/{ada}/a.png", headers=bearer(user), content=data
        )
        assert answer.status_code == 400
    assert s3.keys(bucket) == set() and s3.unfinished(bucket) == 0


async def test_concurrent_upserts_leave_one_version_there(
    storage: Storage, ada: UUID, s3: S3Server, bucket: str
) -> None:
    async def upsert(number: int) -> None:
        await storage.put(
            principal_of(ada),
            "uploads",
            f"{ada}/a.png",
            PNG + bytes([number]),
            media_type="image/png",
            upsert=True,
        )

    await asyncio.gather(*(upsert(number) for number in range(8)))
    found = await storage.stat("uploads", f"{ada}/a.png")
    assert found is not None
    assert s3.keys(bucket) == {f"uploads/{ada}/a.png/{found.version}"}


async def test_an_upload_goes_on_there(site: Site, ada: UUID, s3: S3Server, bucket: str) -> None:
    data = PNG + bytes(8_000_000)
    tus = Tus(site.http, bearer(ada))
    path = await tus.begin("uploads", f"{ada}/a.png", len(data))
    for start in range(0, len(data), 3_000_000):
        assert (await tus.patch(path, start, data[start : start + 3_000_000])).status_code == 204
    assert await site.storage.read("uploads", f"{ada}/a.png") == data
    assert len(s3.keys(bucket)) == 1


async def test_a_picture_from_there_takes_another_size(site: Site, ada: UUID) -> None:
    buffer = BytesIO()
    Image.new("RGB", (90, 60)).save(buffer, "PNG")
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a.png", buffer.getvalue(), AS_PNG)
    small = await files.download(f"{ada}/a.png", {"transform": {"width": 30, "height": 20}})
    assert Image.open(BytesIO(small)).size == (30, 20)


async def test_work_that_was_not_recorded_is_found_there(storage: Storage, ada: UUID) -> None:
    lost = await storage.write("generations", f"{ada}/job/0-a.png", PNG, media_type="image/png")
    assert await storage.unrecorded("generations", f"{ada}/job") == [lost]
    assert await storage.sweep("generations", f"{ada}/job") == 1
    assert await storage.unrecorded("generations", f"{ada}/job") == []


async def test_a_place_that_does_not_answer_is_unavailable_and_nothing_is_recorded(
    config: Config, pool: database.Pool, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tintype.storage.backends.s3.RETRIES_MAX", 0)
    nowhere = S3Settings("a-bucket", "us-east-1", "http://127.0.0.1:9", "key", "secret")
    storage = Storage(config, pool, S3Backend(nowhere), Signer(SECRET))
    app = Starlette(routes=[Mount("/storage/v1", routes=routes(storage, authenticate))])
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=f"{url}/storage/v1", timeout=ANSWER_SECONDS_MAX) as http,
    ):
        answer = await http.post(f"/object/uploads/{ada}/a.png", headers=bearer(ada), content=PNG)
        assert (answer.status_code, answer.json()["statusCode"]) == (503, "503")
        assert "secret" not in answer.text and "127.0.0.1" not in answer.text
        tus = await Tus(http, bearer(ada)).create("uploads", f"{ada}/a.png", len(PNG), PNG)
        assert tus.status_code == 503
    assert await pool.fetchval("select count(*) from storage.objects") == 0


class Chosen(StorageConfig, frozen=True):
    """`[tintype.storage]` with a backend chosen."""

    backend: str = "folder"
    bucket: str | None = None
    region: str = "us-east-1"
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None


def opened(tmp_path: Path, **chosen: Any) -> Any:
    return open_backend(Config(data=tmp_path, project=tmp_path, storage=Chosen(**chosen)))


def test_the_configuration_picks_the_backend(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path), FolderBackend)
    assert isinstance(open_backend(Config(data=tmp_path, project=tmp_path)), FolderBackend)
    assert isinstance(opened(tmp_path, backend="s3", bucket="a"), S3Backend)


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        ({"backend": "ftp"}, "storage_backend_unknown"),
        ({"backend": "s3"}, "storage_bucket_missing"),
        ({"backend": "s3", "bucket": "a", "access_key_id": "k"}, "storage_key_incomplete"),
    ],
)
def test_settings_that_do_not_fit_stop_the_start(
    tmp_path: Path, chosen: dict[str, Any], code: str
) -> None:
    with pytest.raises(OperatorError) as caught:
        opened(tmp_path, **chosen)
    assert caught.value.code == code
