"""`generate-admin-image`: operators only, or anybody of this machine in development mode."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.product import Product, open_product
from tintype import config
from tintype.errors import OperatorError

ROUTE = "/functions/v1/generate-admin-image"


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


async def asked(product: Product, body: Any, token: str | None = None) -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return await product.http.post(ROUTE, json=body, headers=headers)


async def test_the_service_role_gets_a_drawn_picture_at_once(product: Product) -> None:
    answer = await asked(
        product, {"prompt": "a robot", "metadata": {"a": 1}}, product.keys.service_role_key
    )
    assert answer.status_code == 200, answer.text
    image = answer.json()["image"]
    assert set(image) == {"id", "url", "thumbnail_url", "prompt", "mode", "timestamp", "metadata"}
    assert (image["mode"], image["metadata"], image["prompt"]) == ("mock", {"a": 1}, "a robot")
    for url in (image["url"], image["thumbnail_url"]):
        shown = await product.http.get(url)
        assert shown.headers["content-type"].startswith("image/")
    assert await product.count("public.jobs") == 0


async def test_nobody_else_may_ask(product: Product) -> None:
    anna = await product.person(10)
    async with product.unchanged():
        for token in (None, product.keys.anon_key, anna.token):
            answer = await asked(product, {"prompt": "a robot"}, token)
            assert (answer.status_code, answer.json()["code"]) == (403, "service_role_required")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"prompt": " "}, "prompt_empty"),
        ({"prompt": "x" * 5001}, "prompt_too_long"),
        ({"prompt": "x", "mode": "other"}, "field_invalid"),
        ({"prompt": "x", "metadata": {"a": "y" * 20_000}}, "metadata_too_large"),
        ({}, "field_invalid"),
    ],
)
async def test_bad_input_is_refused_and_stores_nothing(
    product: Product, body: Any, code: str
) -> None:
    async with product.unchanged():
        answer = await asked(product, body, product.keys.service_role_key)
        assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_in_development_mode_anybody_on_this_machine_may_ask(product: Product) -> None:
    await product.stop()
    product.config = replace(
        product.config, server=replace(product.config.server, development=True)
    )
    await product.start()
    assert (await asked(product, {"prompt": "a robot"})).status_code == 200


def test_development_mode_does_not_listen_on_a_network(tmp_path: Path) -> None:
    for environment in (
        {"TINTYPE_DEVELOPMENT": "1", "TINTYPE_HOST": "0.0.0.0"},
        {"TINTYPE_DEVELOPMENT": "true", "TINTYPE_HOST": "192.168.1.5"},
    ):
        with pytest.raises(OperatorError) as caught:
            config.load(project=tmp_path, environment=environment)
        assert caught.value.code == "development_not_on_loopback"
    loaded = config.load(project=tmp_path, environment={"TINTYPE_DEVELOPMENT": "1"})
    assert loaded.is_development
