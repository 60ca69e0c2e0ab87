"""What is in this file, and what does it look like upright, small and without a past?

A program of its own: it reads a line of JSON, `{source, folder, stem}`, and writes one, until its
input ends or pauses for `IDLE_SECONDS_MAX`. It imports Pillow and the standard library, so that it
starts fast and a fault in a decoder finds nothing to reach.

An answer is `{"refused": code, "reason": …}`, `{"errno": …, "reason": …}` or the picture's facts.
Memory, file size and open files are bounded by the kernel.
"""

import contextlib
import hashlib
import io
import json
import os
import resource
import select
import struct
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms, ImageFilter, ImageOps, ImageStat, JpegImagePlugin, PngImagePlugin

PIXELS_MAX = 50_000_000
SIDE_MIN = 256
SIDE_MAX = 2048
JPEG_QUALITY = 95
# What is shrunk further than this is shrunk coarsely first.
REDUCING_GAP = 2.0
PROFILE_BYTES_MAX = 4 * 1024 * 1024

# The hungriest picture there may be, a PNG of 50 megapixels with alpha, was seen to need 780 MB.
MEMORY_BYTES_MAX = 1024 * 1024 * 1024
FILE_BYTES_MAX = 64 * 1024 * 1024
FILES_MAX = 64
IDLE_SECONDS_MAX = 60.0
# The server comes first, for the processor and for memory.
NICENESS = 5
KILLED_FIRST = "1000"

# Sharpness is measured at this longer side, whatever the camera's resolution.
SHARPNESS_SIDE = 512
HASH_SIDE = 8

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_END = b"IEND\xaeB`\x82"  # the whole chunk, checksum included

_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


class Refused(Exception):
    """The picture cannot be trained on; `code` is stable, the text says what it is."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def main() -> None:
    """Answer each line of standard input with a line on standard output."""
    _bound()
    # What a library prints must not end up between two answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    # One question at a time is under way, so none waits in a buffer where select cannot see it.
    while select.select([questions], [], [], IDLE_SECONDS_MAX)[0] and (
        line := questions.readline()
    ):
        asked = json.loads(line)
        try:
            answer = decode(Path(asked["source"]), Path(asked["folder"]), asked["stem"])
        except Refused as error:
            answer = {"refused": error.code, "reason": str(error)}
        except OSError as error:
            # The disk, not the picture: `decode` turns a decoder's errors into refusals.
            answer = {"errno": error.errno, "reason": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")


def decode(source: Path, folder: Path, stem: str) -> dict[str, Any]:
    """Write the picture in `source` anew as `folder/stem.jpg` or `.png` and return its facts.

    `width` and `height` are those of the file written, `source_side` is the shorter side of the
    original. Raises `Refused` `image_unreadable`, `image_too_many_pixels` or `image_too_small`.
    """
    data = source.read_bytes()
    is_png = data.startswith(PNG_MAGIC)
    if not is_png and not data.startswith(JPEG_MAGIC):
        raise Refused("image_unreadable", "is neither a JPEG nor a PNG")
    kind = "PNG" if is_png else "JPEG"
    try:
        picture, side = _upright(data, kind)
    except Refused:
        raise
    except MemoryError:
        raise Refused("image_unreadable", "needs too much memory to decode") from None
    except Exception:
        # A decoder fed with broken bytes raises whatever it likes.
        raise Refused("image_unreadable", f"is a broken {kind}") from None
    extension = "png" if is_png else "jpg"
    written = io.BytesIO()
    if is_png:
        picture.save(written, "PNG")
    else:
        picture.save(written, "JPEG", quality=JPEG_QUALITY)
    (folder / f"{stem}.{extension}").write_bytes(written.getbuffer())
    return {
        "extension": extension,
        "width": picture.width,
        "height": picture.height,
        "bytes": written.tell(),
        "sha256": hashlib.sha256(written.getbuffer()).hexdigest(),
        "source_side": side,
        **_look(picture),
    }


def _upright(data: bytes, kind: str) -> tuple[Image.Image, int]:
    # The plugins are called by name: `Image.open` would try every format it knows, and take a JPEG
    # with a second picture in it for something else.
    plugin = PngImagePlugin.PngImageFile if kind == "PNG" else JpegImagePlugin.JpegImageFile
    with plugin(io.BytesIO(data)) as image:
        width, height = image.size
        if width * height > PIXELS_MAX:
            raise Refused(
                "image_too_many_pixels", f"has {width} x {height} pixels, over {PIXELS_MAX}"
            )
        if min(width, height) < SIDE_MIN:
            raise Refused(
                "image_too_small",
                f"has {width} x {height} pixels; each side needs {SIDE_MIN}",
            )
        # A JPEG is decoded at half its size or less where that is enough.
        image.draft(None, (SIDE_MAX, SIDE_MAX))
        image.load()
        if kind == "PNG" and PNG_END not in data:
            raise Refused("image_unreadable", "is a truncated PNG")
        return _plain(image), min(width, height)


def _plain(image: Image.Image) -> Image.Image:
    """Return the picture as RGB in sRGB, upright, small enough, and nothing else."""
    profile = image.info.get("icc_profile")
    picture: Image.Image = image
    if picture.mode.startswith("I"):
        # Sixteen bits of grey; Pillow would clip them.
        picture = picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
    elif picture.mode not in ("RGB", "L", "CMYK", "YCbCr", "LAB"):
        picture = picture.convert("RGB")
    if max(picture.size) > SIDE_MAX:
        scale = SIDE_MAX / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    picture = _srgb(picture, profile)
    orientation = image.getexif().get(0x0112)
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    # A picture made of pixels alone has nothing to tell.
    bare = Image.new("RGB", picture.size)
    bare.paste(picture)
    return bare


def _srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
    if alpha is not None:
        picture = picture.convert("RGB")
    if profile and len(profile) <= PROFILE_BYTES_MAX:
        # A profile that is broken, or of other channels than the picture's, is none.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            changed = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if changed is not None:
                picture = changed
    picture = picture.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=alpha)
        picture = white
    return picture


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _look(picture: Image.Image) -> dict[str, Any]:
    """Return what findings are made of: sharpness, brightness, a hash of the look, of the pixels.

    `sharpness` is the variance of the Laplacian of the grey picture at `SHARPNESS_SIDE`;
    `brightness` the mean grey, 0 to 255; `look` is a difference hash of 64 bits
    (https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html).
    """
    grey = picture.convert("L")
    scale = SHARPNESS_SIDE / max(grey.size)
    size = (max(3, round(grey.width * scale)), max(3, round(grey.height * scale)))
    normal = grey.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    edges = normal.filter(_LAPLACIAN)
    # The filter leaves the outermost pixels as they were.
    inner = ImageOps.crop(edges, 1)
    tiny = grey.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX).tobytes()
    bits = 0
    for row in range(HASH_SIDE):
        for column in range(HASH_SIDE):
            place = row * (HASH_SIDE + 1) + column
            bits = bits << 1 | (tiny[place] < tiny[place + 1])
    return {
        "sharpness": ImageStat.Stat(inner).var[0],
        "brightness": ImageStat.Stat(normal).mean[0],
        "look": bits,
        "pixels": hashlib.sha256(struct.pack(">II", *picture.size) + picture.tobytes()).hexdigest(),
    }


def _bound() -> None:
    # The pixels are counted here; Pillow's own limit would only warn.
    Image.MAX_IMAGE_PIXELS = None
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_FSIZE, FILE_BYTES_MAX),
        (resource.RLIMIT_NOFILE, FILES_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        # A system that has no such limit, or a lower one already.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(KILLED_FIRST)


if __name__ == "__main__":
    main()
