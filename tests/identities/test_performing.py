"""A training from the request to the adapter, and everything that comes between."""

import asyncio
import io
import json
from typing import Any

import pytest
from PIL import Image

from tests.identities.asking import (
    becomes,
    ended,
    identity,
    make_due,
    removed,
    train,
    trained,
    tree,
)
from tests.identities.bodies import picture
from tests.identities.trainer import Trainer, adapter, training_for
from tests.support.hub_server import HubServer
from tests.support.product import Person, Product
from tintype import jobs
from tintype.functions.submission import Submission, Submitter
from tintype.workers import cancel

PRICE = 50
UPLOADED = "Upload training data for John (3 images)"
TRAINED = "Add trained LoRA weights"
ADAPTER = "pytorch_lora_weights.safetensors"


async def test_an_identity_is_kept_in_storage_trained_and_paid(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    body = await trained(person)
    row = await ended(product, body["identityId"])
    assert (row["status"], row["error_code"], row["progress"]) == ("ready", None, 100)
    assert row["adapter_bytes"] == len(adapter())
    assert await person.account() == (0, 0, 0)
    await product.assert_ledger_holds()

    held = await tree(product, person.id, body["repoId"])
    assert {ADAPTER, "samples/sample.png", "README.md", "training_config.json"} <= held.keys()
    url = body["modelUrl"].replace("README.md", ADAPTER)
    assert (await product.http.get(url, headers=person.headers)).content == adapter()
    card = (await product.http.get(body["modelUrl"], headers=person.headers)).text
    assert "load_lora_weights" in card
    photos = await product.admin.fetch("select * from public.photos")
    assert [photo["user_id"] for photo in photos] == [person.id]


async def test_the_trainer_gets_the_pictures_upright_and_the_settings(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    body = await trained(person, steps=7)
    await ended(product, body["identityId"])
    [task] = trainer.tasks
    assert (task["training"]["steps"], task["training"]["base"]) == (7, "flux")
    assert "identity" not in task["payload"]
    [pictures] = trainer.pictures
    assert [Image.open(io.BytesIO(one)).size for one in pictures] == [(300, 300)] * 3


async def test_an_identity_is_published_in_two_commits(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    async with training_for(hub_product):
        body = await trained(person)
        name = f"{hub.user}/{body['repoId']}"
        assert body["modelUrl"] == f"{hub.url}/{name}"
        row = await ended(hub_product, body["identityId"])
    assert (row["status"], row["error_code"]) == ("ready", None)
    assert (row["huggingface_repo_url"], row["repository"]) == (body["modelUrl"], name)
    assert hub.titles(name) == [UPLOADED, TRAINED]
    files = hub.files(name)
    assert set(files) == {
        "images/image_001.jpg",
        "images/image_002.jpg",
        "images/image_003.jpg",
        ".gitattributes",
        "training_config.json",
        "README.md",
        ADAPTER,
        "samples/sample.png",
    }
    assert files[ADAPTER] == adapter()
    assert json.loads(files["training_config.json"]) == json.loads(row["training_config"])
    assert hub.repositories.find(name).private
    assert await person.account() == (0, 0, 0)


async def test_a_caller_who_leaves_has_a_training_that_goes_on(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    hub.fault("create", hang=True)
    asking = asyncio.create_task(train(person))
    await hub.came("create")
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    hub.release()
    [row] = await hub_product.admin.fetch("select id from public.trained_identities")
    # The first attempt was broken off by the Hub, the second is delayed.
    await _published(hub_product, row["id"])
    assert hub.titles(f"{hub.user}/{(await identity(hub_product, row['id']))['model_id']}") == [
        UPLOADED
    ]


async def _published(product: Product, identity_id: Any) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (row := await identity(product, identity_id))["huggingface_repo_url"] is None:
            await make_due(product)
            await asyncio.sleep(0.1)
    return row


async def test_a_refused_token_is_waited_for_and_then_nothing_is_published_twice(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    token, hub.token = hub.token, "hf_another"
    answer = await train(person)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (202, "publishing")
    assert body["modelUrl"] is None
    row = await identity(hub_product, body["identityId"])
    assert row["status"] == "training"
    assert "token" in row["error_message"]
    assert token not in row["error_message"]
    assert await person.account() == (PRICE, PRICE, 0)

    hub.token = token
    row = await _published(hub_product, body["identityId"])
    assert row["error_message"] is None
    assert hub.titles(row["repository"]) == [UPLOADED]


async def test_a_throttled_hub_is_waited_for_without_spending_a_retry(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    hub.fault("commit", status=429, headers={"retry-after": "120"})
    answer = await train(person)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (202, "publishing")
    job = await hub_product.job(body["jobId"])
    assert (job.status, job.retries) == ("queued", 0)

    row = await _published(hub_product, body["identityId"])
    assert hub.titles(row["repository"]) == [UPLOADED]
    assert len(hub.repositories.by_id) == 1


async def test_an_answer_that_is_lost_after_the_commit_is_looked_up(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    hub.fault("commit", drop="after")
    body = await trained(person)
    assert hub.titles(f"{hub.user}/{body['repoId']}") == [UPLOADED]


async def test_what_the_hub_refuses_for_good_fails_and_its_repository_goes(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    hub.fault("commit", status=400, error="The files are not as they should be.")
    answer = await train(person)
    told = answer.json()
    assert (answer.status_code, told["success"]) == (502, False)
    assert told["code"] == "publishing_refused"
    assert told["error"].startswith("Failed to upload files: ")
    assert "not as they should be" in told["error"]

    [row] = await hub_product.admin.fetch("select * from public.trained_identities")
    assert (row["status"], row["error_code"]) == ("failed", "invalid")
    assert await person.account() == (PRICE, 0, PRICE)
    assert len(hub.repositories.by_id) == 1
    await removed(hub_product)
    assert hub.repositories.by_id == {}
    await hub_product.assert_ledger_holds()


async def test_a_training_that_is_canceled_while_it_is_published_leaves_no_repository(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    # The repository is made, and its head is asked for.
    hub.fault("info", hang=True)
    asking = asyncio.create_task(train(person))
    await hub.came("info")
    [row] = await hub_product.admin.fetch("select * from public.trained_identities")
    await cancel(hub_product.pool, row["job_id"], user_id=person.id, message="Not any more.")
    answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (409, "job_canceled")
    hub.release()
    assert (await identity(hub_product, row["id"]))["status"] == "failed"
    assert await person.account() == (PRICE, 0, PRICE)
    await removed(hub_product)
    assert hub.repositories.by_id == {}


async def test_an_adapter_that_the_hub_refuses_is_kept_and_ready_and_said_to_be_so(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    async with training_for(hub_product) as trainer:
        trainer.may_go.clear()
        body = await trained(person)
        await trainer.came.wait()
        hub.fault("commit", times=9, status=403, error="You may not write any more.")
        trainer.may_go.set()
        row = await ended(hub_product, body["identityId"])
    assert (row["status"], row["error_code"]) == ("ready", "not_published")
    assert "You may not write any more." in row["error_message"]
    assert await person.account() == (0, 0, 0)


async def test_a_training_that_fails_gives_the_credits_back(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    trainer.may_go.clear()
    body = await trained(person)
    await trainer.came.wait()
    await cancel(product.pool, (await product.job(body["jobId"])).id, user_id=None, message="No.")
    row = await ended(product, body["identityId"])
    assert (row["status"], row["error_code"]) == ("failed", "canceled")
    assert await person.account() == (PRICE, 0, PRICE)


async def test_the_row_shows_step_and_loss_while_it_is_trained(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    trainer.may_go.clear()
    body = await trained(person)
    row = await becomes(product, body["identityId"], lambda row: row["step"] == 2)
    assert (row["status"], row["loss"]) == ("training", 0.5)


async def a_model(person: Person, references: list[str]) -> tuple[int, Any]:
    """Begin a model of `person`'s and have it trained on `references`; return its id and job."""
    product = person.product
    model_id = await product.admin.fetchval(
        "insert into public.models (user_id, name) values ($1, 'John') returning id", person.id
    )
    submitter = Submitter(product.pool, welcome=0)
    acceptance = await submitter.submit(
        Submission(
            user_id=person.id,
            amount=PRICE,
            units=1,
            quantity=1,
            prompt="a portrait",
            payload={
                "bucket": "training",
                "stage": "prepare",
                "training": {
                    "base": "flux",
                    "trigger_word": "john",
                    "steps": 10,
                    "learning_rate": 4e-4,
                    "resolution": 512,
                    "rank": 4,
                    "seed": 0,
                    "captions": None,
                    "sample_prompts": ["a portrait of john"],
                    "checkpoint_every": 100,
                },
                "references": references,
            },
            expires_seconds=3600,
            max_retries=0,
            model_id=model_id,
            job_type="train_model",
            queue=jobs.IDENTITIES_QUEUE,
        )
    )
    return model_id, acceptance.job_id


async def test_a_models_pictures_are_fetched_judged_and_kept_for_its_training(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    photo = picture(side=300, exif=exif)
    path = await product.upload(person, "photo.jpg", photo, "image/jpeg")
    model_id, job_id = await a_model(person, [f"storage:{path}"])
    async with asyncio.timeout(60):
        while (
            row := await product.admin.fetchrow(
                "select * from public.models where id = $1", model_id
            )
        )["status"] == "training":
            await asyncio.sleep(0.02)
    assert (row["status"], row["images_count"]) == ("ready", 1)
    assert row["image_paths"] == [f"training/{person.id}/{job_id}/images/image_001.jpg"]
    [[brought]] = trainer.pictures
    assert Image.open(io.BytesIO(brought)).getexif() == {}
    assert row["adapter_path"].startswith(f"{person.id}/{job_id}/")
    assert await person.account() == (0, 0, 0)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("storage:uploads/nobody/photo.jpg", "image 1: There is no object"),
        ("https://localhost/photo.jpg", "image 1: "),
        ("http://example.com/photo.jpg", "image 1: "),
    ],
)
async def test_a_models_pictures_that_cannot_be_fetched_fail_in_the_texts_words(
    product: Product, reference: str, reason: str
) -> None:
    person = await product.person(PRICE)
    model_id, _ = await a_model(person, [reference])
    async with asyncio.timeout(60):
        while (
            row := await product.admin.fetchrow(
                "select * from public.models where id = $1", model_id
            )
        )["status"] == "training":
            await asyncio.sleep(0.02)
    assert row["status"] == "failed"
    assert row["error_message"].startswith(f"Failed to download training images: {reason}")
    assert await person.account() == (PRICE, 0, PRICE)


async def test_a_models_picture_that_is_none_fails_by_its_name(product: Product) -> None:
    person = await product.person(PRICE)
    path = await product.upload(person, "photo.jpg", b"GIF89a not a picture", "image/jpeg")
    model_id, _ = await a_model(person, [f"storage:{path}"])
    async with asyncio.timeout(60):
        while (
            row := await product.admin.fetchrow(
                "select * from public.models where id = $1", model_id
            )
        )["status"] == "training":
            await asyncio.sleep(0.02)
    assert (row["status"], row["error_code"]) == ("failed", "invalid")
    assert "photo.jpg" in row["error_message"]
