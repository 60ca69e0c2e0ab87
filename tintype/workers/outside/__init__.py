"""Workers that run outside the server: who they are, what is lent to them, what they report.

An `OutsideWorker` is let in by an operator and has three secrets (`identity`). Jobs are lent to it
under a lease, with a time (`lending`), and come back by its report or by themselves. A report is
proved by the worker's key or by a `signature`, and counts once, as far as it can be checked
(`outcome`): its `files` are looked at before a job completes (`probing`, `tensors`). A `training`
tells of its course and brings an adapter. Where a team's own Redis is to carry a queue, `carrying`
puts its jobs there.
"""

from tintype.workers.outside.carrying import Carrier, RedisLists, UpstashLists, open_carriers
from tintype.workers.outside.identity import (
    Credentials,
    OutsideWorker,
    add_worker,
    callback_secret,
    list_workers,
    revoke_worker,
    signers_of,
    worker_of_id,
    worker_of_principal,
    worker_of_token,
)
from tintype.workers.outside.lending import (
    Held,
    bucket_of,
    give_back,
    held,
    held_counts,
    job_document,
    native_queues,
    pop,
    shown_payload,
    without_expired,
)
from tintype.workers.outside.outcome import TRANSIENT, apply
from tintype.workers.outside.probing import PICTURE_BYTES_MAX
from tintype.workers.outside.report import Adapter, Applied, Course, Report
from tintype.workers.outside.signature import (
    REPLAY_SECONDS_MAX,
    SIGNATURE_HEADERS,
    is_signed,
    sign_standard,
    verify,
)
from tintype.workers.outside.training import (
    ADAPTER_BYTES_MAX,
    CHECKPOINT_BYTES_MAX,
    checkpoints_of,
    grant_file,
    is_training,
)

__all__ = [
    "ADAPTER_BYTES_MAX",
    "CHECKPOINT_BYTES_MAX",
    "PICTURE_BYTES_MAX",
    "REPLAY_SECONDS_MAX",
    "SIGNATURE_HEADERS",
    "TRANSIENT",
    "Adapter",
    "Applied",
    "Carrier",
    "Course",
    "Credentials",
    "Held",
    "OutsideWorker",
    "RedisLists",
    "Report",
    "UpstashLists",
    "add_worker",
    "apply",
    "bucket_of",
    "callback_secret",
    "checkpoints_of",
    "give_back",
    "grant_file",
    "held",
    "held_counts",
    "is_signed",
    "is_training",
    "job_document",
    "list_workers",
    "native_queues",
    "open_carriers",
    "pop",
    "revoke_worker",
    "shown_payload",
    "sign_standard",
    "signers_of",
    "verify",
    "without_expired",
    "worker_of_id",
    "worker_of_principal",
    "worker_of_token",
]
