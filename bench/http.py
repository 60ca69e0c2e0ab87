"""How many jobs a second are accepted over HTTP, and how long does an app wait?

The server as users start it, `tintype serve`, in a process of its own with its own Postgres and
its own settings; 64 users with credits and tokens; `POST /functions/v1/generate-image` from a load
generator in another process. Afterwards every job that was answered is looked up in the database.

Its worker is off at first, so that submission alone is measured on the cores there are; then the
same again with the worker on, which paints pictures at the same time.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from bench.process import ROOT, MeasurementFailed, ask, running
from bench.rounds import Run, act
from tintype import app, config

USERS = 64
CREDITS_EACH = 1_000_000_000
TOKEN_SECONDS = 3600
CONNECTIONS = (16, 64)
PATH = "/functions/v1/generate-image"
BODY = {"prompt": "a robot holding a skateboard", "aspectRatio": "1:1", "quantity": 1}
START_SECONDS_MAX = 60
POLL_SECONDS = 0.05
COMMAND = (sys.executable, "-c", "from tintype.cli import main; main()")


@dataclass(frozen=True)
class Served:
    """A server that answers: where, its database, and the users' tokens."""

    port: int
    database_url: str
    tokens: list[str]


async def measure(run: Run) -> None:
    """Add rate, p50 and p99 at 16 and 64 clients, worker off, then on."""
    for inside, suffix in ((False, ""), (True, "_worker_on")):
        run.say(f"starting tintype serve, worker {'on' if inside else 'off'}")
        async with _served(run, worker_inside=inside) as served:
            for _ in range(run.sizes.repeats):
                for connections in CONNECTIONS:
                    await _press(run, served, connections, suffix)
            if not inside:
                await _check_ledger(served)


async def _press(run: Run, served: Served, connections: int, suffix: str) -> None:
    result = await ask(
        "bench.load",
        {
            "host": "127.0.0.1",
            "port": served.port,
            "path": PATH,
            "body": BODY,
            "tokens": served.tokens,
            "connections": connections,
            "warm_seconds": run.sizes.http_warm_seconds,
            "seconds": run.sizes.http_seconds,
        },
    )
    if result["refused"] or result["p99_ms"] is None:
        raise MeasurementFailed(f"{result['refused']} were refused: {result['refusals']}")
    await _check_jobs(served, [UUID(job_id) for job_id in result["job_ids"]])
    what = f"generate-image, {connections} clients" + (", worker painting" if suffix else "")
    name = f"submit_http{suffix}"
    run.note(f"{name}_per_s_at_{connections}", result["per_s"], unit="jobs/s", what=what)
    for wait in ("p50_ms", "p99_ms"):
        run.note(f"{name}_{wait}_at_{connections}", result[wait], unit="ms", what=what)


async def _check_jobs(served: Served, job_ids: list[UUID]) -> None:
    """Stop unless every accepted job is its own and really there, with its hold."""
    connection = await asyncpg.connect(served.database_url)
    try:
        found = await connection.fetchval(
            "select count(*) from public.jobs as j inner join public.credit_entries as e"
            " on e.hold_id = j.id and e.kind = 'hold' where j.id = any ($1)",
            job_ids,
        )
    finally:
        await connection.close()
    if found != len(job_ids):
        raise MeasurementFailed(f"{len(job_ids)} jobs were accepted and {found} exist")


async def _check_ledger(served: Served) -> None:
    found = await act("tintype", "verify", url=served.database_url)
    if not found["holds_true"]:
        raise MeasurementFailed(f"the ledger does not hold: {found['findings']}")


@asynccontextmanager
async def _served(run: Run, *, worker_inside: bool) -> AsyncIterator[Served]:
    project = run.folder / f"project-{uuid4().hex[:8]}"
    (project / "supabase").mkdir(parents=True)
    (project / "supabase" / "config.toml").write_text(
        f"[tintype.worker]\ninside_serve = {str(worker_inside).lower()}\n"
    )
    async with _environment(run) as environment:
        port = _free_port()
        arguments = ("serve", "--data", str(project / "data"), "--port", str(port))
        with (project / "serve.log").open("wb") as log:
            async with running(
                *COMMAND, *arguments, cwd=project, environment=environment, stdout=log, stderr=log
            ) as server:
                await _until_ready(server, port, project)
                status = await _status(project, environment)
                tokens = await _make_users(project, port, status["DB_URL"])
                yield Served(port, status["DB_URL"], tokens)


@asynccontextmanager
async def _environment(run: Run) -> AsyncIterator[dict[str, str]]:
    """Yield the server's environment: the sandbox, and an own database of a given Postgres."""
    dropped = ("GEMINI", "IMAGEN", "AI_GATEWAY", "LOVABLE", "TINTYPE", "DATABASE_URL")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(dropped)}
    environment["PYTHONPATH"] = str(ROOT)
    if not os.environ.get("DATABASE_URL"):
        yield environment
        return
    async with run.server.empty() as url:
        yield environment | {"DATABASE_URL": url}


async def _until_ready(server: asyncio.subprocess.Process, port: int, project: Path) -> None:
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            while not await _is_healthy(port):
                if server.returncode is not None:
                    break
                await asyncio.sleep(POLL_SECONDS)
            else:
                return
    except TimeoutError:
        pass
    said = (project / "serve.log").read_text(errors="replace")[-3000:]
    raise MeasurementFailed(f"tintype serve did not become ready:\n{said}")


async def _is_healthy(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /auth/v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def _status(project: Path, environment: dict[str, str]) -> dict[str, str]:
    pipe = asyncio.subprocess.PIPE
    arguments = ("status", "--data", str(project / "data"), "-o", "json")
    async with running(
        *COMMAND, *arguments, cwd=project, environment=environment, stdout=pipe, stderr=pipe
    ) as process:
        out, err = await process.communicate()
    if process.returncode != 0:
        raise MeasurementFailed(f"tintype status failed:\n{err.decode(errors='replace')[-2000:]}")
    return dict(json.loads(out))


async def _make_users(project: Path, port: int, database_url: str) -> list[str]:
    """Give 64 new users credits, and return a token of each as sign-in would mint it."""
    users = [uuid4() for _ in range(USERS)]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "select tintype.grant_credits(u, $2) from unnest($1::uuid[]) as u", users, CREDITS_EACH
        )
    finally:
        await connection.close()
    keys = app.open_keys(
        config.load(data=project / "data", project=project, port=port, environment={})
    )
    return [keys.mint(user, email=f"{user}@example.com", seconds=TOKEN_SECONDS) for user in users]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
