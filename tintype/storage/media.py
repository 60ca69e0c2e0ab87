"""Of which type are these bytes, and does the bucket take it?

Where a bucket takes images, the first bytes decide and not what the client calls them.
"""

import mimetypes
import re
from collections.abc import Sequence

from tintype.errors import InvalidRequest, UnsupportedMedia

SNIFF_BYTES = 512
MEDIA_TYPE_CHARACTERS_MAX = 255
CACHE_CONTROL_CHARACTERS_MAX = 128
UNKNOWN = "application/octet-stream"

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+( *;[\x20-\x7e]*)?", re.ASCII)
_SVG = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]",
    re.DOTALL | re.IGNORECASE,
)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
# ISO 14496-12 file types, at byte 8 after `ftyp`.
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"qt  ": "video/quicktime",
}


def sniff(head: bytes) -> str | None:
    """Return the media type that the first `SNIFF_BYTES` bytes show, None when they show none."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    return "image/svg+xml" if _SVG.match(head) else None


def guess(head: bytes, name: str) -> str:
    """Return the type of bytes whose declared type was lost: by bytes, else by extension."""
    return sniff(head) or mimetypes.guess_type(name)[0] or UNKNOWN


def check_media_type(declared: str) -> str:
    """Return `declared` when it can stand in a header; raise `InvalidRequest` otherwise."""
    if len(declared) > MEDIA_TYPE_CHARACTERS_MAX or not _MEDIA_TYPE.fullmatch(declared):
        raise InvalidRequest("media_type_malformed", "The content type is not a media type.")
    return declared


def check_cache_control(text: str) -> str:
    """Return `text` when it can stand in a header; raise `InvalidRequest` otherwise."""
    if len(text) > CACHE_CONTROL_CHARACTERS_MAX or not (text.isascii() and text.isprintable()):
        raise InvalidRequest("cache_control_malformed", "The cache control is malformed.")
    return text


def check_declared(declared: str, allowed: Sequence[str] | None) -> None:
    """Raise what `decide` would, as far as it is known without the bytes."""
    kind = check_media_type(declared).partition(";")[0].strip().lower()
    if allowed and not _images_alone(allowed) and not _in(kind, allowed):
        raise _unsupported(kind)


def decide(declared: str, head: bytes, allowed: Sequence[str] | None) -> str:
    """Return the type under which to store the object.

    `allowed` is the bucket's list (`image/png`, `image/*`); None or empty takes everything as it is
    declared. In a list of images alone the declared type counts nothing; elsewhere it has to be in
    the list, and what calls itself an image has to be one. Raises `UnsupportedMedia`.
    """
    if not allowed:
        return declared
    images_alone = _images_alone(allowed)
    kind = declared.partition(";")[0].strip().lower()
    if not images_alone and not _in(kind, allowed):
        raise _unsupported(kind)
    if not images_alone and not kind.startswith("image/"):
        return declared
    actual = sniff(head)
    if actual is None or not actual.startswith("image/"):
        raise _unsupported(kind, "The bytes are not those of an image of a known format.")
    if not _in(actual, allowed):
        raise _unsupported(actual)
    return actual


def _images_alone(allowed: Sequence[str]) -> bool:
    return all(pattern.startswith("image/") for pattern in allowed)


def _in(kind: str, allowed: Sequence[str]) -> bool:
    return any(
        pattern in ("*/*", kind)
        or (pattern.endswith("/*") and kind.startswith(pattern.removesuffix("*")))
        for pattern in (pattern.strip().lower() for pattern in allowed)
    )


def _unsupported(kind: str, hint: str | None = None) -> UnsupportedMedia:
    return UnsupportedMedia(
        "mime_type_not_supported", f"mime type {kind} is not supported", hint=hint
    )
