"""How does the inside of one JSON string become a file, while it arrives?

Three layers, each keeping at most a few bytes between two pieces: the escapes of JSON, the head of
a data URL, base64 in either alphabet with or without line breaks and padding.
"""

import binascii
import contextlib
import re
from pathlib import Path
from typing import NoReturn

from tintype.errors import InvalidRequest, TooLarge
from tintype.providers import name_of_other

IMAGE_BYTES_MAX = 20 * 1024 * 1024
DATA_URL_HEAD_BYTES_MAX = 1024
WRITE_BYTES = 256 * 1024
MAGIC_BYTES = 8
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")

_DATA = b"data:"
_HEAD = re.compile(rb"data:[^,]*; *base64\s*", re.IGNORECASE)
_URL_SAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\f"


class Decoder:
    """Writes one picture to `path`. `number` counts pictures from 1 and names this one."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.bytes = 0
        self._number = number
        self._file = path.open("xb", buffering=WRITE_BYTES)
        # What a data URL begins with, until it is known whether this is one.
        self._head: bytes | None = b""
        # Up to three characters of an unfinished group of four, and the padding seen.
        self._rest = b""
        self._padding = 0
        self._magic = b""

    def write(self, piece: bytes) -> None:
        """Take the next bytes of the string, as they stand in the JSON, no escape cut in two.

        Raises `TooLarge` `image_too_large`, `InvalidRequest` `image_not_base64` or
        `image_not_supported` (neither JPEG nor PNG), each at the first byte that shows it.
        """
        text = self._past_head(self._unescaped(piece))
        if text:
            self._decode(text.translate(_URL_SAFE_TO_STANDARD, _WHITESPACE))

    def finish(self) -> None:
        """Take what is left and close the file; raises as `write` does."""
        if self._head:
            head, self._head = self._head, None
            if head[: len(_DATA)].lower() == _DATA:
                self._refuse_base64()
            self._decode(head.translate(_URL_SAFE_TO_STANDARD, _WHITESPACE))
        missing = -len(self._rest) % 4
        if missing == 3 or self._padding not in (0, missing):
            self._refuse_base64()
        self._store(self._rest + b"=" * missing)
        if self.bytes < MAGIC_BYTES:
            self._refuse_kind()
        self._file.close()

    def close(self) -> None:
        """Close the file, whatever is in it; nothing is written any more."""
        # Closing writes what is buffered first, to a disk that may be full.
        with contextlib.suppress(OSError):
            self._file.close()

    def _unescaped(self, piece: bytes) -> bytes:
        if b"\\" not in piece:
            return piece
        # An escaped backslash is no base64, and without one every `\/` is an escaped slash.
        if b"\\\\" in piece:
            self._refuse_base64()
        piece = piece.replace(b"\\/", b"/")
        if b"\\" not in piece:
            return piece
        try:
            return piece.decode("unicode_escape").encode("ascii")
        except UnicodeError:
            self._refuse_base64()

    def _past_head(self, text: bytes) -> bytes:
        if self._head is None:
            return text
        text = (self._head + text).lstrip(_WHITESPACE)
        if _DATA.startswith(text[: len(_DATA)].lower()):
            head, comma, content = text.partition(b",")
            if len(head) > DATA_URL_HEAD_BYTES_MAX or (comma and not _HEAD.fullmatch(head)):
                self._refuse_base64()
            if comma:
                self._head = None
                return content
            self._head = text
            return b""
        self._head = None
        return text

    def _decode(self, text: bytes) -> None:
        text, mark, padding = text.partition(b"=")
        if text and self._padding:
            self._refuse_base64()
        self._padding += len(mark) + len(padding)
        if self._padding > 2 or padding.strip(b"="):
            self._refuse_base64()
        text = self._rest + text
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        self._store(text[:whole])

    def _store(self, groups: bytes) -> None:
        try:
            data = binascii.a2b_base64(groups, strict_mode=True)
        except binascii.Error:
            self._refuse_base64()
        if self.bytes < MAGIC_BYTES:
            self._magic += data[:1024]
            if len(self._magic) >= MAGIC_BYTES and not self._magic.startswith(MAGIC):
                self._refuse_kind()
        self.bytes += len(data)
        if self.bytes > IMAGE_BYTES_MAX:
            raise TooLarge(
                "image_too_large",
                f"Image {self._number} is over the limit of {IMAGE_BYTES_MAX} bytes.",
                hint="Send a smaller or more compressed picture.",
                details={"image": self._number, "limit_bytes": IMAGE_BYTES_MAX},
            )
        self._file.write(data)

    def _refuse_base64(self) -> NoReturn:
        raise InvalidRequest(
            "image_not_base64",
            f"Image {self._number} is not base64.",
            hint="Send the picture's bytes as base64, bare or as data:image/jpeg;base64,….",
            details={"image": self._number},
        ) from None

    def _refuse_kind(self) -> NoReturn:
        raise InvalidRequest(
            "image_not_supported",
            f"Image {self._number} is {name_of_other(self._magic)}, not a JPEG or PNG.",
            hint="Send JPG or PNG files.",
            details={"image": self._number},
        )
