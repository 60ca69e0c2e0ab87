"""How does the body of train-identity become what it says?"""

import asyncio
import errno
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from tintype import clock
from tintype.errors import InvalidRequest, Unavailable
from tintype.identities.receiving.outline import IMAGES_MAX, KNOWN, invalid, missing, not_json
from tintype.identities.receiving.scanner import Scanner

IMAGES_MIN = 3
# Forty pictures of 20 MiB are 1,118,481,120 bytes of base64; the rest is for line breaks, escapes
# and the text around them.
BODY_BYTES_MAX = 1200 * 1024 * 1024
# 2.7 Mbit/s are enough for the largest.
ANSWER_SECONDS_MAX = 3600.0
# A sender slower than this, after a first while, keeps others out.
BYTES_PER_S_MIN = 8 * 1024
SLOW_SECONDS_MAX = 60
# Small pieces are worked on at once; a thread costs more than they do.
INLINE_BYTES_MAX = 8 * 1024
PIECE_BYTES = 256 * 1024
RETRY_AFTER_SECONDS = 60

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Received(msgspec.Struct, frozen=True):
    """One picture: `name` is the client's, `path` ours, `bytes` its size on disk."""

    name: str
    path: Path
    bytes: int


class TrainIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. `extra` holds the members that are not named here."""

    identityName: str
    userId: str
    imageFiles: list[Received]
    extra: dict[str, Any] = {}


async def receive(chunks: AsyncIterator[bytes], folder: Path) -> TrainIdentity:
    """Return the request whose body arrives as `chunks`; its pictures are files in `folder`.

    `folder` exists, holds nothing of this name, and is the caller's to remove, whatever happens;
    when this returns or raises, nothing writes into it any more. Memory does not grow with the
    body. Raises at the byte that shows it: `TooLarge` `image_too_large` or `text_too_large`;
    `InvalidRequest` `too_many_images`, `image_not_base64`, `image_not_supported`, `body_empty`,
    `body_not_json`, `nested_too_deeply`, `member_repeated`, `field_invalid`, `upload_too_slow`, and
    at the end `too_few_images`; `Unavailable` `disk_full`. What `chunks` raises goes through.
    """
    intake = _Intake(folder)
    started = clock.monotonic_seconds()
    try:
        async for chunk in chunks:
            for place in range(0, len(chunk), PIECE_BYTES):
                await intake.take(chunk[place : place + PIECE_BYTES])
            _check_pace(intake.bytes, clock.monotonic_seconds() - started)
        return intake.finish()
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise Unavailable(
            "disk_full",
            "The server has no room for these pictures.",
            hint="Try again later, or send fewer or smaller pictures.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        ) from None
    finally:
        intake.close()


class _Intake:
    """A scanner that is fed from threads and closed from the event loop, never both at once."""

    def __init__(self, folder: Path) -> None:
        self.bytes = 0
        self._scanner = Scanner(folder)
        self._lock = threading.Lock()
        self._closed = False

    async def take(self, piece: bytes) -> None:
        self.bytes += len(piece)
        if len(piece) <= INLINE_BYTES_MAX:
            self._feed(piece)
        else:
            await asyncio.to_thread(self._feed, piece)

    def _feed(self, piece: bytes) -> None:
        # A request that was given up leaves its last thread behind, for one piece.
        with self._lock:
            if not self._closed:
                self._scanner.feed(piece)

    def finish(self) -> TrainIdentity:
        if self.bytes == 0:
            raise InvalidRequest("body_empty", "The body is empty; a JSON object is needed.")
        self._scanner.finish()
        members = _members(bytes(self._scanner.text))
        for name in KNOWN:
            if name not in members:
                missing(name)
            if name != "imageFiles" and not members[name].strip():
                raise invalid(name, "it is empty")
        decoders = self._scanner.decoders
        if len(decoders) < IMAGES_MIN:
            raise InvalidRequest(
                "too_few_images",
                f"{IMAGES_MIN} to {IMAGES_MAX} images are needed; {len(decoders)} came.",
                details={"images": len(decoders)},
            )
        images = [
            Received(image["name"], decoder.path, decoder.bytes)
            for image, decoder in zip(members["imageFiles"], decoders, strict=True)
        ]
        return TrainIdentity(
            identityName=members["identityName"].strip(),
            userId=members["userId"],
            imageFiles=images,
            extra={name: value for name, value in members.items() if name not in KNOWN},
        )

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._scanner.close()


def _members(text: bytes) -> dict[str, Any]:
    try:
        # Strict where ijson is not: half a surrogate pair, numbers without end.
        members: dict[str, Any] = msgspec.json.decode(text.decode())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(error) from None
    if _NUL.search(text):
        raise invalid("", "text may not hold a NUL character")
    return members


def _check_pace(received_bytes: int, seconds: float) -> None:
    if seconds > SLOW_SECONDS_MAX and received_bytes < BYTES_PER_S_MIN * seconds:
        raise InvalidRequest(
            "upload_too_slow",
            f"The upload is slower than {BYTES_PER_S_MIN} bytes a second.",
            hint="Send it over a faster connection, or send smaller pictures.",
        )
