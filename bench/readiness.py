"""How long does an identity take from the request to `ready`, besides the training itself?

`tintype serve` keeps identities in its own storage. A worker of the queue `training` claims over
`/worker/v1`, fetches the pictures, reports, hands in the smallest adapter there is and the sheet of
samples, and trains nothing: all that passes is what is not training.
"""

import asyncio
import base64
import hashlib
import io
import json
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import httpx2
from PIL import Image

from bench.process import HOST, MeasurementFailed
from bench.rounds import Run
from bench.served import Served, serving
from tintype import database
from tintype.worker_client import Task, WorkerClient
from tintype.worker_client import run as work
from tintype.workers import outside

SETTINGS = '[tintype.identities]\nhub = "storage"\n'
IMAGES = 10
SIDE = 1024
CREDITS = 1_000_000
POLL_SECONDS = 0.01
READY_SECONDS_MAX = 60.0


async def measure(run: Run) -> None:
    """Add the seconds from the request's first byte to the row that says `ready`."""
    async with serving(run, settings=SETTINGS, worker=True) as served, _trainer(served):
        user = uuid4()
        async with _admin(served) as admin:
            await admin.execute("select tintype.grant_credits($1, $2)", user, CREDITS)
            (token,) = served.tokens([user])
            body = _body(user)
            url = f"http://{HOST}:{served.port}"
            async with httpx2.AsyncClient(base_url=url, timeout=READY_SECONDS_MAX) as http:
                # What is loaded at the first request only is no part of what a request takes.
                await _until_ready(http, served, admin, token, body)
                for _ in range(run.sizes.repeats):
                    run.note(
                        "readiness_seconds",
                        await _until_ready(http, served, admin, token, body),
                        unit="s",
                        what=f"{IMAGES} JPEGs of {SIDE}x{SIDE}: sent, judged, stored, claimed by a"
                        " worker that trains nothing, its adapter checked, ready",
                    )


async def _until_ready(
    http: httpx2.AsyncClient,
    served: Served,
    admin: "asyncpg.Connection[asyncpg.Record]",
    token: str,
    body: bytes,
) -> float:
    began = time.perf_counter()
    headers = served.headers(token) | {"content-type": "application/json"}
    answer = await http.post("/functions/v1/train-identity", content=body, headers=headers)
    if answer.status_code != 200:
        raise MeasurementFailed(f"train-identity answered {answer.text[:1000]}")
    identity = UUID(answer.json()["identityId"])
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            status, error = await admin.fetchrow(
                "select status, error_message from public.trained_identities where id = $1",
                identity,
            )
            if status == "ready":
                return time.perf_counter() - began
            if status == "failed":
                raise MeasurementFailed(f"the training failed: {error}")
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _trainer(served: Served) -> AsyncIterator[None]:
    pool = await database.connect(served.database_url, size_max=1)
    try:
        credentials = await outside.add_worker(pool, served.keys, "bench", ("training",))
    finally:
        await pool.close()
    stop = asyncio.Event()
    async with WorkerClient(f"http://{HOST}:{served.port}", credentials.key) as client:
        working = asyncio.create_task(work(client, _train, queues=["training"], stop=stop))
        try:
            yield
        finally:
            stop.set()
            await working


async def _train(task: Task) -> None:
    await task.references()
    await task.training_progress(90, step=1, steps=1, loss=1.0, learning_rate=4e-4)
    data = _adapter()
    path = await task.store(await task.grant("adapter"), data)
    task.adapter = {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
    task.trained = {"steps": 1, "loss": 1.0}
    await task.upload(0, _picture("PNG", 64))


@asynccontextmanager
async def _admin(served: Served) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(served.database_url)
    try:
        yield connection
    finally:
        await connection.close()


def _body(user: UUID) -> bytes:
    files = [
        {
            "name": f"photo{number}.jpg",
            "data": base64.b64encode(_picture("JPEG", SIDE, turn=9 * number)).decode(),
        }
        for number in range(IMAGES)
    ]
    return json.dumps({"identityName": "Bench", "imageFiles": files, "userId": str(user)}).encode()


def _picture(format: str, side: int, *, turn: int = 0) -> bytes:
    out = io.BytesIO()
    ramp = Image.linear_gradient("L").rotate(turn).resize((side, side))
    grain = Image.effect_noise((side, side), 40)
    Image.blend(ramp, grain, 0.4).convert("RGB").save(out, format)
    return out.getvalue()


def _adapter() -> bytes:
    """Return one tensor of zeros under an adapter's name, as safetensors."""
    data = bytes(16)
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, len(data)]}
    head = json.dumps({"transformer.layer.lora_A.weight": tensor}).encode()
    return struct.pack("<Q", len(head)) + head + data
