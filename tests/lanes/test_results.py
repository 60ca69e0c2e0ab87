"""Whose is what a worker uploads: before it is delivered, after it, and when it never is?"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from supabase import acreate_client

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture
from tests.support.product import Person, open_product
from tintype import app as server
from tintype.workers import delivery, outside

SDXL = "sdxl_image_fast"


@pytest.fixture
def original(bench: Bench) -> OriginalWorker:
    return OriginalWorker(bench)


async def taken(original: OriginalWorker) -> dict[str, Any]:
    job = await original.take()
    assert job is not None
    return job


async def listed(person: Person, bucket: str, folder: str) -> list[str]:
    answer = await person.product.http.post(
        f"/storage/v1/object/list/{bucket}", json={"prefix": folder}, headers=person.headers
    )
    return [one["name"] for one in answer.json()]


async def is_readable(person: Person, bucket: str, path: str) -> bool:
    http, headers = person.product.http, person.headers
    read = await http.get(f"/storage/v1/object/authenticated/{bucket}/{path}", headers=headers)
    signed = await http.post(
        f"/storage/v1/object/sign/{bucket}/{path}", json={"expiresIn": 60}, headers=headers
    )
    assert (read.status_code == 200) == (signed.status_code == 200)
    return read.status_code == 200


async def test_nobody_reads_a_file_before_it_is_delivered_and_paid_for(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job, anna = await taken(original), bench.person
    path = original.path(job)
    assert (await original.upload(SDXL, path, picture())).status_code == 200
    assert not await is_readable(anna, SDXL, path)
    assert await listed(anna, SDXL, str(anna.id)) == []
    await original.call_back({"jobId": job["id"], "status": "completed", "imageUrls": [path]})
    assert await is_readable(anna, SDXL, path)
    name = path.rpartition("/")[2]
    assert await listed(anna, SDXL, str(anna.id)) == [name, f"{name}.thumb.webp"]
    stranger = await bench.product.person(1)
    assert not await is_readable(stranger, SDXL, path)
    assert await listed(stranger, SDXL, str(anna.id)) == []


async def test_who_cancels_when_the_file_is_there_does_not_get_it_for_nothing(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job, anna = await taken(original), bench.person
    path = original.path(job)
    await original.upload(SDXL, path, picture())
    await anna.call("cancel-job", {"jobId": job["id"]})
    assert await anna.account() == (1000, 0, 1000)
    assert not await is_readable(anna, SDXL, path)
    assert (await original.upload(SDXL, path, picture(1))).status_code == 400


@pytest.fixture
async def pictures(database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """Return a worker of `images`, whose jobs the server's own worker leaves alone."""
    async with open_product(database_url, tmp_path, works=False) as product:
        yield await Bench.open(product, "images")


async def test_a_grants_file_in_an_open_bucket_is_listed_when_it_is_delivered(
    pictures: Bench,
) -> None:
    bench, anna, http = pictures, pictures.person, pictures.product.http
    await anna.accepted({"quantity": 1})
    headers = {"authorization": f"Bearer {bench.credentials.key}"}
    claim = (await http.post("/worker/v1/claim", json={}, headers=headers)).json()
    [job] = claim["jobs"]
    [grant] = job["uploads"]
    sent = await http.put(
        grant["url"], content=picture(), headers={"content-type": grant["content_type"]}
    )
    assert sent.status_code == 200
    folder = f"{anna.id}/{job['id']}"
    assert await listed(anna, "generations", folder) == []
    done = await http.post(
        f"/worker/v1/jobs/{job['id']}/complete",
        json={"attempt": 1, "outputs": [{"path": grant["path"]}]},
        headers=headers,
    )
    assert done.json()["status"] == "completed"
    assert len(await listed(anna, "generations", folder)) == 2


async def test_a_picture_job_that_an_outside_worker_does_has_urls_that_anybody_opens(
    pictures: Bench,
) -> None:
    """As `generate-image` promises them, whoever made the pictures."""
    bench, original = pictures, OriginalWorker(pictures)
    job_id = (await bench.person.accepted({"quantity": 2})).id
    job = await original.take("images")
    assert job is not None and job["bucket"] == "generations"
    paths = [f"{job['user_id']}/{job['id']}/{number}.png" for number in range(2)]
    for path in paths:
        assert (await original.upload("generations", path, picture())).status_code == 200
    answer = await original.call_back(
        {"jobId": job["id"], "status": "completed", "imageUrls": paths}
    )
    assert answer.status_code == 200, answer.text
    ended = await bench.product.job(job_id)
    assert all(one.endswith(path) for one, path in zip(ended.result_urls, paths, strict=True))
    for url in ended.result_urls:
        assert (await bench.product.http.get(url)).content == picture()


async def test_what_was_uploaded_and_not_delivered_is_swept(
    bench: Bench, original: OriginalWorker, job_id: UUID
) -> None:
    job = await taken(original)
    paths = [original.path(job, number) for number in range(3)]
    for path in (*paths, f"{paths[0]}.thumb.webp"):
        assert (await original.upload(SDXL, path, picture())).status_code == 200
    other = await bench.enqueue()
    kept = await taken(original)
    assert kept["id"] == str(other)
    await original.upload(SDXL, original.path(kept), picture())
    body = {"jobId": job["id"], "status": "completed", "imageUrls": paths[:1]}
    assert (await original.call_back(body)).status_code == 200
    config = bench.product.config
    async with server.open_kernel(config, config.database_url or "") as (kernel, _):
        assert await delivery.sweep(kernel, after_seconds=-1, limit=10) == 0
        assert await delivery.sweep(kernel, after_seconds=-1, limit=10, outside_seconds=-1) == 1
    rows = await bench.product.admin.fetch("select name from storage.objects order by name")
    expected = [paths[0], f"{paths[0]}.thumb.webp", original.path(kept)]
    assert [row["name"] for row in rows] == sorted(expected)
    files = [path for path in bench.product.files() if job["id"] in path or kept["id"] in path]
    assert len(files) == 3
    shown = await bench.product.http.get(
        (await bench.product.job(job["id"])).result_urls[0], headers=bench.person.headers
    )
    assert shown.content == picture()


async def test_thumbnails_of_outputs_never_meet(bench: Bench, original: OriginalWorker) -> None:
    await bench.enqueue(quantity=3)
    job = await taken(original)
    stem = f"{job['user_id']}/{job['id']}/0"
    paths = [f"{stem}.png", f"{stem}.jpg", f"{stem}.thumb.png"]
    for number, path in enumerate((*paths, f"{stem}.png.thumb.webp")):
        assert (await original.upload(SDXL, path, picture(number))).status_code == 200
    body = {"jobId": job["id"], "status": "completed", "imageUrls": paths}
    named = body | {"imageUrls": [f"{stem}.png.thumb.webp"]}
    refused = await original.call_back(named)
    assert (refused.status_code, refused.json()["code"]) == (400, "path_out_of_scope")
    assert (await original.call_back(body)).status_code == 200
    rows = await bench.product.admin.fetch("select url, thumbnail_url from public.images")
    assert len({row["thumbnail_url"] for row in rows}) == len(rows) == 3
    for row in rows:
        shown = await bench.product.http.get(row["thumbnail_url"], headers=bench.person.headers)
        assert shown.headers["content-type"] == "image/webp"


async def test_a_row_of_images_tells_its_subscriber_how_it_goes(
    bench: Bench, original: OriginalWorker
) -> None:
    anna = bench.person
    client = await acreate_client(bench.product.url, bench.product.keys.anon_key)
    await client.realtime.set_auth(anna.token)
    heard: dict[str, list[Any]] = {"images": [], "photos": []}
    ready = asyncio.Event()
    channel = client.channel("pictures")
    for view, told in heard.items():
        channel.on_postgres_changes("*", told.append, table=view)
    await channel.subscribe(lambda state, _: ready.set() if state == "SUBSCRIBED" else None)
    async with asyncio.timeout(100):
        await ready.wait()
        await bench.enqueue(quantity=2)
        job = await taken(original)
        path = original.path(job)
        await original.upload(SDXL, path, picture())
        body = {"jobId": job["id"], "status": "completed", "imageUrls": [path]}
        assert (await original.call_back(body)).status_code == 200
        while len(heard["images"]) < 4 or not heard["photos"]:
            await asyncio.sleep(0.02)
    await client.realtime.close()
    rows = [one["data"] for one in heard["images"]]
    first = [row["record"] for row in rows if row["record"]["position"] == 0]
    assert [row["status"] for row in first] == ["generating", "completed"]
    assert [row["path"] for row in first] == [None, path]
    second = [row["record"] for row in rows if row["record"]["position"] == 1]
    assert [row["status"] for row in second] == ["generating", "failed"]
    assert second[1]["error_message"] == "1 of 2 were not made."
    assert {one["data"]["record"]["status"] for one in heard["photos"]} == {"completed"}


async def test_photos_shows_what_is_finished_and_images_what_is_coming(
    bench: Bench, original: OriginalWorker
) -> None:
    anna, http = bench.person, bench.product.http
    await bench.enqueue(quantity=3)
    job = await taken(original)

    async def statuses(view: str) -> list[str]:
        answer = await http.get(f"/rest/v1/{view}?select=status,url", headers=anna.headers)
        assert all((one["url"] is None) == (one["status"] != "completed") for one in answer.json())
        return sorted(one["status"] for one in answer.json())

    assert (await statuses("photos"), await statuses("images")) == ([], ["generating"] * 3)
    await original.do(job, 2)
    assert await statuses("photos") == ["completed"] * 2
    assert await statuses("images") == ["completed", "completed", "failed"]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"prompt": "x" * 5000, "metadata": {"a": 1}}, 201),
        ({"prompt": "x" * 5001}, 400),
        ({"metadata": {"random": "".join(str(uuid4()) for _ in range(1000))}}, 400),
        ({"url": "https://elsewhere.example/x.png"}, 403),
        ({"path": "x"}, 403),
        ({"job_id": str(uuid4())}, 403),
    ],
)
async def test_a_pending_picture_is_small_and_says_nothing_that_a_job_says(
    bench: Bench, row: dict[str, Any], status: int
) -> None:
    answer = await bench.product.http.post(
        "/rest/v1/images",
        json={"user_id": str(bench.person.id)} | row,
        headers=bench.person.headers,
    )
    assert answer.status_code == status, answer.text


async def test_two_jobs_for_one_picture_at_once_are_one_job(bench: Bench) -> None:
    anna, http = bench.person, bench.product.http
    for _ in range(4):
        answer = await http.post(
            "/rest/v1/images",
            json={"user_id": str(anna.id), "prompt": "a moon"},
            headers=anna.headers | {"prefer": "return=representation"},
        )
        body = {"jobType": SDXL, "imageId": answer.json()[0]["id"], "metadata": {"num_images": 1}}
        answers = await asyncio.gather(*(anna.call("queue-job", body) for _ in range(4)))
        assert sorted(one.status_code for one in answers) == [200, 404, 404, 404]
        codes = {one.json()["code"] for one in answers if one.status_code == 404}
        assert codes == {"asset_not_found"}
    assert await anna.account() == (1000, 4, 996)


async def test_a_job_that_waited_too_long_is_not_lent_and_costs_nothing(
    bench: Bench, original: OriginalWorker
) -> None:
    late = [await bench.enqueue(expires_seconds=0) for _ in range(3)]
    fresh = await bench.enqueue()
    assert (await taken(original))["id"] == str(fresh)
    for job_id in late:
        job = await bench.product.job(job_id)
        assert (job.status, job.error_code) == ("failed", "expired")
    await bench.enqueue(expires_seconds=0)
    http = bench.product.http
    headers = {"authorization": f"Bearer {bench.credentials.key}"}
    claim = await http.post("/worker/v1/claim", json={}, headers=headers)
    assert claim.json()["jobs"] == []
    assert await bench.person.account() == (1000, 1, 999)


async def test_a_claim_that_waits_gets_nothing_after_its_worker_was_shut_out(bench: Bench) -> None:
    http = bench.product.http
    headers = {"authorization": f"Bearer {bench.credentials.key}"}
    waiting = asyncio.ensure_future(
        http.post("/worker/v1/claim", json={"wait_seconds": 20}, headers=headers)
    )
    async with asyncio.timeout(100):
        while not await bench.product.admin.fetchval("select max(seen_at) from tintype.workers"):
            await asyncio.sleep(0.01)
        await outside.revoke_worker(bench.product.pool, "gpu-1")
        job_id = await bench.enqueue()
        assert (await waiting).json()["jobs"] == []
    assert (await bench.product.job(job_id)).status == "queued"
    assert await bench.product.count("tintype.leases") == 0


async def test_a_pipeline_has_an_end(bench: Bench) -> None:
    for _ in range(30):
        await bench.enqueue()
    answer = await bench.product.http.post(
        "/redis/v1/pipeline",
        json=[["LRANGE", "sdxl_queue", 0, -1]] * 20,
        headers={"authorization": f"Bearer {bench.credentials.lane_token}"},
    )
    results = answer.json()
    assert [len(one["result"]) for one in results[:17]] == [30] * 17
    assert all(re.match("ERR", one["error"]) for one in results[17:])
