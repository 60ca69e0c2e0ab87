"""Which users are there?

Rows of `auth.users`, in Supabase's shape. The connection acts as the kernel, never as a caller; on
a Supabase project not even that may read the table, so the SQL functions do.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tintype.auth.keys import PROVIDER
from tintype.auth.principal import Principal
from tintype.database import Connection, Pool, named_queries
from tintype.errors import Conflict, InvalidRequest

EMAIL_CHARACTERS_MAX = 254
USERS_PER_PAGE_MAX = 1000
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


class User(msgspec.Struct, frozen=True):
    """Someone who may sign in. An anonymous user has no e-mail."""

    id: UUID
    email: str | None
    is_anonymous: bool
    created_at: datetime
    last_sign_in_at: datetime | None = None


async def create_user(connection: Connection, email: str, *, user_id: UUID | None = None) -> UUID:
    """Add a user whose e-mail counts as confirmed, and return the id.

    The address is kept in lower case. Raises `InvalidRequest` `email_invalid` and `Conflict`
    `user_exists` (same address or id); the caller's transaction goes on after either.
    """
    if not is_email(email):
        raise InvalidRequest("email_invalid", "Unable to validate email address: invalid format")
    made = await connection.fetchval(
        named_queries("auth")["add_user"],
        user_id or uuid4(),
        email.lower(),
        None,
        True,
        "authenticated",
        None,
        PROVIDER,
        {},
    )
    if made is None:
        raise Conflict("user_exists", "A user with this address or id is there already.")
    return UUID(str(made))


def is_email(text: str) -> bool:
    """Return whether `text` can be an address: something, one @, something."""
    return len(text) <= EMAIL_CHARACTERS_MAX and _EMAIL.fullmatch(text) is not None


async def find_user(connection: Connection, who: str | UUID) -> User | None:
    """Return the user with this e-mail (in any case) or id, or None."""
    known = named_queries("auth")
    user_id = (
        who
        if isinstance(who, UUID)
        else await connection.fetchval(known["find_user_id"], who.lower())
    )
    found = await connection.fetchval(known["read_user"], user_id)
    return None if found is None else _user(found)


async def app_metadata_now(pool: Pool, principal: Principal, *, issuer: str) -> Mapping[str, Any]:
    """Return the `app_metadata` of a token's user as it stands now, whatever the token says.

    It is the row's. Of a user without a row, whom another issuer keeps, it is the token's;
    `issuer` is our own. Somebody who is banned, signed out or removed has none. Locks nothing.
    """
    claims = principal.claims
    session_id = parse_id(claims.get("session_id"))
    found = await pool.fetchval(
        named_queries("auth")["find_session"], principal.user_id, session_id
    )
    if found["user"] is None:
        is_removed = session_id is not None and claims.get("iss") == issuer
        said = None if is_removed else claims.get("app_metadata")
    else:
        is_in = found["is_open"] and not found["is_banned"]
        said = found["user"]["app_metadata"] if is_in else None
    return said if isinstance(said, Mapping) else {}


def parse_id(value: object) -> UUID | None:
    """Return the id that a text is, None for anything else."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


async def list_users(connection: Connection, *, limit: int = 50, offset: int = 0) -> list[User]:
    """Return a page of users, newest first; `limit` is at most `USERS_PER_PAGE_MAX`."""
    if not 1 <= limit <= USERS_PER_PAGE_MAX or offset < 0:
        raise InvalidRequest("page_invalid", f"A page has 1 to {USERS_PER_PAGE_MAX} users.")
    page = await connection.fetchval(named_queries("auth")["page_users"], limit, offset)
    return [_user(found) for found in page["users"]]


def _user(document: dict[str, Any]) -> User:
    return msgspec.convert(document | {"email": document["email"] or None}, User)
