"""Uploads that go on where they stopped: the state behind TUS 1.0.0.

An Upload is begun once, extended by its Parts and becomes an object whole. Verbs: `begin`, `find`,
`append`, `end`, `sweep`.

Promised:
- The offset is the end of the last Part that is recorded, and a Part is recorded once its bytes are
  synced: no `kill -9` makes the offset run ahead of the bytes.
- The last Part is recorded by becoming the object, in the transaction that records the object. An
  upload that says it is complete is an object.
- One request at a time extends an upload, whichever process it reaches; a killed process holds
  nothing up.
- Row-level security is asked when an upload begins and again before it becomes an object. To
  anybody but who began it, an upload does not exist.
- What is not gone on with for `UPLOAD_SECONDS` ends, and its bytes are removed.
"""

from tintype.storage.uploads.resumable import Resumable, sweep_uploads
from tintype.storage.uploads.upload import PART_BYTES, UPLOAD_SECONDS, Upload, upload_not_found

__all__ = [
    "PART_BYTES",
    "UPLOAD_SECONDS",
    "Resumable",
    "Upload",
    "sweep_uploads",
    "upload_not_found",
]
