"""What is over a limit, or is not what it should be, is refused at the byte that shows it."""

import asyncio
import contextlib
import errno
import json
import resource
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from tests.identities.bodies import (
    arriving,
    base64_of,
    body_of,
    cut,
    document,
    image_file,
    picture,
)
from tintype.errors import RequestError
from tintype.identities.receiving import receive, request
from tintype.identities.receiving.decoder import IMAGE_BYTES_MAX
from tintype.identities.receiving.request import _Intake
from tintype.identities.receiving.scanner import TEXT_BYTES_MAX

JPEG = picture()
FILES = [image_file(picture(seed=seed)) for seed in range(3)]
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>"
MEBIBYTE = 1024 * 1024


async def refused(pieces: Iterable[bytes], folder: Path) -> RequestError:
    with pytest.raises(RequestError) as caught:
        await receive(arriving(pieces), folder)
    return caught.value


async def code_of(body: bytes, folder: Path) -> tuple[int, str]:
    """Return how the body is refused, whole and byte by byte."""
    found = []
    for size in (2**20, 1):
        place = folder / str(size)
        place.mkdir()
        error = await refused(cut(body, size), place)
        found.append((error.status, error.code))
    assert found[0] == found[1]
    return found[0]


class Sender:
    """A body that says how far it was read: more of it is there than may be asked for."""

    def __init__(self, wanted: Iterable[bytes], beyond: bytes) -> None:
        self.read_beyond = False
        self._wanted = wanted
        self._beyond = beyond

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._wanted:
            yield piece
        self.read_beyond = True
        yield self._beyond


async def refused_at(pieces: Iterable[bytes], folder: Path, *, beyond: bytes = b"") -> RequestError:
    """Return the refusal that the last byte of `pieces` brought about."""
    sender = Sender(pieces, beyond)
    with pytest.raises(RequestError) as caught:
        await receive(sender.chunks(), folder)
    assert not sender.read_beyond
    return caught.value


async def test_a_picture_is_refused_at_the_byte_over_its_limit(tmp_path: Path) -> None:
    data = b"\xff\xd8\xff" + bytes(IMAGE_BYTES_MAX - 2)
    bare = base64_of(data).encode()
    head = b'{"imageFiles":[' + json.dumps(FILES[0]).encode() + b',{"data":"'
    # The last group of four holds the byte that is too many.
    whole = len(bare) - 4
    error = await refused_at([head, *cut(bare[:whole], 99_991), bare[whole:]], tmp_path)
    assert (error.status, error.code) == (413, "image_too_large")
    assert error.details == {"image": 2, "limit_bytes": 20 * MEBIBYTE}
    assert error.message.startswith("Image 2 ")


async def test_a_picture_at_the_limit_is_taken(tmp_path: Path) -> None:
    data = b"\xff\xd8\xff" + bytes(IMAGE_BYTES_MAX - 3)
    body = body_of([image_file(data), *FILES])
    request = await receive(arriving(cut(body, 300_000)), tmp_path)
    assert request.imageFiles[0].bytes == IMAGE_BYTES_MAX


async def test_the_picture_after_the_fortieth_is_refused_where_it_begins(tmp_path: Path) -> None:
    many = ",".join(json.dumps(FILES[0]) for _ in range(40))
    error = await refused_at([b'{"imageFiles":[' + many.encode() + b",", b"{"], tmp_path)
    assert (error.status, error.code) == (400, "too_many_images")


async def test_text_is_refused_at_the_byte_over_its_limit(tmp_path: Path) -> None:
    head = b'{"extra":"'
    exact = head + b"a" * (TEXT_BYTES_MAX - len(head))
    error = await refused_at([exact, b"a"], tmp_path)
    assert (error.status, error.code) == (413, "text_too_large")
    assert error.details == {"limit_bytes": TEXT_BYTES_MAX}


@pytest.mark.parametrize(
    "text",
    [
        '{"identityName":"' + "a" * 27_000_000 + '"}',
        '{"' + "a" * 27_000_000 + '":1}',
        '{"imageFiles":[{"name":"' + "a" * 27_000_000 + '"}]}',
        '{"imageFiles":[{"data":{"data":"' + "a" * 27_000_000 + '"}}]}',
        '{"consent":' + "1" * 27_000_000 + "}",
        " " * 27_000_000 + "{}",
        '{"x":[' + "{}," * 9_000_000 + "{}]}",
    ],
    ids=["identityName", "member", "name", "data", "number", "space", "objects"],
)
async def test_27_megabytes_elsewhere_are_not_held(tmp_path: Path, text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await refused(cut(text.encode(), 256 * 1024), tmp_path)
    assert error.code in ("text_too_large", "field_invalid")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (SVG, "an SVG"),
        (b"<!doctype html><title>404</title>", "HTML or XML"),
        (b"", "zero bytes"),
        (b"\xff\xd8", "bytes of no known type"),
        (b"GIF89a" + bytes(20), "a GIF"),
        (b"RIFF\x20\x00\x00\x00WEBPVP8 " + bytes(20), "bytes of no known type"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(20), "a HEIC, AVIF or video file"),
        (b'{"error": "expired"}', "JSON"),
    ],
)
async def test_what_is_neither_jpeg_nor_png_is_refused_by_its_bytes(
    tmp_path: Path, data: bytes, told: str
) -> None:
    url = "data:image/png;base64," + base64_of(data)
    body = body_of([FILES[0], image_file(url, "a.png"), *FILES])
    error = await refused([body], tmp_path)
    assert (error.status, error.code) == (400, "image_not_supported")
    assert error.message == f"Image 2 is {told}, not a JPEG or PNG."


async def test_the_first_bytes_of_a_picture_decide_while_the_rest_is_on_its_way(
    tmp_path: Path,
) -> None:
    head = b'{"imageFiles":[{"name":"a.png","data":"data:image/png;base64,'
    error = await refused_at([head, base64_of(SVG)[:12].encode()], tmp_path)
    assert error.code == "image_not_supported"


@pytest.mark.parametrize(
    "data",
    [
        base64_of(JPEG[:30]) + "!",
        base64_of(JPEG)[:-1] + "é",
        base64_of(JPEG[:9])[:-3],
        base64_of(JPEG[:9]) + "=" + base64_of(JPEG[:9]),
        base64_of(JPEG[:9]) + "===",
        base64_of(JPEG[:10])[:-1],
        base64_of(JPEG[:10]) + "A",
        base64_of(JPEG) + "\\",
        base64_of(JPEG) + '"',
        base64_of(JPEG) + "\0",
        "data:image/jpeg," + base64_of(JPEG),
        "data:image/jpeg;base64",
        "data:" + ";a=b" * 1000 + ";base64," + base64_of(JPEG),
        "data:image/jpeg;base64,data:image/jpeg;base64," + base64_of(JPEG),
        "https://example.com/photo.jpg",
        "blob:https://example.com/1234",
    ],
)
async def test_what_is_not_base64_is_refused(tmp_path: Path, data: str) -> None:
    body = body_of([FILES[0], image_file(data), *FILES])
    assert await code_of(body, tmp_path) == (400, "image_not_base64")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body_empty"),
        (b" ", "body_not_json"),
        (b"{", "body_not_json"),
        (b"identityName=John", "body_not_json"),
        (body_of(FILES)[:-1], "body_not_json"),
        (body_of(FILES)[:-40], "body_not_json"),
        (body_of(FILES)[:500], "body_not_json"),
        (body_of(FILES) + b"{}", "body_not_json"),
        (body_of(FILES) + b'"', "body_not_json"),
        (b"\xef\xbb\xbf" + body_of(FILES), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'"x": NaN'), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'"x": 1e999'), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'"x": 1,'), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'/**/"x": 1'), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b"'x': 1"), "body_not_json"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'"x": ' + b"9" * 5000), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\xff"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\xed\xa0\x80"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\\ud800"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\\udc00\\ud800"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\\x41"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\n"'), "body_not_json"),
        (body_of(FILES, x="y").replace(b'"y"', b'"\x00"'), "body_not_json"),
        (body_of(FILES).replace(b"photo", b"\\ud83d"), "body_not_json"),
        (body_of(FILES, x="a\0b"), "field_invalid"),
        (body_of(FILES, identityName="a\0b"), "field_invalid"),
        (body_of(FILES, x={"a\0": 1}), "field_invalid"),
        (body_of(FILES, x=1).replace(b'"x": 1', b'"x":' + b"[" * 10_000), "nested_too_deeply"),
        (b"[" * 10_000, "field_invalid"),
        (b'{"a":' * 10_000, "nested_too_deeply"),
        (b"[]", "field_invalid"),
        (b'"text"', "field_invalid"),
        (b"null", "field_invalid"),
    ],
)
async def test_what_is_not_such_json_is_refused(tmp_path: Path, body: bytes, code: str) -> None:
    assert await code_of(body, tmp_path) == (400, code)


async def test_an_escaped_backslash_before_u0000_is_no_nul(tmp_path: Path) -> None:
    request = await receive(arriving([body_of(FILES, x="\\u0000")]), tmp_path)
    assert request.extra == {"x": "\\u0000"}


@pytest.mark.parametrize(
    ("members", "field", "sentence"),
    [
        ({"identityName": None}, "identityName", "Field `identityName` is required."),
        ({"identityName": ""}, "identityName", "Field `identityName`: it is empty."),
        ({"identityName": " \n"}, "identityName", "Field `identityName`: it is empty."),
        (
            {"identityName": "a" * 101},
            "identityName",
            "Field `identityName`: at most 100 characters are taken.",
        ),
        (
            {"identityName": 5},
            "identityName",
            "Field `identityName`: expected `string`, got `number`.",
        ),
        ({"userId": None}, "userId", "Field `userId` is required."),
        ({"userId": ""}, "userId", "Field `userId`: it is empty."),
        ({"userId": ["a"]}, "userId", "Field `userId`: expected `string`, got `array`."),
        ({"imageFiles": None}, "imageFiles", "Field `imageFiles` is required."),
        ({"imageFiles": {}}, "imageFiles", "Field `imageFiles`: expected `array`, got `object`."),
        ({"imageFiles": "x"}, "imageFiles", "Field `imageFiles`: expected `array`, got `string`."),
        (
            {"imageFiles": [FILES[0], base64_of(JPEG)]},
            "imageFiles[1]",
            "Field `imageFiles[1]`: expected `object`, got `string`.",
        ),
        (
            {"imageFiles": [FILES[0], [FILES[1]]]},
            "imageFiles[1]",
            "Field `imageFiles[1]`: expected `object`, got `array`.",
        ),
        (
            {"imageFiles": [{"name": "a", "data": 7}]},
            "imageFiles[0].data",
            "Field `imageFiles[0].data`: expected `string`, got `number`.",
        ),
        (
            {"imageFiles": [{"name": "a", "data": None}]},
            "imageFiles[0].data",
            "Field `imageFiles[0].data`: expected `string`, got `null`.",
        ),
        (
            {"imageFiles": [*FILES, {"name": "a"}]},
            "imageFiles[3].data",
            "Field `imageFiles[3].data` is required.",
        ),
        (
            {"imageFiles": [FILES[0], {"data": base64_of(JPEG)}]},
            "imageFiles[1].name",
            "Field `imageFiles[1].name` is required.",
        ),
        (
            {"imageFiles": [{"name": {"data": "x"}, "data": "x"}]},
            "imageFiles[0].name",
            "Field `imageFiles[0].name`: expected `string`, got `object`.",
        ),
        (
            {"imageFiles": [{"name": "a" * 256, "data": "x"}]},
            "imageFiles[0].name",
            "Field `imageFiles[0].name`: at most 255 characters are taken.",
        ),
    ],
)
async def test_a_field_that_is_wrong_is_named(
    tmp_path: Path, members: dict[str, Any], field: str, sentence: str
) -> None:
    whole = {**document(FILES), **members}
    # What is None at the top is left out; inside it is null.
    body = json.dumps({name: value for name, value in whole.items() if value is not None})
    error = await refused([body.encode()], tmp_path)
    assert (error.status, error.code) == (400, "field_invalid")
    assert (error.details["field"], error.message) == (field, sentence)


@pytest.mark.parametrize("name", ["identityName", "userId", "imageFiles", "extra"])
async def test_a_member_that_stands_there_twice_is_refused(tmp_path: Path, name: str) -> None:
    body = json.dumps(document(FILES, extra=1))[:-1] + f', "{name}": []}}'
    assert await code_of(body.encode(), tmp_path) == (400, "member_repeated")


async def test_a_picture_with_two_data_is_refused(tmp_path: Path) -> None:
    file = json.dumps(FILES[0])[:-1] + ', "d\\u0061ta": "' + base64_of(JPEG) + '"}'
    body = '{"imageFiles": [' + file + "]}"
    assert await code_of(body.encode(), tmp_path) == (400, "member_repeated")


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_fewer_than_three_pictures_are_refused(tmp_path: Path, count: int) -> None:
    assert await code_of(body_of(FILES[:count]), tmp_path) == (400, "too_few_images")


async def test_an_upload_that_crawls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "SLOW_SECONDS_MAX", 0)
    monkeypatch.setattr(request, "BYTES_PER_S_MIN", 10**12)
    error = await refused_at([body_of(FILES)[:100]], tmp_path)
    assert (error.status, error.code) == (400, "upload_too_slow")


async def test_a_client_that_leaves_leaves_no_open_file(tmp_path: Path) -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield body_of(FILES)[:3000]
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        await receive(leaving(), tmp_path)
    assert open_files_in(tmp_path) == []


async def test_a_request_given_up_writes_nothing_more(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"imageFiles":[{"data":"' + base64_of(JPEG).encode()
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(receive(endless(), tmp_path))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert open_files_in(tmp_path) == []


async def test_a_thread_that_comes_late_writes_nothing(tmp_path: Path) -> None:
    intake = _Intake(tmp_path)
    intake.close()
    await intake.take(body_of(FILES) * 10)
    assert list(tmp_path.iterdir()) == []


def open_files_in(folder: Path) -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(descriptor.readlink()))
    return [target for target in found if target.startswith(str(folder))]


async def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def on_a_full_device(path: Path, mode: str = "r", **options: Any) -> Any:
        place = Path("/dev/full") if path.name == "received_002" else path
        return opened(place, mode.replace("x", "w"), **options)

    monkeypatch.setattr(Path, "open", on_a_full_device)
    error = await refused([body_of(FILES)], tmp_path)
    assert (error.status, error.code) == (503, "disk_full")


async def test_another_error_of_the_disk_is_nobodys_request(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await receive(arriving([body_of(FILES)]), tmp_path / "gone")
    assert caught.value.errno == errno.ENOENT
