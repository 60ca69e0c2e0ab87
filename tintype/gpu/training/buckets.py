"""In which size is a picture trained?

A bucket is a size of about the area of `resolution` squared. A picture goes into the one whose
shape is nearest to its own, so that little of it is cut off. It is never mirrored: a face has two
different sides.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from PIL import Image, ImageOps

from tintype.worker_client import JobFailed

PIXELS_MAX = 50_000_000
UNIT_PIXELS = 64
# Small models, as they are used to try things out, have small sizes.
SMALL_RESOLUTION_PIXELS = 256
SMALL_UNIT_PIXELS = 16
# The longer side over the shorter.
ASPECT_MAX = 2.0

Size = tuple[int, int]


class Framed(msgspec.Struct, frozen=True):
    """A picture in its bucket: pixels of -1 to 1 as channels, height, width.

    `original`, `corner` (of the cut, in the scaled picture) and `size` are heights and widths.
    """

    pixels: Any
    original: Size
    corner: Size
    size: Size


def buckets_of(resolution: int) -> list[Size]:
    """Return the sizes, width and height, that pictures are trained in."""
    unit = UNIT_PIXELS if resolution >= SMALL_RESOLUTION_PIXELS else SMALL_UNIT_PIXELS
    found = set()
    for long in range(unit, int(resolution * ASPECT_MAX), unit):
        short = resolution**2 // long // unit * unit
        if 0 < short <= long <= ASPECT_MAX * short:
            found |= {(long, short), (short, long)}
    return sorted(found)


def bucket_for(width: int, height: int, buckets: Sequence[Size]) -> Size:
    """Return the bucket whose shape is nearest to that of a picture; of two, the larger."""

    def away(bucket: Size) -> tuple[float, int]:
        return abs(math.log(bucket[0] / bucket[1]) - math.log(width / height)), -math.prod(bucket)

    return min(buckets, key=away)


def framed(path: Path, buckets: Sequence[Size], *, number: int) -> Framed:
    """Read picture `number` (from 1), scale it to fill its bucket, and cut out the middle.

    Raises `JobFailed`, not to be tried again, when it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > PIXELS_MAX:
                raise JobFailed(f"Training picture {number} is too large.")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise JobFailed(f"Training picture {number} cannot be read.") from error
    width, height = bucket_for(upright.width, upright.height, buckets)
    scale = max(width / upright.width, height / upright.height)
    scaled = upright.resize(
        (max(width, round(upright.width * scale)), max(height, round(upright.height * scale))),
        Image.Resampling.LANCZOS,
    )
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    cut = scaled.crop((left, top, left + width, top + height))
    levels = torch.frombuffer(bytearray(cut.tobytes()), dtype=torch.uint8)
    pixels = levels.view(height, width, 3).permute(2, 0, 1).float() / 127.5 - 1
    return Framed(pixels, (upright.height, upright.width), (top, left), (height, width))
