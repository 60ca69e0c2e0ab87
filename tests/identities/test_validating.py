"""Pictures come out upright, small enough and without a past, or are refused by name."""

import asyncio
import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw, ImageFilter, PngImagePlugin

from tests.identities.bodies import picture
from tintype.errors import InvalidRequest
from tintype.identities.receiving import Received
from tintype.identities.validating import ImageSet, ValidImage, validate

SIDE = 512
OTHERS = [picture(side=SIDE, seed=seed) for seed in (5, 9, 14)]
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION, GPS = 0x0112, 0x8825


def stored(folder: Path, pictures: Sequence[bytes], names: Sequence[str] = ()) -> list[Received]:
    files = []
    for number, data in enumerate(pictures, 1):
        path = folder / f"received_{number:03}"
        path.write_bytes(data)
        name = names[number - 1] if number <= len(names) else f"photo{number}.jpg"
        files.append(Received(name, path, len(data)))
    return files


async def validated(folder: Path, *pictures: bytes) -> ImageSet:
    """Return what becomes of the pictures, when three good ones follow them."""
    return await validate(stored(folder, [*pictures, *OTHERS]), folder)


async def remade(folder: Path, data: bytes) -> tuple[ValidImage, Image.Image]:
    found = (await validated(folder, data)).images[0]
    with Image.open(found.path) as image:
        image.load()
    assert (image.size, image.mode) == ((found.width, found.height), "RGB")
    return found, image


async def refusal(folder: Path, data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await validated(folder, OTHERS[0], data)
    assert caught.value.details["image"] == 2
    assert caught.value.message.startswith("photo2.jpg (image 2) ")
    return caught.value


def written(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def quarters(side: int = SIDE, mode: str = "RGB") -> Image.Image:
    """Return red, green, blue and white, row by row."""
    image = Image.new("RGB", (side, side), WHITE)
    half = side // 2
    image.paste(RED, (0, 0, half, half))
    image.paste(GREEN, (half, 0, side, half))
    image.paste(BLUE, (0, half, half, side))
    return image.convert(mode)


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours in the middle of each quarter, rounded to what they were made of."""
    places = [(1, 1), (3, 1), (1, 3), (3, 3)]
    found = [
        image.getpixel((image.width * across // 4, image.height * down // 4))
        for across, down in places
    ]
    return [tuple(255 if part > 127 else 0 for part in colour) for colour in found]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(
    width: int, height: int, rows: bytes, *, depth: int = 8, kind: int = 0, more: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


async def test_a_jpeg_stays_a_jpeg_and_a_png_a_png(tmp_path: Path) -> None:
    found, image = await remade(tmp_path, picture("JPEG", side=SIDE))
    assert (found.media_type, found.extension, image.format) == ("image/jpeg", "jpg", "JPEG")
    assert found.path == tmp_path / "image_001.jpg"
    found, image = await remade(tmp_path, picture("PNG", side=SIDE))
    assert (found.media_type, found.extension, image.format) == ("image/png", "png", "PNG")
    assert found.name == "photo1.jpg" and found.bytes == found.path.stat().st_size


@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ],
)
async def test_a_camera_held_any_way_gives_an_upright_picture(
    tmp_path: Path, orientation: int, wanted: list[tuple[int, ...]]
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for kind in ("JPEG", "PNG"):
        wide = quarters().resize((SIDE * 2, SIDE))
        found, image = await remade(tmp_path, written(wide, kind, exif=exif))
        assert corners(image) == wanted
        turned = orientation >= 5
        assert (found.width, found.height) == ((SIDE, SIDE * 2) if turned else (SIDE * 2, SIDE))


async def test_nothing_the_file_said_of_itself_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010F] = "A camera"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "SECRET place")
    texts.add_itxt("XML:com.adobe.xmp", "<x>SECRET place</x>", zip=True)
    jpeg = written(
        quarters(), "JPEG", exif=exif, icc_profile=profile, comment="SECRET place", dpi=(300, 300)
    )
    png = written(quarters(), "PNG", exif=exif, icc_profile=profile, pnginfo=texts, dpi=(300, 300))
    for data in (jpeg, png):
        assert b"A camera" in data
        found, image = await remade(tmp_path, data)
        kept = found.path.read_bytes()
        assert not image.getexif() and "icc_profile" not in image.info
        for secret in (b"Exif", b"eXIf", b"A camera", b"SECRET", b"iTXt", b"zTXt", b"tEXt", b"ICC"):
            assert secret not in kept
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


async def test_what_is_larger_than_2048_is_made_smaller(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG"):
        large = quarters().resize((4200, 2100))
        found, image = await remade(tmp_path, written(large, kind))
        assert (found.width, found.height) == (2048, 1024)
        assert corners(image) == [RED, GREEN, BLUE, WHITE]


async def test_what_is_small_enough_keeps_its_size(tmp_path: Path) -> None:
    found, _ = await remade(tmp_path, written(quarters().resize((2048, 700)), "JPEG"))
    assert (found.width, found.height) == (2048, 700)


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("YCbCr", "JPEG"), ("P", "PNG"), ("RGBA", "PNG")]
)
async def test_colours_are_the_same_in_every_mode(tmp_path: Path, mode: str, kind: str) -> None:
    _, image = await remade(tmp_path, written(quarters(mode=mode), kind))
    assert corners(image) == [RED, GREEN, BLUE, WHITE]


async def test_grey_of_any_depth_is_the_same_grey(tmp_path: Path) -> None:
    ramp = Image.linear_gradient("L").resize((SIDE, SIDE))
    deep = ramp.convert("I").point(lambda value: value * 257).convert("I;16")
    for data in (
        written(ramp, "JPEG", quality=100),
        written(ramp, "PNG"),
        written(ramp.convert("LA"), "PNG"),
        written(deep, "PNG"),
    ):
        _, image = await remade(tmp_path, data)
        for down in (10, 128, 256, 400, 500):
            for part in image.getpixel((SIDE // 2, down)):
                assert abs(part - ramp.getpixel((SIDE // 2, down))) <= 2


GREY_ALPHA, TRUE_ALPHA, TRUE, GREY, PALETTE = 4, 6, 2, 0, 3
COLOURS = chunk(b"PLTE", bytes([1, 2, 3, 200, 100, 50]))


@pytest.mark.parametrize(
    ("depth", "kind", "row", "more", "wanted"),
    [
        (16, TRUE, b"\x80\0\x40\0\xff\xff" * SIDE, b"", (128, 64, 255)),
        (16, TRUE_ALPHA, b"\x80\0\x40\0\xff\xff\x80\0" * SIDE, b"", (191, 159, 255)),
        (16, GREY_ALPHA, b"\x80\0\xff\xff" * SIDE, b"", (128, 128, 128)),
        (16, GREY, b"\x80\0" * SIDE, chunk(b"tRNS", b"\x80\0"), (128, 128, 128)),
        (8, GREY, b"\x80" * SIDE, chunk(b"tRNS", b"\0\x80"), WHITE),
        (2, GREY, b"\xaa" * (SIDE // 4), b"", (170, 170, 170)),
        (1, GREY, b"\0" * (SIDE // 8), b"", (0, 0, 0)),
        (1, PALETTE, b"\xff" * (SIDE // 8), COLOURS, (200, 100, 50)),
        (1, PALETTE, b"\xff" * (SIDE // 8), COLOURS + chunk(b"tRNS", b"\xff\0"), WHITE),
    ],
)
async def test_a_png_of_any_depth_is_the_same_colour(
    tmp_path: Path, depth: int, kind: int, row: bytes, more: bytes, wanted: tuple[int, ...]
) -> None:
    data = png_of(SIDE, SIDE, (b"\0" + row) * SIDE, depth=depth, kind=kind, more=more)
    _, image = await remade(tmp_path, data)
    assert image.getpixel((SIDE // 2, SIDE // 2)) == wanted


async def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    image = quarters(mode="RGBA")
    image.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE // 2))
    palette = quarters().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    index = palette.getpixel((1, 1))
    for data in (written(image, "PNG"), written(palette, "PNG", transparency=index)):
        _, kept = await remade(tmp_path, data)
        assert corners(kept) == [WHITE, GREEN, BLUE, WHITE]


async def test_colours_are_what_the_profile_says(tmp_path: Path) -> None:
    # A profile whose red is blue and whose blue is red.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    odd = profile.replace(b"rXYZ", b"tXYZ", 1).replace(b"bXYZ", b"rXYZ", 1)
    odd = odd.replace(b"tXYZ", b"bXYZ", 1)
    for kind in ("JPEG", "PNG"):
        _, image = await remade(tmp_path, written(quarters(), kind, icc_profile=odd))
        assert corners(image) == [BLUE, GREEN, RED, WHITE]
        _, image = await remade(tmp_path, written(quarters(), kind, icc_profile=b"no profile"))
        assert corners(image) == [RED, GREEN, BLUE, WHITE]


async def test_an_animation_is_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in (GREEN, BLUE)]
    data = written(quarters(), "PNG", save_all=True, append_images=frames)
    _, image = await remade(tmp_path, data)
    assert corners(image) == [RED, GREEN, BLUE, WHITE]
    assert not getattr(image, "is_animated", False)


async def test_a_jpeg_with_a_second_picture_in_it_is_a_jpeg(tmp_path: Path) -> None:
    data = written(quarters(), "MPO", save_all=True, append_images=[quarters().rotate(90)])
    found, image = await remade(tmp_path, data)
    assert (found.media_type, image.format) == ("image/jpeg", "JPEG")
    assert corners(image) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (OTHERS[0][:-100], "is a broken JPEG"),
        (OTHERS[0][: len(OTHERS[0]) // 2], "is a broken JPEG"),
        (OTHERS[0][:20], "is a broken JPEG"),
        (b"\xff\xd8\xff" + bytes(1000), "is a broken JPEG"),
        (picture("PNG", side=SIDE)[:-100], "is a broken PNG"),
        (picture("PNG", side=SIDE)[:-12], "is a truncated PNG"),
        (picture("PNG", side=SIDE)[:8], "is a broken PNG"),
        (picture("PNG", side=SIDE).replace(b"IDAT", b"IDAX", 1), "is a broken PNG"),
        (png_of(SIDE, SIDE, b"\0" * 100), "is a broken PNG"),
        (picture("GIF", side=SIDE), "is neither a JPEG nor a PNG"),
        (picture("WEBP", side=SIDE), "is neither a JPEG nor a PNG"),
        (picture("TIFF", side=SIDE), "is neither a JPEG nor a PNG"),
        (b"<svg/>", "is neither a JPEG nor a PNG"),
        (b"<!doctype html>", "is neither a JPEG nor a PNG"),
        (b"", "is neither a JPEG nor a PNG"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, data: bytes, told: str
) -> None:
    error = await refusal(tmp_path, data)
    assert (error.status, error.code) == (400, "image_unreadable")
    assert error.message == f"photo2.jpg (image 2) {told}."


async def test_too_many_pixels_are_refused_by_the_header(tmp_path: Path) -> None:
    bomb = png_of(65_000, 65_000, b"\0" * 100)
    error = await refusal(tmp_path, bomb)
    assert error.code == "image_too_many_pixels" and "65000 x 65000" in error.message
    error = await refusal(tmp_path, png_of(50_000_001, 1, b""))
    assert error.code == "image_too_many_pixels"


async def test_a_picture_of_fifty_megapixels_is_taken(tmp_path: Path) -> None:
    image = Image.new("RGBA", (10_000, 5_000), (255, 0, 0, 200))
    found, _ = await remade(tmp_path, written(image, "PNG", compress_level=1))
    assert (found.width, found.height) == (2048, 1024)


async def test_a_side_under_256_is_refused(tmp_path: Path) -> None:
    error = await refusal(tmp_path, picture(side=255))
    assert error.code == "image_too_small" and "255 x 255" in error.message
    error = await refusal(tmp_path, written(quarters().resize((255, 2000)), "PNG"))
    assert error.code == "image_too_small"
    await remade(tmp_path, picture(side=256))


async def test_a_compressed_text_that_swells_is_refused(tmp_path: Path) -> None:
    data = picture("PNG", side=SIDE)
    swollen = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(300 * 1024 * 1024)))
    error = await refusal(tmp_path, data[:33] + swollen + data[33:])
    assert error.code == "image_unreadable"


def kinds(found: ImageSet, image: int = 1) -> set[str]:
    return {finding.kind for finding in found.findings if finding.image == image}


async def test_pictures_that_are_fine_have_no_findings(tmp_path: Path) -> None:
    assert (await validated(tmp_path)).findings == []


async def test_a_blurred_picture_is_told(tmp_path: Path) -> None:
    with Image.open(io.BytesIO(OTHERS[0])) as sharp:
        blurred = sharp.filter(ImageFilter.GaussianBlur(6))
    found = await validated(tmp_path, written(blurred, "JPEG"))
    assert "blurred" in kinds(found)
    finding = next(one for one in found.findings if one.kind == "blurred")
    assert (finding.image, finding.name) == (1, "photo1.jpg")
    assert finding.message == "photo1.jpg (image 1) is blurred or has no detail."


async def test_a_dark_and_a_bright_picture_are_told(tmp_path: Path) -> None:
    with Image.open(io.BytesIO(picture(side=SIDE, seed=3))) as image:
        dark = image.point(lambda value: value // 8)
        bright = image.point(lambda value: 255 - value // 16)
    found = await validated(tmp_path, written(dark, "PNG"), written(bright, "PNG"))
    assert "dark" in kinds(found, 1) and "bright" in kinds(found, 2)
    assert not {"dark", "bright"} & (kinds(found, 3) | kinds(found, 4))


async def test_a_picture_under_the_training_resolution_is_told(tmp_path: Path) -> None:
    found = await validated(tmp_path, picture(side=511), picture(side=512, seed=1))
    assert "small" in kinds(found, 1) and "small" not in kinds(found, 2)


async def test_the_same_pixels_and_almost_the_same_are_told(tmp_path: Path) -> None:
    image = Image.open(io.BytesIO(picture("PNG", side=SIDE, seed=7)))
    exif = Image.Exif()
    exif[0x010F] = "Another camera"
    brighter = image.point(lambda value: min(255, value + 6))
    ImageDraw.Draw(brighter).text((20, 20), "2024")
    again = written(image, "PNG", exif=exif)
    found = await validated(tmp_path, written(image, "PNG"), again, written(brighter, "JPEG"))
    assert not kinds(found, 1)
    assert kinds(found, 2) == {"duplicate"} and kinds(found, 3) == {"similar"}
    told = [finding.message for finding in found.findings]
    assert told == [
        "photo2.jpg (image 2) is the same picture as image 1.",
        "photo3.jpg (image 3) looks almost like image 1.",
    ]


async def test_three_different_pictures_are_needed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    with Image.open(io.BytesIO(picture("PNG", side=SIDE))) as image:
        twins = [written(image, "PNG"), written(image, "PNG", exif=exif)]
    files = stored(tmp_path, [*twins, OTHERS[0]])
    with pytest.raises(InvalidRequest) as caught:
        await validate(files, tmp_path)
    assert caught.value.code == "too_few_distinct_images"
    assert caught.value.details == {"distinct": 2}
    assert len((await validate(files, tmp_path, images_min=2)).images) == 3


async def test_the_number_of_pictures_has_its_limits(tmp_path: Path) -> None:
    files = stored(tmp_path, OTHERS)
    for kept, limits, code in (
        (files[:2], {}, "too_few_images"),
        (files, {"images_max": 2, "images_min": 1}, "too_many_images"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await validate(kept, tmp_path, **limits)
        assert caught.value.code == code


async def test_pictures_keep_their_order_and_the_first_bad_one_is_named(tmp_path: Path) -> None:
    large = written(Image.effect_noise((2000, 2000), 60), "PNG")
    found = await validate(stored(tmp_path, [large, *OTHERS]), tmp_path)
    assert [image.path.name for image in found.images] == [
        "image_001.png",
        "image_002.jpg",
        "image_003.jpg",
        "image_004.jpg",
    ]
    # The second is found out long before the first.
    with pytest.raises(InvalidRequest) as caught:
        await validate(stored(tmp_path, [large[:-50], b"", b"", *OTHERS]), tmp_path)
    assert caught.value.details == {"image": 1}


async def test_a_long_name_is_told_short(tmp_path: Path) -> None:
    files = stored(tmp_path, [b"", *OTHERS], ["x" * 255])
    with pytest.raises(InvalidRequest) as caught:
        await validate(files, tmp_path)
    assert caught.value.message.startswith("x" * 100 + " (image 1)")


async def test_a_validation_given_up_writes_nothing_more(tmp_path: Path) -> None:
    large = written(Image.effect_noise((2000, 2000), 60), "PNG")
    files = stored(tmp_path, [large] * 8)
    task = asyncio.create_task(validate(files, tmp_path))
    async with asyncio.timeout(60):
        while not list(tmp_path.glob("image_*")):
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = sorted(path.name for path in tmp_path.glob("image_*"))
    assert len(left) < 8
    # Whatever comes next finds nobody at work on these.
    await validate(stored(tmp_path, OTHERS), tmp_path)
    assert sorted(path.name for path in tmp_path.glob("image_*.png")) == left
