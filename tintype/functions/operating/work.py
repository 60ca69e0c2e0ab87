"""Which jobs are there, and what happened to them?"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from tintype import clock, jobs
from tintype.errors import NotFound
from tintype.functions.context import Context
from tintype.functions.operating.asking import (
    DAY_MINUTES,
    JOBS_SEEN_MAX,
    Text,
    Told,
    View,
    first_id_of,
    query,
    rows_of,
)
from tintype.functions.operating.people import EntryRow, find_person
from tintype.functions.operating.rows import JobRow, emails_of, job_rows, last_seen
from tintype.functions.operating.stores import LogLine
from tintype.jobs import Job, Status
from tintype.workers import outside

JOBS_MAX = 200
FAILURES_DAYS_MAX = 30
LINK_SECONDS = 3600
LOGS_SHOWN_MAX = 100


class Jobs(Told, frozen=True):
    """Jobs, newest first; `next` is the `before` of the page after this. A page may be short, or
    empty, and have one after it: so many jobs are looked at for each, and no more."""

    jobs: list[JobRow]
    next: UUID | None
    jobs_seen_max: int = JOBS_SEEN_MAX


class AskJobs(View, tag="jobs", frozen=True):
    """Which jobs are there? All that is given must be true of a job; `user` is an id or e-mail."""

    status: Status | None = None
    queue: Text | None = None
    job_type: Text | None = None
    user: Text | None = None
    error_code: Text | None = None
    before: UUID | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=JOBS_MAX)] = 50

    async def read(self, context: Context) -> Jobs:
        """Return a page of jobs. Raises `NotFound` `user_not_found`."""
        wanted = {
            "before": self.before,
            "status": self.status,
            "queue": self.queue,
            "job_type": self.job_type,
            "user_id": None if self.user is None else await find_person(context, self.user),
            "error_code": self.error_code,
        }
        found = await job_rows(context, wanted, limit=self.limit)
        is_full = len(found) == self.limit
        after = found[-1].id if is_full else await last_seen(context, wanted)
        return Jobs(jobs=found, next=after)


class Step(Told, frozen=True):
    """Something that happened to a job. `kind` is accepted, started, retried, rescued, forwarded,
    completed, failed or canceled; `code` and `message` say why, `worker` who had the job then."""

    at: datetime
    kind: str
    attempt: int
    code: str | None = None
    message: str | None = None
    worker: str | None = None


class OutputRow(Told, frozen=True):
    """One picture or video; the URLs need no token, those of a private bucket for an hour."""

    position: int
    bucket: str
    path: str
    url: str
    thumbnail_url: str | None
    width: int | None
    height: int | None
    seed: int | None
    provider: str | None
    model: str | None
    metadata: dict[str, Any]
    created_at: datetime


class JobLease(Told, frozen=True):
    """Who has the job now, and until when."""

    id: UUID
    worker: str
    expires_at: datetime


class JobDetail(Told, frozen=True):
    """The row of a job."""

    id: UUID
    user_id: UUID
    email: str | None
    project_id: UUID | None
    template_id: UUID | None
    job_type: str
    queue: str
    status: str
    priority: int
    payload: dict[str, Any]
    metadata: dict[str, Any]
    prompt: str | None
    quantity: int
    progress: int
    result_count: int
    retries: int
    max_retries: int
    attempt: int
    next_run_at: datetime | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    expires_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class Whole(Told, frozen=True):
    """All there is of one job. `position` counts the ready jobs before it, null if it does not wait
    among them; `entries` are those of its hold in the ledger; `logs` are what functions said in the
    calls in which one of them spoke of the job, newest first, at most 100 lines."""

    job: JobDetail
    outputs: list[OutputRow]
    steps: list[Step]
    entries: list[EntryRow]
    logs: list[LogLine]
    lease: JobLease | None
    position: int | None


class AskJob(View, tag="job", frozen=True):
    """What happened to this job?"""

    job_id: UUID

    async def read(self, context: Context) -> Whole:
        """Return the job with all that belongs to it. Raises `NotFound` `job_not_found`."""
        pool = context.pool
        job = await jobs.get(pool, self.job_id)
        if job is None:
            raise NotFound("job_not_found", "There is no such job.")
        names = {one.holder: one.name for one in await outside.list_workers(pool)}
        emails = await emails_of(context, [job.user_id])
        lease = await pool.fetchrow(query("lease_of"), job.id)
        fields = {name: getattr(job, name) for name in _DETAIL if name != "email"}
        return Whole(
            job=JobDetail(email=emails.get(job.user_id), **fields),
            outputs=[_output(context, row) for row in await jobs.outputs(pool, job.id)],
            steps=_steps(job, await jobs.history(pool, job.id), names),
            entries=rows_of(EntryRow, await pool.fetch(query("hold_entries"), job.id)),
            logs=rows_of(LogLine, await pool.fetch(query("job_logs"), job.id, LOGS_SHOWN_MAX)),
            lease=lease
            and JobLease(
                id=lease["id"],
                worker=names.get(lease["holder"], lease["holder"]),
                expires_at=lease["expires_at"],
            ),
            position=await jobs.queue_position(pool, job),
        )


_DETAIL = tuple(field.name for field in msgspec.structs.fields(JobDetail))


def _steps(job: Job, history: list[dict[str, Any]], names: dict[str, str]) -> list[Step]:
    """Return what happened, in order: the rows of the history, and what the job's own row says of
    the plain way, which nobody writes down."""
    steps = [Step(at=job.created_at, kind="accepted", attempt=1)]
    if job.started_at is not None:
        steps.append(Step(at=job.started_at, kind="started", attempt=1))
    for row in history:
        worker = row["worker"]
        known = {name: row[name] for name in ("at", "kind", "attempt", "code", "message")}
        steps.append(Step(worker=worker and names.get(worker, worker), **known))
    if job.completed_at is not None and all(step.kind != job.status for step in steps):
        steps.append(
            Step(
                at=job.completed_at,
                kind=job.status,
                attempt=job.attempt,
                code=job.error_code,
                message=job.error_message,
            )
        )
    return sorted(steps, key=lambda step: step.at)


def _output(context: Context, row: dict[str, Any]) -> OutputRow:
    storage = context.storage
    seconds = min(LINK_SECONDS, context.config.storage.signed_url_seconds_max)
    bucket, path = row["bucket"], row["path"]
    shown = dict(row)
    if row["url"] != storage.public_url(bucket, path):
        shown["url"] = storage.sign(bucket, path, seconds)
        small = row["metadata"].get("thumbnail_path")
        # What stands beside the picture: the metadata of a row begins as its owner wrote it.
        if isinstance(small, str) and small.startswith(path):
            shown["thumbnail_url"] = storage.sign(bucket, small, seconds)
    return OutputRow(**shown)


class Failure(Told, frozen=True):
    """Dead jobs of one cause and type, with the newest as the example."""

    cause: str
    job_type: str
    jobs: int
    newest_job_id: UUID
    newest_at: datetime
    message: str | None


class Failures(Told, frozen=True):
    """The causes, the most frequent first, of jobs that were made since `since`."""

    since: datetime
    failures: list[Failure]
    jobs_seen_max: int = JOBS_SEEN_MAX


class AskFailures(View, tag="failures", frozen=True):
    """Why do jobs die?"""

    minutes: Annotated[int, msgspec.Meta(ge=5, le=FAILURES_DAYS_MAX * DAY_MINUTES)] = DAY_MINUTES

    async def read(self, context: Context) -> Failures:
        """Return the failed jobs of the last `minutes` by cause and type."""
        bound = first_id_of(self.minutes)
        rows = await context.pool.fetch(query("failures"), bound, JOBS_SEEN_MAX)
        since = datetime.fromtimestamp((bound.int >> 80) / 1000, clock.now().tzinfo)
        return Failures(since=since, failures=rows_of(Failure, rows))
