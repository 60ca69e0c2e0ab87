"""A body is read within its limit and refused in words, whatever the client does."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest

from support.project import Project

MEBIBYTE = 1024 * 1024
ANNOUNCED_BYTES = 300 * MEBIBYTE
JSON = {"Content-Type": "application/json"}
ORDER = """
import msgspec

body_bytes_max = 1000

class Style(msgspec.Struct):
    weight: float = 1.0

class Order(msgspec.Struct, rename="camel", kw_only=True):
    prompt: str
    quantity: int = 1
    aspect_ratio: str | None = None
    styles: list[Style] = []

async def serve(invocation):
    order = await invocation.json(Order)
    return {"prompt": order.prompt, "ratio": order.aspect_ratio}
"""


@asynccontextmanager
async def socket_to(
    client: httpx2.AsyncClient,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def head(name: str, *lines: str) -> bytes:
    first = (f"POST /functions/v1/{name} HTTP/1.1", "Host: x", "Content-Type: application/json")
    return ("\r\n".join((*first, *lines)) + "\r\n\r\n").encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, Any]]:
    top = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in top.split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(int(length.partition(b":")[2]))
    return top, msgspec.json.decode(body)


async def test_an_announced_body_over_the_limit_is_refused_before_a_byte_of_it(
    project: Project,
) -> None:
    project.open("order", ORDER)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("order", f"Content-Length: {ANNOUNCED_BYTES}"))
        top, body = await read_answer(reader)
    assert top.startswith(b"HTTP/1.1 413 ") and b"access-control-allow-origin: *" in top
    assert (body["code"], body["limit_bytes"]) == ("body_too_large", 1000)
    assert not project.failures


async def test_a_client_that_waits_to_be_told_to_go_on_is_told_the_refusal(
    project: Project,
) -> None:
    project.open("order", ORDER)
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("order", f"Content-Length: {ANNOUNCED_BYTES}", "Expect: 100-continue"))
        top, body = await read_answer(reader)
        writer.close()
        rest = await reader.read()
    assert top.startswith(b"HTTP/1.1 413 ") and body["code"] == "body_too_large"
    assert rest == b""


async def test_a_body_of_300_mebibytes_in_chunks_is_refused_and_never_held(
    project: Project,
) -> None:
    project.open("order", ORDER)
    chunk = b"100000\r\n" + b"x" * MEBIBYTE + b"\r\n"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with project.serving() as client, socket_to(client) as (reader, writer):
        writer.write(head("order", "Transfer-Encoding: chunked"))
        for _ in range(300):
            writer.write(chunk)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        # All of it was sent before the answer is read, as most clients do.
        top, body = await read_answer(reader)
        assert await reader.read() == b""
    grown_kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert top.startswith(b"HTTP/1.1 413 ") and b"connection: close" in top
    assert body["code"] == "body_too_large"
    assert grown_kibibytes < 100 * 1024


async def test_a_client_without_a_token_reads_the_refusal_while_it_sends(project: Project) -> None:
    project.write("order/index.py", ORDER)
    async with project.serving() as client:
        content = b"x" * 20 * MEBIBYTE
        answer = await client.post("/functions/v1/order", content=content, headers=JSON)
        assert answer.json()["code"] == "UNAUTHORIZED_NO_AUTH_HEADER"
        assert (await client.post("/functions/v1/order", json={})).status_code == 401


async def test_a_body_at_the_limit_is_read_and_one_byte_more_is_not(project: Project) -> None:
    project.open("order", ORDER)
    exact = b'{"prompt":"' + b"a" * (1000 - 13) + b'"}'

    async def chunked(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 300):
            yield content[start : start + 300]

    async with project.serving() as client:
        for content, status in ((exact, 200), (exact + b" ", 413)):
            for form in (content, chunked(content)):
                answer = await client.post("/functions/v1/order", content=form, headers=JSON)
                assert answer.status_code == status


async def test_the_limit_holds_for_a_function_that_reads_the_request_itself(
    project: Project,
) -> None:
    source = """
        body_bytes_max = 1000

        async def serve(invocation):
            return {"bytes": len(await invocation.request.body())}
    """
    project.open("raw", source)

    async def chunked(pieces: int) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b"x" * 100

    async with project.serving() as client:
        answer = await client.post("/functions/v1/raw", content=chunked(10))
        assert answer.json() == {"bytes": 1000}
        answer = await client.post("/functions/v1/raw", content=chunked(11))
        assert answer.json()["code"] == "body_too_large"


async def test_a_truncated_body_does_nothing(project: Project) -> None:
    source = """
        async def serve(invocation):
            served = invocation.context
            served["began"].set()
            try:
                await invocation.body()
                served["read"] = True
            finally:
                served["ended"].set()
            return {}
    """
    project.context = {"began": asyncio.Event(), "ended": asyncio.Event(), "read": False}
    project.open("slow", source)
    async with project.serving() as client:
        async with socket_to(client) as (_, writer):
            writer.write(head("slow", "Content-Length: 100") + b'{"prompt":')
            await project.context["began"].wait()
        await project.context["ended"].wait()
    assert project.context["read"] is False
    assert not project.failures


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json;charset=UTF-8", 200),
        ("Application/Vnd.Api+JSON", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        ("", 415),
    ],
)
async def test_only_json_announced_as_json_is_read(
    project: Project, kind: str, status: int
) -> None:
    project.open("order", ORDER)
    async with project.serving() as client:
        headers = {"Content-Type": kind}
        answer = await client.post(
            "/functions/v1/order", content=b'{"prompt":"a"}', headers=headers
        )
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "content_type_not_json"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "body_empty"),
        (b"{", "body_not_json"),
        (b'{"prompt":"a"', "body_not_json"),
        (b'{"prompt":"a"} {}', "body_not_json"),
        (b'{"prompt":"a","quantity":NaN}', "body_not_json"),
        (b'{"prompt":"a","extra":NaN}', "body_not_json"),
        (b'{"prompt":"a","extra":[-Infinity]}', "body_not_json"),
        (b'{"prompt":"\xff"}', "body_not_json"),
        (b'{"prompt":"a","extra":"\xff"}', "body_not_json"),
        (b'{"prompt":"a","\xc3":1}', "body_not_json"),
        (b'{"prompt":"\\ud800"}', "body_not_json"),
        (b'{"prompt":"a\x00"}', "body_not_json"),
        (b"prompt=a", "body_not_json"),
        (b'{"prompt":"a","extra":' + b"[" * 900, "body_not_json"),
    ],
)
async def test_what_is_not_json_is_refused(project: Project, content: bytes, code: str) -> None:
    project.open("order", ORDER)
    async with project.serving() as client:
        answer = await client.post("/functions/v1/order", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not project.failures


async def test_json_nested_too_deeply_is_refused(project: Project) -> None:
    project.open("order", ORDER.replace("1000", "1_000_000"))
    content = b'{"prompt":"a","extra":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    async with project.serving() as client:
        answer = await client.post("/functions/v1/order", content=content, headers=JSON)
    assert answer.json()["code"] == "body_not_json"
    assert "nested too deeply" in answer.json()["hint"]


@pytest.mark.parametrize(
    ("body", "field", "sentence"),
    [
        ({}, "prompt", "Field `prompt` is required."),
        ({"prompt": 1}, "prompt", "Field `prompt`: expected `string`, got `integer`."),
        (
            {"prompt": "a", "quantity": "4"},
            "quantity",
            "Field `quantity`: expected `integer`, got `string`.",
        ),
        (
            {"prompt": "a", "quantity": 1.5},
            "quantity",
            "Field `quantity`: expected `integer`, got `number`.",
        ),
        (
            {"prompt": "a", "aspectRatio": []},
            "aspectRatio",
            "Field `aspectRatio`: expected `string | null`, got `array`.",
        ),
        (
            {"prompt": "a", "styles": [{}, {"weight": True}]},
            "styles[1].weight",
            "Field `styles[1].weight`: expected `number`, got `boolean`.",
        ),
        ([], "$", "The body: expected `object`, got `array`."),
        (
            {"prompt": "a\0b"},
            "prompt",
            "Field `prompt`: text may not hold a NUL character.",
        ),
    ],
)
async def test_a_field_of_the_wrong_type_is_named(
    project: Project, body: Any, field: str, sentence: str
) -> None:
    project.open("order", ORDER)
    async with project.serving() as client:
        answer = await client.post("/functions/v1/order", json=body)
    assert answer.status_code == 400
    refusal = answer.json()
    assert (refusal["code"], refusal["field"]) == ("field_invalid", field)
    assert refusal["error"] == sentence


async def test_an_unknown_field_is_reported_with_the_nearest_name(project: Project) -> None:
    project.open("order", ORDER)
    body = {"prompt": "a", "aspect_ratio": "1:1", "aspectRatoi": 1, "userId": "x"}
    async with project.serving() as client:
        answer = await client.post("/functions/v1/order", json=body)
        assert answer.status_code == 200
        assert answer.json() == {
            "prompt": "a",
            "ratio": None,
            "warnings": [
                "Unknown field `aspectRatoi` was ignored. Did you mean `aspectRatio`?",
                "Unknown field `aspect_ratio` was ignored. Did you mean `aspectRatio`?",
                "Unknown field `userId` was ignored.",
            ],
        }
        answer = await client.post("/functions/v1/order", json={"prompt": "a"})
        assert "warnings" not in answer.json()


async def test_the_report_of_unknown_fields_is_bounded(project: Project) -> None:
    project.open("order", ORDER.replace("1000", "1_000_000"))
    body = {"prompt": "a"} | {f"{number:04}" + "x" * 100: 1 for number in range(500)}
    async with project.serving() as client:
        answer = await client.post("/functions/v1/order", json=body)
    warnings = answer.json()["warnings"]
    assert len(warnings) == 21 and warnings[-1] == "480 more unknown fields were ignored."
    assert all(len(warning) < 120 for warning in warnings)
