"""What does a worker say of a job, and what becomes of that?"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tintype.jobs import Status


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """The adapter that a training made, and the digest of its bytes in lower-case hex."""

    path: str
    sha256: str


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is, and what was stored at this step. Numbers that JSON and Postgres
    cannot both say are None."""

    step: int
    steps: int
    loss: float | None = None
    learning_rate: float | None = None
    sample: str | None = None
    checkpoint: str | None = None
    checkpoint_step: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of one job. `paths` are in order of the outputs' positions.

    A path is one inside the job's bucket, one with the bucket before it, or the URL of such an
    object on this server. `cause` "transient" of a failure asks for another attempt; `progress` is
    in per cent. `course`, and at the end `adapter`, are a training's.
    """

    status: Literal["processing", "completed", "failed"]
    paths: Sequence[str] = ()
    error_message: str | None = None
    cause: str | None = None
    enhanced_prompt: str | None = None
    progress: int = 0
    metadata: dict[str, Any] = {}
    course: Course | None = None
    adapter: Adapter | None = None


class Applied(msgspec.Struct, frozen=True):
    """What became of a report. `is_duplicate`: it was known, and nothing changed.

    `status` is the job's; "completed" for a training that has gone on to be published.
    """

    status: Status
    is_duplicate: bool = False
