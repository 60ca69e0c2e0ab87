import asyncio
import base64
import io
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.provider_pictures import SVG, Pictures, png_bomb, saved
from tintype import errors, providers
from tintype.providers import judge

pictures = Pictures()
NOISE = Image.frombytes("RGB", (96, 64), random.Random(4).randbytes(96 * 64 * 3))


def webp_header(kind: bytes, width: int, height: int) -> bytes:
    """Return a WEBP that is nothing but the header of a large canvas."""
    if kind == b"VP8X":
        body = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        body = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(5)
    else:
        body = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def jpeg_header(width: int, height: int) -> bytes:
    """Return a small JPEG whose frame header says another size."""
    data = bytearray(saved(NOISE, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def animated(kind: str) -> bytes:
    file = io.BytesIO()
    frames = [NOISE, NOISE.rotate(90), NOISE.rotate(180)]
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "media_type", "extension"),
    [("PNG", "image/png", "png"), ("JPEG", "image/jpeg", "jpg"), ("WEBP", "image/webp", "webp")],
)
async def test_type_and_size_come_from_the_bytes(
    kind: str, media_type: str, extension: str
) -> None:
    data = saved(NOISE, kind)
    output = await providers.judge_output(data, seed=7, metadata={"tokens": 3})
    assert (output.media_type, output.extension) == (media_type, extension)
    assert (output.width, output.height) == (96, 64)
    assert (output.data, output.seed, output.metadata) == (data, 7, {"tokens": 3})
    picture = await providers.inspect_reference(data)
    assert picture == providers.Picture(media_type, extension, 96, 64)


async def test_base64_is_read_in_both_alphabets_with_and_without_padding_and_line_breaks() -> None:
    data = saved(NOISE, "PNG")
    standard = base64.b64encode(data).decode()
    url_safe = base64.urlsafe_b64encode(data).decode()
    assert set("+/") & set(standard)
    wrapped = "\r\n".join(standard[at : at + 76] for at in range(0, len(standard), 76))
    for text in (standard, url_safe, standard.rstrip("="), url_safe.rstrip("="), wrapped):
        assert (await providers.judge_output(text)).data == data


NO_PICTURES = {
    "zero bytes": b"",
    "an SVG": SVG,
    "HTML": b"<!DOCTYPE html><html></html>",
    "JSON": b'{"error": 1}',
    "a PDF": b"%PDF-1.7 ...",
    "a BMP": saved(NOISE, "BMP"),
    "a GIF": saved(NOISE, "GIF"),
    "a TIFF": saved(NOISE, "TIFF"),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(40),
    "known type": b"\x01\x02\x03",
    "broken PNG": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "broken JPEG": b"\xff\xd8\xff\xe0" + bytes(50),
    "broken WEBP": b"RIFF\x30\0\0\0WEBPVP8 " + bytes(50),
    "truncated WEBP": b"RIFF\x30\0\0\0WEBPVP8X",
    "animated PNG": animated("PNG"),
    "animated WEBP": animated("WEBP"),
}


@pytest.mark.parametrize("name", NO_PICTURES)
async def test_what_is_not_one_picture_is_refused(name: str) -> None:
    data = NO_PICTURES[name]
    with pytest.raises(errors.Transient) as provider:
        await providers.judge_output(data)
    assert provider.value.code == "answer_not_a_picture"
    with pytest.raises(errors.InvalidRequest) as caller:
        await providers.inspect_reference(data)
    assert caller.value.code == "reference_not_an_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_picture_cut_anywhere_is_refused(kind: str) -> None:
    data = saved(NOISE, kind)
    for share in range(40):
        with pytest.raises(errors.Transient):
            await providers.judge_output(data[: len(data) * share // 40])
    with pytest.raises(errors.Transient):
        await providers.judge_output(data[:-2])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_what_a_camera_appends_to_a_picture_does_no_harm(kind: str) -> None:
    data = saved(NOISE, kind) + bytes(100_000)
    assert (await providers.inspect_reference(data)).width == 96


@pytest.mark.parametrize(
    "bomb",
    [
        png_bomb(),
        jpeg_header(30_000, 30_000),
        webp_header(b"VP8X", 60_000, 60_000),
        webp_header(b"VP8L", 16_000, 16_000),
        webp_header(b"VP8 ", 16_000, 16_000),
    ],
    ids=["png", "jpeg", "webp", "webp-lossless", "webp-lossy"],
)
async def test_an_image_bomb_is_refused_from_its_header(bomb: bytes) -> None:
    assert len(bomb) < 40_000
    with pytest.raises(errors.Transient) as provider:
        await providers.judge_output(bomb)
    assert provider.value.code == "picture_too_many_pixels"
    with pytest.raises(errors.InvalidRequest) as caller:
        await providers.inspect_reference(bomb)
    assert caller.value.code == "reference_too_many_pixels"


async def test_the_pixel_limit_does_not_depend_on_the_one_of_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(errors.Transient):
        await providers.judge_output(png_bomb())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert (await providers.judge_output(saved(NOISE, "PNG"))).width == 96


async def test_too_many_bytes_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(errors.Transient) as provider:
        await providers.judge_output("A" * (judge.OUTPUT_BYTES_MAX * 4 // 3 + 8))
    assert provider.value.code == "picture_too_large"
    with pytest.raises(errors.InvalidRequest) as caller:
        await providers.inspect_reference(bytes(judge.REFERENCE_BYTES_MAX + 1))
    assert caller.value.code == "reference_too_large"


@pytest.mark.parametrize("text", ["*", "QUJD*", "äöü", "A", "QUJDR", "data:image/png;base64,QUJD"])
async def test_corrupt_base64_is_refused(text: str) -> None:
    with pytest.raises(errors.Transient):
        await providers.judge_output(text)


async def test_many_pictures_at_once_are_all_judged() -> None:
    made = [pictures.small("JPEG") for _ in range(40)]
    outputs = await asyncio.gather(*(providers.judge_output(data) for data in made))
    assert [output.data for output in outputs] == made
    assert len(set(made)) == 40


def test_a_data_url_gives_its_bytes() -> None:
    data = saved(NOISE, "PNG")
    text = base64.b64encode(data).decode()
    assert providers.read_data_url(f"data:image/png;base64,{text}") == data
    assert providers.read_data_url(f"DATA:;BASE64,{text.rstrip('=')}") == data


@pytest.mark.parametrize("url", ["data:image/png,abc", "https://x/y", "data:;base64,*", ""])
def test_what_is_not_a_base64_data_url_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        providers.read_data_url(url)
    assert caught.value.code == "reference_not_an_image"


def test_a_data_url_of_too_many_bytes_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        providers.read_data_url("data:;base64," + "A" * (judge.REFERENCE_BYTES_MAX * 4 // 3 + 8))
    assert caught.value.code == "reference_too_large"


@settings(max_examples=150, deadline=None, database=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    at=st.floats(0, 0.999),
    noise=st.binary(min_size=1, max_size=12),
)
def test_damaged_pictures_are_judged_without_another_exception(
    kind: str, at: float, noise: bytes
) -> None:
    data = bytearray(saved(NOISE.resize((24, 16)), kind))
    place = int(len(data) * at)
    data[place : place + len(noise)] = noise
    try:
        output = asyncio.run(providers.judge_output(bytes(data)))
    except errors.Transient as error:
        assert error.message
    else:
        assert output.width * output.height <= judge.OUTPUT_PIXELS_MAX
