"""`generate-images`: a batch whose row tells the truth, whatever becomes of its pictures."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.functions.personal_rows import add_model, begin_batch, row_of
from tests.security.security_site import talking
from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures

SANDBOX = {"prompt": "a robot", "model": "sandbox"}


async def asked(person: Person, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Return the answer to a batch that must be accepted."""
    answer = await person.call("generate-images", body, **headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def ended(person: Person, batch_id: int) -> dict[str, Any]:
    """Return the batch's row when its job has ended."""
    async with asyncio.timeout(60):
        while True:
            row = await row_of(person, "batches", batch_id)
            if row["status"] in ("completed", "failed"):
                return row
            await asyncio.sleep(0.02)


async def refused(person: Person, body: dict[str, Any]) -> tuple[int, str]:
    """Return status and code of a refusal that left nothing behind."""
    batches = await person.product.admin.fetch("select * from public.batches order by id")
    async with person.product.unchanged():
        answer = await person.call("generate-images", SANDBOX | body)
    assert answer.status_code >= 400, answer.text
    assert await person.product.admin.fetch("select * from public.batches order by id") == batches
    assert answer.json()["success"] is False
    return answer.status_code, answer.json()["code"]


async def test_the_payload_of_an_existing_app_fills_the_batch_that_it_made(
    product: Product,
) -> None:
    anna = await product.person(20)
    batch_id = await begin_batch(anna, total_images=4)
    model_id = await add_model(product, anna, status="failed")
    pictures = [await product.upload(anna, f"{n}.png", Pictures().small()) for n in range(2)]
    urls = [f"{product.url}/storage/v1/object/{path}" for path in pictures]
    told = await asked(
        anna,
        {
            "batchId": batch_id,
            "userId": str(anna.id),
            "modelId": model_id,
            "referenceImageUrls": urls,
            "prompt": "Create a photorealistic professional portrait...",
            "aspectRatio": "1:1",
            "totalImages": 4,
        },
    )
    job_id = told["jobId"]
    assert told == {
        "success": True,
        "batchId": batch_id,
        "jobId": job_id,
        "job_id": job_id,
        "status": "processing",
        "creditsHeld": 4,
        "creditsRemaining": 16,
        "message": "4 pictures were asked for.",
        "jobsEnqueued": 1,
    }
    row = await ended(anna, batch_id)
    assert (row["status"], row["job_id"], row["model_id"]) == ("completed", job_id, model_id)
    assert (row["total_images"], row["completed_images"], row["failed_images"]) == (4, 4, 0)
    assert (row["credits_held"], row["credits_used"], row["progress"]) == (4, 4, 100)
    assert (row["aspect_ratio"], row["reference_image_urls"]) == ("1:1", urls)
    assert row["started_at"] and row["completed_at"] and row["error_code"] is None
    photos = await product.http.get(f"/rest/v1/photos?batch_id=eq.{batch_id}", headers=anna.headers)
    assert len(photos.json()) == 4
    job = await product.job(job_id)
    assert job.payload["references"] == [f"storage:{path}" for path in pictures]
    assert await anna.account() == (16, 0, 16)
    await product.assert_ledger_holds()


async def test_a_batch_that_nobody_made_is_made_with_its_job(product: Product) -> None:
    anna = await product.person(20)
    told = await asked(anna, {"prompt": "a robot"})
    row = await ended(anna, told["batchId"])
    assert (row["status"], row["total_images"], row["prompt"]) == ("completed", 4, "a robot")
    next_one = await begin_batch(anna)
    assert next_one > told["batchId"]


async def test_forty_pictures_are_one_job_with_one_hold(product: Product) -> None:
    anna = await product.person(40)
    told = await asked(anna, {"prompt": "a robot", "totalImages": 40})
    assert (told["creditsHeld"], told["creditsRemaining"]) == (40, 0)
    assert (await ended(anna, told["batchId"]))["completed_images"] == 40
    assert await product.count("public.jobs") == 1
    await product.assert_ledger_holds()


async def test_its_owner_hears_of_a_batch_while_it_goes_on(product: Product) -> None:
    anna = await product.person(20)
    batch_id = await begin_batch(anna)
    heard: list[dict[str, Any]] = []
    async with talking(product, {"apikey": product.keys.anon_key}) as talker:
        await talker.follow(["batches"], anna.token)
        await asked(anna, SANDBOX | {"batchId": batch_id, "totalImages": 3})
        while not heard or heard[-1]["status"] == "processing":
            heard.append((await talker.hear("postgres_changes"))["data"]["record"])
    assert {row["id"] for row in heard} == {batch_id}
    counts = [row["completed_images"] for row in heard]
    assert counts == sorted(counts) and set(counts) == {0, 1, 2, 3}
    assert (heard[-1]["status"], heard[-1]["progress"]) == ("completed", 100)


async def test_what_could_not_be_made_is_not_paid_for(product: Product) -> None:
    anna = await product.person(10)
    batch_id = await begin_batch(anna)
    body = {"prompt": "a robot [fault:refused:1][fault:refused:4]", "model": "sandbox"}
    await asked(anna, body | {"batchId": batch_id, "totalImages": 5, "imageSize": "2K"})
    row = await ended(anna, batch_id)
    assert (row["status"], row["error_code"]) == ("completed", "refused")
    assert (row["completed_images"], row["failed_images"], row["progress"]) == (3, 2, 100)
    assert (row["credits_held"], row["credits_used"]) == (10, 6)
    assert await anna.account() == (4, 0, 4)
    await product.assert_ledger_holds()


async def test_a_batch_without_any_picture_failed_and_costs_nothing_and_may_be_asked_for_again(
    product: Product,
) -> None:
    anna = await product.person(10)
    batch_id = await begin_batch(anna)
    failing = {"prompt": "[fault:refused] a robot", "model": "sandbox", "batchId": batch_id}
    await asked(anna, failing)
    row = await ended(anna, batch_id)
    assert (row["status"], row["error_code"], row["failed_images"]) == ("failed", "refused", 4)
    assert row["error_message"] and row["credits_used"] == 0
    assert await anna.account() == (10, 0, 10)
    await asked(anna, SANDBOX | {"batchId": str(batch_id)})
    row = await ended(anna, batch_id)
    assert (row["status"], row["error_code"], row["completed_images"]) == ("completed", None, 4)
    await product.assert_ledger_holds()


async def test_a_canceled_batch_ends_and_its_credits_are_free(idle_product: Product) -> None:
    anna = await idle_product.person(10)
    told = await asked(anna, SANDBOX)
    assert (await row_of(anna, "batches", told["batchId"]))["status"] == "processing"
    answer = await anna.call("cancel-job", {"jobId": told["jobId"]})
    assert answer.status_code == 200, answer.text
    row = await row_of(anna, "batches", told["batchId"])
    assert (row["status"], row["error_code"], row["credits_used"]) == ("failed", "canceled", 0)
    assert await anna.account() == (10, 0, 10)


async def test_two_requests_for_one_batch_at_once_give_one_job(idle_product: Product) -> None:
    anna = await idle_product.person(100)
    batch_id = await begin_batch(anna)
    answers = await asyncio.gather(
        *(anna.call("generate-images", SANDBOX | {"batchId": batch_id}) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    assert {answer.json().get("code") for answer in answers} == {None, "batch_busy"}
    assert await idle_product.count("public.jobs") == 1
    assert await anna.account() == (100, 4, 96)


async def test_a_key_repeats_the_answer_with_its_batch(idle_product: Product) -> None:
    anna = await idle_product.person(10)
    path = await idle_product.upload(anna, "a.png", Pictures().small())
    body = SANDBOX | {"referenceImageUrls": [path]}
    first = await asked(anna, body, idempotency_key="one")
    assert await asked(anna, body, idempotency_key="one") == first
    answer = await anna.call("generate-images", SANDBOX, idempotency_key="one")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await idle_product.count("public.batches") == 1


async def test_a_strangers_batch_is_as_absent_as_a_missing_one(idle_product: Product) -> None:
    anna, bert = await idle_product.person(10), await idle_product.person(10)
    batch_id = await begin_batch(bert)
    for body in ({"batchId": batch_id}, {"batchId": str(batch_id)}, {"batchId": 999_999}):
        assert await refused(anna, body) == (404, "batch_not_found")
    assert (await row_of(bert, "batches", batch_id))["job_id"] is None


async def test_only_the_service_key_asks_for_another_user(idle_product: Product) -> None:
    anna, bert = await idle_product.person(10), await idle_product.person(10)
    assert await refused(anna, {"userId": str(bert.id)}) == (403, "user_not_yours")
    service = idle_product.service()
    assert await refused(service, {"userId": str(uuid4())}) == (404, "user_not_found")
    assert await refused(service, {}) == (403, "user_required")
    picture = await idle_product.upload(anna, "a.png", Pictures().small())
    foreign = {"userId": str(bert.id), "referenceImageUrls": [picture]}
    assert await refused(service, foreign) == (404, "reference_not_found")
    batch_id = await begin_batch(bert)
    told = await asked(service, SANDBOX | {"userId": str(bert.id), "batchId": batch_id})
    assert (told["batchId"], told["creditsRemaining"]) == (batch_id, 6)
    assert (await idle_product.job(told["jobId"])).user_id == bert.id
    assert await anna.account() == (10, 0, 10)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"prompt": " "}, 400, "prompt_empty"),
        ({"prompt": "x" * 5001}, 400, "prompt_too_long"),
        ({"totalImages": 0}, 400, "total_images_out_of_range"),
        ({"totalImages": 41}, 400, "total_images_out_of_range"),
        ({"aspectRatio": "7:5"}, 400, "aspect_ratio_unknown"),
        ({"imageSize": "8K"}, 400, "image_size_unknown"),
        ({"model": "nothing"}, 400, "model_unknown"),
        ({"seed": 2**31}, 400, "seed_out_of_range"),
        ({"batchId": "one"}, 400, "field_invalid"),
        ({"batchId": 0}, 400, "field_invalid"),
        ({"batchId": True}, 400, "field_invalid"),
        ({"modelId": -1}, 400, "field_invalid"),
        ({"userId": 456}, 400, "field_invalid"),
        ({"modelId": 999_999}, 404, "model_not_found"),
        ({"identityId": str(uuid4())}, 404, "identity_not_found"),
        ({"projectId": str(uuid4())}, 404, "project_not_found"),
        ({"referenceImageUrls": ["https://127.0.0.1/a.png"]}, 400, "url_not_allowed"),
        ({"referenceImageUrls": [f"https://e.example/{'x' * 2048}"]}, 400, "reference_invalid"),
        ({"referenceImageUrls": ["uploads/nobody/a.png"]}, 404, "reference_not_found"),
        ({"totalImages": 40}, 402, "insufficient_credits"),
    ],
)
async def test_bad_input_is_refused_and_holds_nothing(
    idle_product: Product, body: dict[str, Any], status: int, code: str
) -> None:
    anna = await idle_product.person(20)
    assert await refused(anna, body) == (status, code)
