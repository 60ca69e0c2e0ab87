"""One subscriber of the jobs' changes, in a process of its own, while others work.

Reads `{"port", "path", "token", "binding"}` from the first line of standard input, joins, and
prints a line. Then each line `{"changes", "since"}` asks for so many changes, counted from the last
answer on; when they have come, `{"changes", "late_ms", "ended"}` is printed: how many came (-1: a
job came twice), and how much later than `since` (Unix seconds) the last one was.
"""

import asyncio
import json
import re
import sys
import time
from contextlib import suppress

import uvloop

from bench.clients.sockets import Channel, opened
from bench.process import HOST

JOB = re.compile(rb'"record":\{"id":"([0-9a-f-]{36})"')
WAIT_SECONDS_MAX = 60


class Heard:
    """The jobs of which a change has come since the last question."""

    def __init__(self) -> None:
        self.jobs: set[bytes] = set()
        self.changes = 0
        self.last_at = 0.0
        self._wanted: int | None = None
        self._enough = asyncio.Event()

    def hear(self, payload: bytes) -> None:
        """Note a change of a job."""
        job = JOB.search(payload)
        if job is not None:
            self.jobs.add(job[1])
            self.changes += 1
            self.last_at = time.time()
            if self._wanted is not None and self.changes >= self._wanted:
                self._enough.set()

    async def until(self, changes: int, since: float) -> dict[str, float]:
        """Wait for so many and begin anew."""
        self._wanted = changes
        if self.changes < changes:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_SECONDS_MAX):
                    await self._enough.wait()
        came = self.changes if self.changes == len(self.jobs) else -1
        late_ms = max(0.0, self.last_at - since) * 1000
        self.jobs, self.changes, self._wanted = set(), 0, None
        self._enough.clear()
        return {"changes": came, "late_ms": late_ms}


async def listen() -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    spec = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    (socket,) = await opened(HOST, spec["port"], spec["path"], 1)
    await Channel(socket, "work").join(spec["token"], spec["binding"])
    heard = Heard()
    socket.hear = heard.hear
    print(json.dumps("joined"), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        question = json.loads(line)
        answer = await heard.until(question["changes"], question["since"])
        print(json.dumps(answer | {"ended": socket.ended}), flush=True)
    socket.close()


if __name__ == "__main__":
    uvloop.run(listen())
