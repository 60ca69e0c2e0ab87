"""What of the steps' files reaches the server, when it is slower than they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.gpu import tiny
from tintype.gpu.training.course import Kept, Step
from tintype.gpu.training.outbox import Outbox
from tintype.worker_client import JobLost, WorkerRefused

assert tiny.torch is not None
WAIT_SECONDS_MAX = 60


class Task:
    """A server that takes each file when it is told to, and remembers what it was told."""

    id = "b2f0"

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.opened = asyncio.Event()
        self.trouble: Exception | None = None
        self.stored: list[str] = []
        self.told: list[dict[str, Any]] = []

    async def grant(self, kind: str, step: int | None = None) -> dict[str, Any]:
        return {"path": f"{kind}-{step}"}

    async def store(self, grant: dict[str, Any], data: Path) -> str:
        assert data.read_text() == grant["path"]
        self.begun.set()
        await self.opened.wait()
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        self.stored.append(grant["path"])
        return str(grant["path"])

    async def training_progress(self, percent: float, **told: Any) -> None:
        self.told.append({"percent": percent} | told)


class Steps:
    """Writes what steps leave behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self, kind: str, step: int) -> Kept:
        path = self.folder / f"{kind}-{step}"
        path.write_text(path.name)
        of = Step(step, 10, 0.5, 1e-3)
        return Kept(of, checkpoint=path) if kind == "checkpoint" else Kept(of, sample=path)


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    return Steps(tmp_path)


@asynccontextmanager
async def sending(task: Task) -> AsyncIterator[tuple[Outbox, "asyncio.Task[None]"]]:
    outbox = Outbox(task, lambda: 42.0)  # type: ignore[arg-type]
    running = asyncio.create_task(outbox.run())
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            yield outbox, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_while_one_file_is_on_its_way_only_the_newest_of_each_kind_waits(
    steps: Steps,
) -> None:
    task = Task()
    async with sending(task) as (outbox, running):
        outbox.put(steps.kept("checkpoint", 1))
        await task.begun.wait()
        for step in (2, 3, 4):
            outbox.put(steps.kept("sample", step))
            outbox.put(steps.kept("checkpoint", step))
        left = {path.name for path in steps.folder.iterdir()}
        assert left == {"checkpoint-1", "checkpoint-4", "sample-4"}
        task.opened.set()
        outbox.close()
        await running
    assert task.stored == ["checkpoint-1", "checkpoint-4", "sample-4"]
    about = {"percent": 42.0, "steps": 10, "loss": 0.5, "learning_rate": 1e-3}
    saved = {"path": "checkpoint-1", "step": 1}
    assert task.told[0] == about | {"step": 1, "sample": None, "checkpoint": saved}
    assert task.told[2] == about | {"step": 4, "sample": "sample-4", "checkpoint": None}
    assert list(steps.folder.iterdir()) == []


async def test_what_is_not_wanted_any_more_is_not_sent(steps: Steps) -> None:
    task = Task()
    async with sending(task) as (outbox, running):
        outbox.put(steps.kept("checkpoint", 1))
        outbox.put(steps.kept("sample", 1))
        outbox.forget_checkpoint()
        task.opened.set()
        outbox.close()
        await running
    assert task.stored == ["sample-1"]
    assert list(steps.folder.iterdir()) == []


@pytest.mark.parametrize(
    "trouble",
    [
        WorkerRefused(400, "grants_exhausted", "no more"),
        WorkerRefused(503, "unavailable", "later"),
        httpx2.ConnectError("no way there"),
    ],
    ids=repr,
)
async def test_trouble_costs_one_file_and_not_the_next(
    steps: Steps, trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task()
    task.trouble = trouble
    async with sending(task) as (outbox, running):
        outbox.put(steps.kept("checkpoint", 1))
        outbox.put(steps.kept("sample", 1))
        task.opened.set()
        outbox.close()
        await running
    assert task.stored == ["sample-1"]
    assert "what step 1 left is not uploaded" in caplog.text
    assert list(steps.folder.iterdir()) == []


async def test_a_job_that_is_lost_ends_it(steps: Steps) -> None:
    task = Task()
    task.trouble = JobLost(404, "job_not_held", "gone")
    task.opened.set()
    async with sending(task) as (outbox, running):
        outbox.put(steps.kept("checkpoint", 1))
        with pytest.raises(JobLost):
            await running
