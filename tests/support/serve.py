"""A real uvicorn on 127.0.0.1 and an ephemeral port, for the length of one test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp

from tintype.listening import BoundedHttp
from tintype.realtime import FRAME_BYTES_MAX

SHUTDOWN_SECONDS = 2
# What a test's client gives a busy machine for an answer.
ANSWER_SECONDS_MAX = 100


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve `app` in this event loop, lifespan included; yield its URL without a slash at the end.

    The parser and the limits are the product's; nothing is polled, and no signal is caught.
    """
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="websockets-sansio",
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio does it for sockets that know their protocol only; an answer would wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await _stop(server, listener)


async def _stop(server: uvicorn.Server, listener: socket.socket) -> None:
    # As uvicorn stops, less its pause of 0.1 s, which every test would pay.
    for acceptor in server.servers:
        acceptor.close()
    listener.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    if tasks := list(server.server_state.tasks):
        _, left = await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
        for task in left:
            task.cancel()
    await server.lifespan.shutdown()


@contextmanager
def serving_in_thread(app: ASGIApp) -> Iterator[str]:
    """Serve `app` in a thread with its own event loop, for clients that block."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(app)) as url,
    ):
        yield url
