"""How does a measurement get a process of its own?

Spec in on standard input, result out on standard output, both JSON. Nothing that a contestant
leaves behind (caches, tasks, garbage) reaches the next one.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
SECONDS_MAX = 600
END_SECONDS_MAX = 30
LISTEN_SECONDS_MAX = 20
POLL_SECONDS = 0.02


class MeasurementFailed(Exception):
    """A measurement gave no figure, or one that must not count."""


@asynccontextmanager
async def running(
    *command: str, environment: Mapping[str, str] | None = None, **options: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a process that finds the repository's packages; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(os.environ if environment is None else environment), **options
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(END_SECONDS_MAX):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def ask(module: str, spec: Mapping[str, Any]) -> Any:
    """Run `python -m module` with `spec` and return what it answers.

    Raises `MeasurementFailed`, with the end of what it said, when it fails or takes longer than
    `SECONDS_MAX`.
    """
    pipe = asyncio.subprocess.PIPE
    async with running(
        sys.executable, "-m", module, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                out, err = await process.communicate(json.dumps(spec).encode())
        except TimeoutError:
            raise MeasurementFailed(f"{module} took longer than {SECONDS_MAX} s") from None
    if process.returncode != 0:
        raise MeasurementFailed(f"{module} failed:\n{err.decode(errors='replace')[-3000:]}")
    return json.loads(out)


class Talker:
    """A process that answers line by line, each JSON."""

    def __init__(self, process: asyncio.subprocess.Process, module: str) -> None:
        self._process = process
        self._module = module

    async def ask(self, question: Mapping[str, Any]) -> Any:
        """Say a line and return the answer to it; raise `MeasurementFailed` when there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        line = b""
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            async with asyncio.timeout(SECONDS_MAX):
                line = await self._process.stdout.readline()
        if not line:
            raise MeasurementFailed(f"{self._module} ended; what it said stands above")
        return json.loads(line)


@contextlib.asynccontextmanager
async def talking(module: str) -> AsyncIterator[Talker]:
    """Yield `python -m module`, which answers a line with a line; it is gone afterwards."""
    pipe = asyncio.subprocess.PIPE
    async with running(sys.executable, "-m", module, cwd=ROOT, stdin=pipe, stdout=pipe) as process:
        yield Talker(process, module)


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def until_it_listens(process: asyncio.subprocess.Process, port: int) -> None:
    """Wait until `process` listens at `port`; raise `MeasurementFailed` when it does not."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LISTEN_SECONDS_MAX):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    writer.close()
                    return
    raise MeasurementFailed(f"nobody listens on {HOST}:{port}; what was said stands above")
