"""Tells the caller's newest notes. The TypeScript of this would be `summary/index.ts`."""

import msgspec

from tintype import database


class Summary(msgspec.Struct):
    limit: int = 5


async def serve(invocation):
    """Answer with notes that the caller may see: row-level security decides, as in the client."""
    body = await invocation.json(Summary)
    caller = invocation.principal
    caller.require_user()
    pool = invocation.context.pool
    async with database.transaction(pool, role=caller.role, claims=caller.claims) as connection:
        rows = await connection.fetch(
            "select body from public.notes order by created_at desc limit $1", body.limit
        )
    return {"notes": [row["body"] for row in rows]}
