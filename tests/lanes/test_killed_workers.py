"""Both queues drained by several worker processes that are killed all the time."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path
from uuid import UUID, uuid4

from tests.lanes.bench_of_work import Bench
from tests.support.product import Product
from tintype import credits
from tintype.workers import outside

JOBS_PER_QUEUE = 30
WORKERS_PER_QUEUE = 2
KILLS = 8
SECONDS_MAX = 250
ROOT = Path(__file__).parent.parent.parent
QUEUES = {
    # Queue → job type, outputs of each job, the program that drains it.
    "sdxl_queue": ("sdxl_image_fast", 3, ROOT / "tests" / "lanes" / "polling_worker.py"),
    "wan_queue": ("image_fast", 1, ROOT / "examples" / "worker.py"),
}


class Crew:
    """The worker processes of one queue; one that was killed is replaced."""

    def __init__(self, product: Product, queue: str) -> None:
        self._product = product
        self._queue = queue
        self.processes: list[tuple[UUID, asyncio.subprocess.Process]] = []
        self.dead: list[UUID] = []

    async def hire(self) -> None:
        product = self._product
        name = f"{self._queue}-{uuid4().hex[:8]}".replace("_", "-")
        secrets = await outside.add_worker(product.pool, product.keys, name, [self._queue])
        environment = os.environ | {
            "SUPABASE_URL": product.url,
            "SUPABASE_SERVICE_KEY": secrets.key,
            "UPSTASH_REDIS_REST_URL": f"{product.url}/redis/v1",
            "UPSTASH_REDIS_REST_TOKEN": secrets.lane_token,
            "PYTHONPATH": str(ROOT),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(QUEUES[self._queue][2]),
            self._queue,
            env=environment,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.processes.append((secrets.worker_id, process))

    async def kill_one(self) -> None:
        worker_id, victim = self.processes.pop(random.randrange(len(self.processes)))
        os.kill(victim.pid, signal.SIGKILL)
        await victim.wait()
        self.dead.append(worker_id)

    async def dismiss(self) -> None:
        while self.processes:
            await self.kill_one()


async def left(bench: Bench) -> int:
    return int(
        await bench.product.admin.fetchval(
            "select count(*) from public.jobs where status in ('queued', 'processing')"
        )
    )


async def test_every_job_completes_once_and_every_picture_exists_once(bench: Bench) -> None:
    product = bench.product
    for job_type, outputs, _ in QUEUES.values():
        for _ in range(JOBS_PER_QUEUE):
            await bench.enqueue(job_type, quantity=outputs, payload=payload(job_type, outputs))
    crews = [Crew(product, queue) for queue in QUEUES]
    try:
        for crew in crews:
            for _ in range(WORKERS_PER_QUEUE):
                await crew.hire()
        async with asyncio.timeout(SECONDS_MAX):
            for number in range(KILLS):
                before = await left(bench)
                while await left(bench) > max(0, before - 4) and before:
                    await asyncio.sleep(0.05)
                crew = crews[number % len(crews)]
                await crew.kill_one()
                await crew.hire()
                # The time of the jobs that died with it is over.
                await expire_dead(bench, crews)
            while await left(bench):
                await expire_dead(bench, crews)
                await asyncio.sleep(0.2)
    finally:
        for crew in crews:
            await crew.dismiss()
    await check(bench)


def payload(job_type: str, outputs: int) -> dict[str, object]:
    return {
        "bucket": job_type,
        "config": {"num_images": outputs, "width": 64, "height": 64},
    }


async def expire_dead(bench: Bench, crews: list[Crew]) -> None:
    """Let the leases of workers that were killed be over, as their time would be one day."""
    dead = [f"worker:{one}" for crew in crews for one in crew.dead]
    await bench.product.admin.execute(
        "update tintype.leases set expires_at = now() - interval '1 second'"
        " where worker = any($1::text[])",
        dead,
    )


async def check(bench: Bench) -> None:
    admin = bench.product.admin
    jobs = await admin.fetch("select status, quantity, result_count from public.jobs")
    assert {(row["status"]) for row in jobs} == {"completed"}
    assert all(row["quantity"] == row["result_count"] for row in jobs)
    wanted = sum(JOBS_PER_QUEUE * outputs for _, outputs, _ in QUEUES.values())
    rows = await admin.fetch("select status, path, url from public.generations")
    assert {row["status"] for row in rows} == {"completed"}
    assert len(rows) == len({row["path"] for row in rows}) == wanted
    for row in rows[::10]:
        shown = await bench.product.http.get(row["url"], headers=bench.person.headers)
        assert shown.content.startswith(b"\x89PNG")
    price = JOBS_PER_QUEUE * (3 * 1 + 1 * 2)
    assert await bench.person.account() == (1000 - price, 0, 1000 - price)
    assert (await credits.verify(bench.product.pool)).holds_true
