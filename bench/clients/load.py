"""A crowd of apps that each wait for the answer before they ask again.

Reads `{"host", "port", "requests", "finds", "connections", "warm_seconds", "seconds"}` from
standard input, keeps that many HTTP/1.1 connections busy, and prints how long the answers took and
what was found in them. A request is `{"method", "path", "headers", "body", "wants"}`. Only an
answer 200 in whose body the pattern `finds` is found counts, and where the request `wants` a text,
only if that is what the pattern's group holds. A process of its own, lean enough not to be what is
measured: requests are built beforehand, answers are read for what is needed.
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
REFUSALS_MAX = 5
END_SECONDS_MAX = 10


Prepared = tuple[bytes, bytes | None]


class Crowd:
    """What all connections share: the clock, what is looked for and what was seen."""

    def __init__(self, ends: float, finds: str) -> None:
        self.ends = ends
        self.finds = re.compile(finds.encode())
        self.answers: list[tuple[float, float]] = []
        self.found: list[str] = []
        self.refusals: list[str] = []


class App(asyncio.Protocol):
    """One connection: request, answer, request, … until the time is over."""

    def __init__(self, crowd: Crowd, requests: list[Prepared]) -> None:
        self._crowd = crowd
        self._requests = requests
        self._next = 0
        self._wanted: bytes | None = None
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
        found = self._crowd.finds.search(buffer, head_bytes)
        if (
            found is not None
            and buffer.startswith(b"HTTP/1.1 200")
            and (self._wanted is None or found[1] == self._wanted)
        ):
            self._crowd.answers.append((now, now - self._sent))
            self._crowd.found.append(found[1].decode())
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
        request, self._wanted = self._requests[self._next % len(self._requests)]
        self._next += 1
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _refused(self, what: bytes) -> None:
        self._crowd.refusals.append(what[:1000].decode(errors="replace"))


async def press(spec: dict[str, Any]) -> dict[str, Any]:
    """Keep the connections busy for the time given; return rate, waits and finds."""
    loop = asyncio.get_running_loop()
    requests = [_prepare(spec, request) for request in spec["requests"]]
    count = spec["connections"]
    began = time.perf_counter() + spec["warm_seconds"]
    crowd = Crowd(began + spec["seconds"], spec["finds"])
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
        "found": crowd.found,
        "refused": len(crowd.refusals),
        "refusals": crowd.refusals[:REFUSALS_MAX],
    }


def _prepare(spec: dict[str, Any], request: dict[str, Any]) -> Prepared:
    headers = {"host": f"{spec['host']}:{spec['port']}"} | request["headers"]
    body = b""
    if request.get("body") is not None:
        body = json.dumps(request["body"]).encode()
        headers |= {"content-type": "application/json", "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{request['method']} {request['path']} HTTP/1.1\r\n{lines}\r\n"
    wants = request.get("wants")
    return head.encode() + body, wants.encode() if wants is not None else None


def main() -> None:
    """Press as standard input says."""
    json.dump(uvloop.run(press(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
