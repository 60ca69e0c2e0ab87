"""How long is it from a commit to the client, and how many messages a second fan out?

`tintype serve` in its own process; the subscribers and the writer in another
(`bench/clients/watch.py`). The writer inserts rows of `public.projects` at a steady pace. Three
crowds:

    shared    all subscribers are one user: every change goes to all of them
    own       each is a user of its own and asks for the table without a filter: the policies
              decide, and every change goes to the one whose row it is
    filtered  each is a user of its own and asks for its own rows, as apps do

Fan-out is a broadcast to every socket of one topic, beside a bare `websockets` server that sends on
what it gets: same load generator, same bytes, in turns.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from bench.process import ROOT, MeasurementFailed, ask, free_port, running, until_it_listens
from bench.rounds import Run
from bench.served import Served, serving

MESSAGE_BYTES = 200
CROWDS = {
    "shared": "subscribers of one user, every change to all",
    "own": "users without a filter, every change to the one it belongs to",
    "filtered": "users with filter user_id=eq.<own>, every change to one",
}


async def measure(run: Run) -> None:
    """Add the waits of each crowd in each size, then fan-out of both servers, interleaved."""
    async with serving(run) as served, _bare() as bare_port:
        users = [uuid4() for _ in range(max(run.sizes.subscribers))]
        tokens = served.tokens(users)
        for turn in range(run.sizes.repeats):
            run.say(f"realtime, round {turn + 1} of {run.sizes.repeats}")
            one, *more = run.sizes.subscribers
            # One subscriber is the same in every crowd; a filter makes the size not matter.
            sizes = {"shared": [one, *more], "own": more, "filtered": more[-1:]}
            for crowd, counts in sizes.items():
                for count in counts:
                    await _watch(run, served, crowd, users[:count], tokens[:count])
            rates = [
                await _fan(run, "realtime", served.port, _path(served), tokens[0]),
                await _fan(run, "bare_websockets", bare_port, "/", None),
            ]
            run.note(
                "realtime_fanout_ratio_vs_bare",
                rates[0] / rates[1],
                unit="×",
                what="realtime_fanout_per_s over bare_websockets_fanout_per_s, of the same round",
            )


async def _watch(
    run: Run, served: Served, crowd: str, users: list[UUID], tokens: list[str]
) -> None:
    count = len(users)
    if crowd == "shared":
        users, tokens = users[:1] * count, tokens[:1] * count
    subscribers = []
    for user, token in zip(users, tokens, strict=True):
        binding = {"event": "INSERT", "schema": "public", "table": "projects"}
        if crowd == "filtered":
            binding["filter"] = f"user_id=eq.{user}"
        hears = None if crowd == "shared" else str(user)
        subscribers.append({"token": token, "binding": binding, "hears": hears})
    result = await ask(
        "bench.clients.watch",
        {
            "port": served.port,
            "path": _path(served),
            "subscribers": subscribers,
            "database_url": served.database_url,
            "writes": [str(user) for user in dict.fromkeys(users)],
            "per_s": run.sizes.commits_per_s,
            "warm": run.sizes.commits_warm,
            "commits": run.sizes.commits_warm + run.sizes.commits,
        },
    )
    _check(result)
    what = f"commit → client, {count:,} {CROWDS[crowd]}"
    if count == 1:
        what = "commit → client, one subscriber"
    name = f"realtime_{crowd}" if count > 1 else "realtime"
    for wait in ("p50_ms", "p99_ms"):
        run.note(f"{name}_{wait}_at_{count}", result[wait], unit="ms", what=what)
    if count == 1:
        what = f"of that the insert and its commit; {run.sizes.commits_per_s:g} commits/s"
        run.note("realtime_commit_p50_ms", result["commit_p50_ms"], unit="ms", what=what)


async def _fan(run: Run, server: str, port: int, path: str, token: str | None) -> float:
    sockets = run.sizes.fanout_sockets
    result = await ask(
        "bench.clients.fanout",
        {
            "port": port,
            "path": path,
            "token": token,
            "sockets": sockets,
            "bytes": MESSAGE_BYTES,
            "seconds": run.sizes.fanout_seconds,
            "warm_seconds": run.sizes.fanout_warm_seconds,
        },
    )
    _check(result)
    what = f"broadcast of {MESSAGE_BYTES} bytes to {sockets:,} sockets, delivered"
    run.note(f"{server}_fanout_per_s", result["per_s"], unit="msg/s", what=what)
    return float(result["per_s"])


def _check(result: dict[str, Any]) -> None:
    """Stop unless every subscriber got everything that is its own, once and in order."""
    if result["wrong"] or result["ended"]:
        raise MeasurementFailed(
            f"{result['wrong']} subscribers did not get what they should: {result['ended']}"
        )


def _path(served: Served) -> str:
    return f"/realtime/v1/websocket?apikey={served.keys.anon_key}&vsn=2.0.0"


@asynccontextmanager
async def _bare() -> AsyncIterator[int]:
    """Yield the port of a bare `websockets` server."""
    port = free_port()
    command = (sys.executable, "-m", "bench.peers.bare_websockets", str(port))
    async with running(*command, cwd=ROOT) as process:
        await until_it_listens(process, port)
        yield port
