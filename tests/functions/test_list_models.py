"""Which models an app can offer its users, and what they cost."""

from base64 import b64encode
from pathlib import Path
from typing import Any

from tests.functions.personal_rows import add_identity
from tests.identities.bodies import picture
from tests.support.product import Person, Product, open_product
from tests.support.provider_pictures import Pictures
from tintype import jobs
from tintype.workers import outside


async def test_a_listed_price_is_what_is_held(product: Product) -> None:
    person = await product.person(20)
    answer = await product.http.get("/functions/v1/list-models", headers=person.headers)
    assert answer.status_code == 200
    sandbox = next(model for model in answer.json()["models"] if model["id"] == "sandbox")
    assert sandbox["takesSeed"] and "16:9" in sandbox["aspectRatios"]
    for size in sandbox["imageSizes"]:
        asked = {"model": "sandbox", "imageSize": size["name"], "quantity": 2}
        accepted = await person.generate(asked)
        assert accepted.json()["creditsHeld"] == 2 * size["credits"]


async def test_only_what_can_be_had_is_listed_and_the_default_is_first(
    database_url: str, tmp_path: Path
) -> None:
    keyless = {"GEMINI_API_KEY": "", "IMAGEN_API_KEY": "", "AI_GATEWAY_API_KEY": ""}
    official = {
        "GEMINI_BASE_URL": "https://generativelanguage.googleapis.com",
        "IMAGEN_BASE_URL": "https://generativelanguage.googleapis.com",
        "AI_GATEWAY_URL": "https://openrouter.ai/api/v1",
    }
    async with open_product(database_url, tmp_path, **keyless, **official) as product:
        person = await product.person(1)
        answer = await product.http.get("/functions/v1/list-models", headers=person.headers)
    models = answer.json()["models"]
    assert [(model["id"], model["isDefault"]) for model in models] == [("sandbox", True)]


async def test_a_model_that_has_ended_is_not_listed(database_url: str, tmp_path: Path) -> None:
    official = {"GEMINI_BASE_URL": "https://generativelanguage.googleapis.com"}
    async with open_product(database_url, tmp_path, **official) as product:
        person = await product.person(1)
        answer = await product.http.get("/functions/v1/list-models", headers=person.headers)
    listed = {model["id"]: model for model in answer.json()["models"]}
    assert answer.json()["models"][0]["isDefault"]
    assert "gemini-3.1-flash-image" in listed
    assert "gemini-2.5-flash-image-preview" not in listed


async def flux_of(person: Person) -> dict[str, Any]:
    """Return what wearing an adapter of FLUX costs, as it is listed now."""
    answer = await person.product.http.get("/functions/v1/list-models", headers=person.headers)
    listed = {one["baseModel"]: one for one in answer.json()["adapters"]}
    assert set(listed) == {"flux", "sdxl"}
    return dict(listed["flux"])


async def test_the_price_of_an_identity_is_told_before_it_is_held(idle_product: Product) -> None:
    person = await idle_product.person(200)
    identity = {"identityId": str(await add_identity(idle_product, person)), "quantity": 2}
    assert not (await flux_of(person))["isServed"]
    queue = jobs.job_types()["flux_image"].queue
    await outside.add_worker(idle_product.pool, idle_product.keys, "gpu", [queue])
    flux = await flux_of(person)
    assert flux["isServed"]
    worn = await person.generate(identity)
    assert worn.json()["creditsHeld"] == 2 * flux["credits"]
    # With one picture too many, its pictures are shown to the model, which has a price of its own.
    pictures = [
        await idle_product.upload(person, f"{number}.png", Pictures().small())
        for number in range(flux["referencesMax"] + 1)
    ]
    listed = await idle_product.http.get("/functions/v1/list-models", headers=person.headers)
    model = listed.json()["models"][0]
    shown = await person.generate(identity | {"imageUrls": pictures})
    assert shown.json()["creditsHeld"] == 2 * model["imageSizes"][0]["credits"]
    assert model["imageSizes"][0]["credits"] != flux["credits"]


async def test_the_price_of_a_training_is_told_before_it_is_held(
    database_url: str, tmp_path: Path
) -> None:
    own = {"TINTYPE_IDENTITIES_HUB": "storage"}
    async with open_product(database_url, tmp_path, works=False, **own) as product:
        person = await product.person(500)
        listed = await product.http.get("/functions/v1/list-models", headers=person.headers)
        training = listed.json()["training"]
        assert training["isOffered"]
        for steps in (None, 1, training["stepsEach"] + 1):
            asked = {"identityName": f"Ana {steps}", "steps": steps, "consent": {"given": True}}
            answer = await train(person, asked)
            begun = -(-(steps or training["steps"]) // training["stepsEach"])
            assert answer["creditsHeld"] == training["credits"] * begun


async def test_a_training_is_not_offered_without_an_account_to_publish_with(
    database_url: str, tmp_path: Path
) -> None:
    away = {"HUGGINGFACE_TOKEN": "", "TINTYPE_IDENTITIES_HUB": "huggingface"}
    async with open_product(database_url, tmp_path, works=False, **away) as product:
        person = await product.person(1)
        listed = await product.http.get("/functions/v1/list-models", headers=person.headers)
    assert not listed.json()["training"]["isOffered"]


async def train(person: Person, asked: dict[str, Any]) -> dict[str, Any]:
    """Ask for a training without waiting for it, and return the answer."""
    images = [
        {"name": f"{seed}.jpg", "data": b64encode(picture(side=640, seed=seed)).decode()}
        for seed in range(3)
    ]
    answer = await person.product.http.post(
        "/functions/v1/train-identity",
        json=asked | {"userId": str(person.id), "imageFiles": images},
        headers=person.headers | {"prefer": "respond-async"},
    )
    assert answer.status_code == 202, answer.text
    return dict(answer.json())
