"""How do checkpoints and samples reach the server while the steps go on?"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import httpx2

from tintype.gpu.training.course import Kept
from tintype.worker_client import JobLost, Task, WorkerRefused

logger = logging.getLogger("tintype.gpu.training")


class Outbox:
    """Uploads what the steps keep: one file at a time, and of each kind only the newest.

    A file that is uploaded, or that a newer one makes superfluous, is removed.
    """

    def __init__(self, task: Task, percent: Callable[[], float]) -> None:
        """`percent` tells how far the job is by now."""
        self._task = task
        self._percent = percent
        self._checkpoint: Kept | None = None
        self._sample: Kept | None = None
        self._changed = asyncio.Event()
        self._is_closed = False

    def put(self, kept: Kept) -> None:
        """Have a file uploaded soon."""
        if kept.checkpoint is not None:
            self.forget_checkpoint()
            self._checkpoint = kept
        else:
            self.forget_sample()
            self._sample = kept
        self._changed.set()

    def forget_checkpoint(self) -> None:
        """Do not upload the checkpoint that waits."""
        _remove(self._checkpoint)
        self._checkpoint = None

    def forget_sample(self) -> None:
        """Do not upload the sample that waits."""
        _remove(self._sample)
        self._sample = None

    def close(self) -> None:
        """Let `run` end when nothing waits any more."""
        self._is_closed = True
        self._changed.set()

    async def run(self) -> None:
        """Upload until `close`. Raises `JobLost`; other trouble costs the file only."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while (kept := self._next()) is not None:
                try:
                    await self._send(kept)
                except JobLost:
                    raise
                except (WorkerRefused, httpx2.TransportError) as error:
                    logger.warning(
                        "job %s: what step %d left is not uploaded: %r",
                        self._task.id,
                        kept.of.step,
                        error,
                    )
                finally:
                    _remove(kept)
            if self._is_closed:
                return

    def _next(self) -> Kept | None:
        """Take out what is to be sent next: a checkpoint is worth more than a picture."""
        kept = self._checkpoint or self._sample
        if kept is self._checkpoint:
            self._checkpoint = None
        else:
            self._sample = None
        return kept

    async def _send(self, kept: Kept) -> None:
        task, step = self._task, kept.of.step
        kind = "sample" if kept.checkpoint is None else "checkpoint"
        file = _file(kept)
        path = await task.store(await task.grant(kind, step), file)
        await task.training_progress(
            self._percent(),
            step=step,
            steps=kept.of.steps,
            loss=kept.of.loss,
            learning_rate=kept.of.learning_rate,
            sample=path if kind == "sample" else None,
            checkpoint={"path": path, "step": step} if kind == "checkpoint" else None,
        )


def _file(kept: Kept) -> Path:
    file = kept.checkpoint or kept.sample
    assert file is not None
    return file


def _remove(kept: Kept | None) -> None:
    if kept is not None:
        _file(kept).unlink(missing_ok=True)
