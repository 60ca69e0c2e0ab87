"""A server is killed in the middle of a training or a removal, started anew, and nothing is lost,
paid twice or left behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest

from tests.identities.asking import WAIT_SECONDS_MAX, image_files
from tests.identities.trainer import Trainer, adapter, training
from tests.support.hub_server import HubServer
from tests.support.processes import answering, free_port, tintype
from tintype import config, credits, database
from tintype.app import open_keys

PRICE = 50
KEY = '"the-same"'
COMMITS = ["Upload training data for John (3 images)", "Add trained LoRA weights"]


class Site:
    """A server in a process of its own, on this test's database and Hub, and one user."""

    def __init__(self, folder: Path, database_url: str, hub: HubServer) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.hub = hub
        self.data = folder / "data"
        self.database_url = database_url
        settings = {
            "DATABASE_URL": database_url,
            "HUGGINGFACE_TOKEN": hub.token,
            "HF_ENDPOINT": hub.url,
            "TINTYPE_PORT": str(port),
        }
        self.server = tintype("serve", "--data", str(self.data), folder=folder, **settings)
        self.keys = open_keys(config.load(data=self.data, project=folder, environment=settings))
        self.user_id = uuid4()
        self.pool: database.Pool
        self.admin: asyncpg.Connection[asyncpg.Record]

    async def start(self) -> None:
        """Start the server; what a killed one held is anybody's at once."""
        await self.admin.execute("update tintype.leases set expires_at = now()")
        await self.admin.execute("update tintype.removals set not_before = now()")
        await asyncio.to_thread(self.server.start)
        await answering(self.url)

    async def ask(self) -> httpx2.Response | None:
        """Ask for an identity as an app does that repeats; None when the server went away."""
        body = {"identityName": "John", "imageFiles": image_files(3), "userId": str(self.user_id)}
        headers = {
            "authorization": f"Bearer {self.keys.mint(self.user_id)}",
            "idempotency-key": KEY,
        }
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS_MAX) as client:
            try:
                return await client.post(
                    f"{self.url}/functions/v1/train-identity", json=body, headers=headers
                )
            except httpx2.TransportError:
                return None

    async def until(self, query: str, *values: Any) -> Any:
        """Return what the query gives as soon as it gives something true."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (value := await self.admin.fetchval(query, *values)):
                await asyncio.sleep(0.02)
            return value

    async def one_of_everything(self) -> None:
        """Assert that there is one identity, ready, published once and paid once."""
        [row] = await self.admin.fetch("select * from public.trained_identities")
        assert (row["status"], row["error_code"]) == ("ready", None)
        assert list(self.hub.repositories.by_id) == [row["repository"]]
        assert self.hub.titles(row["repository"]) == COMMITS
        files = self.hub.files(row["repository"])
        assert files["pytorch_lora_weights.safetensors"] == adapter()
        account = await credits.get(self.pool, self.user_id)
        assert account is not None
        assert (account.balance, account.held) == (PRICE, 0)
        assert (await credits.verify(self.pool)).holds_true


@pytest.fixture
async def site(database_url: str, tmp_path: Path, hub: HubServer) -> AsyncIterator[Site]:
    one = Site(tmp_path, database_url, hub)
    one.pool = await database.connect(database_url, size_max=2)
    one.admin = await asyncpg.connect(database_url)
    await credits.grant(one.pool, one.user_id, 2 * PRICE)
    try:
        await one.start()
        yield one
    finally:
        one.server.kill()
        await one.admin.close()
        await one.pool.close()


READY = "select count(*) from public.trained_identities where status = 'ready'"


async def test_killed_between_the_pictures_and_the_job(site: Site) -> None:
    # Nothing can be submitted while this is locked.
    async with site.admin.transaction():
        await site.admin.execute("lock table public.jobs in share row exclusive mode")
        asking = asyncio.create_task(site.ask())
        await site.until("select count(*) = 3 from storage.objects where bucket_id = 'identities'")
        site.server.kill()
        # Its statement still waits, and would be done without it.
        await site.admin.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
    assert await asking is None
    assert list((site.data / "scratch").iterdir()) != []

    await site.start()
    assert list((site.data / "scratch").iterdir()) == []
    await site.until("select count(*) from tintype.removals where done_at is not null")
    assert await site.admin.fetchval("select count(*) from storage.objects") == 0
    assert not [path for path in (site.data / "objects").rglob("*") if path.is_file()]

    async with training(site.pool, site.keys, site.url):
        answer = await site.ask()
        assert answer is not None and answer.status_code == 200
        await site.until(READY)
    await site.one_of_everything()


# Which request of the Hub's is the last before the server is killed.
STEPS = ("before the repository", "after the repository", "at the commit", "after the commit")


def stop_at(hub: HubServer, step: str) -> tuple[str, int]:
    """Let the Hub fall silent at a step; return the route, and how often it is asked by then."""
    if step == "after the commit":
        hub.fault("commit", drop="after")
        hub.fault("info", skip=1, hang=True)
        return "info", 2
    route = {"before the repository": "create", "at the commit": "commit"}.get(step, "info")
    hub.fault(route, hang=True)
    return route, 1


@pytest.mark.parametrize("step", STEPS)
async def test_killed_while_it_is_published(site: Site, step: str) -> None:
    last = stop_at(site.hub, step)
    asking = asyncio.create_task(site.ask())
    await site.hub.came(*last)
    site.server.kill()
    assert await asking is None
    site.hub.release()

    await site.start()
    async with training(site.pool, site.keys, site.url):
        answer = await site.ask()
        assert answer is not None and answer.status_code == 200, answer
        await site.until(READY)
    await site.one_of_everything()


@pytest.mark.parametrize("step", ["at the commit", "after the commit"])
async def test_killed_while_the_adapter_is_published(site: Site, step: str) -> None:
    async with training(site.pool, site.keys, site.url) as trainer:
        await _begun(site, trainer)
        site.hub.reset()
        last = stop_at(site.hub, step)
        trainer.may_go.set()
        await site.hub.came(*last)
        site.server.kill()
        site.hub.release()
        await site.start()
        await site.until(READY)
    await site.one_of_everything()


async def test_killed_while_it_is_trained(site: Site) -> None:
    async with training(site.pool, site.keys, site.url) as trainer:
        await _begun(site, trainer)
        site.server.kill()
        trainer.may_go.set()
        await site.start()
        await site.until(READY)
    await site.one_of_everything()


async def _begun(site: Site, trainer: Trainer) -> None:
    trainer.may_go.clear()
    answer = await site.ask()
    assert answer is not None and answer.status_code == 200
    await trainer.came.wait()


async def test_killed_while_an_identity_is_removed(site: Site) -> None:
    async with training(site.pool, site.keys, site.url):
        await site.ask()
        await site.until(READY)
    site.hub.fault("delete", hang=True)
    await site.admin.execute("delete from public.trained_identities")
    await site.hub.came("delete")
    site.server.kill()
    site.hub.release()
    assert len(site.hub.repositories.by_id) == 1

    await site.start()
    await site.until("select count(*) from tintype.removals where done_at is not null")
    assert site.hub.repositories.by_id == {}
    for table in ("storage.objects", "public.jobs", "public.generations"):
        assert await site.admin.fetchval(f"select count(*) from {table}") == 0
    assert not [path for path in (site.data / "objects").rglob("*") if path.is_file()]
    assert (await credits.verify(site.pool)).holds_true
