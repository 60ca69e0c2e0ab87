"""What does a worker's report do to its job?

A report is believed only as far as it can be checked: the worker has the job now, the files lie in
the job's own scope, are there, and are what the job was to make. Then they become the user's as a
provider's pictures do, and the job's credits settle.
"""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from tintype import database, events, jobs, spans
from tintype.database import Connection, Pool, named_queries
from tintype.errors import Fenced, InvalidRequest, NotFound, RequestError
from tintype.jobs import TERMINAL, Job, Status
from tintype.storage import StoredObject
from tintype.workers import settlement
from tintype.workers.kernel import Kernel
from tintype.workers.outside.identity import OutsideWorker
from tintype.workers.outside.lending import Held, bucket_of, held, lease_seconds_of, prolong
from tintype.workers.outside.probing import Probed, probe
from tintype.workers.settlement import Completion
from tintype.workers.thumbnail import THUMBNAIL_MEDIA_TYPE

MESSAGE_CHARACTERS_MAX = 1000
ENHANCED_PROMPT_CHARACTERS_MAX = 10_000
CACHE_CONTROL = "max-age=31536000, immutable"
# Added to the whole name: it is no output's, and two outputs never share it.
THUMBNAIL_SUFFIX = ".thumb.webp"
# How long looking at a report's files may take without its job going back meanwhile.
CHECK_SECONDS = 600
NAME_CHARACTERS_SHOWN = 200
# A job's outcome that a worker reported and that may go well elsewhere is tried again like a
# provider's; every other failure is the end.
TRANSIENT = "transient"
WORKER_ERROR = "worker_error"
OBJECT_ROUTES = ("public", "sign", "authenticated")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of one job. `paths` are in order of the outputs' positions.

    A path is one inside the job's bucket, one with the bucket before it, or the URL of such an
    object on this server. `cause` "transient" of a failure asks for another attempt; `progress` is
    in per cent.
    """

    status: Literal["processing", "completed", "failed"]
    paths: Sequence[str] = ()
    error_message: str | None = None
    cause: str | None = None
    enhanced_prompt: str | None = None
    progress: int = 0
    metadata: dict[str, Any] = {}


class Applied(msgspec.Struct, frozen=True):
    """What became of a report. `is_duplicate`: it was known, and nothing changed."""

    status: Status
    is_duplicate: bool = False


async def apply(
    kernel: Kernel,
    worker: OutsideWorker,
    job_id: UUID,
    report: Report,
    *,
    attempt: int | None = None,
    renews: bool = False,
) -> Applied:
    """Let a worker's report count, once.

    `completed`: every file is checked before anything is written; then, in one transaction, the
    outputs are delivered, the job ends and its credits settle. `failed`: the job ends, or is tried
    again where the cause is transient. `processing`: its progress shows; with `renews`, for a
    worker that knows no other way, its type's time begins anew. Whatever comes after the job's end,
    from a worker that reported it before, changes nothing. On a crash in the middle nothing has
    happened: the worker repeats its report, or the lease expires.

    Raises `NotFound` `job_not_held` for a job that this worker has not, or has no longer: unknown
    ones look the same. Raises `InvalidRequest` for a report that cannot be believed
    (`outputs_missing`, `too_many_outputs`, `path_out_of_scope`, `path_missing`, `file_empty`,
    `file_too_large`, `file_unreadable`, `file_changed`); the worker keeps the job and may mend it.
    """
    outcome = "crashed"
    try:
        applied = await _apply(kernel, worker, job_id, report, attempt, renews)
        outcome = "duplicate" if applied.is_duplicate else "applied"
    except RequestError as error:
        outcome = error.code
        raise
    finally:
        events.emit(
            events.CallbackReceived(
                job=str(job_id), worker=worker.name, status=report.status, outcome=outcome
            )
        )
    return applied


async def _apply(
    kernel: Kernel,
    worker: OutsideWorker,
    job_id: UUID,
    report: Report,
    attempt: int | None,
    renews: bool,
) -> Applied:
    lent = await held(kernel.pool, worker, job_id)
    if lent is None or (attempt is not None and attempt != lent.job.attempt):
        return await _repeated(kernel.pool, worker, job_id, report)
    job = lent.job
    with spans.span("callback", traceparent=job.traceparent, worker=worker.name, **job.words):
        if report.status == "processing":
            return await _progress(kernel.pool, worker, lent, report, renews=renews)
        if report.status == "failed":
            return await _fail(kernel, worker, lent, report)
        return await _complete(kernel, worker, lent, report)


async def _repeated(pool: Pool, worker: OutsideWorker, job_id: UUID, report: Report) -> Applied:
    """Answer a report of a job that the worker has no longer: known only if it reported it."""
    status = await pool.fetchval(named_queries("outside")["reported"], job_id, worker.id)
    # A job that goes on was given up by this worker, or lost before its report was carried out.
    if status is None or (status not in TERMINAL and report.status != "failed"):
        raise NotFound(
            "job_not_held",
            "This worker holds no such job.",
            hint="Its time may be over: another worker has it, or it has ended.",
        )
    return Applied(status, is_duplicate=True)


async def _progress(
    pool: Pool, worker: OutsideWorker, lent: Held, report: Report, *, renews: bool
) -> Applied:
    job = lent.job
    # 100 is for a job that has ended.
    if not await jobs.report(pool, [(job, max(0, min(report.progress, 99)))]):
        return await _repeated(pool, worker, job.id, report)
    if renews:
        await prolong(pool, lent, lease_seconds_of(job))
    return Applied("processing")


async def _fail(kernel: Kernel, worker: OutsideWorker, lent: Held, report: Report) -> Applied:
    job = lent.job
    seconds = kernel.config.worker.retry_seconds
    is_tried_again = report.cause == TRANSIENT
    delay_seconds = float(seconds[min(job.retries, len(seconds) - 1)]) if is_tried_again else None
    await _note(kernel.pool, worker, job)
    failure = await settlement.fail(
        kernel.pool,
        job,
        cause=report.cause or WORKER_ERROR,
        message=(report.error_message or "The worker gave no reason.")[:MESSAGE_CHARACTERS_MAX],
        delay_seconds=delay_seconds,
        spends_retry=True,
    )
    await jobs.close_leases(kernel.pool, [lent.lease_id])
    if failure is None:
        return await _repeated(kernel.pool, worker, job.id, report)
    cause = report.cause or WORKER_ERROR
    if failure.status in TERMINAL:
        settlement.tell(job, status=failure.status, outputs=failure.delivered, cause=cause)
    else:
        events.emit(
            events.JobRetried(
                job=str(job.id),
                job_type=job.job_type,
                cause=cause,
                delay_seconds=delay_seconds or 0,
                attempt=job.attempt,
            )
        )
    return Applied(failure.status)


async def _complete(kernel: Kernel, worker: OutsideWorker, lent: Held, report: Report) -> Applied:
    job = lent.job
    await prolong(kernel.pool, lent, CHECK_SECONDS)
    files = await _checked(kernel, job, report.paths)
    await _note(kernel.pool, worker, job)
    try:
        made = await _delivered(kernel, worker, lent, report, files)
    except Fenced:
        return await _repeated(kernel.pool, worker, job.id, report)
    cause = WORKER_ERROR if made < job.quantity else None
    settlement.tell(job, status="completed", outputs=made, cause=cause)
    return Applied("completed")


async def _checked(
    kernel: Kernel, job: Job, paths: Sequence[str]
) -> list[tuple[StoredObject, Probed]]:
    """Return the files of a report, each looked at. Writes nothing."""
    if not paths:
        raise InvalidRequest("outputs_missing", "A completed job has at least one file.")
    if len(paths) > job.quantity:
        raise InvalidRequest(
            "too_many_outputs", f"This job has {job.quantity} outputs, not {len(paths)}."
        )
    bucket = bucket_of(job)
    names = [_name(kernel, bucket, path) for path in paths]
    if len(set(names)) != len(names):
        raise InvalidRequest("outputs_missing", "The same file is reported twice.")
    kind = (
        jobs.job_types()[job.job_type].media_type if job.job_type in jobs.job_types() else "image"
    )
    found = []
    for name in names:
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
        found.append((stored, await probe(kernel.storage, stored, kind=kind)))
    return found


def _name(kernel: Kernel, bucket: str, path: str) -> str:
    """Return a reported path as a name inside the bucket."""
    base = f"{kernel.config.public_url}/storage/v1/object/"
    if path.startswith(base):
        path = unquote(urlsplit(path).path.partition("/storage/v1/object/")[2])
        first, _, rest = path.partition("/")
        path = rest if first in OBJECT_ROUTES else path
    return path.lstrip("/").removeprefix(f"{bucket}/")


async def _delivered(
    kernel: Kernel,
    worker: OutsideWorker,
    lent: Held,
    report: Report,
    files: Sequence[tuple[StoredObject, Probed]],
) -> int:
    """Deliver the files and end the job in one transaction; return how many outputs it has.

    An earlier attempt may have delivered some: they stay, and the file at their position is left
    over. Raises `Fenced`, or `InvalidRequest` `file_changed`; nothing is written then.
    """
    smalls = [await _thumbnail(kernel, stored, probed) for stored, probed in files]
    unwanted: list[StoredObject] = []

    async def record() -> int:
        unwanted.clear()
        async with database.transaction(kernel.pool) as connection:
            for position, ((stored, probed), small) in enumerate(zip(files, smalls, strict=True)):
                row = _row(kernel, position, stored, small, probed, worker, report)
                # The job is locked first, as by whoever writes an object for it.
                if not await jobs.deliver(connection, lent.job, row):
                    unwanted.append(small)
                    continue
                await _hand_over(kernel, connection, lent.job, stored)
                owner = lent.job.user_id
                replaced = await kernel.storage.record(connection, small, owner=owner)
                unwanted.extend([replaced] if replaced is not None else [])
            return await _ended(connection, lent)

    try:
        made = await database.persist(record, seconds_max=settlement.PERSIST_SECONDS_MAX)
    except (Fenced, InvalidRequest):
        unwanted = smalls
        raise
    finally:
        # After any other trouble nobody knows what is written; what is left over is swept later.
        for one in unwanted:
            await kernel.storage.discard(one)
    return made


async def _thumbnail(kernel: Kernel, stored: StoredObject, probed: Probed) -> StoredObject:
    return await kernel.storage.write(
        stored.bucket,
        stored.name + THUMBNAIL_SUFFIX,
        probed.thumbnail,
        media_type=THUMBNAIL_MEDIA_TYPE,
        cache_control=CACHE_CONTROL,
    )


async def _hand_over(
    kernel: Kernel, connection: Connection, job: Job, stored: StoredObject
) -> None:
    if not await kernel.storage.hand_over(connection, stored, owner=job.user_id):
        raise InvalidRequest(
            "file_changed",
            f"{stored.name} was replaced while it was looked at.",
            hint="Report again when all files are written.",
        )


async def _ended(connection: Connection, lent: Held) -> int:
    """End the job whose outputs this transaction delivered; return how many it has in all."""
    job = lent.job
    made = len(await jobs.outputs(connection, job.id))
    missing = job.quantity - made
    completion = Completion(
        job,
        WORKER_ERROR if missing else None,
        f"{missing} of {job.quantity} were not made." if missing else None,
    )
    if not await settlement.complete(connection, completion, lease_id=lent.lease_id):
        raise Fenced()
    return made


def _row(
    kernel: Kernel,
    position: int,
    stored: StoredObject,
    small: StoredObject,
    probed: Probed,
    worker: OutsideWorker,
    report: Report,
) -> dict[str, Any]:
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


def _seed(report: Report, position: int) -> int | None:
    seed = report.metadata.get("seed")
    if isinstance(seed, list):
        seed = seed[position] if position < len(seed) else None
    is_seed = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63
    return seed if is_seed else None


async def _note(pool: Pool, worker: OutsideWorker, job: Job) -> None:
    """Remember who reports before it is carried out: a repeated report is then told how it went."""
    await pool.execute("select tintype.note_callback($1, $2)", job.id, worker.id)
