"""Objects in buckets: bytes on a backend, a row in `storage.objects`, row-level security over both.

Nouns: a Bucket is public or private and may limit size and media types. An Object is a row that
points at bytes, `{bucket}/{name}/{version}` on the Backend, a folder or a bucket of S3. Every write
has a version of its own: replacing an object moves its row from whole bytes to other whole bytes,
and an object `a` can stand beside `a/b` on a disk. A SignedUrl lets whoever holds it read or upload
one object, for a time. An Upload arrives in pieces, outlives the server, and becomes an object
(`uploads`). A picture can leave in another size (`transforms`).

Verbs of the kernel: `write` (bytes, no row), `record` (the row, in your transaction), `read`,
`stat`, `unrecorded` (bytes whose row never came), `discard`, `sign`, `public_url`, `sweep_uploads`,
`clear_folder` with `look_below` for the proof.
Verbs that act as a caller, under row-level security: `put`, `stat`, `list`, `remove`, and move,
copy, pages of a listing and resumable uploads over HTTP.

Promised:
- The row is the truth. What has a row has all its bytes, on the disk; bytes without a row are not
  an object, and are kept only for a retry to adopt.
- Nobody sees half an object: bytes are synced before they are renamed into place, and the row moves
  in one transaction.
- A refused, truncated or oversized upload leaves neither a row nor bytes. A process killed in the
  middle leaves bytes without a row, or a file in the staging folder, which is emptied after a day.
- A gigabyte goes in and out with the server growing by less than 64 MB, in one body or in pieces.
- What no policy grants is denied, and looks as if it did not exist.
- Nothing that was uploaded runs: `text/html` goes out as `text/plain`; SVG and other markup that
  can hold scripts goes out sandboxed and as an attachment, and is never rendered.

`routes` serves all this as `/storage/v1`, as Supabase's clients and TUS 1.0.0 speak it.
"""

from tintype.storage.backends import (
    Backend,
    BackendFailed,
    FolderBackend,
    S3Backend,
    S3Settings,
    Stat,
)
from tintype.storage.clearing import Left, clear_folder, look_below
from tintype.storage.door import routes
from tintype.storage.objects import Storage, open_storage
from tintype.storage.rows import StoredObject
from tintype.storage.uploads import sweep_uploads

__all__ = [
    "Backend",
    "BackendFailed",
    "FolderBackend",
    "Left",
    "S3Backend",
    "S3Settings",
    "Stat",
    "Storage",
    "StoredObject",
    "clear_folder",
    "look_below",
    "open_storage",
    "routes",
    "sweep_uploads",
]
