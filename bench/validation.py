"""How fast are training pictures judged, and how much memory does their arrival take?

`validate` is measured by itself, on pictures as cameras make them. Then `tintype serve` gets the
largest request that train-identity takes, 40 pictures of 20 MB as base64 in one JSON document, from
the client that sends files (`bench/clients/transfer.py`), and after it 40 of the smallest at once.
The memory is that of the server's process; its children, which decode, are told beside it.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
from PIL import Image

from bench.process import HOST, MeasurementFailed, ask
from bench.rounds import Run
from bench.served import Served, serving
from bench.usage import Usage

SETTINGS = '[tintype.identities]\nhub = "storage"\n'
PATH = "/functions/v1/train-identity"
KINDS = 3
GRAIN = 12
SMALL_SIDE = 256
CREDITS_EACH = 1000
POLL_SECONDS = 0.02


async def measure(run: Run) -> None:
    """Add images/s of `validate`, MB/s of the largest request, and the memory of both kinds."""
    large = [_picture(run.folder, kind, run.sizes.validation_side) for kind in range(KINDS)]
    small = [_picture(run.folder, kind, SMALL_SIDE) for kind in range(KINDS)]
    for _ in range(run.sizes.repeats):
        await _validated(run, large)
    async with serving(run, settings=SETTINGS) as served:
        users = [uuid4() for _ in range(run.sizes.validation_requests)]
        await _grant(served, users)
        tokens = served.tokens(users)
        least = _document(str(users[0]), [path.read_bytes() for path in small], KINDS)
        # What is loaded at the first request only is no part of what a request takes.
        await _send(served, tokens[0], least)
        body = run.folder / "largest.json"
        for _ in range(run.sizes.repeats):
            await _largest(run, served, str(users[0]), tokens[0], large, body)
            bodies = [
                _document(str(user), [path.read_bytes() for path in small], KINDS) for user in users
            ]
            await _smallest(run, served, tokens, bodies)


async def _validated(run: Run, pictures: Sequence[Path]) -> None:
    images = run.sizes.validation_images
    found = await ask(
        "bench.clients.validate",
        {"pictures": [str(path) for path in pictures], "images": images, "folder": str(run.folder)},
    )
    width, height = _size(run.sizes.validation_side)
    run.note(
        "validation_images_per_s",
        images / found["seconds"],
        unit="images/s",
        what=f"JPEGs of {width}x{height} and {pictures[0].stat().st_size / 1e6:.1f} MB",
    )


async def _largest(
    run: Run, served: Served, user: str, token: str, pictures: Sequence[Path], body: Path
) -> None:
    images = run.sizes.validation_images
    filled = [_filled(path, run.sizes.validation_image_bytes) for path in pictures]
    body.write_bytes(_document(user, filled, images))
    size = body.stat().st_size
    async with _watched(run, served, "largest", f"one of {size / 1e6:,.0f} MB"):
        (result,) = await ask(
            "bench.clients.transfer",
            {
                "port": served.port,
                "method": "POST",
                "path": PATH,
                "headers": _headers(served, token),
                "file": str(body),
                "before": "",
                "after": "",
                "hashed": False,
                "times": 1,
            },
        )
    if result["status"] != 202:
        raise MeasurementFailed(f"the largest request was answered {result['status']}")
    run.note(
        "validation_largest_mb_per_s",
        size / 1e6 / result["seconds"],
        unit="MB/s",
        what=f"{images} images in {size / 1e6:,.0f} MB: received, validated, stored",
    )


async def _smallest(
    run: Run, served: Served, tokens: Sequence[str], bodies: Sequence[bytes]
) -> None:
    async with _watched(run, served, "smallest", f"{len(bodies)} at once"):
        sent = (_send(served, token, body) for token, body in zip(tokens, bodies, strict=True))
        await asyncio.gather(*sent)


@asynccontextmanager
async def _watched(run: Run, served: Served, name: str, what: str) -> AsyncIterator[None]:
    """Note the most memory that the server and its decoding children took meanwhile."""
    usage = Usage(served.process_id)
    if not usage.is_told:
        yield
        return
    before = usage.memory
    usage.forget_peak()
    peaks: dict[int, float] = {}
    watching = asyncio.create_task(_watch(served.process_id, peaks))
    try:
        yield
    finally:
        watching.cancel()
    run.note(
        f"validation_{name}_memory_growth_mb",
        usage.memory_peak - before,
        unit="MB",
        what=f"the most that the server held, less the {before:,.0f} MB before; {what}",
    )
    run.note(
        f"validation_{name}_children_peak_mb",
        sum(peaks.values()),
        unit="MB",
        what=f"the most that its {len(peaks)} decoding children held, together",
    )


async def _watch(process_id: int, peaks: dict[int, float]) -> None:
    while True:
        for task in Path(f"/proc/{process_id}/task").glob("*/children"):
            for number in task.read_text().split():
                child = Usage(int(number))
                if child.is_of("decoding.py"):
                    peaks[int(number)] = max(peaks.get(int(number), 0), child.memory_peak)
        await asyncio.sleep(POLL_SECONDS)


async def _send(served: Served, token: str, body: bytes) -> None:
    """Send one request and stop unless it is accepted."""
    lines = {"host": HOST, "connection": "close", "content-length": str(len(body))}
    head = "".join(
        f"{name}: {value}\r\n" for name, value in (lines | _headers(served, token)).items()
    )
    reader, writer = await asyncio.open_connection(HOST, served.port)
    writer.write(f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 202 "):
        raise MeasurementFailed(f"train-identity answered {answer[-1000:]!r}")


def _headers(served: Served, token: str) -> dict[str, str]:
    # The pictures are published by a worker, which is off here.
    return served.headers(token) | {
        "content-type": "application/json",
        "prefer": "respond-async",
    }


async def _grant(served: Served, users: Sequence[object]) -> None:
    connection = await asyncpg.connect(served.database_url)
    try:
        await connection.execute(
            "select tintype.grant_credits(u, $2) from unnest($1::uuid[]) as u", users, CREDITS_EACH
        )
    finally:
        await connection.close()


def _document(user: str, pictures: Sequence[bytes], images: int) -> bytes:
    texts = [base64.b64encode(data).decode() for data in pictures]
    files = [
        {"name": f"photo{number}.jpg", "data": f"data:image/jpeg;base64,{texts[number % KINDS]}"}
        for number in range(images)
    ]
    return json.dumps({"identityName": "Bench", "imageFiles": files, "userId": user}).encode()


def _size(side: int) -> tuple[int, int]:
    return side, side * 3 // 4


def _picture(folder: Path, kind: int, side: int) -> Path:
    """Write a JPEG with about the detail of a photograph: a gradient under the grain of a film."""
    path = folder / f"{side}-{kind}.jpg"
    width, height = (side, side) if side == SMALL_SIDE else _size(side)
    ramp = Image.radial_gradient("L").resize((width, height)).rotate(90 * kind)
    grain = Image.effect_noise((width, height), GRAIN)
    layers = (Image.blend(ramp, grain, 0.3), ramp, Image.blend(ramp, grain, 0.6))
    Image.merge("RGB", layers[kind:] + layers[:kind]).save(path, "JPEG", quality=92)
    return path


def _filled(path: Path, size: int) -> bytes:
    # What follows the end of a JPEG belongs to no picture; cameras put such things there.
    data = path.read_bytes()
    if len(data) > size:
        raise MeasurementFailed(f"{path.name} has {len(data)} bytes, more than {size}")
    return data + bytes(size - len(data))
