"""Is a file that a worker uploaded tensors, and nothing that could run?

A safetensors file is eight bytes with the length of its header, the header as JSON, and the bytes
of the tensors (https://github.com/huggingface/safetensors#format). Only the header is read, and
nothing is ever unpickled.
"""

import asyncio
import hashlib
import math
from typing import Annotated

import msgspec

from tintype.errors import InvalidRequest
from tintype.storage import Storage, StoredObject

LENGTH_BYTES = 8
# A header has about a hundred bytes for each tensor; the format allows ten times as much.
HEADER_BYTES_MAX = 10_000_000
METADATA = "__metadata__"
DTYPE_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
}

Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a header: `data_offsets` are begin and end behind the header, in bytes."""

    dtype: str
    shape: Annotated[list[Whole], msgspec.Meta(max_length=8)]
    data_offsets: tuple[Whole, Whole]


async def check_tensors(storage: Storage, stored: StoredObject) -> list[str]:
    """Return the names of the tensors in a safetensors file.

    Raises `InvalidRequest` `file_empty`, or `file_unreadable` unless the header is JSON that
    describes every byte behind it once; `file_changed` when the file was replaced meanwhile.
    """
    if stored.size == 0:
        raise InvalidRequest("file_empty", f"{stored.name} has no bytes.")
    if stored.size < LENGTH_BYTES:
        raise _unreadable(stored, "cut off")
    length = int.from_bytes(await _read(storage, stored, 0, LENGTH_BYTES), "little")
    if not 2 <= length <= min(HEADER_BYTES_MAX, stored.size - LENGTH_BYTES):
        raise _unreadable(stored, "no safetensors file")
    header = await _read(storage, stored, LENGTH_BYTES, LENGTH_BYTES + length)
    try:
        tensors = await asyncio.to_thread(_tensors, header)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _unreadable(stored, "no safetensors file: its header does not hold") from error
    if not _is_covered(tensors, stored.size - LENGTH_BYTES - length):
        raise _unreadable(stored, "cut off, or its tensors overlap")
    return list(tensors)


async def check_sha256(storage: Storage, stored: StoredObject, sha256: str) -> None:
    """Raise `InvalidRequest` `sha256_mismatch` unless the file has this digest; reads it once."""
    digest = hashlib.sha256()
    try:
        async for chunk in await storage.open(stored):
            await asyncio.to_thread(digest.update, chunk)
    except FileNotFoundError as error:
        raise _changed(stored) from error
    if digest.hexdigest() != sha256:
        raise InvalidRequest(
            "sha256_mismatch",
            f"{stored.name} has the SHA-256 digest {digest.hexdigest()}.",
            hint="Upload the file again by a new grant, then report that one.",
        )


async def _read(storage: Storage, stored: StoredObject, start: int, end: int) -> bytes:
    try:
        return b"".join([chunk async for chunk in await storage.open(stored, start, end)])
    except FileNotFoundError as error:
        raise _changed(stored) from error


def _tensors(header: bytes) -> dict[str, Tensor]:
    entries = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
    metadata = entries.pop(METADATA, None)
    if metadata is not None:
        msgspec.json.decode(metadata, type=dict[str, str])
    return {name: msgspec.json.decode(entry, type=Tensor) for name, entry in entries.items()}


def _is_covered(tensors: dict[str, Tensor], size: int) -> bool:
    """Return whether the tensors lie one behind the other in so many bytes, without a gap."""
    end = 0
    for tensor in sorted(tensors.values(), key=lambda one: one.data_offsets):
        bits = DTYPE_BITS.get(tensor.dtype)
        begin, behind = tensor.data_offsets
        if bits is None or begin != end or math.prod(tensor.shape) * bits != 8 * (behind - begin):
            return False
        end = behind
    return end == size


def _unreadable(stored: StoredObject, what: str) -> InvalidRequest:
    return InvalidRequest(
        "file_unreadable",
        f"{stored.name} is {what}.",
        hint="Upload the file again by a new grant, then report that one.",
    )


def _changed(stored: StoredObject) -> InvalidRequest:
    return InvalidRequest(
        "file_changed",
        f"{stored.name} was replaced while it was looked at.",
        hint="Report again when all files are written.",
    )
