"""One attempt, against a provider that is scripted by fault."""

import asyncio

import pytest

from tests.support import provider_server
from tests.support.workshop import Workshop
from tintype import clock, jobs
from tintype.providers import Output, Request
from tintype.workers import Worker, cancel, delivery, pauses
from tintype.workers.execution import CALLS_AT_ONCE_MAX


async def test_a_job_is_made_stored_and_paid_for(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=4)
    assert (await shop.account(user)).held == 4

    conclusion = await shop.run_one()

    assert conclusion is not None and conclusion.status == "completed"
    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.progress) == ("completed", 4, 100)
    assert job.started_at is not None and job.completed_at is not None
    outputs = await jobs.outputs(shop.kernel.pool, job.id)
    assert [row["position"] for row in outputs] == [0, 1, 2, 3]
    assert [row["url"] for row in outputs] == job.result_urls
    for row in outputs:
        assert row["path"].startswith(f"{user}/{job.id}/{row['position']}-")
        assert await shop.kernel.storage.read("generations", row["path"])
        assert row["width"] and row["thumbnail_url"]
    account = await shop.account(user)
    assert (account.balance, account.held) == (6, 0)
    assert len(shop.files()) == 8, "four pictures, four thumbnails"
    await shop.assert_ledger_holds()


async def test_three_of_four_are_paid_for_when_one_is_refused(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=4)
    shop.provider.script(None, "output_refused", None, None)

    await shop.run_one()

    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.error_code) == ("completed", 3, "refused")
    account = await shop.account(user)
    assert (account.balance, account.held) == (7, 0)
    await shop.assert_ledger_holds()


async def test_a_refused_job_fails_at_once_and_costs_nothing(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=2)
    shop.provider.script(always="prompt_refused")

    await shop.run_one()

    job = await shop.job(job.id)
    assert (job.status, job.error_code, job.retries) == ("failed", "refused", 0)
    assert job.error_message
    assert (await shop.account(user)).available == 10
    assert len(shop.provider.calls) == 2, "a refusal is not asked for again"
    await shop.assert_ledger_holds()


@pytest.mark.parametrize(
    "fault",
    ["server_error", "unavailable", "truncated_json", "empty", "corrupt_base64", "svg", "dropped"],
)
async def test_a_broken_answer_is_retried_three_times_then_released(
    shop: Workshop, fault: str
) -> None:
    user = await shop.user(10)
    job = await shop.submit(user)
    shop.provider.script(always=fault)
    delays = []
    for attempt in range(4):
        conclusion = await shop.run_one()
        assert conclusion is not None
        job = await shop.job(job.id)
        assert job.retries == min(attempt + 1, 3)
        if attempt < 3:
            assert (conclusion.status, job.status) == ("queued", "queued")
            assert (await shop.account(user)).held == 1, "held while it may still succeed"
            row = await shop.kernel.pool.fetchval(
                "select extract(epoch from run_at - now())::float8 from tintype.delayed"
            )
            delays.append(row)
            assert await shop.run_one() is None, "not due yet"
            await shop.make_due()
    assert job.status == "failed" and job.error_code == "transient"
    assert [round(delay) for delay in delays] == pytest.approx([5, 10, 20], rel=0.15)
    account = await shop.account(user)
    assert (account.available, account.held) == (10, 0)
    await shop.assert_ledger_holds()


async def test_a_retry_keeps_what_exists_and_makes_only_what_is_missing(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=4)
    shop.provider.script(None, "unavailable", None, "unavailable")
    await shop.run_one()
    assert (await shop.job(job.id)).result_count == 2
    await shop.make_due()
    await shop.run_one()
    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.retries) == ("completed", 4, 1)
    assert len(shop.provider.calls) == 6
    assert len(set(job.result_urls)) == 4
    await shop.assert_ledger_holds()


async def test_a_refused_picture_is_not_asked_for_again_beside_a_retried_one(
    shop: Workshop,
) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=3)
    shop.provider.script("output_refused", "unavailable", None)
    await shop.run_one()
    await shop.make_due()
    await shop.run_one()
    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.error_code) == ("completed", 2, "refused")
    assert len(shop.provider.calls) == 4
    assert (await shop.account(user)).balance == 8
    await shop.assert_ledger_holds()


async def test_after_the_last_attempt_a_job_completes_with_what_it_has(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=2)
    shop.provider.script(None, always="unavailable")
    for _ in range(4):
        await shop.run_one()
        await shop.make_due()
    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.error_code) == ("completed", 1, "transient")
    assert (await shop.account(user)).balance == 9
    await shop.assert_ledger_holds()


async def test_a_spent_minute_quota_waits_as_told_and_spends_no_retry(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user)
    shop.provider.script("quota_minute")
    await shop.run_one()
    job = await shop.job(job.id)
    assert (job.status, job.retries, job.error_code) == ("queued", 0, "quota")
    assert (await shop.account(user)).held == 1
    assert [one.cause for one in await pauses.listing(shop.kernel.pool)] == ["quota"]
    await shop.make_due()
    await shop.run_one()
    assert (await shop.job(job.id)).status == "completed"


async def test_many_pictures_are_not_all_asked_for_at_once(shop: Workshop) -> None:
    user = await shop.user(20)
    job = await shop.submit(user, quantity=20)
    shop.provider.opened.clear()
    running = asyncio.create_task(shop.run_one())
    while shop.provider.in_flight < CALLS_AT_ONCE_MAX:
        await asyncio.sleep(0.01)
    # One more would have come by now.
    await asyncio.sleep(0.1)
    shop.provider.opened.set()
    await running
    assert (await shop.job(job.id)).result_count == 20
    assert shop.provider.in_flight_most == CALLS_AT_ONCE_MAX


async def test_what_was_not_asked_for_yet_is_not_asked_for_when_the_quota_is_spent(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_server, "SLOW_SECONDS", 0.5)
    user = await shop.user(20)
    job = await shop.submit(user, quantity=20)
    shop.provider.script("quota_minute", *["slow"] * (CALLS_AT_ONCE_MAX - 1))
    await shop.run_one()
    assert len(shop.provider.calls) == CALLS_AT_ONCE_MAX
    waiting = await shop.job(job.id)
    assert (waiting.status, waiting.result_count) == ("queued", CALLS_AT_ONCE_MAX - 1)
    await shop.make_due()
    await shop.run_one()
    assert ((await shop.job(job.id)).status, len(shop.provider.calls)) == ("completed", 21)
    await shop.assert_ledger_holds()


async def test_a_paused_provider_is_not_called(shop: Workshop) -> None:
    user = await shop.user(10)
    first, second = await shop.submit(user), await shop.submit(user)
    shop.provider.script("quota_day")
    await shop.run_one()
    await shop.run_one()
    assert len(shop.provider.calls) == 1
    for job in (first, second):
        waiting = await shop.job(job.id)
        assert (waiting.status, waiting.retries) == ("queued", 0)
        assert waiting.next_run_at is not None


async def test_a_wrong_key_pauses_the_provider_and_keeps_the_job(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user)
    shop.provider.script("bad_key")
    await shop.run_one()
    job = await shop.job(job.id)
    assert (job.status, job.error_code, job.retries) == ("queued", "misconfigured", 0)
    assert (await shop.account(user)).held == 1
    [pause] = await pauses.listing(shop.kernel.pool)
    assert (pause.provider, pause.cause) == ("gemini", "misconfigured")
    assert await pauses.resume(shop.kernel.pool) == 1


async def test_a_model_the_provider_does_not_know_pauses_that_model_only(shop: Workshop) -> None:
    user = await shop.user(10)
    await shop.submit(user)
    shop.provider.script("model_missing")
    await shop.run_one()
    [pause] = await pauses.listing(shop.kernel.pool)
    assert (pause.provider, pause.cause, bool(pause.model)) == ("gemini", "misconfigured", True)
    assert "GEMINI_MODEL_NAME" in pause.detail


async def test_a_job_that_waited_too_long_expires(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, expires_seconds=0)
    await shop.run_one()
    job = await shop.job(job.id)
    assert (job.status, job.error_code) == ("failed", "expired")
    assert len(shop.provider.calls) == 0
    await shop.assert_ledger_holds()


async def test_what_an_old_life_stored_and_could_not_record_is_adopted(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=2)
    lease = await jobs.claim(
        shop.kernel.pool, queue="images", worker="dead", limit=1, lease_seconds=60
    )
    assert lease is not None
    picture = (await _made(shop)).data
    folder = f"{user}/{job.id}/"
    stored = await shop.kernel.storage.write(
        "generations", f"{folder}1-{'ab' * 16}.png", picture, media_type="image/png"
    )
    calls = len(shop.provider.calls)
    await shop.expire_leases()
    worker = Worker(shop.kernel, shop.database_url)
    await worker._rescue()
    await shop.run_one()

    job = await shop.job(job.id)
    assert (job.status, job.result_count, job.retries) == ("completed", 2, 1)
    assert len(shop.provider.calls) == calls + 1, "only the missing one was made"
    outputs = await jobs.outputs(shop.kernel.pool, job.id)
    assert outputs[1]["path"] == stored.name
    await shop.assert_ledger_holds()


async def test_a_canceled_job_stops_and_pays_for_what_it_delivered(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=2)
    shop.provider.script(None, "slow")
    worker = Worker(shop.kernel, shop.database_url)
    await worker.start()
    try:
        while (await shop.job(job.id)).result_count < 1:
            await asyncio.sleep(0.01)
        assert await cancel(shop.kernel.pool, job.id, user_id=user, message="Enough.")
        assert not await cancel(shop.kernel.pool, job.id, user_id=user, message="Enough.")
        while worker.running:
            await asyncio.sleep(0.01)
    finally:
        await worker.drain()
    job = await shop.job(job.id)
    assert (job.status, job.result_count) == ("canceled", 1)
    account = await shop.account(user)
    assert (account.balance, account.held) == (9, 0)
    await shop.assert_ledger_holds()


async def test_a_draining_worker_gives_unfinished_jobs_back_unspent(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user, quantity=1)
    shop.provider.script("slow")
    worker = Worker(shop.kernel, shop.database_url)
    await worker.start()
    while not shop.provider.calls:
        await asyncio.sleep(0.01)
    assert await worker.drain() == 1
    job = await shop.job(job.id)
    assert (job.status, job.retries, job.attempt) == ("queued", 0, 2)
    assert await shop.kernel.pool.fetchval("select count(*) from tintype.leases") == 0
    await shop.run_one()
    assert (await shop.job(job.id)).status == "completed"
    await shop.assert_ledger_holds()


async def test_a_worker_that_lost_its_job_writes_nothing(shop: Workshop) -> None:
    user = await shop.user(10)
    job = await shop.submit(user)
    lease = await jobs.claim(
        shop.kernel.pool, queue="images", worker="slow", limit=1, lease_seconds=60
    )
    assert lease is not None
    await shop.expire_leases()
    await Worker(shop.kernel, shop.database_url)._rescue()
    await shop.run_one()
    before = await shop.job(job.id)
    model, _ = shop.kernel.providers.catalogue.resolve(None, before.created_at)
    with pytest.raises(Exception, match="no longer held"):
        await delivery.keep(shop.kernel, lease.jobs[0], 0, await _made(shop), model)
    assert await jobs.report(shop.kernel.pool, [(lease.jobs[0], 50)]) == set()
    assert await shop.job(job.id) == before
    assert len(shop.files()) == 2, "the late picture is gone"


async def _made(shop: Workshop) -> Output:
    model, _ = shop.kernel.providers.catalogue.resolve(None, clock.now())
    [outcome] = await shop.kernel.providers.generate(
        model, Request(model=model.name, prompt="a robot")
    )
    assert isinstance(outcome, Output)
    return outcome
