"""The nudge that browsers of older apps give: one due job, run inside the call."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.product import Product, open_product
from tintype.functions.builtin import image_worker

NO_JOBS = {"message": "No jobs available"}


async def worked(product: Product, **options: Any) -> dict[str, Any]:
    """Call without any credentials, as a browser before sign-in does."""
    answer = await product.http.post("/functions/v1/image-worker", **options)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def make_due(product: Product) -> None:
    await product.admin.execute("update tintype.delayed set run_at = now()")


async def test_no_work_is_told_as_such_to_anyone(idle_product: Product) -> None:
    assert await worked(idle_product) == NO_JOBS
    assert await worked(idle_product, json={}) == NO_JOBS
    assert await worked(idle_product, headers={"authorization": "Bearer nonsense"}) == NO_JOBS
    answer = await idle_product.http.get("/functions/v1/image-worker")
    assert (answer.status_code, answer.json()) == (200, NO_JOBS)


async def test_one_call_runs_one_job_to_its_end(idle_product: Product) -> None:
    person = await idle_product.person()
    job = await person.accepted({"quantity": 3})
    await person.accepted({"prompt": "the next"})
    assert await worked(idle_product) == {
        "success": True,
        "jobId": str(job.id),
        "imagesGenerated": 3,
        "imagesFailed": 0,
    }
    row = await idle_product.job(job.id)
    assert (row.status, row.result_count) == ("completed", 3)
    assert await person.account() == (17, 1, 16)
    assert await idle_product.count("tintype.ready") == 1


async def test_pictures_that_were_refused_are_counted_as_failed(idle_product: Product) -> None:
    person = await idle_product.person()
    prompt = "x [fault:refused:1]"
    await person.accepted({"model": "sandbox", "quantity": 3, "prompt": prompt})
    told = await worked(idle_product)
    assert (told["imagesGenerated"], told["imagesFailed"]) == (2, 1)
    assert await person.account() == (18, 0, 18)


async def test_a_failure_that_may_pass_is_scheduled_three_times_then_refunded(
    idle_product: Product,
) -> None:
    person = await idle_product.person(5)
    idle_product.provider.script(always="unavailable")
    job = await person.accepted({"quantity": 2})
    for number in (1, 2, 3):
        told = await worked(idle_product)
        row = await idle_product.job(job.id)
        assert told.keys() == {"success", "jobId", "retryScheduled", "nextRetry", "nextRunAt"}
        assert (told["success"], told["jobId"]) == (False, str(job.id))
        assert (told["retryScheduled"], told["nextRetry"]) == (True, number)
        assert datetime.fromisoformat(told["nextRunAt"]) == row.next_run_at
        assert (row.status, row.retries) == ("queued", number)
        assert await worked(idle_product) == NO_JOBS
        await make_due(idle_product)
    assert await worked(idle_product) == {
        "success": False,
        "jobId": str(job.id),
        "failed": True,
        "creditsRefunded": 2,
    }
    assert await person.account() == (5, 0, 5)
    assert (await idle_product.job(job.id)).error_code == "transient"
    await idle_product.assert_ledger_holds()


async def test_a_refused_prompt_ends_at_once_with_its_refund(idle_product: Product) -> None:
    person = await idle_product.person(5)
    idle_product.provider.script(always="prompt_refused")
    job = await person.accepted({"quantity": 2})
    assert await worked(idle_product) == {
        "success": False,
        "jobId": str(job.id),
        "failed": True,
        "creditsRefunded": 2,
    }


async def test_a_quota_is_waited_for_without_spending_a_retry(idle_product: Product) -> None:
    person = await idle_product.person()
    idle_product.provider.script("quota_minute")
    await person.accepted()
    told = await worked(idle_product)
    assert (told["retryScheduled"], told["nextRetry"]) == (True, 0)
    assert told["nextRunAt"] is not None


async def test_calls_at_once_never_run_the_same_job(idle_product: Product) -> None:
    person = await idle_product.person()
    jobs = {str((await person.accepted({"prompt": f"{n}"})).id) for n in range(5)}
    answers = await asyncio.gather(*(worked(idle_product) for _ in range(10)))
    ran = [answer["jobId"] for answer in answers if "jobId" in answer]
    assert len(ran) == 5 and set(ran) == jobs
    assert answers.count(NO_JOBS) == 5
    assert len(idle_product.provider.calls) == 5
    assert await person.account() == (15, 0, 15)


async def test_beside_the_servers_own_worker_every_job_still_runs_once(product: Product) -> None:
    person = await product.person()
    product.provider.script(seconds=0.05)
    asked = [person.generate({"prompt": f"{n}"}, prefer="wait=30") for n in range(10)]
    *answers, told = await asyncio.gather(
        *asked, asyncio.gather(*(worked(product) for _ in range(12)))
    )
    assert {answer.json()["status"] for answer in answers} == {"completed"}
    ran = [one["jobId"] for one in told if "jobId" in one]
    assert len(ran) == len(set(ran))
    assert sorted(call["prompt"] for call in product.provider.calls) == sorted(
        f"{n}" for n in range(10)
    )
    assert await person.account() == (10, 0, 10)
    await product.assert_ledger_holds()


async def test_callers_share_the_servers_bound_on_jobs_at_once(
    database_url: str, tmp_path: Path
) -> None:
    async with open_product(
        database_url, tmp_path, works=False, TINTYPE_WORKER_CONCURRENCY="1"
    ) as product:
        person = await product.person()
        product.provider.script("slow")
        first = await person.accepted({"prompt": "first"})
        await person.accepted({"prompt": "second"})
        running = asyncio.create_task(worked(product))
        while not product.provider.in_flight:
            await asyncio.sleep(0.01)
        assert await worked(product) == NO_JOBS
        assert len(product.provider.calls) == 1
        await person.call("cancel-job", {"jobId": str(first.id)})
        running.cancel()


async def test_a_job_that_takes_long_goes_on_without_its_caller(
    idle_product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_worker, "ANSWER_SECONDS_MAX", 0.1)
    idle_product.provider.script(seconds=0.4)
    person = await idle_product.person()
    waiting = asyncio.create_task(person.generate({}, prefer="wait=30"))
    while not await idle_product.count("tintype.ready"):
        await asyncio.sleep(0.01)
    assert await worked(idle_product) == {"message": "The job goes on"}
    assert (await waiting).json()["status"] == "completed"
    assert len(idle_product.provider.calls) == 1


async def test_too_many_calls_are_told_when_to_come_back(idle_product: Product) -> None:
    call = idle_product.http.post
    # More than come back while a busy machine answers them.
    more = 100
    count = image_worker.RATE.limit.count + more
    answers = await asyncio.gather(*(call("/functions/v1/image-worker") for _ in range(count)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 0 < len(refused) <= more
    assert all(answer.json() == NO_JOBS for answer in answers if answer not in refused)
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1


async def test_the_caller_does_not_choose_the_job(idle_product: Product) -> None:
    person = await idle_product.person()
    first = await person.accepted()
    second = await person.accepted()
    told = await worked(idle_product, json={"jobId": str(second.id), "job_id": str(second.id)})
    assert UUID(told["jobId"]) == first.id
