"""Bodies of train-identity, the pictures in them, and how they arrive."""

import base64
import io
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from PIL import Image

SMALL_SIDE = 256


def picture(kind: str = "JPEG", *, side: int = SMALL_SIDE, seed: int = 0, **options: Any) -> bytes:
    """Return a small picture with detail, another one for each seed."""
    image = Image.radial_gradient("L").resize((side, side))
    for line in range(0, side, 8):
        image.paste((line * (seed + 3)) % 256, (line, (line * seed) % side, line + 4, side))
    out = io.BytesIO()
    image.convert("RGB").save(out, kind, **options)
    return out.getvalue()


def base64_of(data: bytes) -> str:
    """Return the bytes as an app sends them bare."""
    return base64.b64encode(data).decode()


def image_file(data: bytes | str, name: str = "photo.jpg") -> dict[str, Any]:
    """Return one of `imageFiles`."""
    return {"name": name, "data": base64_of(data) if isinstance(data, bytes) else data}


def document(files: Sequence[Any], **members: Any) -> dict[str, Any]:
    """Return a request with these `imageFiles`; a member given as None is left out."""
    whole = {"identityName": "John", "imageFiles": list(files), "userId": "a-user"} | members
    return {name: value for name, value in whole.items() if value is not None}


def body_of(files: Sequence[Any], **members: Any) -> bytes:
    """Return the same as bytes."""
    return json.dumps(document(files, **members)).encode()


async def arriving(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces as a body's."""
    for piece in pieces:
        yield piece


def cut(body: bytes, size: int) -> list[bytes]:
    """Return the body in pieces of `size` bytes."""
    return [body[place : place + size] for place in range(0, len(body), size)]
