"""How is the server started that HTTP and websockets are measured on?

As users start it: `tintype serve` in a process of its own, in a project folder of its own, with its
own Postgres and its own settings unless a database is given. Its worker is off unless asked for, so
that nothing else is at work on the same cores.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from bench.process import HOST, ROOT, MeasurementFailed, free_port, running
from bench.rounds import Run
from tintype import app, config
from tintype.auth import KeySet

TOKEN_SECONDS = 3600
START_SECONDS_MAX = 60
POLL_SECONDS = 0.05
COMMAND = (sys.executable, "-c", "from tintype.cli import main; main()")


@dataclass(frozen=True)
class Served:
    """A server that answers: where, its process, its folder, its database and its keys."""

    port: int
    process_id: int
    data: Path
    database_url: str
    keys: KeySet

    def tokens(self, users: Sequence[UUID]) -> list[str]:
        """Return an access token of each user, as sign-in would mint it."""
        return [
            self.keys.mint(user, email=f"{user}@example.com", seconds=TOKEN_SECONDS)
            for user in users
        ]

    def headers(self, token: str) -> dict[str, str]:
        """Return what supabase-js sends with every request of a user who is signed in."""
        return {
            "apikey": self.keys.anon_key,
            "authorization": f"Bearer {token}",
            "x-client-info": "supabase-js-node/2.119.0",
        }


@asynccontextmanager
async def serving(
    run: Run, *, settings: str = "", worker: bool = False, database_url: str | None = None
) -> AsyncIterator[Served]:
    """Yield the server, ready; it is stopped at the end.

    `settings` is more of its config.toml. Without `database_url` it has its own Postgres, or a
    database of its own on the one that `DATABASE_URL` names.
    """
    project = run.folder / f"project-{uuid4().hex[:8]}"
    (project / "supabase").mkdir(parents=True)
    (project / "supabase" / "config.toml").write_text(
        f"[tintype.worker]\ninside_serve = {str(worker).lower()}\n{settings}"
    )
    async with _environment(run, database_url) as environment:
        port = free_port()
        arguments = ("serve", "--data", str(project / "data"), "--port", str(port))
        with (project / "serve.log").open("wb") as log:
            async with running(
                *COMMAND, *arguments, cwd=project, environment=environment, stdout=log, stderr=log
            ) as process:
                await _until_ready(process, port, project)
                yield Served(
                    port,
                    process.pid,
                    project / "data",
                    await _database_url(project, environment),
                    _keys(project, port),
                )


@asynccontextmanager
async def _environment(run: Run, database_url: str | None) -> AsyncIterator[dict[str, str]]:
    """Yield the server's environment: the sandbox, and its database where one is given."""
    dropped = ("GEMINI", "IMAGEN", "AI_GATEWAY", "LOVABLE", "TINTYPE", "DATABASE_URL")
    environment = {n: v for n, v in os.environ.items() if not n.startswith(dropped)}
    environment["PYTHONPATH"] = str(ROOT)
    if database_url is not None:
        yield environment | {"DATABASE_URL": database_url}
    elif not os.environ.get("DATABASE_URL"):
        yield environment
    else:
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
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(
            b"GET /auth/v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


async def _database_url(project: Path, environment: dict[str, str]) -> str:
    given = environment.get("DATABASE_URL")
    if given is not None:
        return given
    pipe = asyncio.subprocess.PIPE
    arguments = ("status", "--data", str(project / "data"), "-o", "json")
    async with running(
        *COMMAND, *arguments, cwd=project, environment=environment, stdout=pipe, stderr=pipe
    ) as process:
        out, err = await process.communicate()
    if process.returncode != 0:
        raise MeasurementFailed(f"tintype status failed:\n{err.decode(errors='replace')[-2000:]}")
    return str(json.loads(out)["DB_URL"])


def _keys(project: Path, port: int) -> KeySet:
    return app.open_keys(
        config.load(data=project / "data", project=project, port=port, environment={})
    )
