"""The yardstick of storage: a Starlette application that keeps a body in a file and serves files.

On uvicorn with the same loop and parser as the server that is measured. PUT writes what comes to
the file and syncs it; GET is Starlette's own `FileResponse`. No names, no rules, no rows. Takes the
port and the folder as its arguments.
"""

import asyncio
import os
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from bench.process import HOST


def application(folder: Path) -> Starlette:
    """Return the application that keeps its files in `folder`."""

    async def put(request: Request) -> Response:
        with (folder / request.path_params["name"]).open("wb") as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        return Response(status_code=201)

    async def get(request: Request) -> Response:
        return FileResponse(folder / request.path_params["name"])

    return Starlette(
        routes=[
            Route("/{name:path}", put, methods=["PUT"]),
            Route("/{name:path}", get, methods=["GET"]),
        ]
    )


def main() -> None:
    """Serve until the process is ended."""
    uvicorn.run(
        application(Path(sys.argv[2])),
        host=HOST,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
