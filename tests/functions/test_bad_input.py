"""Whatever is wrong with a request: a 4xx with a stable code and a sentence, and nothing kept."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.conftest import with_database
from tests.functions.described import judge_every_answer
from tests.support.product import Person, Product, open_product
from tests.support.provider_pictures import Pictures
from tintype.functions.builtin.generate_image import body_bytes_max

MEGABYTE = 1024 * 1024
HUGE_BYTES = 300 * MEGABYTE
PICTURE = f"data:image/png;base64,{base64.b64encode(Pictures().small()).decode()}"


@pytest.fixture(scope="module")
async def person(
    postgres_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Person]:
    """Return a user with 20 credits, for the whole module: no test of it may change anything."""
    name = f"tintype_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f'create database "{name}" template "{template}"')
    async with open_product(
        with_database(postgres_url, name), tmp_path_factory.mktemp("product")
    ) as product:
        await judge_every_answer(product)
        yield await product.person(20)
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()


def assert_told(status: int, told: dict[str, Any], *, expected: tuple[int, str]) -> None:
    assert (status, told["code"]) == expected, told
    assert re.fullmatch(r"[a-z][a-z0-9_]*", told["code"])
    assert isinstance(told["error"], str) and told["error"].endswith(".")


BODIES: list[tuple[str, dict[str, Any], str]] = [
    ("an empty prompt", {"prompt": ""}, "prompt_empty"),
    ("a blank prompt", {"prompt": " \t\n\u3000"}, "prompt_empty"),
    ("a prompt of 5001 characters", {"prompt": "x" * 5001}, "prompt_too_long"),
    ("a prompt with NUL", {"prompt": "a\0b"}, "field_invalid"),
    ("a prompt with a lone surrogate", {"prompt": "a\ud800b"}, "body_not_json"),
    ("a prompt that is null", {"prompt": None}, "field_invalid"),
    ("a prompt that is a number", {"prompt": 7}, "field_invalid"),
    ("a prompt that is a list", {"prompt": ["a robot"]}, "field_invalid"),
    ("quantity 0", {"quantity": 0}, "quantity_out_of_range"),
    ("quantity 5", {"quantity": 5}, "quantity_out_of_range"),
    ("quantity -1", {"quantity": -1}, "quantity_out_of_range"),
    ("quantity 2**31", {"quantity": 2**31}, "quantity_out_of_range"),
    ("quantity 10**40", {"quantity": 10**40}, "quantity_out_of_range"),
    ("quantity 1.5", {"quantity": 1.5}, "field_invalid"),
    ('quantity "4"', {"quantity": "4"}, "field_invalid"),
    ("quantity true", {"quantity": True}, "field_invalid"),
    ("quantity null", {"quantity": None}, "field_invalid"),
    ("an unknown aspect ratio", {"aspectRatio": "2:1"}, "aspect_ratio_unknown"),
    ("an aspect ratio of zero", {"aspectRatio": "0:0"}, "aspect_ratio_unknown"),
    ("an empty aspect ratio", {"aspectRatio": ""}, "aspect_ratio_unknown"),
    ("an aspect ratio in capitals", {"aspectRatio": "AUTO"}, "aspect_ratio_unknown"),
    ("an unknown size", {"imageSize": "8K"}, "image_size_unknown"),
    ("an unknown model", {"model": "x" * 9000}, "model_unknown"),
    ("a seed below zero", {"seed": -1}, "seed_out_of_range"),
    ("a seed of 2**31", {"seed": 2**31}, "seed_out_of_range"),
    ("a seed of 2**64", {"seed": 2**64}, "seed_out_of_range"),
    ("a seed of 10**40", {"seed": 10**40}, "seed_out_of_range"),
    ("an unknown person rule", {"personGeneration": "some"}, "person_generation_unknown"),
    ("100 references", {"imageUrls": [PICTURE] * 100}, "references_too_many"),
    ("references as text", {"imageUrls": PICTURE}, "field_invalid"),
    ("a reference that is null", {"imageUrls": [PICTURE, None]}, "field_invalid"),
    ("a reference with NUL", {"imageUrls": [PICTURE, "uploads/\0"]}, "field_invalid"),
    ("a reference of base64 that is none", {"imageUrls": ["data:;base64,@"]},
     "reference_not_an_image"),
    ("a project that is no id", {"projectId": "1; drop table jobs"}, "field_invalid"),
    ("a template that is no id", {"templateId": 1}, "field_invalid"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code"), [row[1:] for row in BODIES], ids=[r[0] for r in BODIES])
async def test_a_bad_field_is_refused(person: Person, body: dict[str, Any], code: str) -> None:
    content = json.dumps({"prompt": "a robot"} | body).encode()
    async with person.product.unchanged():
        answer = await person.product.http.post(
            "/functions/v1/generate-image",
            content=content,
            headers=person.headers | {"content-type": "application/json"},
        )
    assert_told(answer.status_code, answer.json(), expected=(400, code))
    if code == "field_invalid":
        assert answer.json()["field"] in answer.json()["error"] or answer.json()["field"] == "$"


TEXTS: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "body_empty"),
    ("NaN", b'{"prompt": "a", "seed": NaN}', "body_not_json"),
    ("Infinity", b'{"prompt": "a", "seed": Infinity}', "body_not_json"),
    ("1e400", b'{"prompt": "a", "seed": 1e400}', "field_invalid"),
    ("a number of 4,400 digits", b'{"prompt": "a", "seed": %s}' % (b"9" * 4400), "field_invalid"),
    ("half of a document", b'{"prompt": "a ro', "body_not_json"),
    ("two documents", b'{"prompt": "a"}{"prompt": "b"}', "body_not_json"),
    ("a trailing comma", b'{"prompt": "a",}', "body_not_json"),
    ("single quotes", b"{'prompt': 'a'}", "body_not_json"),
    ("a list", b'[{"prompt": "a"}]', "field_invalid"),
    ("null", b"null", "field_invalid"),
    ("no prompt", b'{"quantity": 1}', "field_invalid"),
    ("deep nesting", b'{"prompt": ' + b"[" * 100_000, "field_invalid"),
    ("deep nesting of an unknown field",
     b'{"prompt": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "body_not_json"),
    ("bytes that are not UTF-8", b'{"prompt": "\xff\xfe"}', "body_not_json"),
    ("a raw surrogate", b'{"prompt": "\xed\xa0\x80"}', "body_not_json"),
    ("a raw NUL", b'{"prompt": "a\x00b"}', "body_not_json"),
    ("a picture", Pictures().small(), "body_not_json"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code"), [row[1:] for row in TEXTS], ids=[r[0] for r in TEXTS])
async def test_a_body_that_is_not_the_documents_is_refused(
    person: Person, text: bytes, code: str
) -> None:
    async with person.product.unchanged():
        answer = await person.product.http.post(
            "/functions/v1/generate-image",
            content=text,
            headers=person.headers | {"content-type": "application/json"},
        )
    assert_told(answer.status_code, answer.json(), expected=(400, code))


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_another_content_type_is_refused(person: Person, kind: str) -> None:
    async with person.product.unchanged():
        answer = await person.product.http.post(
            "/functions/v1/generate-image",
            content=b'{"prompt": "a robot"}',
            headers=person.headers | {"content-type": kind},
        )
    assert_told(answer.status_code, answer.json(), expected=(415, "content_type_not_json"))


async def test_another_method_is_refused_with_those_that_serve(person: Person) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await person.product.http.request(
            method, "/functions/v1/generate-image", headers=person.headers
        )
        assert_told(answer.status_code, answer.json(), expected=(405, "method_not_allowed"))
        assert answer.headers["allow"] == "POST"


async def test_a_body_of_300_mb_is_refused_by_its_length_alone(person: Person) -> None:
    async with person.product.unchanged():
        wire = await Wire.to(person, f"content-length: {HUGE_BYTES}")
        status, told = await wire.answer()
        await wire.close()
    assert_told(status, told, expected=(413, "body_too_large"))
    assert told["limit_bytes"] == body_bytes_max


async def test_a_body_of_300_mb_that_is_sent_all_the_same_gets_its_answer(person: Person) -> None:
    async with person.product.unchanged():
        wire = await Wire.to(person, f"content-length: {HUGE_BYTES}")
        sent = await wire.send(piece for piece in [bytes(MEGABYTE)] * 300)
        status, told = await wire.answer()
        await wire.close()
    assert sent == HUGE_BYTES
    assert_told(status, told, expected=(413, "body_too_large"))


async def test_a_chunked_body_is_refused_where_it_passes_the_limit(person: Person) -> None:
    chunk = b"%x\r\n%s\r\n" % (MEGABYTE, bytes(MEGABYTE))
    async with person.product.unchanged():
        wire = await Wire.to(person, "transfer-encoding: chunked")
        sent = await wire.send((chunk for _ in range(300)), until_answered=True)
        status, told = await wire.answer()
        await wire.close()
    assert_told(status, told, expected=(413, "body_too_large"))
    assert sent > body_bytes_max


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("content-length: 1000", b'{"prompt": "a robot"}'),
        ("transfer-encoding: chunked", b'15\r\n{"prompt": "a robot"}\r\n'),
        ("transfer-encoding: chunked", b'15\r\n{"prompt": "a'),
    ],
)
async def test_a_body_that_ends_before_its_length_leaves_nothing(
    person: Person, header: str, part: bytes
) -> None:
    async with person.product.unchanged():
        wire = await Wire.to(person, header)
        await wire.send([part])
        await wire.close()
        # A whole request after it: the server has seen the end of the other by then.
        answer = await person.generate({"prompt": ""})
    assert answer.status_code == 400


async def test_chunks_that_are_malformed_are_refused(person: Person) -> None:
    async with person.product.unchanged():
        wire = await Wire.to(person, "transfer-encoding: chunked")
        await wire.send([b"zz\r\n{}\r\n0\r\n\r\n"])
        status = await wire.status()
        await wire.close()
    assert status == 400


async def test_a_prompt_of_5000_characters_of_any_script_is_taken(idle_product: Product) -> None:
    person = await idle_product.person()
    prompt = "機械仕掛けの鳥🤖" * 556
    job = await person.accepted({"prompt": prompt[:5000]})
    assert job.prompt == prompt[:5000]


class Wire:
    """A connection on which requests are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, person: Person, framing: str) -> "Wire":
        """Connect and send the head of a `generate-image`."""
        place = urlsplit(person.product.url)
        assert place.hostname is not None
        wire = cls(*await asyncio.open_connection(place.hostname, place.port))
        head = (
            "POST /functions/v1/generate-image HTTP/1.1",
            f"host: {place.netloc}",
            f"authorization: Bearer {person.token}",
            "content-type: application/json",
            framing,
        )
        wire._writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        await wire._writer.drain()
        return wire

    async def send(
        self, pieces: "Iterator[bytes] | list[bytes]", *, until_answered: bool = False
    ) -> int:
        """Send the pieces and return how many bytes that was; stop at an answer if told so."""
        sent = 0
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            sent += len(piece)
            if until_answered and self._reader._buffer:  # type: ignore[attr-defined]
                break
        return sent

    async def status(self) -> int:
        return int((await self._reader.readline()).split()[1])

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Return the status and the JSON of the answer."""
        status = await self.status()
        length = 0
        while (line := (await self._reader.readline()).strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        told: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        return status, told

    async def close(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)
