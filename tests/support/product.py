"""The whole product over real HTTP: the app on a fresh database, its people, a look behind it.

The providers are a scripted server of this test; the model `sandbox` draws by itself.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.provider_server import ProviderServer
from tests.support.serve import serving
from tintype import app as server
from tintype import config, credits, database, jobs
from tintype.config import Config
from tintype.jobs import Job

FUNCTIONS = "/functions/v1"
CLIENT_SECONDS_MAX = 250
EVERYTHING = """
select
  (select count(*) from public.jobs) as jobs,
  (select count(*) from public.generations) as generations,
  (select count(*) from public.credit_entries) as entries,
  (select coalesce(jsonb_agg(to_jsonb(a) order by a.user_id), '[]')::text
    from public.credit_accounts as a) as accounts,
  (select count(*) from storage.objects) as objects,
  (select count(*) from tintype.answers) as answers,
  (select count(*) from tintype.ready) as ready,
  (select count(*) from tintype.delayed) as delayed
"""


class Person(msgspec.Struct):
    """Someone with an access token (or a key), and ways to call functions with it."""

    product: "Product"
    id: UUID
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def call(self, name: str, body: Any = None, **headers: str) -> httpx2.Response:
        """POST `body` as JSON; `prefer="wait=5"` and the like become headers."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        return await self.product.http.post(
            f"{FUNCTIONS}/{name}", json=body, headers=self.headers | sent
        )

    async def generate(self, body: Mapping[str, Any], **headers: str) -> httpx2.Response:
        """Ask for pictures of "a robot" unless `body` says otherwise."""
        return await self.call("generate-image", {"prompt": "a robot"} | dict(body), **headers)

    async def accepted(self, body: Mapping[str, Any] | None = None, **headers: str) -> Job:
        """Ask for pictures, which must be accepted, and return the job."""
        answer = await self.generate(body or {}, **headers)
        assert answer.status_code == 200, answer.text
        return await self.product.job(answer.json()["jobId"])

    async def account(self) -> tuple[int, int, int]:
        """Return settled, held and available credits."""
        account = await credits.get(self.product.pool, self.id)
        assert account is not None
        return account.balance, account.held, account.available


class Product:
    """The app behind one URL; it can be stopped and started again."""

    def __init__(self, chosen: Config, url: str, provider: ProviderServer) -> None:
        self.config = chosen
        self.url = url
        self.provider = provider
        self.keys = server.open_keys(chosen)
        self.app: ASGIApp | None = None
        self.pool: database.Pool
        self.admin: asyncpg.Connection[asyncpg.Record]
        self.http: httpx2.AsyncClient
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Open the app."""
        self.app = await self._running.enter_async_context(server.open_app(self.config))

    async def stop(self) -> None:
        """Close the app as a SIGTERM does."""
        self.app = None
        await self._running.aclose()

    async def restart(self) -> None:
        """Stop, then start anew with the same database and folder."""
        await self.stop()
        await self.start()

    async def person(self, amount: int = 20, *, premium: bool = False) -> Person:
        """Return a new user with `amount` credits; with 0 the account is not opened."""
        user_id = uuid4()
        if amount:
            await credits.grant(self.pool, user_id, amount)
        if premium:
            await credits.set_premium(self.pool, user_id, True)
        return Person(self, user_id, self.keys.mint(user_id))

    def service(self) -> Person:
        """Return the holder of the service key."""
        return Person(self, UUID(int=0), self.keys.service_role_key)

    async def job(self, job_id: str | UUID) -> Job:
        job = await jobs.get(self.pool, UUID(str(job_id)))
        assert job is not None
        return job

    async def count(self, table: str) -> int:
        return int(await self.admin.fetchval(f"select count(*) from {table}"))

    async def upload(
        self, person: Person, name: str, data: bytes, media_type: str = "image/png"
    ) -> str:
        """Upload into the person's own folder over HTTP and return `uploads/…`."""
        path = f"uploads/{person.id}/{name}"
        answer = await self.http.post(
            f"/storage/v1/object/{path}",
            content=data,
            headers=person.headers | {"content-type": media_type},
        )
        assert answer.status_code == 200, answer.text
        return path

    def files(self) -> set[str]:
        """Return every file of the data folder but the keys, unfinished ones included."""
        folder = self.config.data
        paths = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        return paths - {"keys.json"}

    async def everything(self) -> dict[str, Any]:
        """Return what a refused request must leave as it was."""
        row = await self.admin.fetchrow(EVERYTHING)
        assert row is not None
        return dict(row) | {"files": self.files()}

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Assert that nothing is kept of what happens inside."""
        before = await self.everything()
        yield
        assert await self.everything() == before

    async def assert_ledger_holds(self) -> None:
        found = await credits.verify(self.pool)
        assert found.holds_true, found.findings


@asynccontextmanager
async def open_product(
    database_url: str, folder: Path, *, works: bool = True, **environment: str
) -> AsyncIterator[Product]:
    """Yield the running product. With `works` False its own worker claims nothing."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(ProviderServer())
        door = _Door()
        url = await stack.enter_async_context(serving(door))
        chosen = config.load(
            data=folder / "data",
            project=folder,
            environment={
                "DATABASE_URL": database_url,
                "TINTYPE_PUBLIC_URL": url,
                "GEMINI_API_KEY": "test",
                "GEMINI_BASE_URL": provider.url,
                "IMAGEN_BASE_URL": provider.url,
                "AI_GATEWAY_URL": f"{provider.url}/v1",
                "AI_GATEWAY_API_KEY": "test",
                "TINTYPE_SANDBOX_SECONDS": "0",
                "TINTYPE_DRAIN_SECONDS": "1",
                **environment,
            },
        )
        worker = msgspec.structs.replace(chosen.worker, inside_serve=works)
        product = Product(msgspec.structs.replace(chosen, worker=worker), url, provider)
        door.product = product
        product.pool = await database.connect(database_url, size_max=2)
        stack.push_async_callback(product.pool.close)
        product.admin = await asyncpg.connect(database_url)
        stack.push_async_callback(product.admin.close)
        product.http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=CLIENT_SECONDS_MAX)
        )
        stack.push_async_callback(product.stop)
        await product.start()
        yield product


class _Door:
    """Stays open while the app behind it is exchanged, so that the URL stays the same."""

    product: Product | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.product.app if self.product else None
        if scope["type"] == "lifespan" or app is None:
            raise RuntimeError("nothing is open")
        await app(scope, receive, send)
