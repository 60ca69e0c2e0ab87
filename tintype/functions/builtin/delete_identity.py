"""`delete-identity`: remove an identity or a model with all that was made of it.

The row goes at once; pictures, adapter, repository and objects are removed in the background, and
asking again tells how far that is.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from tintype.auth import Principal
from tintype.database import named_queries, transaction
from tintype.errors import InvalidRequest, NotFound
from tintype.functions.context import Context
from tintype.functions.contract import Contract
from tintype.functions.function import Reply
from tintype.functions.invocation import Invocation
from tintype.functions.picturing import RowId
from tintype.functions.submission import database_trouble_told

methods = ("POST",)
body_bytes_max = 64 * 1024


class DeleteIdentity(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The body: one of the two."""

    identity_id: UUID | None = None
    model_id: RowId | None = None


class Removal(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer: 202 while it is removed, 200 with the `proof` when everything is gone."""

    success: bool = True
    identity_id: UUID | UnsetType = UNSET
    model_id: int | UnsetType = UNSET
    removal_id: UUID
    status: Literal["removing", "removed"]
    proof: Any = UNSET


contract = Contract(
    summary="Remove an identity or a model with all that was made of it.",
    request=Annotated[
        DeleteIdentity,
        msgspec.Meta(
            extra_json_schema={
                "oneOf": [
                    {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                    for name in ("identityId", "modelId")
                ]
            }
        ),
    ],
    answers=(Removal,),
    statuses=(200, 202),
    refusals={
        "identity_ambiguous": 400,
        "user_required": 403,
        "identity_not_found": 404,
        "model_not_found": 404,
        "database_unavailable": 503,
    },
    refusal_fields={"success": False},
)


async def serve(invocation: Invocation) -> Reply:
    """Delete the caller's identity or model, or anyone's for the service role; once is for good.

    Raises `NotFound` for one that is unknown or another user's.
    """
    principal = invocation.principal
    user_id = None if principal.is_service else principal.require_user()
    body = await invocation.json(DeleteIdentity)
    if (body.identity_id is None) == (body.model_id is None):
        raise InvalidRequest("identity_ambiguous", "Either identityId or modelId is needed.")
    context = invocation.context
    known = named_queries("functions")
    with database_trouble_told():
        if body.identity_id is not None:
            removal_id = body.identity_id
            answer = Removal(identity_id=removal_id, removal_id=removal_id, status="removing")
            await _delete(context, principal, known["delete_identity"], removal_id)
            removal = await context.pool.fetchrow(known["removal"], removal_id, "identity", user_id)
            if removal is None:
                raise NotFound("identity_not_found", "There is no such identity of yours.")
        else:
            model_id = int(body.model_id or 0)
            removal_id = await context.pool.fetchval(known["removal_of_model"], model_id)
            answer = Removal(model_id=model_id, removal_id=removal_id, status="removing")
            await _delete(context, principal, known["delete_model"], model_id)
            removal = await context.pool.fetchrow(known["removal"], removal_id, "model", user_id)
            if removal is None:
                raise NotFound("model_not_found", "There is no such model of yours.")
    if removal["done_at"] is None:
        return Reply(202, answer)
    return Reply(200, msgspec.structs.replace(answer, status="removed", proof=removal["proof"]))


async def _delete(context: Context, principal: Principal, query: str, row_id: UUID | int) -> None:
    """Delete the row as the caller; nothing to do where row-level security shows none."""
    async with transaction(
        context.pool, role=principal.role, claims=principal.claims
    ) as connection:
        await connection.execute(query, row_id)
