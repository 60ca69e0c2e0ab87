"""However much comes in, the server's memory stays what it was.

`TINTYPE_TEST_LARGEST=1` sends the largest legal request, 1.1 GB, instead of a fifth of it.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.identities.bodies import body_of, image_file, picture
from tests.identities.receiving_server import NAME

MEBIBYTE = 1024 * 1024
GROWTH_BYTES_MAX = 100 * MEBIBYTE
IMAGE_BYTES = (20 if os.environ.get("TINTYPE_TEST_LARGEST") else 4) * MEBIBYTE
IMAGES = 40
SECONDS_MAX = 250
JSON = {"content-type": "application/json"}


@dataclass
class Server:
    """A server in a process of its own, and the memory it takes."""

    url: str
    process_id: int

    def children(self) -> list[int]:
        """Return its child processes."""
        tasks = Path(f"/proc/{self.process_id}/task").iterdir()
        return [int(number) for task in tasks for number in (task / "children").read_text().split()]

    def forget_peak(self) -> None:
        """Measure the peak from now on."""
        Path(f"/proc/{self.process_id}/clear_refs").write_text("5")


def memory_of(process_id: int, name: str) -> int:
    """Return VmRSS or VmHWM in bytes, 0 for a process that is gone."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except FileNotFoundError:
        return 0
    found = re.search(rf"^{name}:\s*(\d+) kB", status, re.M)
    return int(found[1]) * 1024 if found else 0


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    command = (sys.executable, "-m", "tests.identities.receiving_server", str(folder))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(100):
            port = int(await process.stdout.readline())
        yield Server(f"http://127.0.0.1:{port}/functions/v1/{NAME}", process.pid)
    finally:
        process.kill()
        await process.wait()


async def posted(server: Server, bodies: Sequence[Iterator[bytes]], size: int) -> list[dict]:
    """Send the bodies at once and return the answers."""

    async def one(client: httpx2.AsyncClient, body: Iterator[bytes]) -> dict:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in body:
                yield piece

        headers = JSON | {"content-length": str(size)}
        answer = await client.post(server.url, content=pieces(), headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    limits = httpx2.Limits(max_connections=len(bodies))
    async with httpx2.AsyncClient(
        timeout=SECONDS_MAX, limits=limits, verify=False, trust_env=False
    ) as client:
        return await asyncio.gather(*(one(client, body) for body in bodies))


async def grown(server: Server, bodies: Sequence[Iterator[bytes]], size: int) -> list[dict]:
    """Send the bodies, print what memory it took, and hold the growth to its limit."""
    # What is loaded at the first request only is no part of what a request takes.
    small = smallest()
    await posted(server, [iter([small])], len(small))
    before = memory_of(server.process_id, "VmRSS")
    server.forget_peak()
    children: dict[int, int] = {}
    began = time.perf_counter()
    sending = asyncio.create_task(posted(server, bodies, size))
    while not sending.done():
        for child in server.children():
            children[child] = max(children.get(child, 0), memory_of(child, "VmHWM"))
        await asyncio.wait([sending], timeout=0.05)
    answers = await sending
    seconds = time.perf_counter() - began
    growth = memory_of(server.process_id, "VmHWM") - before
    print(
        f"\n{len(bodies)} x {size / 1e6:.1f} MB in {seconds:.1f} s"
        f" ({len(bodies) * size / 1e6 / seconds:.0f} MB/s): the server had {before / 1e6:.1f} MB"
        f" and grew by {growth / 1e6:.1f} MB; its children had"
        f" {', '.join(f'{peak / 1e6:.1f} MB' for peak in children.values())}"
    )
    assert growth < GROWTH_BYTES_MAX
    return answers


def smallest() -> bytes:
    return body_of([image_file(picture(seed=seed)) for seed in range(3)])


def test_the_printed_figures_mean_what_they_say() -> None:
    assert memory_of(os.getpid(), "VmHWM") >= memory_of(os.getpid(), "VmRSS") > MEBIBYTE
    assert memory_of(2**22 + 1, "VmRSS") == 0


async def test_forty_large_pictures_are_not_held(tmp_path: Path) -> None:
    # What follows the end of a JPEG belongs to no picture; cameras put such things there.
    pictures = [picture(side=1024, seed=seed) for seed in range(3)]
    filled = [data + bytes(IMAGE_BYTES - len(data)) for data in pictures]
    texts = [base64.b64encode(data) for data in filled]
    heads = [
        b'%s{"name":"photo%d.jpg","data":"data:image/jpeg;base64,' % (b"," * (number > 0), number)
        for number in range(IMAGES)
    ]
    first = b'{"identityName":"John","userId":"a-user","imageFiles":['
    size = len(first) + sum(map(len, heads)) + IMAGES * (len(texts[0]) + 2) + 2

    def body() -> Iterator[bytes]:
        yield first
        for number, head in enumerate(heads):
            text = texts[number % 3]
            yield head
            for place in range(0, len(text), MEBIBYTE):
                yield text[place : place + MEBIBYTE]
            yield b'"}'
        yield b"]}"

    async with serving(tmp_path) as server:
        (answer,) = await grown(server, [body()], size)
    assert answer == {"images": IMAGES, "bytes": IMAGES * IMAGE_BYTES}


async def test_forty_of_the_smallest_requests_at_once_are_not_much(tmp_path: Path) -> None:
    small = smallest()
    assert json.loads(small)["imageFiles"]
    async with serving(tmp_path) as server:
        answers = await grown(server, [iter([small]) for _ in range(40)], len(small))
    assert [answer["images"] for answer in answers] == [3] * 40
