"""A worker with a GPU does real jobs of the real product. On a GPU where there is one."""

import asyncio
import io
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.whole import (
    SHORT,
    SMALL,
    WAIT_SECONDS_MAX,
    ask,
    bytes_of,
    cache_of,
    command,
    ended,
    gate,
    pictures_of,
    rows,
    shrink,
    until,
    working,
)
from tests.lanes.bench_of_work import Bench
from tintype.gpu import Studio, work
from tintype.gpu.enhancing import ENHANCED_CHARACTERS_MAX
from tintype.worker_client import WorkerClient, WorkerRefused


@pytest.fixture(scope="module")
def sdxl(models: Models) -> Studio:
    return Studio("sdxl_queue", model=str(models.sdxl), loras=models.loras)


@pytest.fixture(scope="module")
def wan(models: Models) -> Studio:
    return Studio("wan_queue", model=str(models.wan), enhancer=str(models.writer))


async def test_every_picture_of_an_sdxl_job_reaches_its_owner(bench: Bench, sdxl: Studio) -> None:
    jobs = [
        await ask(bench, "sdxl_image_fast", SMALL, seed=5),
        await ask(bench, "sdxl_image_high", SMALL, num_images=3),
        await ask(bench, "sdxl_image_fast", SMALL, num_images=1, seed=5),
    ]
    async with working(bench, sdxl, "sdxl_queue"):
        await ended(bench, *jobs)
    for job_id, quantity in zip(jobs, (6, 3, 1), strict=True):
        job = await bench.product.job(job_id)
        assert (job.status, job.result_count, job.progress) == ("completed", quantity, 100)
        made = await rows(bench, job_id, "images")
        assert [row["status"] for row in made] == ["completed"] * quantity
        assert {(row["width"], row["height"]) for row in made} == {(64, 64)}
        assert [row["seed"] for row in made] == [made[0]["seed"] + n for n in range(quantity)]
        pictures = await pictures_of(bench, job_id)
        assert len(set(pictures)) == quantity
        for data in pictures:
            with Image.open(io.BytesIO(data)) as picture:
                assert (picture.format, picture.size) == ("PNG", (64, 64))
                picture.load()
    assert (await rows(bench, jobs[0], "images"))[0]["seed"] == 5
    assert (await pictures_of(bench, jobs[0]))[0] == (await pictures_of(bench, jobs[2]))[0]
    # 6 and 1 at one credit, 3 at two.
    assert await bench.person.account() == (987, 0, 987)
    await bench.product.assert_ledger_holds()


async def test_videos_and_pictures_of_wan_reach_their_owner(bench: Bench, wan: Studio) -> None:
    film = await ask(bench, "video_fast", SHORT)
    told = await ask(bench, "video7b_fast_enhanced", SHORT, seed=1)
    still = await ask(bench, "image_high", SHORT)
    async with working(bench, wan, "wan_queue"):
        await ended(bench, film, told, still)
    for job_id in (film, told):
        [row] = await rows(bench, job_id, "videos")
        assert (row["status"], row["width"], row["height"]) == ("completed", 32, 32)
        with av.open(io.BytesIO(await bytes_of(bench, row))) as container:
            [stream] = container.streams
            assert (stream.codec_context.name, stream.average_rate) == ("h264", 16)
            assert len(list(container.decode(video=0))) == 9
        with Image.open(io.BytesIO(await bytes_of(bench, row, "thumbnail_url"))) as poster:
            assert poster.size == (32, 32)
    [first], [second] = await rows(bench, film, "videos"), await rows(bench, told, "videos")
    assert first["enhanced_prompt"] is None
    assert second["prompt"] == "a robot"
    assert 0 < len(second["enhanced_prompt"]) <= ENHANCED_CHARACTERS_MAX
    [picture] = await rows(bench, still, "images")
    with Image.open(io.BytesIO(await bytes_of(bench, picture))) as opened:
        assert (opened.format, opened.size) == ("PNG", (32, 32))
    await bench.product.assert_ledger_holds()


async def test_a_job_with_a_reference_starts_from_it(bench: Bench, sdxl: Studio) -> None:
    out = io.BytesIO()
    Image.new("RGB", (100, 80), "white").save(out, "PNG")
    path = await bench.product.upload(bench.person, "start.png", out.getvalue())
    payload = {"bucket": "sdxl_image_fast", "config": SMALL | {"seed": 3}}
    plain = await bench.enqueue(payload=payload)
    begun = await bench.enqueue(payload=payload | {"references": [f"storage:{path}"]})
    async with working(bench, sdxl, "sdxl_queue"):
        await ended(bench, plain, begun)
    pictures = [(await pictures_of(bench, str(one)))[0] for one in (plain, begun)]
    assert pictures[0] != pictures[1]


async def test_progress_is_seen_and_a_canceled_job_stops_between_its_steps(
    bench: Bench, sdxl: Studio
) -> None:
    long = await ask(bench, "sdxl_image_fast", SMALL | {"sample_steps": 100}, num_images=1)
    after = await ask(bench, "sdxl_image_fast", SMALL, num_images=1)
    with gate(sdxl, 5) as (reached, opened):
        async with working(bench, sdxl, "sdxl_queue"):
            assert await asyncio.to_thread(reached.wait, WAIT_SECONDS_MAX)

            async def shown() -> bool:
                return (await bench.product.job(long)).progress == 4

            await until(shown)
            answer = await bench.person.call("cancel-job", {"jobId": long})
            assert answer.status_code == 200, answer.text
            opened.set()
            await ended(bench, after)
    job = await bench.product.job(long)
    assert (job.status, job.progress) == ("canceled", 4)
    assert (await bench.product.job(after)).status == "completed"
    assert await bench.person.account() == (999, 0, 999)


async def test_a_job_that_does_not_fit_comes_back_for_another_try(
    bench: Bench, sdxl: Studio
) -> None:
    job_id = await ask(bench, "sdxl_image_fast", SMALL)

    def burst(*_: Any) -> None:
        raise tiny.torch.OutOfMemoryError("CUDA out of memory")

    hook = sdxl.painter.pipeline.unet.register_forward_pre_hook(burst)
    try:
        async with working(bench, sdxl, "sdxl_queue"):

            async def sent_back() -> bool:
                return (await bench.product.job(job_id)).retries == 1

            await until(sent_back)
    finally:
        hook.remove()
    job = await bench.product.job(job_id)
    assert (job.status, job.error_code) == ("queued", "transient")
    await bench.product.admin.execute("update tintype.delayed set run_at = now()")
    async with working(bench, sdxl, "sdxl_queue"):
        await ended(bench, job_id)
    assert (await bench.product.job(job_id)).result_count == 6


async def test_a_job_that_cannot_be_made_fails_with_the_reason(bench: Bench, sdxl: Studio) -> None:
    job_id = await ask(bench, "sdxl_image_fast", {"sample_steps": 0})
    async with working(bench, sdxl, "sdxl_queue"):
        await ended(bench, job_id)
    job = await bench.product.job(job_id)
    assert job.status == "failed"
    assert "sample_steps" in (job.error_message or "")
    assert await bench.person.account() == (1000, 0, 1000)


async def test_a_worker_that_is_told_to_stop_gives_its_job_back(bench: Bench, sdxl: Studio) -> None:
    job_id = await ask(bench, "sdxl_image_fast", SMALL | {"sample_steps": 100}, num_images=1)
    with gate(sdxl, 3) as (reached, opened):
        async with working(bench, sdxl, "sdxl_queue") as stop:
            assert await asyncio.to_thread(reached.wait, WAIT_SECONDS_MAX)
            stop.set()
            opened.set()
    job = await bench.product.job(job_id)
    assert (job.status, job.retries, job.attempt) == ("queued", 0, 2)


async def test_a_key_that_is_not_let_in_ends_the_worker(bench: Bench, sdxl: Studio) -> None:
    async with WorkerClient(bench.product.url, bench.product.keys.anon_key) as client:
        with pytest.raises(WorkerRefused) as caught:
            await work(client, sdxl, "sdxl_queue", cache=cache_of(bench), stop=asyncio.Event())
    assert (caught.value.status, caught.value.code) == (401, "worker_key_required")


async def test_a_killed_worker_loses_no_job_and_once_does_exactly_one(
    bench: Bench, models: Models, tmp_path: Path
) -> None:
    job_id = await ask(bench, "sdxl_image_fast", SMALL | {"sample_steps": 200}, num_images=3)
    words = ("--queue", "sdxl_queue", "--model", str(models.sdxl), "--device", "cpu")
    first = command(bench, tmp_path, *words)
    first.start()
    try:

        async def begun() -> bool:
            assert first.is_running, (tmp_path / "gpu-worker.log").read_text()
            return (await bench.product.job(job_id)).progress > 0

        await until(begun)
    finally:
        first.kill()
    assert (await bench.product.job(job_id)).status == "processing"
    await bench.expire()
    await shrink(bench, job_id, SMALL)
    other = await ask(bench, "sdxl_image_fast", SMALL, num_images=1)
    second = command(bench, tmp_path, *words, "--once", "--verbose")
    second.start()
    try:
        await ended(bench, job_id)
        code = await asyncio.to_thread(second.wait, WAIT_SECONDS_MAX)
    finally:
        second.kill()
    assert code == 0, (tmp_path / "gpu-worker.log").read_text()
    job = await bench.product.job(job_id)
    assert (job.status, job.result_count, job.attempt) == ("completed", 3, 2)
    assert len(await rows(bench, job_id, "images")) == 3
    assert (await bench.product.job(other)).status == "queued"
    assert await bench.person.account() == (997, 1, 996)


async def test_the_command_drains_when_it_is_told_to_stop(
    bench: Bench, models: Models, tmp_path: Path
) -> None:
    job_id = await ask(bench, "image7b_fast_enhanced", SHORT)
    words = ("--queue", "wan_queue", "--model", str(models.wan), "--enhancer", str(models.writer))
    worker = command(bench, tmp_path, *words)
    worker.start()
    try:
        await ended(bench, job_id)
        assert await asyncio.to_thread(worker.stop) == 0
    finally:
        worker.kill()
    assert (await bench.product.job(job_id)).status == "completed"


async def test_a_wrong_model_or_key_ends_the_command_with_a_sentence(
    bench: Bench, models: Models, tmp_path: Path
) -> None:
    words = ("--queue", "sdxl_queue", "--model")
    key = bench.product.keys.anon_key
    lost = command(bench, tmp_path / "lost", *words, str(tmp_path / "nowhere"))
    shut = command(bench, tmp_path / "shut", *words, str(models.sdxl), key=key)
    for worker in (lost, shut):
        worker.start()
    try:
        codes = [await asyncio.to_thread(one.wait, WAIT_SECONDS_MAX) for one in (lost, shut)]
    finally:
        for worker in (lost, shut):
            worker.kill()
    said = [(tmp_path / name / "gpu-worker.log").read_text() for name in ("lost", "shut")]
    assert codes == [1, 1], said
    assert f"error: The model {tmp_path}/nowhere cannot be loaded" in said[0]
    assert "does not let this worker in: worker_key_required" in said[1]
    assert not any("Traceback" in text for text in said)
