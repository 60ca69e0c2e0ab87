"""What is known of an object before its bytes come, and who brings them?"""

from typing import Any
from uuid import uuid4

import msgspec

from tintype.auth import Principal
from tintype.storage import media
from tintype.storage.rows import CACHE_CONTROL, StoredObject


class Uploader(msgspec.Struct, frozen=True):
    """Who uploads: a caller, or (`principal` None) whoever holds the signed URL `owner` made.

    Such a URL may grant so many bytes in place of the server's limit.
    """

    principal: Principal | None
    owner: str | None
    bytes_max: int | None = None

    @classmethod
    def of(cls, principal: Principal) -> "Uploader":
        """Return the caller as an uploader: what it uploads is its own."""
        return cls(principal, principal.owner)

    @property
    def role(self) -> str | None:
        """Return the caller's role; None with a signed URL, which row-level security granted."""
        return self.principal.role if self.principal is not None else None


class Draft(msgspec.Struct, frozen=True):
    """An object to be: where it goes, and what was said of its bytes.

    `media_type` is what the sender calls them. With `upsert` it replaces what has its name.
    """

    bucket: str
    name: str
    media_type: str = media.UNKNOWN
    cache_control: str = CACHE_CONTROL
    user_metadata: dict[str, Any] | None = None
    upsert: bool = False

    def stored(self, version: str | None = None) -> StoredObject:
        """Return the object as it is without a byte, under a new version unless one is given.

        Raises `InvalidRequest` for a name, type or cache control that cannot be.
        """
        stored = StoredObject(
            bucket=self.bucket,
            name=self.name,
            version=version or str(uuid4()),
            size=0,
            etag="",
            media_type=media.check_media_type(self.media_type),
            cache_control=media.check_cache_control(self.cache_control),
        )
        stored.key()
        return stored
