"""Which of these pictures can be trained on?"""

import asyncio
import errno
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import msgspec

from tintype.errors import InvalidRequest, Unavailable
from tintype.identities.receiving import Received
from tintype.identities.validating.child import CHILDREN_MAX, Desk, Lost

IMAGES_MIN = 3
IMAGES_MAX = 40
NAME_CHARACTERS_SHOWN_MAX = 100
RETRY_AFTER_SECONDS = 60
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png"}

# A shorter side under this is scaled up in training.
SIDE_WANTED = 512
# Variance of the Laplacian at 512 pixels. Two sharp photographs measured 460 and 1850; blurred by a
# radius of 1 pixel at that size 41 and 159, by 2 pixels 5 and 15.
SHARPNESS_MIN = 30.0
# Mean grey of 255.
BRIGHTNESS_MIN, BRIGHTNESS_MAX = 40.0, 225.0
# Of 64 bits of the difference hash; photographs of different scenes differ in about 30.
ALIKE_BITS_MAX = 5

# Of one request at a time, so that a large one does not keep the small ones waiting.
AHEAD_MAX = 2 * CHILDREN_MAX

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_desk = Desk()


class Finding(msgspec.Struct, frozen=True):
    """Something about the pictures that training will suffer from, and that is not refused.

    `image` counts from 1. `kind`: `blurred`, `dark`, `bright`, `small`, `duplicate` (the same
    pixels as an earlier one) or `similar` (nearly the same look).
    """

    image: int | None
    name: str
    kind: str
    message: str


class ValidImage(msgspec.Struct, frozen=True):
    """One picture, written anew. `name` is the client's; size, bytes and digest are the file's."""

    name: str
    path: Path
    media_type: str
    extension: str
    width: int
    height: int
    bytes: int
    sha256: str


class ImageSet(msgspec.Struct, frozen=True):
    """All pictures, in order, and what was found of them."""

    images: list[ValidImage]
    findings: list[Finding]


class Seen(msgspec.Struct, frozen=True):
    """What the child tells of one picture; see `decoding.decode`."""

    extension: Literal["jpg", "png"]
    width: int
    height: int
    bytes: int
    sha256: str
    source_side: int
    sharpness: float
    brightness: float
    look: int
    pixels: str


async def validate(
    files: Sequence[Received],
    folder: Path,
    *,
    images_min: int = IMAGES_MIN,
    images_max: int = IMAGES_MAX,
) -> ImageSet:
    """Return the pictures of `files`, written anew as `folder/image_001.jpg`, `….png` and so on.

    A JPEG stays one, a PNG too; each is upright RGB in sRGB, at most 2048 pixels a side, without
    metadata. An animation is its first frame. `folder` is the caller's to remove, whatever
    happens; when this returns or raises, nothing writes into it any more.

    Raises `InvalidRequest`, naming the first picture it is about: `image_unreadable` (not a JPEG
    or PNG, broken, truncated, too much to decode), `image_too_many_pixels` (over 50 million),
    `image_too_small` (a side under 256), and of all of them `too_few_images`, `too_many_images` or
    `too_few_distinct_images` (fewer than `images_min` of different pixels). `Unavailable`
    `disk_full`.
    """
    if not images_min <= len(files) <= images_max:
        raise InvalidRequest(
            "too_few_images" if len(files) < images_min else "too_many_images",
            f"{images_min} to {images_max} images are needed; {len(files)} came.",
            details={"images": len(files)},
        )
    seen = await _decoded(files, folder)
    distinct = len({one.pixels for one in seen})
    if distinct < images_min:
        raise InvalidRequest(
            "too_few_distinct_images",
            f"{images_min} different images are needed; {distinct} of these are.",
            hint="The same picture under another name counts once.",
            details={"distinct": distinct},
        )
    names = [file.name for file in files]
    images = [
        _valid(one, name, folder / f"{_stem(number)}.{one.extension}")
        for number, (one, name) in enumerate(zip(seen, names, strict=True), 1)
    ]
    return ImageSet(images, _findings(seen, names))


async def _decoded(files: Sequence[Received], folder: Path) -> list[Seen]:
    seen: list[Seen] = []
    ahead: deque[Future[dict[str, Any]]] = deque()
    try:
        for number, file in enumerate(files, 1):
            if len(ahead) == AHEAD_MAX:
                seen.append(await _next(ahead, files, len(seen) + 1))
            ahead.append(_desk.decode(file.path, folder, _stem(number)))
        while ahead:
            seen.append(await _next(ahead, files, len(seen) + 1))
    finally:
        # The caller removes the folder next: what has begun is heard out, the rest never begins.
        begun = [one for one in ahead if not one.cancel()]
        if begun:
            await asyncio.to_thread(wait, begun)
    return seen


async def _next(
    ahead: "deque[Future[dict[str, Any]]]", files: Sequence[Received], number: int
) -> Seen:
    name = files[number - 1].name
    try:
        answer = await asyncio.wrap_future(ahead[0])
    except Lost:
        raise _refusal("image_unreadable", name, number, "cannot be decoded") from None
    ahead.popleft()
    if answer.get("errno") in _NO_ROOM:
        raise Unavailable(
            "disk_full",
            "The server has no room for these pictures.",
            hint="Try again later, or send fewer or smaller pictures.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        )
    if "errno" in answer:
        raise OSError(answer["errno"], answer["reason"])
    if "refused" in answer:
        raise _refusal(answer["refused"], name, number, answer["reason"])
    return msgspec.convert(answer, Seen)


def _refusal(code: str, name: str, number: int, reason: str) -> InvalidRequest:
    return InvalidRequest(
        code,
        f"{_told(name, number)} {reason}.",
        hint="Leave it out, or send another.",
        details={"image": number},
    )


def _told(name: str, number: int) -> str:
    return f"{name[:NAME_CHARACTERS_SHOWN_MAX]} (image {number})".lstrip()


def _stem(number: int) -> str:
    return f"image_{number:03}"


def _valid(one: Seen, name: str, path: Path) -> ValidImage:
    return ValidImage(
        name=name,
        path=path,
        media_type=MEDIA_TYPES[one.extension],
        extension=one.extension,
        width=one.width,
        height=one.height,
        bytes=one.bytes,
        sha256=one.sha256,
    )


def _findings(seen: Sequence[Seen], names: Sequence[str]) -> list[Finding]:
    found: list[Finding] = []

    def note(number: int, kind: str, reason: str) -> None:
        name = names[number - 1]
        found.append(Finding(number, name, kind, f"{_told(name, number)} {reason}."))

    for number, one in enumerate(seen, 1):
        if one.source_side < SIDE_WANTED:
            note(number, "small", f"is under {SIDE_WANTED} pixels on its shorter side")
        if one.sharpness < SHARPNESS_MIN:
            note(number, "blurred", "is blurred or has no detail")
        if one.brightness < BRIGHTNESS_MIN:
            note(number, "dark", "is very dark")
        elif one.brightness > BRIGHTNESS_MAX:
            note(number, "bright", "is very bright")
    told: set[int] = set()
    for (first, one), (second, other) in combinations(enumerate(seen, 1), 2):
        if second in told:
            continue
        if one.pixels == other.pixels:
            note(second, "duplicate", f"is the same picture as image {first}")
        elif (one.look ^ other.look).bit_count() <= ALIKE_BITS_MAX:
            note(second, "similar", f"looks almost like image {first}")
        else:
            continue
        told.add(second)
    return sorted(found, key=lambda finding: finding.image or 0)
