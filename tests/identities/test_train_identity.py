"""Text 5's function: the request as the app sends it, and every request that is refused."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.identities.asking import asked, identity, image_files, train, trained, tree
from tests.identities.bodies import base64_of, picture
from tests.support.product import Person, Product, open_product
from tintype.identities import Scratch

PRICE = 50


async def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body.get("code")) == (status, code), answer.text
    assert body["success"] is False
    assert body["error"]
    return body


async def test_the_request_of_the_text_is_answered_as_the_text_says(product: Product) -> None:
    person = await product.person(PRICE)
    answer = await train(person)
    body = answer.json()
    assert answer.status_code == 200
    assert body["success"] is True
    assert body["repoId"].startswith("identity-john-1")
    assert body["modelUrl"].startswith(product.url)
    assert (body["creditsHeld"], body["creditsRemaining"]) == (PRICE, 0)
    assert (await product.http.get(body["modelUrl"], headers=person.headers)).status_code == 200

    row = await identity(product, body["identityId"])
    assert (row["user_id"], row["identity_name"]) == (person.id, "John")
    assert (row["model_id"], row["status"]) == (body["repoId"], "training")
    assert (row["num_training_images"], row["version"]) == (3, "v1")
    config = json.loads(row["training_config"])
    assert config["training_params"] == {"steps": 1000, "learning_rate": 0.0004, "resolution": 512}
    assert (config["identity_name"], config["num_images"]) == ("John", 3)
    assert (config["user_id"], config["model_type"]) == (str(person.id), "flux-lora")


async def test_the_tree_is_the_texts_and_the_stored_config_is_the_rows(product: Product) -> None:
    person = await product.person(PRICE)
    body = await trained(person)
    assert await tree(product, person.id, body["repoId"]) == {
        "images/image_001.jpg": "image/jpeg",
        "images/image_002.jpg": "image/jpeg",
        "images/image_003.jpg": "image/jpeg",
        ".gitattributes": "text/plain",
        "training_config.json": "application/json",
        "README.md": "text/markdown",
    }
    url = body["modelUrl"].replace("README.md", "training_config.json")
    stored = (await product.http.get(url, headers=person.headers)).json()
    row = await identity(product, body["identityId"])
    assert stored == json.loads(row["training_config"])


async def test_forty_pictures_are_taken_and_told_of(product: Product) -> None:
    person = await product.person(PRICE)
    body = await trained(person, 40, identityName="Mom & Me!")
    assert body["repoId"].startswith("identity-mom-me-")
    assert len(await tree(product, person.id, body["repoId"])) == 43
    # They are 300 pixels small, which is said of each of them.
    assert {one["image"] for one in body["findings"] if one["kind"] == "small"} == set(range(1, 41))


async def test_bare_base64_and_png_are_taken(product: Product) -> None:
    person = await product.person(PRICE)
    files = [
        {"name": f"{seed}.png", "data": base64_of(picture("PNG", side=600, seed=seed))}
        for seed in range(3)
    ]
    body = await trained(person, imageFiles=files)
    assert "images/image_001.png" in await tree(product, person.id, body["repoId"])


NOT_A_PICTURE = base64_of(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>")
REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "two pictures": ({"imageFiles": image_files(2)}, 400, "too_few_images"),
    "no pictures": ({"imageFiles": []}, 400, "too_few_images"),
    "no list": ({"imageFiles": None}, 400, "field_invalid"),
    "forty-one pictures": ({"imageFiles": image_files(3) * 14}, 400, "too_many_images"),
    "the same picture": ({"imageFiles": image_files(1) * 3}, 400, "too_few_distinct_images"),
    "no name": ({"identityName": None}, 400, "field_invalid"),
    "a blank name": ({"identityName": "  "}, 400, "field_invalid"),
    "a number as name": ({"identityName": 7}, 400, "field_invalid"),
    "no user": ({"userId": None}, 400, "field_invalid"),
    "no user's id": ({"userId": "me"}, 400, "field_invalid"),
    "another user": ({"userId": str(uuid4())}, 403, "user_not_yours"),
    "not a picture": (
        {"imageFiles": [*image_files(2), {"name": "a.jpg", "data": NOT_A_PICTURE}]},
        400,
        "image_not_supported",
    ),
    "not base64": (
        {"imageFiles": [*image_files(2), {"name": "a.jpg", "data": "/9j/!!!"}]},
        400,
        "image_not_base64",
    ),
    "half a picture": (
        {
            "imageFiles": [
                *image_files(2),
                {"name": "a.jpg", "data": base64_of(picture(side=300, seed=9)[:2000])},
            ]
        },
        400,
        "image_unreadable",
    ),
    "a tiny picture": (
        {"imageFiles": [*image_files(2), {"name": "a", "data": base64_of(picture(side=64))}]},
        400,
        "image_too_small",
    ),
    "no steps": ({"steps": 0}, 400, "steps_out_of_range"),
    "steps as text": ({"steps": "many"}, 400, "field_invalid"),
    "an unknown base": ({"baseModel": "sd15"}, 400, "base_model_unknown"),
    "too few captions": ({"captions": ["a photo"]}, 400, "captions_do_not_match"),
    "consent denied": ({"consent": False}, 400, "consent_denied"),
    "consent denied with a text": (
        {"consent": {"given": False, "text": "I do not agree."}},
        400,
        "consent_denied",
    ),
    "consent as a word": ({"consent": "yes"}, 400, "field_invalid"),
    "consent without an answer": ({"consent": {"text": "I agree"}}, 400, "field_invalid"),
    "endless consent": ({"consentText": "a" * 10_001}, 400, "field_invalid"),
}


@pytest.mark.parametrize("what", list(REFUSALS))
async def test_what_cannot_be_trained_is_refused_and_leaves_nothing(
    idle_product: Product, what: str
) -> None:
    members, status, code = REFUSALS[what]
    person = await idle_product.person(PRICE)
    async with idle_product.unchanged():
        await refused(await train(person, **members), status, code)


async def test_what_is_no_json_is_refused(idle_product: Product) -> None:
    person = await idle_product.person(PRICE)
    for content, kind, status, code in (
        (b"{", "application/json", 400, "body_not_json"),
        (b"", "application/json", 400, "body_empty"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "content_type_not_json"),
    ):
        async with idle_product.unchanged():
            answer = await idle_product.http.post(
                "/functions/v1/train-identity",
                content=content,
                headers=person.headers | {"content-type": kind},
            )
            await refused(answer, status, code)


async def test_who_is_nobody_trains_nothing(idle_product: Product) -> None:
    person = await idle_product.person(PRICE)
    anonymous = Person(idle_product, person.id, idle_product.keys.anon_key)
    await refused(await train(anonymous), 403, "user_required")
    answer = await idle_product.http.post("/functions/v1/train-identity", json=asked(person))
    assert answer.status_code == 401


async def test_the_service_key_names_a_user_who_is_known(product: Product) -> None:
    service = product.service()
    await refused(await train(service, userId=str(uuid4())), 404, "user_not_found")
    answer = await product.http.post(
        "/auth/v1/admin/users",
        json={"email": "anna@example.com", "password": "correct horse"},
        headers=service.headers | {"apikey": service.token},
    )
    assert answer.status_code == 200, answer.text
    anna = answer.json()["id"]
    await refused(await train(service, userId=anna), 402, "insufficient_credits")
    await product.admin.execute("select tintype.grant_credits($1, $2)", anna, PRICE)
    body = await trained(service, userId=anna)
    assert str((await identity(product, body["identityId"]))["user_id"]) == anna


async def test_without_a_token_the_answer_is_the_texts_before_a_byte_is_read(
    database_url: str, tmp_path: Path
) -> None:
    async with open_product(database_url, tmp_path, works=False) as product:
        person = await product.person(PRICE)
        async with product.unchanged():
            body = await refused(
                await person.call("train-identity", {"not": "even asked for"}),
                503,
                "huggingface_token_missing",
            )
    assert body["error"] == "HUGGINGFACE_TOKEN environment variable not set"


async def test_who_cannot_pay_is_told_before_anything_is_stored(idle_product: Product) -> None:
    person = await idle_product.person(PRICE - 1)
    async with idle_product.unchanged():
        body = await refused(await train(person), 402, "insufficient_credits")
        assert (body["required"], body["available"]) == (PRICE, PRICE - 1)
        await refused(
            await person.call("train-identity", asked(person), idempotency_key='"a"'),
            402,
            "insufficient_credits",
        )


async def test_of_two_that_spend_the_same_credits_one_is_taken_and_the_other_leaves_nothing(
    product: Product,
) -> None:
    person = await product.person(PRICE)
    answers = await asyncio.gather(train(person), train(person))
    assert sorted(one.status_code for one in answers) == [200, 402]
    await product.admin.execute("update tintype.removals set not_before = now()")
    async with asyncio.timeout(100):
        while await product.admin.fetchval(
            "select count(*) from tintype.removals where done_at is null"
        ):
            await asyncio.sleep(0.05)
    folders = await product.admin.fetch(
        "select distinct split_part(name, '/', 2) as folder from storage.objects"
        " where bucket_id = 'identities'"
    )
    [taken] = [one.json()["repoId"] for one in answers if one.status_code == 200]
    assert [row["folder"] for row in folders] == [taken]
    await product.assert_ledger_holds()


CONSENTS: dict[str, tuple[dict[str, Any], bool | None, str | None]] = {
    "none": ({}, None, None),
    "a word": ({"consent": True}, True, None),
    "a word and a text": ({"consent": True, "consentText": "I agree."}, True, "I agree."),
    "an object": ({"consent": {"given": True, "text": "I agree."}}, True, "I agree."),
}


@pytest.mark.parametrize("what", list(CONSENTS))
async def test_consent_is_recorded_as_it_was_given(idle_product: Product, what: str) -> None:
    members, given, text = CONSENTS[what]
    person = await idle_product.person(PRICE)
    answer = await person.call("train-identity", asked(person, **members), prefer="respond-async")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (202, "publishing")
    assert answer.headers["preference-applied"] == "respond-async"
    consent = json.loads((await identity(idle_product, body["identityId"]))["consent"])
    assert (consent["given"], consent["text"]) == (given, text)
    assert (consent["user_id"], consent["address"]) == (str(person.id), "127.0.0.1")


async def test_where_consent_is_required_nothing_is_trained_without(
    database_url: str, tmp_path: Path
) -> None:
    settings = tmp_path / "supabase"
    settings.mkdir()
    (settings / "config.toml").write_text(
        '[tintype.identities]\nhub = "storage"\nconsent = "required"\n'
    )
    async with open_product(database_url, tmp_path) as product:
        person = await product.person(PRICE)
        async with product.unchanged():
            await refused(await train(person), 400, "consent_required")
            await refused(await train(person, consentText="…"), 400, "consent_required")
        assert (await train(person, consent=True)).status_code == 200


async def test_what_the_caller_chooses_of_the_training_is_kept(idle_product: Product) -> None:
    person = await idle_product.person(PRICE)
    answer = await person.call(
        "train-identity",
        asked(
            person,
            steps=300,
            learningRate=0.001,
            resolution=768,
            rank=8,
            baseModel="sdxl",
            triggerWord="jhn",
            captions=["one", "two", "three"],
        ),
        prefer="respond-async",
    )
    job = await idle_product.job(answer.json()["jobId"])
    chosen = job.payload["training"]
    assert (chosen["steps"], chosen["learning_rate"], chosen["resolution"]) == (300, 0.001, 768)
    assert (chosen["base"], chosen["rank"], chosen["trigger_word"]) == ("sdxl", 8, "jhn")
    assert chosen["captions"] == ["one", "two", "three"]
    row = await identity(idle_product, answer.json()["identityId"])
    assert (row["base_model"], row["trigger_word"], row["steps_total"]) == ("sdxl", "jhn", 300)


async def test_a_repeated_key_is_answered_again_and_makes_nothing_new(product: Product) -> None:
    person = await product.person(PRICE)
    first = await person.call("train-identity", asked(person), idempotency_key='"a"')
    second = await person.call("train-identity", asked(person), idempotency_key='"a"')
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert await product.count("public.trained_identities") == 1
    other = asked(person, imageFiles=image_files(4)[1:])
    await refused(
        await person.call("train-identity", other, idempotency_key='"a"'),
        422,
        "idempotency_key_reused",
    )


async def test_identities_of_one_name_at_one_time_have_repositories_of_their_own(
    idle_product: Product,
) -> None:
    person = await idle_product.person(4 * PRICE)
    answers = await asyncio.gather(
        *(person.call("train-identity", asked(person), prefer="respond-async") for _ in range(4))
    )
    assert [one.status_code for one in answers] == [202] * 4
    assert len({one.json()["repoId"] for one in answers}) == 4


async def test_no_picture_stays_in_the_scratch_folder(product: Product) -> None:
    person = await product.person(PRICE)
    await trained(person)
    await refused(await train(person, imageFiles=image_files(2)), 402, "insufficient_credits")
    assert list((product.config.data / "scratch").iterdir()) == []


async def test_a_killed_process_leaves_a_folder_that_the_next_sweep_takes(
    tmp_path: Path, killed: Callable[[str], Path]
) -> None:
    scratch = Scratch(tmp_path)
    left = killed(
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from tintype.identities import Scratch\n"
        "async def work():\n"
        f"    async with Scratch(Path({str(tmp_path)!r})).folder() as folder:\n"
        "        (folder / 'image').write_bytes(b'private')\n"
        "        print(folder, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(work())\n"
    )
    assert (left / "image").exists()
    async with scratch.folder() as folder:
        assert scratch.sweep() == 1
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []
