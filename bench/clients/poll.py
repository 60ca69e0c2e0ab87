"""Workers that ask now and then, in a process of their own.

Reads `{"host", "port", "requests", "finds", "every_seconds", "seconds"}` from standard input, opens
a connection for each request and sends it again every `every_seconds`, each at a moment of its own.
Prints how long the answers took. An answer 200 in whose body the pattern `finds` is found counts,
anything else is refused.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any

import uvloop

from bench.clients.load import LENGTH, REFUSALS_MAX, _prepare
from bench.figures import percentile


async def poll(spec: dict[str, Any]) -> dict[str, Any]:
    """Ask for the time given; return how long it was, the waits and the refusals."""
    waits: list[float] = []
    refusals: list[str] = []
    finds = re.compile(spec["finds"].encode())
    began = time.perf_counter()
    ends = began + spec["seconds"]

    async def one(number: int) -> None:
        request, _ = _prepare(spec, spec["requests"][number])
        reader, writer = await asyncio.open_connection(spec["host"], spec["port"])
        at = began + spec["every_seconds"] * number / len(spec["requests"])
        while at < ends:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            sent = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length is not None else 0)
            waits.append(time.perf_counter() - sent)
            if not head.startswith(b"HTTP/1.1 200") or finds.search(body) is None:
                refusals.append((head + body)[:1000].decode(errors="replace"))
            at += spec["every_seconds"]
        writer.close()

    await asyncio.gather(*(one(number) for number in range(len(spec["requests"]))))
    await asyncio.sleep(max(0.0, ends - time.perf_counter()))
    waits.sort()
    return {
        "seconds": time.perf_counter() - began,
        "p50_ms": percentile(waits, 0.50) * 1000 if waits else 0.0,
        "p99_ms": percentile(waits, 0.99) * 1000 if waits else 0.0,
        "refused": len(refusals),
        "refusals": refusals[:REFUSALS_MAX],
    }


def main() -> None:
    """Poll as standard input says."""
    json.dump(uvloop.run(poll(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
