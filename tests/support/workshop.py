"""Everything a job needs, in this process: a kernel on a real database, objects in a folder, a
scripted provider over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tests.support.provider_server import ProviderServer
from tintype import config, credits, database, jobs, providers, storage
from tintype.functions.submission import Submission, Submitter
from tintype.jobs import Job
from tintype.workers import Conclusion, Kernel, Worker

MODEL = "gemini-3.1-flash-image"


class Workshop(msgspec.Struct):
    """The parts, and short ways to use them."""

    kernel: Kernel
    database_url: str
    provider: ProviderServer
    submitter: Submitter

    async def user(self, amount: int = 100) -> UUID:
        user_id = uuid4()
        await credits.grant(self.kernel.pool, user_id, amount)
        return user_id

    async def submit(self, user_id: UUID, *, quantity: int = 1, **payload: Any) -> Job:
        """Enqueue a job priced 1 credit a picture, past the function that checks requests."""
        acceptance = await self.submitter.submit(
            Submission(
                user_id=user_id,
                amount=quantity,
                units=quantity,
                quantity=quantity,
                prompt=payload.pop("prompt", "a robot"),
                payload={"model": MODEL} | payload,
                expires_seconds=payload.pop("expires_seconds", 3600),
                max_retries=3,
            )
        )
        return await self.job(acceptance.job_id)

    async def job(self, job_id: UUID) -> Job:
        job = await jobs.get(self.kernel.pool, job_id)
        assert job is not None
        return job

    async def run_one(self) -> Conclusion | None:
        """Run one attempt of one due job, as a worker of its own does."""
        worker = Worker(self.kernel, self.database_url)
        await worker.start(claims=False)
        try:
            return await worker.run_one()
        finally:
            await worker.drain()

    async def make_due(self) -> None:
        """Let every delayed job's time have come."""
        connection = await database.connect(self.database_url, size_max=1, role=None)
        await connection.execute("update tintype.delayed set run_at = now()")
        await connection.execute("delete from tintype.provider_pauses")
        await connection.close()

    async def expire_leases(self) -> None:
        """Let every lease have expired."""
        connection = await database.connect(self.database_url, size_max=1, role=None)
        await connection.execute("update tintype.leases set expires_at = now() - interval '1 s'")
        await connection.close()

    async def account(self, user_id: UUID) -> credits.Account:
        account = await credits.get(self.kernel.pool, user_id)
        assert account is not None
        return account

    async def assert_ledger_holds(self) -> None:
        found = await credits.verify(self.kernel.pool)
        assert found.holds_true, found.findings

    def files(self) -> list[Path]:
        """Return every file among the objects."""
        folder = self.kernel.config.data / "objects"
        return sorted(path for path in folder.rglob("*") if path.is_file())


@asynccontextmanager
async def workshop(
    pool: database.Pool, database_url: str, folder: Path, **settings: str
) -> AsyncIterator[Workshop]:
    """Yield a workshop whose Gemini is a server of this test."""
    async with ProviderServer() as provider:
        chosen = config.load(
            data=folder,
            project=folder,
            environment={
                "GEMINI_API_KEY": "test",
                "GEMINI_BASE_URL": provider.url,
                "IMAGEN_BASE_URL": provider.url,
                "AI_GATEWAY_URL": f"{provider.url}/v1",
                "AI_GATEWAY_API_KEY": "test",
                "TINTYPE_DRAIN_SECONDS": "1",
                **settings,
            },
        )
        makers = providers.open_providers(chosen.providers)
        objects = storage.open_storage(chosen, pool, b"s" * 32)
        try:
            yield Workshop(
                Kernel(chosen, pool, objects, makers),
                database_url,
                provider,
                Submitter(pool, welcome=0),
            )
        finally:
            await makers.close()
