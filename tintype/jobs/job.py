"""What is a job?"""

import os
import time
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from tintype import spans

# Status                         reached by
Status: TypeAlias = Literal[
    "queued",  # enqueue; or again from processing, by fail and rescue
    "processing",  # report, the first of an attempt
    "completed",  # complete; or fail and rescue, out of attempts but with an output
    "failed",  # fail, rescue
    "canceled",  # cancel
]
TERMINAL: frozenset[Status] = frozenset(("completed", "failed", "canceled"))
# Where in a job's metadata its `traceparent` stands (W3C Trace Context).
TRACEPARENT = "traceparent"


class Job(msgspec.Struct, frozen=True):
    """One row of `public.jobs`, as read at one moment. `attempt` is the fencing token."""

    id: UUID
    user_id: UUID
    project_id: UUID | None
    template_id: UUID | None
    job_type: str
    queue: str
    status: Status
    priority: int
    payload: dict[str, Any]
    metadata: dict[str, Any]
    prompt: str | None
    quantity: int
    progress: int
    result_urls: list[str]
    result_count: int
    retries: int
    max_retries: int
    attempt: int
    seq: int
    next_run_at: datetime | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    expires_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    image_id: UUID | None = None
    video_id: UUID | None = None
    batch_id: int | None = None
    model_id: int | None = None
    identity_id: UUID | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; a job that has ended never changes again."""
        return self.status in TERMINAL

    @property
    def traceparent(self) -> str | None:
        """What ties this job to the trace of the request that it came with; None without one."""
        return spans.checked(self.metadata.get(TRACEPARENT))

    @property
    def words(self) -> dict[str, Any]:
        """What log lines and traces call it by; nothing that its user wrote."""
        return {
            "job": str(self.id),
            "attempt": self.attempt,
            "user": str(self.user_id),
            "job_type": self.job_type,
            "queue": self.queue,
        }


def new_id() -> UUID:
    """Return a fresh id that grows with time (UUID version 7, RFC 9562 §5.7).

    Growing ids keep a queue in the order of arrival and inserts at the end of the index.
    """
    value = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = (value[6] & 0x0F) | 0x70
    value[8] = (value[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(value))


def first_id(unix_seconds: float) -> UUID:
    """Return the smallest id of a job made at that time or later: ids grow with time."""
    return UUID(int=int(unix_seconds * 1000) << 80)
