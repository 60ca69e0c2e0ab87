"""Ending a job that has not ended."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.support.product import Person, Product
from tintype.jobs import Job


async def canceled(person: Person, job: Job) -> dict[str, Any]:
    answer = await person.call("cancel-job", {"jobId": str(job.id)})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def until(product: Product, job: Job, **fields: Any) -> Job:
    """Return the job once its row says so."""
    while True:
        now = await product.job(job.id)
        if all(getattr(now, name) == value for name, value in fields.items()):
            return now
        await asyncio.sleep(0.02)


async def test_an_own_queued_job_is_canceled_and_its_credits_are_back(
    idle_product: Product,
) -> None:
    person = await idle_product.person(5)
    job = await person.accepted({"quantity": 3})
    assert await canceled(person, job) == {
        "success": True,
        "jobId": str(job.id),
        "job_id": str(job.id),
        "status": "canceled",
        "resultCount": 0,
        "creditsReleased": 3,
    }
    assert await person.account() == (5, 0, 5)
    row = await idle_product.job(job.id)
    assert (row.status, row.error_code, row.result_urls) == ("canceled", "canceled", [])
    await idle_product.assert_ledger_holds()


async def test_canceling_twice_is_once(idle_product: Product) -> None:
    person = await idle_product.person(5)
    job = await person.accepted({"quantity": 3})
    first = await canceled(person, job)
    async with idle_product.unchanged():
        assert await canceled(person, job) == first
    answers = await asyncio.gather(*(canceled(person, job) for _ in range(8)))
    assert answers == [first] * 8
    assert await person.account() == (5, 0, 5)


async def test_both_spellings_of_the_id_are_known(idle_product: Product) -> None:
    person = await idle_product.person()
    job = await person.accepted()
    answer = await person.call("cancel-job", {"job_id": str(job.id)})
    assert answer.json()["status"] == "canceled"
    for body in ({}, {"jobId": None}, {"jobId": "1"}, {"jobId": 1}):
        answer = await person.call("cancel-job", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "field_invalid")


async def test_another_users_job_is_as_unknown_as_none(idle_product: Product) -> None:
    person, other = await idle_product.person(), await idle_product.person()
    job = await other.accepted()
    async with idle_product.unchanged():
        answers = [
            await person.call("cancel-job", {"jobId": str(job_id)}) for job_id in (job.id, uuid4())
        ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert answers[0].json()["code"] == "job_not_found"
    assert (await idle_product.job(job.id)).status == "queued"


async def test_a_job_that_has_ended_says_how(product: Product) -> None:
    person = await product.person()
    for prompt, status in (("a robot", "completed"), ("[fault:refused]", "failed")):
        job = await person.accepted({"model": "sandbox", "prompt": prompt}, prefer="wait=30")
        assert job.status == status
        async with product.unchanged():
            answer = await person.call("cancel-job", {"jobId": str(job.id)})
        told = answer.json()
        assert (answer.status_code, told["code"], told["status"]) == (
            409,
            "job_already_ended",
            status,
        )


async def test_what_was_delivered_stays_and_is_paid_for(product: Product) -> None:
    person = await product.person(10)
    job = await person.accepted(
        {"model": "sandbox", "quantity": 4, "prompt": "x [fault:transient:2][fault:transient:3]"}
    )
    await until(product, job, status="queued", result_count=2)
    told = await canceled(person, job)
    assert (told["status"], told["resultCount"], told["creditsReleased"]) == ("canceled", 2, 2)
    row = await product.job(job.id)
    assert len(row.result_urls) == 2
    for url in row.result_urls:
        assert (await product.http.get(url)).status_code == 200
    assert await person.account() == (8, 0, 8)
    await product.assert_ledger_holds()


async def test_a_job_at_the_provider_is_canceled_at_once(product: Product) -> None:
    person = await product.person(5)
    product.provider.script(always="slow")
    job = await person.accepted()
    while not product.provider.in_flight:
        await asyncio.sleep(0.01)
    assert (await canceled(person, job))["creditsReleased"] == 1
    assert await person.account() == (5, 0, 5)
    await product.stop()
    assert (await product.job(job.id)).status == "canceled"
    assert await product.count("public.generations") == 0
    assert product.files() == set()


async def test_a_picture_that_comes_after_the_cancel_is_dropped(idle_product: Product) -> None:
    person = await idle_product.person(5)
    idle_product.provider.opened.clear()
    job = await person.accepted({"quantity": 2})
    working = asyncio.create_task(person.call("image-worker"))
    while idle_product.provider.in_flight < 2:
        await asyncio.sleep(0.01)
    assert (await canceled(person, job))["creditsReleased"] == 2
    idle_product.provider.opened.set()
    assert (await working).json() == {"message": "No jobs available"}
    assert idle_product.provider.delivered == 2
    assert await idle_product.count("public.generations") == 0
    assert await idle_product.count("storage.objects") == 0
    assert idle_product.files() == set()
    assert await person.account() == (5, 0, 5)
    await idle_product.assert_ledger_holds()


async def test_the_service_key_cancels_anyones(idle_product: Product) -> None:
    person = await idle_product.person()
    job = await person.accepted()
    assert (await canceled(idle_product.service(), job))["status"] == "canceled"
    answer = await idle_product.service().call("cancel-job", {"jobId": str(uuid4())})
    assert answer.status_code == 404


async def test_the_anon_key_cancels_nothing(idle_product: Product) -> None:
    job = await (await idle_product.person()).accepted()
    stranger = Person(idle_product, uuid4(), idle_product.keys.anon_key)
    async with idle_product.unchanged():
        answer = await stranger.call("cancel-job", {"jobId": str(job.id)})
    assert (answer.status_code, answer.json()["code"]) == (403, "user_required")


async def test_a_canceled_job_never_reaches_the_provider(idle_product: Product) -> None:
    person = await idle_product.person()
    jobs = [await person.accepted({"prompt": f"number {number}"}) for number in range(3)]
    await canceled(person, jobs[0])
    await canceled(person, jobs[2])
    answers = [(await person.call("image-worker")).json() for _ in range(4)]
    done = [answer["jobId"] for answer in answers if "jobId" in answer]
    assert done == [str(jobs[1].id)]
    assert [call["prompt"] for call in idle_product.provider.calls] == ["number 1"]
    assert await person.account() == (19, 0, 19)
