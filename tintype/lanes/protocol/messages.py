"""What does a worker say to `/worker/v1`?"""

from typing import Annotated
from uuid import UUID

import msgspec

from tintype.lanes.protocol.claiming import LEASE_SECONDS, LEASE_SECONDS_MAX
from tintype.lanes.protocol.documents import FileKind
from tintype.workers.outside import Adapter, Course

CAPACITY_MAX = 64
WAIT_SECONDS_MAX = 50
LEASES_MAX = 100
OUTPUTS_MAX = 64
STEPS_MAX = 1_000_000

Step = Annotated[int, msgspec.Meta(ge=0, le=STEPS_MAX)]
Steps = Annotated[int, msgspec.Meta(ge=1, le=STEPS_MAX)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]
LeaseSeconds = Annotated[int, msgspec.Meta(ge=10, le=LEASE_SECONDS_MAX)]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker asks for: up to `capacity` jobs, within `wait_seconds`."""

    queues: Annotated[list[str], msgspec.Meta(max_length=16)] | None = None
    capacity: Annotated[int, msgspec.Meta(ge=1, le=CAPACITY_MAX)] = 1
    wait_seconds: Annotated[float, msgspec.Meta(ge=0, le=WAIT_SECONDS_MAX)] = 0
    lease_seconds: LeaseSeconds = LEASE_SECONDS


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """The leases to extend."""

    lease_ids: Annotated[list[UUID], msgspec.Meta(max_length=LEASES_MAX)]
    lease_seconds: LeaseSeconds = LEASE_SECONDS


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: the `path` of its grant, and the last step that is done in it."""

    path: str
    step: Step


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far a training is; a sample by the `path` of its grant."""

    step: Step
    steps: Steps
    loss: float | None = None
    learning_rate: float | None = None
    sample: str | None = None
    checkpoint: Saved | None = None

    @property
    def course(self) -> Course:
        """Return what was told as the kernel knows it."""
        saved_path, saved_step = None, None
        if self.checkpoint is not None:
            saved_path, saved_step = self.checkpoint.path, self.checkpoint.step
        return Course(
            step=self.step,
            steps=self.steps,
            loss=self.loss,
            learning_rate=self.learning_rate,
            sample=self.sample,
            checkpoint=saved_path,
            checkpoint_step=saved_step,
        )


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is, in per cent, and what a training tells."""

    attempt: int
    progress: Annotated[float, msgspec.Meta(ge=0, le=100)]
    training: Told | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One more file that a training is to upload."""

    attempt: int
    kind: FileKind
    step: Step | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One output: the `path` of its upload grant."""

    path: str
    seed: int | None = None


class MadeAdapter(msgspec.Struct, frozen=True, kw_only=True):
    """The adapter of a training: the `path` of its grant, and the digest of its bytes."""

    path: str
    sha256: Sha256

    @property
    def adapter(self) -> Adapter:
        """Return it as the kernel knows it."""
        return Adapter(path=self.path, sha256=self.sha256.lower())


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a training went."""

    steps: Steps
    loss: float | None = None

    @property
    def course(self) -> Course:
        """Return it as the kernel knows it."""
        return Course(step=self.steps, steps=self.steps, loss=self.loss)


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """A job's outputs, in order of position. Fewer than asked for are paid as fewer."""

    attempt: int
    outputs: Annotated[list[Made], msgspec.Meta(min_length=1, max_length=OUTPUTS_MAX)]
    enhanced_prompt: str | None = None
    adapter: MadeAdapter | None = None
    training: Ended | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job was not done. `retry`: it may go well on another try."""

    attempt: int
    message: str
    retry: bool = False


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """A job that goes back to its queue, without spending a retry."""

    attempt: int
