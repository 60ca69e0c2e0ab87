"""Fails in the way that `?how=` names."""

import asyncio

from tintype.errors import InvalidRequest
from tintype.functions import Invocation, Reply


async def serve(invocation: Invocation):
    match invocation.request.query_params["how"]:
        case "refuse":
            raise InvalidRequest("teapot_short", "It is short.", hint="Pour.")
        case "teapot":
            return Reply(418, {"error": "I am a teapot"})
        case "relay":
            return Reply(500, {"error": "x"}, {"x-relay-error": "true"})
        case "hang":
            await asyncio.sleep(1)
    raise ValueError("the secret reason")
