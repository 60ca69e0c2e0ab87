"""How does a request reach a provider over HTTP?

One policy for all of them: explicit connect, read and total times, no retries (the queue owns
them), no redirects, no proxies from the environment, and a bound on the answer while it streams.
Every way in which HTTP can fail leaves here as a `Transient`.
"""

import asyncio
import functools
import math
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from tintype import clock
from tintype.config import ProvidersConfig
from tintype.errors import Misconfigured, Quota, Transient

ANSWER_BYTES_MAX = 128 * 1024 * 1024
CONNECTIONS_MAX = 256
MESSAGE_CHARACTERS_MAX = 500
QUOTA_SECONDS_DEFAULT = 30.0
QUOTA_SECONDS_MIN = 1.0
QUOTA_SECONDS_MAX = 24 * 3600.0

UNSENDABLE = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    UnicodeEncodeError,
)


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body. Raises `Transient` when it is empty, truncated or HTML."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise Transient(
                "answer_unreadable",
                f"The provider's answer of {len(self.body)} bytes is not whole JSON.",
            ) from None

    def json_or_none(self) -> Any:
        """Return the parsed body of an error answer, None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None


@functools.cache
def trusted() -> ssl.SSLContext:
    """Return the system's trust, read once: it takes tens of milliseconds."""
    return httpx2.create_ssl_context(trust_env=False)


class Wire:
    """One provider's HTTP client."""

    def __init__(self, config: ProvidersConfig) -> None:
        self._seconds_max = config.request_seconds_max
        self._client = httpx2.AsyncClient(
            verify=trusted(),
            timeout=httpx2.Timeout(config.request_seconds_max, connect=config.connect_seconds_max),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=32),
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
            follow_redirects=False,
            trust_env=False,
        )

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        json: Any = None,
        fields: Mapping[str, str] | None = None,
        files: list[tuple[str, tuple[str, bytes, str]]] | None = None,
    ) -> Answer:
        """Send one POST, as JSON or as multipart `fields` and `files`, and return the answer.

        Raises `Transient` (`provider_timeout`, `provider_unreachable`, `answer_too_large`), and
        `Misconfigured` when the base URL cannot be one.
        """
        if files is not None:
            body: dict[str, Any] = {"data": fields, "files": files}
        else:
            body = {"content": msgspec.json.encode(json)}
            headers = {"Content-Type": "application/json", **headers}
        try:
            async with (
                asyncio.timeout(self._seconds_max),
                self._client.stream("POST", url, headers=dict(headers), **body) as response,
            ):
                return Answer(response.status_code, response.headers, await _read(response))
        except (TimeoutError, httpx2.TimeoutException):
            raise Transient(
                "provider_timeout", "The provider did not answer in time; it may on another try."
            ) from None
        except UNSENDABLE as error:
            raise Misconfigured(
                "provider_settings_invalid",
                f"The provider's base URL or key cannot be sent: {type(error).__name__}.",
            ) from None
        except httpx2.HTTPError as error:
            raise Transient(
                "provider_unreachable",
                f"The connection to the provider failed: {type(error).__name__}.",
            ) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()


async def _read(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise Transient(
                "answer_too_large", f"The provider's answer is over {ANSWER_BYTES_MAX} bytes."
            )
    return bytes(body)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the wait that `retry-after-ms` or `Retry-After` (seconds or a date) asks for."""
    milliseconds = seconds_or_none(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "").strip()
    seconds = seconds_or_none(value)
    if seconds is not None:
        return seconds
    try:
        return (parsedate_to_datetime(value) - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def seconds_or_none(value: object) -> float | None:
    """Return `value` as a finite number of seconds, None when it is not one."""
    if not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def quota(message: str, seconds: float | None, *, daily: bool = False) -> Quota:
    """Return a `Quota` whose wait is within `QUOTA_SECONDS_MIN` … `QUOTA_SECONDS_MAX`."""
    wait = QUOTA_SECONDS_DEFAULT if seconds is None else seconds
    wait = min(max(wait, QUOTA_SECONDS_MIN), QUOTA_SECONDS_MAX)
    return Quota(message, retry_after_seconds=wait, daily=daily)


def server_error(status: int, message: str) -> Transient:
    """Return the error for an answer that blames the provider itself."""
    return Transient("provider_unavailable", f"The provider answered {status}. {message}".strip())


def pick(value: Any, *path: str | int) -> Any:
    """Return what lies at `path` in parsed JSON, None where anything is missing or another type."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and len(value) > step else None
    return value


def pick_text(value: Any, *path: str | int) -> str:
    """Return the text at `path`, bounded for a message; empty when there is none."""
    found = pick(value, *path)
    return found.strip()[:MESSAGE_CHARACTERS_MAX] if isinstance(found, str) else ""


def pick_list(value: Any, *path: str | int) -> list[Any]:
    """Return the list at `path`, empty when there is none."""
    found = pick(value, *path)
    return found if isinstance(found, list) else []
