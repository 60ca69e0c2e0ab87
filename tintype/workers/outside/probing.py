"""Is the file that a worker uploaded what its job was to make?

Pictures are decoded whole, as a provider's are. A video is opened by its own bytes, never by its
name, and its first frame is decoded: that is its poster. Files come from the object store through a
temporary file, never whole through memory.
"""

import asyncio
import io
import tempfile
from asyncio import AbstractEventLoop, Semaphore
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import av
import av.error
import msgspec

from tintype import clock
from tintype.errors import InvalidRequest, Transient
from tintype.providers import judge_output
from tintype.storage import Storage, StoredObject
from tintype.workers.thumbnail import thumbnail

# Larger pictures are no output of any job type.
PICTURE_BYTES_MAX = 64 * 1024 * 1024
VIDEO_PIXELS_MAX = 4096 * 4096
VIDEO_SECONDS_MAX = 600
# The one reader that is asked: others would follow what a file says to other files and hosts.
VIDEO_FORMAT = "mov"
# A stream whose first packets hold no frame is not played by anything.
PACKETS_BEFORE_FRAME_MAX = 100
VIDEO_PROBE_SECONDS_MAX = 30.0
BOX_HEADER_BYTES = 8
PROBES_AT_ONCE_MAX = 2

_turns: WeakKeyDictionary[AbstractEventLoop, Semaphore] = WeakKeyDictionary()


class Probed(msgspec.Struct, frozen=True):
    """What a file's own bytes say of it, a small picture of it, and whether its bucket is open."""

    media_type: str
    width: int
    height: int
    thumbnail: bytes
    is_public: bool
    seconds: float | None = None
    frames: int | None = None


async def probe(storage: Storage, stored: StoredObject, *, kind: str) -> Probed:
    """Return what the object is; `kind` is "image" or "video", as its job was to make.

    Raises `InvalidRequest`: `file_empty`, `file_too_large`, `file_unreadable`, `file_changed`.
    Reads at most the bucket's limit, on the disk; two files are probed at a time.
    """
    bucket = await storage.bucket(stored.bucket)
    bytes_max = storage.bytes_max(bucket)
    if kind == "image":
        bytes_max = min(bytes_max, PICTURE_BYTES_MAX)
    if stored.size == 0:
        raise InvalidRequest("file_empty", f"{stored.name} has no bytes.")
    if stored.size > bytes_max:
        raise InvalidRequest(
            "file_too_large", f"{stored.name} has {stored.size} bytes; {bytes_max} are allowed."
        )
    look = _picture if kind == "image" else _video
    async with _turns.setdefault(asyncio.get_running_loop(), Semaphore(PROBES_AT_ONCE_MAX)):
        try:
            return await look(storage, stored, bucket.public)
        except FileNotFoundError as error:
            raise InvalidRequest(
                "file_changed",
                f"{stored.name} was replaced while it was looked at.",
                hint="Report again when all files are written.",
            ) from error


async def _picture(storage: Storage, stored: StoredObject, is_public: bool) -> Probed:
    data = b"".join([chunk async for chunk in await storage.open(stored)])
    try:
        output = await judge_output(data)
    except Transient as error:
        raise _unreadable(stored, "not a whole picture") from error
    small = await thumbnail(data)
    return Probed(output.media_type, output.width, output.height, small, is_public)


async def _video(storage: Storage, stored: StoredObject, is_public: bool) -> Probed:
    with tempfile.TemporaryDirectory(prefix="tintype-probe-") as folder:
        path = Path(folder) / "video"
        await _download(storage, stored, path)
        poster, known = await asyncio.to_thread(_opened, path, stored)
    return Probed(thumbnail=await thumbnail(poster), is_public=is_public, **known)


async def _download(storage: Storage, stored: StoredObject, path: Path) -> None:
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in await storage.open(stored):
            await asyncio.to_thread(file.write, chunk)
    finally:
        await asyncio.to_thread(file.close)


def _opened(path: Path, stored: StoredObject) -> tuple[bytes, dict[str, Any]]:
    """Return the first frame as a PNG, and what is known of the video."""
    deadline = clock.monotonic_seconds() + VIDEO_PROBE_SECONDS_MAX
    if _is_cut_off(path):
        raise _unreadable(stored, "cut off")
    try:
        with av.open(str(path), "r", format=VIDEO_FORMAT) as container:
            if not container.streams.video:
                raise _unreadable(stored, "not an MP4 video")
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if not 0 < width * height <= VIDEO_PIXELS_MAX:
                raise _unreadable(stored, f"a video of {width}×{height} pixels")
            seconds = _seconds(container, stream)
            if seconds is not None and seconds > VIDEO_SECONDS_MAX:
                raise _unreadable(stored, f"a video of {seconds:.0f} s")
            poster = _first_frame(container, stream, deadline)
            if poster is None:
                raise _unreadable(stored, "a video without a frame")
            return poster, {
                "media_type": "video/mp4",
                "width": width,
                "height": height,
                "seconds": seconds,
                "frames": stream.frames or None,
            }
    except (av.error.FFmpegError, ValueError, OSError, MemoryError) as error:
        raise _unreadable(stored, "not a whole video") from error


def _is_cut_off(path: Path) -> bool:
    """Return whether a box of the MP4 is said to end after the file does (ISO 14496-12 §4.2)."""
    size = path.stat().st_size
    start = 0
    with path.open("rb") as file:
        while start + BOX_HEADER_BYTES <= size:
            file.seek(start)
            header = file.read(2 * BOX_HEADER_BYTES)
            length = int.from_bytes(header[:4])
            if length == 1:
                length = int.from_bytes(header[8:16])
            if length < BOX_HEADER_BYTES:
                # To the end of the file, or no box at all: what a reader makes of it will show.
                return False
            start += length
    return start > size


def _first_frame(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, deadline: float
) -> bytes | None:
    for number, packet in enumerate(container.demux(stream)):
        if number >= PACKETS_BEFORE_FRAME_MAX or clock.monotonic_seconds() > deadline:
            return None
        for frame in packet.decode():
            # It may be larger than the container says.
            if frame.width * frame.height > VIDEO_PIXELS_MAX:
                return None
            drawn: Any = frame
            out = io.BytesIO()
            drawn.to_image().save(out, "PNG", compress_level=1)
            return out.getvalue()
    return None


def _seconds(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream
) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _unreadable(stored: StoredObject, what: str) -> InvalidRequest:
    return InvalidRequest(
        "file_unreadable",
        f"{stored.name} is {what}.",
        hint="Upload the file again under the same name, then report once more.",
    )
