"""`operator`: what the operator's console sees and does.

The body is `{"view": …}` or `{"act": …}` with its arguments; each has an answer of its own.
"""

from typing import cast

from tintype.errors import InvalidRequest
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.operating import ACTS, ANSWERS, VIEWS, Act, View, operator_of
from tintype.functions.operating.asking import Told
from tintype.functions.submission import database_trouble_told

methods = ("POST",)
body_bytes_max = 256 * 1024

contract = Contract(
    summary="See and do what only an operator may: views of the whole server, and acts upon it.",
    request=(VIEWS, ACTS),
    answers=ANSWERS,
    refusals={
        "grant_out_of_range": 400,
        "operator_required": 403,
        "job_not_found": 404,
        "pause_not_found": 404,
        "user_not_found": 404,
        "worker_not_found": 404,
        "database_unavailable": 503,
    },
)


async def serve(invocation: Invocation) -> Told:
    """Answer a view, or carry out an act and tell it as an event.

    403 `operator_required` for anybody but the service role and users that it has named operators
    in their `app_metadata`, and has not banned, removed or signed out since. Acts on many jobs tell
    the outcome of each.
    """
    operator = await operator_of(invocation.context, invocation.principal, invocation.request_id)
    asked = await _read(invocation)
    with database_trouble_told():
        if isinstance(asked, Act):
            return await asked.perform(invocation.context, operator)
        return await asked.read(invocation.context)


async def _read(invocation: Invocation) -> View | Act:
    """Return the body as a view if it is one, else as an act: what it is called says which."""
    names = await invocation.json(dict)
    if "act" not in names:
        return await _told(invocation, VIEWS)
    try:
        return await _told(invocation, ACTS)
    except InvalidRequest:
        if "view" not in names:
            raise
        return await _told(invocation, VIEWS)


async def _told(invocation: Invocation, kinds: object) -> View | Act:
    return cast(View | Act, await invocation.json(cast(type, kinds)))
