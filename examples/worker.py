"""A whole worker in one file: it draws a coloured square for every picture that is asked for.

    tintype workers add painter --queue sdxl_queue -o env > painter.env
    set -a; . ./painter.env; set +a
    python examples/worker.py sdxl_queue

Replace `paint` by what your GPU does. It needs `pip install httpx2 pillow` and this package.
"""

import asyncio
import hashlib
import io
import os
import signal
import sys

from PIL import Image

from tintype.worker_client import Task, WorkerClient, run


async def paint(task: Task) -> None:
    """Draw the task's pictures, one after the other, and upload each when it is ready."""
    config = task.config
    seed = int(config.get("seed", 0))
    for position in range(task.quantity):
        picture = await asyncio.to_thread(
            draw, f"{task.prompt} {seed + position}", config.get("width", 512), config["height"]
        )
        await task.upload(position, picture, seed=seed + position)
        await task.progress(100 * (position + 1) / task.quantity)


def draw(text: str, width: int, height: int) -> bytes:
    """Return a PNG whose colour follows from the text."""
    red, green, blue, *_ = hashlib.sha256(text.encode()).digest()
    out = io.BytesIO()
    Image.new("RGB", (width, height), (red, green, blue)).save(out, "PNG")
    return out.getvalue()


async def main(queues: list[str]) -> None:
    """Work until Ctrl-C or SIGTERM; what is unfinished then goes back to its queue."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with WorkerClient(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_KEY"]) as one:
        await run(one, paint, queues=queues or None, capacity=2, stop=stop)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
