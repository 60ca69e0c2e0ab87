"""Tintype's own processes, started for real and ended by their pids."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

READY_SECONDS_MAX = 200
# Below those that a kernel hands out by itself: nobody else is given one of them meanwhile.
PORTS = range(10_000, 30_000)
ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    """Return a port that is free, and stays so until somebody asks for just that one."""
    # Not the numbers of a seeded run, which another process would draw too.
    dice = random.SystemRandom()
    while True:
        port = dice.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Process:
    """One child. `kill` is SIGKILL to exactly this pid."""

    def __init__(self, *words: str, folder: Path, log: Path, environment: dict[str, str]) -> None:
        self._words = words
        self._folder = folder
        self._log = log
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, *self._words],
                cwd=self._folder,
                env={**keep, "PYTHONPATH": str(ROOT), **self._environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()

    def wait(self, seconds: float) -> int:
        """Let it end by itself, and return its exit status."""
        assert self._child is not None
        return self._child.wait(seconds)

    def stop(self, seconds: float = 40) -> int:
        """Ask it to end (SIGTERM); kill it when it does not. Return its exit status."""
        if self._child is None:
            return 0
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._child.returncode


def tintype(*words: str, folder: Path, **environment: str) -> Process:
    """Return a `tintype` command that is not started yet."""
    return Process(
        "-c",
        "from tintype.cli import main; main()",
        *words,
        folder=folder,
        log=folder / f"{words[0]}.log",
        environment=environment,
    )


async def answering(url: str, seconds: float = READY_SECONDS_MAX) -> None:
    """Return once the server at `url` is ready."""
    async with httpx2.AsyncClient(trust_env=False, timeout=2) as client, asyncio.timeout(seconds):
        while True:
            try:
                if (await client.get(f"{url}/auth/v1/health")).status_code == 200:
                    return
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)


class ProviderProcess:
    """The scripted provider in a process of its own, which survives what the others do not."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.support.provider_server", "--port", "0"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        self.url = str(json.loads(self._child.stdout.readline())["url"])

    async def script(self, **script: Any) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.url}/control/script", json=script)).raise_for_status()

    async def counters(self) -> dict[str, Any]:
        return await self._get("counters")

    async def calls(self) -> list[dict[str, Any]]:
        return await self._get("calls")

    async def _get(self, what: str) -> Any:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            return (await client.get(f"{self.url}/control/{what}")).json()

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait()
