"""What was asked, by method, path, query, headers and body?

`parse` splits a request in two: its `Shape`, which decides the statement, and its values, which
are bound to it. Nothing here knows the database.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from tintype.rest import filtering, grammar
from tintype.rest.grammar import Filter, Item, Star, Term
from tintype.rest.payload import EMPTY, Payload, parse_payload
from tintype.rest.preferences import Preferences, parse_preferences
from tintype.rest.trouble import RestError, unparsed

# What hosted Supabase sets as db-max-rows: no read answers more, at any level.
ROWS_MAX = 1_000
PARAMETERS_MAX = 200
OFFSET_MAX = 2**62

Action = Literal["read", "insert", "update", "delete", "call"]
Media = Literal["array", "object", "csv"]
ACTIONS: Mapping[str, Action] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "insert",
    "PATCH": "update",
    "DELETE": "delete",
}
CONTENT_TYPES = {
    ("array", False): "application/json; charset=utf-8",
    ("object", False): "application/vnd.pgrst.object+json; charset=utf-8",
    ("array", True): "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
    ("object", True): "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8",
    ("csv", False): "text/csv; charset=utf-8",
}
_RANGE = re.compile(r"(\d{1,18})-(\d{0,18})")
_WHOLE = re.compile(r"-?\d{1,18}")


class Window(msgspec.Struct, frozen=True):
    """The slots of the limit and offset of the embed at `path`."""

    path: tuple[str, ...]
    limit: int
    offset: int


class Order(msgspec.Struct, frozen=True):
    """The order of the embed at `path`."""

    path: tuple[str, ...]
    terms: tuple[Term, ...]


class Shape(msgspec.Struct, frozen=True):
    """All of a request that decides its statement. Equal shapes have equal statements.

    `columns` are the payload's, or the arguments' of a call, which come from `argument_slots` when
    there is no body.
    """

    schema: str
    name: str
    action: Action
    media: Media = "array"
    nulls_stripped: bool = False
    bodiless: bool = False
    select: tuple[Item, ...] = (Star(),)
    filters: tuple[Filter, ...] = ()
    orders: tuple[Order, ...] = ()
    windows: tuple[Window, ...] = ()
    columns: tuple[str, ...] = ()
    argument_slots: tuple[int, ...] | None = None
    repeated: tuple[int, ...] = ()
    body: Literal["none", "object", "array"] = "none"
    rows: Literal["none", "one", "many"] = "none"
    on_conflict: tuple[str, ...] = ()
    resolution: str | None = None
    payload_slot: int = -1
    defaults: bool = False
    returning: str = "minimal"
    count: str | None = None


class Request(msgspec.Struct, frozen=True):
    """A request taken apart. `values` are what the shape's slots stand for."""

    method: str
    path: str
    shape: Shape
    values: tuple[str | list[str], ...]
    preferences: Preferences
    offset: int


class _Query:
    """The parts of a query string, gathered as they come."""

    def __init__(self) -> None:
        self.values: list[str | list[str]] = []
        self.select: tuple[Item, ...] = (Star(),)
        self.filters: list[Filter] = []
        self.orders: dict[tuple[str, ...], tuple[Term, ...]] = {}
        self.limits: dict[tuple[str, ...], int] = {}
        self.offsets: dict[tuple[str, ...], int] = {}
        self.columns: tuple[str, ...] | None = None
        self.on_conflict: tuple[str, ...] = ()
        self.arguments: dict[str, list[str]] = {}


def parse(
    method: str, path: str, query: bytes, headers: Mapping[str, list[str]], body: bytes
) -> Request:
    """Return the request. `path` begins after `/rest/v1`; `headers` have lower-case names.

    Raises PGRST100 for a query that does not parse, PGRST102 a body, PGRST103 a range, PGRST107 an
    `Accept`, PGRST117 a method, PGRST122 preferences, PGRST125 and PGRST126 a path.
    """
    name, is_call = _target(path)
    action = _action(method, is_call)
    asked = _read_query(_pairs(query), is_call=is_call and method in ("GET", "HEAD"))
    preferences = parse_preferences(headers.get("prefer", []))
    reads = action == "read" or action == "call"
    media, stripped = _accepted(",".join(headers.get("accept", [])))
    offset, windows = _windows(asked, headers, method, reads)
    payload: Payload | None = None
    if method == "POST" or action == "update":
        empty_call = is_call and not body
        media_type = headers.get("content-type", [""])[0]
        payload = EMPTY if empty_call else parse_payload(body, media_type, columns=asked.columns)
        asked.values.append(payload.text if payload.is_array or is_call else f"[{payload.text}]")
    slots: tuple[int, ...] | None = None
    repeated: tuple[int, ...] = ()
    if is_call and payload is None:
        slots = tuple(_argument(asked, texts) for texts in asked.arguments.values())
        many = [len(texts) > 1 for texts in asked.arguments.values()]
        repeated = tuple(slot for slot, is_list in zip(slots, many, strict=True) if is_list)
    shape = Shape(
        schema=(
            headers.get("content-profile" if payload or action == "delete" else "accept-profile")
            or [""]
        )[0],
        name=name,
        action=action,
        media=media,
        nulls_stripped=stripped,
        bodiless=method == "HEAD",
        select=asked.select,
        filters=tuple(asked.filters),
        orders=tuple(Order(at, terms) for at, terms in asked.orders.items()),
        windows=windows,
        columns=payload.keys if payload else tuple(asked.arguments),
        argument_slots=slots,
        repeated=repeated,
        body="none" if payload is None else "array" if payload.is_array else "object",
        rows="none" if not (payload and payload.rows) else "one" if payload.rows == 1 else "many",
        on_conflict=asked.on_conflict,
        resolution=preferences.resolution if action == "insert" else None,
        payload_slot=-1 if payload is None else len(asked.values) - 1,
        defaults=preferences.missing == "default",
        returning="representation" if reads else preferences.returning or "minimal",
        count=preferences.count,
    )
    return Request(method, path, shape, tuple(asked.values), preferences, offset)


def _target(path: str) -> tuple[str, bool]:
    parts = path.strip("/").split("/")
    if parts == [""]:
        raise RestError("PGRST126", "Root endpoint metadata is disabled")
    if len(parts) == 1:
        return parts[0], False
    if len(parts) == 2 and parts[0] == "rpc" and parts[1]:
        return parts[1], True
    raise RestError("PGRST125", "Invalid path specified in request URL")


def _action(method: str, is_call: bool) -> Action:
    if is_call:
        if method not in ("GET", "HEAD", "POST"):
            raise RestError("PGRST101", "Only GET, HEAD and POST call a function", status=405)
        return "call"
    if method not in ACTIONS:
        raise RestError("PGRST117", f"Unsupported HTTP method: {method}")
    return ACTIONS[method]


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if not query:
        return []
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise RestError(
            "PGRST100",
            "The query string is not valid",
            f"At most {PARAMETERS_MAX} parameters of percent-encoded UTF-8 are read.",
        ) from error


def _read_query(pairs: list[tuple[str, str]], *, is_call: bool) -> _Query:
    asked = _Query()
    for key, text in pairs:
        if key == "select":
            asked.select = grammar.parse_select(text.strip())
        elif key == "columns":
            asked.columns = grammar.parse_names(text)
        elif key == "on_conflict":
            asked.on_conflict = grammar.parse_names(text)
        elif key == "apikey":
            continue
        else:
            _read_parameter(asked, key, text, is_call)
    return asked


_RESERVED = frozenset(("order", "limit", "offset", "and", "or"))


@lru_cache(maxsize=grammar.TEXTS_REMEMBERED_MAX)
def _reserved(key: str) -> tuple[tuple[str, ...], str, bool] | None:
    """Return (path, word, negated) for `rel.order`, `not.and`, …; None for a filter's key."""
    head, _, word = key.rpartition(".")
    if word not in _RESERVED:
        return None
    negated = word in ("and", "or") and (head == "not" or head.endswith(".not"))
    if negated:
        head = head.removesuffix("not").removesuffix(".")
    return (
        grammar.parse_key(head)[0] + (grammar.parse_key(head)[1].name,) if head else (),
        word,
        negated,
    )


def _read_parameter(asked: _Query, key: str, text: str, is_call: bool) -> None:
    reserved = _reserved(key) if len(key) <= grammar.TEXT_CHARACTERS_MAX else None
    if reserved is None:
        if is_call and not filtering.is_filter(text):
            asked.arguments.setdefault(key, []).append(text)
            return
        path, field = grammar.parse_key(key)
        asked.filters.append(Filter(path, filtering.parse_condition(field, text, asked.values)))
        return
    path, word, negated = reserved
    if word == "order":
        if text:
            asked.orders[path] = grammar.parse_order(text)
    elif word in ("limit", "offset"):
        if _WHOLE.fullmatch(text) is None:
            raise unparsed(f"{word} parameter", text, 0, "a whole number")
        (asked.limits if word == "limit" else asked.offsets)[path] = int(text)
    else:
        logic = filtering.parse_logic(word, text, asked.values, negated=negated)
        asked.filters.append(Filter(path, logic))


def _windows(
    asked: _Query, headers: Mapping[str, list[str]], method: str, reads: bool
) -> tuple[int, tuple[Window, ...]]:
    """Return the outermost offset, and every window; at the top a read has one always."""
    top: tuple[str, ...] = ()
    if method in ("GET", "HEAD") and (given := headers.get("range")):
        found = _RANGE.fullmatch(given[0].removeprefix("items="))
        if found and top not in asked.limits and top not in asked.offsets:
            first, last = int(found[1]), int(found[2]) if found[2] else None
            if last is not None and last < first:
                raise RestError(
                    "PGRST103",
                    "Requested range not satisfiable",
                    "The lower boundary must be lower than or equal to the upper boundary"
                    " in the Range header.",
                )
            asked.offsets[top] = first
            if last is not None:
                asked.limits[top] = last - first + 1
    paths = dict.fromkeys([*((top,) if reads else ()), *asked.limits, *asked.offsets])
    windows = []
    for path in paths:
        limit, offset = asked.limits.get(path, ROWS_MAX), asked.offsets.get(path, 0)
        if limit < 0 or offset < 0:
            word = "Limit" if limit < 0 else "Offset"
            raise RestError(
                "PGRST103",
                "Requested range not satisfiable",
                f"{word} should be greater than or equal to zero.",
            )
        asked.values.append(str(min(limit, ROWS_MAX)))
        asked.values.append(str(min(offset, OFFSET_MAX)))
        windows.append(Window(path, len(asked.values) - 2, len(asked.values) - 1))
    return asked.offsets.get(top, 0), tuple(windows)


def _argument(asked: _Query, texts: list[str]) -> int:
    # A repeated argument is a list, for a variadic function.
    asked.values.append(texts[0] if len(texts) == 1 else _array(texts))
    return len(asked.values) - 1


def _array(texts: list[str]) -> str:
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


@lru_cache(maxsize=grammar.TEXTS_REMEMBERED_MAX)
def _accepted(accept: str) -> tuple[Media, bool]:
    """Return the first media type of `Accept` that can be made, and whether nulls are left out."""
    if not accept:
        return "array", False
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        stripped = "nulls=stripped" in parameters
        if kind in ("*/*", "application/*", "application/json"):
            return "array", False
        if kind in ("application/vnd.pgrst.array", "application/vnd.pgrst.array+json"):
            return "array", stripped
        if kind in ("application/vnd.pgrst.object", "application/vnd.pgrst.object+json"):
            return "object", stripped
        if kind == "text/csv":
            return "csv", False
    raise RestError("PGRST107", f"None of these media types are available: {accept[:200]}")
