"""Who is an operator, and what has every view and act in common?"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from tintype import auth, clock, events, jobs
from tintype.auth import Principal
from tintype.database import named_queries
from tintype.errors import Forbidden
from tintype.functions.context import Context
from tintype.functions.submission import database_trouble_told

# A view of many jobs looks at the newest of them.
JOBS_SEEN_MAX = 200_000
DAY_MINUTES = 24 * 60

Minutes: TypeAlias = Annotated[int, msgspec.Meta(ge=5, le=DAY_MINUTES)]
Text: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=320)]
Row = TypeVar("Row", bound="Told")


class Told(msgspec.Struct, rename="camel", frozen=True):
    """An answer, or a part of one."""


class View(msgspec.Struct, rename="camel", frozen=True, tag_field="view"):
    """A question; `read` answers it and changes nothing."""

    async def read(self, context: Context) -> Told:
        """Return the answer. Raises `NotFound` for a job or user that is not there."""
        raise NotImplementedError


class Operator(msgspec.Struct, frozen=True):
    """Who acts, and in which request: what the event of an act says of it."""

    name: str
    request_id: str

    def tell(self, act: str, subject: object, outcome: str) -> None:
        """Emit that `subject` was acted upon, or with the code of a refusal that it was not."""
        events.emit(
            events.OperatorActed(
                operator=self.name,
                act=act,
                subject=str(subject),
                outcome=outcome,
                request=self.request_id,
            )
        )


class Act(msgspec.Struct, rename="camel", frozen=True, tag_field="act"):
    """An order; `perform` carries it out."""

    async def perform(self, context: Context, operator: Operator) -> Told:
        """Do it and return what became of it. Every subject is told as an event."""
        raise NotImplementedError


async def operator_of(context: Context, principal: Principal, request_id: str) -> Operator:
    """Return the caller as an operator: the service role, or a user whom the service role has
    named one in `app_metadata` (`{"operator": true}` or `{"role": "operator"}`).

    The token must say so, and of a user of this server the row as well: whoever is named one no
    more, banned, signed out or removed is out at once. Raises `Forbidden` `operator_required` for
    anybody else. What a user may write of himself (`user_metadata`) counts for nothing.
    """
    if principal.is_service:
        return Operator(principal.role, request_id)
    is_user = principal.role == "authenticated" and principal.user_id is not None
    if is_user and _names_operator(principal.claims.get("app_metadata")):
        issuer = context.keys.issuer
        with database_trouble_told():
            stands = await auth.app_metadata_now(context.pool, principal, issuer=issuer)
        if _names_operator(stands):
            return Operator(str(principal.user_id), request_id)
    raise Forbidden(
        "operator_required",
        "Only an operator may see and do this.",
        hint='Send the service key, or sign in as a user whose app_metadata has "operator": true.',
    )


def _names_operator(said: object) -> bool:
    return isinstance(said, Mapping) and (
        said.get("operator") is True or said.get("role") == "operator"
    )


def query(name: str) -> str:
    """Return the named query of an operator's views."""
    return named_queries("operator")[name]


def rows_of(kind: type[Row], rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return the rows as structs of `kind`, whose fields are their columns."""
    return [kind(**dict(row)) for row in rows]


def first_id_of(minutes: float) -> UUID:
    """Return the smallest id of a job that was made within the last `minutes`."""
    return jobs.first_id((clock.now() - timedelta(minutes=minutes)).timestamp())
