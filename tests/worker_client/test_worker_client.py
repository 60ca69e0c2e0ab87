"""`tintype.worker_client` does real jobs of the real product, and ends none twice."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import picture
from tests.support.processes import ROOT
from tests.support.serve import serving
from tintype.worker_client import (
    JobFailed,
    JobLost,
    Task,
    WorkerClient,
    WorkerRefused,
    run,
    running,
)
from tintype.worker_client import client as speaking
from tintype.workers import outside

WAIT_SECONDS_MAX = 100
Handler = Callable[[Task], Awaitable[None]]


async def paint(task: Task) -> None:
    for position in range(task.quantity):
        await task.upload(position, picture(position), seed=10 + position)
        await task.progress(100 * (position + 1) / task.quantity)


@asynccontextmanager
async def working(
    client: WorkerClient, handler: Handler = paint, **settings: Any
) -> AsyncIterator["asyncio.Task[None]"]:
    """Have a worker run; it ends with what is inside, at once."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(client, handler, stop=stop, drain_seconds=0, **settings))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await true():
            await asyncio.sleep(0.02)


async def ended(bench: Bench, *job_ids: UUID) -> None:
    async def have() -> bool:
        return all([(await bench.product.job(job_id)).is_terminal for job_id in job_ids])

    await until(have)


async def test_a_worker_does_the_jobs_that_wait(bench: Bench, client: WorkerClient) -> None:
    job_ids = [await bench.enqueue(quantity=quantity) for quantity in (6, 1, 3)]
    async with working(client, capacity=2):
        await ended(bench, *job_ids)
    for job_id, quantity in zip(job_ids, (6, 1, 3), strict=True):
        job = await bench.product.job(job_id)
        assert (job.status, job.result_count) == ("completed", quantity)
        shown = await bench.product.http.get(job.result_urls[-1], headers=bench.person.headers)
        assert shown.content == picture(quantity - 1)
    rows = await bench.product.admin.fetch(
        "select seed from public.images where job_id = $1 order by position", job_ids[0]
    )
    assert [row["seed"] for row in rows] == [10, 11, 12, 13, 14, 15]
    assert await bench.product.count("tintype.leases") == 0
    assert await bench.person.account() == (990, 0, 990)


async def test_files_of_a_folder_are_uploaded_as_they_are(
    bench: Bench, client: WorkerClient, tmp_path: Path
) -> None:
    file = tmp_path / "big.png"
    file.write_bytes(picture(3, 1200) + b"\0" * 3 * speaking.CHUNK_BYTES)

    async def upload(task: Task) -> None:
        await task.upload(0, file)

    job_id = await bench.enqueue()
    async with working(client, upload):
        await ended(bench, job_id)
    [url] = (await bench.product.job(job_id)).result_urls
    shown = await bench.product.http.get(url, headers=bench.person.headers)
    assert shown.content == file.read_bytes()


async def test_fewer_outputs_complete_the_job_and_none_fails_it(
    bench: Bench, client: WorkerClient
) -> None:
    some, none = await bench.enqueue(quantity=6), await bench.enqueue()

    async def paint_less(task: Task) -> None:
        if task.quantity == 6:
            await task.upload(4, picture(4))
            await task.upload(1, picture(1))

    async with working(client, paint_less):
        await ended(bench, some, none)
    job = await bench.product.job(some)
    assert (job.status, job.result_count) == ("completed", 2)
    first = await bench.product.http.get(job.result_urls[0], headers=bench.person.headers)
    assert first.content == picture(1)
    assert (await bench.product.job(none)).status == "failed"
    assert await bench.person.account() == (998, 0, 998)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (JobFailed("It cannot be drawn."), "failed", "It cannot be drawn."),
        (JobFailed("Another time.", retry=True), "queued", "Another time."),
        (ZeroDivisionError("oh"), "queued", "The worker failed: ZeroDivisionError."),
    ],
)
async def test_a_failure_ends_the_job_or_sends_it_back(
    bench: Bench, client: WorkerClient, error: Exception, status: str, message: str
) -> None:
    job_id = await bench.enqueue()

    async def fail(task: Task) -> None:
        raise error

    async def settled() -> bool:
        return (await bench.product.job(job_id)).error_message is not None

    async with working(client, fail):
        await until(settled)
    job = await bench.product.job(job_id)
    assert (job.status, job.error_message) == (status, message)
    assert job.retries == (1 if status == "queued" else 0)
    held = 1 if status == "queued" else 0
    assert await bench.person.account() == (1000, held, 1000 - held)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"not a picture at all", "InvalidMimeType"), (picture()[:-20], "file_unreadable")],
)
async def test_a_file_that_is_no_picture_fails_the_job(
    bench: Bench, client: WorkerClient, data: bytes, code: str
) -> None:
    job_id = await bench.enqueue()

    async def scribble(task: Task) -> None:
        await task.upload(0, data)

    async with working(client, scribble):
        await ended(bench, job_id)
    job = await bench.product.job(job_id)
    assert (job.status, job.result_count) == ("failed", 0)
    assert job.error_message == f"The server refused: {code}."


@pytest.mark.parametrize("told_by", ["progress", "renewal"])
async def test_a_canceled_job_stops_its_handler_and_the_next_begins(
    bench: Bench, client: WorkerClient, told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals = 1 if told_by == "progress" else 600
    monkeypatch.setattr(running, "RENEWALS_PER_LEASE", renewals)
    canceled, after = await bench.enqueue(), await bench.enqueue()
    begun, put_away = asyncio.Event(), asyncio.Event()

    async def paint_long(task: Task) -> None:
        if task.id == str(after):
            await paint(task)
            return
        begun.set()
        try:
            while True:
                if told_by == "progress":
                    await task.progress(10)
                await asyncio.sleep(0.02)
        finally:
            put_away.set()

    async with working(client, paint_long):
        await begun.wait()
        answer = await bench.person.call("cancel-job", {"jobId": str(canceled)})
        assert answer.status_code == 200, answer.text
        await ended(bench, after)
    assert put_away.is_set()
    assert (await bench.product.job(canceled)).status == "canceled"
    assert (await bench.product.job(after)).status == "completed"
    assert await bench.person.account() == (999, 0, 999)


async def test_a_worker_that_stops_gives_its_jobs_back_unspent(
    bench: Bench, client: WorkerClient
) -> None:
    job_ids = [await bench.enqueue(), await bench.enqueue()]
    begun: set[str] = set()

    async def sleep(task: Task) -> None:
        begun.add(task.id)
        await asyncio.sleep(WAIT_SECONDS_MAX)

    async def all_begun() -> bool:
        return len(begun) == 2

    async with working(client, sleep, capacity=2):
        await until(all_begun)
    for job_id in job_ids:
        job = await bench.product.job(job_id)
        assert (job.status, job.retries, job.attempt) == ("queued", 0, 2)


async def test_a_worker_that_is_canceled_gives_its_jobs_back_too(
    bench: Bench, client: WorkerClient
) -> None:
    job_id = await bench.enqueue()
    begun = asyncio.Event()

    async def sleep(task: Task) -> None:
        begun.set()
        await asyncio.sleep(WAIT_SECONDS_MAX)

    async with working(client, sleep) as task:
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
    assert (await bench.product.job(job_id)).status == "queued"


async def test_a_server_that_is_away_is_waited_for(
    bench: Bench,
    client: WorkerClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "TROUBLE_SECONDS", 0.05)
    begun, away = asyncio.Event(), asyncio.Event()

    async def paint_then(task: Task) -> None:
        begun.set()
        await away.wait()
        await paint(task)

    async def noticed() -> bool:
        return "the server cannot serve" in caplog.text

    job_id = await bench.enqueue()
    async with working(client, paint_then, capacity=2):
        await begun.wait()
        await bench.product.stop()
        away.set()
        await until(noticed)
        await bench.product.start()
        later = await bench.enqueue()
        await ended(bench, job_id, later)
    assert (await bench.product.job(job_id)).status == "completed"
    assert await bench.person.account() == (998, 0, 998)


async def test_an_upload_whose_answer_was_lost_is_not_made_twice(
    bench: Bench, client: WorkerClient
) -> None:
    await bench.enqueue()
    claim = await client.claim()
    [job] = claim.jobs
    for _ in range(2):
        await client.upload(job["uploads"][0], picture())
    assert await bench.product.count("storage.objects") == 1
    path = job["uploads"][0]["path"]
    for _ in range(2):
        assert await client.complete(job, [{"path": path}]) == "completed"
    assert await bench.person.account() == (999, 0, 999)


async def test_what_is_said_too_late_is_lost_and_changes_nothing(
    bench: Bench, client: WorkerClient
) -> None:
    await bench.enqueue()
    [job] = (await client.claim()).jobs
    await client.upload(job["uploads"][0], picture())
    await bench.expire()
    async with bench.product.unchanged():
        for saying in (
            client.progress(job, 50),
            client.complete(job, [{"path": job["uploads"][0]["path"]}]),
            client.fail(job, "late"),
            client.release(job),
        ):
            with pytest.raises(JobLost):
                await saying


async def test_references_are_read_by_their_urls_up_to_a_limit(
    bench: Bench, client: WorkerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await bench.product.upload(bench.person, "start.png", picture(7))
    await bench.enqueue(payload={"bucket": "sdxl_image_fast", "references": [f"storage:{path}"]})
    task = Task(client, (await client.claim()).jobs[0])
    assert await task.references() == [picture(7)]
    monkeypatch.setattr(speaking, "DOWNLOAD_BYTES_MAX", 10)
    with pytest.raises(WorkerRefused):
        await task.references()
    with pytest.raises(WorkerRefused):
        await client.download(f"{bench.product.url}/storage/v1/object/sign/uploads/none?token=x")


async def test_a_revoked_worker_ends(bench: Bench, client: WorkerClient) -> None:
    await outside.revoke_worker(bench.product.pool, "gpu-1")
    with pytest.raises(WorkerRefused) as caught:
        await run(client, paint)
    assert (caught.value.status, caught.value.code) == (401, "worker_key_required")


async def test_queues_of_others_are_refused(client: WorkerClient) -> None:
    with pytest.raises(WorkerRefused) as caught:
        await run(client, paint, queues=["wan_queue"])
    assert caught.value.code == "queue_not_allowed"


async def test_an_answer_that_is_not_the_servers_is_trouble_and_no_end() -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return PlainTextResponse("<html>Sign in to the network</html>")

    site = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with serving(site) as url, WorkerClient(url, "key") as client:
        with pytest.raises(WorkerRefused) as caught:
            await client.renew([])
        assert (caught.value.status, caught.value.code) == (502, "not_json")
        stop = asyncio.Event()
        task = asyncio.create_task(run(client, paint, stop=stop))

        async def claimed() -> bool:
            return "/worker/v1/claim" in asked

        await until(claimed)
        assert not task.done()
        stop.set()
        await task


async def test_the_key_goes_to_the_server_alone(bench: Bench, client: WorkerClient) -> None:
    seen: list[str | None] = []

    async def answer(request: Request) -> Response:
        seen.append(request.headers.get("authorization"))
        return Response(picture())

    async with serving(Starlette(routes=[Route("/x", answer, methods=["GET", "PUT"])])) as url:
        assert await client.download(f"{url}/x") == picture()
        with pytest.raises(WorkerRefused):
            await client.upload({"url": f"{url}/x", "content_type": "image/png"}, picture())
    assert seen == [None, None]


async def test_passing_trouble_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "TRY_SECONDS", 0.001)
    statuses = [503, 429, 502, 200]

    async def answer(request: Request) -> Response:
        return Response(b"{}", statuses.pop(0) if statuses else 500)

    site = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    async with serving(site) as url, WorkerClient(url, "key") as client:
        await client.progress({"id": "1", "attempt": 1}, 5)
        assert statuses == []
        with pytest.raises(WorkerRefused) as caught:
            await client.progress({"id": "1", "attempt": 1}, 5)
        assert caught.value.status == 500
    async with WorkerClient("http://127.0.0.1:1", "key") as client:
        with pytest.raises(httpx2.TransportError):
            await client.progress({"id": "1", "attempt": 1}, 5)


def test_a_worker_needs_nothing_of_the_server() -> None:
    source = (
        "import sys, tintype.worker_client\n"
        "ours = {name for name in sys.modules if name.startswith('tintype')}\n"
        "print(sorted(ours | {'asyncpg', 'starlette', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rooms = ["", ".worker_client", ".worker_client.client", ".worker_client.running"]
    assert done.stdout.strip() == str([f"tintype{room}" for room in rooms])
