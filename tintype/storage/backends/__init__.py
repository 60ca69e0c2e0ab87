"""Where bytes lie: the protocol of a Backend, and the folder and the S3 bucket that keep it."""

from tintype.storage.backends.backend import Backend, BackendFailed, Stat
from tintype.storage.backends.folder import FolderBackend
from tintype.storage.backends.opening import open_backend
from tintype.storage.backends.s3 import S3Backend, S3Settings

__all__ = [
    "Backend",
    "BackendFailed",
    "FolderBackend",
    "S3Backend",
    "S3Settings",
    "Stat",
    "open_backend",
]
