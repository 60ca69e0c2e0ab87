"""Asking for pictures: the answer, the row behind it, the references, the wait."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from tests.functions.described import judge_every_answer
from tests.support.product import Person, Product, open_product
from tests.support.provider_pictures import SVG, Pictures, png_bomb
from tintype.app import open_worker

ASPECT_RATIOS = {
    "1:1": (512, 512),
    "2:3": (341, 512),
    "3:2": (512, 341),
    "3:4": (384, 512),
    "4:3": (512, 384),
    "4:5": (410, 512),
    "5:4": (512, 410),
    "9:16": (288, 512),
    "16:9": (512, 288),
    "21:9": (512, 219),
    "1:4": (128, 512),
    "4:1": (512, 128),
    "1:8": (64, 512),
    "8:1": (512, 64),
}


def data_url(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


async def refused(person: Person, body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a refusal that left nothing behind, its status as `status`."""
    async with person.product.unchanged():
        answer = await person.generate(body)
    told: dict[str, Any] = answer.json()
    assert 400 <= answer.status_code < 500, answer.text
    assert told["error"] and told["code"]
    return told | {"status": answer.status_code}


async def test_the_answer_has_these_fields_and_the_row_is_there_with_it(
    idle_product: Product,
) -> None:
    person = await idle_product.person(20)
    answer = await person.generate({"quantity": 3, "aspectRatio": "16:9", "seed": 7})
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert body == {
        "jobId": body["jobId"],
        "job_id": body["jobId"],
        "status": "queued",
        "quantity": 3,
        "creditsHeld": 3,
        "creditsRemaining": 17,
    }
    job = await idle_product.job(UUID(body["jobId"]))
    assert (job.user_id, job.status, job.quantity, job.prompt) == (
        person.id,
        "queued",
        3,
        "a robot",
    )
    assert job.payload == {"model": "gemini-3.1-flash-image", "aspect_ratio": "16:9", "seed": 7}
    assert job.result_urls == [] and job.seq > 0
    assert await person.account() == (20, 3, 17)
    hold = await idle_product.admin.fetchrow(
        "select kind, amount, units, part from public.credit_entries where hold_id = $1", job.id
    )
    assert hold is not None and tuple(hold.values()) == ("hold", 3, 3, 0)
    assert await idle_product.count("tintype.ready") == 1


async def test_the_price_is_the_servers_own_and_grows_with_the_size(idle_product: Product) -> None:
    person = await idle_product.person(20)
    body = (await person.generate({"quantity": 2, "imageSize": "4K", "credits": 0})).json()
    assert (body["creditsHeld"], body["creditsRemaining"]) == (8, 12)


async def test_too_few_credits_are_told_with_what_is_needed(idle_product: Product) -> None:
    person = await idle_product.person(2)
    told = await refused(person, {"quantity": 3})
    assert (told["status"], told["required"], told["available"]) == (402, 3, 2)
    assert told["code"] == "insufficient_credits" and isinstance(told["error"], str)


async def test_one_credit_and_fifty_requests_at_once_give_one_job(idle_product: Product) -> None:
    person = await idle_product.person(1)
    answers = await asyncio.gather(*(person.generate({}) for _ in range(50)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [402] * 49
    assert await idle_product.count("public.jobs") == 1
    assert await person.account() == (1, 1, 0)
    await idle_product.assert_ledger_holds()


async def test_three_credits_and_ten_requests_for_three_give_one_job(
    idle_product: Product,
) -> None:
    person = await idle_product.person(3)
    answers = await asyncio.gather(*(person.generate({"quantity": 3}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [402] * 9
    assert await idle_product.count("public.jobs") == 1
    await idle_product.assert_ledger_holds()


async def test_a_premium_account_is_not_charged(product: Product) -> None:
    person = await product.person(1, premium=True)
    answer = await person.generate({"quantity": 4}, prefer="wait=30")
    body = answer.json()
    assert (body["creditsHeld"], body["creditsRemaining"]) == (0, 1)
    assert (body["status"], body["resultCount"]) == ("completed", 4)
    assert await person.account() == (1, 0, 1)
    await product.assert_ledger_holds()


async def test_a_new_user_starts_with_the_welcome_once_whatever_comes_at_once(
    database_url: str, tmp_path: Path
) -> None:
    async with open_product(
        database_url, tmp_path, works=False, TINTYPE_WELCOME_CREDITS="2"
    ) as product:
        person = await product.person(0)
        answers = await asyncio.gather(*(person.generate({}) for _ in range(12)))
        assert sorted(answer.status_code for answer in answers) == [200] * 2 + [402] * 10
        assert await person.account() == (2, 2, 0)
        await product.assert_ledger_holds()


async def test_a_new_user_without_a_welcome_has_no_credits(idle_product: Product) -> None:
    person = await idle_product.person(0)
    answer = await person.generate({})
    assert answer.status_code == 402
    assert (answer.json()["required"], answer.json()["available"]) == (1, 0)
    assert await idle_product.count("public.jobs") == 0


async def test_a_retired_model_is_rerouted_with_a_sentence(
    database_url: str, tmp_path: Path
) -> None:
    official = "https://generativelanguage.googleapis.com"
    async with open_product(
        database_url, tmp_path, works=False, GEMINI_BASE_URL=official, IMAGEN_BASE_URL=official
    ) as product:
        person = await product.person()
        answer = await person.generate({"model": "imagen-4.0-generate-001"})
        [warning] = answer.json()["warnings"]
        job = await product.job(answer.json()["jobId"])
        assert answer.status_code == 200
        assert warning.startswith("The model imagen-4.0-generate-001 ended on 2026-08-17; ")
        assert f"{job.payload['model']} is used instead." in warning
        assert job.payload["model"] == "gemini-nano-banana-2.1"


async def test_an_unknown_model_is_refused_with_the_nearest_names(idle_product: Product) -> None:
    person = await idle_product.person()
    told = await refused(person, {"model": "gemini-3-pro-imag"})
    assert (told["status"], told["code"]) == (400, "model_unknown")
    assert "gemini-3-pro-image" in told["hint"]


async def test_auto_is_the_models_own_aspect_ratio(product: Product) -> None:
    person = await product.person()
    job = await person.accepted({"aspectRatio": "auto"}, prefer="wait=30")
    assert "aspect_ratio" not in job.payload
    [request] = product.provider.requests
    assert "aspectRatio" not in str(request["body"])
    assert job.status == "completed"


async def test_only_an_own_project_takes_the_job(idle_product: Product) -> None:
    person, other = await idle_product.person(), await idle_product.person()
    for owner in (person, other):
        await idle_product.admin.execute(
            "insert into public.projects (id, user_id, name) values ($1, $1, 'canvas')", owner.id
        )
    job = await person.accepted({"projectId": str(person.id)})
    assert job.project_id == person.id
    for project_id in (other.id, uuid4()):
        told = await refused(person, {"projectId": str(project_id)})
        assert (told["status"], told["code"]) == (404, "project_not_found")
    assert (await refused(person, {"projectId": "1"}))["code"] == "field_invalid"


async def test_an_own_or_a_public_template_is_taken(idle_product: Product) -> None:
    person, other = await idle_product.person(), await idle_product.person()
    own, public, private = uuid4(), uuid4(), uuid4()
    await idle_product.admin.executemany(
        "insert into public.templates (id, user_id, name, prompt, is_public)"
        " values ($1, $2, 't', 'p', $3)",
        [(own, person.id, False), (public, other.id, True), (private, other.id, False)],
    )
    for template in (own, public):
        job = await person.accepted({"templateId": str(template)})
        assert job.template_id == template
    told = await refused(person, {"templateId": str(private)})
    assert (told["status"], told["code"]) == (404, "template_not_found")


async def test_references_reach_the_provider_whole_however_they_are_named(
    product: Product,
) -> None:
    person = await product.person()
    pictures = [Pictures().small() for _ in range(3)]
    path = await product.upload(person, "cat's 1.png", pictures[0])
    named = await product.upload(person, "b.png", pictures[1])
    urls = [path, f"{product.url}/storage/v1/object/{named}", data_url(pictures[2])]
    job = await person.accepted({"imageUrls": urls}, prefer="wait=30")
    assert job.status == "completed"
    references = job.payload["references"]
    assert references[0] == f"storage:{path}" and references[1] == f"storage:{named}"
    assert references[2].startswith(f"storage:uploads/{person.id}/references/{job.id}/")
    [request] = product.provider.requests
    sent = str(request["body"])
    for picture in pictures:
        assert base64.b64encode(picture).decode() in sent


async def test_every_form_of_an_own_objects_url_is_understood(idle_product: Product) -> None:
    person = await idle_product.person()
    path = await idle_product.upload(person, "a b.png", Pictures().small())
    quoted = path.replace(" ", "%20")
    forms = [path, f"/{path}"]
    for start in (f"{idle_product.url}/storage/v1/object/", "/storage/v1/object/"):
        for access in ("", "sign/", "authenticated/", "public/"):
            forms.append(f"{start}{access}{quoted}?token=x")
    job = await person.accepted({"imageUrls": forms})
    assert job.payload["references"] == [f"storage:{path}"] * len(forms)


async def test_another_users_reference_is_as_absent_as_a_missing_one(
    idle_product: Product,
) -> None:
    person, other = await idle_product.person(), await idle_product.person()
    path = await idle_product.upload(other, "a.png", Pictures().small())
    told = []
    for url in (path, f"uploads/{person.id}/missing.png", f"nowhere/{person.id}/a.png"):
        answer = await refused(person, {"imageUrls": [url]})
        assert (answer["status"], answer["code"]) == (404, "reference_not_found")
        told.append(answer["error"])
    assert len(set(told)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "https://169.254.169.254/latest/meta-data/",
        "http://example.com/a.png",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "https://localhost/a.png",
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "https://user@93.184.216.34/",
        "https://93.184.216.34:8080/",
        "//169.254.169.254/a.png",
        "ftp://93.184.216.34/a.png",
        " http://169.254.169.254/",
    ],
)
async def test_a_url_that_leads_inside_is_refused(idle_product: Product, url: str) -> None:
    person = await idle_product.person()
    told = await refused(person, {"imageUrls": [url]})
    assert (told["status"], told["code"]) == (400, "url_not_allowed")


@pytest.mark.parametrize("url", ["https://[", "https://0x7f000001/", "https://nowhere.invalid/"])
async def test_a_url_that_leads_nowhere_or_inside_is_refused(
    idle_product: Product, url: str
) -> None:
    person = await idle_product.person()
    told = await refused(person, {"imageUrls": [url]})
    assert told["status"] == 400 and told["code"] in ("url_not_allowed", "url_unreachable")


@pytest.mark.parametrize("url", ["", "/", "a", "uploads", "uploads/", "/storage/v1/object/"])
async def test_a_reference_that_names_nothing_is_refused(idle_product: Product, url: str) -> None:
    person = await idle_product.person()
    assert (await refused(person, {"imageUrls": [url]}))["code"] == "reference_invalid"


@pytest.mark.parametrize(
    ("data", "code", "is_stored"),
    [
        (png_bomb(), "reference_too_many_pixels", True),
        (Pictures().small()[:200], "reference_not_an_image", True),
        (b"GIF89a" + bytes(50), "reference_not_an_image", True),
        (SVG, "reference_not_an_image", False),
        (b"", "reference_not_an_image", False),
        (b"<html></html>", "reference_not_an_image", False),
    ],
)
async def test_bytes_that_are_not_a_picture_are_refused_as_data_url_and_as_object(
    idle_product: Product, data: bytes, code: str, is_stored: bool
) -> None:
    person = await idle_product.person()
    good = data_url(Pictures().small())
    told = await refused(person, {"imageUrls": [good, data_url(data)]})
    assert (told["status"], told["code"]) == (400, code)
    path = f"uploads/{person.id}/a.png"
    answer = await idle_product.http.post(
        f"/storage/v1/object/{path}",
        content=data,
        headers=person.headers | {"content-type": "image/png"},
    )
    assert (answer.status_code == 200) == is_stored
    told = await refused(person, {"imageUrls": [good, path]})
    expected = (400, code) if is_stored else (404, "reference_not_found")
    assert (told["status"], told["code"]) == expected


async def test_an_svg_that_lies_in_storage_as_a_png_is_refused(idle_product: Product) -> None:
    person = await idle_product.person()
    path = await idle_product.upload(person, "a.png", Pictures().small())
    [name] = idle_product.files()
    (idle_product.config.data / name).write_bytes(SVG)
    await idle_product.admin.execute(
        "update storage.objects set metadata = metadata || jsonb_build_object('size', $1::int)",
        len(SVG),
    )
    told = await refused(person, {"imageUrls": [path]})
    assert (told["status"], told["code"]) == (400, "reference_not_an_image")
    assert "an SVG" in told["error"]


async def test_a_refused_request_takes_its_references_away_and_no_one_elses(
    idle_product: Product,
) -> None:
    person = await idle_product.person(1)
    body = {"imageUrls": [data_url(Pictures().small())]}
    answers = await asyncio.gather(*(person.generate(body) for _ in range(6)))
    [accepted] = [answer for answer in answers if answer.status_code == 200]
    job = await idle_product.job(accepted.json()["jobId"])
    [reference] = job.payload["references"]
    assert await idle_product.count("storage.objects") == 1
    assert len(idle_product.files()) == 1
    found = await idle_product.http.get(
        f"/storage/v1/object/{reference.removeprefix('storage:')}", headers=person.headers
    )
    assert found.status_code == 200


async def test_waiting_brings_the_finished_job_whose_pictures_download(product: Product) -> None:
    person = await product.person()
    answer = await person.generate({"quantity": 2, "model": "sandbox"}, prefer="wait=30")
    body = answer.json()
    assert answer.headers["preference-applied"] == "wait=30"
    assert (body["status"], body["progress"], body["resultCount"]) == ("completed", 100, 2)
    assert body["resultUrls"] == body["result_urls"] and len(body["resultUrls"]) == 2
    assert body["result_count"] == 2 and body["errorCode"] is None and body["error_code"] is None
    for position, url in enumerate(body["resultUrls"]):
        assert url.startswith(
            f"{product.url}/storage/v1/object/public/generations/{person.id}/{body['jobId']}/"
            f"{position}-"
        )
        found = await product.http.get(url)
        assert found.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(found.content)) as image:
            assert (image.format, image.size) == ("PNG", (1024, 1024))
    assert await person.account() == (18, 0, 18)
    await product.assert_ledger_holds()


async def test_every_aspect_ratio_gives_a_picture_of_its_shape(product: Product) -> None:
    person = await product.person()

    async def size_of(aspect_ratio: str) -> tuple[int, int]:
        answer = await person.generate(
            {"model": "sandbox", "imageSize": "512", "aspectRatio": aspect_ratio},
            prefer="wait=60",
        )
        found = await product.http.get(answer.json()["resultUrls"][0])
        with Image.open(io.BytesIO(found.content)) as image:
            return image.size

    sizes = await asyncio.gather(*map(size_of, ASPECT_RATIOS))
    assert dict(zip(ASPECT_RATIOS, sizes, strict=True)) == ASPECT_RATIOS


async def test_waiting_tells_why_a_job_failed(product: Product) -> None:
    person = await product.person()
    body = {"model": "sandbox", "prompt": "x [fault:refused]"}
    told = (await person.generate(body, prefer="wait=30")).json()
    assert (told["status"], told["errorCode"], told["resultUrls"]) == ("failed", "refused", [])
    assert told["errorMessage"] == told["error_message"] and told["errorMessage"]
    assert await person.account() == (20, 0, 20)


async def test_a_wish_to_wait_is_capped(product: Product) -> None:
    person = await product.person()
    for wish in ("wait=999", 'respond-async, wait="100"; x=1'):
        answer = await person.generate({}, prefer=wish)
        assert answer.headers["preference-applied"] == "wait=60"
        assert answer.json()["status"] == "completed"


@pytest.mark.parametrize("wish", ["", "wait", "wait=", "wait=x", "wait=-5", "wait=0", "wait=1e3"])
async def test_a_wish_that_is_none_is_ignored(idle_product: Product, wish: str) -> None:
    person = await idle_product.person()
    answer = await person.generate({}, prefer=wish)
    assert answer.status_code == 200 and answer.json()["status"] == "queued"
    assert "preference-applied" not in answer.headers


async def test_a_wait_that_runs_out_answers_what_was_accepted(idle_product: Product) -> None:
    person = await idle_product.person()
    answer = await person.generate({}, prefer="wait=1")
    body = answer.json()
    assert answer.status_code == 200 and body["status"] == "queued"
    assert body.keys() == {
        "jobId",
        "job_id",
        "status",
        "quantity",
        "creditsHeld",
        "creditsRemaining",
    }
    assert answer.headers["preference-applied"] == "wait=1"


async def test_a_job_that_a_worker_elsewhere_ends_is_seen_by_the_one_who_waits(
    idle_product: Product,
) -> None:
    person = await idle_product.person()
    waiting = asyncio.create_task(person.generate({}, prefer="wait=60"))
    async with open_worker(idle_product.config) as worker:
        await worker.start()
        body = (await waiting).json()
        await worker.drain()
    assert (body["status"], body["resultCount"]) == ("completed", 1)


async def test_the_anon_key_is_not_a_user(idle_product: Product) -> None:
    keys = idle_product.keys
    for key in (keys.anon_key, keys.service_role_key):
        person = Person(idle_product, uuid4(), key)
        told = await refused(person, {})
        assert (told["status"], told["code"]) == (403, "user_required")
    answer = await idle_product.http.post(
        "/functions/v1/generate-image",
        json={"prompt": "a robot"},
        headers={"apikey": keys.publishable_key},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "user_required")


async def test_no_token_is_refused_by_the_gateway(idle_product: Product) -> None:
    async with idle_product.unchanged():
        answer = await idle_product.http.post(
            "/functions/v1/generate-image", json={"prompt": "a robot"}
        )
    assert answer.status_code == 401
    assert answer.json() == {
        "code": "UNAUTHORIZED_NO_AUTH_HEADER",
        "message": "Missing authorization header",
        "msg": "Missing authorization header",
    }
    assert answer.headers["sb-error-code"] == "UNAUTHORIZED_NO_AUTH_HEADER"


async def test_a_user_a_price_or_credits_in_the_body_are_not_believed(
    idle_product: Product,
) -> None:
    person, victim = await idle_product.person(5), await idle_product.person(5)
    claimed = {
        "userId": str(victim.id),
        "user_id": str(victim.id),
        "credits": 0,
        "metadata": {"credits": 0, "user_id": str(victim.id)},
        "quantity": 2,
    }
    answer = await person.generate(claimed)
    job = await idle_product.job(answer.json()["jobId"])
    assert (job.user_id, job.metadata) == (person.id, {})
    assert await person.account() == (5, 2, 3)
    assert await victim.account() == (5, 0, 5)
    warnings = answer.json()["warnings"]
    for name in ("userId", "user_id", "credits", "metadata"):
        assert any(text.startswith(f"Unknown field `{name}` was ignored.") for text in warnings)


async def test_null_stands_for_what_was_not_given(idle_product: Product) -> None:
    person = await idle_product.person()
    names = "aspectRatio imageUrls projectId templateId model imageSize seed personGeneration"
    job = await person.accepted(dict.fromkeys(names.split()))
    assert job.payload == {"model": "gemini-3.1-flash-image"}
    assert (job.project_id, job.template_id) == (None, None)


async def test_an_object_store_that_is_away_is_told_as_passing_and_nothing_is_held(
    database_url: str, tmp_path: Path
) -> None:
    away = {
        "TINTYPE_STORAGE_BACKEND": "s3",
        "TINTYPE_S3_BUCKET": "away",
        "TINTYPE_S3_ENDPOINT": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
    }
    async with open_product(database_url, tmp_path, works=False, **away) as product:
        await judge_every_answer(product)
        person = await product.person(5)
        picture = base64.b64encode(Pictures().small()).decode()
        async with product.unchanged():
            answer = await person.generate({"imageUrls": [f"data:image/png;base64,{picture}"]})
    assert (answer.status_code, answer.json()["code"]) == (503, "backend_unavailable")
