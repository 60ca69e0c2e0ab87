"""What goes on after the answer."""

import asyncio
import contextlib
import inspect

import pytest

from support.project import Project
from tintype import events
from tintype.errors import TooManyRequests
from tintype.functions.background import Background

BACKGROUND = """
import asyncio

async def work(done, fails):
    await done["may_end"].wait()
    if fails:
        raise ValueError("in the dark")
    done["ended"] = True

async def serve(invocation):
    done = invocation.context
    invocation.wait_until(work(done, invocation.path == "/fails"))
    return {"answered": True}
"""


async def test_background_work_does_not_hold_the_answer_and_is_awaited_at_the_end(
    project: Project,
) -> None:
    project.context = {"may_end": asyncio.Event(), "ended": False}
    project.open("later", BACKGROUND)
    async with project.serving() as client:
        assert (await client.post("/functions/v1/later")).json() == {"answered": True}
        assert project.context["ended"] is False
        asyncio.get_running_loop().call_soon(project.context["may_end"].set)
    assert project.context["ended"] is True
    assert not project.failures


async def test_background_work_that_fails_is_reported(project: Project) -> None:
    project.context = {"may_end": asyncio.Event(), "ended": False}
    project.context["may_end"].set()
    project.open("later", BACKGROUND)
    async with project.serving() as client:
        headers = {"x-request-id": "r-1"}
        answer = await client.post("/functions/v1/later/fails", headers=headers)
    assert answer.status_code == 200
    (failure,) = project.failures
    assert failure["request"] == "r-1" and "in the dark" in failure["error"]


async def test_background_work_that_does_not_end_is_stopped_and_reported(project: Project) -> None:
    project.context = {"may_end": asyncio.Event(), "ended": False}
    project.open("later", BACKGROUND)
    async with project.serving() as client:
        await client.post("/functions/v1/later")
        assert project.runtime is not None
        await project.runtime.close(0.01)
    assert "the server shut down" in project.failures[0]["error"]


async def test_background_work_is_told_of_the_stop_and_may_save_how_far_it_is(
    project: Project,
) -> None:
    source = """
        import asyncio

        async def work(state):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.to_thread(state.update, saved="2 of 4")
                raise

        async def serve(invocation):
            invocation.wait_until(work(invocation.context))
    """
    project.context = {}
    project.open("later", source)
    async with project.serving() as client:
        assert (await client.post("/functions/v1/later")).status_code == 204
        assert project.runtime is not None
        await project.runtime.close(0.01)
    assert project.context == {"saved": "2 of 4"}
    assert "stopped before its end" in project.failures[0]["error"]


async def test_background_work_that_refuses_to_stop_does_not_hold_the_server_up() -> None:
    may_end = asyncio.Event()
    told: list[str] = []
    stop = events.subscribe(lambda name, fields: told.append(str(fields.get("error"))))
    background = Background()

    async def stubborn() -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    background.start(stubborn(), function="later", request="r-1")
    await background.close(0.01, unload_seconds=0.01)
    stop()
    assert told == ["In the background: does not end, the server stops without it"]
    may_end.set()
    await background.close(1)


async def test_background_work_is_bounded_in_number() -> None:
    may_end = asyncio.Event()
    background = Background(tasks_max=1)

    async def work() -> None:
        await may_end.wait()

    background.start(work(), function="later", request="r-1")
    refused = work()
    with pytest.raises(TooManyRequests) as caught:
        background.start(refused, function="later", request="r-2")
    assert inspect.getcoroutinestate(refused) == inspect.CORO_CLOSED
    assert caught.value.code == "background_full"
    may_end.set()
    await background.close(1)
    background.start(work(), function="later", request="r-3")
    await background.close(1)
