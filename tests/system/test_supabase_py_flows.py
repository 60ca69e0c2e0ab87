"""The flows of an app that makes pictures, with supabase-py: ask, watch, fetch, show."""

import asyncio
import io
from typing import Any
from uuid import UUID

import httpx2
import pytest
from PIL import Image
from realtime.types import RealtimePostgresChangesListenEvent as Listen
from supabase_functions.errors import FunctionsHttpError

from tests.support.product import Person, Product
from tests.system.supabase_py_site import SUBSCRIBED, Apps, Changes, Ear, Stream, relayed

MODEL = "gemini-3.1-flash-image"
PICTURE_SECONDS = 0.05

pytestmark = [
    # supabase-py hands its own options to its parts in a way that these call old.
    pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated"),
    # And reads of a broken connection what websockets calls otherwise by now.
    pytest.mark.filterwarnings("ignore:ConnectionClosed:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def unhurried(apps: Apps, product: Product) -> None:
    """Let a picture take long enough for something to be seen."""
    product.provider.script(seconds=PICTURE_SECONDS)


async def shown(url: str) -> Image.Image:
    """Return the picture at a URL, as a browser without any token gets it."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("image/")
    picture = Image.open(io.BytesIO(answer.content))
    picture.load()
    return picture


def states(records: list[dict[str, Any]]) -> list[str]:
    """Return the states in the order of their first appearance."""
    return list(dict.fromkeys(record["status"] for record in records))


async def test_a_job_is_watched_from_the_queue_to_the_pictures(apps: Apps) -> None:
    app = await apps.sign_up()
    project = await app.project()
    changes = await app.watch("jobs", filter=f"project_id=eq.{project}")
    answer = await app.generate(quantity=4, projectId=project, model=MODEL)
    assert answer["status"] == "queued"
    ended = await changes.until_one(status="completed")

    assert [change["data"]["type"] for change in changes.heard] == [
        "INSERT",
        *["UPDATE"] * (len(changes.heard) - 1),
    ]
    records = changes.records
    assert {record["id"] for record in records} == {answer["jobId"]}
    assert states(records) == ["queued", "processing", "completed"]
    seqs = [record["seq"] for record in records]
    assert seqs == sorted(set(seqs))
    progress = [record["progress"] for record in records]
    assert progress == sorted(progress) and {0, 25, 50, 75, 100} <= set(progress)
    counts = [record["result_count"] for record in records]
    assert counts == sorted(counts) and {1, 2, 3, 4} <= set(counts)
    assert len(ended["result_urls"]) == 4 and ended["completed_at"]

    rows = (
        await app.client.table("generations")
        .select("position, url, width, height, bucket, path, jobs(prompt)")
        .eq("job_id", answer["jobId"])
        .order("position")
        .execute()
    ).data
    assert [row["position"] for row in rows] == [0, 1, 2, 3]
    assert [row["url"] for row in rows] == ended["result_urls"]
    assert rows[0]["jobs"] == {"prompt": "a robot"}
    for row in rows:
        assert (await shown(row["url"])).size == (row["width"], row["height"])
    assert len(await app.client.storage.from_(rows[0]["bucket"]).download(rows[0]["path"])) > 0
    assert await app.credits() == (16, 16)


async def test_a_job_is_streamed_by_its_id(apps: Apps) -> None:
    app = await apps.sign_up()
    job = (await app.generate(quantity=2, model=MODEL))["jobId"]
    async with Stream(app, "generation_jobs", id=job) as stream:
        await stream.until(lambda rows: rows and rows[0]["status"] == "completed")
    assert all(len(rows) == 1 for rows in stream.emitted) and stream.errors == []
    seen = [rows[0] for rows in stream.emitted]
    assert {row["status"] for row in seen} <= {"pending", "generating", "completed"}
    assert [row["seq"] for row in seen] == sorted(row["seq"] for row in seen)
    assert set(seen[0]) == set(seen[-1])
    assert len(seen[-1]["result_urls"]) == 2
    assert await shown(seen[-1]["result_urls"][0])


async def test_what_commits_between_the_subscription_and_the_selection_is_not_lost(
    apps: Apps, product: Product
) -> None:
    app = await apps.sign_up()
    job = (await app.generate(model=MODEL))["jobId"]
    selects = asyncio.Event()
    async with Stream(app, "generation_jobs", selects=selects, id=job) as stream:
        await stream.subscribed.wait()
        while (await product.job(job)).status != "completed":
            await asyncio.sleep(0.01)
        selects.set()
        rows = await stream.until(lambda rows: rows and rows[0]["status"] == "completed")
    assert len(rows[0]["result_urls"]) == 1


async def test_a_stream_misses_no_change_after_its_selection(apps: Apps, product: Product) -> None:
    """Somebody counts in a row, faster than anybody reads, while the row begins to be watched."""
    app = await apps.sign_up()
    project, last = await app.project("0"), 300

    async def count() -> None:
        for number in range(1, last + 1):
            await product.admin.execute(
                "update public.projects set name = $2 where id = $1", UUID(project), str(number)
            )

    counting = asyncio.create_task(count())
    selects = asyncio.Event()
    async with Stream(app, "projects", selects=selects, id=project) as stream:
        await stream.subscribed.wait()
        selects.set()
        await stream.until(lambda rows: rows[0]["name"] == str(last))
        await counting
    seen = [int(rows[0]["name"]) for rows in stream.emitted]
    assert set(range(seen[0], last + 1)) <= set(seen) and seen[-1] == last


@pytest.mark.parametrize("view", ["images", "photos", "videos"])
async def test_a_gallery_fills_while_it_is_watched(apps: Apps, product: Product, view: str) -> None:
    app = await apps.sign_up()
    project = await app.project()
    async with Stream(app, view, project_id=project) as stream:
        await stream.subscribed.wait()
        job = (await app.generate(quantity=2, projectId=project, model=MODEL))["jobId"]
        if view == "videos":
            await add_video(product, await app.user_id(), job, project)
            rows = await stream.until(len)
            assert [row["url"] for row in rows] == ["https://videos.example/1.mp4"]
        else:
            rows = await stream.until(lambda rows: len(rows) == 2)
            assert sorted(row["position"] for row in rows) == [0, 1]
            assert all([await shown(row["url"]) for row in rows])
        found = (await app.client.table(view).select("*").eq("project_id", project).execute()).data
    by_position = {row["position"]: row for row in rows}
    assert {row["position"]: row for row in found} == by_position


async def add_video(product: Product, user_id: str, job: str, project: str) -> None:
    await product.admin.execute(
        "insert into public.generations"
        " (user_id, job_id, project_id, media_type, position, bucket, path, url)"
        " values ($1, $2, $3, 'video', 9, 'generations', 'a', 'https://videos.example/1.mp4')",
        UUID(user_id),
        UUID(job),
        UUID(project),
    )


async def test_a_refused_job_is_seen_to_fail_and_its_credits_come_back(
    apps: Apps, product: Product
) -> None:
    app = await apps.sign_up(5)
    jobs, accounts = await app.watch("jobs"), await app.watch("credit_accounts")
    product.provider.script(always="prompt_refused", seconds=PICTURE_SECONDS)
    answer = await app.generate(quantity=3, model=MODEL)
    assert (answer["creditsHeld"], answer["creditsRemaining"]) == (3, 2)
    failed = await jobs.until_one(status="failed")
    assert failed["error_code"] and failed["error_message"] and failed["result_urls"] == []
    back = await accounts.until(lambda _: [r["available"] for r in accounts.records][-1:] == [5])
    assert [change["data"]["record"]["available"] for change in back] == [2, 5]
    assert await app.credits() == (5, 5)
    entries = await app.client.table("credit_entries").select("kind, amount").order("id").execute()
    assert [(row["kind"], row["amount"]) for row in entries.data][-2:] == [
        ("hold", 3),
        ("release", 3),
    ]


async def test_what_fails_for_a_moment_is_retried_and_one_of_two_is_paid_for(
    apps: Apps, product: Product
) -> None:
    app = await apps.sign_up(5)
    jobs = await app.watch("jobs")
    product.provider.script("output_refused", None, seconds=PICTURE_SECONDS)
    await app.generate(quantity=2, model=MODEL)
    ended = await jobs.until_one(status="completed")
    assert ended["result_count"] == len(ended["result_urls"]) == 1
    assert await app.credits() == (4, 4)


async def test_a_job_is_canceled_while_it_runs(apps: Apps, product: Product) -> None:
    app = await apps.sign_up(5)
    jobs = await app.watch("jobs")
    product.provider.script(None, "slow", "slow", "slow", seconds=PICTURE_SECONDS)
    job = (await app.generate(quantity=4, model=MODEL))["jobId"]
    await jobs.until_one(result_count=1)
    options = {"body": {"jobId": job}, "responseType": "json"}
    told: Any = await app.client.functions.invoke("cancel-job", options)
    assert (told["status"], told["resultCount"], told["creditsReleased"]) == ("canceled", 1, 3)
    assert (await jobs.until_one(status="canceled"))["completed_at"]
    found = await app.client.table("generation_jobs").select("*").eq("id", job).single().execute()
    assert (found.data["status"], found.data["error_code"]) == ("failed", "canceled")
    assert await app.credits() == (4, 4)


async def test_nobody_else_sees_anything_of_it(apps: Apps) -> None:
    app, stranger = await apps.sign_up(), await apps.sign_up()
    project = await app.project()
    tables = ("jobs", "generation_jobs", "generations", "images", "photos")
    heard = [
        await stranger.watch(table, **options)
        for table in tables
        for options in ({}, {"filter": f"project_id=eq.{project}"})
    ]
    changes = await app.watch("jobs")
    job = (await app.generate(projectId=project, model=MODEL))["jobId"]
    ended = await changes.until_one(status="completed")
    for table in tables:
        assert (await stranger.client.table(table).select("*").execute()).data == []
    with pytest.raises(FunctionsHttpError, match="no such job"):
        await stranger.client.functions.invoke("cancel-job", {"body": {"jobId": job}})
    bucket = stranger.client.storage.from_("generations")
    assert await bucket.list(ended["result_urls"][0].split("/")[-3]) == []
    # Changes come in commit order: once the own job is heard of, nothing else is on its way.
    own = (await stranger.generate(model=MODEL))["jobId"]
    for changes, named in zip(heard[::2], tables, strict=True):
        key = "id" if "jobs" in named else "job_id"
        await changes.until(lambda _, c=changes, k=key: c.of(k, own))
        assert {record[key] for record in changes.records} == {own}
    assert [changes.heard for changes in heard[1::2]] == [[]] * len(tables)


async def test_a_client_that_was_cut_off_repairs_the_gap_by_seq(
    apps: Apps, product: Product
) -> None:
    async with relayed(product.url) as relay:
        app = await apps.sign_up(url=relay.url)
        project = await app.project()
        changes, seen = Changes(), Ear()
        channel = app.client.channel("jobs").on_postgres_changes(
            Listen.All, changes, table="jobs", schema="public", filter=f"project_id=eq.{project}"
        )
        await channel.subscribe(seen)
        await app.generate(quantity=2, projectId=project, model=MODEL)
        await changes.until_one(result_count=1)
        await changes.until_one(status="completed")
        user_id = UUID(await app.user_id())
        elsewhere = Person(product, user_id, product.keys.mint(user_id))
        relay.cut()
        last = changes.records[-1]["seq"]
        unheard = (await elsewhere.accepted({"projectId": project, "model": MODEL})).id
        while (await product.job(unheard)).status != "completed":
            await asyncio.sleep(0.01)
        relay.mend()
        await seen.until(lambda heard: [s for s, _ in heard].count(SUBSCRIBED) == 2)

        missed = (
            await app.client.table("jobs")
            .select("id, status, result_count, seq")
            .eq("project_id", project)
            .gt("seq", last)
            .order("seq")
            .execute()
        ).data
        assert [(row["id"], row["status"]) for row in missed] == [(str(unheard), "completed")]
        pictures = await app.client.table("generations").select("position").gt("seq", 0).execute()
        assert len(pictures.data) == 3
        # And from here on changes flow again.
        again = (await app.generate(projectId=project, model=MODEL))["jobId"]
        await changes.until_one(id=again, status="completed")
    heard = [record["seq"] for record in changes.records]
    assert heard == sorted(set(heard))


async def test_a_stream_that_was_cut_off_is_whole_again_by_itself(
    apps: Apps, product: Product
) -> None:
    async with relayed(product.url) as relay:
        app = await apps.sign_up(url=relay.url)
        job = (await app.generate(quantity=2, model=MODEL))["jobId"]
        async with Stream(app, "generation_jobs", id=job) as stream:
            await stream.until(lambda rows: rows and rows[0]["progress"])
            relay.cut()
            while (await product.job(job)).status != "completed":
                await asyncio.sleep(0.01)
            relay.mend()
            rows = await stream.until(lambda rows: rows and rows[0]["status"] == "completed")
        assert len(rows[0]["result_urls"]) == 2


async def test_what_commits_before_the_socket_is_open_is_not_lost(
    apps: Apps, product: Product
) -> None:
    async with relayed(product.url) as relay:
        app = await apps.sign_up(url=relay.url)
        await app.project()  # the connection for tables is open from here on
        product.provider.opened.clear()
        job = (await app.generate(model=MODEL))["jobId"]
        relay.hold()
        async with Stream(app, "generation_jobs", id=job) as stream:
            await stream.until(lambda rows: rows and rows[0]["status"] != "completed")
            product.provider.opened.set()
            while (await product.job(job)).status != "completed":
                await asyncio.sleep(0.01)
            relay.mend()
            rows = await stream.until(lambda rows: rows and rows[0]["status"] == "completed")
        assert len(rows[0]["result_urls"]) == 1
