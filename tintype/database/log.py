"""What has the embedded Postgres said?"""

import os
from pathlib import Path

NAME = "tintype.log"
BYTES_MAX = 4 * 1024 * 1024
TAIL_BYTES_MAX = 2_000


def trim(folder: Path) -> None:
    """Keep the newest half of the log once it is over `BYTES_MAX`; the server goes on writing."""
    path = folder / NAME
    if size_bytes(folder) > BYTES_MAX:
        with path.open("r+b") as file:
            file.seek(-BYTES_MAX // 2, os.SEEK_END)
            kept = file.read()
            file.seek(0)
            file.truncate()  # the server appends, so it goes on behind what is written here
            file.write(kept)


def size_bytes(folder: Path) -> int:
    """Return how long the log is; 0 without one."""
    path = folder / NAME
    return path.stat().st_size if path.exists() else 0


def since(folder: Path, offset: int) -> bytes:
    """Return what was written from `offset` on, or the newest part of much."""
    try:
        with (folder / NAME).open("rb") as file:
            file.seek(max(offset, size_bytes(folder) - 100 * TAIL_BYTES_MAX))
            return file.read()
    except FileNotFoundError:
        return b""
