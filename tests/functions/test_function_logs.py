"""What functions print, how their calls end, and who can read it."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from uuid import uuid4

import pytest

from support.project import Project
from tests.functions.console import console
from tests.support.product import Product, open_product
from tintype import database, events
from tintype.functions.journal import (
    LINES_PER_CALL_MAX,
    LINES_WAITING_MAX,
    MESSAGE_CHARACTERS_MAX,
    Journal,
    Line,
    heard,
    print_heard,
    to_database,
)
from tintype.workers.worker import PRUNE_ROWS_MAX

TALKING = """
import asyncio
import sys
from .neighbour import speak

methods = ('POST',)

async def serve(invocation):
    print('hello', 'there', 7)
    print('oh no', file=sys.stderr)
    await asyncio.to_thread(speak)
    return {}
"""


async def said(project: Project, path: str, *, method: str = "POST") -> list[tuple[str, str]]:
    async with project.serving() as client:
        await client.request(method, path)
    return [(line.level, line.message) for line in project.lines]


async def test_what_a_function_prints_is_its_log_wherever_it_prints_it(project: Project) -> None:
    project.open("talking", TALKING)
    project.write("talking/neighbour.py", "def speak(): print('from', 'a thread', sep='-')")
    assert await said(project, "/functions/v1/talking") == [
        ("info", "hello there 7"),
        ("error", "oh no"),
        ("info", "from-a thread"),
        ("info", "answered 200"),
    ]
    assert {line.function for line in project.lines} == {"talking"}
    assert len({line.request_id for line in project.lines}) == 1
    assert project.lines[-1].status == 200 and project.lines[-1].seconds is not None
    assert project.lines[0].status is None


async def test_one_call_cannot_fill_the_log(project: Project) -> None:
    project.open(
        "loud",
        f"async def serve(i):\n    for _ in range({LINES_PER_CALL_MAX * 2}): print('x')",
    )
    assert len(await said(project, "/functions/v1/loud")) == LINES_PER_CALL_MAX + 1


async def test_what_no_database_takes_is_replaced(pool: database.Pool) -> None:
    journal = Journal(to_database(pool))
    journal.add("f", "r", "info", "a\0b\ud800" + "x" * 10_000)
    await journal.close()
    [message] = [row["message"] for row in await pool.fetch("select * from tintype.function_logs")]
    assert message.startswith("a\ufffdb?xxx") and len(message) == MESSAGE_CHARACTERS_MAX


async def test_what_opens_a_door_is_not_kept(product: Product) -> None:
    keys = product.keys
    secrets = [
        keys.service_role_key,
        keys.secret_key,
        keys.mint(uuid4()),
        "sk-proj-0123456789abcdefghijklmnop",
        "AIzaSyA0123456789012345678901234567890",
        "hf_0123456789012345678901234567",
    ]
    journal = Journal(to_database(product.pool))
    for secret in secrets:
        journal.add("f", "r", "info", f"sent Bearer {secret}, and https://a.b/c?token={secret}&d=1")
    journal.add("f", "r", "error", "postgresql://anna:open-sesame@db:5432/x is away; 12:30 a@b.c")
    journal.add("f", "r", "error", "x" * (MESSAGE_CHARACTERS_MAX - 20) + secrets[0])
    await journal.close()
    rows = await product.pool.fetch("select message from tintype.function_logs order by id")
    said = [row["message"] for row in rows]
    assert said[: len(secrets)] == ["sent Bearer …, and https://a.b/c?token=…&d=1"] * len(secrets)
    assert said[-2] == "postgresql://…@db:5432/x is away; 12:30 a@b.c"
    assert said[-1] == "x" * (MESSAGE_CHARACTERS_MAX - 20) + "…"


async def test_more_old_lines_than_are_forgotten_at_once_are_forgotten(product: Product) -> None:
    await product.admin.execute(
        "insert into tintype.function_logs (at, function, request_id, level, message)"
        " select '2020-01-01', 'f', 'r', 'info', 'm' from generate_series(1, $1)",
        2 * PRUNE_ROWS_MAX + 1,
    )
    await product.restart()
    async with asyncio.timeout(20):
        while await product.count("tintype.function_logs"):
            await asyncio.sleep(0.05)


async def test_a_fault_and_a_refusal_are_lines_with_their_reason(project: Project) -> None:
    project.open("broken", "async def serve(i): raise ValueError('a defect')")
    project.open("strict", "async def serve(i): return await i.json(dict)")
    async with project.serving() as client:
        await client.post("/functions/v1/broken")
        await client.post("/functions/v1/strict", json=[])
        await client.post("/functions/v1/unknown")
    fault, end, refusal = project.lines
    assert fault.level == "error" and "a defect" in fault.message
    assert (end.level, end.status, end.message) == ("error", 500, "WORKER_ERROR")
    assert (refusal.level, refusal.status) == ("warning", 400)
    assert refusal.message.startswith("field_invalid: ")


async def test_the_operator_reads_what_was_said(database_url: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("talking/index.py", "async def serve(i):\n    print('hi')\n    return {}")
    async with open_product(database_url, tmp_path, works=False) as product:
        person = await product.person()
        await person.accepted({})
        await person.call("generate-image", {"prompt": " "})
        request_id = (await person.call("talking", {})).headers["x-request-id"]
        async with asyncio.timeout(60):
            while not (found := await logs(product, function="talking"))["lines"]:
                await asyncio.sleep(0.05)
        assert [line["message"] for line in found["lines"]] == ["answered 200", "hi"]
        everything = (await logs(product))["lines"]
        # A built-in function that served its caller is not worth a line; its job is the record.
        assert [(line["function"], line["level"]) for line in everything] == [
            ("talking", "info"),
            ("talking", "info"),
            ("generate-image", "warning"),
        ]
        assert everything[-1]["message"].startswith("prompt_empty: ")
        assert (await logs(product, level="warning"))["lines"] == everything[-1:]
        assert (await logs(product, requestId=request_id))["lines"] == everything[:2]
        page = await logs(product, limit=2)
        assert (await logs(product, limit=2, before=page["next"]))["lines"] == everything[2:]


async def test_a_job_tells_what_was_said_in_the_calls_that_spoke_of_it(product: Product) -> None:
    person = await product.person()
    job, other = [await person.accepted({}) for _ in range(2)]
    journal = Journal(to_database(product.pool))
    journal.add("shop", "r1", "info", "an order came")
    journal.add("shop", "r1", "info", f"it is made by {job.id}")
    journal.add("shop", "r1", "info", "answered 200", status=200, seconds=0.1)
    journal.add("shop", "r2", "info", f"it is made by {other.id}")
    await journal.close()
    seen = await console(product).see("job", jobId=str(job.id))
    assert [line["message"] for line in seen["logs"]] == [
        "answered 200",
        f"it is made by {job.id}",
        "an order came",
    ]


async def logs(product: Product, **wanted: object) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = await console(product).see("logs", **wanted)
    return found


@pytest.mark.parametrize(
    "trouble", [ConnectionRefusedError, OSError(28, "No space left on device"), ValueError("odd")]
)
async def test_lines_that_cannot_be_kept_are_counted(trouble: Exception) -> None:
    dropped: list[int] = []

    def note(name: str, fields: dict[str, int]) -> None:
        if name == "FunctionLogsDropped":
            dropped.append(fields["count"])

    async def away(lines: Sequence[Line]) -> None:
        raise trouble

    forget = events.subscribe(note)
    journal = Journal(away)
    for _ in range(LINES_WAITING_MAX + 3):
        journal.add("f", "r", "info", "x")
    await journal.close()
    forget()
    assert dropped == [LINES_WAITING_MAX + 3]


async def test_no_call_waits_for_a_log_that_is_slow_and_no_more_is_kept_than_may_wait() -> None:
    free, written = asyncio.Event(), list[int]()

    async def slow(lines: Sequence[Line]) -> None:
        written.append(len(lines))
        await free.wait()

    journal = Journal(slow)
    journal.add("f", "r", "info", "x")
    async with asyncio.timeout(20):
        while not written:
            await asyncio.sleep(0.01)
    for _ in range(3 * LINES_WAITING_MAX):
        journal.add("f", "r", "info", "x")
    free.set()
    await journal.close()
    assert written == [1, LINES_WAITING_MAX]


def test_a_thread_that_prints_after_the_server_has_ended_goes_on() -> None:
    ended, printed = threading.Event(), threading.Event()

    def late() -> None:
        ended.wait(20)
        print_heard("late")
        printed.set()

    async def call() -> None:
        async def keep(lines: Sequence[Line]) -> None:
            raise AssertionError(lines)

        journal = Journal(keep)
        with heard(journal, "f", "r"):
            threads.submit(copy_context().run, late)
        await journal.close()

    threads = ThreadPoolExecutor(1)
    asyncio.run(call())
    ended.set()
    threads.shutdown()
    assert printed.is_set()
