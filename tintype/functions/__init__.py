"""What the outside can call: `POST /functions/v1/<name>`.

A Function is one Python file with `async def serve(invocation)`. The Loader finds those that come
with Tintype and the project's own; the Runtime verifies the caller, limits the body and the time,
and turns answers and errors into what Supabase's clients read. An Invocation is one call.

A file may declare a Contract beside its handler: what it takes, what it answers, which codes it
refuses with. `GET /functions/v1/openapi.json` is made from these, the same for everybody.

`submission` is where a job is accepted: price, hold and enqueue in one transaction. `picturing`
says what a request for pictures asks for, `personal` which way somebody gets into them, `training`
how a training may be asked for, and `acting` on whose behalf a call is made.
"""

from tintype.functions.context import Context
from tintype.functions.contract import Contract
from tintype.functions.environment import environment
from tintype.functions.function import Answer, Function, Reply
from tintype.functions.invocation import Invocation
from tintype.functions.loader import Loader
from tintype.functions.openapi import openapi_document
from tintype.functions.rate import Rate, RateLimit
from tintype.functions.runtime import Runtime
from tintype.functions.submission import Acceptance, Submission, Submitter, requeue
from tintype.functions.wire.cors import Cors

__all__ = [
    "Acceptance",
    "Answer",
    "Context",
    "Contract",
    "Cors",
    "Function",
    "Invocation",
    "Loader",
    "Rate",
    "RateLimit",
    "Reply",
    "Runtime",
    "Submission",
    "Submitter",
    "environment",
    "openapi_document",
    "requeue",
]
