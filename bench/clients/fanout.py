"""One sender and a crowd of sockets that hear it, in a process of their own.

Reads `{"port", "path", "token", "sockets", "bytes", "seconds", "warm_seconds"}` from standard input
and prints how many messages a second arrived at all sockets together. With a token they join a
topic of Tintype's; without one they just listen, at a server that sends on what it gets. The sender
says the next as soon as at most `AHEAD` messages are not with everybody yet, so that the server is
never idle and never far behind. Every socket must get every message.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import uvloop

from bench.clients.sockets import Channel, Socket, few_at_a_time, opened
from bench.process import HOST

AHEAD = 4
# One client may say so many in a second; a little less than Tintype lets it.
MESSAGES_PER_SECOND_MAX = 800
END_SECONDS_MAX = 30


class Crowd:
    """Says the next when enough of the last has been heard, until it is told to stop."""

    def __init__(self, say: Callable[[], None], sockets: int) -> None:
        self.delivered = 0
        self.said = 0
        self.complete = asyncio.Event()
        self._say = say
        self._sockets = sockets
        self._stopping = False
        self._is_due = False
        self._next_at = 0
        self._said_at = 0.0

    def start(self) -> None:
        """Say the first, and as many more as may be under way."""
        for _ in range(AHEAD + 1):
            self._speak()

    def stop(self) -> None:
        """Say no more; `complete` is set when everybody has heard everything."""
        self._stopping = True
        self._next_at = self.said * self._sockets
        if self.delivered >= self._next_at:
            self.complete.set()

    def heard(self) -> None:
        """One socket has one message more."""
        self.delivered += 1
        if self.delivered >= self._next_at:
            if self._stopping:
                self.complete.set()
            elif not self._is_due:
                self._go_on()

    def _go_on(self) -> None:
        self._is_due = True
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._said_at + 1 / MESSAGES_PER_SECOND_MAX), self._speak)

    def _speak(self) -> None:
        self._is_due = False
        if self._stopping:
            return
        self._said_at = asyncio.get_running_loop().time()
        self.said += 1
        self._next_at = (self.said - AHEAD) * self._sockets
        self._say()
        if self.delivered >= self._next_at:
            self._go_on()


async def fan(spec: dict[str, Any]) -> dict[str, Any]:
    """Let everybody hear for the time given; return the rate."""
    sockets = await opened(HOST, spec["port"], spec["path"], spec["sockets"] + 1)
    channels = [Channel(socket, "room") for socket in sockets]
    if spec["token"] is not None:
        await few_at_a_time([partial(channel.join, spec["token"]) for channel in channels])
    speaker = channels[0]
    payload: dict[str, object] = {"text": "x" * spec["bytes"]}
    crowd = Crowd(partial(speaker.broadcast, payload), spec["sockets"])
    heard = [_Count(crowd, socket) for socket in sockets[1:]]
    crowd.start()
    await asyncio.sleep(spec["warm_seconds"])
    before, began = crowd.delivered, asyncio.get_running_loop().time()
    await asyncio.sleep(spec["seconds"])
    delivered, ended = crowd.delivered - before, asyncio.get_running_loop().time()
    crowd.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS_MAX):
            await crowd.complete.wait()
    lost = [socket.ended for socket in sockets if socket.ended]
    wrong = sum(one.count != crowd.said for one in heard)
    for socket in sockets:
        socket.close()
    return {"per_s": delivered / (ended - began), "wrong": wrong, "ended": lost[:3]}


class _Count:
    """How many messages one socket got."""

    def __init__(self, crowd: Crowd, socket: Socket) -> None:
        self.count = 0
        self._crowd = crowd
        socket.hear = self._hear

    def _hear(self, payload: bytes) -> None:
        self.count += 1
        self._crowd.heard()


def main() -> None:
    """Fan out as standard input says."""
    json.dump(uvloop.run(fan(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
