"""One trace holds a request and all that is done for it, in whichever process."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture
from tests.support.processes import free_port
from tests.support.product import Product, open_product
from tests.telemetry.collector import Collector
from tintype import events, spans
from tintype.errors import OperatorError
from tintype.worker_client import WorkerClient

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
WORKERS_OWN = f"00-{TRACE}-00f067aa0ba902b7-01"
STRANGERS = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_one_trace_leads_from_the_request_to_the_provider_and_the_end(
    traced: Product, collector: Collector
) -> None:
    person = await traced.person()
    job = await person.accepted(
        {"prompt": "a secret robot"}, traceparent=CALLER, prefer="wait=30", x_request_id="r-1"
    )
    request = await collector.one("request")
    assert (request.trace, request.parent, request.kind) == (TRACE, "b7ad6b7169203331", "SERVER")
    assert request.service == "studio"
    assert request.attributes == {
        "tintype.function": "generate-image",
        "tintype.request": "r-1",
        "tintype.user": str(person.id),
        "tintype.status": 200,
    }
    attempt = await collector.one("attempt", job=str(job.id), attempt=1, job_type="image")
    assert await collector.is_inside(attempt, "submission", "request")
    call = await collector.one("provider call", provider="gemini", outcome="delivered")
    assert (call.trace, call.kind) == (TRACE, "CLIENT")
    assert await collector.is_inside(call, "attempt", "submission", "request")
    settle = await collector.one("settle")
    writes = [one for one in collector.spans if one.name == "storage write"]
    assert {one.parent for one in (settle, *writes)} == {attempt.id}
    assert writes and all(one.attributes["tintype.bytes"] > 0 for one in writes)
    assert collector.headers["x-team"] == "pictures and video"
    assert "robot" not in str(collector.spans), "no prompt leaves the server with a trace"


async def test_the_outside_workers_part_is_in_the_same_trace(
    traced: Product, collector: Collector
) -> None:
    bench = await Bench.open(traced)
    original = OriginalWorker(bench)
    answer = await bench.person.call(
        "queue-job",
        {"jobType": "sdxl_image_fast", "metadata": {"prompt": "a robot"}},
        traceparent=CALLER,
    )
    assert answer.status_code == 200, answer.text
    job = await original.take()
    assert job is not None
    submission = await collector.one("submission")
    assert job["traceparent"] == f"00-{TRACE}-{submission.id}-01"
    path = original.path(job)
    await original.upload(job["bucket"], path, picture())
    answer = await original.call_back(
        {"jobId": job["id"], "status": "completed", "filePath": path}, traceparent=WORKERS_OWN
    )
    assert answer.status_code == 200, answer.text
    request = await collector.one("request", function="job-callback")
    assert (request.trace, request.parent) == (TRACE, "00f067aa0ba902b7")
    callback = await collector.one("callback", worker="gpu-1", job=job["id"])
    assert (callback.trace, callback.parent) == (TRACE, request.id)
    assert (await collector.one("settle")).parent == callback.id


async def test_a_callback_without_a_trace_joins_that_of_its_job(
    traced: Product, collector: Collector
) -> None:
    bench = await Bench.open(traced)
    original = OriginalWorker(bench)
    with spans.span("request", traceparent=CALLER):
        await bench.enqueue()
    job = await original.take()
    assert job is not None
    assert (await original.do(job)).status_code == 200
    callback = await collector.one("callback")
    request = await collector.one("request", function="job-callback")
    assert (callback.trace, callback.links) == (TRACE, [request.trace])
    assert request.trace != TRACE


async def test_the_native_workers_client_sends_the_trace_back(
    traced: Product, collector: Collector
) -> None:
    bench = await Bench.open(traced)
    with spans.span("request", traceparent=CALLER):
        await bench.enqueue()
    async with WorkerClient(traced.url, bench.credentials.key) as client:
        [job] = (await client.claim()).jobs
        await client.fail(job, "The GPU is gone.")
    callback = await collector.one("callback")
    assert await collector.is_inside(callback, "request", "submission", "request")
    assert callback.trace == TRACE


async def test_without_a_collector_the_trace_still_reaches_the_worker(bench: Bench) -> None:
    body = {"jobType": "sdxl_image_fast", "metadata": {"prompt": "a robot", "mood": "calm"}}
    await bench.person.call("queue-job", body, traceparent=CALLER)
    job = await OriginalWorker(bench).take()
    assert job is not None
    assert job["traceparent"] == CALLER
    assert job["metadata"] == {"mood": "calm", "prompt": "a robot", "traceparent": CALLER}


@pytest.mark.parametrize("header", ["00-not-a-trace-00", ""])
async def test_a_bad_trace_is_no_reason_to_refuse_and_not_kept(bench: Bench, header: str) -> None:
    metadata = {"prompt": "a robot", "traceparent": STRANGERS}
    body: dict[str, Any] = {"jobType": "sdxl_image_fast", "metadata": metadata}
    answer = await bench.person.call("queue-job", body, traceparent=header)
    assert answer.status_code == 200, answer.text
    job = await OriginalWorker(bench).take()
    assert job is not None
    assert (job["traceparent"], job["metadata"]) == (None, {"prompt": "a robot"})


async def test_a_fault_is_marked_and_a_refusal_is_not(
    traced: Product, collector: Collector
) -> None:
    person = await traced.person(1)
    assert (await person.generate({"quantity": 4})).status_code == 402
    traced.provider.script(always="server_error")
    await person.accepted({})
    refused = await collector.one("request", status=402)
    call = await collector.one("provider call")
    assert (refused.is_error, call.is_error) == (False, True)
    assert call.attributes["error.type"]


async def test_an_endpoint_without_the_extra_stops_the_start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(OperatorError) as caught:
        async with open_product(
            database_url, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1"
        ):
            pass
    assert caught.value.code == "otel_extra_missing"
    assert caught.value.hint is not None and "tintype[otel]" in caught.value.hint


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "otlp_endpoint_invalid"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer abc", "otlp_headers_invalid"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "config_wrong_type"),
    ],
)
async def test_a_wrong_setting_of_traces_stops_the_start(
    variable: str, value: str, code: str, database_url: str, tmp_path: Path
) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", variable: value}
    with pytest.raises(OperatorError) as caught:
        async with open_product(database_url, tmp_path, **settings):
            pass
    assert caught.value.code == code


async def test_a_collector_that_is_away_costs_spans_and_nothing_else(
    database_url: str, tmp_path: Path
) -> None:
    told: list[str] = []
    forget = events.subscribe(
        lambda name, fields: told.append(fields["loop"]) if name == "LoopFailed" else None
    )
    try:
        away = f"http://127.0.0.1:{free_port()}"
        async with open_product(
            database_url, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=away
        ) as product:
            person = await product.person()
            job = await person.accepted({}, prefer="wait=30")
            assert job.status == "completed"
        assert "traces" in told
    finally:
        forget()
