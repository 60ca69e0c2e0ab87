"""Requests of train-identity, and what has become of them."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx2

from tests.identities.bodies import base64_of, picture
from tests.support.product import Person, Product

WAIT_SECONDS_MAX = 100
_PICTURES: dict[int, str] = {}


def image_files(count: int) -> list[dict[str, str]]:
    """Return so many different pictures as text 5 shows them: data URLs with a name."""
    for seed in range(count):
        if seed not in _PICTURES:
            _PICTURES[seed] = f"data:image/jpeg;base64,{base64_of(picture(side=300, seed=seed))}"
    return [{"name": f"photo{seed + 1}.jpg", "data": _PICTURES[seed]} for seed in range(count)]


def asked(person: Person, count: int = 3, **members: Any) -> dict[str, Any]:
    """Return the body of a request of `person`'s."""
    body = {
        "identityName": "John",
        "imageFiles": image_files(count),
        "userId": str(person.id),
    } | members
    return {name: value for name, value in body.items() if value is not None}


async def train(person: Person, count: int = 3, **members: Any) -> httpx2.Response:
    return await person.call("train-identity", asked(person, count, **members))


async def trained(person: Person, count: int = 3, **members: Any) -> dict[str, Any]:
    """Ask for an identity, which must be accepted, and return the answer."""
    answer = await train(person, count, **members)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def identity(product: Product, identity_id: str | UUID) -> dict[str, Any]:
    row = await product.admin.fetchrow(
        "select * from public.trained_identities where id = $1", UUID(str(identity_id))
    )
    assert row is not None
    return dict(row)


async def becomes(
    product: Product, identity_id: str | UUID, is_so: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the identity's row as soon as it is so."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            row = await identity(product, identity_id)
            if is_so(row):
                return row
            await asyncio.sleep(0.02)


async def ended(product: Product, identity_id: str | UUID) -> dict[str, Any]:
    return await becomes(product, identity_id, lambda row: row["status"] != "training")


async def tree(product: Product, user_id: UUID, repository: str) -> dict[str, str]:
    """Return path and media type of every object of an identity's tree."""
    prefix = f"{user_id}/{repository}/"
    rows = await product.admin.fetch(
        "select name, metadata ->> 'mimetype' as kind from storage.objects"
        " where bucket_id = 'identities' and starts_with(name, $1)",
        prefix,
    )
    return {row["name"].removeprefix(prefix): row["kind"] for row in rows}


async def make_due(product: Product) -> None:
    """Let every delayed job's time have come."""
    await product.admin.execute("update tintype.delayed set run_at = now()")


async def removed(product: Product) -> None:
    """Let every removal's time have come, and wait until all are done."""
    async with asyncio.timeout(60):
        while await product.admin.fetchval(
            "update tintype.removals set not_before = now() where done_at is null"
            " returning not_before"
        ):
            await asyncio.sleep(0.2)
