"""A worker that trains does real jobs of the real product. On a GPU where there is one."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.training_set import (
    CHECKPOINT_EVERY,
    STEPS,
    are_same,
    job,
    order,
    pictures,
    train,
)
from tests.gpu.whole import WAIT_SECONDS_MAX, command, ended, until
from tests.lanes.bench_of_work import Bench
from tests.support.product import Product
from tintype.gpu.training import Trainer, work
from tintype.worker_client import WorkerClient

# Longer than a test waits for, if nothing ends it.
ENDLESS_STEPS = 10_000


@pytest.fixture
async def bench(product: Product) -> Bench:
    """Return a worker that trains and is let in, and a person with credits."""
    return await Bench.open(product, "training")


@pytest.fixture(scope="module")
def trainer(models: Models) -> Trainer:
    return Trainer(flux=str(models.flux), sdxl=str(models.sdxl))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("pictures"))


async def ask(bench: Bench, images: list[Path], base: str = "flux", **changes: Any) -> UUID:
    """Put a training on its queue, as the server's own hands do, with the model that follows it."""
    references = [
        await bench.product.upload(bench.person, f"{uuid4()}.png", image.read_bytes())
        for image in images
    ]
    model_id = await bench.product.admin.fetchval(
        "insert into public.models (user_id, base_model) values ($1, $2) returning id",
        bench.person.id,
        base,
    )
    return await bench.enqueue(
        "train_model",
        model_id=model_id,
        payload={
            "bucket": "training",
            "references": [f"storage:{path}" for path in references],
            "training": job(base, **changes)["training"],
        },
    )


@asynccontextmanager
async def working(bench: Bench, trainer: Trainer) -> AsyncIterator[asyncio.Event]:
    """Have the trainer's worker run; yield what stops it."""
    stop = asyncio.Event()
    async with WorkerClient(bench.product.url, bench.credentials.key) as client:
        task = asyncio.create_task(work(client, trainer, stop=stop, progress_seconds=0))
        try:
            yield stop
        finally:
            stop.set()
            await task


@contextmanager
def gate(trainer: Trainer, step: int) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Stop FLUX in its step number `step`; yield what tells of it and what opens."""
    reached, opened, calls = threading.Event(), threading.Event(), []

    def wait(_: Any, __: Any, ___: Any) -> None:
        calls.append(1)
        if len(calls) == step:
            reached.set()
            assert opened.wait(WAIT_SECONDS_MAX)

    denoiser = trainer._load("flux").learner.denoiser
    hook = denoiser.register_forward_pre_hook(wait, with_kwargs=True)
    try:
        yield reached, opened
    finally:
        opened.set()
        hook.remove()


@contextmanager
def counted(trainer: Trainer) -> Iterator[list[int]]:
    """Yield a list that grows with every step of FLUX."""
    seen: list[int] = []
    hook = trainer._load("flux").learner.denoiser.register_forward_pre_hook(
        # Samples are made without gradients.
        lambda _, __, ___: seen.append(1) if tiny.torch.is_grad_enabled() else None,
        with_kwargs=True,
    )
    try:
        yield seen
    finally:
        hook.remove()


async def model_of(bench: Bench, job_id: UUID) -> dict[str, Any]:
    row = await bench.product.admin.fetchrow(
        "select * from public.models where job_id = $1", job_id
    )
    assert row is not None
    return dict(row)


async def steps_of(bench: Bench, job_id: UUID) -> list[dict[str, Any]]:
    """Return the course of the training as its owner sees it."""
    answer = await bench.product.http.get(
        f"/rest/v1/training_steps?job_id=eq.{job_id}&order=step", headers=bench.person.headers
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def handed_in(bench: Bench, job_id: UUID) -> None:
    """Wait until the training is paid: its owner can read the adapter from then on."""

    async def is_in() -> bool:
        found = await bench.product.job(job_id)
        assert found.status in ("queued", "processing", "completed"), found.error_message
        return found.status == "completed"

    await until(is_in)


async def stored(bench: Bench, path: str) -> bytes:
    answer = await bench.product.http.get(
        f"/storage/v1/object/authenticated/training/{path}", headers=bench.person.headers
    )
    assert answer.status_code == 200, answer.text
    return answer.content


async def adapter_of(bench: Bench, job_id: UUID, file: Path) -> Path:
    file.write_bytes(await stored(bench, (await model_of(bench, job_id))["adapter_path"]))
    return file


async def names_of(bench: Bench, job_id: UUID) -> list[str]:
    """Return the names of the training's files in storage."""
    rows = await bench.product.admin.fetch(
        "select name from storage.objects where bucket_id = 'training' and name like $1",
        f"%{job_id}%",
    )
    return [str(row["name"]).rpartition(f"{job_id}/")[2] for row in rows]


@pytest.mark.parametrize("base", ["flux", "sdxl"])
async def test_a_training_hands_in_its_adapter_and_tells_of_its_course(
    bench: Bench, trainer: Trainer, images: list[Path], tmp_path: Path, base: str
) -> None:
    expected = train(trainer, order(base), images, tmp_path / "expected")
    job_id = await ask(bench, images, base)
    async with working(bench, trainer):
        await handed_in(bench, job_id)
    model = await model_of(bench, job_id)
    assert model["adapter_path"].endswith("/pytorch_lora_weights.safetensors")
    assert are_same(await adapter_of(bench, job_id, tmp_path / "made"), expected.adapter)
    assert (model["step"], model["steps_total"]) == (STEPS, STEPS)
    assert model["loss"] == pytest.approx(expected.loss, rel=1e-3)
    course = await steps_of(bench, job_id)
    assert {step["steps_total"] for step in course} == {STEPS}
    assert all(0 < step["loss"] < 100 for step in course)
    # Of the samples that waited for their upload the last is there, if not each.
    sampled = [step["step"] for step in course if step["sample_url"]]
    assert sampled[-1] == STEPS - CHECKPOINT_EVERY
    names = await names_of(bench, job_id)
    assert not [name for name in names if name.startswith("checkpoint")]
    assert [name for name in names if name.startswith("0-")]


async def test_a_worker_that_is_told_to_end_uploads_a_checkpoint_and_another_goes_on(
    bench: Bench, trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    expected = train(trainer, order("flux"), images, tmp_path / "expected")
    job_id = await ask(bench, images, checkpoint_every=100)
    with gate(trainer, 4) as (reached, opened):
        async with working(bench, trainer) as stop:
            assert await asyncio.to_thread(reached.wait, WAIT_SECONDS_MAX)
            stop.set()
            # The worker hears of it in its next turns.
            for _ in range(20):
                await asyncio.sleep(0)
            opened.set()
    given_back = await bench.product.job(job_id)
    assert (given_back.status, given_back.retries) == ("queued", 0)
    assert [name[:13] for name in await names_of(bench, job_id)] == ["checkpoint-4-"]
    with counted(trainer) as steps:
        async with working(bench, trainer):
            await handed_in(bench, job_id)
    assert len(steps) == STEPS - 4
    assert are_same(await adapter_of(bench, job_id, tmp_path / "made"), expected.adapter)


async def test_a_worker_that_is_killed_costs_the_steps_since_its_last_checkpoint(
    bench: Bench, trainer: Trainer, models: Models, images: list[Path], tmp_path: Path
) -> None:
    changes = {"steps": 40, "checkpoint_every": 10}
    expected = train(trainer, order("flux", **changes), images, tmp_path / "expected")
    job_id = await ask(bench, images, **changes)
    worker = command(bench, tmp_path, "--queue", "training", "--flux", str(models.flux))
    worker.start()
    try:

        async def is_saved() -> bool:
            assert worker.is_running, (tmp_path / "gpu-worker.log").read_text()
            return bool(
                await bench.product.admin.fetchval(
                    "select step from tintype.checkpoints where job_id = $1", job_id
                )
            )

        await until(is_saved)
    finally:
        await asyncio.to_thread(worker.kill)
    assert (await model_of(bench, job_id))["adapter_path"] is None
    await bench.expire()
    await bench.product.admin.execute("update tintype.delayed set run_at = now()")
    with counted(trainer) as steps:
        async with working(bench, trainer):
            await handed_in(bench, job_id)
    assert len(steps) in (10, 20, 30)
    assert are_same(await adapter_of(bench, job_id, tmp_path / "made"), expected.adapter)


async def test_a_training_that_is_canceled_stops_between_its_steps(
    bench: Bench, trainer: Trainer, images: list[Path]
) -> None:
    job_id = await ask(bench, images, steps=ENDLESS_STEPS, checkpoint_every=ENDLESS_STEPS)
    after = await ask(bench, images)
    with gate(trainer, 3) as (reached, opened):
        async with working(bench, trainer):
            assert await asyncio.to_thread(reached.wait, WAIT_SECONDS_MAX)

            async def is_shown() -> bool:
                return bool((await model_of(bench, job_id))["step"] == 2)

            await until(is_shown)
            answer = await bench.person.call("cancel-job", {"jobId": str(job_id)})
            assert answer.status_code == 200, answer.text
            opened.set()
            await handed_in(bench, after)
    canceled = await bench.product.job(job_id)
    assert canceled.status == "canceled"
    assert (await model_of(bench, job_id))["status"] == "failed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "This job cannot be trained as it is asked for"),
        ({"learning_rate": 1e30}, "This job cannot be trained as it is asked for"),
        ({"captions": ["one"]}, "Every picture has a caption or none has"),
    ],
)
async def test_a_training_that_cannot_be_done_fails_with_a_sentence(
    bench: Bench, trainer: Trainer, images: list[Path], changes: dict[str, Any], message: str
) -> None:
    job_id = await ask(bench, images, **changes)
    async with working(bench, trainer):
        await ended(bench, job_id)
    failed = await bench.product.job(job_id)
    assert failed.status == "failed"
    assert message in (failed.error_message or "")
    assert (await bench.person.account())[1] == 0
