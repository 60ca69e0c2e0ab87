"""The peer in fan-out: a `websockets` server that sends on what it gets, and does nothing else.

As its documentation makes it fast: `websockets.broadcast`, no compression, on uvloop. It knows no
topics, no users and no limits. Takes the port as its argument.
"""

import asyncio
import logging
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.process import HOST


async def relay(port: int) -> None:
    """Serve until the process is ended."""
    connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for message in connection:
                broadcast(connections - {connection}, message)
        finally:
            connections.discard(connection)

    async with serve(handle, HOST, port, compression=None, ping_interval=None):
        await asyncio.Future()


if __name__ == "__main__":
    # Who looks whether it listens shakes no hands.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    uvloop.run(relay(int(sys.argv[1])))
