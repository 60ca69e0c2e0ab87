"""Which of a request's credentials counts?

Who the user is comes from `Authorization` alone; the `apikey` only says which project and which
role a caller without a session has.
"""

from collections.abc import Mapping

from tintype.auth.keys import OPAQUE_PREFIX, KeySet
from tintype.auth.principal import Principal
from tintype.errors import Unauthenticated


async def authenticate(
    keys: KeySet, headers: Mapping[str, str], query: Mapping[str, str]
) -> Principal | None:
    """Return the caller that the request proves, or None where it brings no credentials at all.

    A bearer token counts before the `apikey` header, and that before the `apikey` parameter.
    Clients without a session repeat an `sb_` key as bearer; then the `apikey` counts, as it does
    at Supabase's gateway. `headers` answer to lower-case names. What is brought must hold: a bad
    token is never taken for no token. Raises `Unauthenticated` as `KeySet.verify` does, and
    `authorization_scheme` for anything but a bearer token.
    """
    key = headers.get("apikey") or query.get("apikey")
    given = headers.get("authorization")
    if given:
        scheme, _, token = given.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated(
                "authorization_scheme",
                "Only bearer tokens are accepted.",
                hint="Send Authorization: Bearer <access token>.",
            )
        token = token.strip()
        if not token.startswith(OPAQUE_PREFIX) or not key:
            return await keys.verify_or_refresh(token)
    return await keys.verify_or_refresh(key) if key else None
