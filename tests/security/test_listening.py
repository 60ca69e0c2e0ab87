"""What may a connection cost before a request is whole?"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.support.serve import serving
from tintype import listening
from tintype.listening import Patience

HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


async def echo(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        return PlainTextResponse("gone", status_code=408)


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    app = Patience(Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])]))
    async with serving(app) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


async def exchange(address: tuple[str, int], *parts: bytes) -> bytes:
    """Send the parts and return all that comes back until the server ends the connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        async with asyncio.timeout(60):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_a_head_within_the_limit_is_served(address: tuple[str, int]) -> None:
    head = b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: " + b"x" * 60_000
    assert (await exchange(address, head + b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"X: " + b"x" * 200_000, b"X: y\r\n" * 40_000])
async def test_a_head_beyond_the_limit_ends_the_connection(
    address: tuple[str, int], line: bytes
) -> None:
    answer = await exchange(address, HEAD, *[line] * 10)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("begun", [b"", b"G", HEAD])
async def test_a_head_that_does_not_come_ends_the_connection(
    address: tuple[str, int], begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS_MAX", 0.05)
    assert await exchange(address, begun) == b""


async def test_the_second_request_of_a_connection_has_the_same_limits(
    address: tuple[str, int],
) -> None:
    first = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await exchange(address, first, HEAD, *[b"X: " + b"x" * 200_000] * 5)
    assert answer == b"reset" or answer.count(b"HTTP/1.1 200 ") == 1


async def test_a_body_that_stops_coming_is_given_up(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "BODY_IDLE_SECONDS_MAX", 0.05)
    answer = await exchange(address, HEAD + b"Connection: close\r\nContent-Length: 5\r\n\r\nab")
    assert b" 408 " in answer


async def test_a_body_may_take_longer_than_the_time_between_two_pieces(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS_MAX", 0.05)
    head = HEAD + b"Connection: close\r\nContent-Length: 300000\r\n\r\n"
    answer = await exchange(address, head, *[b"x" * 100_000] * 3)
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"300000")


async def test_what_strangers_do_wrong_is_no_line_of_the_log(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    listening.hush_log()
    assert b"400" in await exchange(address, b"rubbish\r\n\r\n")
    assert not caplog.records
