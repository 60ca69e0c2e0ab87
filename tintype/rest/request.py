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
from tintype.rest.payload import EMPTY, Payload, parse_argument, parse_payload
from tintype.rest.preferences import Preferences, parse_preferences
from tintype.rest.trouble import RestError, unparsed

# What hosted Supabase sets as db-max-rows: no read answers more, at any level.
ROWS_MAX = 1_000
QUERY_BYTES_MAX = 65_536
PARAMETERS_MAX = 200
OFFSET_MAX = 2**62

Action = Literal["read", "insert", "update", "delete", "call"]
Media = Literal["array", "object", "csv"]
ACTIONS: Mapping[str, Action] = {
    "GET": "read",
    "HEAD": "read",
    "POST": "insert",
    "PUT": "insert",
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
TOP: tuple[str, ...] = ()
ALL: tuple[Item, ...] = (Star(),)
_RANGE = re.compile(r"(\d{1,18})-(\d{0,18})", re.A)
_QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)", re.A)
_WHOLE = re.compile(r"-?\d{1,18}", re.A)


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
    there is no body. `body` is "none", "object", "array", or the type of a raw argument. A `put`
    writes the one row of its filters; `bounded` promises that few rows are affected.
    """

    schema: str
    name: str
    action: Action
    media: Media = "array"
    nulls_stripped: bool = False
    bodiless: bool = False
    select: tuple[Item, ...] = ALL
    filters: tuple[Filter, ...] = ()
    orders: tuple[Order, ...] = ()
    windows: tuple[Window, ...] = ()
    columns: tuple[str, ...] = ()
    argument_slots: tuple[int, ...] | None = None
    repeated: tuple[int, ...] = ()
    body: str = "none"
    rows: Literal["none", "one", "many"] = "none"
    put: bool = False
    bounded: bool = False
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
        self.select: tuple[Item, ...] | None = None
        self.filters: list[Filter] = []
        self.orders: dict[tuple[str, ...], tuple[Term, ...]] = {}
        self.limits: dict[tuple[str, ...], int] = {}
        self.offsets: dict[tuple[str, ...], int] = {}
        self.columns: tuple[str, ...] | None = None
        self.on_conflict: tuple[str, ...] | None = None
        self.arguments: dict[str, list[str]] = {}


def parse(
    method: str, path: str, query: bytes, headers: Mapping[str, list[str]], body: bytes
) -> Request:
    """Return the request. `path` begins after `/rest/v1`; `headers` have lower-case names.

    Raises PGRST100 for a query that does not parse, PGRST102 a body, PGRST103 a range, PGRST107 an
    `Accept`, PGRST114 a PUT of a page, PGRST117 a method, PGRST122 preferences, PGRST125 a path.
    """
    name, is_call = target(path)
    action = _action(method, is_call)
    asked = _read_query(_pairs(query), is_call=is_call and method in ("GET", "HEAD"))
    preferences = parse_preferences(headers.get("prefer", []))
    reads = action == "read" or action == "call"
    media, stripped = _accepted(",".join(headers.get("accept", ())))
    offset, windows = _windows(asked, headers, method, reads)
    payload: Payload | None = None
    if method in ("POST", "PUT", "PATCH"):
        payload = _payload(asked, headers, body, is_call)
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
        select=ALL if asked.select is None else asked.select,
        filters=tuple(asked.filters),
        orders=tuple(Order(at, terms) for at, terms in asked.orders.items()),
        windows=windows,
        columns=payload.keys if payload else tuple(asked.arguments),
        argument_slots=slots,
        repeated=repeated,
        body=_body_kind(payload),
        rows="none" if not (payload and payload.rows) else "one" if payload.rows == 1 else "many",
        put=method == "PUT",
        bounded=preferences.affected_max is not None,
        on_conflict=asked.on_conflict or () if method == "POST" else (),
        resolution=_resolution(method, action, preferences),
        payload_slot=-1 if payload is None else len(asked.values) - 1,
        defaults=preferences.missing == "default",
        returning="representation" if reads else preferences.returning or "minimal",
        count=preferences.count,
    )
    return Request(method, path, shape, tuple(asked.values), preferences, offset)


def target(path: str) -> tuple[str, bool]:
    """Return the name that `path` asks for, and whether it is a function's; raise PGRST125."""
    parts = path.strip("/").split("/")
    if len(parts) == 1:
        return parts[0], False
    if len(parts) == 2 and parts[0] == "rpc" and parts[1]:
        return parts[1], True
    raise RestError("PGRST125", "Invalid path specified in request URL")


def _payload(
    asked: _Query, headers: Mapping[str, list[str]], body: bytes, is_call: bool
) -> Payload:
    media_type = headers.get("content-type", [""])[0]
    payload = parse_argument(body, media_type) if is_call else None
    if payload is None and is_call and not body:
        payload = EMPTY
    if payload is None:
        payload = parse_payload(body, media_type, columns=asked.columns)
    asked.values.append(payload.text if payload.is_array or is_call else f"[{payload.text}]")
    return payload


def _body_kind(payload: Payload | None) -> str:
    if payload is None:
        return "none"
    return payload.raw or ("array" if payload.is_array else "object")


def _resolution(method: str, action: Action, preferences: Preferences) -> str | None:
    if method == "PUT":
        return "merge-duplicates"
    return preferences.resolution if action == "insert" else None


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
    if len(query) > QUERY_BYTES_MAX:
        raise RestError(
            "PGRST100", f"A query string has at most {QUERY_BYTES_MAX} bytes", status=414
        )
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
        # Of these the first counts when they are repeated.
        if key == "select":
            if asked.select is None:
                asked.select = grammar.parse_select(text.strip())
        elif key == "columns":
            if asked.columns is None:
                asked.columns = grammar.parse_names(text)
        elif key == "on_conflict":
            if asked.on_conflict is None:
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
    if method == "PUT" and (TOP in asked.limits or TOP in asked.offsets):
        raise RestError("PGRST114", "limit/offset querystring parameters are not allowed for PUT")
    if any(limit < 0 for limit in asked.limits.values()):
        raise _not_satisfiable("Limit should be greater than or equal to zero.")
    # RFC 9110, 14.2: a range has a meaning for GET alone.
    if method == "GET" and "range" in headers:
        _intersect(asked, headers["range"][0])
    paths = dict.fromkeys([*((TOP,) if reads else ()), *asked.limits, *asked.offsets])
    windows = []
    for path in paths:
        limit, offset = asked.limits.get(path, ROWS_MAX), max(asked.offsets.get(path, 0), 0)
        asked.values.append(str(min(limit, ROWS_MAX)))
        asked.values.append(str(min(offset, OFFSET_MAX)))
        windows.append(Window(path, len(asked.values) - 2, len(asked.values) - 1))
    return max(asked.offsets.get(TOP, 0), 0), tuple(windows)


def _intersect(asked: _Query, text: str) -> None:
    """Narrow the outermost limit and offset to what a `Range` header leaves of them."""
    found = _RANGE.fullmatch(text.removeprefix("items="))
    if found is None:
        return
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise _not_satisfiable(
            "The lower boundary must be lower than or equal to the upper boundary in the Range"
            " header."
        )
    offset = max(asked.offsets.get(TOP, 0), 0)
    ends = [] if last is None else [last + 1]
    if TOP in asked.limits:
        ends.append(offset + asked.limits[TOP])
    asked.offsets[TOP] = max(first, offset)
    if ends:
        asked.limits[TOP] = max(min(ends) - asked.offsets[TOP], 0)


def _not_satisfiable(details: str) -> RestError:
    return RestError("PGRST103", "Requested range not satisfiable", details)


def _argument(asked: _Query, texts: list[str]) -> int:
    # A repeated argument is a list, for a variadic function.
    asked.values.append(texts[0] if len(texts) == 1 else _array(texts))
    return len(asked.values) - 1


def _array(texts: list[str]) -> str:
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


@lru_cache(maxsize=grammar.TEXTS_REMEMBERED_MAX)
def _accepted(accept: str) -> tuple[Media, bool]:
    """Return the best media type of `Accept` that can be made, and whether nulls are left out."""
    for kind, parameters in media_types(accept):
        stripped = "nulls=stripped" in parameters
        if kind in ("*/*", "application/*", "application/json"):
            return "array", False
        if kind in ("application/vnd.pgrst.array", "application/vnd.pgrst.array+json"):
            return "array", stripped
        if kind in ("application/vnd.pgrst.object", "application/vnd.pgrst.object+json"):
            return "object", stripped
        if kind == "text/csv":
            return "csv", False
    raise not_acceptable(accept)


def media_types(accept: str) -> list[tuple[str, list[str]]]:
    """Return what `Accept` lists, the best first, each with its parameters; blank is anything."""
    listed = []
    for part in (accept.lower() or "*/*").split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        found = [_QUALITY.fullmatch(word) for word in parameters]
        quality = next((float(one[1]) for one in found if one), 1.0)
        if quality > 0:
            listed.append((quality, kind, parameters))
    listed.sort(key=lambda one: -one[0])
    return [(kind, parameters) for _, kind, parameters in listed]


def not_acceptable(accept: str) -> RestError:
    """Return PGRST107 for an `Accept` of which nothing can be made."""
    return RestError("PGRST107", f"None of these media types are available: {accept[:200]}")
