"""The yardstick of a read over REST: the same row by the same role, and no server in between.

Reads `{"database_url", "reads", "connections", "warm_seconds", "seconds"}` from standard input and
prints the rate and how long a read takes: begin, role and claims, the prepared query, commit. A
read is the user and the row's id; what comes back must be that row.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from bench.figures import percentile

ACT_AS = "select set_config('role', 'authenticated', true), set_config($1, $2, true)"
QUERY = "select id, name, canvas_state from public.projects where id = $1"


async def read(spec: dict[str, Any]) -> dict[str, Any]:
    """Read for the time given; return rate and waits."""
    count = spec["connections"]
    connections = [await asyncpg.connect(spec["database_url"]) for _ in range(count)]
    began = time.perf_counter() + spec["warm_seconds"]
    ends = began + spec["seconds"]
    waits: list[float] = []
    await asyncio.gather(
        *(
            _read_on(connection, spec["reads"][number::count], began, ends, waits)
            for number, connection in enumerate(connections)
        )
    )
    for connection in connections:
        await connection.close()
    waits.sort()
    return {
        "per_s": len(waits) / spec["seconds"],
        "p50_ms": percentile(waits, 0.50) * 1000,
        "p99_ms": percentile(waits, 0.99) * 1000,
    }


async def _read_on(
    connection: "asyncpg.Connection[asyncpg.Record]",
    reads: list[list[str]],
    began: float,
    ends: float,
    waits: list[float],
) -> None:
    act_as, query = await connection.prepare(ACT_AS), await connection.prepare(QUERY)
    turns = cycle((_claims(user), UUID(row)) for user, row in reads)
    now = time.perf_counter()
    while now < ends:
        claims, row = next(turns)
        sent = time.perf_counter()
        async with connection.transaction():
            await act_as.fetchrow("request.jwt.claims", claims)
            found = await query.fetchrow(row)
        now = time.perf_counter()
        if found is None or found["id"] != row:
            raise RuntimeError(f"the row {row} was not read")
        if began <= now < ends:
            waits.append(now - sent)


def _claims(user: str) -> str:
    return json.dumps({"sub": user, "role": "authenticated", "aud": "authenticated"})


def main() -> None:
    """Read as standard input says."""
    json.dump(uvloop.run(read(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
