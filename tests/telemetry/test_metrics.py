"""What Prometheus is told, by whom it may be read, and that it costs little."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx2
import yaml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker
from tests.support.processes import free_port
from tests.support.product import Product, open_product
from tests.support.serve import ANSWER_SECONDS_MAX
from tests.telemetry.scrapes import Scrape, ask, scrape
from tintype import app as server
from tintype import config, events
from tintype.telemetry.metrics import NAMES_MAX, OTHER, Metrics
from tintype.telemetry.readings import Reading
from tintype.workers import outside

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def test_only_the_service_role_reads_the_metrics(product: Product, bench: Bench) -> None:
    keys = product.keys
    for token in (None, "nonsense", keys.anon_key, bench.person.token, bench.credentials.key):
        answer = await ask(product, token)
        assert answer.status_code == 401, (token, answer.text)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "tintype_" not in answer.text
    assert (await ask(product, None, apikey=keys.publishable_key)).status_code == 401
    assert (await ask(product, keys.service_role_key)).status_code == 200
    assert (await ask(product, None, apikey=keys.secret_key)).status_code == 200


async def test_the_metrics_token_opens_the_metrics_and_nothing_else(
    database_url: str, tmp_path: Path
) -> None:
    token = "a-token-of-the-operators-own"
    async with open_product(database_url, tmp_path, TINTYPE_METRICS_TOKEN=token) as product:
        assert (await ask(product, token)).status_code == 200
        assert (await ask(product, token + "x")).status_code == 401
        assert (await ask(product, product.keys.service_role_key)).status_code == 200
        headers = {"authorization": f"Bearer {token}"}
        assert (await product.http.get("/rest/v1/jobs", headers=headers)).status_code == 401


async def test_a_job_is_counted_from_its_acceptance_to_its_end(product: Product) -> None:
    person = await product.person(10)
    before = await scrape(product)
    await person.accepted({"quantity": 3}, prefer="wait=30")
    after = await scrape(product)
    assert before.of("tintype_jobs_accepted_total") == 0
    assert after["tintype_jobs_accepted_total"] == 1
    assert after["tintype_jobs_claimed_total"] == 1
    ended = {"job_type": "image", "status": "completed"}
    assert after.of("tintype_jobs_settled_total", **ended, cause="none") == 1
    assert after.of("tintype_outputs_delivered_total", job_type="image") == 3
    assert after.of("tintype_job_seconds_count", **ended) == 1
    assert after.of("tintype_job_running_seconds_count", **ended) == 1
    assert 0 < after["tintype_job_running_seconds_sum"] <= after["tintype_job_seconds_sum"]
    delivered = {"provider": "gemini", "outcome": "delivered"}
    assert after.of("tintype_provider_calls_total", **delivered) == 3
    assert after.of("tintype_provider_seconds_count", **delivered) == 3
    assert after["process_resident_memory_bytes"] > 0


async def test_failures_retries_and_cancels_are_told_apart(product: Product) -> None:
    person = await product.person(10)
    product.provider.script("prompt_refused", always="unavailable")
    await person.accepted({}, prefer="wait=30")
    again = await person.accepted({})
    async with asyncio.timeout(100):
        while (await scrape(product)).of("tintype_job_retries_total", cause="transient") < 1:
            await asyncio.sleep(0.05)
    assert (await person.call("cancel-job", {"jobId": str(again.id)})).status_code == 200
    found = await scrape(product)
    settled = "tintype_jobs_settled_total"
    assert found.of(settled, status="failed", cause="refused") == 1
    assert found.of(settled, status="canceled", cause="canceled") == 1
    assert found.of(settled) == 2
    assert found.of("tintype_job_seconds_count", status="canceled") == 1


async def test_queues_and_their_outside_workers_are_read_from_the_database(
    database_url: str, tmp_path: Path
) -> None:
    async with open_product(database_url, tmp_path, works=False) as product:
        bench = await Bench.open(product, "sdxl_queue", "wan_queue")
        for _ in range(3):
            job_id = await bench.enqueue()
        await product.admin.execute(
            "update public.jobs set created_at = now() - interval '1 hour' where id = $1"
            " or id = (select min(id::text)::uuid from public.jobs)",
            job_id,
        )
        assert await outside.worker_of_token(product.pool, bench.credentials.lane_token)
        taken = await outside.pop(product.pool, bench.worker.holder, "sdxl_queue")
        assert len(taken) == 1
        found = await scrape(product)
        jobs = {
            state: found.of("tintype_queue_jobs", queue="sdxl_queue", state=state)
            for state in ("ready", "delayed", "leased")
        }
        assert jobs == {"ready": 2, "delayed": 0, "leased": 1}
        assert found.of("tintype_queue_oldest_seconds", queue="sdxl_queue") < 3600
        assert found.of("tintype_outside_workers", queue="sdxl_queue") == 1
        assert found.of("tintype_outside_workers", queue="wan_queue") == 1
        assert (found["tintype_holds_open"], found["tintype_credits_held"]) == (3, 3)
        assert found["tintype_ledger_findings"] == 0
        assert found.of("tintype_active_users", window="hour") == 1
        assert found["tintype_database_up"] == 1


async def test_a_ledger_that_does_not_add_up_and_storage_are_told(product: Product) -> None:
    person = await product.person(10)
    await product.upload(person, "a.png", b"\x89PNG\r\n\x1a\n" + bytes(92))
    await product.admin.execute("update public.credit_accounts set balance = balance + 1")
    found = await scrape(product)
    assert found["tintype_ledger_findings"] == 1
    assert found.of("tintype_storage_objects", bucket="uploads") == 1
    assert found.of("tintype_storage_bytes", bucket="uploads") == 100


async def test_callbacks_and_lost_workers_are_counted(product: Product, bench: Bench) -> None:
    original = OriginalWorker(bench)
    await bench.enqueue()
    job = await original.take()
    assert job is not None
    report = {"jobId": job["id"], "status": "completed", "filePath": "nowhere.png"}
    assert (await original.call_back(report)).status_code == 400
    assert (await original.do(job)).status_code == 200
    again = report | {"filePath": original.path(job)}
    assert (await original.call_back(again)).status_code == 200
    forged = report | {"jobId": str(uuid4())}
    assert (await original.call_back(forged, authorization="")).status_code == 401
    await bench.enqueue()
    assert await original.take() is not None
    await product.admin.execute("update tintype.leases set expires_at = now() - interval '1 s'")
    async with asyncio.timeout(100):
        while not (found := await scrape(product)).of("tintype_jobs_rescued_total"):
            await asyncio.sleep(0.1)
    outcomes = {
        outcome: found.of("tintype_callbacks_total", outcome=outcome)
        for outcome in found.labels("tintype_callbacks_total") - {"completed"}
    }
    assert outcomes == {
        "path_out_of_scope": 1,
        "applied": 1,
        "duplicate": 1,
        "callback_not_proved": 1,
    }
    ended = {"job_type": "sdxl_image_fast", "status": "completed"}
    assert found.of("tintype_job_running_seconds_count", **ended) == 1


async def test_a_scrape_is_answered_while_the_database_is_away(
    product: Product, postgres_url: str, database_url: str
) -> None:
    person = await product.person(10)
    await person.accepted({}, prefer="wait=30")
    name = urlsplit(database_url).path.lstrip("/")
    outside_of_it = await asyncpg.connect(postgres_url)
    try:
        await outside_of_it.execute(f'alter database "{name}" allow_connections false')
        await outside_of_it.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name
        )
        found = await scrape(product)
        assert found["tintype_database_up"] == 0
        assert found["tintype_jobs_accepted_total"] == 1
        assert found.of("tintype_reading_up") == 0
        assert "tintype_queue_jobs" not in found.names
    finally:
        await outside_of_it.execute(f'alter database "{name}" allow_connections true')
        await outside_of_it.close()


async def test_many_scrapes_cause_one_reading_and_a_slow_one_goes_on_behind_them() -> None:
    begun, go_on = 0, asyncio.Event()

    async def read() -> list[GaugeMetricFamily]:
        nonlocal begun
        begun += 1
        await go_on.wait()
        return [GaugeMetricFamily("one", "One.", value=1)]

    reading = Reading("slow", read, seconds=60, seconds_max=60)
    tasks = {reading.begin() for _ in range(10)}
    await asyncio.sleep(0)
    assert (begun, len(tasks), reading.families) == (1, 1, None)
    go_on.set()
    [task] = tasks
    assert task is not None
    await task
    assert reading.families is not None
    assert reading.begin() is None, "it is not due"


async def test_a_reading_that_fails_or_takes_too_long_tells_nothing_old() -> None:
    answers = iter([None, ValueError("no"), None])

    async def read() -> list[GaugeMetricFamily]:
        answer = next(answers)
        if answer is not None:
            raise answer
        return []

    reading = Reading("fickle", read, seconds=0, seconds_max=60)
    known, answers_left = [], range(3)
    for _ in answers_left:
        while (task := reading.begin()) is None:
            await asyncio.sleep(0)
        await task
        known.append(reading.families)
    assert known == [[], None, []]

    async def hang() -> list[GaugeMetricFamily]:
        return await asyncio.Future()

    reading = Reading("hanging", hang, seconds=60, seconds_max=0.01)
    task = reading.begin()
    assert task is not None
    await task
    assert reading.families is None


def test_labels_are_bounded() -> None:
    metrics = Metrics()
    for number in range(3 * NAMES_MAX):
        for event in (
            events.JobAccepted(job="j", user="u", job_type=f"type {number}", queue="q", quantity=1),
            events.FunctionFailed(function=f"function-{number}", error="", request=""),
            events.CallbackReceived(job="j", worker="w", status="?", outcome=f"code_{number}"),
        ):
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            metrics.read(type(event).__name__, fields)
    from prometheus_client import generate_latest

    found = Scrape(generate_latest(metrics.registry).decode())
    assert found.labels("tintype_jobs_accepted_total") == {OTHER}
    assert found.labels("tintype_callbacks_total") == {OTHER}
    functions = found.labels("tintype_function_failures_total")
    assert len(functions) == NAMES_MAX + 1
    assert found.of("tintype_function_failures_total", function=OTHER) == 2 * NAMES_MAX


async def test_openmetrics_is_spoken_where_it_is_asked_for(product: Product) -> None:
    answer = await ask(product, product.keys.service_role_key, accept=OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "tintype_jobs_settled" in {one.name for one in openmetrics_families(answer.text)}


async def test_every_alert_names_metrics_that_are_there(product: Product, repository: Path) -> None:
    found = await scrape(product)
    document = yaml.safe_load((repository / "docs/guides/alerts.yml").read_text())
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert 6 <= len(rules) == len({rule["alert"] for rule in rules})
    for rule in rules:
        named = set(re.findall(r"\b(?:tintype_\w+|up)\b", rule["expr"]))
        assert named and named <= found.names | {"up"}, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


async def test_the_page_tells_of_every_metric(product: Product, repository: Path) -> None:
    found = await scrape(product)
    page = (repository / "docs/guides/monitoring.md").read_text()
    told = set(re.findall(r"`(tintype_\w+)`", page))
    parts = ("_bucket", "_sum", "_count")
    ours = {name for name in found.names if name.startswith("tintype_")}
    families = {name.removesuffix(part) for name in ours for part in parts if name.endswith(part)}
    assert told - ours - families == set()
    assert {name for name in ours if not name.endswith(parts)} - told == set()
    assert families - told == set()


async def test_a_worker_without_a_server_is_scraped_on_a_port_of_its_own(
    database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    chosen = config.load(
        data=tmp_path,
        project=tmp_path,
        environment={
            "DATABASE_URL": database_url,
            "TINTYPE_METRICS_PORT": str(port),
            "TINTYPE_METRICS_TOKEN": "a-token",
        },
    )
    url = f"http://127.0.0.1:{port}/metrics"
    async with (
        server.open_worker(chosen),
        httpx2.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS_MAX) as client,
    ):
        answer = await client.get(url, headers={"authorization": "Bearer a-token"})
        assert Scrape(answer.text)["tintype_database_up"] == 1
        assert (await client.get(url)).status_code == 401


async def test_metrics_are_only_read(product: Product) -> None:
    headers = {"authorization": f"Bearer {product.keys.service_role_key}"}
    for method in ("POST", "PUT", "DELETE"):
        answer = await product.http.request(method, "/metrics", headers=headers)
        assert answer.status_code == 405
