"""From photos to a personalised picture: the product, the Hub and the workers, each as it runs."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.gpu.conftest import Models
from tests.gpu.training_set import photos
from tests.gpu.whole import SMALL, bytes_of, command, rows, shrink, until
from tests.lanes.bench_of_work import Bench
from tests.support.hub_repositories import HubRefusal
from tests.support.hub_server import HubServer
from tests.support.product import Product, open_product

TINY = {"steps": 12, "resolution": 64, "rank": 4, "checkpoint_every": 4}


@pytest.fixture
async def hub() -> AsyncIterator[HubServer]:
    async with HubServer() as hub:
        yield hub


@pytest.fixture
async def product(database_url: str, tmp_path: Path, hub: HubServer) -> AsyncIterator[Product]:
    async with open_product(
        database_url, tmp_path, HUGGINGFACE_TOKEN=hub.token, HF_ENDPOINT=hub.url
    ) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    return await Bench.open(product, "training", "flux_queue")


def encoded(photo: Path) -> str:
    return base64.b64encode(photo.read_bytes()).decode()


async def train(bench: Bench, folder: Path) -> dict[str, Any]:
    """Ask as an app does; the training is then made as small as the model is."""
    answer = await bench.person.call(
        "train-identity",
        {
            "identityName": "Anna",
            "userId": str(bench.person.id),
            "imageFiles": [
                {"name": photo.name, "data": f"data:image/jpeg;base64,{encoded(photo)}"}
                for photo in photos(folder, count=4, side=320)
            ],
            "consent": True,
        },
    )
    assert answer.status_code == 200, answer.text
    await bench.product.admin.execute(
        "update public.jobs set payload = jsonb_set(payload, '{training}',"
        " (payload -> 'training') || $2::jsonb) where id = $1",
        UUID(answer.json()["jobId"]),
        json.dumps(TINY),
    )
    return dict(answer.json())


async def identity(bench: Bench) -> dict[str, Any]:
    answer = await bench.product.http.get(
        "/rest/v1/trained_identities?select=*", headers=bench.person.headers
    )
    [row] = answer.json() or [{}]
    return dict(row)


async def test_photos_become_a_personalised_picture_and_nothing_is_left_when_they_are_taken_back(
    bench: Bench, hub: HubServer, models: Models, tmp_path: Path
) -> None:
    asked = await train(bench, tmp_path / "photos")
    assert asked["success"] and asked["repoId"].startswith("identity-anna-")
    repository = f"tester/{asked['repoId']}"
    assert hub.titles(repository)[0] == "Upload training data for Anna (4 images)"

    trainer = command(bench, tmp_path, "--queue", "training", "--flux", str(models.flux), "--once")
    trainer.start()
    try:

        async def is_ready() -> bool:
            row = await identity(bench)
            assert row["status"] in ("training", "ready"), row["error_message"]
            return bool(row["status"] == "ready")

        await until(is_ready)
    finally:
        await asyncio.to_thread(trainer.stop)
    row = await identity(bench)
    assert (row["progress"], row["step"], row["steps_total"]) == (100, 12, 12)
    assert len(row["sample_urls"]) >= 2 and row["thumbnail_url"]
    answer = await bench.product.http.get(
        f"/rest/v1/training_steps?job_id=eq.{asked['jobId']}&order=step",
        headers=bench.person.headers,
    )
    steps = answer.json()
    assert steps[-1]["step"] == 12 and all(step["loss"] > 0 for step in steps)
    assert "pytorch_lora_weights.safetensors" in hub.files(repository)
    assert hub.titles(repository)[1:] == ["Add trained LoRA weights"]

    answer = await bench.person.generate(
        {"identityId": asked["identityId"], "prompt": "as an astronaut", "seed": 3}
    )
    assert answer.status_code == 200, answer.text
    job_id = answer.json()["jobId"]
    await shrink(bench, job_id, SMALL)
    painter = command(
        bench, tmp_path, "--queue", "flux_queue", "--model", str(models.flux), "--once"
    )
    painter.start()
    try:

        async def is_made() -> bool:
            job = await bench.product.job(job_id)
            assert job.status in ("queued", "processing", "completed"), job.error_message
            return bool(job.status == "completed")

        await until(is_made)
    finally:
        await asyncio.to_thread(painter.stop)
    [picture] = await rows(bench, job_id, "images")
    worn = await bytes_of(bench, picture)
    balance, held, _ = await bench.person.account()
    assert held == 0 and balance < 1000

    gone = await bench.person.call("delete-identity", {"identityId": asked["identityId"]})
    assert gone.status_code == 202, gone.text

    async def is_removed() -> bool:
        again = await bench.person.call("delete-identity", {"identityId": asked["identityId"]})
        return bool(again.json()["status"] == "removed")

    await until(is_removed)
    with pytest.raises(HubRefusal):
        hub.files(repository)
    left = await bench.product.admin.fetch(
        "select name from storage.objects where bucket_id in ('identities', 'training')"
    )
    assert left == []
    assert not [name for name in bench.product.files() if "identit" in name or "training" in name]
    # What was made with it is the user's.
    assert await bytes_of(bench, picture) == worn
    await bench.product.assert_ledger_holds()
