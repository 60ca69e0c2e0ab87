"""`train-model`: what is asked of a training, and what is refused before anything is held."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.personal_rows import begin_row, row_of
from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures
from tintype import jobs

PRICE = jobs.job_types()["train_model"].price_credits


@pytest.fixture
async def anna(idle_product: Product) -> Person:
    return await idle_product.person(200)


async def uploaded(person: Person, count: int) -> list[str]:
    """Upload pictures as an app does, and return their URLs."""
    urls = []
    for number in range(count):
        path = f"model-training-images/{person.id}/{number}.png"
        answer = await person.product.http.post(
            f"/storage/v1/object/{path}",
            content=Pictures().small(),
            headers=person.headers | {"content-type": "image/png"},
        )
        assert answer.status_code == 200, answer.text
        urls.append(f"{person.product.url}/storage/v1/object/authenticated/{path}")
    return urls


async def refused(person: Person, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return status and body of a refusal that left nothing behind."""
    models = await person.product.admin.fetch("select * from public.models order by id")
    async with person.product.unchanged():
        answer = await person.call("train-model", body)
    assert await person.product.admin.fetch("select * from public.models order by id") == models
    assert answer.status_code >= 400, answer.text
    return answer.status_code, answer.json()


async def test_the_payload_of_an_existing_app_begins_a_training(
    idle_product: Product, anna: Person
) -> None:
    model_id = await begin_row(anna, "models", name="Zoë, red cup", status="training")
    urls = await uploaded(anna, 2)
    answer = await anna.call(
        "train-model",
        {"modelId": model_id, "userId": str(anna.id), "trainingImageUrls": urls},
    )
    assert answer.status_code == 202, answer.text
    told = answer.json()
    job = await idle_product.job(told["jobId"])
    assert told == {
        "success": True,
        "modelId": model_id,
        "jobId": str(job.id),
        "job_id": str(job.id),
        "status": "training",
        "message": "The training was asked for.",
        "creditsHeld": PRICE,
        "creditsRemaining": 200 - PRICE,
    }
    assert (job.job_type, job.queue, job.quantity, job.model_id) == (
        "train_model",
        "identities",
        1,
        model_id,
    )
    training = job.payload["training"]
    word = training["trigger_word"]
    assert word.startswith("zoeredcup") and word.isalnum()
    assert all(word in prompt for prompt in training["sample_prompts"])
    assert {
        name: training[name] for name in ("base", "steps", "learning_rate", "rank", "seed")
    } == {
        "base": "flux",
        "steps": 1000,
        "learning_rate": 0.0004,
        "rank": 16,
        "seed": 0,
    }
    assert job.payload["stage"] == "prepare" and job.payload["bucket"] == "training"
    assert job.payload["references"] == [
        f"storage:model-training-images/{anna.id}/{number}.png" for number in range(2)
    ]
    row = await row_of(anna, "models", model_id)
    assert (row["status"], row["job_id"], row["base_model"]) == ("training", str(job.id), "flux")
    assert (row["trigger_word"], row["steps_total"]) == (word, 1000)
    assert await anna.account() == (200, PRICE, 200 - PRICE)


async def test_what_the_caller_and_the_row_choose_counts(
    idle_product: Product, anna: Person
) -> None:
    model_id = await begin_row(
        anna, "models", name="Cup", status="training", trigger_word="my cup", base_model="sdxl"
    )
    body = {
        "modelId": str(model_id),
        "trainingImageUrls": ["https://93.184.216.34/a.png", *await uploaded(anna, 1)],
        "steps": 20,
        "learningRate": 0.001,
        "resolution": 256,
        "rank": 8,
        "seed": 7,
        "captions": ["a photo of my cup", "my cup on a table"],
    }
    answer = await anna.call("train-model", body)
    assert answer.status_code == 202, answer.text
    job = await idle_product.job(answer.json()["jobId"])
    assert job.payload["references"][0] == "https://93.184.216.34/a.png"
    training = job.payload["training"]
    assert (training["base"], training["trigger_word"]) == ("sdxl", "my cup")
    for name, value in (("steps", 20), ("learning_rate", 0.001), ("resolution", 256), ("rank", 8)):
        assert training[name] == value
    assert (training["seed"], training["captions"]) == (7, body["captions"])


async def test_a_canceled_training_failed_costs_nothing_and_may_be_asked_for_again(
    idle_product: Product, anna: Person
) -> None:
    model_id = await begin_row(anna, "models", name="Cup", status="training")
    body = {"modelId": model_id, "trainingImageUrls": await uploaded(anna, 1)}
    first = (await anna.call("train-model", body)).json()
    assert (await anna.call("cancel-job", {"jobId": first["jobId"]})).status_code == 200
    row = await row_of(anna, "models", model_id)
    assert (row["status"], row["error_code"]) == ("failed", "canceled")
    assert await anna.account() == (200, 0, 200)
    assert (await anna.call("train-model", body)).status_code == 202
    row = await row_of(anna, "models", model_id)
    assert (row["status"], row["error_code"]) == ("training", None)


async def test_a_model_is_trained_once_at_a_time_and_a_key_repeats_the_answer(
    idle_product: Product, anna: Person
) -> None:
    model_id = await begin_row(anna, "models", name="Cup", status="training")
    body = {"modelId": model_id, "trainingImageUrls": await uploaded(anna, 1)}
    answers = await asyncio.gather(*(anna.call("train-model", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "model_busy"}
    other = await begin_row(anna, "models", name="Cup", status="training")
    first = await anna.call("train-model", body | {"modelId": other}, idempotency_key="one")
    again = await anna.call("train-model", body | {"modelId": other}, idempotency_key="one")
    assert (first.status_code, first.json()) == (202, again.json())
    assert await idle_product.count("public.jobs") == 2


async def test_pictures_that_cannot_be_had_are_told_before_anything_is_held(
    idle_product: Product, anna: Person
) -> None:
    bert = await idle_product.person(10)
    own, foreign = await uploaded(anna, 1), await uploaded(bert, 1)
    model_id = await begin_row(anna, "models", name="Cup", status="training")
    for url in (
        foreign[0],
        f"model-training-images/{anna.id}/missing.png",
        "http://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/a.png",
        "data:image/png;base64,AAAA",
        "nothing",
        f"https://e.example/{'x' * 2048}",
    ):
        body = {"modelId": model_id, "trainingImageUrls": [*own, url]}
        status, told = await refused(anna, body)
        assert (status, told["code"]) == (404, "training_images_unavailable"), url
        assert told["error"] == "Failed to download training images"
        assert url.startswith(told["reference"])


async def test_only_an_own_model_is_trained_and_the_service_key_names_its_user(
    idle_product: Product, anna: Person
) -> None:
    bert = await idle_product.person(100)
    model_id = await begin_row(bert, "models", name="Cup", status="training")
    body = {"modelId": model_id, "trainingImageUrls": await uploaded(bert, 1)}
    status, told = await refused(anna, body)
    assert (status, told["code"]) == (404, "model_not_found")
    status, told = await refused(anna, body | {"userId": str(bert.id)})
    assert (status, told["code"]) == (403, "user_not_yours")
    service = idle_product.service()
    for user, status, code in (
        (None, 403, "user_required"),
        (uuid4(), 404, "user_not_found"),
        (anna.id, 404, "model_not_found"),
    ):
        answer = await refused(service, body | {"userId": user and str(user)})
        assert (answer[0], answer[1]["code"]) == (status, code)
    answer = await service.call("train-model", body | {"userId": str(bert.id)})
    assert answer.status_code == 202, answer.text
    assert (await idle_product.job(UUID(answer.json()["jobId"]))).user_id == bert.id


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"trainingImageUrls": []}, "training_images_out_of_range"),
        ({"trainingImageUrls": ["uploads/a/b.png"] * 41}, "training_images_out_of_range"),
        ({"trainingImageUrls": None}, "field_invalid"),
        ({"modelId": "x"}, "field_invalid"),
        ({"steps": 0}, "steps_out_of_range"),
        ({"steps": 10_001}, "steps_out_of_range"),
        ({"learningRate": 1}, "learning_rate_out_of_range"),
        ({"resolution": 500}, "resolution_out_of_range"),
        ({"resolution": 2048}, "resolution_out_of_range"),
        ({"rank": 0}, "rank_out_of_range"),
        ({"seed": -1}, "seed_out_of_range"),
        ({"baseModel": "gan"}, "base_model_unknown"),
        ({"triggerWord": "a, b"}, "trigger_word_invalid"),
        ({"triggerWord": ""}, "trigger_word_invalid"),
        ({"captions": ["one", "two"]}, "captions_do_not_match"),
        ({"captions": [" "]}, "caption_invalid"),
    ],
)
async def test_bad_input_is_refused_and_holds_nothing(
    anna: Person, change: dict[str, Any], code: str
) -> None:
    model_id = await begin_row(anna, "models", name="Cup", status="training")
    body = {"modelId": model_id, "trainingImageUrls": ["uploads/a/b.png"]} | change
    status, told = await refused(anna, body)
    assert (status, told["code"]) == (400, code)


async def test_without_credits_nothing_is_trained(idle_product: Product) -> None:
    poor = await idle_product.person(PRICE - 1)
    model_id = await begin_row(poor, "models", name="Cup", status="training")
    body = {"modelId": model_id, "trainingImageUrls": await uploaded(poor, 1)}
    status, told = await refused(poor, body)
    assert (status, told["required"]) == (402, PRICE)


@pytest.mark.parametrize("steps, parts", [(1, 1), (1000, 1), (1001, 2), (4000, 4)])
async def test_a_training_is_paid_by_the_thousand_steps(
    anna: Person, steps: int, parts: int
) -> None:
    model_id = await begin_row(anna, "models", name="Zoë", status="training")
    [url] = await uploaded(anna, 1)
    answer = await anna.call(
        "train-model", {"modelId": model_id, "trainingImageUrls": [url], "steps": steps}
    )
    assert (answer.status_code, answer.json()["creditsHeld"]) == (202, PRICE * parts)
