"""`operator`: who may look, and what there is to be seen."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.console import Console, console, default_model, ended, named, signed_up
from tests.lanes.bench_of_work import Bench
from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures
from tintype import credits, jobs
from tintype.workers import outside, pauses

REFUSED = (403, "operator_required")


async def refused(person: Person, body: Any) -> tuple[int, str]:
    answer = await person.call("operator", body)
    return answer.status_code, answer.json()["code"]


async def failed(product: Product, person: Person, **body: Any) -> str:
    """Return the id of a job that the provider refused."""
    product.provider.script(*["prompt_refused"] * body.get("quantity", 1))
    job = await person.accepted(body, prefer="wait=30")
    assert (await product.job(job.id)).status == "failed"
    return str(job.id)


async def test_only_operators_see_and_act(idle_product: Product) -> None:
    anna = await idle_product.person()
    user_id = uuid4()
    self_made = idle_product.keys.mint(user_id, user_metadata={"operator": True})
    for person in (
        anna,
        Person(idle_product, user_id, self_made),
        Person(idle_product, uuid4(), idle_product.keys.anon_key),
        named(idle_product, operator="true"),
        named(idle_product, role="authenticated"),
    ):
        async with idle_product.unchanged():
            assert await refused(person, {"view": "users"}) == REFUSED
            assert (
                await refused(person, {"act": "grant", "user": str(anna.id), "amount": 5})
                == REFUSED
            )
    for person in (named(idle_product, operator=True), named(idle_product, role="operator")):
        assert [one["id"] for one in (await Console(person).see("users"))["users"]] == [
            str(anna.id)
        ]


async def test_who_is_named_an_operator_is_one_with_the_next_token(idle_product: Product) -> None:
    signed = {"email": "olga@example.com", "password": "correct horse"}
    service = idle_product.service().headers
    service["apikey"] = idle_product.keys.service_role_key
    http = idle_product.http
    user = (await http.post("/auth/v1/signup", json=signed, headers=service)).json()["user"]

    async def asked() -> int:
        answer = await http.post("/auth/v1/token?grant_type=password", json=signed, headers=service)
        olga = Person(idle_product, UUID(user["id"]), answer.json()["access_token"])
        return (await olga.call("operator", {"view": "models"})).status_code

    assert await asked() == 403
    for is_named, status in ((True, 200), (None, 403)):
        answer = await http.put(
            f"/auth/v1/admin/users/{user['id']}",
            json={"app_metadata": {"operator": is_named}},
            headers=service,
        )
        assert answer.status_code == 200, answer.text
        assert await asked() == status


@pytest.mark.parametrize("end", ["named no more", "banned", "signed out", "removed"])
async def test_an_operator_who_is_one_no_more_is_out_before_the_token_ends(
    idle_product: Product, end: str
) -> None:
    http, service = idle_product.http, idle_product.service().headers
    service["apikey"] = idle_product.keys.service_role_key
    who = {"email": "olga@example.com", "password": "correct horse"}
    made = await http.post(
        "/auth/v1/admin/users",
        json=who | {"email_confirm": True, "app_metadata": {"operator": True}},
        headers=service,
    )
    session = await http.post("/auth/v1/token?grant_type=password", json=who, headers=service)
    user_id = made.json()["id"]
    olga = Person(idle_product, UUID(user_id), session.json()["access_token"])
    assert (await olga.call("operator", {"view": "models"})).status_code == 200
    user = f"/auth/v1/admin/users/{user_id}"
    match end:
        case "named no more":
            answer = await http.put(
                user, json={"app_metadata": {"operator": None}}, headers=service
            )
        case "banned":
            answer = await http.put(user, json={"ban_duration": "24h"}, headers=service)
        case "signed out":
            own = {"apikey": idle_product.keys.anon_key} | olga.headers
            answer = await http.post("/auth/v1/logout", headers=own)
        case _:
            answer = await http.delete(user, headers=service)
    assert answer.status_code in (200, 204), answer.text
    async with idle_product.unchanged():
        assert await refused(olga, {"view": "users"}) == REFUSED
        grant = {"act": "grant", "user": user_id, "amount": 5}
        assert await refused(olga, grant) == REFUSED


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"view": "nonsense"},
        {"act": "nonsense"},
        {"view": "nonsense", "act": "nonsense"},
        {"view": "jobs", "limit": 201},
        {"view": "jobs", "status": "lost"},
        {"view": "throughput", "minutes": 4},
        {"view": "job"},
        {"act": "cancel", "jobIds": []},
        {"act": "grant", "user": "a@b.c", "amount": 0},
    ],
)
async def test_bad_input_is_refused(idle_product: Product, body: Any) -> None:
    async with idle_product.unchanged():
        assert await refused(idle_product.service(), body) == (400, "field_invalid")


async def test_the_overview_tells_the_load(idle_product: Product) -> None:
    person = await idle_product.person()
    first, second = [await person.accepted({"quantity": 2}) for _ in range(2)]
    await jobs.claim(
        idle_product.pool, queue="images", worker="somebody", limit=1, lease_seconds=60
    )
    seen = await console(idle_product).see("overview")
    [queue] = seen["queues"]
    assert (queue["queue"], queue["ready"], queue["delayed"], queue["leased"]) == (
        "images",
        1,
        0,
        1,
    )
    assert queue["oldestSeconds"] >= 0
    assert (seen["openHolds"], seen["creditsHeld"]) == (2, 4)
    assert (seen["jobsLastHour"], seen["ledgerHoldsTrue"]) == ({"queued": 2}, True)
    workers = await console(idle_product).see("workers")
    assert {one["name"]: one["jobsHeld"] for one in workers["inside"]}["somebody"] == 1
    assert [one["isAnswering"] for one in workers["inside"]].count(True) == 1
    [held] = workers["jobs"]
    assert held["id"] in {str(first.id), str(second.id)}
    await idle_product.admin.execute(
        "update public.jobs set status = 'canceled', completed_at = now() where id = $1", first.id
    )
    assert not (await console(idle_product).see("overview"))["ledgerHoldsTrue"]


async def test_throughput_counts_what_came_and_what_ended(product: Product) -> None:
    person = await product.person()
    await person.accepted({}, prefer="wait=30")
    await failed(product, person)
    seen = await console(product).see("throughput", minutes=5)
    counts = {
        name: sum(bucket[name] for bucket in seen["buckets"])
        for name in ("accepted", "completed", "failed", "canceled")
    }
    assert counts == {"accepted": 2, "completed": 1, "failed": 1, "canceled": 0}
    assert len(seen["buckets"]) == 5 * 60 // seen["bucketSeconds"] + 1
    ended = [bucket for bucket in seen["buckets"] if bucket["completed"]]
    assert all(0 <= one["queuedSecondsP50"] <= one["secondsP95"] for one in ended)
    other = await console(product).see("throughput", minutes=1440, jobType="image_fast")
    assert sum(bucket["accepted"] for bucket in other["buckets"]) == 0
    assert not other["isTruncated"] and len(other["buckets"]) <= 120


async def test_outside_workers_are_named_with_what_they_hold(idle_product: Product) -> None:
    bench = await Bench.open(idle_product)
    job_id = await bench.enqueue()
    assert await outside.worker_of_token(idle_product.pool, bench.credentials.lane_token)
    await outside.pop(idle_product.pool, bench.worker.holder, "sdxl_queue")
    seen = await console(idle_product).see("workers")
    [worker] = seen["outside"]
    assert (worker["name"], worker["isAlive"], worker["jobsHeld"]) == ("gpu-1", True, 1)
    assert [(job["id"], job["worker"]) for job in seen["jobs"]] == [(str(job_id), "gpu-1")]
    assert [lease["worker"] for lease in seen["leases"]] == ["gpu-1"]
    detail = await console(idle_product).see("job", jobId=str(job_id))
    assert detail["lease"]["worker"] == "gpu-1" and detail["position"] is None


async def test_providers_tell_what_was_made_what_failed_and_what_rests(product: Product) -> None:
    person = await product.person()
    await person.accepted({"quantity": 2}, prefer="wait=30")
    await failed(product, person)
    model = default_model(product)
    await pauses.pause(product.pool, model, cause="quota", detail="spent", seconds=600, whole=False)
    seen = await console(product).see("providers")
    [state] = seen["models"]
    price = 2 * model.price()
    assert (state["provider"], state["model"], state["jobs"]) == ("gemini", model.id, 2)
    assert (state["completed"], state["failed"]) == (1, 1)
    assert (state["outputs"], state["credits"]) == (2, price)
    assert state["causes"] == [{"cause": "refused", "failed": 1, "retried": 0}]
    [pause] = seen["pauses"]
    assert (pause["cause"], pause["detail"], pause["until"]) == (
        "quota",
        "spent",
        state["pausedUntil"],
    )


async def test_jobs_are_found_by_what_is_known_of_them_and_paged(product: Product) -> None:
    anna, bert = await product.person(), await signed_up(product, "bert@example.com")
    await credits.grant(product.pool, bert.id, 10)
    dead = await failed(product, anna, prompt="a dragon")
    done = [str((await bert.accepted({}, prefer="wait=30")).id) for _ in range(3)]
    see = console(product).see

    async def found(**wanted: Any) -> list[str]:
        return [job["id"] for job in (await see("jobs", **wanted))["jobs"]]

    assert await found() == [*reversed(done), dead]
    assert await found(status="failed") == [dead]
    assert await found(user="BERT@example.com") == await found(user=str(bert.id)) == done[::-1]
    assert await found(errorCode="refused", queue="images", jobType="image") == [dead]
    assert await found(errorCode="transient") == []
    first = await see("jobs", limit=2)
    assert first["jobs"][0]["email"] == "bert@example.com"
    second = await see("jobs", limit=2, before=first["next"])
    assert [one["id"] for one in second["jobs"]] == [done[0], dead]
    third = await see("jobs", limit=2, before=second["next"])
    assert (third["jobs"], third["next"]) == ([], None)
    assert await refused(product.service(), {"view": "jobs", "user": "no@where.com"}) == (
        404,
        "user_not_found",
    )
    [cause] = (await see("failures"))["failures"]
    assert (cause["cause"], cause["jobType"], cause["jobs"]) == ("refused", "image", 1)
    assert cause["newestJobId"] == dead and cause["message"]


async def test_a_search_that_looks_at_as_many_jobs_as_it_may_goes_on_from_there(
    idle_product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tintype.functions.operating.rows.JOBS_SEEN_MAX", 2)
    person, other = await idle_product.person(), await idle_product.person()
    wanted = str((await person.accepted({})).id)
    await console(idle_product).act("cancel", jobIds=[wanted])
    for _ in range(3):
        await other.accepted({})
    found, pages, before = [], 0, None
    while pages == 0 or before is not None:
        page = await console(idle_product).see("jobs", status="canceled", before=before)
        found += [job["id"] for job in page["jobs"]]
        pages, before = pages + 1, page["next"]
    assert (found, pages) == ([wanted], 3)
    # Whoever asks for one user's looks at that user's alone.
    page = await console(idle_product).see("jobs", status="canceled", user=str(person.id))
    assert [job["id"] for job in page["jobs"]] == [wanted] and page["next"] is None


async def test_a_jobs_page_tells_every_attempt_its_pictures_and_its_money(
    product: Product,
) -> None:
    person = await product.person()
    product.provider.script("unavailable")
    job = await person.accepted({})
    service = console(product)
    async with asyncio.timeout(30):
        while not (await service.act("retry_now", jobIds=[str(job.id)]))["done"]:
            await asyncio.sleep(0.02)
    assert (await ended(product, job.id)).status == "completed"
    seen = await service.see("job", jobId=str(job.id))
    told = [(step["kind"], step["attempt"], step["code"]) for step in seen["steps"]]
    assert told == [
        ("accepted", 1, None),
        ("started", 1, None),
        ("retried", 1, "transient"),
        ("started", 2, None),
        ("completed", 2, None),
    ]
    assert seen["steps"][2]["worker"] and seen["steps"][2]["message"]
    [picture] = seen["outputs"]
    assert (await product.http.get(picture["url"])).status_code == 200
    assert [entry["kind"] for entry in seen["entries"]] == ["hold", "capture"]
    assert seen["job"]["payload"]["model"] and seen["lease"] is None
    unknown = {"view": "job", "jobId": str(uuid4())}
    assert await refused(product.service(), unknown) == (404, "job_not_found")


async def test_users_are_found_with_their_credits_and_jobs(idle_product: Product) -> None:
    anna = await signed_up(idle_product, "anna@example.com")
    await credits.grant(idle_product.pool, anna.id, 20, note="a gift")
    await signed_up(idle_product, "bert@example.com")
    stranger = await idle_product.person(7)
    job = await anna.accepted({"quantity": 3})
    see = console(idle_product).see
    assert len((await see("users"))["users"]) == 3
    [found] = (await see("users", search="NNA@exam"))["users"]
    assert (found["email"], found["balance"], found["held"], found["available"]) == (
        "anna@example.com",
        20,
        3,
        17,
    )
    assert found["jobsLastDay"] == 1
    [other] = (await see("users", search=str(stranger.id)))["users"]
    assert (other["email"], other["balance"]) == (None, 7)
    first = await see("users", limit=2)
    assert len(first["users"]) == 2
    second = await see("users", limit=2, offset=first["next"])
    assert (len(second["users"]), second["next"]) == (1, None)
    whole = await see("user", user="anna@example.com")
    assert [entry["kind"] for entry in whole["statement"]] == ["hold", "grant"]
    assert whole["statement"][1]["note"] == "a gift"
    assert [one["id"] for one in whole["jobs"]] == [str(job.id)]
    assert whole["user"] == found


async def test_somebody_who_was_removed_softly_is_not_there(idle_product: Product) -> None:
    anna = await signed_up(idle_product, "anna@example.com")
    await credits.grant(idle_product.pool, anna.id, 5)
    await idle_product.admin.execute("update auth.users set deleted_at = now()")
    assert (await console(idle_product).see("user", user=str(anna.id)))["user"]["balance"] == 5
    assert [one["id"] for one in (await console(idle_product).see("users"))["users"]] == [
        str(anna.id)
    ]


@pytest.mark.parametrize(
    "text", ["%", "_", "'; drop table auth.users; --", "\\", "(", "a\u0000b", "\u202e", "😀"]
)
async def test_no_text_is_more_than_a_text(idle_product: Product, text: str) -> None:
    await signed_up(idle_product, "anna@example.com")
    service = console(idle_product)
    for body, code in (
        ({"view": "users", "search": text}, 200),
        ({"view": "user", "user": text}, 404),
        ({"view": "jobs", "user": text}, 404),
        ({"view": "jobs", "queue": text, "jobType": text, "errorCode": text}, 200),
        ({"view": "throughput", "jobType": text}, 200),
        ({"view": "logs", "function": text, "requestId": text}, 200),
        ({"act": "unpause", "provider": text, "model": text}, 404),
        ({"act": "revoke_worker", "name": text}, 404),
        ({"act": "grant", "user": text, "amount": 1, "note": text, "reference": text}, 404),
    ):
        answer = await service.ask(body)
        wanted = 400 if "\0" in text else code
        assert answer.status_code == wanted, (body, answer.text)
        if body.get("view") == "users" and wanted == 200:
            assert answer.json()["users"] == []


async def test_the_ledger_and_the_buckets_are_told_in_full(idle_product: Product) -> None:
    person = await idle_product.person(5)
    picture = Pictures().small()
    await idle_product.upload(person, "a.png", picture)
    see = console(idle_product).see
    ledger = await see("ledger")
    assert (ledger["holdsTrue"], ledger["accounts"], ledger["findings"]) == (True, 1, [])
    await idle_product.admin.execute("update public.credit_accounts set balance = 6")
    [finding] = (await see("ledger"))["findings"]
    assert finding["rule"] == "balance_is_the_sum_of_its_entries"
    buckets = {one["bucket"]: one for one in (await see("storage"))["buckets"]}
    assert (buckets["uploads"]["objects"], buckets["uploads"]["bytes"]) == (1, len(picture))
    assert buckets["generations"]["isPublic"] and not buckets["uploads"]["isPublic"]


async def test_models_that_end_soon_are_marked(idle_product: Product) -> None:
    models = {one["id"]: one for one in (await console(idle_product).see("models"))["models"]}
    assert models["sandbox"]["isAvailable"] and not models["sandbox"]["isEnding"]
    for model in models.values():
        days = model["endsInDays"]
        assert model["isEnding"] == (days is not None and days <= 60)
        assert (days is None) == (model["shutdownAt"] is None)
