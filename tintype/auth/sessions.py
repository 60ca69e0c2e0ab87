"""How does a user stay signed in, and how does that end?

A session is a row; its refresh tokens are a family of which one is active. The table keeps only a
token's name: the token is the name with a code that takes this server's secret to make, so whoever
reads the table can refresh nothing.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Any, Literal
from uuid import UUID

import msgspec

from tintype.auth.keys import KeySet
from tintype.auth.passwords import weaknesses
from tintype.auth.settings import Settings
from tintype.database import Connection, Pool, named_queries
from tintype.errors import Forbidden, InvalidRequest, RequestError

# A token that was used so recently still gives the active one: two tabs, or a lost answer.
REUSE_SECONDS = 10
USED_TOKENS_KEPT_MAX = 100
SESSIONS_PER_USER_MAX = 1000
USER_AGENT_CHARACTERS_MAX = 512
NAME_BYTES = 32
NAME_CHARACTERS = 43
CODE_CHARACTERS = 22
# Supabase's own tokens have 12 or 22; with them the sessions of a Supabase project go on here.
FOREIGN_CHARACTERS_MAX = 32
Scope = Literal["global", "local", "others"]
SCOPES: tuple[Scope, ...] = ("global", "local", "others")


class Caller(msgspec.Struct, frozen=True):
    """Where a sign-in comes from, kept with the session."""

    user_agent: str | None
    ip: str | None


class Session(msgspec.Struct, frozen=True):
    """An open session, as the database describes it, with the name of its active refresh token.

    `user` is GoTrue's document of the user, `signed_in_at` counts unix seconds.
    """

    session_id: UUID
    refresh_token: str
    user: dict[str, Any]
    method: str
    signed_in_at: int


async def open_session(
    connection: Connection,
    user_id: UUID,
    *,
    method: str,
    caller: Caller,
    settings: Settings,
    password_hash: str | None = None,
    password_rehashed: str | None = None,
) -> Session | None:
    """Open a session, or return None if the user is gone, banned, or has another password by now.

    `password_hash` is the one that was checked; `password_rehashed` replaces it. Locks the user.
    """
    found = await connection.fetchval(
        named_queries("auth")["open_session"],
        user_id,
        password_hash,
        password_rehashed,
        method,
        secrets.token_urlsafe(NAME_BYTES),
        caller.user_agent,
        caller.ip,
        settings.session_seconds_max,
        SESSIONS_PER_USER_MAX,
    )
    return None if found is None else msgspec.convert(found, Session)


async def rotate(connection: Connection | Pool, refresh_token: str, secret: bytes) -> Session:
    """Use a refresh token up and return its session with the active one.

    Of calls at once with one token each gets the same new one, as does a repetition within
    `REUSE_SECONDS`, or of the active token's parent. Any other repetition revokes the family.
    Raises `InvalidRequest` `refresh_token_not_found`, `refresh_token_already_used`,
    `session_expired`, `user_banned`; `Forbidden` `user_not_found`. Locks the session.
    """
    name = _name_of(refresh_token, secret)
    if name is None:
        raise _refused("not_found")
    found = await connection.fetchval(
        named_queries("auth")["rotate_session"],
        name,
        secrets.token_urlsafe(NAME_BYTES),
        REUSE_SECONDS,
        USED_TOKENS_KEPT_MAX,
    )
    if found["outcome"] != "open":
        raise _refused(found["outcome"])
    return msgspec.convert(found, Session)


async def revoke(
    connection: Connection | Pool, user_id: UUID, scope: Scope, session_id: UUID | None
) -> int:
    """End the user's sessions (`local`: this one, `others`: all but this one) and count them."""
    ended: int = await connection.fetchval(
        named_queries("auth")["revoke_sessions"], user_id, scope, session_id
    )
    return ended


def token_response(keys: KeySet, session: Session, settings: Settings) -> dict[str, Any]:
    """Return GoTrue's answer to a sign-in: an access token made now, and the refresh token."""
    user = session.user
    seconds = settings.access_token_seconds
    access_token = keys.mint(
        UUID(user["id"]),
        email=user["email"],
        phone=user["phone"],
        seconds=seconds,
        role=user["role"],
        app_metadata=user["app_metadata"],
        user_metadata=user["user_metadata"],
        session_id=session.session_id,
        is_anonymous=user["is_anonymous"],
        method=session.method,
        signed_in_at=session.signed_in_at,
    )
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": seconds,
        "expires_at": keys.verify(access_token).claims["exp"],
        "refresh_token": _token_of(session.refresh_token, keys.refresh_secret),
        "user": user,
    }


def weakness_note(password: str, settings: Settings) -> dict[str, Any]:
    """Return what a sign-in with a password that is too weak by now adds to its answer."""
    reasons = weaknesses(password, settings)
    return {"weak_password": {"reasons": reasons}} if reasons else {}


def _name_of(refresh_token: str, secret: bytes) -> str | None:
    """Return the name a token is kept under, or None for one that was never given."""
    if len(refresh_token) <= FOREIGN_CHARACTERS_MAX:
        return refresh_token if refresh_token.isascii() and refresh_token.isprintable() else None
    name, code = refresh_token[:NAME_CHARACTERS], refresh_token[NAME_CHARACTERS:]
    return name if hmac.compare_digest(code.encode(), _code_of(name, secret).encode()) else None


def _token_of(name: str, secret: bytes) -> str:
    return name if len(name) <= FOREIGN_CHARACTERS_MAX else name + _code_of(name, secret)


def _code_of(name: str, secret: bytes) -> str:
    code = urlsafe_b64encode(hmac.digest(secret, name.encode(), "sha256")).decode()
    return code[:CODE_CHARACTERS]


def _refused(outcome: str) -> RequestError:
    if outcome == "user_not_found":
        return Forbidden("user_not_found", "User from sub claim in JWT does not exist")
    code, message = {
        "not_found": ("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"),
        "reused": ("refresh_token_already_used", "Invalid Refresh Token: Already Used"),
        "expired": ("session_expired", "Invalid Refresh Token: Session Expired"),
        "banned": ("user_banned", "Invalid Refresh Token: User Banned"),
    }[outcome]
    return InvalidRequest(code, message)
