"""How is a job accepted?

A Submission is a job to be, with its price. The Submitter takes it in one committed transaction
with its credit hold, or changes nothing; a Key makes the answer repeatable. `requeue` makes a job
again that ended badly. `wait_seconds` reads a caller's wish to wait for the result.
"""

from tintype.functions.submission.again import requeue
from tintype.functions.submission.repeating import (
    IDEMPOTENCY_KEY,
    Key,
    keyed,
)
from tintype.functions.submission.submitter import (
    OUTSIDE_WAITING_SECONDS_MAX,
    SUBMISSION_REFUSALS,
    Acceptance,
    Submission,
    Submitter,
    database_trouble_told,
)
from tintype.functions.submission.waiting import WAIT_SECONDS_MAX, wait_seconds

__all__ = [
    "IDEMPOTENCY_KEY",
    "OUTSIDE_WAITING_SECONDS_MAX",
    "SUBMISSION_REFUSALS",
    "WAIT_SECONDS_MAX",
    "Acceptance",
    "Key",
    "Submission",
    "Submitter",
    "database_trouble_told",
    "keyed",
    "requeue",
    "wait_seconds",
]
