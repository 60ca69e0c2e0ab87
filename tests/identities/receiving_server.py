"""A server that receives and validates pictures and does nothing else: `python -m` with a folder.

The runtime, its limits and the HTTP server are the product's. Prints its port once it listens.
"""

import socket
import sys
from pathlib import Path

import uvicorn
from starlette.requests import Request

from tintype.config import FunctionConfig
from tintype.functions import Cors, Loader, Runtime
from tintype.functions.journal import Journal
from tintype.identities import Intake, Scratch
from tintype.listening import BoundedHttp, Patience

NAME = "train"
SOURCE = """
from tintype.identities import ANSWER_SECONDS_MAX, BODY_BYTES_MAX, receive, validate

body_bytes_max = BODY_BYTES_MAX
answer_seconds_max = ANSWER_SECONDS_MAX

async def serve(invocation):
    announced = int(invocation.header("content-length") or 0)
    intake = invocation.context
    async with intake.entered("anyone", announced_bytes=announced) as folder:
        asked = await receive(invocation.chunks(), folder)
        found = await validate(asked.imageFiles, folder)
    return {"images": len(found.images), "bytes": sum(file.bytes for file in asked.imageFiles)}
"""


def main() -> None:
    """Serve until the process is ended."""
    folder = Path(sys.argv[1])
    file = folder / "supabase" / "functions" / NAME / "index.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SOURCE, "utf-8")
    scratch = Scratch(folder / "scratch")
    scratch.sweep()
    runtime = Runtime(
        Loader(folder, {NAME: FunctionConfig(verify_jwt=False)}, builtin=None),
        authenticate=_nobody,
        context=Intake(scratch),  # type: ignore[arg-type]
        environment={},
        journal=Journal(_nowhere),
    )
    config = uvicorn.Config(
        Cors(Patience(runtime)), http=BoundedHttp, loop="uvloop", lifespan="off", log_config=None
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


async def _nowhere(lines: object) -> None:
    return None


async def _nobody(request: Request) -> None:
    return None


if __name__ == "__main__":
    main()
