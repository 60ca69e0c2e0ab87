"""Are these bytes a picture?

Every answer of a provider and every reference of a caller is judged here by decoding it whole.
Nothing that names a type (a file name, a MIME field, a URL) is believed. The number of pixels is
read from the header and held against a limit before anything is decoded; at most
`DECODES_AT_ONCE_MAX` pictures are decoded at a time, so memory has a bound.
"""

import asyncio
import binascii
import io
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

import msgspec
from PIL import JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from tintype.errors import InvalidRequest, Transient
from tintype.providers.provider import Output

P = ParamSpec("P")
T = TypeVar("T")

OUTPUT_BYTES_MAX = 64 * 1024 * 1024
OUTPUT_PIXELS_MAX = 64_000_000
REFERENCE_BYTES_MAX = 20 * 1024 * 1024
REFERENCE_PIXELS_MAX = 64_000_000
DECODES_AT_ONCE_MAX = 2

# The plugins are called by name: `Image.open` would try every format it knows and applies a
# process-wide pixel limit that any other code may have changed.
KINDS: dict[str, tuple[str, Any]] = {
    "image/png": ("png", PngImagePlugin.PngImageFile),
    "image/jpeg": ("jpg", JpegImagePlugin.JpegImageFile),
    "image/webp": ("webp", WebPImagePlugin.WebPImageFile),
}
OTHER_KINDS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"{", "JSON"),
)
PNG_END = b"IEND\xaeB`\x82"  # the whole chunk, checksum included
URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

_decoders = ThreadPoolExecutor(DECODES_AT_ONCE_MAX, thread_name_prefix="decode")


class Picture(msgspec.Struct, frozen=True):
    """What a picture's own bytes say of it; `extension` is without a dot."""

    media_type: str
    extension: str
    width: int
    height: int


class NotAPicture(Exception):
    """The bytes do not decode. Stays inside this module."""


class TooManyPixels(NotAPicture):
    """The header promises more pixels than allowed. Stays inside this module."""


async def judge_output(
    data: bytes | str, *, seed: int | None = None, metadata: Mapping[str, Any] | None = None
) -> Output:
    """Return a provider's picture as an `Output`, decoded whole.

    `data` is raw bytes, or base64 in either alphabet, with or without padding and line breaks.
    Raises `Transient` with code `answer_not_a_picture`, `picture_too_large` or
    `picture_too_many_pixels`: a provider that sent rubbish may send a picture next time.
    """
    size = len(data) * 3 // 4 if isinstance(data, str) else len(data)
    if size > OUTPUT_BYTES_MAX:
        raise Transient(
            "picture_too_large",
            f"The provider sent a picture of {size} bytes; {OUTPUT_BYTES_MAX} are allowed.",
        )
    try:
        raw, picture = await _in_decoder(_open_output, data)
    except TooManyPixels as error:
        raise Transient("picture_too_many_pixels", f"The provider sent {error}.") from None
    except NotAPicture as error:
        raise Transient(
            "answer_not_a_picture", f"The provider sent {error} instead of a picture."
        ) from None
    return Output(
        data=raw,
        media_type=picture.media_type,
        extension=picture.extension,
        width=picture.width,
        height=picture.height,
        seed=seed,
        metadata=dict(metadata or {}),
    )


async def inspect_reference(data: bytes) -> Picture:
    """Return what a caller's reference picture is, after decoding it whole.

    PNG, JPEG and WEBP are taken, one frame each. Raises `InvalidRequest` with code
    `reference_too_large` (over `REFERENCE_BYTES_MAX` bytes), `reference_too_many_pixels` (over
    `REFERENCE_PIXELS_MAX`) or `reference_not_an_image`.
    """
    if len(data) > REFERENCE_BYTES_MAX:
        raise reference_too_large(REFERENCE_BYTES_MAX)
    try:
        return await _in_decoder(_decode, data, REFERENCE_PIXELS_MAX)
    except TooManyPixels as error:
        raise InvalidRequest(
            "reference_too_many_pixels",
            f"The reference is {error}.",
            hint=f"Scale it down to at most {REFERENCE_PIXELS_MAX} pixels.",
        ) from None
    except NotAPicture as error:
        raise InvalidRequest(
            "reference_not_an_image",
            f"The reference is {error}, not a picture.",
            hint="Send a whole PNG, JPEG or WEBP with one frame.",
        ) from None


def read_data_url(url: str) -> bytes:
    """Return the bytes of a base64 `data:` URL; its media type is not believed.

    Raises `InvalidRequest` with code `reference_too_large` or `reference_not_an_image`.
    """
    head, _, encoded = url.partition(",")
    if not head.lower().startswith("data:") or not head.lower().endswith(";base64"):
        raise InvalidRequest(
            "reference_not_an_image",
            "The reference is not a base64 data URL.",
            hint="Send data:image/png;base64,… with the picture's bytes.",
        )
    if len(encoded) * 3 // 4 > REFERENCE_BYTES_MAX:
        raise reference_too_large(REFERENCE_BYTES_MAX)
    try:
        return _decode_base64(encoded)
    except NotAPicture as error:
        raise InvalidRequest(
            "reference_not_an_image", f"The reference's data URL holds {error}."
        ) from None


def reference_too_large(bytes_max: int) -> InvalidRequest:
    """Return the error for a reference of more than `bytes_max` bytes."""
    return InvalidRequest(
        "reference_too_large",
        f"The reference picture is larger than {bytes_max} bytes.",
        hint="Send a smaller or more compressed picture.",
    )


async def _in_decoder(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_decoders, partial(function, *args, **kwargs))


def _open_output(data: bytes | str) -> tuple[bytes, Picture]:
    raw = _decode_base64(data) if isinstance(data, str) else data
    return raw, _decode(raw, OUTPUT_PIXELS_MAX)


def _decode_base64(text: str) -> bytes:
    try:
        packed = text.encode("ascii").translate(URL_SAFE_TO_STANDARD, b" \t\r\n=")
        return binascii.a2b_base64(packed + b"=" * (-len(packed) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NotAPicture("corrupt base64") from None


def _decode(data: bytes, pixels_max: int) -> Picture:
    media_type = _sniff(data)
    if media_type == "image/webp":
        _check_pixels(_webp_canvas(data), pixels_max)
    extension, plugin = KINDS[media_type]
    try:
        with plugin(io.BytesIO(data)) as image:
            _check_pixels(image.size, pixels_max)
            if getattr(image, "n_frames", 1) > 1 and media_type != "image/jpeg":
                raise NotAPicture("an animation")
            image.load()
            width, height = image.size
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, MemoryError) as error:
        raise NotAPicture(f"a broken {extension.upper()}") from error
    if width * height == 0:
        raise NotAPicture(f"an empty {extension.upper()}")
    if not _is_whole(data, media_type):
        raise NotAPicture(f"a truncated {extension.upper()}")
    return Picture(media_type, extension, width, height)


def _sniff(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise NotAPicture(name_of_other(data))


def name_of_other(data: bytes) -> str:
    """Return what bytes that are none of the pictures taken seem to be, as in "an SVG"."""
    if not data:
        return "zero bytes"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in start.lower():
        return "an SVG"
    if start[:1] == b"<":
        return "HTML or XML"
    if data[4:8] == b"ftyp":
        return "a HEIC, AVIF or video file"
    for magic, name in OTHER_KINDS:
        if start.startswith(magic):
            return name
    return "bytes of no known type"


def _check_pixels(size: tuple[int, int], pixels_max: int) -> None:
    width, height = size
    if width * height > pixels_max:
        raise TooManyPixels(f"a picture of {width}x{height}, over {pixels_max} pixels")


def _webp_canvas(data: bytes) -> tuple[int, int]:
    # Pillow's WEBP plugin allocates the canvas while it opens, so the header is read here first:
    # https://developers.google.com/speed/webp/docs/riff_container
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        raise NotAPicture("a truncated WEBP")
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise NotAPicture("a broken WEBP")


def _is_whole(data: bytes, media_type: str) -> bool:
    # Pillow's JPEG decoder insists on the end marker itself. The other two are content once they
    # have every row of pixels; a cut-off tail still means that these are not the provider's bytes.
    if media_type == "image/png":
        return PNG_END in data
    if media_type == "image/webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return True
