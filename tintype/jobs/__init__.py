"""Durable work.

A job is claimed by one worker at a time, under a lease. A lease that expires returns the job to
its queue: nothing is lost when a worker dies, and nothing is finished twice.

    queued ──▶ processing ──▶ completed   every output was delivered, or the last attempt had some
       ▲           │  ├─────▶ failed      it can never succeed, or its attempts are spent
       │           │  └─────▶ canceled    its owner or an operator ended it (from queued as well)
       └───────────┘ an attempt failed and may be retried, its lease expired, or it goes on in
                     other hands, on another queue (forward)

The row in `public.jobs` is the truth; `attempt` is the fencing token: every write names the
attempt it belongs to, and one that is not the row's own changes nothing. A job that has ended
never changes again.

The verbs are SQL functions in `sql/verbs/jobs.sql`. Those that end a job settle its credits in
the same transaction and are called through `tintype.workers` (complete, fail, cancel, rescue);
enqueue is called through `tintype.functions.submission`, with the hold. The rest are here.
"""

from tintype.jobs.job import TERMINAL, TRACEPARENT, Job, Status, first_id, new_id
from tintype.jobs.lease import (
    DEFAULT_QUEUE,
    IDENTITIES_QUEUE,
    TRAINING_QUEUE,
    Lease,
    claim,
    close_leases,
    deliver,
    forward,
    hasten,
    prune,
    renew,
    report,
)
from tintype.jobs.reading import (
    Waiting,
    depth,
    ended,
    get,
    history,
    job_of,
    listing,
    outputs,
    prepared,
    queue_position,
    queues,
    waiting,
)
from tintype.jobs.types import JobType, job_types, lease_seconds_by_type, offered_types

__all__ = [
    "DEFAULT_QUEUE",
    "IDENTITIES_QUEUE",
    "TERMINAL",
    "TRACEPARENT",
    "TRAINING_QUEUE",
    "Job",
    "JobType",
    "Lease",
    "Status",
    "Waiting",
    "claim",
    "close_leases",
    "deliver",
    "depth",
    "ended",
    "first_id",
    "forward",
    "get",
    "hasten",
    "history",
    "job_of",
    "job_types",
    "lease_seconds_by_type",
    "listing",
    "new_id",
    "offered_types",
    "outputs",
    "prepared",
    "prune",
    "queue_position",
    "queues",
    "renew",
    "report",
    "waiting",
]
