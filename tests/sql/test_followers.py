"""Do batches, models and identities follow their jobs, and does what they left behind go?"""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from test_kernel_concurrency import assert_the_ledger_holds

from support import kernel
from tintype import database

Row = asyncpg.Record
Admin = asyncpg.Connection
ANNA, BERT = kernel.user(1), kernel.user(2)
TRAINING = {"base": "flux", "trigger_word": "anna1", "steps": 10}


@pytest.fixture(autouse=True)
async def credits(pool: database.Pool) -> None:
    await kernel.grant(pool, ANNA, 1000)
    await kernel.grant(pool, BERT, 1000)


async def begin_batch(admin: "Admin[Row]", user: UUID = ANNA) -> int:
    return await admin.fetchval(
        "insert into public.batches (user_id, status) values ($1, 'processing') returning id", user
    )


async def batch(admin: "Admin[Row]", number: int) -> dict[str, Any]:
    return dict(await admin.fetchrow("select * from public.batches where id = $1", number))


async def train_model(pool: database.Pool, admin: "Admin[Row]") -> tuple[UUID, int]:
    """Submit the training of a model of Anna's and move it on to the GPUs; return job and model."""
    model = await admin.fetchval(
        "insert into public.models (user_id) values ($1) returning id", ANNA
    )
    row = kernel.submission(
        ANNA,
        job_type="train_model",
        queue="identities",
        model_id=model,
        price=50,
        payload={"training": TRAINING},
    )
    [job] = await kernel.accepted(pool, row)
    await kernel.claim(pool, queue="identities")
    assert await forward(pool, job, 1)
    return job, model


async def forward(pool: database.Pool, job: UUID, attempt: int, queue: str = "training") -> bool:
    return await pool.fetchval(
        "select tintype.forward($1, $2, $3, '{\"stage\": 2}')", job, attempt, queue
    )


async def record_adapter(pool: database.Pool, job: UUID, attempt: int) -> None:
    adapter = {"bucket": "training", "path": "a.safetensors", "bytes": 9, "sha256": "0", "step": 10}
    await pool.execute("select tintype.record_adapter($1, $2, $3)", job, attempt, adapter)


async def submit_identity(pool: database.Pool, **fields: Any) -> tuple[UUID, UUID]:
    identity = fields.pop("identity_id", uuid4())
    told = {
        "identity_name": "Anna",
        "model_id": f"identity-anna-{identity}",
        "huggingface_repo_url": "https://huggingface.co/me/identity-anna",
        "repository": "me/identity-anna",
        "consent": {"given": True},
        "training_config": {"num_images": 3},
        "findings": [],
        "image_paths": ["a", "b", "c"],
    }
    row = kernel.submission(
        ANNA,
        job_type="train_identity",
        queue="identities",
        identity_id=identity,
        price=50,
        payload={"training": TRAINING, "identity": told},
        **fields,
    )
    [job] = await kernel.accepted(pool, row)
    return job, identity


async def test_a_batch_follows_its_job_and_is_paid_as_far_as_it_was_made(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    row = kernel.submission(ANNA, quantity=4, price=3, batch_id=number)
    [job] = await kernel.accepted(pool, row)
    begun = await batch(admin, number)
    assert (begun["status"], begun["total_images"], begun["credits_held"]) == ("processing", 4, 12)
    await kernel.claim(pool)
    await kernel.deliver(pool, job, 1, 2)
    halfway = await batch(admin, number)
    assert (halfway["status"], halfway["completed_images"], halfway["progress"]) == (
        "processing",
        1,
        25,
    )
    assert halfway["seq"] > begun["seq"]
    await kernel.deliver(pool, job, 1, 0)
    await kernel.fail(pool, job, 1)
    ended = await batch(admin, number)
    assert (ended["status"], ended["completed_images"], ended["failed_images"]) == (
        "completed",
        2,
        2,
    )
    assert (ended["credits_used"], ended["error_code"]) == (6, "transient")
    assert (
        await admin.fetchval("select balance from credit_accounts where user_id = $1", ANNA) == 994
    )
    assert await admin.fetchval("select count(*) from photos where batch_id = $1", number) == 2
    await assert_the_ledger_holds(pool)


async def test_a_batch_of_which_nothing_was_made_failed_and_may_be_asked_for_again(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    [job] = await kernel.accepted(pool, kernel.submission(ANNA, quantity=2, batch_id=number))
    await kernel.claim(pool)
    await kernel.fail(pool, job, 1)
    failed = await batch(admin, number)
    assert (failed["status"], failed["failed_images"], failed["credits_used"]) == ("failed", 2, 0)
    assert failed["error_message"] == "The provider did not answer."
    [again] = await kernel.accepted(pool, kernel.submission(ANNA, quantity=1, batch_id=number))
    begun = await batch(admin, number)
    assert (begun["status"], begun["job_id"], begun["failed_images"], begun["error_code"]) == (
        "processing",
        again,
        0,
        None,
    )
    await kernel.cancel(pool, again)
    canceled = await batch(admin, number)
    assert (canceled["status"], canceled["error_code"]) == ("failed", "canceled")


async def test_a_new_batch_is_made_with_its_job_or_not_at_all(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    fields = {"batch_id": 700, "is_new_batch": True}
    [poor] = await kernel.submit(pool, kernel.submission(ANNA, price=5000, **fields))
    assert poor["outcome"] == "insufficient"
    assert await admin.fetchval("select count(*) from batches") == 0
    await kernel.accepted(pool, kernel.submission(ANNA, **fields))
    assert (await batch(admin, 700))["user_id"] == ANNA


async def test_a_batch_is_its_owners_and_has_one_job(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    rows = await kernel.submit(
        pool,
        kernel.submission(BERT, batch_id=number),
        kernel.submission(ANNA, batch_id=number + 1),
        kernel.submission(ANNA, batch_id=number),
        kernel.submission(ANNA, batch_id=number),
    )
    assert [row["outcome"] for row in rows] == [
        "batch_not_found",
        "batch_not_found",
        "accepted",
        "batch_busy",
    ]
    await assert_the_ledger_holds(pool)


async def test_two_that_ask_for_one_batch_at_once_get_one_job(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    rows = await asyncio.gather(
        *(kernel.submit(pool, kernel.submission(ANNA, batch_id=number)) for _ in range(6))
    )
    outcomes = sorted(row["outcome"] for [row] in rows)
    assert outcomes == ["accepted", *["batch_busy"] * 5]
    assert await admin.fetchval("select held from credit_accounts where user_id = $1", ANNA) == 1


async def test_a_job_goes_on_in_other_hands_under_the_same_hold(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    job, model = await train_model(pool, admin)
    assert not await forward(pool, job, 1), "the first hands have given it away"
    assert await kernel.claim(pool, queue="identities") == []
    [taken] = await kernel.claim(pool, queue="training")
    assert (taken["id"], taken["attempt"], taken["retries"]) == (job, 2, 0)
    assert taken["payload"] == {"training": TRAINING, "stage": 2}
    await record_adapter(pool, job, 2)
    await kernel.deliver(pool, job, 2, 0)
    assert await forward(pool, job, 2, "identities")
    shown = await admin.fetchrow("select * from models where id = $1", model)
    assert (shown["status"], shown["adapter_path"]) == ("training", "a.safetensors")
    await kernel.claim(pool, queue="identities")
    await kernel.complete(pool, [(job, 3)])
    shown = await admin.fetchrow("select * from models where id = $1", model)
    assert (shown["status"], shown["progress"], shown["error_code"]) == ("ready", 100, None)
    assert shown["trained_at"] is not None
    assert (
        await admin.fetchval("select balance from credit_accounts where user_id = $1", ANNA) == 950
    )
    await assert_the_ledger_holds(pool)


async def test_users_take_turns_with_jobs_that_go_on(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    jobs = await kernel.accepted(
        pool, *(kernel.submission(user) for user in (ANNA, ANNA, ANNA, BERT))
    )
    await kernel.claim(pool, 4)
    for job in jobs:
        assert await forward(pool, job, 1)
    taken = [row["user_id"] for row in await kernel.claim(pool, 4, queue="training")]
    assert taken == [ANNA, BERT, ANNA, ANNA]


async def test_a_canceled_or_lost_job_does_not_go_on(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    first, second = await kernel.accepted(pool, kernel.submission(ANNA), kernel.submission(ANNA))
    await kernel.claim(pool, 2)
    await kernel.cancel(pool, first)
    await kernel.expire_leases(admin)
    await kernel.rescue(pool)
    assert not await forward(pool, first, 1)
    assert not await forward(pool, second, 1)
    assert await kernel.claim(pool, queue="training") == []
    assert [row["id"] for row in await kernel.claim(pool)] == [second]


async def test_the_course_of_a_training_is_kept_and_its_last_checkpoint(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    job, model = await train_model(pool, admin)
    await kernel.claim(pool, queue="training")

    async def tell(step: int, path: str | None = None, **more: Any) -> Any:
        report = {"step": step, "steps": 10, "loss": 1 / step, **more}
        if path is not None:
            report["checkpoint"] = {"bucket": "training", "path": path}
        return await pool.fetchval("select tintype.report_training($1, 2, $2)", job, report)

    assert await tell(1) is None
    assert await tell(2, "two", sample_url="https://x.test/2.png") is None
    assert await tell(4, "four") == {"bucket": "training", "path": "two"}
    assert await tell(4, "four") is None, "told again, nothing is replaced"
    assert await tell(2) is None
    rows = await admin.fetch("select step, loss, sample_url from training_steps order by step")
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert rows[1]["sample_url"] == "https://x.test/2.png"
    shown = await admin.fetchrow("select * from models where id = $1", model)
    assert (shown["steps_total"], shown["sample_urls"]) == (10, ["https://x.test/2.png"])
    with pytest.raises(asyncpg.PostgresError) as fenced:
        await pool.fetchval("select tintype.report_training($1, 1, '{\"step\": 5}')", job)
    assert fenced.value.sqlstate == "TT409"
    with pytest.raises(asyncpg.PostgresError) as fenced:
        await record_adapter(pool, job, 1)
    assert fenced.value.sqlstate == "TT409"
    assert await admin.fetchval("select path from tintype.checkpoints") == "four"
    await kernel.fail(pool, job, 2)
    assert await admin.fetchval("select count(*) from tintype.checkpoints") == 0
    shown = await admin.fetchrow("select * from models where id = $1", model)
    assert (shown["status"], shown["error_code"]) == ("failed", "transient")


async def test_a_model_is_trained_once_at_a_time_by_its_owner(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    job, model = await train_model(pool, admin)
    fields = {"job_type": "train_model", "model_id": model, "payload": {"training": TRAINING}}
    [mine, hers] = await kernel.submit(
        pool, kernel.submission(ANNA, **fields), kernel.submission(BERT, **fields)
    )
    assert (mine["outcome"], hers["outcome"]) == ("model_busy", "model_not_found")
    await kernel.cancel(pool, job)
    [again] = await kernel.accepted(pool, kernel.submission(ANNA, **fields))
    assert await admin.fetchval("select job_id from models") == again
    # Made with a model is not trained.
    await kernel.accepted(pool, kernel.submission(BERT, model_id=model))


async def test_an_identity_is_there_with_its_job_and_what_was_planned_is_called_off(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    identity = uuid4()
    places = [{"bucket": "identities", "prefix": "x/"}]
    plan = "select tintype.plan_removal($1, $2, 'identity', null, $3, 7200)"
    await pool.execute(plan, identity, ANNA, places)
    assert await pool.fetch("select * from tintype.claim_removals(10, 60)") == []
    job, _ = await submit_identity(pool, identity_id=identity)
    shown = await admin.fetchrow("select * from trained_identities")
    assert (shown["id"], shown["status"], shown["job_id"]) == (identity, "training", job)
    assert (shown["num_training_images"], shown["consent"]) == (3, '{"given": true}')
    assert await admin.fetchval("select count(*) from tintype.removals") == 0
    # Without acceptance what was planned comes due.
    await pool.execute(plan, uuid4(), ANNA, places)
    await admin.execute("update tintype.removals set not_before = now()")
    [due] = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert due["places"] == places and due["attempts"] == 1
    assert await pool.fetch("select * from tintype.claim_removals(10, 60)") == []


async def test_whoever_deletes_an_identity_leaves_the_rest_to_the_remover(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    job, identity = await submit_identity(pool)
    await admin.execute("delete from public.trained_identities")
    [due] = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert (due["id"], due["kind"], due["job_ids"]) == (identity, "identity", [job])
    assert due["repository"] == "me/identity-anna"
    assert due["places"] == [
        {"bucket": "training", "prefix": f"{ANNA}/{job}/"},
        {"bucket": "identities", "prefix": f"{ANNA}/identity-anna-{identity}/"},
    ]
    await pool.execute("select tintype.end_removal($1, null, 'the Hub is away', 0)", identity)
    [again] = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert (again["attempts"], again["last_error"]) == (2, "the Hub is away")
    await pool.execute("select tintype.end_removal($1, '{\"objects\": []}', null, 0)", identity)
    assert await pool.fetch("select * from tintype.claim_removals(10, 60)") == []
    assert await admin.fetchval("select done_at is not null from tintype.removals")


async def test_a_removed_user_leaves_nothing_but_the_ledger(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    await admin.execute("insert into auth.users (id) values ($1)", ANNA)
    await admin.execute("insert into projects (user_id) values ($1), ($2)", ANNA, BERT)
    identity_job, _ = await submit_identity(pool)
    picture_jobs = await kernel.accepted(pool, *(kernel.submission(ANNA) for _ in range(5)))
    [other] = await kernel.accepted(pool, kernel.submission(BERT))
    await kernel.claim(pool, 6)
    for job in [*picture_jobs, other]:
        await kernel.deliver(pool, job, 1, 0)
        await kernel.complete(pool, [(job, 1)])
    await kernel.cancel(pool, identity_job)
    assert await pool.fetchval("select tintype.remove_user($1, false)", ANNA)
    [due] = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert (due["id"], due["kind"]) == (ANNA, "user")
    rounds = []
    while rounds[-1:] != [0]:
        rounds.append(await pool.fetchval("select tintype.erase_rows('{}', $1, 2)", ANNA))
    assert len(rounds) > 2
    for table in ("jobs", "generations", "projects", "trained_identities"):
        owners = await admin.fetch(f"select distinct user_id from public.{table}")
        assert {row["user_id"] for row in owners} <= {BERT}, table
    [left] = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert left["kind"] == "identity", "an identity has a removal of its own"
    await admin.execute("update tintype.removals set not_before = now() where done_at is null")
    late = await pool.fetch("select * from tintype.claim_removals(10, 60)")
    assert [row["user_id"] for row in late if row["kind"] == "user"] == [ANNA, ANNA], (
        "a token that is out may still have brought something"
    )
    assert await admin.fetchval("select count(*) from credit_entries where user_id = $1", ANNA) > 5
    await assert_the_ledger_holds(pool)


async def test_what_nobody_asked_for_does_not_wait_for_ever(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    await admin.execute("insert into public.models (user_id) values ($1)", ANNA)
    await pool.execute("select tintype.prune(100)")
    assert (await batch(admin, number))["status"] == "processing"
    for table in ("batches", "models"):
        await admin.execute(f"update public.{table} set created_at = now() - interval '2 hours'")
    await pool.execute("select tintype.prune(100)")
    ended = await batch(admin, number)
    assert (ended["status"], ended["error_code"]) == ("failed", "not_requested")
    assert await admin.fetchval("select status from models") == "failed"
    # It may be asked for after all.
    await kernel.accepted(pool, kernel.submission(ANNA, batch_id=number))


async def test_a_request_for_a_batch_that_is_busy_waits_for_nobody(
    pool: database.Pool, admin: "Admin[Row]"
) -> None:
    number = await begin_batch(admin)
    [job] = await kernel.accepted(pool, kernel.submission(ANNA, batch_id=number))
    await kernel.claim(pool)
    async with pool.acquire() as ending, ending.transaction():
        # Holds the job and the batch, as do many jobs that end at once, in an order of their own.
        await ending.fetch(
            "select * from tintype.settle_fail($1, 1, 'invalid', 'no', null, false)", job
        )
        async with asyncio.timeout(60):
            [row] = await kernel.submit(admin, kernel.submission(ANNA, batch_id=number))
        assert row["outcome"] == "batch_busy"
    [row] = await kernel.submit(admin, kernel.submission(ANNA, batch_id=number))
    assert row["outcome"] == "accepted"
