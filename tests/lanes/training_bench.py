"""A training job on its queue, and the files that a worker would make of it."""

import hashlib
import json
from typing import Any
from uuid import UUID

from tests.lanes.bench_of_work import Bench
from tintype import jobs

TRAINING = {
    "base": "flux",
    "trigger_word": "john7f3a",
    "steps": 10,
    "learning_rate": 0.0004,
    "resolution": 512,
    "rank": 16,
    "seed": 7,
    "captions": None,
    "sample_prompts": ["a portrait photo of john7f3a"],
    "checkpoint_every": 5,
}


async def begin_training(bench: Bench, references: list[str] | None = None) -> tuple[UUID, int]:
    """Ask for the training of a model of the person's, prepare it, and return job and model."""
    model_id = await bench.product.admin.fetchval(
        "insert into public.models (user_id, name, trigger_word) values ($1, 'John', 'john7f3a')"
        " returning id",
        bench.person.id,
    )
    job_id = await bench.enqueue(
        "train_model",
        queue=jobs.IDENTITIES_QUEUE,
        image_id=None,
        model_id=model_id,
        payload={
            "bucket": "training",
            "stage": "prepare",
            "training": TRAINING,
            "references": references or [],
            "identity": {"consent": {"by": "the depicted person"}},
        },
    )
    pool = bench.product.pool
    lease = await jobs.claim(
        pool, queue=jobs.IDENTITIES_QUEUE, worker="server", limit=1, lease_seconds=60
    )
    assert lease is not None
    assert await jobs.forward(pool, lease.jobs[0], jobs.TRAINING_QUEUE, {"stage": "train"})
    await jobs.close_leases(pool, [lease.id])
    return job_id, int(model_id)


def tensors(name: str = "transformer.blocks.0.lora_A.weight", size: int = 64) -> bytes:
    """Return a safetensors file with one tensor of `size` numbers of two bytes."""
    return safetensors({name: {"dtype": "BF16", "shape": [size], "data_offsets": [0, 2 * size]}})


def safetensors(header: dict[str, Any] | bytes, data: bytes | None = None) -> bytes:
    """Return a file with this header, and as much data as its tensors want unless some is given."""
    if isinstance(header, bytes):
        head, wanted = header, 0
    else:
        head = json.dumps(header).encode()
        wanted = max(max(one.get("data_offsets", [0])) for one in header.values())
    return len(head).to_bytes(8, "little") + head + (bytes(wanted) if data is None else data)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
