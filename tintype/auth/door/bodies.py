"""What may a request's body be? Fields that are not named here are ignored."""

import asyncio
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from tintype.errors import InvalidRequest, TooLarge

BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS_MAX = 10
METADATA_LEVELS_MAX = 32
# Beyond this JSON's integers are nobody's, and slow to write down.
INTEGER_BITS_MAX = 1024
Json = dict[str, Any]


class SignUp(msgspec.Struct, frozen=True):
    """`POST /signup`; without e-mail and phone it is anonymous."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None
    data: Json | None = None


class PasswordGrant(msgspec.Struct, frozen=True):
    """`POST /token?grant_type=password`."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None


class RefreshGrant(msgspec.Struct, frozen=True):
    """`POST /token?grant_type=refresh_token`."""

    refresh_token: str | None = None


class OwnChanges(msgspec.Struct, frozen=True):
    """`PUT /user`: what users may change about themselves."""

    email: str | None = None
    phone: str | None = None
    password: str | None = None
    data: Json | None = None


class AdminChanges(msgspec.Struct, frozen=True):
    """`POST /admin/users` and `PUT /admin/users/{id}`."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    password: str | None = None
    password_hash: str | None = None
    email_confirm: bool | None = None
    role: str | None = None
    ban_duration: str | None = None
    app_metadata: Json | None = None
    user_metadata: Json | None = None


class Deletion(msgspec.Struct, frozen=True):
    """`DELETE /admin/users/{id}`."""

    should_soft_delete: bool = False


class Enrollment(msgspec.Struct, frozen=True):
    """`POST /factors`."""

    factor_type: str | None = None


Body = TypeVar("Body", bound=msgspec.Struct)


async def read(request: Request, kind: type[Body], *, may_be_empty: bool = False) -> Body:
    """Return the body as `kind`, whatever its content type says.

    At most `BODY_BYTES_MAX` are taken in, for `BODY_SECONDS_MAX`. Raises `InvalidRequest`
    `bad_json` (unparsable), `validation_failed` (a wrong type, or what no database keeps),
    `request_timeout`; `TooLarge` `body_too_large`.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            content = await _whole(request)
    except TimeoutError:
        raise InvalidRequest("request_timeout", "The body took too long to arrive.") from None
    if may_be_empty and not content:
        return kind()
    try:
        body = msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest("validation_failed", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "bad_json", f"Could not parse request body as JSON: {error}"
        ) from error
    for value in msgspec.structs.astuple(body):
        _check(value, 0)
    return body


async def _whole(request: Request) -> bytes:
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > BODY_BYTES_MAX:
            raise TooLarge("body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    return bytes(content)


def _check(value: Any, level: int) -> None:
    """Refuse what JSON can say and Postgres cannot keep, and what is nested for no good."""
    if level > METADATA_LEVELS_MAX:
        raise InvalidRequest(
            "validation_failed", f"A body is nested at most {METADATA_LEVELS_MAX} levels deep."
        )
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidRequest("validation_failed", "Text cannot hold the character NUL.")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key, level)
            _check(inner, level + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, level + 1)
    elif isinstance(value, int) and value.bit_length() > INTEGER_BITS_MAX:
        raise InvalidRequest("validation_failed", "A number is out of range.")
