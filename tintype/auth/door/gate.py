"""Who stands at the door?"""

import ipaddress
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request

from tintype.auth.door.refusals import BadKey
from tintype.auth.gateway import authenticate
from tintype.auth.keys import KeySet
from tintype.auth.sessions import USER_AGENT_CHARACTERS_MAX, Caller
from tintype.auth.users import parse_id
from tintype.errors import Forbidden, Unauthenticated


class Bearer(msgspec.Struct, frozen=True):
    """The user whom a verified access token names, with its session where it has one."""

    user_id: UUID
    session_id: UUID | None


async def check_key(keys: KeySet, request: Request) -> None:
    """Let a request in that brings one of the project's keys; raise `BadKey` otherwise."""
    key = request.headers.get("apikey") or request.query_params.get("apikey")
    if not key:
        raise BadKey(
            "api_key_missing",
            "No API key found in request",
            hint="Send the anon or service_role key as the header apikey.",
        )
    try:
        principal = await keys.verify_or_refresh(key)
    except Unauthenticated as error:
        raise _bad_key() from error
    if principal.claims.get("sub") is not None:
        raise _bad_key()


async def user_of(keys: KeySet, request: Request) -> Bearer:
    """Return whom the bearer token names.

    Raises `Unauthenticated` `no_authorization` without one, and `Forbidden` `bad_jwt` for one that
    does not hold or names nobody, as a key of the project does.
    """
    claims = await _claims(keys, request)
    subject = parse_id(claims.get("sub"))
    if subject is None:
        raise Forbidden("bad_jwt", "invalid claim: missing sub claim")
    session = claims.get("session_id")
    if session in (None, ""):
        return Bearer(subject, None)
    session_id = parse_id(session)
    if session_id is None:
        raise Forbidden("bad_jwt", "invalid claim: session_id claim must be a UUID")
    return Bearer(subject, session_id)


async def require_admin(keys: KeySet, request: Request) -> None:
    """Let the service role in, by bearer token or else by key.

    Raises `Forbidden` `not_admin`, and as `user_of` does for a token that does not hold.
    """
    given = request.headers.get("authorization")
    claims = await _claims(keys, request) if given else await _key_claims(keys, request)
    if claims.get("role") != "service_role":
        raise Forbidden("not_admin", "User not allowed")


def caller_of(request: Request) -> Caller:
    """Return where a request comes from, as far as it can be kept."""
    agent = request.headers.get("user-agent")
    ip = request.client.host.partition("%")[0] if request.client else ""
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        ip = ""
    return Caller(agent[:USER_AGENT_CHARACTERS_MAX] if agent else None, ip or None)


async def _claims(keys: KeySet, request: Request) -> dict[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("no_authorization", "This endpoint requires a valid Bearer token")
    return await _key_claims(keys, request)


async def _key_claims(keys: KeySet, request: Request) -> dict[str, Any]:
    try:
        principal = await authenticate(keys, request.headers, request.query_params)
    except Unauthenticated as error:
        raise Forbidden(
            "bad_jwt", f"invalid JWT: unable to parse or verify signature, {error.message}"
        ) from error
    return principal.claims if principal is not None else {}


def _bad_key() -> BadKey:
    return BadKey(
        "api_key_unknown",
        "Invalid API key",
        hint="Copy the anon or service_role key of this server.",
    )
