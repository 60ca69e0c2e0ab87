"""How are the lists of a Redis reached?"""

from typing import Any, Protocol

import httpx2
import msgspec

from tintype.errors import OperatorError

REQUEST_SECONDS_MAX = 5.0
# A list that others fill is no lane: it is read twice a second.
ELEMENTS_MAX = 2000


class ListsFailed(Exception):
    """Redis could not be asked, or said no. What was asked may have been done all the same."""


class Lists(Protocol):
    """The few commands that carrying needs. Each raises `ListsFailed`."""

    async def contents(self, key: str) -> list[str]:
        """Return all elements, the newest first, of which there are at most `ELEMENTS_MAX`."""

    async def push(self, key: str, value: str) -> None:
        """Put an element at the left; workers pop at the right."""

    async def remove(self, key: str, value: str) -> bool:
        """Take one element out; False if it was not there any more."""

    async def close(self) -> None:
        """Close the connections."""


class RedisLists:
    """Lists of a Redis server, at a `redis://` or `rediss://` URL."""

    def __init__(self, url: str) -> None:
        try:
            import redis.asyncio
            import redis.exceptions
        except ImportError as error:
            raise OperatorError(
                "redis_extra_missing",
                "Carrying queues by Redis needs the package redis.",
                hint="pip install 'tintype[redis]'",
            ) from error
        try:
            self._redis: Any = redis.asyncio.Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=REQUEST_SECONDS_MAX,
                socket_connect_timeout=REQUEST_SECONDS_MAX,
            )
        except ValueError as error:
            raise OperatorError("redis_url_invalid", f"redis_url: {error}.") from error
        self._errors = (redis.exceptions.RedisError, OSError)

    async def contents(self, key: str) -> list[str]:
        return _bounded(key, await self._ask("lrange", key, 0, ELEMENTS_MAX))

    async def push(self, key: str, value: str) -> None:
        await self._ask("lpush", key, value)

    async def remove(self, key: str, value: str) -> bool:
        return bool(await self._ask("lrem", key, 1, value))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, command: str, *arguments: Any) -> Any:
        try:
            return await getattr(self._redis, command)(*arguments)
        except self._errors as error:
            raise ListsFailed(f"{command}: {error!r}") from error


class UpstashLists:
    """Lists of an Upstash database, over its REST API."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx2.Timeout(REQUEST_SECONDS_MAX),
        )

    async def contents(self, key: str) -> list[str]:
        return _bounded(key, await self._ask("LRANGE", key, 0, ELEMENTS_MAX))

    async def push(self, key: str, value: str) -> None:
        await self._ask("LPUSH", key, value)

    async def remove(self, key: str, value: str) -> bool:
        return bool(await self._ask("LREM", key, 1, value))

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, *command: Any) -> Any:
        try:
            answer = await self._http.post("/", content=msgspec.json.encode(command))
            body = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ListsFailed(f"{command[0]}: {error!r}") from error
        if answer.status_code != 200 or "error" in body:
            raise ListsFailed(f"{command[0]}: {answer.status_code} {body.get('error')}")
        return body["result"]


def _bounded(key: str, elements: list[Any]) -> list[str]:
    if len(elements) > ELEMENTS_MAX:
        raise ListsFailed(f"{key} holds more than {ELEMENTS_MAX} elements")
    return [str(one) for one in elements]
