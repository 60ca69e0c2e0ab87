"""How does a measurement get a process of its own?

Spec in on standard input, result out on standard output, both JSON. Nothing that a contestant
leaves behind (caches, tasks, garbage) reaches the next one.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SECONDS_MAX = 600


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
                await asyncio.wait_for(process.wait(), 30)
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
            out, err = await asyncio.wait_for(
                process.communicate(json.dumps(spec).encode()), SECONDS_MAX
            )
        except TimeoutError:
            raise MeasurementFailed(f"{module} took longer than {SECONDS_MAX} s") from None
    if process.returncode != 0:
        raise MeasurementFailed(f"{module} failed:\n{err.decode(errors='replace')[-3000:]}")
    return json.loads(out)
