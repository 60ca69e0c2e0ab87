"""A crowd of apps that each wait for the answer before they ask again.

Reads `{"host", "port", "path", "body", "tokens", "connections", "warm_seconds", "seconds"}` from
standard input, keeps that many HTTP/1.1 connections busy, and prints how long the answers took and
which jobs were accepted. Only an answer 200 with a job id counts. A process of its own, lean enough
not to be what is measured: requests are built beforehand, answers are read for what is needed.
"""

import asyncio
import json
import re
import sys
import time
from functools import partial
from typing import Any

import uvloop

from bench.figures import percentile

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
JOB_ID = re.compile(rb'"jobId": *"([0-9a-f-]{36})"')
REFUSALS_MAX = 5
END_SECONDS_MAX = 10


class Crowd:
    """What all connections share: the clock and what was seen."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.answers: list[tuple[float, float]] = []
        self.job_ids: list[str] = []
        self.refusals: list[str] = []


class App(asyncio.Protocol):
    """One connection: request, answer, request, … until the time is over."""

    def __init__(self, crowd: Crowd, requests: list[bytes]) -> None:
        self._crowd = crowd
        self._requests = requests
        self._next = 0
        self._sent = 0.0
        self._buffer = b""
        self._transport: Any = None
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Read one answer, which may come in pieces, then ask again."""
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head_bytes = buffer.find(b"\r\n\r\n") + 4
        if head_bytes < 4:
            return
        length = LENGTH.search(buffer, 0, head_bytes)
        if length is None:
            self._refused(buffer)
            self._transport.close()
            return
        if len(buffer) < head_bytes + int(length[1]):
            return
        now = time.perf_counter()
        job_id = JOB_ID.search(buffer, head_bytes)
        if job_id is not None and buffer.startswith(b"HTTP/1.1 200"):
            self._crowd.answers.append((now, now - self._sent))
            self._crowd.job_ids.append(job_id[1].decode())
        else:
            self._refused(buffer)
        self._buffer = b""
        if now < self._crowd.ends:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that this connection is over; before its time, that is a refusal."""
        if time.perf_counter() < self._crowd.ends:
            self._refused(f"the connection was lost: {error}".encode())
        if not self.closed.done():
            self.closed.set_result(None)

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def _refused(self, what: bytes) -> None:
        self._crowd.refusals.append(what[:1000].decode(errors="replace"))


async def press(spec: dict[str, Any]) -> dict[str, Any]:
    """Keep the connections busy for the time given; return rate, waits and ids."""
    loop = asyncio.get_running_loop()
    requests = [_request(spec, token) for token in spec["tokens"]]
    count = spec["connections"]
    began = time.perf_counter() + spec["warm_seconds"]
    crowd = Crowd(began + spec["seconds"])
    apps = []
    for number in range(count):
        own = requests[number % len(requests) :: count]
        _, app = await loop.create_connection(partial(App, crowd, own), spec["host"], spec["port"])
        apps.append(app)
    await asyncio.wait(
        [app.closed for app in apps],
        timeout=spec["warm_seconds"] + spec["seconds"] + END_SECONDS_MAX,
    )
    waits = sorted(wait for at, wait in crowd.answers if began <= at < crowd.ends)
    return {
        "per_s": len(waits) / spec["seconds"],
        "p50_ms": percentile(waits, 0.50) * 1000 if waits else None,
        "p99_ms": percentile(waits, 0.99) * 1000 if waits else None,
        "job_ids": crowd.job_ids,
        "refused": len(crowd.refusals),
        "refusals": crowd.refusals[:REFUSALS_MAX],
    }


def _request(spec: dict[str, Any], token: str) -> bytes:
    body = json.dumps(spec["body"]).encode()
    head = (
        f"POST {spec['path']} HTTP/1.1\r\nhost: {spec['host']}:{spec['port']}\r\n"
        f"authorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Press as standard input says."""
    json.dump(uvloop.run(press(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
