"""A worker with a GPU makes real pictures with trained adapters, for the real product."""

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.pictures import apart
from tests.gpu.whole import (
    SMALL,
    WAIT_SECONDS_MAX,
    cache_of,
    command,
    ended,
    gate,
    pictures_of,
    rows,
    until,
    working,
)
from tests.lanes.bench_of_work import Bench
from tests.support.product import Product
from tintype.gpu import Studio

QUEUES = {"flux_image": "flux_queue", "sdxl_adapter_image": "sdxl_adapter_queue"}


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker of the queues of adapters that is let in, and a person with credits."""
    return await Bench.open(product, *QUEUES.values())


@pytest.fixture(scope="module")
def flux(models: Models) -> Studio:
    return Studio("flux_queue", model=str(models.flux))


@pytest.fixture(scope="module")
def sdxl(models: Models) -> Studio:
    return Studio("sdxl_adapter_queue", model=str(models.sdxl))


async def trained(bench: Bench, file: Path, **changes: Any) -> dict[str, Any]:
    """Store an adapter as a training does, and return how a job tells of it."""
    data = file.read_bytes()
    path = f"{bench.person.id}/{file.stem}/pytorch_lora_weights.safetensors"
    answer = await bench.product.http.post(
        f"/storage/v1/object/training/{path}",
        content=data,
        headers={
            "authorization": f"Bearer {bench.product.keys.service_role_key}",
            "content-type": "application/octet-stream",
        },
    )
    assert answer.status_code == 200, answer.text
    sha256 = hashlib.sha256(data).hexdigest()
    return {
        "id": sha256,
        "bucket": "training",
        "path": path,
        "sha256": sha256,
        "bytes": len(data),
        "weight": 1.0,
        "trigger_word": "tok",
    } | changes


async def ask(
    bench: Bench, job_type: str, *adapters: dict[str, Any], quantity: int = 1, **config: Any
) -> UUID:
    return await bench.enqueue(
        job_type,
        quantity=quantity,
        payload={
            "bucket": job_type,
            "config": SMALL | {"seed": 5} | config,
            "adapters": list(adapters),
        },
    )


async def picture_of(bench: Bench, job_id: UUID) -> bytes:
    [picture] = await pictures_of(bench, str(job_id))
    return picture


@pytest.mark.parametrize("job_type", QUEUES)
async def test_a_picture_with_an_adapter_is_its_own_and_one_without_is_the_models(
    bench: Bench,
    models: Models,
    tmp_path: Path,
    job_type: str,
    request: pytest.FixtureRequest,
) -> None:
    name, base = ("flux", models.flux) if job_type == "flux_image" else ("sdxl", models.sdxl)
    studio: Studio = request.getfixturevalue(name)
    one, two = [
        await trained(bench, tiny.adapter(base, tmp_path / f"{seed}.safetensors", seed=seed))
        for seed in (1, 2)
    ]
    worn = [[], [one], [two], [one], [], [one, two]]
    jobs = [await ask(bench, job_type, *adapters) for adapters in worn]
    several = await ask(bench, job_type, one, quantity=3)
    async with working(bench, studio, QUEUES[job_type]):
        await ended(bench, *jobs, several)
    made = [await picture_of(bench, job_id) for job_id in jobs]
    assert made[0] == made[4]
    assert made[1] == made[3]
    assert len(set(made)) == 4
    assert apart(made[1], made[0]) > 2
    batch = await rows(bench, str(several), "images")
    assert [row["seed"] for row in batch] == [5, 6, 7]
    assert (await pictures_of(bench, str(several)))[0] == made[1]
    with Image.open(io.BytesIO(made[1])) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert len([*cache_of(bench).folder.glob("*.safetensors")]) == 2
    await bench.product.assert_ledger_holds()


async def test_an_adapter_of_another_model_ends_its_job_alone(
    bench: Bench, models: Models, tmp_path: Path, flux: Studio
) -> None:
    other = await trained(bench, tiny.adapter(models.sdxl, tmp_path / "other.safetensors"))
    bad, good = await ask(bench, "flux_image", other), await ask(bench, "flux_image")
    async with working(bench, flux, "flux_queue"):
        await ended(bench, bad, good)
    job = await bench.product.job(bad)
    assert (job.status, job.retries) == ("failed", 0)
    assert "adapter cannot be used with this model" in (job.error_message or "")
    assert (await bench.product.job(good)).status == "completed"
    # What the job held came back.
    assert (await bench.person.account())[1] == 0


async def test_an_adapter_that_cannot_be_fetched_sends_the_job_back(
    bench: Bench, models: Models, tmp_path: Path, flux: Studio
) -> None:
    adapter = await trained(bench, tiny.adapter(models.flux, tmp_path / "one.safetensors"))
    job_id = await ask(bench, "flux_image", adapter | {"sha256": "0" * 64})
    async with working(bench, flux, "flux_queue"):

        async def sent_back() -> bool:
            return (await bench.product.job(job_id)).retries == 1

        await until(sent_back)
    job = await bench.product.job(job_id)
    assert (job.status, job.error_code) == ("queued", "transient")
    assert [*cache_of(bench).folder.glob("*.safetensors")] == []


async def test_a_canceled_job_stops_between_its_steps_and_the_next_is_as_ever(
    bench: Bench, models: Models, tmp_path: Path, flux: Studio
) -> None:
    adapter = await trained(bench, tiny.adapter(models.flux, tmp_path / "one.safetensors"))
    before = await ask(bench, "flux_image")
    async with working(bench, flux, "flux_queue"):
        await ended(bench, before)
    long = await ask(bench, "flux_image", adapter, sample_steps=100)
    after = await ask(bench, "flux_image")
    with gate(flux, 5) as (reached, opened):
        async with working(bench, flux, "flux_queue"):
            assert await asyncio.to_thread(reached.wait, WAIT_SECONDS_MAX)

            async def shown() -> bool:
                return (await bench.product.job(long)).progress == 4

            await until(shown)
            answer = await bench.person.call("cancel-job", {"jobId": str(long)})
            assert answer.status_code == 200, answer.text
            opened.set()
            await ended(bench, after)
    assert (await bench.product.job(long)).status == "canceled"
    assert await picture_of(bench, after) == await picture_of(bench, before)


async def test_the_command_keeps_adapters_in_the_folder_it_is_given(
    bench: Bench, models: Models, tmp_path: Path
) -> None:
    adapter = await trained(bench, tiny.adapter(models.flux, tmp_path / "one.safetensors"))
    job_id = await ask(bench, "flux_image", adapter)
    folder = tmp_path / "faces"
    words = ("--queue", "flux_queue", "--model", str(models.flux), "--device", "cpu")
    worker = command(bench, tmp_path, *words, "--adapters", str(folder), "--once")
    worker.start()
    try:
        await ended(bench, job_id)
        code = await asyncio.to_thread(worker.wait, WAIT_SECONDS_MAX)
    finally:
        worker.kill()
    assert code == 0, (tmp_path / "gpu-worker.log").read_text()
    assert (await bench.product.job(job_id)).status == "completed"
    assert (folder / f"{adapter['sha256']}.safetensors").is_file()
