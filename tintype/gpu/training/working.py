"""How does the loop beside the steps talk to the server?

What the steps tell and keep is sent while they go on. They wait for none of it: of two losses or
two checkpoints that are not sent yet, the newer is.
"""

import asyncio
import hashlib
import logging
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from tintype import clock, events
from tintype.gpu.training.checkpoints import PARTS
from tintype.gpu.training.course import Step, Trained
from tintype.gpu.training.order import Order, order_of
from tintype.gpu.training.outbox import Outbox
from tintype.gpu.training.trainer import Trainer
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobLost, Task, WorkerClient, WorkerRefused, run

QUEUE = "training"
PROGRESS_SECONDS = 1.0
# A worker that is told to stop has so long to upload its last checkpoint.
DRAIN_SECONDS = 60.0
DOWNLOADS_AT_ONCE = 4
IMAGE_BYTES_MAX = 64 * 1024 * 1024

logger = logging.getLogger("tintype.gpu.training")


async def work(
    client: WorkerClient,
    trainer: Trainer,
    *,
    stop: asyncio.Event,
    once: bool = False,
    progress_seconds: float = PROGRESS_SECONDS,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Do the jobs of the queue `training`, one at a time, until `stop` is set.

    With `once` one job is waited for and done. All training is in one thread of its own. A job that
    is canceled or lost stops after the step it is in. Once `stop` is set, it stops as soon, has
    `drain_seconds` to upload a checkpoint, and goes back to its queue. Progress is told at most
    once in `progress_seconds`. Raises `WorkerRefused` when the server does not let this worker in.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="trainer") as thread:

        async def handle(task: Task) -> None:
            try:
                await _do(task, trainer, thread, stop, progress_seconds)
            finally:
                if once:
                    stop.set()

        await run(client, handle, queues=[QUEUE], stop=stop, drain_seconds=drain_seconds)


async def _do(
    task: Task,
    trainer: Trainer,
    thread: ThreadPoolExecutor,
    stop: asyncio.Event,
    progress_seconds: float,
) -> None:
    began = clock.monotonic_seconds()
    order = order_of(task.job)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tintype-training-"))
    try:
        images, checkpoint = await _fetched(task, order, folder)
        session = _Session(task, order, progress_seconds)
        trained = await session.run(trainer, thread, stop, images, checkpoint, folder)
        task.adapter = await _stored(task, trained.adapter)
        # The grant that came with the job may be shut by now.
        path = await task.store(await task.grant("sheet"), trained.sheet)
        task.outputs[0] = {"path": path, "seed": order.seed}
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    task.trained = {"steps": trained.steps, "loss": trained.loss}
    seconds = round(clock.monotonic_seconds() - began, 1)
    events.emit(events.JobRendered(job=task.id, outputs=1, seconds=seconds))


async def _fetched(task: Task, order: Order, folder: Path) -> tuple[list[Path], Path | None]:
    """Download the pictures and, if there is one to be had, the checkpoint."""
    places = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

    async def fetch(number: int, url: str) -> Path:
        path = folder / f"image-{number:03}"
        async with places:
            await task.fetch(url, path, bytes_max=IMAGE_BYTES_MAX)
        return path

    urls = task.job["references"]
    fetching = [asyncio.create_task(fetch(*one)) for one in enumerate(urls)]
    try:
        images = await asyncio.gather(*fetching)
    finally:
        for one in fetching:
            one.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)
    if order.checkpoint is None:
        return images, None
    path = folder / "resumed.safetensors"
    try:
        await task.fetch(order.checkpoint.url, path, bytes_max=len(PARTS) * order.adapter_bytes_max)
    except WorkerRefused as error:
        if isinstance(error, JobLost) or error.status >= 500:
            raise
        logger.warning("job %s: its checkpoint cannot be had: %s", task.id, error)
        return images, None
    return images, path


async def _stored(task: Task, file: Path) -> dict[str, Any]:
    """Upload the adapter and return what the server is told of it."""
    digest = await asyncio.to_thread(_sha256, file)
    path = await task.store(await task.grant("adapter"), file)
    return {"path": path, "sha256": digest}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Session:
    """One training in its thread, and what is told of it meanwhile."""

    def __init__(self, task: Task, order: Order, progress_seconds: float) -> None:
        self._task = task
        self._order = order
        self._progress_seconds = progress_seconds
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._watch = Watch(lambda: self._loop.call_soon_threadsafe(self._changed.set))
        self._untold: list[Step] = []
        self._outbox = Outbox(task, lambda: self._watch.percent)

    async def run(
        self,
        trainer: Trainer,
        thread: ThreadPoolExecutor,
        stop: asyncio.Event,
        images: Sequence[Path],
        checkpoint: Path | None,
        folder: Path,
    ) -> Trained:
        """Train. Raises `JobLost` when the job was given back because `stop` was set."""
        call = self._loop.call_soon_threadsafe
        training = self._loop.run_in_executor(
            thread,
            lambda: trainer.train(
                self._order,
                images,
                self._watch,
                folder=folder,
                report=lambda step: call(self._untold.append, step),
                keep=lambda kept: call(self._outbox.put, kept),
                checkpoint=checkpoint,
            ),
        )
        telling = asyncio.create_task(self._tell())
        sending = asyncio.create_task(self._outbox.run())
        stopping = asyncio.create_task(stop.wait())
        everything = (training, telling, sending, stopping)
        try:
            await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
            if not training.done():
                for failed in (telling, sending):
                    if failed.done():
                        failed.result()
                self._watch.stop()
            try:
                trained = await training
            except Stopped:
                await self._give_back(sending)
            self._outbox.forget_checkpoint()
            self._outbox.close()
            await sending
            return trained
        finally:
            self._watch.stop()
            for one in (telling, sending, stopping):
                one.cancel()
            # The thread ends after its step; the base is the next job's then.
            await asyncio.gather(*everything, return_exceptions=True)

    async def _give_back(self, sending: "asyncio.Task[None]") -> NoReturn:
        """Upload the last checkpoint, from which another worker goes on, and let go of the job."""
        self._outbox.forget_sample()
        self._outbox.close()
        await sending
        await self._task.client.release(self._task.job)
        raise JobLost(409, "job_released", "this worker ends")

    async def _tell(self) -> None:
        """Tell of the last step, with the mean loss since what was told before."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            untold, self._untold = self._untold, []
            if untold:
                last = untold[-1]
                await self._task.training_progress(
                    self._watch.percent,
                    step=last.step,
                    steps=last.steps,
                    loss=sum(step.loss for step in untold) / len(untold),
                    learning_rate=last.learning_rate,
                )
            else:
                await self._task.progress(self._watch.percent)
            await asyncio.sleep(self._progress_seconds)
