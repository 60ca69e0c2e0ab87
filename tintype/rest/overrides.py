"""What may the database say about its own answer?

A function may set `response.status` and `response.headers`, or raise SQLSTATE `PGRST` with a whole
answer in its message and detail. None of it is trusted to be well formed.
Source: docs.postgrest.org/en/stable/references/transactions.html#response-headers and
errors.html#add-http-headers-with-raise.
"""

import re
from collections.abc import Iterable

import msgspec

Header = tuple[bytes, bytes]

STATUS_MIN, STATUS_MAX = 200, 599
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
# What the server itself frames an answer with.
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection"))


class Raised(msgspec.Struct, frozen=True):
    """The body that `raise sqlstate 'PGRST'` gives as its message."""

    code: str
    message: str
    details: str | None = None
    hint: str | None = None


class RaisedAnswer(msgspec.Struct, frozen=True):
    """The status and headers that it gives as its detail. `status_text` is not sent."""

    status: int
    headers: dict[str, str]


def status_of(text: str) -> int | None:
    """Return the status that `text` says, None where it says none."""
    if not (text.isascii() and text.isdigit() and len(text) == len("200")):
        return None
    return int(text) if STATUS_MIN <= int(text) <= STATUS_MAX else None


def headers_of(text: str) -> list[Header] | None:
    """Return the headers of a JSON list of objects of one pair, None where it is not one."""
    try:
        given = msgspec.json.decode(text, type=list[dict[str, str]])
    except msgspec.DecodeError:
        return None
    return _fit(pair for one in given for pair in one.items())


def raised_body(text: str) -> Raised | None:
    """Return what the message of a `PGRST` error says, None where it is no such JSON."""
    try:
        return msgspec.json.decode(text, type=Raised)
    except msgspec.DecodeError:
        return None


def raised_answer(text: str) -> tuple[int, list[Header]] | None:
    """Return the status and headers that its detail says, None where it is no such JSON."""
    try:
        given = msgspec.json.decode(text, type=RaisedAnswer)
    except msgspec.DecodeError:
        return None
    headers = _fit(given.headers.items())
    if headers is None or not STATUS_MIN <= given.status <= STATUS_MAX:
        return None
    return given.status, headers


def _fit(pairs: Iterable[tuple[str, str]]) -> list[Header] | None:
    headers: list[Header] = []
    for name, value in pairs:
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            return None
        if name.lower() in _FRAMING:
            return None
        headers.append((name.lower().encode("ascii"), value.encode("latin-1")))
    return headers
