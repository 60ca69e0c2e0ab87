"""A real redis-server, and Upstash's REST API in front of it, as processes of a team would be."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.processes import free_port
from tests.support.serve import serving

START_SECONDS_MAX = 60
TOKEN = "upstash-token"


class RedisServer:
    """One redis-server on a port of its own; it can be killed and started again, empty."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self._program = program
        self._folder = folder
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self.client = redis.asyncio.Redis(port=port, decode_responses=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *("--port", str(self._port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_SECONDS_MAX):
            while True:
                try:
                    await self.client.ping()
                    return
                except redis.exceptions.RedisError:
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """End it as a power cut does: what it held is gone."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()


@asynccontextmanager
async def running_redis(folder: Path) -> AsyncIterator[RedisServer]:
    program = shutil.which("redis-server")
    if program is None:
        assert not os.environ.get("CI"), "redis-server is installed by .ci/run"
        pytest.skip("redis-server is not installed here (Debian: apt-get install redis-server)")
    server = RedisServer(program, folder, free_port())
    await server.start()
    try:
        yield server
    finally:
        await server.client.aclose()
        await server.kill()


@asynccontextmanager
async def upstash_in_front(server: RedisServer) -> AsyncIterator[str]:
    """Yield a URL that speaks Upstash's REST API with the commands and errors of this Redis."""

    async def answer(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"error": "Unauthorized"}, 401)
        command: list[Any] = await request.json()
        try:
            return JSONResponse({"result": await server.client.execute_command(*command)})
        except redis.exceptions.RedisError as error:
            return JSONResponse({"error": f"ERR {error}"}, 400)

    async with serving(Starlette(routes=[Route("/", answer, methods=["POST"])])) as url:
        yield url
