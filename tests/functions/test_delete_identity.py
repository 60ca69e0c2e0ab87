"""`delete-identity`: the row goes at once, and asking again tells what has become of the rest."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.personal_rows import add_identity, add_model
from tests.support.product import Person, Product


async def asked(person: Person, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await person.call("delete-identity", body)
    return answer.status_code, answer.json()


@pytest.fixture
async def product(idle_product: Product) -> AsyncIterator[Product]:
    yield idle_product


async def removals(product: Product) -> list[tuple[Any, ...]]:
    rows = await product.admin.fetch("select user_id, kind from tintype.removals order by kind")
    return [tuple(row) for row in rows]


async def test_an_identity_goes_once_and_asking_again_tells_how_far_it_is(
    product: Product,
) -> None:
    anna = await product.person(10)
    identity_id = await add_identity(product, anna, pictures=0)
    body = {"identityId": str(identity_id)}
    told = {
        "success": True,
        "identityId": str(identity_id),
        "removalId": str(identity_id),
        "status": "removing",
    }
    assert await asked(anna, body) == (202, told)
    assert await product.count("public.trained_identities") == 0
    assert await asked(anna, body) == (202, told)
    assert await removals(product) == [(anna.id, "identity")]
    await _end(product, identity_id)
    done = told | {"status": "removed", "proof": {"objects": []}}
    assert await asked(anna, body) == (200, done)


async def test_a_model_goes_as_an_identity_does(product: Product) -> None:
    anna = await product.person(10)
    model_id = await add_model(product, anna)
    status, told = await asked(anna, {"modelId": model_id})
    assert (status, told["modelId"], told["status"]) == (202, model_id, "removing")
    assert await asked(anna, {"modelId": str(model_id)}) == (202, told)
    assert await removals(product) == [(anna.id, "model")]
    await _end(product, UUID(told["removalId"]))
    assert (await asked(anna, {"modelId": model_id}))[1]["status"] == "removed"


async def test_what_an_app_deletes_as_a_row_is_told_of_too(product: Product) -> None:
    anna = await product.person(10)
    model_id = await add_model(product, anna)
    answer = await product.http.delete(f"/rest/v1/models?id=eq.{model_id}", headers=anna.headers)
    assert answer.status_code == 204, answer.text
    assert (await asked(anna, {"modelId": model_id}))[0] == 202


async def test_only_its_owner_and_the_service_key_remove_it(product: Product) -> None:
    anna, bert = await product.person(10), await product.person(10)
    identity_id, model_id = await add_identity(product, anna), await add_model(product, anna)
    for body, code in (
        ({"identityId": str(identity_id)}, "identity_not_found"),
        ({"modelId": model_id}, "model_not_found"),
        ({"identityId": str(uuid4())}, "identity_not_found"),
        ({"modelId": 10**17}, "model_not_found"),
    ):
        for _ in range(2):
            status, told = await asked(bert, body)
            assert (status, told["code"]) == (404, code)
    assert await removals(product) == []
    service = product.service()
    assert (await asked(service, {"identityId": str(identity_id)}))[0] == 202
    # What is being removed is nobody else's to know of either.
    assert (await asked(bert, {"identityId": str(identity_id)}))[0] == 404
    assert (await asked(anna, {"identityId": str(identity_id)}))[0] == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "identity_ambiguous"),
        ({"identityId": None}, "identity_ambiguous"),
        ({"identityId": str(uuid4()), "modelId": 1}, "identity_ambiguous"),
        ({"identityId": "Anna"}, "field_invalid"),
        ({"modelId": "Anna"}, "field_invalid"),
        ({"modelId": 0}, "field_invalid"),
    ],
)
async def test_a_body_that_names_no_one_thing_is_refused(
    product: Product, body: dict[str, Any], code: str
) -> None:
    anna = await product.person(10)
    status, told = await asked(anna, body)
    assert (status, told["code"]) == (400, code)


async def _end(product: Product, removal_id: UUID) -> None:
    await product.admin.execute(
        "select tintype.end_removal($1, '{\"objects\": []}', null, null)", removal_id
    )
