"""A served `/auth/v1`, the clients that apps bring, and raw HTTP beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
from starlette.applications import Starlette
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from support.serve import serving
from tintype.auth import KeySet, Settings, routes
from tintype.database import Pool

Admin = asyncpg.Connection
PASSWORD = "correct horse"
NEW = {"X-Supabase-Api-Version": "2024-01-01"}


@dataclass(frozen=True)
class Site:
    """The served door, and ways to call it."""

    url: str
    keys: KeySet
    http: httpx2.AsyncClient

    async def client(self, key: str | None = None) -> AsyncClient:
        """Return the unmodified client, with the anon key unless another is given."""
        return await acreate_client(
            self.url,
            key or self.keys.anon_key,
            AsyncClientOptions(auto_refresh_token=False, persist_session=True),
        )

    async def operator(self) -> Any:
        """Return the client's admin calls, with the service role's key."""
        return (await self.client(self.keys.service_role_key)).auth.admin

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """Send one request with the anon key, in the newer version, as `token` if given."""
        sent = {"apikey": self.keys.anon_key, **NEW, **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return await self.http.request(
            method, path, json=body, headers={name: v for name, v in sent.items() if v}
        )

    async def as_operator(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        return await self.ask(method, path, body, token=self.keys.service_role_key)

    async def sign_up(self, email: str = "ada@example.com") -> dict[str, Any]:
        answer = await self.ask("POST", "/signup", {"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def sign_in(
        self, email: str = "ada@example.com", password: str = PASSWORD
    ) -> httpx2.Response:
        body = {"email": email, "password": password}
        return await self.ask("POST", "/token?grant_type=password", body)

    async def refresh(self, token: str) -> httpx2.Response:
        return await self.ask("POST", "/token?grant_type=refresh_token", {"refresh_token": token})


@asynccontextmanager
async def opened(keys: KeySet, pool: Pool, settings: Settings) -> AsyncIterator[Site]:
    app = Starlette(routes=list(routes(keys, pool, settings)))
    async with (
        serving(app) as url,
        httpx2.AsyncClient(base_url=f"{url}/auth/v1", timeout=100) as http,
    ):
        yield Site(url, keys, http)


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    """Return status and code of a refusal in the newer shape, which it must have."""
    body = answer.json()
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"
    assert set(body) - {"hint", "weak_password"} == {"code", "message"}, body
    return answer.status_code, body["code"]


async def later(admin: "Admin[Any]", seconds: float) -> None:
    """Let the database live `seconds` ahead: its sessions and tokens grow as much older."""
    await admin.execute(
        "create or replace function tintype.clock() returns timestamptz language sql volatile"
        " set search_path = '' as"
        f" $$ select pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
    )
