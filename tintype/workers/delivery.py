"""How does a picture become the user's?

Bytes first, then one transaction with the object's row, the row in generations and the job's
progress. Between the two a crash leaves bytes without a row: the next attempt adopts them.
"""

import secrets
from typing import Any

import msgspec

from tintype import database, events, jobs
from tintype.database import named_queries
from tintype.errors import Fenced, ProviderError
from tintype.jobs import Job
from tintype.providers import Model, Output, judge_output
from tintype.storage import StoredObject
from tintype.workers.kernel import Kernel
from tintype.workers.thumbnail import THUMBNAIL_MEDIA_TYPE, thumbnail

BUCKET = "generations"
# Where pictures of nobody's lie.
APART_FOLDER = "admin"
CACHE_CONTROL = "max-age=31536000, immutable"
THUMBNAIL_SUFFIX = ".thumb.webp"
# Makes a public URL unguessable: 128 bits.
RANDOM_BYTES = 16
# A worker outside the server may upload for two hours after it got the job, by its grants.
OUTSIDE_SWEEP_SECONDS = 3 * 3600.0
# How long storing one picture is repeated while the database is away.
PERSIST_SECONDS_MAX = 120.0


async def keep(kernel: Kernel, job: Job, position: int, output: Output, model: Model) -> None:
    """Store the picture and its thumbnail and deliver it at `position` of the job.

    On return it is durable, counted and visible. A position that has its picture already keeps
    it, and these bytes are dropped. Raises `Fenced` when the attempt lost the job; the bytes then
    stay for the new holder to adopt, unless the job has ended.
    """
    name = f"{_folder(job)}{position}-{secrets.token_hex(RANDOM_BYTES)}.{output.extension}"
    stored = await kernel.storage.write(
        BUCKET, name, output.data, media_type=output.media_type, cache_control=CACHE_CONTROL
    )
    await _deliver(kernel, job, position, output, model, stored)


async def keep_apart(kernel: Kernel, name: str, output: Output) -> tuple[str, str]:
    """Store a picture that belongs to no job or user, as `admin/<name>`; return its URLs.

    The second is the thumbnail's. On a crash in the middle bytes without a row may stay.
    """
    stored = await kernel.storage.write(
        BUCKET,
        f"{APART_FOLDER}/{name}.{output.extension}",
        output.data,
        media_type=output.media_type,
        cache_control=CACHE_CONTROL,
    )
    small = await _thumbnail_of(kernel, stored, output)
    async with database.transaction(kernel.pool) as connection:
        for one in (stored, small):
            await kernel.storage.record(connection, one, owner=None)
    urls = [kernel.storage.public_url(BUCKET, one.name) for one in (stored, small)]
    return urls[0], urls[1]


async def adopt(kernel: Kernel, job: Job, model: Model) -> None:
    """Deliver the whole pictures that an earlier attempt stored and could not record any more.

    They were paid for at the provider: making them again would pay twice.
    """
    for stored in await kernel.storage.unrecorded(BUCKET, _folder(job)):
        position = _position(stored.name)
        if position is None or position >= job.quantity:
            continue
        data = await _bytes(kernel, stored)
        try:
            output = await judge_output(data)
        except ProviderError:
            continue
        events.emit(events.OutputAdopted(job=str(job.id), position=position))
        await _deliver(kernel, job, position, output, model, stored)


async def delivered_positions(kernel: Kernel, job: Job) -> set[int]:
    """Return the positions of the job that have their picture."""
    return {row["position"] for row in await jobs.outputs(kernel.pool, job.id)}


async def sweep(
    kernel: Kernel,
    *,
    after_seconds: float,
    limit: int,
    outside_seconds: float = OUTSIDE_SWEEP_SECONDS,
) -> int:
    """Remove what up to `limit` jobs left that ended `after_seconds` ago or earlier.

    That is bytes without a row, and objects that a worker outside the server uploaded and nobody
    delivered; jobs of such workers wait `outside_seconds`. Late enough for a worker that lost such
    a job to have noticed. A crash in the middle leaves the rest for the next sweep. Returns how
    many jobs were looked at.
    """
    queries = named_queries("outside")
    async with database.transaction(kernel.pool) as connection:
        rows = await connection.fetch(queries["leftovers"], after_seconds, outside_seconds, limit)
        for row in rows:
            place = row["job_id"], str(row["user_id"]), row["buckets"]
            for one in await connection.fetch(queries["undelivered"], *place):
                await kernel.storage.remove(one["bucket_id"], [one["name"]])
            for bucket in row["buckets"]:
                await kernel.storage.sweep(bucket, f"{row['user_id']}/{row['job_id']}/")
    return len(rows)


async def _deliver(
    kernel: Kernel, job: Job, position: int, output: Output, model: Model, stored: StoredObject
) -> None:
    small = await _thumbnail_of(kernel, stored, output)
    row = _row(kernel, position, output, model, stored, small)
    # Repeating is safe: a second delivery of the same path finds the first.
    try:
        is_kept = await database.persist(
            lambda: _record(kernel, job, row, (stored, small)), seconds_max=PERSIST_SECONDS_MAX
        )
    except Fenced:
        current = await jobs.get(kernel.pool, job.id)
        if current is None or current.is_terminal:
            await _discard(kernel, stored, small)
        raise
    if not is_kept:
        await _discard(kernel, stored, small)


async def _thumbnail_of(kernel: Kernel, stored: StoredObject, output: Output) -> StoredObject:
    return await kernel.storage.write(
        BUCKET,
        stored.name.rsplit(".", 1)[0] + THUMBNAIL_SUFFIX,
        await thumbnail(output.data),
        media_type=THUMBNAIL_MEDIA_TYPE,
        cache_control=CACHE_CONTROL,
    )


async def _record(
    kernel: Kernel, job: Job, row: dict[str, Any], objects: tuple[StoredObject, StoredObject]
) -> bool:
    async with database.transaction(kernel.pool) as connection:
        # The job is locked first, so that two attempts cannot both write the objects' rows.
        if not await jobs.deliver(connection, job, row):
            [there] = [
                one
                for one in await jobs.outputs(connection, job.id)
                if one["position"] == row["position"]
            ]
            return bool(there["path"] == row["path"])
        for stored in objects:
            await kernel.storage.record(connection, stored, owner=job.user_id)
    return True


def _row(
    kernel: Kernel,
    position: int,
    output: Output,
    model: Model,
    stored: StoredObject,
    small: StoredObject,
) -> dict[str, Any]:
    return {
        "media_type": "image",
        "position": position,
        "bucket": stored.bucket,
        "path": stored.name,
        "url": kernel.storage.public_url(stored.bucket, stored.name),
        "thumbnail_url": kernel.storage.public_url(small.bucket, small.name),
        "width": output.width,
        "height": output.height,
        "seed": output.seed,
        "provider": model.provider,
        "model": model.id,
        "metadata": msgspec.to_builtins(output.metadata)
        | {"media_type": output.media_type, "bytes": stored.size},
    }


async def _discard(kernel: Kernel, *objects: StoredObject) -> None:
    for stored in objects:
        await kernel.storage.discard(stored)


async def _bytes(kernel: Kernel, stored: StoredObject) -> bytes:
    return b"".join([chunk async for chunk in await kernel.storage.open(stored)])


def _folder(job: Job) -> str:
    return f"{job.user_id}/{job.id}/"


def _position(name: str) -> int | None:
    file = name.rsplit("/", 1)[-1]
    if file.endswith(THUMBNAIL_SUFFIX):
        return None
    first = file.partition("-")[0]
    return int(first) if first.isdecimal() else None
