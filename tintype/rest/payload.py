"""Which rows, or arguments, does a body bring?

The body goes to Postgres as the JSON it is; here it is only looked at for its keys. CSV and forms
become the same JSON first.
"""

import csv
import io
from urllib.parse import parse_qsl

import msgspec

from tintype.rest.trouble import RestError

FORM_FIELDS_MAX = 1_000

# What a function of one argument without a name can take as it is, by its media type.
RAW_TYPES = {
    "text/plain": "text",
    "text/xml": "xml",
    "application/xml": "xml",
    "application/octet-stream": "bytea",
}


class Payload(msgspec.Struct, frozen=True):
    """JSON text of one array of objects (`rows`) or one object, with the keys of its objects.

    With `raw`, the type of which `text` is a whole value instead.
    """

    text: str
    keys: tuple[str, ...]
    rows: int
    is_array: bool
    raw: str | None = None


EMPTY = Payload("{}", (), 1, False)


def parse_payload(body: bytes, media_type: str, *, columns: tuple[str, ...] | None) -> Payload:
    """Return what `body` brings. With `columns` objects may differ in keys.

    Raises PGRST102 for what is not JSON, not objects, or objects of different keys.
    """
    kind = _kind(media_type)
    if kind == "text/csv":
        return _from_csv(body)
    if kind == "application/x-www-form-urlencoded":
        return _from_form(body)
    if kind not in ("application/json", "text/json") and not kind.endswith("+json"):
        raise RestError("PGRST102", f"Content-Type not acceptable: {kind[:100]}")
    try:
        text = body.decode("utf-8")
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RestError("PGRST102", "Empty or invalid json") from error
    if isinstance(value, dict):
        return Payload(text, columns or tuple(value), 1, False)
    if not isinstance(value, list):
        raise RestError("PGRST102", "Empty or invalid json")
    if not all(isinstance(row, dict) for row in value):
        raise RestError("PGRST102", "All object keys must match")
    if columns is not None:
        return Payload(text, columns, len(value), True)
    keys = value[0].keys() if value else ()
    if any(row.keys() != keys for row in value):
        raise RestError("PGRST102", "All object keys must match")
    return Payload(text, tuple(keys), len(value), True)


def parse_argument(body: bytes, media_type: str) -> Payload | None:
    """Return the body of a call as one value of a `RAW_TYPES`, None where it is no such thing."""
    kind = RAW_TYPES.get(_kind(media_type))
    if kind is None:
        return None
    if kind == "bytea":
        return Payload("\\x" + body.hex(), (), 1, False, kind)
    try:
        return Payload(body.decode("utf-8"), (), 1, False, kind)
    except UnicodeDecodeError as error:
        raise RestError("PGRST102", "The body is not UTF-8") from error


def _kind(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower() or "application/json"


def _from_csv(body: bytes) -> Payload:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise RestError("PGRST102", f"Invalid csv: {error}") from error
    if not lines:
        raise RestError("PGRST102", "Empty csv")
    header, rows = lines[0], [line for line in lines[1:] if line]
    if any(len(row) != len(header) for row in rows):
        raise RestError("PGRST102", "All lines must have same number of fields")
    objects = [
        {name: None if cell == "NULL" else cell for name, cell in zip(header, row, strict=True)}
        for row in rows
    ]
    return Payload(_text(objects), tuple(dict.fromkeys(header)), len(objects), True)


def _from_form(body: bytes) -> Payload:
    try:
        pairs = dict(
            parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=FORM_FIELDS_MAX,
            )
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise RestError("PGRST102", "Invalid form") from error
    return Payload(_text(pairs), tuple(pairs), 1, False)


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
