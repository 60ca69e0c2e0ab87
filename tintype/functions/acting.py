"""On whose behalf is a call made?

A body may say `userId`. It is a user's own, or left out; the holder of the service key names the
user, and everything then goes on as if that user had called: under the same row-level security.
"""

from uuid import UUID

from tintype.auth import Principal
from tintype.database import named_queries
from tintype.errors import Forbidden, NotFound
from tintype.functions.invocation import Invocation

# What `acting_for` may refuse with.
ACTING_REFUSALS = {"user_not_yours": 403, "user_required": 403, "user_not_found": 404}


async def acting_for(invocation: Invocation, user_id: UUID | None) -> Principal:
    """Return the user that a call is made for, `user_id` being what its body says.

    Raises `Forbidden` for another user's id (`user_not_yours`) and for a call without a user
    (`user_required`), `NotFound` (`user_not_found`) when the service key names nobody known.
    """
    principal = invocation.principal
    if not principal.is_service or user_id is None:
        own = principal.require_user()
        if user_id not in (None, own):
            raise Forbidden(
                "user_not_yours",
                "userId is another user's.",
                hint="Leave it out, or send the access token of that user.",
            )
        return principal
    known = named_queries("functions")["is_user_known"]
    if not await invocation.context.pool.fetchval(known, user_id):
        raise NotFound("user_not_found", "There is no such user.")
    claims = {"sub": str(user_id), "role": "authenticated"}
    return Principal(role="authenticated", user_id=user_id, claims=claims)
