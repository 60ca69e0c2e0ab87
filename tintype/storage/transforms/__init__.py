"""Pictures made smaller on their way out.

`Options` say what a client asks for, a `Renderer` makes it and remembers what it made. A picture is
enlarged only where both sides are asked for with `cover` or `fill`; `contain` and a single side
never enlarge. Animations give their first frame. What a camera wrote beside the picture (place,
time, names) is not passed on; its orientation is applied.

Promised:
- PNG, JPEG, WebP, GIF and AVIF are rendered; everything else is refused, SVG above all, which no
  decoder here reads.
- Nothing larger than `SOURCE_BYTES_MAX` or `SOURCE_PIXELS_MAX` is decoded, and never more than
  `RENDERS_AT_ONCE_MAX` pictures at once.
- Renders are kept in memory up to `CACHE_BYTES_MAX`, the least used go first. They are known by the
  version of the object, so a replaced object never shows its old self.
"""

from tintype.storage.transforms.options import Options, parse, parse_signed
from tintype.storage.transforms.pictures import (
    SOURCE_BYTES_MAX,
    SOURCE_PIXELS_MAX,
    Rendered,
)
from tintype.storage.transforms.renderer import (
    CACHE_BYTES_MAX,
    RENDERS_AT_ONCE_MAX,
    Renderer,
)

__all__ = [
    "CACHE_BYTES_MAX",
    "RENDERS_AT_ONCE_MAX",
    "SOURCE_BYTES_MAX",
    "SOURCE_PIXELS_MAX",
    "Options",
    "Rendered",
    "Renderer",
    "parse",
    "parse_signed",
]
