"""How does an answer become bytes?"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tintype.errors import RequestError, TooManyRequests, Unavailable
from tintype.functions.function import Answer, Reply
from tintype.functions.wire.gateway import GatewayError

Header = tuple[bytes, bytes]

BODILESS = (204, 304)

_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BYTES = (b"content-type", b"application/octet-stream")
_HEADER_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_encoder = msgspec.json.Encoder()


class Packed(msgspec.Struct, frozen=True):
    """An answer ready to send."""

    status: int
    headers: list[Header]
    body: bytes


def pack(answer: Answer, warnings: list[str]) -> Packed:
    """Return the answer as status, headers and bytes.

    `warnings`, if any, are added to a JSON object that has no such key. Raises `TypeError` or
    `ValueError` for something that cannot be sent.
    """
    if not isinstance(answer, Reply):
        if answer is None:
            return Packed(204, [], b"")
        return Packed(200, [_JSON], _encoder.encode(_with_warnings(answer, warnings)))
    if not 200 <= answer.status <= 599:
        raise ValueError(f"An answer cannot have the status {answer.status}.")
    headers = checked_headers(answer.headers)
    if answer.status in BODILESS:
        return Packed(answer.status, headers, b"")
    kind, body = _content(answer.body, warnings)
    if kind is not None and not any(name == b"content-type" for name, _ in headers):
        headers.append(kind)
    return Packed(answer.status, headers, body)


def pack_refusal(
    error: RequestError, warnings: list[str], fields: Mapping[str, Any] | None = None
) -> Packed:
    """Return the answer for a request that the caller can mend; `fields` stand in its body."""
    headers = [_JSON]
    if isinstance(error, TooManyRequests | Unavailable) and error.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % max(1, error.retry_after_seconds)))
    body = _encoder.encode(_with_warnings({**(fields or {}), **error.body()}, warnings))
    return Packed(error.status, headers, body)


def pack_gateway(error: GatewayError) -> Packed:
    """Return the platform's own answer, in the gateway's shape."""
    headers = [_JSON, (b"sb-error-code", error.code.encode())]
    return Packed(error.status, headers, _encoder.encode(error.body()))


def checked_headers(headers: Mapping[str, str]) -> list[Header]:
    """Return the headers as bytes; raise `ValueError` for a name or value HTTP cannot carry."""
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    for name, value in encoded:
        if not _HEADER_NAME.fullmatch(name) or _HEADER_VALUE_FORBIDDEN.search(value):
            raise ValueError(f"The answer's header {name!r} cannot be sent.")
    # The length is counted from the bytes; another one would end or hang the connection.
    return [pair for pair in encoded if pair[0] not in (b"content-length", b"transfer-encoding")]


def _content(body: Any, warnings: list[str]) -> tuple[Header | None, bytes]:
    if body is None:
        return None, b""
    if isinstance(body, bytes | bytearray | memoryview):
        return _BYTES, bytes(body)
    if isinstance(body, str):
        return _TEXT, body.encode()
    return _JSON, _encoder.encode(_with_warnings(body, warnings))


def _with_warnings(body: Any, warnings: list[str]) -> Any:
    if not warnings:
        return body
    if isinstance(body, msgspec.Struct):
        body = msgspec.to_builtins(body)
    if isinstance(body, dict) and "warnings" not in body:
        return {**body, "warnings": warnings}
    return body
