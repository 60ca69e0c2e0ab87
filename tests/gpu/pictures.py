"""One picture of a studio, and how far two are apart."""

import io
from typing import Any

import msgspec
from PIL import Image, ImageChops

from tests.gpu import tiny
from tintype.gpu import Studio
from tintype.gpu.recipe import Recipe
from tintype.gpu.studio import Made
from tintype.gpu.watch import Watch

# Two ways to the same picture: what rounding may make of it, in levels.
ROUNDING = 16 if tiny.torch.cuda.is_available() else 2


def make(studio: Studio, recipe: Recipe, *references: bytes, **changes: Any) -> Made:
    return studio.make(msgspec.structs.replace(recipe, **changes), references, Watch())


def one(studio: Studio, recipe: Recipe, *references: bytes, **changes: Any) -> bytes:
    [file] = make(studio, recipe, *references, **changes).files
    return file


def picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def plain(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def apart(first: bytes, second: bytes) -> int:
    """Return the largest difference of two pictures, in levels of 255."""
    extrema = ImageChops.difference(picture(first), picture(second)).getextrema()
    return max(high for _, high in extrema)  # type: ignore[misc]
