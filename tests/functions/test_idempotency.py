"""A repeated request with its Idempotency-Key is one job and one answer."""

import asyncio
import base64
from typing import Any

import pytest

from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures

MALFORMED = ['""', '"', '"a', 'a"b', '"a"b"', '"a\\b"', '"a" "b"', "x" * 256, "ключ", "a\tb"]


async def test_the_same_request_again_gets_the_same_answer_and_no_second_job(
    product: Product,
) -> None:
    person = await product.person()
    body = {"quantity": 2, "aspectRatio": "16:9"}
    first = await person.generate(body, idempotency_key='"abc-1"')
    # Quoted or bare, in another order, with defaults spelled out: it is the same.
    again = [
        await person.generate(body, idempotency_key='"abc-1"'),
        await person.generate(body, idempotency_key="abc-1"),
        await person.generate(dict(reversed(body.items())), idempotency_key="abc-1"),
        await person.generate(body | {"model": None}, idempotency_key="abc-1"),
    ]
    for answer in again:
        assert (answer.status_code, answer.json()) == (200, first.json())
    assert await product.count("public.jobs") == 1
    assert (await person.account())[0] in (18, 20)


async def test_the_stored_answer_outlives_the_server(idle_product: Product) -> None:
    person = await idle_product.person()
    first = await person.generate({}, idempotency_key="k")
    await idle_product.restart()
    async with idle_product.unchanged():
        again = await person.generate({}, idempotency_key="k")
    assert (again.status_code, again.json()) == (200, first.json())


async def test_twenty_at_once_are_one_job(idle_product: Product) -> None:
    person = await idle_product.person()
    answers = await asyncio.gather(*(person.generate({}, idempotency_key="k") for _ in range(20)))
    told = [answer.json() for answer in answers if answer.status_code == 200]
    assert told and all(one == told[0] for one in told)
    for answer in answers:
        if answer.status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
    assert await idle_product.count("public.jobs") == 1
    assert await person.account() == (20, 1, 19)


async def test_another_payload_under_a_used_key_is_refused(idle_product: Product) -> None:
    person = await idle_product.person()
    await person.accepted({}, idempotency_key="k")
    for body in ({"quantity": 2}, {"prompt": "a bird"}, {"seed": 0}):
        async with idle_product.unchanged():
            answer = await person.generate(body, idempotency_key="k")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_whose_request_still_runs_is_in_use(idle_product: Product) -> None:
    person = await idle_product.person()
    waiting = asyncio.create_task(person.generate({}, idempotency_key="k", prefer="wait=60"))
    while not await idle_product.count("public.jobs"):
        await asyncio.sleep(0.01)
    for body in ({}, {"quantity": 2}):
        answer = await person.generate(body, idempotency_key="k")
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_in_use")
    worked = await person.call("image-worker")
    assert worked.json()["success"] is True
    assert (await waiting).json()["status"] == "completed"
    again = await person.generate({}, idempotency_key="k", prefer="wait=5")
    assert again.json() == (await waiting).json()
    assert await idle_product.count("public.jobs") == 1


@pytest.mark.parametrize("key", MALFORMED)
async def test_a_malformed_key_is_refused(idle_product: Product, key: str) -> None:
    person = await idle_product.person()
    async with idle_product.unchanged():
        answer = await idle_product.http.post(
            "/functions/v1/generate-image",
            json={"prompt": "a robot"},
            headers=[
                (b"authorization", person.headers["authorization"].encode()),
                (b"idempotency-key", key.encode()),
            ],
        )
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


async def test_the_longest_key_and_every_printable_character_are_taken(
    idle_product: Product,
) -> None:
    person = await idle_product.person()
    printable = "".join(map(chr, range(32, 127)))
    escaped = printable.replace("\\", "\\\\").replace('"', '\\"')
    for key in ("x" * 255, f'"{"y" * 255}"', f'"{escaped}"'):
        first, again = [await person.accepted({}, idempotency_key=key) for _ in range(2)]
        assert first.id == again.id
    assert await idle_product.admin.fetchval(
        "select count(*) from tintype.answers where key = $1", printable
    )
    assert await idle_product.count("public.jobs") == 3


async def test_a_key_belongs_to_its_user(idle_product: Product) -> None:
    person, other = await idle_product.person(), await idle_product.person()
    first = await person.accepted({}, idempotency_key="k")
    second = await other.accepted({"quantity": 2}, idempotency_key="k")
    assert (first.user_id, second.user_id) == (person.id, other.id)


async def test_a_refused_request_may_be_repeated_under_its_key(idle_product: Product) -> None:
    person = await idle_product.person(1)
    assert (await person.generate({"quantity": 9}, idempotency_key="k")).status_code == 400
    assert (await person.generate({"quantity": 2}, idempotency_key="k")).status_code == 402
    await top_up(person, 1)
    first = await person.generate({"quantity": 2}, idempotency_key="k")
    again = await person.generate({"quantity": 2}, idempotency_key="k")
    assert first.status_code == 200 and again.json() == first.json()
    assert await person.account() == (2, 2, 0)


async def top_up(person: Person, amount: int) -> None:
    await person.product.admin.execute("select tintype.grant_credits($1, $2)", person.id, amount)


async def test_a_key_is_forgotten_after_24_hours(idle_product: Product) -> None:
    person = await idle_product.person()
    first = await person.accepted({}, idempotency_key="k")
    seconds = await idle_product.admin.fetchval(
        "select extract(epoch from expires_at - now()) from tintype.answers"
    )
    assert 24 * 3600 - 60 < seconds <= 24 * 3600
    await idle_product.admin.execute(
        "update tintype.answers set expires_at = now() - interval '1 second'"
    )
    second = await person.accepted({"quantity": 2}, idempotency_key="k")
    assert first.id != second.id
    again = await person.accepted({"quantity": 2}, idempotency_key="k")
    assert again.id == second.id


async def test_while_the_database_breaks_off_every_yes_is_kept_and_every_no_is_clean(
    idle_product: Product,
) -> None:
    people = [await idle_product.person(10_000) for _ in range(3)]
    picture = base64.b64encode(Pictures().small()).decode()
    breaking = asyncio.create_task(break_off(idle_product))
    statuses: list[int] = []
    jobs_accepted: dict[str, str] = {}

    async def ask(person: Person, key: str | None, body: dict[str, Any]) -> None:
        headers = {"idempotency_key": key} if key else {}
        while True:
            answer = await person.generate(body, **headers)
            statuses.append(answer.status_code)
            told = answer.json()
            if answer.status_code == 200:
                jobs_accepted[told["jobId"]] = key or ""
                return
            assert (answer.status_code, told["code"]) == (503, "database_unavailable"), told
            assert told["error"] and told["hint"]
            if key is None:
                return

    bodies = ({}, {"imageUrls": [f"data:image/png;base64,{picture}"]}, {"quantity": 2})
    number = 0
    while not breaking.done():
        number += 1
        keys = (f"k{number}", None)
        await asyncio.gather(
            *(
                ask(one, key, body)
                for one, body in zip(people, bodies, strict=False)
                for key in keys
            )
        )
    await breaking
    kept = {str(row["id"]) for row in await idle_product.admin.fetch("select id from public.jobs")}
    assert jobs_accepted.keys() <= kept
    keyed = [job for job, key in jobs_accepted.items() if key]
    assert len(keyed) == number * len(bodies)
    assert await idle_product.count("tintype.answers") == len(keyed)
    assert await idle_product.count("tintype.ready") == len(kept)
    await idle_product.assert_ledger_holds()


async def break_off(product: Product) -> None:
    """End every connection of the product again and again for a second."""
    async with asyncio.timeout(100):
        for _ in range(12):
            await product.admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.1)


async def test_a_repeated_reference_is_stored_once(idle_product: Product) -> None:
    person = await idle_product.person()
    picture = base64.b64encode(Pictures().small()).decode()
    body = {"imageUrls": [f"data:image/png;base64,{picture}"]}
    first = await person.accepted(body, idempotency_key="k")
    async with idle_product.unchanged():
        again = await person.accepted(body, idempotency_key="k")
    assert again.id == first.id
    assert await idle_product.count("storage.objects") == 1
