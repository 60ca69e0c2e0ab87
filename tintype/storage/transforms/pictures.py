"""How does one picture become another? Everything here blocks, and belongs in a thread."""

from io import BytesIO
from typing import Any

import msgspec
from PIL import Image, ImageOps

from tintype.errors import InvalidRequest, TooLarge, UnsupportedMedia
from tintype.storage.transforms.options import Format, Options

SOURCE_BYTES_MAX = 25 * 1024 * 1024
SOURCE_PIXELS_MAX = 50_000_000
PROFILE_BYTES_MAX = 64 * 1024
# What is shrunk further than this is shrunk coarsely first.
REDUCING_GAP = 2.0
# Pillow's name → the media type. No other decoder is ever tried.
FORMATS = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "AVIF": "image/avif",
}
AVIF_SPEED = 8


class Rendered(msgspec.Struct, frozen=True):
    """A picture to send."""

    data: bytes
    media_type: str


def render(data: bytes, options: Options, output: Format) -> Rendered:
    """Return the picture in `data` as `options` want it, in the format `output`.

    Raises `UnsupportedMedia` (`picture_not_supported`), `TooLarge` (`picture_too_large`) before a
    pixel is decoded, and `InvalidRequest` (`picture_unreadable`) for one that is broken.
    """
    image = _open(data)
    source = image.format or ""
    if image.width * image.height > SOURCE_PIXELS_MAX:
        raise _too_large()
    try:
        picture, profile = _decode(image, options)
        # Nothing that the file said of itself goes out with the pixels.
        picture = _resize(picture, options)
        picture.info = {}
        return _encode(picture, source if output == "origin" else output.upper(), options, profile)
    except (Exception, Image.DecompressionBombWarning) as error:
        # A decoder fed with broken bytes raises whatever it likes.
        raise InvalidRequest("picture_unreadable", "The picture cannot be read.") from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=tuple(FORMATS))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except Exception as error:
        raise UnsupportedMedia(
            "picture_not_supported",
            "The object is not a picture that can be transformed.",
            hint="PNG, JPEG, WebP, GIF and AVIF can be.",
        ) from error


def _decode(image: Image.Image, options: Options) -> tuple[Image.Image, bytes | None]:
    profile = image.info.get("icc_profile")
    side = max(options.width or 0, options.height or 0)
    if side and (options.width and options.height):
        # A JPEG is decoded at an eighth, a quarter or half of its size where that is enough.
        image.draft("RGB", (side, side))
    image.load()
    mode = image.mode
    picture = ImageOps.exif_transpose(image)
    if mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("RGB", "L"):
        picture = picture.convert("RGB")
    is_kept = mode in ("RGB", "RGBA") and profile and len(profile) <= PROFILE_BYTES_MAX
    return picture, profile if is_kept else None


def _resize(picture: Image.Image, options: Options) -> Image.Image:
    width, height = options.width, options.height
    if width and height and options.resize == "fill":
        return _scaled(picture, (width, height))
    if width and height and options.resize == "cover":
        scale = max(width / picture.width, height / picture.height)
        left = (picture.width - width / scale) / 2
        top = (picture.height - height / scale) / 2
        box = (left, top, picture.width - left, picture.height - top)
        return _scaled(picture, (width, height), box)
    scale = min(
        (width or picture.width) / picture.width, (height or picture.height) / picture.height, 1
    )
    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return _scaled(picture, size)


def _scaled(
    picture: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    return picture.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=REDUCING_GAP)


def _encode(picture: Image.Image, name: str, options: Options, profile: bytes | None) -> Rendered:
    settings: dict[str, Any] = {"icc_profile": profile} if profile and name != "GIF" else {}
    if name == "JPEG":
        picture = picture.convert("RGB") if picture.mode == "RGBA" else picture
        settings |= {"quality": options.quality, "optimize": True, "progressive": True}
    elif name in ("WEBP", "AVIF"):
        settings["quality"] = options.quality
    if name == "AVIF":
        settings["speed"] = AVIF_SPEED
    buffer = BytesIO()
    picture.save(buffer, name, **settings)
    return Rendered(buffer.getvalue(), FORMATS[name])


def _too_large() -> TooLarge:
    return TooLarge(
        "picture_too_large",
        "The picture is too large to be transformed",
        hint=f"At most {SOURCE_BYTES_MAX} bytes and {SOURCE_PIXELS_MAX} pixels are.",
    )
