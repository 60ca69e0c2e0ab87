"""How does a GPU keep busy while the loop beside it talks to the server?"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tintype import clock, events
from tintype.gpu.cache import AdapterCache
from tintype.gpu.pipelines import Queue
from tintype.gpu.recipe import recipe_of
from tintype.gpu.studio import Made, Studio
from tintype.gpu.watch import Watch
from tintype.worker_client import Task, WorkerClient, run

PROGRESS_SECONDS = 1.0
# A worker that is told to stop lets its job go on for so long, then gives it back.
DRAIN_SECONDS = 20.0


async def work(
    client: WorkerClient,
    studio: Studio,
    queue: Queue,
    *,
    cache: AdapterCache,
    stop: asyncio.Event,
    once: bool = False,
    progress_seconds: float = PROGRESS_SECONDS,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Do the jobs of `queue` with `studio`, one at a time, until `stop` is set.

    The adapters that jobs bring are kept in `cache`. With `once` one job is waited for and done.
    All rendering is in one thread of its own. A job that is canceled or lost stops after the step
    it is in; once `stop` is set it has `drain_seconds`, then goes back to its queue as it is.
    Progress is told at most once in `progress_seconds`. Raises `WorkerRefused` when the server does
    not let this worker in.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="studio") as thread:

        async def handle(task: Task) -> None:
            try:
                await _do(task, studio, cache, thread, progress_seconds)
            finally:
                if once:
                    stop.set()

        await run(client, handle, queues=[queue], stop=stop, drain_seconds=drain_seconds)


async def _do(
    task: Task,
    studio: Studio,
    cache: AdapterCache,
    thread: ThreadPoolExecutor,
    progress_seconds: float,
) -> None:
    began = clock.monotonic_seconds()
    recipe = recipe_of(task.job)
    references = await task.references()
    adapters = await cache.files(task, recipe.adapters)

    def make(watch: Watch) -> Made:
        return studio.make(recipe, references, watch, adapters)

    made = await _made(task, make, thread, progress_seconds)
    task.enhanced_prompt = made.enhanced_prompt
    for position, (file, seed) in enumerate(zip(made.files, made.seeds, strict=True)):
        await task.upload(position, file, seed=seed)
    events.emit(
        events.JobRendered(
            job=task.id,
            outputs=len(made.files),
            seconds=round(clock.monotonic_seconds() - began, 1),
        )
    )


async def _made(
    task: Task,
    make: Callable[[Watch], Made],
    thread: ThreadPoolExecutor,
    progress_seconds: float,
) -> Made:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    watch = Watch(lambda: loop.call_soon_threadsafe(changed.set))

    async def tell() -> None:
        while True:
            await changed.wait()
            changed.clear()
            await task.progress(watch.percent)
            await asyncio.sleep(progress_seconds)

    making = loop.run_in_executor(thread, make, watch)
    telling = asyncio.create_task(tell())
    try:
        await asyncio.wait((making, telling), return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            telling.result()
        return await making
    finally:
        watch.stop()
        telling.cancel()
        # The thread ends after its step; the models are the next job's then.
        await asyncio.gather(making, telling, return_exceptions=True)
