"""Callbacks that meet each other, a cancel, a rescue or a crash: one of them counts."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture
from tintype.jobs import Job
from tintype.workers import outside
from tintype.workers.outside import files, outcome

SECONDS_MAX = 100


@pytest.fixture
def original(bench: Bench) -> OriginalWorker:
    return OriginalWorker(bench)


async def uploaded(bench: Bench, original: OriginalWorker, quantity: int = 1) -> dict[str, Any]:
    """Return a job whose files are written and not reported, with the report as `report`."""
    await bench.enqueue(quantity=quantity)
    job = await original.take()
    assert job is not None
    paths = [original.path(job, position) for position in range(quantity)]
    for position, path in enumerate(paths):
        answer = await original.upload(job["bucket"], path, picture(position))
        assert answer.status_code == 200, answer.text
    report = {"jobId": job["id"], "status": "completed", "imageUrls": paths}
    return job | {"report": report}


async def settled_once(bench: Bench, job: dict[str, Any]) -> Job:
    """Return the job, which has ended, with one row and one file for each output it is paid for."""
    ended = await bench.product.job(job["id"])
    assert ended.is_terminal
    rows = await bench.product.admin.fetch(
        "select status, path from public.generations where job_id = $1", ended.id
    )
    completed = [row["path"] for row in rows if row["status"] == "completed"]
    assert {row["status"] for row in rows} <= {"completed", "failed"}
    assert len(completed) == len(set(completed)) == ended.result_count
    captured = await bench.product.admin.fetchval(
        "select coalesce(sum(units), 0) from public.credit_entries"
        " where hold_id = $1 and kind = 'capture'",
        ended.id,
    )
    assert captured == ended.result_count
    await bench.product.assert_ledger_holds()
    return ended


async def test_the_same_callback_many_times_at_once_counts_once(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original, 3)
    answers = await asyncio.gather(*(original.call_back(job["report"]) for _ in range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6, [a.text for a in answers]
    assert {answer.json()["status"] for answer in answers} == {"completed"}
    assert [answer.json()["debug"]["duplicate"] for answer in answers].count(False) == 1
    assert (await settled_once(bench, job)).result_count == 3
    # Three pictures and their thumbnails, as rows and as bytes.
    assert await bench.product.count("storage.objects") == 6
    assert len([path for path in bench.product.files() if job["id"] in path]) == 6


async def test_one_of_completed_failed_canceled_and_lost_ends_a_job(
    bench: Bench, original: OriginalWorker
) -> None:
    endings = set()
    for turn in range(12):
        job = await uploaded(bench, original, 3)
        failed = {"jobId": job["id"], "status": "failed", "errorMessage": "out of memory"}
        rivals: list[Callable[[], Awaitable[Any]]] = [
            lambda failed=failed: original.call_back(failed),
            lambda job=job: bench.person.call("cancel-job", {"jobId": job["id"]}),
            bench.expire,
        ]
        await asyncio.gather(original.call_back(job["report"]), rivals[turn % 3]())
        if not (await bench.product.job(job["id"])).is_terminal:
            # It went back to its lane: the same worker takes it again.
            again = await original.take()
            assert again is not None and again["id"] == job["id"]
            assert (await original.call_back(job["report"])).status_code == 200
        endings.add((await settled_once(bench, job)).status)
    assert "completed" in endings


async def test_a_worker_that_is_shut_out_while_it_calls_back_loses_nothing_and_wins_nothing(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original, 3)
    answer, _ = await asyncio.gather(
        original.call_back(job["report"]), outside.revoke_worker(bench.product.pool, "gpu-1")
    )
    await bench.product.admin.fetch("select * from tintype.settle_rescue(100)")
    now = await bench.product.job(job["id"])
    if answer.status_code == 200:
        assert (await settled_once(bench, job)).status == "completed"
    else:
        assert answer.status_code in (401, 404)
        assert (now.status, now.attempt) == ("queued", 2)
    assert (await original.call_back(job["report"])).status_code == 401


class Slow:
    """A body that begins, waits until it is told to go on, and ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data[:100]
        self.began.set()
        await self.may_end.wait()
        yield self._data[100:]


async def upload_slowly(
    original: OriginalWorker, bucket: str, path: str, slow: Slow
) -> httpx2.Response:
    return await original.http.post(
        f"{original.url}/storage/v1/object/{bucket}/{path}",
        content=slow.chunks(),
        headers={
            "authorization": f"Bearer {original.key}",
            "content-type": "image/png",
            "x-upsert": "true",
        },
    )


async def test_an_upload_that_ends_after_its_job_changes_nothing_that_was_delivered(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original)
    [path] = job["report"]["imageUrls"]
    slow = Slow(picture(9))
    uploading = asyncio.ensure_future(upload_slowly(original, job["bucket"], path, slow))
    async with asyncio.timeout(SECONDS_MAX):
        await slow.began.wait()
    assert (await original.call_back(job["report"])).status_code == 200
    files = bench.product.files()
    slow.may_end.set()
    late = await uploading
    assert (late.status_code, late.json()["statusCode"]) == (400, "403"), late.text
    shown = await bench.product.http.get(
        (await bench.product.job(job["id"])).result_urls[0], headers=bench.person.headers
    )
    assert shown.content == picture(0)
    assert bench.product.files() <= files


async def test_an_upload_of_a_worker_that_lost_the_job_does_not_reach_the_next_ones_result(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original)
    [path] = job["report"]["imageUrls"]
    slow = Slow(picture(9))
    uploading = asyncio.ensure_future(upload_slowly(original, job["bucket"], path, slow))
    async with asyncio.timeout(SECONDS_MAX):
        await slow.began.wait()
    await bench.expire()
    secrets = await outside.add_worker(
        bench.product.pool, bench.product.keys, "gpu-2", ["sdxl_queue"]
    )
    other = OriginalWorker(bench)
    other.key, other.redis_token = secrets.key, secrets.lane_token
    again = await other.take()
    assert again is not None
    await other.upload(again["bucket"], path, picture(5))
    assert (await other.call_back(job["report"])).status_code == 200
    slow.may_end.set()
    assert (await uploading).status_code == 400
    shown = await bench.product.http.get(
        (await bench.product.job(job["id"])).result_urls[0], headers=bench.person.headers
    )
    assert shown.content == picture(5)


@pytest.mark.parametrize("route", ["sign", "resumable"])
async def test_no_other_way_to_write_outlasts_the_job(
    bench: Bench, original: OriginalWorker, route: str
) -> None:
    job = await uploaded(bench, original)
    [path] = job["report"]["imageUrls"]
    http, url = bench.product.http, f"{original.url}/storage/v1"
    headers = {"authorization": f"Bearer {original.key}", "x-upsert": "true"}
    if route == "sign":
        signed = await http.post(
            f"{url}/object/upload/sign/{job['bucket']}/{path}", headers=headers
        )
        assert (signed.status_code, signed.json()["statusCode"]) == (400, "403")
        return
    data = picture(9)
    names = {"bucketName": job["bucket"], "objectName": path, "contentType": "image/png"}
    begun = await http.post(
        f"{url}/upload/resumable",
        headers=headers
        | {
            "tus-resumable": "1.0.0",
            "upload-length": str(len(data)),
            "upload-metadata": ",".join(f"{name} {b64(value)}" for name, value in names.items()),
        },
    )
    assert begun.status_code == 201, begun.text
    assert (await original.call_back(job["report"])).status_code == 200
    patched = await http.patch(
        begun.headers["location"],
        content=data,
        headers=headers
        | {
            "tus-resumable": "1.0.0",
            "upload-offset": "0",
            "content-type": "application/offset+octet-stream",
        },
    )
    assert patched.status_code >= 400
    shown = await http.get(
        (await bench.product.job(job["id"])).result_urls[0], headers=bench.person.headers
    )
    assert shown.content == picture(0)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_file_that_is_replaced_while_it_is_looked_at_does_not_count(
    bench: Bench, original: OriginalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(bench, original)
    [path] = job["report"]["imageUrls"]
    probe = files.probe

    async def probe_and_replace(*given: Any, **more: Any) -> Any:
        probed = await probe(*given, **more)
        await original.upload(job["bucket"], path, picture(7))
        return probed

    with monkeypatch.context() as patch:
        patch.setattr(files, "probe", probe_and_replace)
        answer = await original.call_back(job["report"])
    assert (answer.status_code, answer.json()["code"]) == (400, "file_changed")
    assert (await bench.product.job(job["id"])).result_count == 0
    await original.upload(job["bucket"], path, picture(2))
    assert (await original.call_back(job["report"])).status_code == 200
    assert (await settled_once(bench, job)).result_count == 1


async def test_a_server_that_dies_on_the_way_has_delivered_nothing_and_is_told_again(
    bench: Bench, original: OriginalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(bench, original, 3)
    for module, place in ((files, "hand_over"), (outcome, "_ended")):
        with monkeypatch.context() as patch:
            patch.setattr(module, place, broken_off)
            assert (await original.call_back(job["report"])).status_code == 500
        now = await bench.product.job(job["id"])
        assert (now.status, now.result_count) == ("processing", 0)
    again = await original.call_back(job["report"])
    assert (again.status_code, again.json()["debug"]) == (200, {"duplicate": False})
    assert (await settled_once(bench, job)).result_count == 3


async def test_a_report_that_was_lost_with_its_server_is_not_taken_for_done(
    bench: Bench, original: OriginalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(bench, original)
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "_ended", broken_off)
        assert (await original.call_back(job["report"])).status_code == 500
    await bench.expire()
    late = await original.call_back(job["report"])
    assert (late.status_code, late.json()["code"]) == (404, "job_not_held")
    assert (await bench.product.job(job["id"])).status == "queued"


async def broken_off(*_: Any) -> int:
    raise RuntimeError("killed")


async def test_a_file_that_is_reported_twice_is_not_two_outputs(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original, 3)
    first, second, _ = job["report"]["imageUrls"]
    for paths in ([first, f"/{first}"], [second, f"{job['bucket']}/{second}"]):
        refused = await original.call_back(job["report"] | {"imageUrls": paths})
        assert (refused.status_code, refused.json()["code"]) == (400, "outputs_missing")
    assert (await original.call_back(job["report"])).status_code == 200
    assert (await settled_once(bench, job)).result_count == 3


async def test_a_worker_that_hangs_up_has_reported_all_the_same(
    bench: Bench, original: OriginalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(bench, original)
    looking, may_go_on = asyncio.Event(), asyncio.Event()
    probe = files.probe

    async def probe_slowly(*given: Any, **more: Any) -> Any:
        looking.set()
        await may_go_on.wait()
        return await probe(*given, **more)

    monkeypatch.setattr(files, "probe", probe_slowly)
    calling = asyncio.ensure_future(original.call_back(job["report"]))
    async with asyncio.timeout(SECONDS_MAX):
        await looking.wait()
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        may_go_on.set()
        while not (await bench.product.job(job["id"])).is_terminal:
            await asyncio.sleep(0.02)
    assert (await settled_once(bench, job)).status == "completed"


async def test_the_time_of_a_job_does_not_run_out_while_its_files_are_looked_at(
    bench: Bench, original: OriginalWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await uploaded(bench, original)
    await let_seconds_remain(bench, 5)
    probe = files.probe

    async def probe_and_look(*given: Any, **more: Any) -> Any:
        assert await seconds_left(bench) > 100
        return await probe(*given, **more)

    monkeypatch.setattr(files, "probe", probe_and_look)
    assert (await original.call_back(job["report"])).status_code == 200


async def test_a_job_reported_as_processing_has_its_types_time_again(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original)
    await let_seconds_remain(bench, 5)
    body = {"jobId": job["id"], "status": "processing", "progress": 10}
    assert (await original.call_back(body)).status_code == 200
    assert await seconds_left(bench) > 290


async def let_seconds_remain(bench: Bench, seconds: int) -> None:
    await bench.product.admin.execute(
        "update tintype.leases set expires_at = now() + $1 * interval '1 second'", seconds
    )


async def seconds_left(bench: Bench) -> float:
    return float(
        await bench.product.admin.fetchval(
            "select extract(epoch from min(expires_at) - now()) from tintype.leases"
        )
    )


async def test_with_its_attempt_a_report_of_an_earlier_one_is_late(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original)
    await bench.expire()
    again = await original.take()
    assert again is not None and again["attempt"] == 2
    late = await original.call_back(job["report"] | {"attempt": 1})
    assert (late.status_code, late.json()["code"]) == (404, "job_not_held")
    assert (await original.call_back(job["report"] | {"attempt": 2})).status_code == 200


async def test_a_failure_that_comes_after_the_end_tells_how_it_ended(
    bench: Bench, original: OriginalWorker
) -> None:
    job = await uploaded(bench, original)
    await original.call_back(job["report"])
    failed = await original.call_back({"job_id": job["id"], "status": "failed"})
    assert (failed.status_code, failed.json()["status"]) == (200, "completed")
    await bench.enqueue()
    other = await original.take()
    assert other is not None
    await bench.person.call("cancel-job", {"jobId": other["id"]})
    # It never reported this one: nothing tells it from a job that is not there.
    refused = await original.call_back({"job_id": other["id"], "status": "failed"})
    assert (refused.status_code, refused.json()["code"]) == (404, "job_not_held")


@pytest.mark.parametrize(
    "change",
    [
        {"progress": 1e999},
        {"progress": -1},
        {"errorMessage": "nul \u0000"},
        {"metadata": {"a": "nul \u0000"}},
        {"assets": [{"path": "x\u0000"}]},
        {"imageUrls": ["\ud800"]},
        {"imageUrls": "x"},
        {"status": "queued"},
        {"attempt": "1"},
        {"jobId": "1"},
    ],
)
async def test_rubbish_is_refused_and_the_job_stays(
    bench: Bench, original: OriginalWorker, job_id: UUID, change: dict[str, Any]
) -> None:
    assert await original.take() is not None
    body = {"jobId": str(job_id), "status": "processing"} | change
    text = json.dumps(body).replace("Infinity", "1e999")
    answer = await bench.product.http.post(
        "/functions/v1/job-callback",
        content=text,
        headers={"authorization": f"Bearer {original.key}", "content-type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    assert (await bench.product.job(job_id)).status == "processing"
