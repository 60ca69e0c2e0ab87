"""`job-callback`: what a worker says counts once, and only as far as it can be checked."""

import base64
import hashlib
import hmac
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, job_id_of, picture, video
from tintype import clock
from tintype.workers import outside


@pytest.fixture
def original(bench: Bench) -> OriginalWorker:
    return OriginalWorker(bench)


async def taken(original: OriginalWorker, queue: str = "sdxl_queue") -> dict[str, Any]:
    job = await original.take(queue)
    assert job is not None
    return job


async def test_the_originals_worker_completes_a_job_of_six(
    bench: Bench, original: OriginalWorker
) -> None:
    await bench.enqueue(quantity=6)
    before = await bench.product.admin.fetch(
        "select status, position from public.images order by position"
    )
    assert [tuple(row) for row in before] == [("generating", n) for n in range(6)]
    job = await taken(original)
    answer = await original.do(job, 6)
    assert (answer.status_code, answer.json()["success"]) == (200, True), answer.text
    done = await bench.product.job(job["id"])
    assert (done.status, done.result_count, done.progress) == ("completed", 6, 100)
    rows = await bench.product.admin.fetch(
        "select id, status, path, thumbnail_url, width from public.images order by position"
    )
    assert [row["path"] for row in rows] == [original.path(job, n) for n in range(6)]
    assert {(row["status"], row["width"]) for row in rows} == {("completed", 64)}
    assert rows[0]["id"] == done.image_id
    assert await bench.person.account() == (994, 0, 994)
    shown = await bench.product.http.get(done.result_urls[0], headers=bench.person.headers)
    assert shown.content == picture(0)
    stranger = await bench.product.person(1)
    assert (
        await bench.product.http.get(done.result_urls[0], headers=stranger.headers)
    ).status_code == 400


async def test_fewer_files_complete_the_job_and_release_the_rest(
    bench: Bench, original: OriginalWorker
) -> None:
    await bench.enqueue(quantity=6)
    job = await taken(original)
    assert (await original.do(job, 4)).status_code == 200
    done = await bench.product.job(job["id"])
    assert (done.status, done.result_count, done.error_code) == ("completed", 4, "worker_error")
    assert await bench.person.account() == (996, 0, 996)
    left = await bench.product.admin.fetch(
        "select status, error_message from public.images where status <> 'completed'"
    )
    assert [tuple(row) for row in left] == [("failed", "2 of 6 were not made.")] * 2


async def test_the_same_callback_again_is_200_and_changes_nothing(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    await original.do(job)
    async with bench.product.unchanged():
        again = await original.call_back(
            {"jobId": job["id"], "status": "completed", "imageUrls": [original.path(job)]}
        )
        assert (again.status_code, again.json()["debug"]) == (200, {"duplicate": True})
        other = await original.call_back(
            {"job_id": job["id"], "status": "failed", "error_message": "late"}
        )
        assert (other.status_code, other.json()["status"]) == (200, "completed")


async def test_a_failure_ends_the_job_with_its_reason_and_frees_the_credits(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    answer = await original.call_back(
        {"jobId": job["id"], "status": "failed", "errorMessage": "CUDA out of memory"}
    )
    assert answer.json()["status"] == "failed"
    done = await bench.product.job(job_id)
    assert (done.status, done.error_message) == ("failed", "CUDA out of memory")
    assert await bench.person.account() == (1000, 0, 1000)
    row = await bench.product.admin.fetchrow("select status, error_message from public.images")
    assert tuple(row or ()) == ("failed", "CUDA out of memory")


async def test_processing_shows_progress_and_ends_nothing(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    for progress in (30, 100, 10):
        answer = await original.call_back(
            {"jobId": job["id"], "status": "processing", "progress": progress}
        )
        assert answer.json()["status"] == "processing"
    assert (await bench.product.job(job_id)).progress == 99


async def test_a_late_answer_changes_nothing_and_looks_like_an_unknown_job(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    path = original.path(job)
    assert (await original.upload(job["bucket"], path, picture())).status_code == 200
    await bench.expire()
    late = await original.call_back(
        {"jobId": job["id"], "status": "completed", "imageUrls": [path]}
    )
    unknown = await original.call_back(
        {"jobId": str(uuid4()), "status": "completed", "imageUrls": [path]}
    )
    assert (late.status_code, late.json()) == (unknown.status_code, unknown.json())
    assert (late.status_code, late.json()["code"]) == (404, "job_not_held")
    assert (await bench.product.job(job_id)).status == "queued"
    assert (await original.upload(job["bucket"], path, picture())).status_code != 200


async def test_another_workers_job_cannot_be_reported_or_written(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    stranger = OriginalWorker(bench)
    stranger.key = (
        await outside.add_worker(bench.product.pool, bench.product.keys, "gpu-2", ["sdxl_queue"])
    ).key
    refused = await stranger.upload(job["bucket"], original.path(job), picture())
    assert (refused.status_code, refused.json()["statusCode"]) == (400, "403")
    answer = await stranger.call_back({"jobId": job["id"], "status": "failed"})
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_held")
    assert (await original.do(job)).status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda path, user: path.replace(user, str(uuid4())), "path_out_of_scope"),
        (lambda path, user: f"{user}/other.png", "path_out_of_scope"),
        (lambda path, user: f"{user}/../{path}", "path_out_of_scope"),
        (lambda path, user: path.replace(".png", "_9.png"), "path_missing"),
        (lambda path, user: f"https://elsewhere.example/{path}", "path_out_of_scope"),
    ],
)
async def test_a_path_must_lie_in_the_jobs_scope_and_exist(
    bench: Bench, original: OriginalWorker, job_id: UUID, change: Any, code: str
) -> None:
    job = await taken(original)
    path = change(original.path(job), job["user_id"])
    answer = await original.call_back(
        {"jobId": job["id"], "status": "completed", "imageUrls": [path]}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert (await bench.product.job(job_id)).status == "processing"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"not a picture", "file_unreadable"),
        (picture()[:-20], "file_unreadable"),
        (base64.b64encode(picture()), "file_unreadable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "file_unreadable"),
    ],
)
async def test_a_file_that_is_no_picture_does_not_complete_a_job_and_can_be_mended(
    bench: Bench, original: OriginalWorker, job_id: UUID, data: bytes, code: str
) -> None:
    job = await taken(original)
    path = original.path(job)
    uploaded = await original.upload(job["bucket"], path, data)
    body = {"jobId": job["id"], "status": "completed", "imageUrls": [path]}
    if uploaded.status_code == 200:
        answer = await original.call_back(body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert await bench.product.count("storage.objects") <= 1
    await original.upload(job["bucket"], path, picture())
    assert (await original.call_back(body)).status_code == 200


async def test_a_video_is_opened_and_gets_a_poster(bench: Bench, original: OriginalWorker) -> None:
    await outside.add_worker(bench.product.pool, bench.product.keys, "gpu-1", ["wan_queue"])
    bench = await Bench.open(bench.product, "wan_queue")
    original = OriginalWorker(bench)
    await bench.enqueue("video7b_fast_enhanced")
    job = await taken(original, "wan_queue")
    path = f"{job['user_id']}/{job['videoId']}.mp4"
    uploaded = await original.upload(job["bucket"], path, video(), "video/mp4")
    assert uploaded.status_code == 200, uploaded.text
    answer = await original.call_back(
        {
            "jobId": job["id"],
            "status": "completed",
            "outputUrl": path,
            "enhancedPrompt": "a better robot",
        }
    )
    assert answer.status_code == 200, answer.text
    row = await bench.product.admin.fetchrow("select * from public.videos")
    assert row is not None
    assert (row["status"], row["width"], row["height"]) == ("completed", 64, 48)
    assert row["enhanced_prompt"] == "a better robot"
    poster = await bench.product.http.get(row["thumbnail_url"], headers=bench.person.headers)
    assert poster.headers["content-type"] == "image/webp"


async def test_a_picture_called_a_video_is_refused(bench: Bench) -> None:
    bench = await Bench.open(bench.product, "wan_queue")
    original = OriginalWorker(bench)
    await bench.enqueue("video_fast")
    job = await taken(original, "wan_queue")
    path = f"{job['user_id']}/{job['videoId']}.mp4"
    await original.upload(job["bucket"], path, picture(), "video/mp4")
    answer = await original.call_back(
        {"jobId": job["id"], "status": "completed", "outputUrl": path}
    )
    assert answer.status_code == 400
    assert answer.json()["code"] in ("file_unreadable", "path_missing")


async def test_without_proof_a_callback_is_refused(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    body = {"jobId": job["id"], "status": "failed"}
    keys = bench.product.keys
    for token in ("", keys.anon_key, keys.service_role_key, bench.person.token, "x"):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        answer = await bench.product.http.post(
            "/functions/v1/job-callback", json=body, headers=headers
        )
        assert answer.status_code == 401, (token, answer.text)
    assert (await bench.product.job(job_id)).status == "processing"


def plain(secret: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-callback-signature": f"sha256={digest}"}


def standard(secret: str, body: bytes, *, age_seconds: int = 0) -> dict[str, str]:
    moment = int(clock.unix_seconds()) - age_seconds
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": outside.sign_standard(secret, "msg_1", moment, body),
    }


@pytest.mark.parametrize("sign", [plain, standard])
async def test_a_signature_of_the_holder_proves_a_callback(
    bench: Bench, original: OriginalWorker, job_id: UUID, sign: Any
) -> None:
    job = await taken(original)
    body = json.dumps({"job_id": job["id"], "status": "failed", "error_message": "x"}).encode()
    secret = bench.credentials.callback_secret
    other = await outside.add_worker(
        bench.product.pool, bench.product.keys, "gpu-2", ["sdxl_queue"]
    )
    forged: list[dict[str, str]] = [
        sign(other.callback_secret, body),
        sign("whsec_" + "A" * 43 + "=", body),
        sign(secret, body + b" "),
        {name: value[:-4] for name, value in sign(secret, body).items()},
        {},
    ]
    post = bench.product.http.post
    for headers in forged:
        answer = await post(
            "/functions/v1/job-callback",
            content=body,
            headers=headers | {"content-type": "application/json"},
        )
        assert answer.status_code == 401, headers
    signed = sign(secret, body) | {"content-type": "application/json"}
    answer = await post("/functions/v1/job-callback", content=body, headers=signed)
    assert (answer.status_code, answer.json()["status"]) == (200, "failed"), answer.text
    again = await post("/functions/v1/job-callback", content=body, headers=signed)
    assert (again.status_code, again.json()["debug"]) == (200, {"duplicate": True})


async def test_an_old_signature_is_refused(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    body = json.dumps({"job_id": job["id"], "status": "failed"}).encode()
    for age_seconds in (outside.REPLAY_SECONDS_MAX + 5, -outside.REPLAY_SECONDS_MAX - 5):
        answer = await bench.product.http.post(
            "/functions/v1/job-callback",
            content=body,
            headers=standard(bench.credentials.callback_secret, body, age_seconds=age_seconds)
            | {"content-type": "application/json"},
        )
        assert answer.status_code == 401
    assert (await bench.product.job(job_id)).status == "processing"


async def test_a_workers_key_opens_nothing_else(bench: Bench, original: OriginalWorker) -> None:
    await bench.enqueue()
    job = await taken(original)
    headers = {"authorization": f"Bearer {original.key}", "apikey": original.key}
    http = bench.product.http
    for table in ("jobs", "generations", "images", "credit_accounts", "projects"):
        answer = await http.get(f"/rest/v1/{table}?select=*", headers=headers)
        assert answer.status_code in (401, 403), (table, answer.text)
    refused = await http.post("/functions/v1/generate-image", json={"prompt": "x"}, headers=headers)
    assert refused.status_code == 403
    assert (await http.get("/auth/v1/user", headers=headers)).status_code in (401, 403)
    assert (await http.get("/auth/v1/admin/users", headers=headers)).status_code in (401, 403)
    path = original.path(job)
    await original.upload(job["bucket"], path, picture())
    for bucket, name in (("uploads", path), (job["bucket"], f"{uuid4()}/{job['id']}.png")):
        assert (await original.upload(bucket, name, picture())).status_code == 400
    removed = await http.request(
        "DELETE", f"/storage/v1/object/{job['bucket']}/{path}", headers=headers
    )
    assert removed.status_code == 400
    assert job_id_of(job)
