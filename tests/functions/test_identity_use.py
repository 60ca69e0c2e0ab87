"""Pictures of an identity: a worker wears its adapter, or a provider is shown its pictures."""

from typing import Any
from uuid import UUID

import pytest

from tests.functions.personal_rows import SHA256, add_identity, add_model
from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures
from tintype import jobs
from tintype.workers import outside

FLUX = jobs.job_types()["flux_image"]
SDXL = jobs.job_types()["sdxl_adapter_image"]


@pytest.fixture
async def anna(idle_product: Product) -> Person:
    return await idle_product.person(200)


async def add_worker(product: Product, *queues: str) -> str:
    """Let a worker in and return its key."""
    made = await outside.add_worker(product.pool, product.keys, f"gpu-{queues[0]}", queues)
    return made.key


async def refused(person: Person, body: dict[str, Any]) -> tuple[int, str]:
    async with person.product.unchanged():
        answer = await person.generate(body)
    return answer.status_code, answer.json()["code"]


async def test_a_ready_identity_is_worn_by_a_worker_that_is_there(
    idle_product: Product, anna: Person
) -> None:
    await add_worker(idle_product, FLUX.queue)
    identity_id = await add_identity(idle_product, anna)
    body = {"identityId": str(identity_id), "aspectRatio": "16:9", "seed": 7, "quantity": 2}
    answer = await anna.generate(body | {"identityWeight": 0.8})
    assert (answer.status_code, answer.json()["creditsHeld"]) == (200, 2 * FLUX.price_credits)
    job = await idle_product.job(answer.json()["jobId"])
    assert (job.job_type, job.queue, job.quantity) == ("flux_image", "flux_queue", 2)
    assert (job.identity_id, job.image_id) == (identity_id, None)
    assert job.payload["bucket"] == "flux_image"
    assert job.payload["adapters"] == [
        {
            "id": SHA256,
            "bucket": "training",
            "path": f"{anna.id}/{identity_id}/adapter.safetensors",
            "sha256": SHA256,
            "bytes": 1000,
            "weight": 0.8,
            "trigger_word": "anna7f3a",
        }
    ]
    assert job.payload["trigger_word"] == "anna7f3a"
    config = job.payload["config"]
    assert (config["width"], config["height"]) == (1360, 768)
    assert (config["sample_steps"], config["sample_guide_scale"]) == (28, 3.5)
    assert (config["seed"], config["num_images"], config["content_type"]) == (7, 2, "image")
    assert "references" not in job.payload and "negative_prompt" not in job.payload


async def test_a_model_of_another_base_goes_to_its_workers(
    idle_product: Product, anna: Person
) -> None:
    await add_worker(idle_product, SDXL.queue)
    model_id = await add_model(idle_product, anna, base="sdxl")
    start = await idle_product.upload(anna, "start.png", Pictures().small())
    job = await anna.accepted({"modelId": str(model_id), "imageUrls": [start]})
    assert (job.job_type, job.queue, job.model_id) == (SDXL.name, SDXL.queue, model_id)
    assert job.payload["references"] == [f"storage:{start}"]
    assert job.payload["negative_prompt"]


@pytest.mark.parametrize("ratio", ["1:1", "2:3", "3:4", "4:5", "9:16", "21:9"])
async def test_a_workers_picture_has_the_area_of_its_type(
    idle_product: Product, anna: Person, ratio: str
) -> None:
    await add_worker(idle_product, FLUX.queue)
    identity_id = await add_identity(idle_product, anna, pictures=0)
    job = await anna.accepted({"identityId": str(identity_id), "aspectRatio": ratio})
    width, height = job.payload["config"]["width"], job.payload["config"]["height"]
    across, down = (int(side) for side in ratio.split(":"))
    assert width % 16 == height % 16 == 0
    assert abs(width * height / 1024**2 - 1) < 0.03
    assert abs(width / height / (across / down) - 1) < 0.03


async def test_a_worker_delivers_the_pictures_and_their_owner_sees_them(
    idle_product: Product, anna: Person
) -> None:
    key = {"authorization": f"Bearer {await add_worker(idle_product, FLUX.queue)}"}
    identity_id = await add_identity(idle_product, anna)
    http = idle_product.http
    answer = await anna.call(
        "generate-images",
        {"prompt": "a robot", "identityId": str(identity_id), "totalImages": 6},
    )
    assert answer.status_code == 202, answer.text
    claim = await http.post("/worker/v1/claim", json={}, headers=key)
    [job] = claim.json()["jobs"]
    assert job["prompt"].startswith("anna7f3a") and len(job["uploads"]) == 6
    assert job["adapters"][0]["sha256"] == SHA256
    for grant in job["uploads"][:5]:
        put = await http.put(
            grant["url"], content=Pictures().small(), headers={"content-type": "image/png"}
        )
        assert put.status_code == 200, put.text
    outputs = [{"path": grant["path"]} for grant in job["uploads"][:5]]
    done = await http.post(
        f"/worker/v1/jobs/{job['id']}/complete",
        json={"attempt": job["attempt"], "outputs": outputs},
        headers=key,
    )
    assert done.status_code == 200, done.text
    batch_id = answer.json()["batchId"]
    [batch] = (await http.get(f"/rest/v1/batches?id=eq.{batch_id}", headers=anna.headers)).json()
    assert (batch["status"], batch["completed_images"], batch["failed_images"]) == (
        "completed",
        5,
        1,
    )
    assert batch["credits_used"] == 5 * FLUX.price_credits
    photos = await http.get(f"/rest/v1/photos?batch_id=eq.{batch_id}", headers=anna.headers)
    for photo in photos.json():
        shown = await http.get(photo["url"], headers=anna.headers)
        assert shown.headers["content-type"] == "image/png"
    assert await anna.account() == (200 - 15, 0, 200 - 15)
    await idle_product.assert_ledger_holds()


async def test_a_named_model_is_shown_the_pictures_also_while_they_are_trained_on(
    product: Product,
) -> None:
    anna = await product.person(20)
    await add_worker(product, FLUX.queue)
    identity_id = await add_identity(product, anna, status="training", pictures=20)
    own = await product.upload(anna, "own.png", Pictures().small())
    body = {"identityId": str(identity_id), "model": "gemini-3-pro-image", "imageUrls": [own]}
    job = await anna.accepted(body, prefer="wait=30")
    assert (job.status, job.job_type, job.payload["model"]) == (
        "completed",
        "image",
        "gemini-3-pro-image",
    )
    references = job.payload["references"]
    assert len(references) == 14 and references[-1] == f"storage:{own}"
    assert [one.rpartition("/")[2] for one in references[:13]] == [
        f"image_{number:03}.png" for number in range(1, 14)
    ]


async def test_without_a_worker_the_pictures_are_shown(idle_product: Product, anna: Person) -> None:
    identity_id = await add_identity(idle_product, anna)
    await add_worker(idle_product, SDXL.queue)
    await add_worker(idle_product, FLUX.queue)
    await outside.revoke_worker(idle_product.pool, f"gpu-{FLUX.queue}")
    job = await anna.accepted({"identityId": str(identity_id)})
    assert (job.queue, len(job.payload["references"])) == ("images", 3)


async def test_the_way_may_be_chosen(idle_product: Product, anna: Person) -> None:
    ready = {"identityId": str(await add_identity(idle_product, anna))}
    training = {"identityId": str(await add_identity(idle_product, anna, status="training"))}
    empty = {"modelId": await add_model(idle_product, anna, status="training")}
    adapter = {"render": "adapter"}
    own = await idle_product.upload(anna, "own.png", Pictures().small())
    assert await refused(anna, ready | adapter) == (503, "no_gpu_worker")
    await add_worker(idle_product, FLUX.queue)
    assert (await anna.accepted(ready | {"render": "references"})).queue == "images"
    assert (await anna.accepted(ready | adapter)).queue == FLUX.queue
    assert (await anna.accepted(training)).queue == "images"
    assert (await anna.accepted(ready | {"imageUrls": [own, own]})).queue == "images"
    for body, status, code in (
        (training | adapter, 409, "identity_not_ready"),
        (empty, 409, "identity_not_ready"),
        (empty | {"model": "sandbox"}, 409, "identity_not_ready"),
        (ready | adapter | {"model": "sandbox"}, 400, "render_contradicts_model"),
        (ready | adapter | {"imageUrls": [own, own]}, 400, "references_too_many"),
        (ready | adapter | {"imageUrls": ["https://93.184.216.34/a"]}, 400, "reference_elsewhere"),
        (ready | {"model": "imagen-4.0-generate-001"}, 400, "model_takes_no_references"),
        (ready | {"model": "sandbox", "imageUrls": [own] * 14}, 400, "references_too_many"),
        (ready | {"render": "both"}, 400, "render_unknown"),
        (ready | {"identityWeight": 2.5}, 400, "identity_weight_out_of_range"),
        (ready | {"aspectRatio": "1:8"}, 400, "aspect_ratio_unknown"),
        (ready | {"imageSize": "4K"}, 400, "image_size_unknown"),
        (ready | {"personGeneration": "dont_allow"}, 400, "person_generation_not_supported"),
        (ready | empty, 400, "identity_ambiguous"),
        (ready | {"identityId": "Anna"}, 400, "field_invalid"),
    ):
        assert await refused(anna, body) == (status, code), body


async def test_a_strangers_identity_is_as_absent_as_a_missing_one(
    idle_product: Product, anna: Person
) -> None:
    bert = await idle_product.person(10)
    identity_id = await add_identity(idle_product, bert)
    model_id = await add_model(idle_product, bert)
    for body, code in (
        ({"identityId": str(identity_id)}, "identity_not_found"),
        ({"identityId": str(UUID(int=1))}, "identity_not_found"),
        ({"modelId": model_id}, "model_not_found"),
        ({"modelId": 10**17}, "model_not_found"),
    ):
        for more in ({}, {"model": "sandbox"}, {"render": "adapter"}):
            assert await refused(anna, body | more) == (404, code)


async def test_a_key_repeats_the_answer_whatever_has_become_of_the_identity(
    idle_product: Product, anna: Person
) -> None:
    identity_id = await add_identity(idle_product, anna)
    body = {"identityId": str(identity_id)}
    first = await anna.generate(body, idempotency_key="one")
    await idle_product.admin.execute("delete from public.trained_identities")
    again = await anna.generate(body, idempotency_key="one")
    assert (again.status_code, again.json()) == (200, first.json())
