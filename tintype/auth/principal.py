"""Who is calling?"""

from typing import Any
from uuid import UUID

import msgspec

from tintype.errors import Forbidden

WORKER_ROLE = "tintype_worker"


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

    @property
    def owner(self) -> str | None:
        """Who owns what this caller stores: a user by the token's word, or a worker."""
        subject: str | None = self.claims.get("sub")
        return f"worker:{self.worker_id}" if self.worker_id is not None else subject

    @property
    def worker_id(self) -> UUID | None:
        """The worker outside the server whose key this is; the key may be an old one of its."""
        return UUID(self.claims["worker"]) if self.role == WORKER_ROLE else None


ANONYMOUS = Principal(role="anon", user_id=None, claims={"role": "anon"})
