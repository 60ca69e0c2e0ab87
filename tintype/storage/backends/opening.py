"""Which backend did the operator choose?"""

from typing import Any

import msgspec

from tintype.config import Config
from tintype.errors import OperatorError
from tintype.storage.backends.backend import Backend
from tintype.storage.backends.folder import FolderBackend
from tintype.storage.backends.s3 import S3Backend, S3Settings

FOLDER = "objects"
KINDS = ("folder", "s3")


def open_backend(config: Config) -> Backend:
    """Return the backend that `[tintype.storage]` names: `<data>/objects`, or an S3 bucket.

    Raises `OperatorError`: `storage_backend_unknown`, `storage_bucket_missing`,
    `storage_key_incomplete`, `storage_settings_malformed`.
    """
    chosen: dict[str, Any] = msgspec.structs.asdict(config.storage)
    kind = chosen.get("backend", KINDS[0])
    if kind == "folder":
        return FolderBackend(config.data / FOLDER)
    if kind != "s3":
        raise OperatorError(
            "storage_backend_unknown",
            f"`backend` of `[tintype.storage]` is {kind!r}.",
            hint=f"It is one of {', '.join(KINDS)}.",
        )
    if not chosen.get("bucket"):
        raise OperatorError(
            "storage_bucket_missing",
            "The S3 backend needs a bucket.",
            hint="Set `bucket` in `[tintype.storage]`.",
        )
    if bool(chosen.get("access_key_id")) != bool(chosen.get("secret_access_key")):
        raise OperatorError(
            "storage_key_incomplete",
            "Of the S3 key only one half is set.",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither.",
        )
    known = {field.name for field in msgspec.structs.fields(S3Settings)}
    return S3Backend(
        S3Settings(**{name: value for name, value in chosen.items() if name in known and value})
    )
