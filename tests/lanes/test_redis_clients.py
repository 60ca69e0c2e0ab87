"""Lanes as the real client of Upstash and a bare worker see them."""

import asyncio
import json
from uuid import UUID

import httpx2
import pytest
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from tests.lanes.bench_of_work import Bench
from tests.support.serve import ANSWER_SECONDS_MAX

QUEUE = "sdxl_queue"


@pytest.fixture
def redis(bench: Bench) -> Redis:
    """Return upstash-redis as a worker has it, with no retries of its own."""
    return Redis(url=bench.redis_url, token=bench.credentials.lane_token, rest_retries=0)


async def test_a_pop_lends_the_job_with_both_dialects_names(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    taken = json.loads(await redis.rpop(QUEUE) or "null")
    assert taken["id"] == taken["jobId"] == str(job_id)
    assert taken["type"] == taken["jobType"] == "sdxl_image_fast"
    assert taken["user_id"] == taken["userId"] == str(bench.person.id)
    assert (taken["prompt"], taken["isSDXL"], taken["attempt"]) == ("a robot", True, 1)
    assert (await bench.product.job(job_id)).status == "processing"
    assert await redis.rpop(QUEUE) is None


async def test_the_lease_lasts_as_long_as_the_type_may_take(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    await redis.rpop(QUEUE)
    seconds = await bench.product.admin.fetchval(
        "select extract(epoch from expires_at - now())::integer from tintype.leases"
    )
    assert 290 <= seconds <= 300


async def test_a_job_that_nobody_reports_goes_back_to_its_lane(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    first = json.loads(await redis.rpop(QUEUE) or "null")
    await bench.expire()
    again = json.loads(await redis.rpop(QUEUE) or "null")
    assert (again["id"], again["attempt"]) == (first["id"], 2)


async def test_a_job_can_be_pushed_back_and_keeps_its_retries(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    taken = await redis.rpop(QUEUE) or ""
    assert await redis.llen(QUEUE) == 0
    assert await redis.lpush(QUEUE, taken) == 1
    job = await bench.product.job(job_id)
    assert (job.status, job.retries) == ("queued", 0)
    assert json.loads(await redis.lpop(QUEUE) or "null")["id"] == str(job_id)


async def test_what_the_worker_does_not_hold_cannot_be_pushed(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    for value in (json.dumps({"id": str(job_id)}), "anything", '{"jobId": 5}', str(job_id)):
        with pytest.raises(UpstashError, match="ERR"):
            await redis.lpush(QUEUE, value)
    assert await bench.product.count("public.jobs") == 1


async def test_many_are_popped_at_once_and_looked_at_without_taking(
    bench: Bench, redis: Redis
) -> None:
    ids = [str(await bench.enqueue()) for _ in range(5)]
    assert await redis.llen(QUEUE) == 5
    seen = [json.loads(one)["id"] for one in await redis.lrange(QUEUE, 0, -1)]
    assert seen == ids[::-1]
    assert [json.loads(one)["id"] for one in await redis.lrange(QUEUE, -1, -1)] == ids[:1]
    taken = [json.loads(one)["id"] for one in await redis.rpop(QUEUE, 3) or []]
    assert taken == ids[:3]
    assert await redis.llen(QUEUE) == 2


async def test_pipelines_tell_each_result_apart(bench: Bench, redis: Redis, job_id: UUID) -> None:
    answer = await bench.product.http.post(
        "/redis/v1/pipeline",
        json=[["PING"], ["LLEN", QUEUE], ["GET", "x"], ["LLEN", "wan_queue"], ["RPOP", QUEUE]],
        headers={"authorization": f"Bearer {bench.credentials.lane_token}"},
    )
    results = answer.json()
    assert results[0] == {"result": "PONG"}
    assert results[1] == {"result": 1}
    assert results[2]["error"].startswith("ERR")
    assert results[3]["error"].startswith("NOPERM")
    assert json.loads(results[4]["result"])["id"] == str(job_id)
    pipeline = redis.pipeline()
    pipeline.ping()
    pipeline.llen(QUEUE)
    assert await pipeline.exec() == ["PONG", 0]


async def test_the_originals_worker_polls_with_a_path_and_a_bearer(
    bench: Bench, job_id: UUID
) -> None:
    headers = {"authorization": f"Bearer {bench.credentials.lane_token}"}
    async with httpx2.AsyncClient(
        base_url=bench.redis_url, headers=headers, timeout=ANSWER_SECONDS_MAX
    ) as http:
        taken = (await http.get(f"/rpop/{QUEUE}")).json()
        assert json.loads(taken["result"])["id"] == str(job_id)
        assert (await http.get(f"/rpop/{QUEUE}")).json() == {"result": None}
        assert (await http.post(f"/lpush/{QUEUE}", content=taken["result"])).json() == {"result": 1}
        encoded = await http.get("/ping/hällo", headers={"upstash-encoding": "base64"})
        assert encoded.json() == {"result": "aMOkbGxv"}
        assert (await http.get(f"/llen/{QUEUE}")).json() == {"result": 1}


@pytest.mark.parametrize("token", ["wrong", "ttl_", "a" * 5000])
async def test_without_the_workers_token_a_lane_is_closed(
    bench: Bench, job_id: UUID, token: str
) -> None:
    answer = await bench.product.http.get(
        f"/redis/v1/rpop/{QUEUE}", headers={"authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.json()) == (401, {"error": "Unauthorized"})
    assert (await bench.product.job(job_id)).status == "queued"


async def test_keys_and_users_tokens_do_not_open_lanes(bench: Bench, job_id: UUID) -> None:
    keys = bench.product.keys
    for token in (keys.service_role_key, keys.anon_key, bench.person.token, bench.credentials.key):
        answer = await bench.product.http.get(
            f"/redis/v1/rpop/{QUEUE}", headers={"authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 401


async def test_new_secrets_and_a_revocation_close_the_lane_at_once(
    bench: Bench, redis: Redis, job_id: UUID
) -> None:
    from tintype.workers import outside

    pool = bench.product.pool
    taken = json.loads(await redis.rpop(QUEUE) or "null")
    assert taken["id"] == str(job_id)
    renewed = await outside.add_worker(pool, bench.product.keys, "gpu-1", [QUEUE])
    with pytest.raises(UpstashError, match="Unauthorized"):
        await redis.ping()
    redis = Redis(url=bench.redis_url, token=renewed.lane_token, rest_retries=0)
    assert await redis.ping() == "PONG"
    assert await outside.revoke_worker(pool, "gpu-1")
    with pytest.raises(UpstashError, match="Unauthorized"):
        await redis.ping()
    await bench.product.admin.fetch("select * from tintype.settle_rescue(100)")
    assert (await bench.product.job(job_id)).status == "queued"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/get/x", None),
        (f"/rpop/{QUEUE}/x", None),
        (f"/rpop/{QUEUE}/-1", None),
        ("/rpop", None),
        (f"/lrange/{QUEUE}/a/b", None),
        ("/multi-exec", b'[["PING"]]'),
        ("/pipeline", b'{"a": 1}'),
        ("/pipeline", b"[" * 100_000),
        ("/", b"not json"),
        ("/", b"[]"),
        ("/", b"[[]]"),
        ("/", b"[null]"),
        ("/", b'["EVAL", "return 1", "0"]'),
        ("/", b'["LPUSH", "sdxl_queue"]'),
        ("/", b'["RPOP", "sdxl_queue\\u0000"]'),
        ("/", b'["RPOP", "\'; drop table public.jobs; --"]'),
        ("/", b'["LRANGE", "sdxl_queue", "99999999999999999999999999", 1]'),
    ],
)
async def test_what_a_lane_does_not_do_is_an_error_that_redis_clients_know(
    bench: Bench, job_id: UUID, path: str, body: bytes | None
) -> None:
    answer = await bench.product.http.post(
        f"/redis/v1{path}",
        content=body,
        headers={"authorization": f"Bearer {bench.credentials.lane_token}"},
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].split()[0] in ("ERR", "NOPERM")
    assert (await bench.product.job(job_id)).status == "queued"


async def test_many_workers_poll_at_once_and_each_job_is_lent_once(
    bench: Bench, redis: Redis
) -> None:
    ids = {str(await bench.enqueue()) for _ in range(20)}
    taken = await asyncio.gather(*(redis.rpop(QUEUE) for _ in range(30)))
    lent = [json.loads(one)["id"] for one in taken if one is not None]
    assert len(lent) == len(set(lent)) == 20
    assert set(lent) == ids
