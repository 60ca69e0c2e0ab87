"""How does a program on another machine do Tintype's jobs?

    async def paint(task: Task) -> None:
        for position in range(task.quantity):
            await task.upload(position, draw(task.prompt))
            await task.progress(100 * (position + 1) / task.quantity)

    async with WorkerClient(url, key) as client:
        await run(client, paint, queues=["sdxl_queue"], stop=stop)

`run` claims, renews the leases while `paint` works, stops it when its job was canceled or lost,
reports what it uploaded, and on `stop` gives unfinished jobs back. Network trouble is waited out.
A training stores checkpoints as it goes, so that another worker goes on from there:

    path = await task.store(await task.grant("checkpoint", step), file)
    kept = {"path": path, "step": step}
    await task.training_progress(50, step=step, steps=steps, checkpoint=kept)

Nothing of the server is imported: this needs httpx2 and the standard library. The protocol is that
of `/worker/v1`.
"""

from tintype.worker_client.client import Claim, JobLost, WorkerClient, WorkerRefused
from tintype.worker_client.running import JobFailed, Task, run

__all__ = [
    "Claim",
    "JobFailed",
    "JobLost",
    "Task",
    "WorkerClient",
    "WorkerRefused",
    "run",
]
