"""An answer that is written while it is read."""

import asyncio

import httpx2
import pytest

from support.project import Project

EVENTS = """
import asyncio
from starlette.responses import StreamingResponse

async def pieces(state):
    try:
        yield b"data: 1\\n\\n"
        await state["go_on"].wait()
        yield b"data: 2\\n\\n"
    finally:
        state["ended"].set()

async def serve(invocation):
    return StreamingResponse(pieces(invocation.context), media_type="text/event-stream")
"""


async def posted(project: Project, name: str) -> httpx2.Response:
    async with project.serving() as client:
        return await client.post(f"/functions/v1/{name}")


def streaming(project: Project) -> dict[str, asyncio.Event]:
    state = {"go_on": asyncio.Event(), "ended": asyncio.Event()}
    project.context = state
    project.open("events", EVENTS)
    return state


async def test_a_stream_is_read_while_it_is_written(project: Project) -> None:
    state = streaming(project)
    async with (
        project.serving() as client,
        client.stream("POST", "/functions/v1/events") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"data: 1\n\n"
        state["go_on"].set()
        assert await anext(pieces) == b"data: 2\n\n"
        with pytest.raises(StopAsyncIteration):
            await anext(pieces)
    assert not project.failures


async def test_a_stream_that_has_begun_may_go_on_when_answers_are_late(project: Project) -> None:
    project.answer_seconds_max = 0.05
    state = streaming(project)
    async with (
        project.serving() as client,
        client.stream("POST", "/functions/v1/events") as answer,
    ):
        pieces = answer.aiter_bytes()
        await anext(pieces)
        asyncio.get_running_loop().call_later(0.1, state["go_on"].set)
        assert await anext(pieces) == b"data: 2\n\n"
    assert not project.failures


async def test_a_stream_that_does_not_end_is_cut_off_and_reported(project: Project) -> None:
    project.answer_seconds_max, project.wall_clock_seconds_max = 0.05, 0.1
    state = streaming(project)
    with pytest.raises(httpx2.RemoteProtocolError):
        await posted(project, "events")
    assert state["ended"].is_set()
    assert "WORKER_LIMIT: streamed longer than 0.1 s" in project.failures[0]["error"]


async def test_a_stream_ends_when_its_reader_leaves(project: Project) -> None:
    state = streaming(project)
    async with project.serving() as client:
        async with client.stream("POST", "/functions/v1/events") as answer:
            await anext(answer.aiter_bytes())
        async with asyncio.timeout(60):
            await state["ended"].wait()
    assert not project.failures


async def test_a_stream_that_breaks_is_cut_off_and_reported(project: Project) -> None:
    source = """
        from starlette.responses import StreamingResponse

        async def pieces():
            yield b"one"
            raise ValueError("half way")

        async def serve(invocation):
            return StreamingResponse(pieces())
    """
    project.open("stream", source)
    with pytest.raises(httpx2.RemoteProtocolError):
        await posted(project, "stream")
    assert "half way" in project.failures[0]["error"]
