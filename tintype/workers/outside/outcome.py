"""What does a worker's report do to its job?

A report is believed only as far as it can be checked: the worker has the job now, the files lie in
the job's own scope, are there, and are what the job was to make (`files`). Then they become the
user's as a provider's pictures do, and the job's credits settle. A training goes on (`training`).
"""

from collections.abc import Sequence
from uuid import UUID

from tintype import database, events, jobs, spans
from tintype.database import Connection, Pool, named_queries
from tintype.errors import Fenced, InvalidRequest, NotFound, RequestError
from tintype.jobs import TERMINAL, Job
from tintype.storage import StoredObject
from tintype.workers import settlement
from tintype.workers.kernel import Kernel
from tintype.workers.outside import files, training
from tintype.workers.outside.files import Checked
from tintype.workers.outside.identity import OutsideWorker
from tintype.workers.outside.lending import Held, held, is_native, lease_seconds_of, prolong
from tintype.workers.outside.report import Applied, Report
from tintype.workers.settlement import Completion

MESSAGE_CHARACTERS_MAX = 1000
# How long looking at a report's files may take without its job going back meanwhile.
CHECK_SECONDS = 600
# A job's outcome that a worker reported and that may go well elsewhere is tried again like a
# provider's; every other failure is the end.
TRANSIENT = "transient"
WORKER_ERROR = "worker_error"


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
    outputs are delivered, the job ends and its credits settle; a training goes on to be published
    instead. `failed`: the job ends, or is tried again where the cause is transient. `processing`:
    its progress shows, and the course of a training. `renews` is for a worker of the original's
    dialect, which knows no other way: its type's time begins anew. Whatever comes after the job's
    end, from a worker that reported it before, changes nothing. On a crash in the middle nothing
    has happened: the worker repeats its report, or the lease expires.

    Raises `NotFound` `job_not_held` for a job that this worker has not, or has no longer: unknown
    ones look the same. Raises `InvalidRequest` for a report that cannot be believed
    (`outputs_missing`, `too_many_outputs`, `path_out_of_scope`, `path_missing`, `file_empty`,
    `file_too_large`, `file_unreadable`, `file_changed`, `not_a_training`, and of a training
    `adapter_missing`, `adapter_unreadable`, `sha256_mismatch`), and `native_protocol_required` for
    a job that the original's dialect does not know; the worker keeps the job and may mend it.
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
    if renews and is_native(job.job_type):
        raise InvalidRequest(
            "native_protocol_required",
            f"A job of type {job.job_type} is done and reported over /worker/v1.",
        )
    if report.course is not None or report.adapter is not None:
        training.check_training(job)
    with spans.span("callback", traceparent=job.traceparent, worker=worker.name, **job.words):
        if report.status == "processing":
            return await _progress(kernel, worker, lent, report, renews=renews)
        if report.status == "failed":
            return await _fail(kernel, worker, lent, report)
        return await _complete(kernel, worker, lent, report)


async def _repeated(pool: Pool, worker: OutsideWorker, job_id: UUID, report: Report) -> Applied:
    """Answer a report of a job that the worker has no longer: known only if it reported it."""
    row = await pool.fetchrow(named_queries("outside")["reported"], job_id, worker.id)
    if row is not None and row["is_handed_on"] and row["status"] not in TERMINAL:
        return Applied("completed", is_duplicate=True)
    # A job that goes on was given up by this worker, or lost before its report was carried out.
    if row is None or (row["status"] not in TERMINAL and report.status != "failed"):
        raise NotFound(
            "job_not_held",
            "This worker holds no such job.",
            hint="Its time may be over: another worker has it, or it has ended.",
        )
    return Applied(row["status"], is_duplicate=True)


async def _progress(
    kernel: Kernel, worker: OutsideWorker, lent: Held, report: Report, *, renews: bool
) -> Applied:
    job = lent.job
    # 100 is for a job that has ended.
    progress = max(0, min(report.progress, 99))
    try:
        if report.course is not None:
            await training.show(kernel, lent, progress, report.course)
        elif not await jobs.report(kernel.pool, [(job, progress)]):
            raise Fenced()
    except Fenced:
        return await _repeated(kernel.pool, worker, job.id, report)
    if renews:
        await prolong(kernel.pool, lent, lease_seconds_of(job))
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
    try:
        if training.is_training(job):
            trained = await training.checked(kernel, job, report)
            await _note(kernel.pool, worker, job)
            await training.hand_on(kernel, worker, lent, report, trained)
            return Applied("completed")
        outputs = await files.checked_outputs(kernel, job, report.paths)
        await _note(kernel.pool, worker, job)
        made = await _delivered(kernel, worker, lent, report, outputs)
    except Fenced:
        return await _repeated(kernel.pool, worker, job.id, report)
    cause = WORKER_ERROR if made < job.quantity else None
    settlement.tell(job, status="completed", outputs=made, cause=cause)
    return Applied("completed")


async def _delivered(
    kernel: Kernel,
    worker: OutsideWorker,
    lent: Held,
    report: Report,
    outputs: Sequence[Checked],
) -> int:
    """Deliver the files and end the job in one transaction; return how many outputs it has.

    An earlier attempt may have delivered some: they stay, and the file at their position is left
    over. Raises `Fenced`, or `InvalidRequest` `file_changed`; nothing is written then.
    """
    smalls = [await files.store_thumbnail(kernel, *output) for output in outputs]
    unwanted: list[StoredObject] = []

    async def record() -> int:
        unwanted.clear()
        async with database.transaction(kernel.pool) as connection:
            for position, (output, small) in enumerate(zip(outputs, smalls, strict=True)):
                row = files.output_row(kernel, worker, report, position, output, small)
                # The job is locked first, as by whoever writes an object for it.
                if not await jobs.deliver(connection, lent.job, row):
                    unwanted.append(small)
                    continue
                await files.hand_over(kernel, connection, lent.job, output[0])
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


async def _note(pool: Pool, worker: OutsideWorker, job: Job) -> None:
    """Remember who reports before it is carried out: a repeated report is then told how it went."""
    await pool.execute("select tintype.note_callback($1, $2)", job.id, worker.id)
