"""A worker of the queue `training` that trains nothing, and says and brings what one does."""

import asyncio
import hashlib
import io
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

from tests.support.product import Product
from tintype.auth import KeySet
from tintype.database import Pool
from tintype.worker_client import Task, WorkerClient, run
from tintype.workers import outside

STEPS = 2


def adapter(seed: int = 0) -> bytes:
    """Return the smallest file that is an adapter: one tensor of zeros under an adapter's name."""
    data = struct.pack("<4f", *[float(seed)] * 4)
    head = {
        "transformer.layer.lora_A.weight": {
            "dtype": "F32",
            "shape": [2, 2],
            "data_offsets": [0, len(data)],
        }
    }
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def sheet() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((64, 64)).convert("RGB").save(out, "PNG")
    return out.getvalue()


class Trainer:
    """What it was told to do, in `tasks`; each training waits for `may_go`."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.pictures: list[list[bytes]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.came = asyncio.Event()

    async def train(self, task: Task) -> None:
        self.tasks.append(task.job)
        self.came.set()
        self.pictures.append(await task.references())
        for step in range(1, STEPS + 1):
            await task.training_progress(
                90 * step / STEPS, step=step, steps=STEPS, loss=1 / step, learning_rate=4e-4
            )
        await self.may_go.wait()
        grant = await task.grant("adapter")
        data = adapter()
        path = await task.store(grant, data)
        task.adapter = {"path": path, "sha256": hashlib.sha256(data).hexdigest()}
        task.trained = {"steps": STEPS, "loss": 0.5}
        await task.upload(0, sheet())


@asynccontextmanager
async def training(
    pool: Pool, keys: KeySet, url: str, trainer: Trainer | None = None
) -> AsyncIterator[Trainer]:
    """Yield a trainer that works for the server at `url`."""
    credentials = await outside.add_worker(pool, keys, "gpu-1", ("training",))
    trainer, stop = trainer or Trainer(), asyncio.Event()
    async with WorkerClient(url, credentials.key) as client:
        work = asyncio.create_task(run(client, trainer.train, queues=["training"], stop=stop))
        try:
            yield trainer
        finally:
            stop.set()
            trainer.may_go.set()
            await work


def training_for(product: Product) -> Any:
    """Yield a trainer that works for the product."""
    return training(product.pool, product.keys, product.url)
