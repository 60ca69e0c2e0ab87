"""How fast does a large file go in and out, and how much memory does that take?

A signed-in user uploads one file over `/storage/v1` (as raw body, and as the form that browsers
send) and downloads it again; row-level security decides. In turns with it, from the same client
process (`bench/clients/transfer.py`):

    nginx      serves the very same file, the object's own in the server's folder, with `sendfile`,
               and takes an upload where its module for PUT is there; it syncs nothing
    starlette  a bare Starlette application (`bench/peers/bare_files.py`) on the same disk, which
               syncs

The bytes that came in and went out are compared. The memory is that of the server's process.
"""

import filecmp
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.peers import nginx
from bench.process import ROOT, MeasurementFailed, ask, free_port, running, until_it_listens
from bench.rounds import Run
from bench.served import Served, serving
from bench.usage import Usage

BUCKET = "uploads"
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
CHUNK_BYTES = 1024 * 1024
DOWNLOADS = 5


@dataclass(frozen=True)
class Place:
    """Where a file is sent to or fetched from; `figure` is what it is called in the report."""

    figure: str
    what: str
    port: int
    method: str
    path: str
    headers: dict[str, str]
    before: str = ""
    after: str = ""


async def measure(run: Run) -> None:
    """Add MB/s of each, in turns, the ratios of each round, and the server's memory."""
    sent = run.folder / "sent.bin"
    _make(sent, run.sizes.storage_bytes)
    settings = f"[tintype.storage]\nobject_bytes_max = {2 * run.sizes.storage_bytes}\n"
    async with serving(run, settings=settings) as served:
        user = uuid4()
        ours = Ours(served, user)
        await _lift_limits(served.database_url)
        usage = Usage(served.process_id)
        before = usage.memory if usage.is_told else None
        await _transfer(ours.upload("kept.bin"), sent)
        kept = ours.file("kept.bin")
        if not filecmp.cmp(sent, kept, shallow=False):
            raise MeasurementFailed("what was uploaded is not what is kept")
        async with _peers(run, str(kept.relative_to(run.folder))) as peers:
            downloads = [ours.download("kept.bin"), *(p for p in peers if p.method == "GET")]
            uploads = [ours.upload("sent.bin"), ours.form("sent.bin")]
            uploads += [place for place in peers if place.method == "PUT"]
            await _check(downloads, sent)
            for turn in range(run.sizes.repeats):
                run.say(f"storage, round {turn + 1} of {run.sizes.repeats}")
                if before is not None:
                    usage.forget_peak()
                await _round(run, turn, uploads, downloads, sent)
                if before is not None:
                    _note_memory(run, usage, before)
        if before is None:
            run.remark("The server's memory is not told: there is no /proc here.")


class Ours:
    """The server that is measured, as one signed-in user meets it."""

    def __init__(self, served: Served, user: UUID) -> None:
        self._served = served
        self._user = user
        self._headers = served.headers(served.tokens([user])[0])

    def upload(self, name: str) -> Place:
        """Return where `name` is uploaded to, as a raw body."""
        return Place(
            "storage_upload",
            "POST of the raw file, RLS, synced",
            self._served.port,
            "POST",
            self._path(name),
            self._headers | {"content-type": "application/octet-stream", "x-upsert": "true"},
        )

    def form(self, name: str) -> Place:
        """Return where `name` is uploaded to, as the form that browsers send."""
        part = f"--{BOUNDARY}\r\ncontent-disposition: form-data; name="
        return Place(
            "storage_upload_form",
            "POST of a form with the file, RLS, synced",
            self._served.port,
            "POST",
            self._path(name),
            self._headers
            | {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "x-upsert": "true"},
            before=(
                f'{part}"cacheControl"\r\n\r\n3600\r\n'
                f'{part}""; filename="{name}"\r\ncontent-type: application/octet-stream\r\n\r\n'
            ),
            after=f"\r\n--{BOUNDARY}--\r\n",
        )

    def download(self, name: str) -> Place:
        """Return where `name` is downloaded from."""
        path, what = self._path(name), "GET of the object, RLS"
        return Place("storage_download", what, self._served.port, "GET", path, self._headers)

    def file(self, name: str) -> Path:
        """Return where the bytes of `name` lie."""
        (found,) = self._served.data.glob(f"objects/{BUCKET}/{self._user}/{name}/*")
        return found

    def _path(self, name: str) -> str:
        return f"/storage/v1/object/{BUCKET}/{self._user}/{name}"


async def _round(
    run: Run, turn: int, uploads: list[Place], downloads: list[Place], sent: Path
) -> None:
    rates: dict[str, float] = {}
    for places, file in ((uploads, sent), (downloads, None)):
        # Each round starts with another, so that nobody always follows the same neighbour.
        shift = turn % len(places)
        for place in (*places[shift:], *places[:shift]):
            # A download takes a tenth of an upload's time: more of them, to be worth as much.
            results = await _transfer(place, file, times=1 if file else DOWNLOADS)
            if not file and any(one["bytes"] != run.sizes.storage_bytes for one in results):
                raise MeasurementFailed(f"{place.figure} did not serve the whole file")
            seconds = sum(one["seconds"] for one in results) / len(results)
            rates[place.figure] = run.sizes.storage_bytes / 1e6 / seconds
            run.note(
                f"{place.figure}_mb_per_s",
                rates[place.figure],
                unit="MB/s",
                what=f"{run.sizes.storage_bytes / 1e6:,.0f} MB, {place.what}",
            )
    for act in ("upload", "download"):
        for peer in ("nginx", "starlette"):
            if f"{peer}_{act}" in rates:
                run.note(
                    f"storage_{act}_over_{peer}",
                    rates[f"storage_{act}"] / rates[f"{peer}_{act}"],
                    unit="×",
                    what=f"storage_{act} over {peer}_{act}, of the same round",
                )


async def _transfer(
    place: Place, file: Path | None, *, hashed: bool = False, times: int = 1
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = await ask(
        "bench.clients.transfer",
        {
            "port": place.port,
            "method": place.method,
            "path": place.path,
            "headers": place.headers,
            "file": str(file) if file is not None else None,
            "before": place.before,
            "after": place.after,
            "hashed": hashed,
            "times": times,
        },
    )
    for result in results:
        if result["status"] not in (200, 201, 204):
            raise MeasurementFailed(f"{place.figure} was answered {result['status']}")
    return results


async def _check(downloads: list[Place], sent: Path) -> None:
    """Stop unless everybody serves what was sent."""
    with sent.open("rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
    for place in downloads:
        (result,) = await _transfer(place, None, hashed=True)
        if result["sha256"] != wanted:
            raise MeasurementFailed(f"{place.figure} served other bytes than were sent")


def _note_memory(run: Run, usage: Usage, before: float) -> None:
    told = {
        "storage_memory_before_mb": (before, "resident memory of the server, before any file"),
        "storage_memory_peak_mb": (usage.memory_peak, "the most while the files went in and out"),
        "storage_memory_after_mb": (usage.memory, "when they had"),
        "storage_memory_growth_mb": (
            usage.memory_peak - before,
            "the most, less that before any file",
        ),
    }
    for name, (value, what) in told.items():
        run.note(name, value, unit="MB", what=what)


@asynccontextmanager
async def _peers(run: Run, kept: str) -> AsyncIterator[list[Place]]:
    """Yield where the peers serve the file `kept` of the run's folder, and take another one."""
    async with _starlette(run.folder) as port:
        places = [
            Place("starlette_upload", "bare PUT, synced", port, "PUT", "/starlette.bin", {}),
            Place("starlette_download", "FileResponse, same file", port, "GET", f"/{kept}", {}),
        ]
        found = nginx.find()
        if found is None:
            run.remark("nginx is not installed: storage is measured beside Starlette alone.")
            yield places
            return
        run.remark(f"nginx/{found.version} is the peer of storage.")
        async with nginx.serving(found, run.folder / "nginx", run.folder) as port:
            places.append(
                Place("nginx_download", "sendfile, same file", port, "GET", f"/{kept}", {})
            )
            if found.takes_put:
                places.append(
                    Place("nginx_upload", "PUT, not synced", port, "PUT", "/nginx.bin", {})
                )
            else:
                run.remark("This nginx has no module for PUT: uploads go without it.")
            yield places


@asynccontextmanager
async def _starlette(folder: Path) -> AsyncIterator[int]:
    port = free_port()
    command = (sys.executable, "-m", "bench.peers.bare_files", str(port), str(folder))
    async with running(*command, cwd=ROOT) as process:
        await until_it_listens(process, port)
        yield port


async def _lift_limits(url: str) -> None:
    """Let the bucket take any file of any size."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "update storage.buckets set file_size_limit = null, allowed_mime_types = null"
            " where id = $1",
            BUCKET,
        )
    finally:
        await connection.close()


def _make(path: Path, size: int) -> None:
    """Write a file that nobody can compress."""
    random = Random(0)
    with path.open("wb") as file:
        for start in range(0, size, CHUNK_BYTES):
            file.write(random.randbytes(min(CHUNK_BYTES, size - start)))
