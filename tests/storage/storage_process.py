"""A storage in a process of its own, which can be killed and weighed.

python storage_process.py <database url> <data folder> <port> <`[tintype.storage]` as JSON>
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


async def serve(url: str, data: str, port: int, settings: dict[str, Any]) -> None:
    """Serve `/storage/v1` until killed; print a line once it answers."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from storage_site import SECRET, authenticate

    from tintype import database
    from tintype.config import Config, ServerConfig, StorageConfig
    from tintype.storage import open_storage, routes

    config = Config(
        data=Path(data),
        project=Path(data),
        server=ServerConfig(port=port),
        storage=StorageConfig(**settings),
    )
    pool = await database.connect(url)
    app = Starlette(
        routes=[
            Mount("/storage/v1", routes=routes(open_storage(config, pool, SECRET), authenticate))
        ]
    )
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, http="httptools", loop="uvloop", log_level="warning")
    )
    await server.serve()


class ServedStorage:
    """The child. `kill` is SIGKILL to exactly its pid."""

    def __init__(self, database_url: str, data: Path, settings: dict[str, Any]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/storage/v1"
        self._words = [database_url, str(data), str(self.port), json.dumps(settings)]

    async def start(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *self._words],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"},
        )
        async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while True:
                try:
                    await client.options(f"{self.url}/upload/resumable")
                    return
                except httpx2.HTTPError:
                    assert self._child.poll() is None
                    await asyncio.sleep(0.05)

    def kill(self) -> None:
        self._child.send_signal(signal.SIGKILL)
        self._child.wait()

    def memory_bytes(self, line: str) -> int:
        """Return `VmRSS` (now) or `VmHWM` (the most ever) of the child."""
        status = Path(f"/proc/{self._child.pid}/status").read_text()
        match = re.search(rf"^{line}:\s+(\d+) kB", status, re.M)
        assert match is not None
        return int(match[1]) * 1024


@asynccontextmanager
async def served_storage(
    database_url: str, data: Path, **settings: Any
) -> AsyncIterator[ServedStorage]:
    """Yield a child whose `[tintype.storage]` is `settings`."""
    served = ServedStorage(database_url, data, settings)
    await served.start()
    try:
        yield served
    finally:
        served.kill()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])))
