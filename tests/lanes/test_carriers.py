"""Queues that a team's own Redis carries: nothing is lost, nothing is completed twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture
from tests.lanes.redis_server import TOKEN, RedisServer, running_redis, upstash_in_front
from tests.support.product import Product
from tintype.workers.outside import Carrier, RedisLists, UpstashLists
from tintype.workers.outside.carrying.lists import ELEMENTS_MAX, ListsFailed

QUEUE = "sdxl_queue"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running_redis(tmp_path) as server:
        yield server


def carrier_of(product: Product, lists: Any, depth_max: int = 5) -> Carrier:
    assert product.config.database_url is not None
    return Carrier(product.pool, product.config.database_url, lists, QUEUE, depth_max=depth_max)


@pytest.fixture
async def carrier(product: Product, server: RedisServer) -> AsyncIterator[Carrier]:
    lists = RedisLists(server.url)
    yield carrier_of(product, lists)
    await lists.close()


async def popped(server: RedisServer) -> dict[str, Any] | None:
    value = await server.client.rpop(QUEUE)
    return None if value is None else dict(json.loads(value))


async def leased_seconds(bench: Bench, job_id: str) -> int | None:
    value = await bench.product.admin.fetchval(
        "select extract(epoch from l.expires_at - now())::integer from tintype.leases as l"
        " where $1::uuid = any(l.job_ids)",
        job_id,
    )
    return None if value is None else int(value)


async def test_a_carried_job_is_popped_done_and_settled(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    job_id = str(await bench.enqueue())
    await carrier.look()
    assert (await bench.product.job(job_id)).status == "queued"
    job = await popped(server)
    assert job is not None and job["id"] == job_id
    await carrier.look()
    assert (await bench.product.job(job_id)).status == "processing"
    assert (await leased_seconds(bench, job_id) or 0) > 200
    original = OriginalWorker(bench)
    assert (await original.do(job)).status_code == 200
    assert (await bench.product.job(job_id)).status == "completed"
    await carrier.look()
    assert await server.client.llen(QUEUE) == 0
    assert await bench.person.account() == (999, 0, 999)


async def test_the_list_stays_short_and_keeps_the_order(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    ids = [str(await bench.enqueue()) for _ in range(8)]
    await carrier.look()
    assert await server.client.llen(QUEUE) == 5
    taken = []
    while job := await popped(server):
        taken.append(job["id"])
        await carrier.look()
    assert taken == ids


async def test_what_redis_forgets_comes_back(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    job_id = str(await bench.enqueue())
    await carrier.look()
    await server.kill()
    with pytest.raises(ListsFailed):
        await carrier.look()
    await server.start()
    await carrier.look()
    # Empty: it looks as if it had been popped, so its type's time is granted first.
    assert await popped(server) is None
    await bench.expire()
    await carrier.look()
    job = await popped(server)
    assert job is not None and (job["id"], job["attempt"]) == (job_id, 2)
    assert (await OriginalWorker(bench).do(job)).status_code == 200
    assert await bench.product.count("public.generations") == 1


async def test_a_carrier_that_dies_between_claim_and_push_loses_nothing(
    bench: Bench, server: RedisServer, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = str(await bench.enqueue())

    async def die(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(RedisLists, "push", die)
        with pytest.raises(asyncio.CancelledError):
            await carrier.look()
    assert await server.client.llen(QUEUE) == 0
    await bench.expire()
    await carrier.look()
    job = await popped(server)
    assert job is not None and job["id"] == job_id


async def test_a_push_whose_answer_was_lost_is_done_once(
    bench: Bench, server: RedisServer, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = str(await bench.enqueue())
    push = RedisLists.push

    async def push_and_lose(self: RedisLists, key: str, value: str) -> None:
        await push(self, key, value)
        raise ListsFailed("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(RedisLists, "push", push_and_lose)
        with pytest.raises(ListsFailed):
            await carrier.look()
    assert (await bench.product.job(job_id)).retries == 0
    first = await popped(server)
    await carrier.look()
    second = await popped(server)
    assert first is not None and second is not None
    assert {first["id"], second["id"]} == {job_id}
    original = OriginalWorker(bench)
    for job in (first, second):
        path = original.path(job)
        await original.upload(job["bucket"], path, picture())
        body = {"jobId": job_id, "status": "completed", "imageUrls": [path]}
        assert (await original.call_back(body)).status_code == 200
    assert await bench.product.count("public.generations") == 1
    assert await bench.person.account() == (999, 0, 999)


async def test_a_canceled_job_is_taken_off_the_list(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    job_id = str(await bench.enqueue())
    await carrier.look()
    answer = await bench.person.call("cancel-job", {"jobId": job_id})
    assert answer.status_code == 200
    await carrier.look()
    assert await server.client.llen(QUEUE) == 0


async def test_elements_of_others_stay_on_the_list(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    await server.client.lpush(QUEUE, "not one of ours", '{"id": 5}')
    await carrier.look()
    assert await server.client.llen(QUEUE) == 2


async def test_a_carrier_that_stops_takes_its_jobs_back(bench: Bench, server: RedisServer) -> None:
    job_id = str(await bench.enqueue())
    carrier = carrier_of(bench.product, RedisLists(server.url))
    second = carrier_of(bench.product, RedisLists(server.url))
    carrier.start()
    async with asyncio.timeout(100):
        while await server.client.llen(QUEUE) == 0:
            await asyncio.sleep(0.02)
    second.start()
    await carrier.stop()
    async with asyncio.timeout(100):
        while (await bench.product.job(job_id)).attempt == 1 or not await server.client.llen(QUEUE):
            await asyncio.sleep(0.02)
    await second.stop()
    job = await bench.product.job(job_id)
    assert (job.status, job.retries) == ("queued", 0)
    assert await server.client.llen(QUEUE) == 0


async def test_a_popped_job_that_is_reported_at_once_has_its_types_time(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    """Before the carrier noticed that it was popped."""
    job_id = str(await bench.enqueue())
    await carrier.look()
    assert await popped(server) is not None
    body = {"jobId": job_id, "status": "processing"}
    assert (await OriginalWorker(bench).call_back(body)).status_code == 200
    await carrier.look()
    assert (await leased_seconds(bench, job_id) or 0) > 200


async def test_a_carrier_that_has_lost_its_lock_does_not_take_off_what_the_next_one_put_there(
    bench: Bench, server: RedisServer, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.enqueue()
    lists = RedisLists(server.url)
    successor = carrier_of(bench.product, lists)
    contents = RedisLists.contents

    async def meanwhile(self: RedisLists, key: str) -> list[str]:
        with monkeypatch.context() as patch:
            patch.setattr(RedisLists, "contents", contents)
            await successor.look()
        return await contents(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(RedisLists, "contents", meanwhile)
        await carrier.look()
    assert await server.client.llen(QUEUE) == 1
    await lists.close()


async def test_a_list_that_others_fill_carries_nothing_and_loses_nothing(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    job_id = str(await bench.enqueue())
    await server.client.lpush(QUEUE, *(str(number) for number in range(ELEMENTS_MAX + 1)))
    with pytest.raises(ListsFailed, match="more than"):
        await carrier.look()
    assert (await bench.product.job(job_id)).attempt == 1
    await server.client.delete(QUEUE)
    await carrier.look()
    assert await popped(server) is not None


async def test_a_job_that_waited_too_long_is_not_carried(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    job_id = str(await bench.enqueue(expires_seconds=0))
    await carrier.look()
    assert await server.client.llen(QUEUE) == 0
    assert (await bench.product.job(job_id)).error_code == "expired"


async def test_upstash_carries_as_redis_does(bench: Bench, server: RedisServer) -> None:
    job_id = str(await bench.enqueue())
    async with upstash_in_front(server) as url:
        lists = UpstashLists(url, TOKEN)
        await carrier_of(bench.product, lists).look()
        job = await popped(server)
        assert job is not None and job["id"] == job_id
        await lists.close()
        wrong = UpstashLists(url, "wrong")
        with pytest.raises(ListsFailed, match="401"):
            await carrier_of(bench.product, wrong).look()
        await wrong.close()


async def test_a_stranger_without_the_queue_may_not_report_a_carried_job(
    bench: Bench, server: RedisServer, carrier: Carrier
) -> None:
    await bench.enqueue()
    await carrier.look()
    job = await popped(server)
    assert job is not None
    stranger = OriginalWorker(await Bench.open(bench.product, "wan_queue"))
    refused = await stranger.upload(job["bucket"], stranger.path(job), picture())
    assert refused.status_code == 400
    answer = await stranger.call_back({"jobId": job["id"], "status": "failed"})
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_held")
