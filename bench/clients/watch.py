"""Subscribers of changes, and a writer that commits at a steady pace, in a process of their own.

Reads `{"port", "path", "subscribers", "database_url", "writes", "per_s", "warm", "commits"}` from
standard input. A subscriber is `{"token", "binding", "hears"}`: it hears of the rows of the user
`hears`, or of every one's. `writes` are the users to whom the rows belong, in turn. Prints how long
it took from the moment an insert was sent until a subscriber had the change, the commit itself
included; the first `warm` commits are not counted. Every subscriber must get what is its own, once
and in the order of the commits.
"""

import asyncio
import json
import re
import sys
import time
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from bench.clients.sockets import Channel, Socket, few_at_a_time, opened
from bench.figures import percentile
from bench.process import HOST

TICK = re.compile(rb'"tick (\d+) (\d+)"')
INSERT = "insert into public.projects (user_id, name) values ($1, $2)"
# How long after the last commit the last change may come.
END_SECONDS_MAX = 30


class Heard:
    """What one subscriber got: the numbers of the commits, in the order in which they came."""

    def __init__(self, crowd: "Crowd") -> None:
        self.numbers: list[int] = []
        self._crowd = crowd

    def hear(self, payload: bytes) -> None:
        """Note a change of a row."""
        now = time.perf_counter_ns()
        tick = TICK.search(payload)
        if tick is not None:
            number = int(tick[1])
            self.numbers.append(number)
            self._crowd.heard(number, now - int(tick[2]))


class Crowd:
    """What all subscribers together got."""

    def __init__(self, expected: int, warm: int) -> None:
        self.waits_ns: list[int] = []
        self.complete = asyncio.Event()
        self._left = expected
        self._warm = warm

    def heard(self, number: int, wait_ns: int) -> None:
        """One more change has come."""
        if number >= self._warm:
            self.waits_ns.append(wait_ns)
        self._left -= 1
        if self._left <= 0:
            self.complete.set()


async def watch(spec: dict[str, Any]) -> dict[str, Any]:
    """Join all, commit, and return the waits."""
    commits, writes = spec["commits"], spec["writes"]
    owners = [writes[number % len(writes)] for number in range(commits)]
    expected = [
        [n for n in range(commits) if one["hears"] in (None, owners[n])]
        for one in spec["subscribers"]
    ]
    crowd = Crowd(sum(map(len, expected)), spec["warm"])
    heard = [Heard(crowd) for _ in expected]
    sockets = await _joined(spec)
    for socket, one in zip(sockets, heard, strict=True):
        socket.hear = one.hear
    acknowledged = await _commit(spec["database_url"], owners, spec["per_s"])
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS_MAX):
            await crowd.complete.wait()
    wrong = sum(one.numbers != wanted for one, wanted in zip(heard, expected, strict=True))
    ended = [socket.ended for socket in sockets if socket.ended]
    for socket in sockets:
        socket.close()
    waits = sorted(crowd.waits_ns)
    commit_waits = sorted(acknowledged[spec["warm"] :])
    return {
        "p50_ms": percentile(waits, 0.50) / 1e6 if waits else None,
        "p99_ms": percentile(waits, 0.99) / 1e6 if waits else None,
        "commit_p50_ms": percentile(commit_waits, 0.50) / 1e6,
        "wrong": wrong,
        "ended": ended[:3],
    }


async def _joined(spec: dict[str, Any]) -> list[Socket]:
    """Return a socket for each subscriber, to which changes flow."""
    sockets = await opened(HOST, spec["port"], spec["path"], len(spec["subscribers"]))
    await few_at_a_time(
        [
            partial(Channel(socket, "projects").join, one["token"], one["binding"])
            for socket, one in zip(sockets, spec["subscribers"], strict=True)
        ]
    )
    return sockets


async def _commit(url: str, owners: list[str], per_s: float) -> list[int]:
    """Commit one row for each owner, so many a second; return how long each commit took, in ns."""
    connection = await asyncpg.connect(url)
    try:
        insert = await connection.prepare(INSERT)
        took = []
        began = time.perf_counter()
        for number, owner in enumerate(owners):
            await asyncio.sleep(began + number / per_s - time.perf_counter())
            sent = time.perf_counter_ns()
            await insert.fetch(UUID(owner), f"tick {number} {sent}")
            took.append(time.perf_counter_ns() - sent)
        return took
    finally:
        await connection.close()


def main() -> None:
    """Watch as standard input says."""
    json.dump(uvloop.run(watch(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
