"""`/worker/v1`: claims that wait, grants that open one name, reports that are fenced."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import picture, video
from tintype.workers import outside


class Worker:
    """The requests of one worker."""

    def __init__(self, bench: Bench, key: str | None = None) -> None:
        self._http = bench.product.http
        self._headers = {"authorization": f"Bearer {key or bench.credentials.key}"}

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return await self._http.post(
            f"/worker/v1/{path}", json=body or {}, headers=self._headers, **more
        )

    async def claim(self, **wish: Any) -> dict[str, Any]:
        answer = await self.post("claim", wish)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def say(self, job: dict[str, Any], verb: str, **body: Any) -> httpx2.Response:
        return await self.post(f"jobs/{job['id']}/{verb}", {"attempt": job["attempt"]} | body)

    async def upload(self, grant: dict[str, Any], data: bytes) -> httpx2.Response:
        return await self._http.put(
            grant["url"], content=data, headers={"content-type": grant["content_type"]}
        )


@pytest.fixture
def worker(bench: Bench) -> Worker:
    return Worker(bench)


async def test_a_job_goes_from_claim_to_its_end(bench: Bench, worker: Worker) -> None:
    await bench.enqueue(quantity=3)
    claim = await worker.claim()
    [job] = claim["jobs"]
    assert (await bench.product.job(job["id"])).status == "processing"
    assert [grant["position"] for grant in job["uploads"]] == [0, 1, 2]
    for grant in job["uploads"]:
        assert (await worker.upload(grant, picture(grant["position"]))).status_code == 200
        percent = 30 * (grant["position"] + 1)
        assert (await worker.say(job, "progress", progress=percent)).status_code == 200
    assert (await bench.product.job(job["id"])).progress == 90
    outputs = [{"path": grant["path"], "seed": 7} for grant in job["uploads"]]
    done = await worker.say(job, "complete", outputs=outputs, enhanced_prompt="better")
    assert (done.status_code, done.json()["status"]) == (200, "completed"), done.text
    again = await worker.say(job, "complete", outputs=outputs)
    assert again.json()["is_duplicate"] is True
    rows = await bench.product.admin.fetch("select seed, enhanced_prompt, status from images")
    assert [tuple(row) for row in rows] == [(7, "better", "completed")] * 3
    assert await bench.person.account() == (997, 0, 997)


async def test_a_claim_waits_for_work(bench: Bench, worker: Worker) -> None:
    waiting = asyncio.create_task(worker.claim(wait_seconds=20))
    while not waiting.done():
        await bench.enqueue()
        await asyncio.wait([waiting], timeout=0.5)
    assert len(waiting.result()["jobs"]) == 1


async def test_a_wait_in_vain_ends_with_no_jobs(worker: Worker) -> None:
    assert await worker.claim(wait_seconds=0.3) == {
        "lease_id": None,
        "lease_seconds": 60,
        "jobs": [],
    }


async def test_whoever_leaves_while_waiting_takes_no_job(bench: Bench, worker: Worker) -> None:
    # Whatever it takes to ask, only the answer is not waited for.
    patience = httpx2.Timeout(30, read=0.3)
    with pytest.raises(httpx2.ReadTimeout):
        await worker.post("claim", {"wait_seconds": 10}, timeout=patience)
    job_id = await bench.enqueue()
    claim = await worker.claim(wait_seconds=5)
    assert [job["id"] for job in claim["jobs"]] == [str(job_id)]


async def test_a_lease_is_renewed_and_a_canceled_job_is_named_to_stop(
    bench: Bench, worker: Worker
) -> None:
    await bench.enqueue()
    await bench.enqueue()
    claim = await worker.claim(capacity=2)
    first, second = claim["jobs"]
    renewed = await worker.post("renew", {"lease_ids": [claim["lease_id"]], "lease_seconds": 600})
    assert renewed.json()["lost_job_ids"] == []
    await bench.person.call("cancel-job", {"jobId": first["id"]})
    renewed = await worker.post("renew", {"lease_ids": [claim["lease_id"]]})
    assert renewed.json()["lost_job_ids"] == [first["id"]]
    refused = await worker.say(first, "progress", progress=50)
    assert (refused.status_code, refused.json()["code"]) == (404, "job_not_held")
    assert (await worker.say(second, "progress", progress=50)).status_code == 200


async def test_a_lease_that_is_gone_is_named(bench: Bench, worker: Worker, job_id: UUID) -> None:
    claim = await worker.claim()
    [job] = claim["jobs"]
    await bench.expire()
    renewed = await worker.post("renew", {"lease_ids": [claim["lease_id"]]})
    assert renewed.json()["lost_lease_ids"] == [claim["lease_id"]]
    again = (await worker.claim())["jobs"][0]
    assert (again["id"], again["attempt"]) == (job["id"], 2)
    for verb, body in (
        ("progress", {"progress": 1}),
        ("complete", {"outputs": [{"path": job["uploads"][0]["path"]}]}),
        ("fail", {"message": "late"}),
        ("release", {}),
    ):
        late = await worker.say(job, verb, **body)
        assert (late.status_code, late.json()["code"]) == (404, "job_not_held")
    assert (await bench.product.job(job_id)).status == "processing"


async def test_a_grant_writes_its_one_name_once(bench: Bench, worker: Worker) -> None:
    await bench.enqueue()
    [job] = (await worker.claim())["jobs"]
    [grant] = job["uploads"]
    assert (await worker.upload(grant, picture(1))).status_code == 200
    assert (await worker.upload(grant, picture(2))).status_code != 200
    for wrong in (
        grant["url"].replace("/0-", "/1-"),
        grant["url"].replace(job["user_id"], str(uuid4())),
        grant["url"][:-3],
    ):
        assert (await worker.upload(grant | {"url": wrong}, picture())).status_code != 200
    assert await bench.product.count("storage.objects") == 1


async def test_a_failed_job_ends_or_is_tried_again(bench: Bench, worker: Worker) -> None:
    await bench.enqueue()
    [job] = (await worker.claim())["jobs"]
    told = await worker.say(job, "fail", message="out of memory", retry=True)
    assert told.json()["status"] == "queued"
    row = await bench.product.job(job["id"])
    assert (row.retries, row.error_code, row.error_message) == (1, "transient", "out of memory")
    await bench.product.admin.execute("update tintype.delayed set run_at = now()")
    [job] = (await worker.claim())["jobs"]
    assert (await worker.say(job, "fail", message="no such model")).json()["status"] == "failed"
    assert await bench.person.account() == (1000, 0, 1000)


async def test_a_released_job_goes_to_the_next_worker(
    bench: Bench, worker: Worker, job_id: UUID
) -> None:
    [job] = (await worker.claim())["jobs"]
    assert (await worker.say(job, "release")).json()["status"] == "queued"
    [job] = (await worker.claim())["jobs"]
    assert (job["id"], job["retries"]) == (str(job_id), 0)


async def test_a_video_job_has_an_mp4_to_upload(bench: Bench) -> None:
    bench = await Bench.open(bench.product, "wan_queue")
    worker = Worker(bench)
    await bench.enqueue("video_fast")
    [job] = (await worker.claim())["jobs"]
    [grant] = job["uploads"]
    assert (grant["content_type"], grant["bucket"]) == ("video/mp4", "video_fast")
    assert (await worker.upload(grant, video())).status_code == 200
    done = await worker.say(job, "complete", outputs=[{"path": grant["path"]}])
    assert done.json()["status"] == "completed"


async def test_a_jobs_references_come_as_urls_that_open(bench: Bench, worker: Worker) -> None:
    path = await bench.product.upload(bench.person, "start.png", picture(3))
    await bench.enqueue(payload={"bucket": "sdxl_image_fast", "references": [f"storage:{path}"]})
    [job] = (await worker.claim())["jobs"]
    shown = await bench.product.http.get(job["references"][0])
    assert shown.content == picture(3)


async def test_only_the_key_of_a_worker_that_is_let_in_opens_the_protocol(
    bench: Bench, worker: Worker, job_id: UUID
) -> None:
    keys = bench.product.keys
    for key in (keys.anon_key, keys.service_role_key, bench.person.token):
        answer = await Worker(bench, key).post("claim")
        assert (answer.status_code, answer.json()["code"]) == (401, "worker_key_required")
    assert (await Worker(bench, "x.y.z").post("claim")).status_code == 401
    assert (await bench.product.http.post("/worker/v1/claim", json={})).status_code == 401
    await outside.revoke_worker(bench.product.pool, "gpu-1")
    assert (await worker.post("claim")).status_code == 401
    assert (await bench.product.job(job_id)).status == "queued"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"queues": ["wan_queue"]}, "queue_not_allowed"),
        ({"queues": []}, "queue_not_allowed"),
        ({"capacity": 0}, "field_invalid"),
        ({"capacity": 65}, "field_invalid"),
        ({"wait_seconds": 51}, "field_invalid"),
        ({"lease_seconds": 1}, "field_invalid"),
        ({"queues": "x"}, "field_invalid"),
        ([], "field_invalid"),
    ],
)
async def test_a_claim_that_does_not_fit_is_refused(
    bench: Bench, worker: Worker, job_id: UUID, body: Any, code: str
) -> None:
    http = bench.product.http
    answer = await http.post(
        "/worker/v1/claim",
        json=body,
        headers={"authorization": f"Bearer {bench.credentials.key}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await bench.product.job(job_id)).status == "queued"


async def test_rubbish_is_a_refusal_and_no_fault(bench: Bench, worker: Worker) -> None:
    http = bench.product.http
    headers = {"authorization": f"Bearer {bench.credentials.key}"}
    for content, code in (
        (b"not json", "body_not_json"),
        (b"[" * 50_000, "field_invalid"),
        (b"\xff", "body_not_json"),
        (b'{"a":"' + b"x" * 300_000 + b'"}', "body_too_large"),
        (b'{"queues": ["\\u0000"]}', "field_invalid"),
    ):
        answer = await http.post("/worker/v1/claim", content=content, headers=headers)
        assert answer.json()["code"] == code
        assert answer.status_code in (400, 413)
    for path in ("jobs/x/complete", f"jobs/{uuid4()}/fail"):
        answer = await worker.post(path, {"attempt": 1, "message": "x", "outputs": [{"path": "x"}]})
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_held")
