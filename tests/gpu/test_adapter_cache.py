"""Which adapters lie on a worker's disk, and how they come there."""

import asyncio
import hashlib
import os
import pickle
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.gpu import tiny
from tintype.errors import OperatorError
from tintype.gpu import AdapterCache
from tintype.gpu.cache import BROKEN_SECONDS_MAX
from tintype.gpu.recipe import Adapter, recipe_of
from tintype.gpu.tensors import HEADER_BYTES_MAX
from tintype.worker_client import JobFailed, Task, WorkerClient, client

torch = tiny.torch
safetensors = pytest.importorskip("safetensors.torch", reason="pip install 'tintype[gpu]'")
WAIT_SECONDS_MAX = 100


class Shelf:
    """An HTTP server with files; it may break off in the middle of one, or wait."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.breaks_after: int | None = None
        self.reached, self.opened = threading.Event(), threading.Event()
        self.opened.set()
        shelf = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shelf.asked.append(self.path)
                data = shelf.files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.send_header("content-length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write((data or b"")[: shelf.breaks_after])
                self.wfile.flush()
                shelf.reached.set()
                assert shelf.opened.wait(WAIT_SECONDS_MAX)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def put(self, data: bytes, name: str | None = None) -> Adapter:
        """Offer a file, and return how a claim tells of it."""
        path = name or f"/{len(self.files)}"
        self.files[path] = data
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        return Adapter(url, hashlib.sha256(data).hexdigest(), len(data))

    def close(self) -> None:
        self.opened.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.close()


@pytest.fixture
async def task() -> AsyncIterator[Task]:
    async with WorkerClient("http://127.0.0.1:9", "key") as worker:
        yield Task(worker, {"id": "1", "attempt": 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "adapters"


def bytes_of_adapter(number: float, metadata: dict[str, str] | None = None) -> bytes:
    name = "transformer.layer.lora_A.weight"
    return bytes(safetensors.save({name: torch.full((4, 32), float(number))}, metadata))


def kept(folder: Path) -> set[str]:
    """Return what is in the folder beside locks."""
    return {one.name for one in folder.iterdir() if one.suffix != ".lock"}


def named(*adapters: Adapter) -> set[str]:
    return {f"{one.sha256}.safetensors" for one in adapters}


async def test_an_adapter_is_downloaded_once_and_is_its_owners_alone(
    shelf: Shelf, task: Task, folder: Path
) -> None:
    one, two = shelf.put(bytes_of_adapter(1)), shelf.put(bytes_of_adapter(2))
    made = await AdapterCache(folder).files(task, [one, two])
    assert [file.file.read_bytes() for file in made] == [*shelf.files.values()]
    # The next worker finds them.
    assert await AdapterCache(folder).files(task, [two, one]) == made[::-1]
    assert shelf.asked == ["/0", "/1"]
    modes = {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()}
    assert (stat.S_IMODE(folder.stat().st_mode), modes) == (0o700, {0o600})
    assert kept(folder) == named(one, two)


async def test_two_workers_that_want_the_same_download_it_once(
    shelf: Shelf, task: Task, folder: Path
) -> None:
    adapter = shelf.put(bytes_of_adapter(1))
    shelf.opened.clear()
    shelf.breaks_after = 40
    first, second, third = (AdapterCache(folder).files(task, [adapter]) for _ in range(3))
    begun = asyncio.create_task(first)
    assert await asyncio.to_thread(shelf.reached.wait, WAIT_SECONDS_MAX)
    others = asyncio.gather(second, third)
    # The first is broken off; one of the others takes its place, and the last finds the file.
    shelf.breaks_after = None
    begun.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    shelf.opened.set()
    files = await others
    assert files[0] == files[1]
    assert len(shelf.asked) == 2
    assert kept(folder) == named(adapter)


@pytest.mark.parametrize(
    "fault", ["hash", "size", "longer", "promised", "cut", "missing", "nobody"]
)
async def test_a_download_that_fails_is_tried_again_and_leaves_nothing(
    shelf: Shelf, task: Task, folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TRY_SECONDS", 0)
    good = shelf.put(bytes_of_adapter(1), "/one")
    asked = good
    match fault:
        case "hash":
            shelf.put(bytes_of_adapter(2), "/one")
        case "size":
            shelf.put(bytes_of_adapter(1)[:-1], "/one")
        case "longer":
            shelf.put(bytes_of_adapter(1) + b"more", "/one")
        case "promised":
            asked = Adapter(good.url, good.sha256, good.bytes + 1)
        case "cut":
            shelf.breaks_after = 100
        case "missing":
            asked = Adapter(good.url + "/none", good.sha256, good.bytes)
        case "nobody":
            asked = Adapter("http://127.0.0.1:9/", good.sha256, good.bytes)
    cache = AdapterCache(folder)
    with pytest.raises(JobFailed) as caught:
        await cache.files(task, [asked])
    assert caught.value.retry
    assert "127.0.0.1" not in str(caught.value)
    assert kept(folder) == set()
    shelf.put(bytes_of_adapter(1), "/one")
    shelf.breaks_after = None
    await cache.files(task, [good])
    assert kept(folder) == named(good)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps({"transformer.layer.lora_A.weight": [1.0]}),
        (2**40).to_bytes(8, "little") + b"{}",
        bytes_of_adapter(1, {"long": "x" * HEADER_BYTES_MAX}),
        b"short",
        bytes_of_adapter(1)[:-1],
        bytes(safetensors.save({"transformer.layer.weight": torch.ones(4)})),
        bytes(safetensors.save({})),
    ],
    ids=["pickle", "false header", "long header", "short", "cut", "no adapter", "empty"],
)
async def test_a_file_that_is_no_adapter_ends_the_job_unopened(
    shelf: Shelf, task: Task, folder: Path, data: bytes
) -> None:
    with pytest.raises(JobFailed) as caught:
        await AdapterCache(folder).files(task, [shelf.put(data)])
    assert not caught.value.retry
    assert kept(folder) == set()


async def test_the_least_recently_used_goes_when_the_disk_is_full(
    shelf: Shelf, task: Task, folder: Path
) -> None:
    one, two, three, four = (shelf.put(bytes_of_adapter(number)) for number in range(4))
    cache = AdapterCache(folder, bytes_max=3 * one.bytes)
    files = await cache.files(task, [one, two, three])
    for age, file in enumerate(files):
        os.utime(file.file, (age, age))
    await cache.files(task, [one])
    await cache.files(task, [four])
    assert kept(folder) == named(one, three, four)
    # What a job wears is not what goes for it, though it be the oldest.
    os.utime(files[0].file, (0, 0))
    await cache.files(task, [two, one])
    assert kept(folder) == named(one, two, four)
    assert shelf.asked.count("/0") == 1


async def test_what_a_killed_worker_left_is_swept_away(
    shelf: Shelf, task: Task, folder: Path
) -> None:
    adapter = shelf.put(bytes_of_adapter(1))
    cache = AdapterCache(folder)
    folder.mkdir(mode=0o700, parents=True)
    old, new = folder / f"{'a' * 64}.new", folder / f"{'b' * 64}.new.part"
    mine = folder / "notes.txt"
    for file in (old, new, mine):
        file.write_bytes(b"half")
    before = old.stat().st_mtime - BROKEN_SECONDS_MAX - 60
    os.utime(old, (before, before))
    os.utime(mine, (before, before))
    await cache.files(task, [adapter])
    assert kept(folder) == named(adapter) | {new.name, mine.name}


async def test_a_file_of_another_size_is_downloaded_anew(
    shelf: Shelf, task: Task, folder: Path
) -> None:
    adapter = shelf.put(bytes_of_adapter(1))
    cache = AdapterCache(folder)
    [file] = await cache.files(task, [adapter])
    file.file.write_bytes(b"")
    await cache.files(task, [adapter])
    assert file.file.read_bytes() == bytes_of_adapter(1)


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(OperatorError) as caught:
        AdapterCache(tmp_path)
    assert caught.value.code == "adapter_folder_open"


async def test_a_job_without_adapters_makes_no_folder(task: Task, folder: Path) -> None:
    assert await AdapterCache(folder).files(task, []) == []
    assert not folder.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../etc/passwd"},
        {"sha256": "A" * 64},
        {"sha256": "a" * 64 + "\n"},
        {"bytes": 0},
        {"bytes": 2**40},
        {"url": None},
        {"weight": 100},
    ],
)
def test_a_claim_that_tells_of_no_such_adapter_ends_the_job(change: dict[str, Any]) -> None:
    good = {"id": "x", "url": "https://h/a", "sha256": "a" * 64, "bytes": 9, "weight": 0.5}
    job = {"prompt": "a robot", "quantity": 1, "config": {}, "adapters": [good]}
    assert recipe_of(job).adapters == (Adapter("https://h/a", "a" * 64, 9, 0.5),)
    assert recipe_of(job | {"adapters": [good | {"weight": None}]}).adapters[0].weight == 1
    for adapters in ([good | change], [good] * 5):
        with pytest.raises(JobFailed) as caught:
            recipe_of(job | {"adapters": adapters})
        assert not caught.value.retry
