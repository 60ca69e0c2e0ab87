"""A log line says for whom and in which attempt something happened, and tells no secrets."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import pytest

from tests.support.product import Product
from tintype import events, spans
from tintype.cli.logs import tell

Lines = Callable[[], list[dict[str, Any]]]


@contextmanager
def telling(stream: io.StringIO, *, verbose: bool) -> Iterator[Lines]:
    """Tell events to a stream; yield what reads the lines that were written."""
    with redirect_stderr(stream):
        forget = tell(verbose=verbose)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    forget()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return what reads the lines that were written; everything is told."""
    with telling(io.StringIO(), verbose=True) as lines:
        yield lines


async def test_the_lines_of_a_job_can_be_found_by_it(product: Product, lines: Lines) -> None:
    person = await product.person()
    job = await person.accepted(
        {"prompt": "a robot nobody may know of"}, prefer="wait=30", x_request_id="r-1"
    )
    told = lines()
    by_event = {line["event"]: line for line in told}
    accepted = by_event["JobAccepted"]
    assert (accepted["request"], accepted["user"]) == ("r-1", str(person.id))
    called = by_event["ProviderCalled"]
    assert (called["job"], called["attempt"]) == (str(job.id), 1)
    assert (called["user"], called["job_type"]) == (str(person.id), "image")
    settled = by_event["JobSettled"]
    assert (settled["job"], settled["status"], settled["level"]) == (
        str(job.id),
        "completed",
        "debug",
    )
    assert "robot" not in json.dumps(told)


async def test_a_functions_fault_names_its_request(product: Product, lines: Lines) -> None:
    await product.admin.execute("alter table public.jobs rename to jobs_away")
    person = await product.person()
    answer = await person.generate({}, x_request_id="r-2")
    await product.admin.execute("alter table public.jobs_away rename to jobs")
    assert answer.status_code == 500
    [fault] = [line for line in lines() if line["event"] == "FunctionFailed"]
    assert (fault["request"], fault["level"], fault["user"]) == ("r-2", "error", str(person.id))


def test_without_verbose_only_news_and_trouble_are_told() -> None:
    with telling(io.StringIO(), verbose=False) as lines:
        events.emit(events.JobsClaimed(count=1, worker="w"))
        events.emit(events.ServerStarted(url="http://127.0.0.1"))
        events.emit(events.LoopFailed(loop="claim", error="away", delay_seconds=1))
    assert [(line["event"], line["level"]) for line in lines()] == [
        ("ServerStarted", "info"),
        ("LoopFailed", "warning"),
    ]


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl",
        "sb_secret_abcdefgh12345678",
        "ttl_abcdefgh-12345678",
        "whsec_AAAAAAAAAAAAAAAA",
        "AIzaSyA1234567890abcdef",
        "someone:pass-w0rd",
    ],
)
def test_what_looks_like_a_secret_is_left_out(secret: str, lines: Lines) -> None:
    place = f"postgresql://{secret}@db.example.com/x" if ":" in secret else f"key={secret}, no"
    error = f"OSError('{place}')"
    with spans.span("request", request="r-3"):
        events.emit(events.LoopFailed(loop="claim", error=error, delay_seconds=1))
    [line] = lines()
    assert line["error"] == error.replace(secret, "[hidden]")
    assert line["request"] == "r-3"


def test_a_log_that_nobody_takes_stops_no_work() -> None:
    stream = io.StringIO()
    with telling(stream, verbose=True):
        stream.close()
        events.emit(events.LoopFailed(loop="claim", error="away", delay_seconds=1))


def test_an_event_has_no_field_for_what_a_user_wrote() -> None:
    for kind in events.Event.__subclasses__():
        assert not {"prompt", "payload", "metadata", "body"} & set(kind.__struct_fields__), kind
