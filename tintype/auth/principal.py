"""Who is calling?"""

from typing import Any
from uuid import UUID

import msgspec

from tintype.errors import Forbidden


class Principal(msgspec.Struct, frozen=True):
    """A caller whose token was verified. `role` picks the database role, `claims` feed RLS."""

    role: str
    user_id: UUID | None
    claims: dict[str, Any]

    def require_user(self) -> UUID:
        """Return the user's id; raise `Forbidden` for a key without a user (anon, service)."""
        if self.user_id is None:
            raise Forbidden(
                "user_required",
                "This needs a signed-in user.",
                hint="Send the user's access token as Authorization: Bearer, not the anon key.",
            )
        return self.user_id

    @property
    def is_service(self) -> bool:
        """Whether the caller holds the service role."""
        return self.role == "service_role"


ANONYMOUS = Principal(role="anon", user_id=None, claims={"role": "anon"})
