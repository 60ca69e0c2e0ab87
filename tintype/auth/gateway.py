"""Which of a request's credentials counts?

Who the user is comes from `Authorization` alone; the `apikey` only says which project and which
role a caller without a session has.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers

from tintype.auth.keys import OPAQUE_PREFIX, KeySet
from tintype.auth.principal import Principal
from tintype.errors import Unauthenticated


async def authenticate(
    keys: KeySet, headers: Headers, query: Mapping[str, str]
) -> Principal | None:
    """Return the caller that the request proves, or None where it brings no credentials at all.

    A bearer token counts before the `apikey` header, and that before the `apikey` parameter.
    Clients without a session repeat an `sb_` key as bearer; then the `apikey` counts, as it does
    at Supabase's gateway. What is brought must hold: a bad token is never taken for no token.
    Raises `Unauthenticated` as `KeySet.verify` does, `authorization_scheme` for anything but a
    bearer token, and `credentials_ambiguous` for a header that comes twice and differs.
    """
    key = _only(headers, "apikey") or query.get("apikey")
    given = _only(headers, "authorization")
    if given:
        scheme, _, token = given.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(
                "authorization_scheme",
                "Only bearer tokens are accepted.",
                hint="Send Authorization: Bearer <access token>.",
            )
        token = token.strip()
        principal = await keys.verify_or_refresh(token)
        if not token.startswith(OPAQUE_PREFIX) or not key:
            return principal
    return await keys.verify_or_refresh(key) if key else None


def _only(headers: Headers, name: str) -> str | None:
    """Return a header's one value. Of two, a proxy in between may have looked at the other."""
    found = set(headers.getlist(name))
    if len(found) > 1:
        raise Unauthenticated(
            "credentials_ambiguous", f"The header {name} was sent more than once."
        )
    return next(iter(found), None)
