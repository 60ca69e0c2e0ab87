"""`tintype.worker_client` trains: what it stores outlives it, and files are fetched whole."""

import asyncio
import io
import math
import stat
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import picture
from tests.lanes.training_bench import TRAINING, digest, tensors
from tests.support.product import Product
from tests.support.serve import serving
from tests.worker_client.test_worker_client import until, working
from tintype import jobs
from tintype.worker_client import Task, WorkerClient, WorkerRefused
from tintype.worker_client import client as speaking

ADAPTER = tensors()


@pytest.fixture
async def bench(product: Product) -> Bench:
    return await Bench.open(product, "training", "flux_queue")


async def ask_for_training(bench: Bench) -> UUID:
    """Ask for a training as `train-model` does; the server prepares it."""
    paths = [
        await bench.product.upload(bench.person, f"{shade}.png", face(shade)) for shade in (1, 2)
    ]
    model_id = await bench.product.admin.fetchval(
        "insert into public.models (user_id, name, trigger_word) values ($1, 'John', 'john7f3a')"
        " returning id",
        bench.person.id,
    )
    return await bench.enqueue(
        "train_model",
        queue=jobs.IDENTITIES_QUEUE,
        image_id=None,
        model_id=model_id,
        payload={
            "bucket": "training",
            "stage": "prepare",
            "training": TRAINING,
            "references": [f"storage:{path}" for path in paths],
        },
    )


def face(shade: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((512, 512), 60.0 * shade).convert("RGB").save(out, "PNG")
    return out.getvalue()


async def train(task: Task, folder: Path) -> None:
    """Train from the start or from the checkpoint to the end."""
    training = task.training
    assert training is not None
    for number, url in enumerate(task.job["references"]):
        await task.fetch(url, folder / f"{number}.png")
        Image.open(folder / f"{number}.png").load()
    begin = 0
    if training["checkpoint"]:
        await task.fetch(training["checkpoint"]["url"], folder / "checkpoint")
        begin = training["checkpoint"]["step"]
        assert (folder / "checkpoint").read_bytes() == tensors("weights", begin)
    for step in range(begin + 1, training["steps"] + 1):
        kept: dict[str, Any] = {}
        if step % training["checkpoint_every"] == 0:
            grant = await task.grant("checkpoint", step)
            kept["checkpoint"] = {
                "path": await task.store(grant, tensors("weights", step)),
                "step": step,
            }
            kept["sample"] = await task.store(await task.grant("sample", step), picture(step))
        await task.training_progress(
            10 * step,
            step=step,
            steps=training["steps"],
            loss=math.nan if step == 1 else 1 / step,
            learning_rate=training["learning_rate"],
            **kept,
        )
    (folder / "adapter").write_bytes(ADAPTER)
    path = await task.store(await task.grant("adapter"), folder / "adapter")
    task.adapter = {"path": path, "sha256": digest(ADAPTER)}
    task.trained = {"steps": training["steps"], "loss": 0.125}
    await task.upload(0, picture(), seed=7)


async def test_a_training_that_was_broken_off_is_finished_by_the_next_worker(
    bench: Bench, client: WorkerClient, tmp_path: Path
) -> None:
    job_id = await ask_for_training(bench)
    begun: list[int] = []
    broken_off = asyncio.Event()

    class Killed(Task):
        """Stops at the step after the checkpoint, and says nothing."""

        async def training_progress(self, percent: float, **told: Any) -> None:
            if told["step"] == 7 and not broken_off.is_set():
                broken_off.set()
                await asyncio.Event().wait()
            await super().training_progress(percent, **told)

    async def handle(task: Task) -> None:
        assert task.training is not None
        begun.append((task.training["checkpoint"] or {"step": 0})["step"])
        killed = Killed(client, task.job)
        await train(killed, tmp_path)
        task.adapter, task.trained, task.outputs = killed.adapter, killed.trained, killed.outputs

    async def is_ready() -> bool:
        status = await bench.product.admin.fetchval("select status from public.models")
        return bool(status == "ready")

    async with working(client, handle, queues=["training"], capacity=2):
        await broken_off.wait()
        await bench.expire()
        await until(is_ready)
    assert begun == [0, 5]
    job = await bench.product.job(job_id)
    assert (job.status, job.result_count, job.retries) == ("completed", 1, 0)
    shown = await bench.product.http.get(job.result_urls[0], headers=bench.person.headers)
    assert shown.content == picture()
    model = await bench.product.admin.fetchrow("select * from public.models")
    assert model is not None
    assert (model["step"], model["loss"], model["adapter_sha256"]) == (10, 0.125, digest(ADAPTER))
    losses = await bench.product.admin.fetch("select loss from training_steps order by step")
    assert [row["loss"] for row in losses][:3] == [None, 0.5, pytest.approx(1 / 3)]
    assert len(losses) == 10
    assert await bench.person.account() == (950, 0, 950)
    await bench.product.assert_ledger_holds()


async def test_a_canceled_training_stops_its_handler(
    bench: Bench, client: WorkerClient, tmp_path: Path
) -> None:
    job_id = await ask_for_training(bench)
    begun, put_away = asyncio.Event(), asyncio.Event()

    async def handle(task: Task) -> None:
        try:
            for step in range(1, 10_000):
                await task.training_progress(1, step=step, steps=10_000)
                begun.set()
        finally:
            put_away.set()

    async with working(client, handle, queues=["training"]):
        await begun.wait()
        answer = await bench.person.call("cancel-job", {"jobId": str(job_id)})
        assert answer.status_code == 200, answer.text
        await put_away.wait()
    assert (await bench.product.job(job_id)).status == "canceled"
    assert await bench.person.account() == (1000, 0, 1000)


async def test_a_task_of_an_ordinary_job_has_no_training_and_no_adapters(
    bench: Bench, client: WorkerClient
) -> None:
    await bench.enqueue("flux_image")
    task = Task(client, (await client.claim()).jobs[0])
    assert (task.training, task.adapters) == (None, [])
    assert Task(client, {"id": "1"}).adapters == []


async def test_a_file_is_fetched_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "TRY_SECONDS", 0.001)
    data = bytes(range(256)) * 4096
    asked = 0

    async def cut_off() -> Any:
        yield data[:1000]
        raise ConnectionResetError

    async def answer(request: Request) -> Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return StreamingResponse(cut_off(), headers={"content-length": str(len(data))})
        return Response(data, 503 if asked == 2 else 200)

    async def gone(_: Request) -> Response:
        return Response(b"gone", 404)

    path = tmp_path / "file"
    routes = [Route("/file", answer), Route("/gone", gone)]
    async with serving(Starlette(routes=routes)) as url, WorkerClient(url, "key") as client:
        await client.fetch(f"{url}/file?token=secret", path, bytes_max=len(data))
        assert (path.read_bytes(), asked) == (data, 3)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for address, limit in ((f"{url}/file?token=secret", len(data) - 1), (f"{url}/gone", 10)):
            with pytest.raises(WorkerRefused) as refused:
                await client.fetch(address, path, bytes_max=limit)
            assert refused.value.code == "reference_unreadable"
            assert "secret" not in str(refused.value)
    assert path.read_bytes() == data, "what was there stays"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
