"""A function can read its body as it arrives, within the same limits, for as long as it says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from support.project import Project
from support.serve import ANSWER_SECONDS_MAX, serving
from tests.functions.test_body import head, read_answer, socket_to
from tintype import listening
from tintype.functions.function import Function
from tintype.functions.loader import Loader
from tintype.listening import Patience

COUNTING = """
body_bytes_max = 1000

async def serve(invocation):
    served = invocation.context
    try:
        async for chunk in invocation.chunks():
            served["pieces"].append(chunk)
            served["came"].set()
    finally:
        served["ended"].set()
    return {"bytes": sum(map(len, served["pieces"]))}
"""
BLOCK = b"x" * 64 * 1024


def counting(project: Project, source: str = COUNTING) -> dict[str, Any]:
    served: dict[str, Any] = {"pieces": [], "came": asyncio.Event(), "ended": asyncio.Event()}
    project.context = served
    project.open("count", source)
    return served


async def reached(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()
    event.clear()


async def test_a_piece_is_read_before_the_next_is_sent(project: Project) -> None:
    served = counting(project)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("count", "Content-Length: 9"))
        for piece in (b"one", b"two", b"six"):
            writer.write(piece)
            await reached(served["came"])
            assert served["pieces"][-1] == piece
        _, body = await read_answer(reader)
    assert body == {"bytes": 9}


async def test_pieces_are_refused_at_the_byte_over_the_limit(project: Project) -> None:
    served = counting(project)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("count", "Transfer-Encoding: chunked"))
        writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await reached(served["came"])
        writer.write(b"1\r\nx")
        top, body = await read_answer(reader)
    assert top.startswith(b"HTTP/1.1 413 ")
    assert (body["code"], body["limit_bytes"]) == ("body_too_large", 1000)
    assert sum(map(len, served["pieces"])) == 1000
    assert not project.failures


async def test_an_announced_body_over_the_limit_reaches_no_function(project: Project) -> None:
    served = counting(project)
    async with project.serving() as client:
        answer = await client.post("/functions/v1/count", content=b"x" * 1001)
    assert answer.status_code == 413
    assert not served["ended"].is_set()


async def test_a_client_that_leaves_ends_the_reading(project: Project) -> None:
    served = counting(project)
    async with project.serving() as client:
        async with socket_to(client) as (_, writer):
            writer.write(head("count", "Content-Length: 100") + b"begun")
            await reached(served["came"])
        await reached(served["ended"])
    assert served["pieces"] == [b"begun"]
    assert not project.failures


async def test_a_body_that_stops_coming_is_given_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "BODY_IDLE_SECONDS_MAX", 0.1)
    served = counting(project)
    async with project.serving():
        assert project.runtime is not None
        async with (
            serving(Patience(project.runtime)) as url,
            httpx2.AsyncClient(
                base_url=url, verify=False, trust_env=False, timeout=ANSWER_SECONDS_MAX
            ) as client,
            socket_to(client) as (_, writer),
        ):
            writer.write(head("count", "Content-Length: 100") + b"begun")
            await reached(served["ended"])
    assert served["pieces"] == [b"begun"]
    assert not project.failures


async def test_a_slow_body_may_take_as_long_as_the_function_says(project: Project) -> None:
    project.answer_seconds_max = 0.05
    served = counting(project, "answer_seconds_max = 60\n" + COUNTING)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("count", "Content-Length: 6") + b"one")
        await reached(served["came"])
        asyncio.get_running_loop().call_later(0.1, writer.write, b"two")
        _, body = await read_answer(reader)
    assert body == {"bytes": 6}


async def test_a_function_that_wants_an_answer_sooner_is_cut_off_sooner(project: Project) -> None:
    counting(project, "answer_seconds_max = 0.05\n" + COUNTING)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("count", "Content-Length: 6") + b"one")
        top, body = await read_answer(reader)
    assert top.startswith(b"HTTP/1.1 504 ") and body["code"] == "IDLE_TIMEOUT"
    assert "did not answer in 0.05 s" in project.failures[0]["error"]


async def test_the_client_is_held_back_while_a_piece_is_worked_on(project: Project) -> None:
    source = """
        body_bytes_max = 2**30

        async def serve(invocation):
            async for chunk in invocation.chunks():
                invocation.context["came"].set()
                await invocation.context["go_on"].wait()
            return {}
    """
    served = counting(project, source)
    served["go_on"] = asyncio.Event()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while not served["go_on"].is_set():
            yield BLOCK
            sent += len(BLOCK)

    async with project.serving() as client:
        answer = asyncio.create_task(client.post("/functions/v1/count", content=endless()))
        await reached(served["came"])
        before = -1
        # Until the sockets are full and nothing more goes out.
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        served["go_on"].set()
        assert (await answer).status_code == 200
    assert before < 64 * 1024 * 1024


async def test_a_body_in_pieces_is_read_once(project: Project) -> None:
    source = """
        async def serve(invocation):
            async for chunk in invocation.chunks():
                pass
            await invocation.body()
            return {}
    """
    project.open("twice", source)
    async with project.serving() as client:
        answer = await client.post("/functions/v1/twice", content=b"abc")
    assert answer.status_code == 500
    assert "can be read once" in project.failures[0]["error"]


async def test_a_limit_of_seconds_that_is_none_is_told(project: Project) -> None:
    for text in ("0", "-1", "'long'"):
        project.open("count", f"answer_seconds_max = {text}\n" + COUNTING)
        async with project.serving() as client:
            answer = await client.post("/functions/v1/count")
        assert answer.json()["code"] == "BOOT_ERROR"


async def test_a_file_says_how_long_it_may_take(project: Project) -> None:
    async def limit_of(source: str) -> float | None:
        project.open("count", source)
        found = await Loader(project.folder, project.settings, builtin=None).find("count")
        assert isinstance(found, Function)
        return found.answer_seconds_max

    assert await limit_of(COUNTING) is None
    assert await limit_of("answer_seconds_max = 3600\n" + COUNTING) == 3600.0
