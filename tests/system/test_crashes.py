"""Everything is killed at random while jobs run; nothing is lost, and nothing is paid for twice."""

import asyncio
import hashlib
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest

from tests.support.processes import ProviderProcess, answering, free_port, tintype
from tintype import app, config, credits, database

JOBS = 240
KILLS = 24
USERS = 6
QUANTITY = 2
SEED = int(os.environ.get("TINTYPE_CRASH_SEED", "20"))
LEASE_SECONDS = 3
SETTLE_SECONDS_MAX = 240


class Site:
    """A server, a worker beside it, their Postgres, and a provider that survives them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.provider = ProviderProcess(folder / "provider")
        settings = {
            "GEMINI_API_KEY": "test",
            "GEMINI_BASE_URL": self.provider.url,
            "TINTYPE_LEASE_SECONDS": str(LEASE_SECONDS),
            "TINTYPE_WORKER_CONCURRENCY": "6",
            "TINTYPE_PORT": str(self.port),
        }
        self.server = tintype("serve", "--data", str(self.data), folder=folder, **settings)
        self.worker = tintype("worker", "--data", str(self.data), folder=folder, **settings)
        self.config = config.load(
            data=self.data, project=folder, environment={"TINTYPE_PORT": str(self.port)}
        )

    def postmaster(self) -> int | None:
        found = database.find_embedded(self.data / "postgres")
        return found.pid if found else None

    @property
    def database_url(self) -> str:
        found = database.find_embedded(self.data / "postgres")
        assert found is not None
        return found.url

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Return a connection, waiting until Postgres is back."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await asyncpg.connect(self.database_url, timeout=5)
                except (OSError, AssertionError, asyncpg.PostgresError):
                    await asyncio.sleep(0.1)

    async def fetch(self, sql: str, *values: Any) -> list[asyncpg.Record]:
        connection = await self.connect()
        try:
            return await connection.fetch(sql, *values)
        finally:
            await connection.close()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    one = Site(folder)
    try:
        one.server.start()
        await answering(one.url)
        one.worker.start()
        yield one
    finally:
        one.worker.stop()
        one.server.stop()
        one.provider.stop()
        pid = one.postmaster()
        if pid is not None:
            os.kill(pid, signal.SIGINT)


async def submit_all(one: Site, tokens: list[str], accepted: dict[UUID, int]) -> None:
    """Submit every job, repeating each with its own key until it is answered."""
    waiting = list(range(JOBS))
    paced = asyncio.Semaphore(8)

    async def submit(client: httpx2.AsyncClient, number: int) -> None:
        async with paced:
            headers = {
                "authorization": f"Bearer {tokens[number % USERS]}",
                "idempotency-key": f'"job-{number}"',
            }
            body = {"prompt": f"job {number}", "quantity": QUANTITY}
            while True:
                try:
                    answer = await client.post(
                        f"{one.url}/functions/v1/generate-image", json=body, headers=headers
                    )
                    if answer.status_code == 200:
                        accepted[UUID(answer.json()["jobId"])] = number
                        # Spread over the kills, so that each of them meets requests.
                        await asyncio.sleep(0.5)
                        return
                    assert answer.status_code in (409, 500, 503), answer.text
                except httpx2.HTTPError:
                    pass
                await asyncio.sleep(0.2)

    async with httpx2.AsyncClient(trust_env=False, timeout=15) as client:
        await asyncio.gather(*(submit(client, number) for number in waiting))


async def kill_one(one: Site, what: str) -> None:
    match what:
        case "worker":
            one.worker.kill()
            one.worker.start()
        case "server":
            one.server.kill()
            one.server.start()
            await answering(one.url)
        case "postmaster":
            pid = one.postmaster()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        case "backend":
            rows = await one.fetch(
                "select pid from pg_stat_activity where application_name = 'tintype'"
                " order by random() limit 1"
            )
            for row in rows:
                os.kill(row["pid"], signal.SIGKILL)


async def kill_at_random(
    one: Site, dice: random.Random, done: asyncio.Event
) -> tuple[Counter, int]:
    """Kill something `KILLS` times; return what, and how many pictures were in flight then."""
    targets = ["worker", "server", "postmaster", "backend"] * (KILLS // 4)
    dice.shuffle(targets)
    in_flight = 0
    for target in targets:
        await asyncio.sleep(dice.uniform(0.4, 1.2))
        [row] = await one.fetch(
            "select coalesce(sum(quantity - result_count), 0) as missing from public.jobs"
            " where status = 'processing'"
        )
        in_flight += row["missing"]
        await kill_one(one, target)
    done.set()
    return Counter(targets), in_flight


async def all_ended(one: Site) -> None:
    """Return once every job has ended and what broken attempts left behind was looked at."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        while True:
            [row] = await one.fetch(
                "select (select count(*) from tintype.leftovers) + count(*) as open"
                " from public.jobs where status not in ('completed', 'failed', 'canceled')"
            )
            if not row["open"]:
                return
            await asyncio.sleep(0.5)


@pytest.mark.timeout(600)
async def test_killing_everything_at_random_loses_nothing(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    accepted: dict[UUID, int] = {}
    async with site(tmp_path) as one:
        await one.provider.script(seconds=0.15, weights={"unavailable": 0.03}, seed=SEED)
        pool = await database.connect(one.database_url, size_max=2)
        users = [uuid4() for _ in range(USERS)]
        for user in users:
            await credits.grant(pool, user, JOBS * QUANTITY)
        await pool.close()
        keys = app.open_keys(one.config)
        tokens = [keys.mint(user) for user in users]

        done = asyncio.Event()
        (killed, in_flight), _ = await asyncio.gather(
            kill_at_random(one, dice, done), submit_all(one, tokens, accepted)
        )
        await all_ended(one)
        await check(one, accepted, killed, in_flight)


async def check(
    one: Site, accepted: dict[UUID, int], killed: "Counter[str]", in_flight: int
) -> None:
    jobs = {row["id"]: row for row in await one.fetch("select * from public.jobs")}
    assert len(set(accepted.values())) == JOBS
    assert set(accepted) == set(jobs), "one job for each accepted request, and no other"
    statuses = Counter(row["status"] for row in jobs.values())

    pool = await database.connect(one.database_url, size_max=2)
    found = await credits.verify(pool)
    await pool.close()
    assert found.holds_true, found.findings
    assert found.open_holds == 0

    outputs = await one.fetch("select * from public.generations")
    assert len({(row["job_id"], row["position"]) for row in outputs}) == len(outputs)
    assert len(outputs) == sum(row["result_count"] for row in jobs.values())
    digests = check_bytes(one, outputs, await one.fetch("select * from storage.objects"))

    calls = await one.provider.calls()
    made = [digest for call in calls for digest in call["pictures"]]
    assert set(digests) <= set(made), "every picture is one that the provider made"
    assert len(digests) == len(set(digests)), "no picture was delivered twice"
    again = len(made) - len(digests)
    print(
        f"\n{sum(killed.values())} kills {dict(killed)}: {len(jobs)} jobs {dict(statuses)}, "
        f"{len(calls)} provider calls, {len(made)} pictures made, {len(digests)} delivered; "
        f"{again} paid for and not delivered, {in_flight} were in flight at the kills"
    )
    assert again <= in_flight


def check_bytes(
    one: Site, outputs: list[asyncpg.Record], objects: list[asyncpg.Record]
) -> list[str]:
    """Check that rows and files are the same set, and return the pictures' digests."""
    folder = one.data / "objects"
    rows = {(row["bucket_id"], row["name"], row["version"]) for row in objects}
    digests = []
    for row in outputs:
        [version] = [
            version
            for bucket, name, version in rows
            if (bucket, name) == ("generations", row["path"])
        ]
        data = (folder / "generations" / row["path"] / version).read_bytes()
        digests.append(hashlib.sha256(data).hexdigest())
    files = {
        (
            path.relative_to(folder).parts[0],
            "/".join(path.relative_to(folder).parts[1:-1]),
            path.name,
        )
        for path in folder.rglob("*")
        if path.is_file() and ".staging" not in path.parts
    }
    assert rows <= files, "an object has its bytes"
    extra = files - rows
    print(f"\n{len(files)} files, {len(extra)} of them without a row")
    assert not extra
    return digests
