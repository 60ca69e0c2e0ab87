"""`tintype serve` as it ships, on a database of its own, and supabase-js as npm has it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from shutil import copytree
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tests.support.databases import fresh_database
from tests.support.node import Report, find_node
from tests.support.processes import Process, answering, free_port, tintype
from tintype import app, config
from tintype.auth import KeySet

FOLDER = Path(__file__).parent / "supabase_js"
START_SECONDS_MAX = 200
SAID_CHARACTERS_MAX = 2000


class Site(msgspec.Struct):
    """The running server, and what the test alone may do with it."""

    url: str
    keys: KeySet
    server: Process
    log: Path
    admin: Any

    async def report(self, script: str) -> Report:
        """Run a script of checks against the server."""
        given = {
            "url": self.url,
            "anonKey": self.keys.anon_key,
            "publishableKey": self.keys.publishable_key,
            "serviceKey": self.keys.service_role_key,
            "secretKey": self.keys.secret_key,
        }
        backstage = {"sql": self._sql, "restart": self._restart, "mint": self._mint}
        return await (await find_node()).run(script, given, backstage)

    async def start(self) -> None:
        """Start the server, or fail with the last that it said."""
        self.server.start()
        try:
            await answering(self.url, START_SECONDS_MAX)
        except TimeoutError:
            said = self.log.read_text("utf-8", "replace")[-SAID_CHARACTERS_MAX:]
            raise AssertionError(f"the server does not answer: {said}") from None

    async def _sql(self, text: str, *values: Any) -> list[dict[str, Any]]:
        """Run one statement as the administrator; every value is text."""
        return [dict(row) for row in await self.admin.fetch(text, *values)]

    async def _restart(self) -> None:
        """Kill the server and start it again."""
        self.server.kill()
        await self.start()

    async def _mint(self, user_id: str, seconds: int) -> str:
        """Return an access token of a user that lives so long."""
        return self.keys.mint(UUID(user_id), seconds=seconds)


@asynccontextmanager
async def open_site(
    postgres_url: str, template: str, folder: Path, *, setup: str | None = None
) -> AsyncIterator[Site]:
    """Yield a site with the functions of `supabase_js/project`; every new person has 20 credits.

    `setup` names a file of SQL beside the scripts, for what an app's own migrations would make.
    """
    copytree(FOLDER / "project", folder, dirs_exist_ok=True)
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(fresh_database(postgres_url, template))
        admin = await asyncpg.connect(database_url)
        stack.push_async_callback(admin.close)
        if setup is not None:
            await admin.execute((FOLDER / setup).read_text("utf-8"))
        settings = {
            "DATABASE_URL": database_url,
            "TINTYPE_PORT": str(free_port()),
            "TINTYPE_SANDBOX_SECONDS": "0",
            "TINTYPE_DRAIN_SECONDS": "1",
            "TINTYPE_DEFAULT_MODEL": "sandbox",
            "TINTYPE_WELCOME_CREDITS": "20",
        }
        data = folder / "data"
        chosen = config.load(data=data, project=folder, environment=settings)
        server = tintype("serve", "--data", str(data), folder=folder, **settings)
        stack.callback(server.stop)
        site = Site(chosen.public_url, app.open_keys(chosen), server, folder / "serve.log", admin)
        await site.start()
        yield site
