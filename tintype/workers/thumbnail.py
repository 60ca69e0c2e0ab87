"""What does a list of pictures show?"""

import asyncio
import io

from PIL import Image

THUMBNAIL_PIXELS_MAX = 384
THUMBNAIL_MEDIA_TYPE = "image/webp"
THUMBNAIL_QUALITY = 80


async def thumbnail(data: bytes) -> bytes:
    """Return a WebP of a picture that was judged good, its longer side `THUMBNAIL_PIXELS_MAX`."""
    return await asyncio.to_thread(_draw, data)


def _draw(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        # JPEG can be decoded at a fraction of its size, which is all that is needed here.
        picture.draft("RGB", (THUMBNAIL_PIXELS_MAX, THUMBNAIL_PIXELS_MAX))
        has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        small = picture.convert("RGBA" if has_alpha else "RGB")
        small.thumbnail((THUMBNAIL_PIXELS_MAX, THUMBNAIL_PIXELS_MAX))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=THUMBNAIL_QUALITY)
        return out.getvalue()
