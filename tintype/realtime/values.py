"""How is a value from the log written as JSON?

As `to_jsonb` writes it, so that a change and a row read over REST are the same to an app. The
log is read with `DateStyle` ISO and in UTC.
"""

from collections.abc import Callable

import msgspec

Writer = Callable[[str], str]

_encode = msgspec.json.Encoder().encode


def _string(text: str) -> str:
    return _encode(text).decode()


def _number(text: str) -> str:
    # NaN and the infinities are no JSON numbers; to_jsonb quotes them too.
    return text if text[-1].isdigit() else _string(text)


def _boolean(text: str) -> str:
    return "true" if text == "t" else "false"


def _same(text: str) -> str:
    return text


def _timestamp(text: str) -> str:
    return _string(text.replace(" ", "T", 1))


def _timestamptz(text: str) -> str:
    written = text.replace(" ", "T", 1)
    if written.endswith("+00"):
        written += ":00"
    return _string(written)


_WRITERS: dict[str, Writer] = {
    "bool": _boolean,
    "float4": _number,
    "float8": _number,
    "int2": _number,
    "int4": _number,
    "int8": _number,
    "json": _same,
    "jsonb": _same,
    "numeric": _number,
    "oid": _number,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
}


def writer_for(type_name: str, *, is_array: bool = False, delimiter: str = ",") -> Writer:
    """Return what writes values of a type, named as in `pg_type` (of the elements, if an array).

    A type that is not known by name is written as the text that Postgres shows.
    """
    write = _WRITERS.get(type_name, _string)
    if not is_array:
        return write
    return lambda text: _array(text, write, delimiter)


def _array(text: str, write: Writer, delimiter: str) -> str:
    """Return an array literal as JSON; nested arrays stay nested."""
    out: list[str] = []
    place = text.index("{")  # bounds other than 1 come before it
    length = len(text)
    while place < length:
        character = text[place]
        if character == "{":
            out.append("[")
            place += 1
        elif character == "}":
            out.append("]")
            place += 1
        elif character == delimiter:
            out.append(",")
            place += 1
        elif character == '"':
            item, place = _quoted(text, place + 1)
            out.append(write(item))
        else:
            end = place
            while text[end] not in (delimiter, "}"):
                end += 1
            item = text[place:end]
            out.append("null" if item == "NULL" else write(item))
            place = end
    return "".join(out)


def _quoted(text: str, place: int) -> tuple[str, int]:
    """Return the quoted element that begins at `place`, and where it is over."""
    out: list[str] = []
    while text[place] != '"':
        if text[place] == "\\":
            place += 1
        out.append(text[place])
        place += 1
    return "".join(out), place + 1
