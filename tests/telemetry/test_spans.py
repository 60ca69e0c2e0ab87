"""What is being done is known all the way down, and to other processes."""

import asyncio

import pytest

from tintype import spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
OUTER = f"00-{TRACE}-b7ad6b7169203331-01"
INNER = f"00-{TRACE}-00f067aa0ba902b7-01"
STRANGER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_an_inner_span_knows_what_the_outer_ones_know() -> None:
    with spans.span("request", request="r1", user="a"):
        spans.note(function="queue-job")
        with spans.span("attempt", job="j1", user="b"):
            assert spans.fields() == {
                "request": "r1",
                "function": "queue-job",
                "job": "j1",
                "user": "b",
            }
        assert spans.fields() == {"request": "r1", "function": "queue-job", "user": "a"}
    assert spans.fields() == {}


async def test_a_task_belongs_to_the_span_that_began_it() -> None:
    async def tell() -> object:
        await asyncio.sleep(0)
        return spans.fields().get("job")

    with spans.span("attempt", job="j1"):
        first = asyncio.create_task(tell())
    with spans.span("attempt", job="j2"):
        second = asyncio.create_task(tell())
    assert [await first, await second, await tell()] == ["j1", "j2", None]


def test_a_trace_is_handed_on_where_nothing_traces() -> None:
    assert spans.traceparent() is None
    with spans.span("request", traceparent=OUTER):
        assert spans.traceparent() == OUTER
        assert spans.fields() == {"trace": TRACE}
        with spans.span("submission"):
            assert spans.traceparent() == OUTER


def test_work_for_another_trace_leaves_the_enclosing_one() -> None:
    with spans.span("request", traceparent=OUTER):
        with spans.span("attempt", traceparent=STRANGER):
            assert spans.traceparent() == STRANGER
        with spans.span("callback", traceparent=INNER):
            assert spans.traceparent() == OUTER, "it is inside of that trace already"


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        "",
        "00",
        OUTER.upper(),
        OUTER + "\n",
        OUTER + "-extra",
        OUTER.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_what_is_no_traceparent_is_ignored(given: object) -> None:
    with spans.span("request", traceparent=given):
        assert spans.traceparent() is None
