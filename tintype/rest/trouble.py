"""How does a client of PostgREST learn that its request failed?

By `{code, message, details, hint}`, all four always there, and the code again in `Proxy-Status`.
Codes and sentences are PostgREST's (docs/references/errors), Postgres's own errors go through with
their SQLSTATE; which HTTP status each gets is the table below.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import asyncpg
import msgspec

from tintype.database import is_passing
from tintype.errors import RequestError, Unauthenticated
from tintype.rest.overrides import raised_answer, raised_body

STATUSES = {
    "PGRST100": 400,
    "PGRST102": 400,
    "PGRST103": 416,
    "PGRST105": 405,
    "PGRST106": 406,
    "PGRST107": 406,
    "PGRST108": 400,
    "PGRST111": 500,
    "PGRST112": 500,
    "PGRST114": 400,
    "PGRST115": 400,
    "PGRST116": 406,
    "PGRST117": 405,
    "PGRST118": 400,
    "PGRST120": 400,
    "PGRST121": 500,
    "PGRST122": 400,
    "PGRST124": 400,
    "PGRST125": 404,
    "PGRST128": 400,
    "PGRST200": 400,
    "PGRST201": 300,
    "PGRST202": 404,
    "PGRST203": 300,
    "PGRST204": 400,
    "PGRST205": 404,
    "PGRST301": 401,
    "PGRST303": 401,
    "PGRST000": 503,
    "PGRST003": 504,
    "PGRSTX00": 500,
}
SQL_STATUSES = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42P01": 404,
    "42883": 404,
    "42P17": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
    "TT400": 400,
    "TT404": 404,
    "TT409": 409,
    # pg-safeupdate refuses before anything runs, with the state that a subquery of many rows has.
    "21000": 500,
}
SQL_CLASSES = {
    "08": 503,
    "53": 503,
    "0L": 403,
    "0P": 403,
    "28": 403,
    # Nested too deep or in too many dimensions: PostgREST's 500 would blame the server.
    "54": 400,
    **dict.fromkeys(
        ("09", "25", "2D", "38", "39", "3B", "40", "55", "57", "58", "F0", "HV", "P0", "XX"),
        500,
    ),
}
# What a catalogue that is older than the schema gets wrong.
MISSES = frozenset(("PGRST200", "PGRST202", "PGRST204", "PGRST205", "42703", "42704"))
STALE = frozenset(("42703", "42P01", "42883", "42704"))
JWT_SENTENCES = {
    "token_expired": ("PGRST303", "JWT expired"),
    "token_not_yet_valid": ("PGRST303", "JWT not yet valid"),
    "token_audience": ("PGRST303", "JWT not in audience"),
    "token_key_unknown": ("PGRST301", "No suitable key or wrong key type"),
}
JWT_PARTS = 3
NAME_GUESSED_CHARACTERS_MAX = 100
NAMES_TOLD_CHARACTERS_MAX = 500


class RestError(Exception):
    """The request ends here, with this body. `status` follows from the code unless it is given."""

    def __init__(
        self,
        code: str,
        message: str,
        details: Any = None,
        hint: str | None = None,
        *,
        status: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.status = status or STATUSES.get(code, 400)
        self.headers = headers

    def body(self) -> bytes:
        """Return the JSON body."""
        return msgspec.json.encode(
            {
                "code": self.code,
                "message": _printable(self.message),
                "details": _printable(self.details),
                "hint": _printable(self.hint),
            }
        )


def told(name: str) -> str:
    """Return a caller's word, short enough to be repeated to it."""
    return name[:NAMES_TOLD_CHARACTERS_MAX]


def unparsed(what: str, text: str, column: int, expected: str) -> RestError:
    """Return PGRST100: `text` stops being a `what` at `column` (from 0)."""
    found = f"'{text[column]}'" if column < len(text) else "end of input"
    return RestError(
        "PGRST100",
        f'"failed to parse {what} ({text[:200]})" (line 1, column {column + 1})',
        f"unexpected {found} expecting {expected}",
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `name` was probably meant to be."""
    if len(name) > NAME_GUESSED_CHARACTERS_MAX:
        return None
    found = get_close_matches(name, known, 1)
    return found[0] if found else None


def no_column(relation: str, column: str) -> RestError:
    """Return what Postgres says of a column that is not there."""
    return RestError("42703", f"column {relation}.{told(column)} does not exist")


def as_rest_error(error: Exception, role: str, authorization: str = "") -> RestError | None:
    """Return how `error` is told to a caller of `role`; None for a defect of our own."""
    if isinstance(error, RestError):
        return error
    if isinstance(error, Unauthenticated):
        return _unauthenticated(error, authorization)
    if isinstance(error, RequestError):
        return RestError(error.code, error.message, hint=error.hint, status=error.status)
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate is not None:
        return _from_postgres(error, role)
    if isinstance(error, TimeoutError):
        return RestError("PGRST003", "Timed out waiting for the database.")
    if is_passing(error):
        return RestError(
            "PGRST000", "Database connection error. Retrying the connection.", status=503
        )
    return None


def _from_postgres(error: asyncpg.PostgresError, role: str) -> RestError:
    state = str(error.sqlstate)
    if state == "PGRST":
        return _raised(error)
    message = str(getattr(error, "message", None) or error)
    if state == "42501":
        status = 401 if role == "anon" else 403
    elif state[:2] == "PT" and state[2:].isdigit() and 200 <= int(state[2:]) <= 599:
        status = int(state[2:])
    elif state == "21000" and message.startswith("ON CONFLICT"):
        # The payload holds the same key twice.
        status = 400
    else:
        status = SQL_STATUSES.get(state) or SQL_CLASSES.get(state[:2], 400)
    return RestError(
        state,
        message,
        getattr(error, "detail", None),
        getattr(error, "hint", None),
        status=status,
        headers=((b"www-authenticate", b"Bearer"),) if status == 401 else (),
    )


def _raised(error: asyncpg.PostgresError) -> RestError:
    """Return the answer that `raise sqlstate 'PGRST'` spells out in its message and detail."""
    message = str(getattr(error, "message", None) or error)
    detail = getattr(error, "detail", None)
    body = raised_body(message)
    answer = None if detail is None else raised_answer(detail)
    if body is not None and answer is not None:
        status, headers = answer
        return RestError(
            body.code,
            body.message,
            body.details,
            body.hint,
            status=status,
            headers=tuple(headers),
        )
    what, text, keys = (
        ("MESSAGE", message, "'code', 'message' and optional keys: 'details', 'hint'")
        if body is None
        else ("DETAIL", detail, "'status', 'headers' and optional key: 'status_text'")
    )
    return RestError(
        "PGRST121",
        "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
        f"{what} is missing in the RAISE statement"
        if text is None
        else f"Invalid JSON value for {what}: '{text}'",
        f"{what} must be a JSON object with obligatory keys: {keys}.",
    )


def _unauthenticated(error: Unauthenticated, authorization: str) -> RestError:
    code, sentence = JWT_SENTENCES.get(
        error.code, ("PGRST301", "JWT cryptographic operation failed")
    )
    parts = authorization.rpartition(" ")[2].split(".")
    if error.code == "token_malformed" and len(parts) != JWT_PARTS:
        sentence = f"Expected {JWT_PARTS} parts in JWT; got {len(parts)}"
    challenge = f'Bearer error="invalid_token", error_description="{sentence}"'
    return RestError(code, sentence, headers=((b"www-authenticate", challenge.encode("ascii")),))


def _printable(value: Any) -> Any:
    # A caller's JSON may name half of a surrogate pair, which no UTF-8 can repeat.
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value
