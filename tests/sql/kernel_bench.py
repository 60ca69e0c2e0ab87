"""What does the machine stand on: its connections, and the list of verbs it may call."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import asyncpg
from hypothesis import strategies as st

from tintype import database

T = TypeVar("T")
CONNECTIONS = 4


class Bench:
    """One database and the connections that the examples share."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.url = url
        self.run(database.migrate(url))
        self.pool = self.run(database.connect(url, size_max=2))
        self.admin = self.run(asyncpg.connect(url))
        self.kernels = [self.run(self._connect()) for _ in range(CONNECTIONS)]

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await asyncpg.connect(self.url)
        await connection.execute("set role service_role")
        return connection

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        for connection in [*self.kernels, self.admin, self.pool]:
            self.run(connection.close())
        self.runner.close()


class Verb(NamedTuple):
    """`needs` names the part of the model without which there is nothing to call the verb on."""

    weight: int
    needs: str | None
    call: Callable[..., None]
    arguments: dict[str, st.SearchStrategy[Any]]


VERBS: dict[str, Verb] = {}


def verb(
    weight: int, needs: str | None = None, **arguments: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let the machine call a method: `weight` times as often as one of weight 1.

    Rules of their own would each be switched off in many examples, and few jobs get far then.
    """

    def register(call: Callable[..., None]) -> Callable[..., None]:
        VERBS[call.__name__] = Verb(weight, needs, call, arguments)
        return call

    return register
