"""`queue-job`: the ten types, their queues and prices, and nothing that a caller could decide."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from tests.support.product import Person, Product, open_product
from tintype import jobs

TYPES = list(jobs.offered_types())


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture
async def anna(product: Product) -> Person:
    return await product.person(500)


def body(job_type: str = "sdxl_image_fast", **changes: Any) -> dict[str, Any]:
    return {"jobType": job_type, "metadata": {"prompt": "a robot"}} | changes


async def own_project(product: Product, person: Person, state: dict[str, Any]) -> str:
    answer = await product.http.post(
        "/rest/v1/projects",
        json={"user_id": str(person.id), "canvas_state": state},
        headers=person.headers | {"prefer": "return=representation"},
    )
    return str(answer.json()[0]["id"])


async def own_asset(product: Product, person: Person, view: str, **columns: Any) -> str:
    answer = await product.http.post(
        f"/rest/v1/{view}",
        json={"user_id": str(person.id)} | columns,
        headers=person.headers | {"prefer": "return=representation"},
    )
    assert answer.status_code == 201, answer.text
    assert answer.json()[0]["status"] == "pending"
    return str(answer.json()[0]["id"])


@pytest.mark.parametrize("name", TYPES)
async def test_every_type_goes_to_its_queue_at_its_price(
    product: Product, anna: Person, name: str
) -> None:
    kind = jobs.job_types()[name]
    answer = await anna.call("queue-job", body(name))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["success"] is True
    assert (told["jobType"], told["queue"], told["isSDXL"]) == (name, kind.queue, kind.is_sdxl)
    assert (told["modelVariant"], told["queueLength"]) == (kind.model_variant, 1)
    assert set(told["debug"]) == {"userId", "hasPrompt", "redisConfigured", "timestamp"}
    price = kind.price_credits * kind.outputs
    assert (told["creditsHeld"], await anna.account()) == (price, (500, price, 500 - price))
    job = told["job"]
    assert (job["job_type"], job["status"], job["quantity"]) == (name, "queued", kind.outputs)
    config = job["payload"]["config"]
    assert config["size"] == f"{kind.width}*{kind.height}"
    assert (config["sample_steps"], config["frame_num"]) == (kind.steps, kind.frames)
    assert ("negative_prompt" in job["payload"]) is kind.is_sdxl
    view = "videos" if kind.media_type == "video" else "images"
    rows = await product.http.get(f"/rest/v1/{view}?select=id,status", headers=anna.headers)
    assert [row["status"] for row in rows.json()] == ["generating"] * kind.outputs
    asset_id = job["video_id"] if kind.media_type == "video" else job["image_id"]
    assert asset_id in {row["id"] for row in rows.json()}


async def test_an_unknown_type_is_400_with_the_valid_ones(product: Product, anna: Person) -> None:
    async with product.unchanged():
        answer = await anna.call("queue-job", body("sdxl_image_ultra"))
    assert (answer.status_code, answer.json()["validJobTypes"]) == (400, TYPES)
    assert answer.json()["success"] is False


async def test_what_the_caller_says_of_price_queue_and_bucket_is_not_believed(
    product: Product, anna: Person
) -> None:
    metadata = {"prompt": "x", "credits": 0, "queue": "wan_queue", "bucket": "uploads", "kept": 1}
    told = (await anna.call("queue-job", body(metadata=metadata))).json()
    assert (told["queue"], told["creditsHeld"]) == ("sdxl_queue", 6)
    assert told["job"]["payload"]["bucket"] == "sdxl_image_fast"
    assert told["job"]["metadata"] == {"prompt": "x", "kept": 1}


async def test_the_prompt_may_be_the_projects(product: Product, anna: Person) -> None:
    project = await own_project(product, anna, {"prompt": "a castle"})
    told = (await anna.call("queue-job", body(metadata={}, projectId=project))).json()
    assert (told["job"]["prompt"], told["job"]["project_id"]) == ("a castle", project)


async def test_a_pending_picture_is_taken_over_by_its_job(product: Product, anna: Person) -> None:
    asset = await own_asset(product, anna, "images", prompt="a moon")
    told = (await anna.call("queue-job", body("image_fast", metadata={}, imageId=asset))).json()
    assert (told["job"]["image_id"], told["job"]["prompt"]) == (asset, "a moon")
    rows = await product.http.get("/rest/v1/images?select=id,status", headers=anna.headers)
    assert rows.json() == [{"id": asset, "status": "generating"}]
    again = await anna.call("queue-job", body("image_fast", imageId=asset))
    assert (again.status_code, again.json()["code"]) == (404, "asset_not_found")


async def test_a_users_row_cannot_be_begun_as_finished_or_for_another(
    product: Product, anna: Person
) -> None:
    bert = await product.person(1)
    for row in (
        {"user_id": str(anna.id), "status": "completed"},
        {"user_id": str(bert.id)},
        {"user_id": str(anna.id), "url": "https://elsewhere.example/x.png"},
        {"user_id": str(anna.id), "job_id": str(uuid4())},
    ):
        answer = await product.http.post("/rest/v1/images", json=row, headers=anna.headers)
        assert answer.status_code in (400, 403), answer.text
    assert await product.count("public.generations") == 0


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"metadata": {}}, 400, "prompt_empty"),
        ({"metadata": {"prompt": " "}}, 400, "prompt_empty"),
        ({"metadata": {"prompt": "x" * 5001}}, 400, "prompt_too_long"),
        ({"metadata": {"prompt": "x", "num_images": 2}}, 400, "quantity_out_of_range"),
        ({"metadata": {"prompt": "x", "num_images": True}}, 400, "quantity_out_of_range"),
        ({"metadata": {"prompt": "x", "seed": -1}}, 400, "seed_out_of_range"),
        ({"metadata": {"prompt": "x", "big": "y" * 20_000}}, 400, "metadata_too_large"),
        ({"projectId": str(uuid4())}, 404, "project_not_found"),
        ({"imageId": str(uuid4())}, 404, "asset_not_found"),
        ({"videoId": str(uuid4())}, 400, "asset_of_other_type"),
        ({"metadata": {"prompt": "x", "denoise_strength": 0}}, 400, "strength_out_of_range"),
        ({"metadata": {"prompt": "x", "denoise_strength": "1"}}, 400, "strength_out_of_range"),
        ({"metadata": {"prompt": "x", "lora": {"name": "../x.safetensors"}}}, 400, "lora_invalid"),
        ({"metadata": {"prompt": "x", "lora": {"name": "x.bin"}}}, 400, "lora_invalid"),
        (
            {"metadata": {"prompt": "x", "lora": {"name": "x.safetensors", "weight": 9}}},
            400,
            "lora_invalid",
        ),
        ({"metadata": {"prompt": "x", "lora": "x.safetensors"}}, 400, "lora_invalid"),
        (
            {
                "jobType": "image_fast",
                "metadata": {"prompt": "x", "reference_image_url": "uploads/x/y.png"},
            },
            400,
            "reference_not_taken",
        ),
        (
            {"metadata": {"prompt": "x", "reference_image_url": "uploads/x/y.png"}},
            404,
            "reference_not_found",
        ),
        ({"projectId": "not a uuid"}, 400, "field_invalid"),
        ({"metadata": []}, 400, "field_invalid"),
    ],
)
async def test_bad_input_is_refused_and_holds_nothing(
    product: Product, anna: Person, change: dict[str, Any], status: int, code: str
) -> None:
    async with product.unchanged():
        answer = await anna.call("queue-job", body(**change))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_another_users_project_and_picture_are_not_found(
    product: Product, anna: Person
) -> None:
    bert = await product.person(100)
    project = await own_project(product, bert, {"prompt": "secret"})
    asset = await own_asset(product, bert, "images", prompt="secret")
    async with product.unchanged():
        for change in ({"projectId": project, "metadata": {}}, {"imageId": asset}):
            answer = await anna.call("queue-job", body(**change))
            assert answer.status_code == 404
            assert "secret" not in answer.text


async def test_without_credits_nothing_is_queued(product: Product) -> None:
    poor = await product.person(3)
    async with product.unchanged():
        answer = await poor.call("queue-job", body())
        assert (answer.status_code, answer.json()["required"]) == (402, 6)


async def test_an_idempotency_key_makes_one_job(product: Product, anna: Person) -> None:
    first = await anna.call("queue-job", body(), idempotency_key="one")
    again = await anna.call("queue-job", body(), idempotency_key="one")
    assert first.json()["job"]["id"] == again.json()["job"]["id"]
    assert await product.count("public.jobs") == 1
    assert await product.count("public.generations") == 6


async def test_a_user_is_needed(product: Product) -> None:
    for token in (product.keys.anon_key, product.keys.service_role_key):
        answer = await product.http.post(
            "/functions/v1/queue-job", json=body(), headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 403
    assert (await product.http.post("/functions/v1/queue-job", json=body())).status_code == 401


async def test_an_sdxl_job_may_start_from_an_own_picture_and_wear_an_adapter(
    product: Product, anna: Person
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    path = await product.upload(anna, "start.png", out.getvalue())
    metadata = {
        "prompt": "a robot",
        "reference_image_url": path,
        "denoise_strength": 0.4,
        "lora": {"name": "style.safetensors", "weight": 0.8},
    }
    payload = (await anna.call("queue-job", body(metadata=metadata))).json()["job"]["payload"]
    assert payload["references"] == [f"storage:{path}"]
    assert payload["config"]["denoise_strength"] == 0.4
    assert payload["config"]["lora"] == {"path": "style.safetensors", "weight": 0.8}
    bert = await product.person(100)
    async with product.unchanged():
        refused = await bert.call("queue-job", body(metadata=metadata))
        assert (refused.status_code, refused.json()["code"]) == (404, "reference_not_found")


async def test_a_worker_is_not_sent_to_a_foreign_address(product: Product, anna: Person) -> None:
    async with product.unchanged():
        for url in ("https://example.com/x.png", "http://169.254.169.254/latest/meta-data"):
            metadata = {"prompt": "x", "reference_image_url": url}
            answer = await anna.call("queue-job", body(metadata=metadata))
            assert answer.status_code == 400
            assert answer.json()["code"] in (
                "reference_elsewhere",
                "url_not_allowed",
                "url_unreachable",
            )
