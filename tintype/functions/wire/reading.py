"""What does a JSON body say?

Strict: what is not JSON, or not of the type a field has, is refused with the field's path. Fields
that nobody knows are not refused, since apps send extra ones, but reported with the nearest name.
"""

import codecs
import re
from collections.abc import Hashable
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast

import msgspec

from tintype.errors import InvalidRequest, UnsupportedMedia

UNKNOWN_FIELDS_REPORTED_MAX = 20
FIELD_NAME_CHARACTERS_MAX = 64
DECODERS_MAX = 256
CHUNK_BYTES = 64 * 1024

T = TypeVar("T")

_PLACE = re.compile(r" - at `(?:key in )?\$?\.?(.*)`$")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_WORD = re.compile(r"\b(str|int|float|bool)\b")
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_content_type(content_type: str | None) -> None:
    """Raise `UnsupportedMedia` unless this announces JSON."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise UnsupportedMedia(
            "content_type_not_json",
            "The body must be JSON, announced as application/json.",
            hint="Give functions.invoke an object as its body, or set the Content-Type header.",
        )


def read_json(body: bytes, kind: type[T], warnings: list[str]) -> T:
    """Return `body` as a `kind`; add a sentence to `warnings` for each unknown top-level field.

    Raises `InvalidRequest`: `body_empty`, `body_not_json` (malformed, NaN, Infinity, not UTF-8,
    nested too deeply) or `field_invalid` with the field's path as `field`.
    """
    if not body:
        raise InvalidRequest("body_empty", "The body is empty; a JSON object is needed.")
    decoder, known = _decoder(cast(Hashable, kind))
    try:
        if not body.isascii():
            _check_utf8(body)
        value: T = decoder.decode(body)
        if known is not None:
            _report_unknown(_names.decode(body).keys() - known, known, warnings)
    except msgspec.ValidationError as error:
        _refuse_field(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidRequest(
            "body_not_json", "The body is not valid JSON.", hint=f"The parser says: {reason}."
        ) from None
    # Postgres cannot store it, in text or in jsonb.
    if b"\\u0000" in body and (place := _place_of_nul(msgspec.to_builtins(value), "")) is not None:
        _refuse_field(f"Text may not hold a NUL character - at `${place}`")
    return value


@lru_cache(maxsize=DECODERS_MAX)
def _decoder(kind: Hashable) -> tuple[msgspec.json.Decoder[Any], frozenset[str] | None]:
    known = None
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        names = {field.encode_name for field in msgspec.structs.fields(kind)}
        tag = kind.__struct_config__.tag_field
        known = frozenset(names | {tag} if tag is not None else names)
    return msgspec.json.Decoder(cast(Any, kind)), known


def _check_utf8(body: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(body), CHUNK_BYTES):
        decoder.decode(body[start : start + CHUNK_BYTES])
    decoder.decode(b"", final=True)


def _report_unknown(unknown: set[str], known: frozenset[str], warnings: list[str]) -> None:
    for name in sorted(unknown)[:UNKNOWN_FIELDS_REPORTED_MAX]:
        short = name[:FIELD_NAME_CHARACTERS_MAX]
        lowered = {field.lower(): field for field in known}
        near = get_close_matches(short.lower().replace("_", ""), lowered, n=1, cutoff=0.6)
        meant = f" Did you mean `{lowered[near[0]]}`?" if near else ""
        warnings.append(f"Unknown field `{short}` was ignored.{meant}")
    if len(unknown) > UNKNOWN_FIELDS_REPORTED_MAX:
        more = len(unknown) - UNKNOWN_FIELDS_REPORTED_MAX
        warnings.append(f"{more} more unknown fields were ignored.")


def _refuse_field(reason: str) -> NoReturn:
    found = _PLACE.search(reason)
    place = found[1] if found else ""
    reason = reason[: found.start()] if found else reason
    if missing := _MISSING.fullmatch(reason):
        place = f"{place}.{missing[1]}".lstrip(".")
        sentence = f"Field `{place}` is required."
    else:
        reason = _WORD.sub(lambda word: _WORDS[word[0]], reason[:1].lower() + reason[1:])
        subject = f"Field `{place}`" if place else "The body"
        sentence = f"{subject}: {reason}."
    raise InvalidRequest("field_invalid", sentence, details={"field": place or "$"}) from None


def _place_of_nul(value: Any, place: str) -> str | None:
    if isinstance(value, str):
        return place if "\0" in value else None
    if isinstance(value, dict):
        for key, item in value.items():
            if "\0" in str(key):
                return place
            if (found := _place_of_nul(item, f"{place}.{key}")) is not None:
                return found
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            if (found := _place_of_nul(item, f"{place}[{index}]")) is not None:
                return found
    return None
