"""Which files does a report name, and how do they become the user's?

A file is believed only as far as it can be checked: it lies in the job's own scope, is there, and
is what the job was to make. It stays the worker's until a transaction hands it over.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from tintype import jobs
from tintype.database import Connection, named_queries
from tintype.errors import InvalidRequest
from tintype.jobs import Job
from tintype.storage import StoredObject
from tintype.workers.kernel import Kernel
from tintype.workers.outside.identity import OutsideWorker
from tintype.workers.outside.lending import bucket_of
from tintype.workers.outside.probing import Probed, probe
from tintype.workers.outside.report import Report
from tintype.workers.thumbnail import THUMBNAIL_MEDIA_TYPE

ENHANCED_PROMPT_CHARACTERS_MAX = 10_000
CACHE_CONTROL = "max-age=31536000, immutable"
# Added to the whole name: it is no output's, and two outputs never share it.
THUMBNAIL_SUFFIX = ".thumb.webp"
NAME_CHARACTERS_SHOWN = 200
OBJECT_ROUTES = ("public", "sign", "authenticated")

Checked = tuple[StoredObject, Probed]


async def checked_outputs(kernel: Kernel, job: Job, paths: Sequence[str]) -> list[Checked]:
    """Return the outputs of a report, each looked at. Writes nothing.

    Raises `InvalidRequest`: `outputs_missing`, `too_many_outputs`, and as `found` and `probe` do.
    """
    if not paths:
        raise InvalidRequest("outputs_missing", "A completed job has at least one file.")
    if len(paths) > job.quantity:
        raise InvalidRequest(
            "too_many_outputs", f"This job has {job.quantity} outputs, not {len(paths)}."
        )
    names = [_name(kernel, bucket_of(job), path) for path in paths]
    if len(set(names)) != len(names):
        raise InvalidRequest("outputs_missing", "The same file is reported twice.")
    kind = (
        jobs.job_types()[job.job_type].media_type if job.job_type in jobs.job_types() else "image"
    )
    outputs = []
    for path in paths:
        stored = await found(kernel, job, path)
        outputs.append((stored, await probe(kernel.storage, stored, kind=kind)))
    return outputs


async def found(kernel: Kernel, job: Job, path: str) -> StoredObject:
    """Return the file that a report of the job names.

    Raises `InvalidRequest`: `path_out_of_scope`, `path_missing`.
    """
    bucket = bucket_of(job)
    name = _name(kernel, bucket, path)
    is_in_scope = not name.endswith(THUMBNAIL_SUFFIX) and await kernel.pool.fetchval(
        named_queries("outside")["is_in_scope"], job.id, bucket, name
    )
    if not is_in_scope:
        raise InvalidRequest(
            "path_out_of_scope",
            f"{name[:NAME_CHARACTERS_SHOWN]} does not lie in the scope of this job.",
            hint=f"Write to {bucket}/{job.user_id}/, with the job's id in the name.",
        )
    stored = await kernel.storage.stat(bucket, name)
    if stored is None:
        raise InvalidRequest("path_missing", f"There is no file {bucket}/{name}.")
    return stored


async def store_thumbnail(kernel: Kernel, stored: StoredObject, probed: Probed) -> StoredObject:
    """Store an output's thumbnail, without a row, and return it."""
    return await kernel.storage.write(
        stored.bucket,
        stored.name + THUMBNAIL_SUFFIX,
        probed.thumbnail,
        media_type=THUMBNAIL_MEDIA_TYPE,
        cache_control=CACHE_CONTROL,
    )


async def hand_over(kernel: Kernel, connection: Connection, job: Job, stored: StoredObject) -> None:
    """Make a file that was looked at the user's, in the caller's transaction.

    Raises `InvalidRequest` `file_changed` when it has other bytes by now.
    """
    if not await kernel.storage.hand_over(connection, stored, owner=job.user_id):
        raise InvalidRequest(
            "file_changed",
            f"{stored.name} was replaced while it was looked at.",
            hint="Report again when all files are written.",
        )


def output_row(
    kernel: Kernel,
    worker: OutsideWorker,
    report: Report,
    position: int,
    checked: Checked,
    small: StoredObject,
) -> dict[str, Any]:
    """Return an output as `jobs.deliver` records it; `small` is its thumbnail."""
    stored, probed = checked
    enhanced = report.enhanced_prompt
    storage = kernel.storage
    url_of = storage.public_url if probed.is_public else storage.object_url
    return {
        "media_type": "video" if probed.media_type.startswith("video/") else "image",
        "position": position,
        "bucket": stored.bucket,
        "path": stored.name,
        "url": url_of(stored.bucket, stored.name),
        "thumbnail_url": url_of(small.bucket, small.name),
        "enhanced_prompt": enhanced and enhanced[:ENHANCED_PROMPT_CHARACTERS_MAX],
        "width": probed.width,
        "height": probed.height,
        "seed": _seed(report, position),
        "provider": f"worker:{worker.name}",
        "model": None,
        "metadata": {
            "media_type": probed.media_type,
            "bytes": stored.size,
            "thumbnail_path": small.name,
            **({"seconds": probed.seconds} if probed.seconds is not None else {}),
            **({"frames": probed.frames} if probed.frames is not None else {}),
        },
    }


def _name(kernel: Kernel, bucket: str, path: str) -> str:
    """Return a reported path as a name inside the bucket."""
    base = f"{kernel.config.public_url}/storage/v1/object/"
    if path.startswith(base):
        path = unquote(urlsplit(path).path.partition("/storage/v1/object/")[2])
        first, _, rest = path.partition("/")
        path = rest if first in OBJECT_ROUTES else path
    return path.lstrip("/").removeprefix(f"{bucket}/")


def _seed(report: Report, position: int) -> int | None:
    seed = report.metadata.get("seed")
    if isinstance(seed, list):
        seed = seed[position] if position < len(seed) else None
    is_seed = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63
    return seed if is_seed else None
