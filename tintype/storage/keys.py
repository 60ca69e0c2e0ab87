"""What may a bucket or an object be called, and where do its bytes lie?

The characters are those of Supabase's storage-api. Segments `.`, `..` and empty ones are refused,
as is a segment longer than a file name may be, so that a name means the same on every backend.
"""

import re
from uuid import UUID

from tintype.errors import InvalidRequest

NAME_BYTES_MAX = 1024
SEGMENT_BYTES_MAX = 255
BUCKET_CHARACTERS_MAX = 100

_NAME = re.compile(r"[A-Za-z0-9_/!.*'() &$=@;:+,?-]+")
_BUCKET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_!.*'() &$=@;:+,?-]*")


def is_name(name: str) -> bool:
    """Return whether an object may be called `name`."""
    return (
        len(name) <= NAME_BYTES_MAX
        and _NAME.fullmatch(name) is not None
        and all(
            segment not in ("", ".", "..") and len(segment) <= SEGMENT_BYTES_MAX
            for segment in name.split("/")
        )
    )


def is_prefix(text: str) -> bool:
    """Return whether names may begin with `text`; all of them begin with nothing."""
    return len(text) <= NAME_BYTES_MAX and (not text or _NAME.fullmatch(text) is not None)


def is_bucket(bucket: str) -> bool:
    """Return whether a bucket may be called `bucket`. None begins with a dot."""
    return (
        len(bucket) <= BUCKET_CHARACTERS_MAX
        and _BUCKET.fullmatch(bucket) is not None
        and not bucket.endswith(" ")
    )


def check_name(name: str) -> None:
    """Raise `InvalidRequest` (`invalid_key`) unless an object may be called `name`."""
    if not is_name(name):
        raise InvalidRequest(
            "invalid_key",
            f"Invalid key: {name[:200]}",
            hint=f"Use A-Z a-z 0-9 _/!.*'() &$=@;:+,?- and at most {NAME_BYTES_MAX} bytes.",
        )


def check_bucket(bucket: str) -> None:
    """Raise `InvalidRequest` (`invalid_key`) unless a bucket may be called `bucket`."""
    if not is_bucket(bucket):
        raise InvalidRequest("invalid_key", f"Invalid bucket name: {bucket[:200]}")


def key(bucket: str, name: str, version: str) -> str:
    """Return where the bytes of one version lie. Raises `InvalidRequest` (`invalid_key`)."""
    check_bucket(bucket)
    check_name(name)
    return f"{bucket}/{name}/{version}"


def parse_key(text: str) -> tuple[str, str, str] | None:
    """Return bucket, name and version of a key that `key` made, else None."""
    bucket, _, rest = text.partition("/")
    name, _, version = rest.rpartition("/")
    try:
        UUID(version)
    except ValueError:
        return None
    return (bucket, name, version) if name else None
