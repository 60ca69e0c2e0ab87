"""The routes for workers outside the server."""

from starlette.routing import BaseRoute, Route

from tintype.lanes.protocol import ProtocolDoor
from tintype.lanes.protocol.door import Authenticate
from tintype.lanes.redis import RedisDoor
from tintype.workers import Kernel

# As Upstash takes them: a command may come by any.
METHODS = ("GET", "POST", "PUT")


def routes(kernel: Kernel, authenticate: Authenticate) -> list[BaseRoute]:
    """Return the routes to mount at the root: `/redis/v1` and `/worker/v1`.

    `authenticate` returns who calls, None without credentials, or raises `Unauthenticated`.
    """
    lanes = RedisDoor(kernel.pool)
    return [
        # Clients post to the bare URL and follow no redirect.
        Route("/redis/v1", lanes, methods=METHODS),
        Route("/redis/v1/{words:path}", lanes, methods=METHODS),
        *ProtocolDoor(kernel, authenticate).routes(),
    ]
