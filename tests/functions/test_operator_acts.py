"""`operator`: what an operator does, and that every act is told."""

import asyncio
from uuid import uuid4

import pytest

from support import kernel
from tests.functions.console import (
    acts_told,
    console,
    default_model,
    ended,
    named,
    short,
    signed_up,
)
from tests.functions.personal_rows import row_of
from tests.functions.test_operator_views import failed
from tests.identities.asking import identity, trained
from tests.lanes.bench_of_work import Bench
from tests.support.product import Product
from tintype import credits
from tintype.workers import outside, pauses


async def test_many_jobs_are_canceled_each_with_its_own_outcome(product: Product) -> None:
    person = await product.person(10)
    done = await person.accepted({}, prefer="wait=30")
    product.provider.script(always="unavailable")
    waiting = await person.accepted({"quantity": 2})
    unknown = uuid4()
    ids = [str(one) for one in (waiting.id, done.id, unknown)]
    with acts_told() as told:
        answer = await console(product).act("cancel", jobIds=ids)
        again = await console(product).act("cancel", jobIds=ids[:1])
    assert [one["outcome"] for one in answer["outcomes"]] == [
        "canceled",
        "job_already_ended",
        "job_not_found",
    ]
    assert (answer["done"], answer["refused"]) == (1, 2)
    assert [one["outcome"] for one in again["outcomes"]] == ["already_canceled"]
    assert sorted(map(short, told[:3])) == sorted(
        ("cancel", one["jobId"], one["outcome"]) for one in answer["outcomes"]
    )
    row = await product.job(waiting.id)
    assert (row.status, row.error_message) == ("canceled", "Canceled by an operator.")
    assert (await person.account())[1] == 0
    await product.assert_ledger_holds()


async def test_a_failed_job_is_made_again_as_a_new_one(product: Product) -> None:
    person = await product.person(3)
    dead = await failed(product, person, quantity=2, prompt="a dragon")
    before = await product.job(dead)
    with acts_told() as told:
        answer = await console(product).act("requeue", jobIds=[dead])
    [outcome] = answer["outcomes"]
    assert (outcome["outcome"], answer["done"]) == ("requeued", 1)
    assert [short(act) for act in told] == [("requeue", dead, "requeued")]
    new = await ended(product, outcome["newJobId"])
    assert (new.status, new.result_count, new.prompt) == ("completed", 2, "a dragon")
    assert new.payload == before.payload and new.user_id == person.id
    assert new.metadata["requeued_from"] == dead
    assert await product.job(dead) == before
    assert await person.account() == (1, 0, 1)
    twice = await console(product).act("requeue", jobIds=[dead])
    assert twice["outcomes"][0]["newJobId"] == outcome["newJobId"]
    assert await person.account() == (1, 0, 1)
    await product.assert_ledger_holds()


async def test_what_cannot_be_made_again_is_told_one_by_one(product: Product) -> None:
    person = await product.person(3)
    product.provider.script(*["prompt_refused"] * 4)
    poor = [str((await person.accepted({"quantity": 2}, prefer="wait=30")).id) for _ in range(2)]
    done = await person.accepted({}, prefer="wait=30")
    product.provider.script(always="unavailable")
    unknown = str(uuid4())
    answer = await console(product).act("requeue", jobIds=[*poor, str(done.id), unknown])
    outcomes = [one["outcome"] for one in answer["outcomes"]]
    assert sorted(outcomes[:2]) == ["insufficient_credits", "requeued"]
    assert outcomes[2:] == ["job_not_ended_badly", "job_not_found"]
    assert (answer["done"], answer["refused"]) == (1, 3)
    [new] = [one["newJobId"] for one in answer["outcomes"] if one["done"]]
    again = await console(product).act("requeue", jobIds=[new])
    assert again["outcomes"][0]["outcome"] == "job_not_ended_badly"
    await product.assert_ledger_holds()


async def test_a_gpu_job_made_again_fills_the_same_row(idle_product: Product) -> None:
    bench = await Bench.open(idle_product)
    job_id = await bench.enqueue()
    asset = (await idle_product.job(job_id)).image_id
    service = console(idle_product)
    await service.act("cancel", jobIds=[str(job_id)])
    answer = await service.act("requeue", jobIds=[str(job_id)])
    new = await idle_product.job(answer["outcomes"][0]["newJobId"])
    assert (new.image_id, new.queue, new.job_type) == (asset, "sdxl_queue", "sdxl_image_fast")
    await service.act("cancel", jobIds=[str(new.id)])
    await idle_product.admin.execute("delete from public.generations where id = $1", asset)
    answer = await service.act("requeue", jobIds=[str(new.id)])
    other = await idle_product.job(answer["outcomes"][0]["newJobId"])
    assert other.id != new.id and other.image_id not in (None, asset)
    await idle_product.assert_ledger_holds()


async def test_a_job_is_made_again_once_at_one_moment_or_a_year_later(
    idle_product: Product,
) -> None:
    person = await idle_product.person(4)
    job = await person.accepted({"quantity": 2})
    order = {"jobIds": [str(job.id)]}
    await console(idle_product).act("cancel", **order)
    both = await asyncio.gather(*(console(idle_product).act("requeue", **order) for _ in range(4)))
    await idle_product.admin.execute("delete from tintype.answers")
    later = await console(idle_product).act("requeue", **order)
    assert len({one["outcomes"][0]["newJobId"] for one in (*both, later)}) == 1
    assert await person.account() == (4, 2, 2)
    assert await idle_product.count("public.jobs") == 2
    await idle_product.assert_ledger_holds()


async def test_what_a_batch_misses_is_made_again_for_it(product: Product) -> None:
    person = await product.person(8)
    product.provider.script(*["prompt_refused"] * 4)
    body = {"prompt": "a robot", "model": default_model(product).id}
    answer = await person.call("generate-images", body)
    told = answer.json()
    assert (await ended(product, told["jobId"])).status == "failed"
    outcomes = await console(product).act("requeue", jobIds=[told["jobId"]])
    assert (await ended(product, outcomes["outcomes"][0]["newJobId"])).result_count == 4
    row = await row_of(person, "batches", told["batchId"])
    assert (row["status"], row["completed_images"]) == ("completed", 4)
    assert await person.account() == (4, 0, 4)
    await product.assert_ledger_holds()


async def test_a_batch_that_its_owner_asked_for_again_is_not_paid_twice(
    idle_product: Product,
) -> None:
    person = await idle_product.person(8)
    body = {"prompt": "a robot", "model": "sandbox"}
    told = (await person.call("generate-images", body)).json()
    await console(idle_product).act("cancel", jobIds=[told["jobId"]])
    again = await person.call("generate-images", body | {"batchId": told["batchId"]})
    assert again.status_code == 202
    async with idle_product.unchanged():
        answer = await console(idle_product).act("requeue", jobIds=[told["jobId"]])
    assert answer["outcomes"][0]["outcome"] == "batch_busy"


async def test_a_training_made_again_begins_anew_and_holds_its_price_once(
    product: Product,
) -> None:
    person = await product.person(60)
    identity_id = (await trained(person))["identityId"]
    job_id = (await identity(product, identity_id))["job_id"]
    order = {"jobIds": [str(job_id)]}
    await console(product).act("cancel", **order)
    assert await person.account() == (60, 0, 60)
    both = await asyncio.gather(*(console(product).act("requeue", **order) for _ in range(2)))
    [new_id] = {one["outcomes"][0]["newJobId"] for one in both}
    new = await product.job(new_id)
    assert (new.job_type, str(new.identity_id)) == ("train_identity", identity_id)
    assert await person.account() == (60, 50, 10)
    row = await identity(product, identity_id)
    assert (row["status"], str(row["job_id"])) == ("training", new_id)
    await product.assert_ledger_holds()


async def test_what_a_canceled_job_delivered_is_not_made_again(idle_product: Product) -> None:
    bench = await Bench.open(idle_product)
    payload = {"bucket": "sdxl_image_fast", "config": {"num_images": 3, "width": 1024}}
    job_id = await bench.enqueue(quantity=3, payload=payload)
    await kernel.deliver(idle_product.admin, job_id, 1, 0)
    service = console(idle_product)
    await service.act("cancel", jobIds=[str(job_id)])
    answer = await service.act("requeue", jobIds=[str(job_id)])
    new = await idle_product.job(answer["outcomes"][0]["newJobId"])
    assert (new.quantity, new.payload["config"]) == (2, {"num_images": 2, "width": 1024})
    hold = await credits.hold(idle_product.pool, new.id)
    assert hold is not None and (hold.amount, hold.units) == (2, 2)
    for position in range(2):
        await kernel.deliver(idle_product.admin, new.id, 1, position)
    await service.act("cancel", jobIds=[str(new.id)])
    answer = await service.act("requeue", jobIds=[str(new.id)])
    assert answer["outcomes"][0]["outcome"] == "job_not_ended_badly"
    await idle_product.assert_ledger_holds()


async def test_a_job_that_waits_for_nothing_is_not_hastened(idle_product: Product) -> None:
    job = await (await idle_product.person()).accepted()
    answer = await console(idle_product).act("retry_now", jobIds=[str(job.id), str(uuid4())])
    assert [one["outcome"] for one in answer["outcomes"]] == ["job_not_delayed", "job_not_found"]


async def test_credits_are_granted_once_for_a_reference(idle_product: Product) -> None:
    anna = await signed_up(idle_product, "anna@example.com")
    order = {"user": "anna@example.com", "amount": 5, "reference": "invoice-17", "note": "thanks"}
    with acts_told() as told:
        first = await console(idle_product).act("grant", **order)
        second = await console(idle_product).act("grant", **order | {"user": str(anna.id)})
    assert (first["granted"], first["available"]) == (True, 5)
    assert (second["granted"], second["available"]) == (False, 5)
    subject = str(anna.id)
    assert [short(act) for act in told] == [
        ("grant", subject, "granted 5"),
        ("grant", subject, "granted_before"),
    ]
    [entry] = await credits.statement(idle_product.pool, anna.id)
    assert entry.note == "thanks"
    for user in (str(uuid4()), "nobody@example.com"):
        answer = await console(idle_product).ask({"act": "grant", "user": user, "amount": 5})
        assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")
    await idle_product.assert_ledger_holds()


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pause_is_ended(idle_product: Product, whole: bool) -> None:
    model = default_model(idle_product)
    await pauses.pause(
        idle_product.pool, model, cause="quota", detail="spent", seconds=600, whole=whole
    )
    order = {"act": "unpause", "provider": model.provider, "model": "" if whole else model.id}
    assert (await console(idle_product).ask(order)).json() == {"done": True}
    assert await pauses.listing(idle_product.pool) == []
    answer = await console(idle_product).ask(order)
    assert (answer.status_code, answer.json()["code"]) == (404, "pause_not_found")


async def test_a_worker_is_shut_out_by_name_and_the_event_says_by_whom(
    idle_product: Product,
) -> None:
    await Bench.open(idle_product)
    operator = named(idle_product, operator=True)
    with acts_told() as told:
        for outcome in ("revoked", "worker_not_found"):
            answer = await operator.call("operator", {"act": "revoke_worker", "name": "gpu-1"})
            assert answer.status_code == (200 if outcome == "revoked" else 404)
            assert (told[-1]["operator"], told[-1]["outcome"]) == (str(operator.id), outcome)
            assert told[-1]["request"] == answer.headers["x-request-id"]
    assert await outside.list_workers(idle_product.pool) == []
