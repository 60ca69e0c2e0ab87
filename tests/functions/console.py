"""An operator at the console, over HTTP."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx2

from tests.support.product import Person, Product
from tintype import auth, clock, events
from tintype.database import transaction
from tintype.jobs import Job
from tintype.providers import Catalogue, Model


class Console:
    """Asks as one caller; `see` and `act` return answers that must be 200."""

    def __init__(self, caller: Person) -> None:
        self.caller = caller

    async def ask(self, body: Any) -> httpx2.Response:
        return await self.caller.call("operator", body)

    async def see(self, view: str, **arguments: Any) -> Any:
        answer = await self.ask({"view": view, **arguments})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def act(self, act: str, **arguments: Any) -> Any:
        answer = await self.ask({"act": act, **arguments})
        assert answer.status_code == 200, answer.text
        return answer.json()


def console(product: Product) -> Console:
    """Return the console of the holder of the service key."""
    return Console(product.service())


def named(product: Product, **app_metadata: Any) -> Person:
    """Return a user whose token says so."""
    user_id = uuid4()
    return Person(product, user_id, product.keys.mint(user_id, app_metadata=app_metadata))


async def signed_up(product: Product, email: str) -> Person:
    """Return a user with a row and an address, and no credits."""
    async with transaction(product.pool) as connection:
        user_id = await auth.create_user(connection, email)
    return Person(product, user_id, product.keys.mint(user_id, email=email))


async def ended(product: Product, job_id: UUID | str) -> Job:
    """Return the job once it has ended."""
    async with asyncio.timeout(100):
        while not (job := await product.job(job_id)).is_terminal:
            await asyncio.sleep(0.02)
    return job


def default_model(product: Product) -> Model:
    return Catalogue(product.config.providers).resolve(None, clock.now())[0]


def short(act: dict[str, Any]) -> tuple[str, str, str]:
    return act["act"], act["subject"], act["outcome"]


@contextmanager
def acts_told() -> Iterator[list[dict[str, Any]]]:
    """Yield the acts that are told inside."""
    told: list[dict[str, Any]] = []

    def note(name: str, fields: dict[str, Any]) -> None:
        if name == "OperatorActed":
            told.append(fields)

    forget = events.subscribe(note)
    try:
        yield told
    finally:
        forget()
