"""A studio at work for the running product: jobs that are asked for, and what comes of them."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.lanes.bench_of_work import Bench
from tests.support.processes import Process, tintype
from tintype.gpu import AdapterCache, Studio, work
from tintype.worker_client import WorkerClient

WAIT_SECONDS_MAX = 200
SMALL = {"width": 64, "height": 64, "sample_steps": 3}
SHORT = {"width": 32, "height": 32, "sample_steps": 3, "frame_num": 9}


def cache_of(bench: Bench) -> AdapterCache:
    """Return the worker's adapters: the same for all workers of a test, and not this machine's."""
    return AdapterCache(bench.product.config.data.parent / "adapters")


@asynccontextmanager
async def working(bench: Bench, studio: Studio, queue: Any) -> AsyncIterator[asyncio.Event]:
    """Have the studio's worker run; yield what stops it."""
    stop = asyncio.Event()
    async with WorkerClient(bench.product.url, bench.credentials.key) as client:
        task = asyncio.create_task(
            work(
                client,
                studio,
                queue,
                stop=stop,
                cache=cache_of(bench),
                progress_seconds=0,
                drain_seconds=0,
            )
        )
        try:
            yield stop
        finally:
            stop.set()
            await task


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not await true():
            await asyncio.sleep(0.02)


async def ended(bench: Bench, *job_ids: str | UUID) -> None:
    async def have() -> bool:
        return all([(await bench.product.job(job_id)).is_terminal for job_id in job_ids])

    await until(have)


async def ask(bench: Bench, job_type: str, config: dict[str, Any], **metadata: Any) -> str:
    """Ask as an app does; the job is then made as small as the models are."""
    answer = await bench.person.call(
        "queue-job", {"jobType": job_type, "metadata": {"prompt": "a robot"} | metadata}
    )
    assert answer.status_code == 200, answer.text
    job_id = str(answer.json()["jobId"])
    await shrink(bench, job_id, config)
    return job_id


async def shrink(bench: Bench, job_id: str | UUID, config: dict[str, Any]) -> None:
    await bench.product.admin.execute(
        "update public.jobs set payload = jsonb_set(payload, '{config}',"
        " coalesce(payload -> 'config', '{}') || $2::jsonb) where id = $1",
        UUID(str(job_id)),
        json.dumps(config),
    )


async def rows(bench: Bench, job_id: str, view: str) -> list[dict[str, Any]]:
    """Return what the job's owner sees."""
    answer = await bench.product.http.get(
        f"/rest/v1/{view}?job_id=eq.{job_id}&order=position", headers=bench.person.headers
    )
    return list(answer.json())


async def bytes_of(bench: Bench, row: dict[str, Any], column: str = "url") -> bytes:
    answer = await bench.product.http.get(row[column], headers=bench.person.headers)
    assert answer.status_code == 200, answer.text
    return answer.content


async def pictures_of(bench: Bench, job_id: str) -> list[bytes]:
    return [await bytes_of(bench, row) for row in await rows(bench, job_id, "images")]


@contextmanager
def gate(studio: Studio, step: int) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Stop the network before its call number `step`; yield what tells of it and what opens."""
    reached, opened, calls = threading.Event(), threading.Event(), []

    def wait(*_: Any) -> None:
        calls.append(1)
        if len(calls) == step:
            reached.set()
            assert opened.wait(WAIT_SECONDS_MAX)

    pipeline = studio.painter.pipeline
    network = pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer
    hook = network.register_forward_pre_hook(wait)
    try:
        yield reached, opened
    finally:
        opened.set()
        hook.remove()


def command(bench: Bench, folder: Path, *words: str, key: str | None = None) -> Process:
    return tintype(
        "gpu-worker",
        *words,
        folder=folder,
        SUPABASE_URL=bench.product.url,
        SUPABASE_SERVICE_KEY=key or bench.credentials.key,
        OMP_NUM_THREADS="1",
        HF_HUB_OFFLINE="1",
    )
