"""What does a report of a training do?

It tells of the course: step, loss, a sample, a checkpoint that another worker goes on from. At its
end it brings the adapter and a sheet of samples. Both become the user's, the adapter is recorded,
and the job goes on to the server's own hands, which publish it, in one transaction; the sheet is
delivered when they are done, so that nothing is paid before.
"""

from collections.abc import Mapping
from uuid import UUID

import asyncpg
import msgspec

from tintype import database, jobs
from tintype.database import Connection, Pool, named_queries
from tintype.errors import Fenced, InvalidRequest
from tintype.jobs import Job
from tintype.storage import StoredObject
from tintype.workers import settlement
from tintype.workers.kernel import Kernel
from tintype.workers.outside import files
from tintype.workers.outside.files import Checked
from tintype.workers.outside.identity import OutsideWorker
from tintype.workers.outside.lending import Held
from tintype.workers.outside.probing import probe
from tintype.workers.outside.report import Course, Report
from tintype.workers.outside.tensors import check_sha256, check_tensors

CHECKPOINT_BYTES_MAX = 4 * 1024**3
ADAPTER_BYTES_MAX = 2 * 1024**3
# Checkpoints and samples, and as many again as a job may need to hand in what it made.
FILES_PER_JOB_MAX = 500
RESULTS_PER_JOB_MAX = 50
# What a number of four bytes holds, with room to spare.
REAL_MAX = 1e37
REAL_MIN = 1e-37
ADAPTER_EXTENSION = ".safetensors"
# What tells the tensors of an adapter from those of a whole model.
ADAPTER_WORD = "lora"


async def grant_file(pool: Pool, job: Job, *, is_result: bool) -> None:
    """Count one more file of a training job; what it makes is let in when the others are not.

    Raises `InvalidRequest`: `not_a_training`, and `grants_exhausted`.
    """
    check_training(job)
    files_max = FILES_PER_JOB_MAX + (RESULTS_PER_JOB_MAX if is_result else 0)
    if not await pool.fetchval("select tintype.grant_file($1, $2)", job.id, files_max):
        raise InvalidRequest("grants_exhausted", f"A training has at most {files_max} files.")


def is_training(job: Job) -> bool:
    """Return whether the job is to make an adapter."""
    kind = jobs.job_types().get(job.job_type)
    return kind is not None and kind.queue == jobs.TRAINING_QUEUE


def check_training(job: Job) -> None:
    """Raise `InvalidRequest` `not_a_training` for a job that makes no adapter."""
    if not is_training(job):
        raise InvalidRequest("not_a_training", f"A job of type {job.job_type} trains nothing.")


async def checkpoints_of(kernel: Kernel, held: list[Job]) -> dict[UUID, tuple[StoredObject, int]]:
    """Return for those of the jobs that go on from a checkpoint the file, and its last step."""
    job_ids = [job.id for job in held if is_training(job)]
    if not job_ids:
        return {}
    found = {}
    for row in await kernel.pool.fetch(named_queries("outside")["checkpoints"], job_ids):
        stored = await kernel.storage.stat(row["bucket"], row["path"])
        if stored is not None:
            found[row["job_id"]] = (stored, row["step"])
    return found


async def show(kernel: Kernel, lent: Held, progress: int, course: Course) -> None:
    """Show how far a training is, in per cent and as its course, in one transaction.

    A sample becomes the user's. A checkpoint is what the next worker goes on from; the one before
    it is removed. Told twice it counts once. Raises `Fenced`, and `InvalidRequest` as
    `files.found`, `probe` and `check_tensors` do.
    """
    job = lent.job
    sample = await files.found(kernel, job, course.sample) if course.sample else None
    is_new_sample = sample is not None and not await _is_handed_over(kernel, job, sample)
    if sample is not None and is_new_sample:
        await probe(kernel.storage, sample, kind="image")
    checkpoint = await files.found(kernel, job, course.checkpoint) if course.checkpoint else None
    if checkpoint is not None:
        await check_tensors(kernel.storage, checkpoint)
    report = {
        "step": course.step,
        "steps": course.steps,
        "loss": _real(course.loss),
        "learning_rate": _real(course.learning_rate),
        "sample_url": sample and kernel.storage.object_url(sample.bucket, sample.name),
        "checkpoint": checkpoint
        and {
            "bucket": checkpoint.bucket,
            "path": checkpoint.name,
            "step": course.step if course.checkpoint_step is None else course.checkpoint_step,
        },
    }
    async with database.transaction(kernel.pool) as connection:
        if not await jobs.report(connection, [(job, progress)]):
            raise Fenced()
        if sample is not None and is_new_sample:
            await files.hand_over(kernel, connection, job, sample)
        old = await _called(connection, "tintype.report_training", job, report)
    await _remove(kernel, old)


class Trained(msgspec.Struct, frozen=True):
    """What a training made: its adapter, and pictures made with it on one sheet."""

    sheet: Checked
    adapter: StoredObject
    sha256: str


async def checked(kernel: Kernel, job: Job, report: Report) -> Trained:
    """Return what a report says that a training made, looked at. Writes nothing.

    Raises `InvalidRequest` `adapter_missing`, `adapter_unreadable`, `file_too_large`,
    `sha256_mismatch`, and as `files` and `check_tensors` do.
    """
    if report.adapter is None:
        raise InvalidRequest(
            "adapter_missing",
            "A training is completed with its adapter.",
            hint='Ask for a grant of kind "adapter", and report its path and sha256.',
        )
    [sheet] = await files.checked_outputs(kernel, job, report.paths)
    adapter = await files.found(kernel, job, report.adapter.path)
    if adapter.size > ADAPTER_BYTES_MAX:
        raise InvalidRequest(
            "file_too_large",
            f"{adapter.name} has {adapter.size} bytes; {ADAPTER_BYTES_MAX} are allowed.",
        )
    names = await check_tensors(kernel.storage, adapter)
    if not adapter.name.endswith(ADAPTER_EXTENSION) or not any(ADAPTER_WORD in n for n in names):
        raise InvalidRequest("adapter_unreadable", f"{adapter.name} has no tensors of an adapter.")
    await check_sha256(kernel.storage, adapter, report.adapter.sha256)
    return Trained(sheet, adapter, report.adapter.sha256)


async def hand_on(
    kernel: Kernel, worker: OutsideWorker, lent: Held, report: Report, trained: Trained
) -> None:
    """Let a training job go on with what it made, which becomes the user's, in one transaction.

    Raises `Fenced`, or `InvalidRequest` `file_changed`; nothing is written then.
    """
    job, sheet, adapter = lent.job, trained.sheet, trained.adapter
    small = await files.store_thumbnail(kernel, *sheet)
    row = files.output_row(kernel, worker, report, 0, sheet, small)
    course = report.course
    record = {
        "bucket": adapter.bucket,
        "path": adapter.name,
        "bytes": adapter.size,
        "sha256": trained.sha256,
        "sample_url": row["thumbnail_url"],
        "step": course and course.step,
        "loss": course and _real(course.loss),
    }

    async def write() -> tuple[dict[str, str] | None, StoredObject | None]:
        async with database.transaction(kernel.pool) as connection:
            # The job is locked first, as by whoever writes an object for it.
            checkpoint = await _called(connection, "tintype.record_adapter", job, record)
            for stored in (sheet[0], adapter):
                await files.hand_over(kernel, connection, job, stored)
            replaced = await kernel.storage.record(connection, small, owner=job.user_id)
            payload = {"stage": "finish", "sample": row}
            if not await jobs.forward(connection, job, jobs.IDENTITIES_QUEUE, payload):
                raise Fenced()
            await jobs.close_leases(connection, [lent.lease_id])
        return checkpoint, replaced

    try:
        checkpoint, replaced = await database.persist(
            write, seconds_max=settlement.PERSIST_SECONDS_MAX
        )
    except (Fenced, InvalidRequest):
        await kernel.storage.discard(small)
        raise
    if replaced is not None:
        await kernel.storage.discard(replaced)
    if checkpoint is not None and checkpoint["path"] != adapter.name:
        await _remove(kernel, checkpoint)


def _real(value: float | None) -> float | None:
    """Return a number as Postgres's `real` can hold it; None for one that is no number."""
    if value is None or not abs(value) <= REAL_MAX:
        return None
    return value if abs(value) >= REAL_MIN else 0.0


async def _is_handed_over(kernel: Kernel, job: Job, stored: StoredObject) -> bool:
    row = await kernel.storage.find(stored.bucket, stored.name)
    return row is not None and row.owner_id == str(job.user_id)


async def _called(
    connection: Connection, verb: str, job: Job, told: Mapping[str, object]
) -> dict[str, str] | None:
    """Call a verb that returns the checkpoint to remove. Raises `Fenced`."""
    try:
        found: dict[str, str] | None = await connection.fetchval(
            f"select {verb}($1, $2, $3)",
            job.id,
            job.attempt,
            told,
        )
    except asyncpg.PostgresError as error:
        if error.sqlstate == "TT409":
            raise Fenced() from error
        raise
    return found


async def _remove(kernel: Kernel, checkpoint: dict[str, str] | None) -> None:
    """Remove a checkpoint that nothing goes on from; after a crash it is swept with its job."""
    if checkpoint is not None:
        await kernel.storage.remove(checkpoint["bucket"], [checkpoint["path"]])
