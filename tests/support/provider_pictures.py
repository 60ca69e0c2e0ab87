"""Pictures that a scripted provider sends: small and unique, huge, or a bomb."""

import hashlib
import io
import os
import random
import struct
import zlib

from PIL import Image, ImageDraw

LARGE_SIDE_PIXELS = 2000
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'


class Pictures:
    """Makes small pictures, each unlike every other one of this and of any other process."""

    def __init__(self) -> None:
        column = Image.linear_gradient("L").resize((64, 64))
        self._base = Image.merge("RGB", (column, column.rotate(90), column.rotate(180)))
        self._salt = os.urandom(8).hex()
        self._made = 0
        self._large: bytes | None = None

    def small(self, kind: str = "PNG") -> bytes:
        """Return 64 x 64 pixels with 64 bits of a counter drawn as blocks, which survive JPEG."""
        self._made += 1
        digest = hashlib.sha256(f"{self._salt}{self._made}".encode()).digest()
        bits = int.from_bytes(digest[:8], "big")
        picture = self._base.copy()
        draw = ImageDraw.Draw(picture)
        for index in range(64):
            if bits >> index & 1:
                x, y = index % 8 * 8, index // 8 * 8
                draw.rectangle((x, y, x + 7, y + 7), fill=(255, 255, 255))
        return saved(picture, kind)

    def large(self) -> bytes:
        """Return a whole PNG of 12 MB."""
        if self._large is None:
            side = LARGE_SIDE_PIXELS
            noise = random.Random(1).randbytes(side * side * 3)
            self._large = saved(Image.frombytes("RGB", (side, side), noise), "PNG", level=0)
        return self._large


def saved(picture: Image.Image, kind: str, *, level: int = 6) -> bytes:
    """Return `picture` as a file of `kind`, in memory."""
    file = io.BytesIO()
    picture.save(file, kind, compress_level=level)
    return file.getvalue()


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """Return a PNG of a kilobyte whose header promises 900 million pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    sealed = kind + data
    return struct.pack(">I", len(data)) + sealed + struct.pack(">I", zlib.crc32(sealed))
