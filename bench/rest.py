"""How many rows a second are read over REST, and what does the server add to the query?

64 users read rows of their own `projects` by primary key, one a request, as supabase-js asks for
them; row-level security decides. Every answer must hold the row that was asked for.

Beside it the bare query: the same row by the same role with the same claims, as a prepared
statement over asyncpg in another process (`bench/peers/bare_query.py`). With one connection, what a
request takes longer than that is what the server costs, the client's share included.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench.postgres import settle_down
from bench.process import HOST, MeasurementFailed, ask
from bench.rounds import Run
from bench.served import Served, serving

USERS = 64
ROWS_OF_EACH = 100
READ_OF_EACH = 32
CONNECTIONS = (16, 64)
BARE_CONNECTIONS = 16
PATH = "/rest/v1/projects?select=id%2Cname%2Ccanvas_state&id=eq."
ID = r'"id": *"([0-9a-f-]{36})"'
FILL = """
insert into public.projects (user_id, name, canvas_state)
select u, 'Project ' || n, jsonb_build_object('zoom', 1.5, 'layers', '[1, 2, 3]'::jsonb, 'n', n)
from unnest($1::uuid[]) as u, generate_series(1, $2) as n
returning user_id, id
"""


async def measure(run: Run) -> None:
    """Add rate, p50 and p99 at 16 and 64 clients, and what one request costs over the query."""
    async with serving(run) as served:
        users = [uuid4() for _ in range(USERS)]
        reads = await _fill(served.database_url, users)
        tokens = dict(zip(users, served.tokens(users), strict=True))
        requests = [
            {
                "method": "GET",
                "path": f"{PATH}{row}",
                "headers": served.headers(tokens[user])
                | {"accept": "*/*", "accept-profile": "public"},
                "wants": str(row),
            }
            for user, row in reads
        ]
        for turn in range(run.sizes.repeats):
            run.say(f"rest, round {turn + 1} of {run.sizes.repeats}")
            alone = await _press(run, served, requests, 1)
            bare = await _query(run, served, reads, 1)
            for wait in ("p50_ms", "p99_ms"):
                run.note(
                    f"rest_read_over_bare_{wait}",
                    alone[wait] - bare[wait],
                    unit="ms",
                    what="a request over the bare query, one after the other, of the same round",
                )
            for connections in CONNECTIONS:
                await _press(run, served, requests, connections)
            await _query(run, served, reads, BARE_CONNECTIONS)


async def _press(
    run: Run, served: Served, requests: list[dict[str, Any]], connections: int
) -> dict[str, Any]:
    result = await ask(
        "bench.clients.load",
        {
            "host": HOST,
            "port": served.port,
            "requests": requests,
            "finds": ID,
            "connections": connections,
            "warm_seconds": run.sizes.http_warm_seconds,
            "seconds": run.sizes.rest_seconds,
        },
    )
    if result["refused"] or result["p99_ms"] is None:
        raise MeasurementFailed(f"{result['refused']} reads were wrong: {result['refusals']}")
    what = f"one row by primary key, RLS, {_told(connections)}"
    _note(run, "rest_read", result, connections, what)
    return dict(result)


async def _query(
    run: Run, served: Served, reads: Sequence[tuple[UUID, UUID]], connections: int
) -> dict[str, Any]:
    result = await ask(
        "bench.peers.bare_query",
        {
            "database_url": served.database_url,
            "reads": [[str(user), str(row)] for user, row in reads],
            "connections": connections,
            "warm_seconds": run.sizes.http_warm_seconds,
            "seconds": run.sizes.rest_seconds,
        },
    )
    what = f"the same in asyncpg: begin, role and claims, query, commit; {_told(connections)}"
    _note(run, "bare_read", result, connections, what)
    return dict(result)


def _note(run: Run, name: str, result: dict[str, Any], connections: int, what: str) -> None:
    run.note(f"{name}_per_s_at_{connections}", result["per_s"], unit="reads/s", what=what)
    for wait in ("p50_ms", "p99_ms"):
        run.note(f"{name}_{wait}_at_{connections}", result[wait], unit="ms", what=what)


def _told(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"


async def _fill(url: str, users: list[UUID]) -> list[tuple[UUID, UUID]]:
    """Make everybody's rows; return those to read, users in turn, as (user, id)."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(FILL, users, ROWS_OF_EACH)
    finally:
        await connection.close()
    await settle_down(url)
    by_user: dict[UUID, list[UUID]] = {user: [] for user in users}
    for row in rows:
        by_user[row["user_id"]].append(row["id"])
    return [(user, by_user[user][n]) for n, user in product(range(READ_OF_EACH), users)]
