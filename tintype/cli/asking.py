"""How does a person ask for pictures and watch them come?

Over HTTP, as an app does: submit, look at the job, download what it made.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from rich.console import Console

from tintype import database, jobs
from tintype.cli.telling import err, plain, stop
from tintype.database import Pool
from tintype.jobs import Job

LOOK_SECONDS = 0.05
# A server or its Postgres that starts again is waited for this long.
AWAY_SECONDS_MAX = 30.0
REQUEST_SECONDS_MAX = 30.0
SLUG_CHARACTERS_MAX = 40
WORDS_MAX = 8


async def submit(url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST `generate-image` and return its answer; stop the command with the server's sentence."""
    async with httpx2.AsyncClient(trust_env=False, timeout=REQUEST_SECONDS_MAX) as client:
        response = await client.post(
            f"{url}/functions/v1/generate-image",
            json=body,
            headers={"authorization": f"Bearer {token}"},
        )
    try:
        answer: dict[str, Any] = response.json()
    except ValueError:
        stop(f"{url} answered {response.status_code}: {plain(response.text)[:200]}")
    if response.status_code >= 400:
        said = answer.get("error") or answer.get("message") or answer.get("msg") or answer
        stop(str(said), hint=answer.get("hint"))
    for warning in answer.get("warnings", []):
        err.print(f"warning: {warning}")
    return answer


async def watch(pool: Pool, job_id: UUID, console: Console) -> Job:
    """Show the job's state as it changes, until it has ended; return it."""

    async def look() -> tuple[Job | None, str]:
        job = await jobs.get(pool, job_id)
        return job, "" if job is None else await _word(pool, job)

    seen = ""
    with _line(console) as line:
        while True:
            job, word = await database.persist(look, seconds_max=AWAY_SECONDS_MAX)
            if job is None:
                stop(f"The job {job_id} is gone.")
            if word != seen:
                line(word)
                seen = word
            if job.is_terminal:
                return job
            await asyncio.sleep(LOOK_SECONDS)


async def download(
    urls: list[str], folder: Path, prompt: str, *, replace: bool = False
) -> list[Path]:
    """Write the pictures to `folder`, named after the prompt and numbered; return the files.

    A file that exists already is kept, and its number passed over, unless `replace`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:SLUG_CHARACTERS_MAX].strip("-") or "picture"
    files: list[Path] = []
    number = 0
    async with httpx2.AsyncClient(trust_env=False, timeout=REQUEST_SECONDS_MAX) as client:
        for url in urls:
            response = await client.get(url)
            response.raise_for_status()
            number += 1
            while not replace and any(folder.glob(f"{slug}-{number}.*")):
                number += 1
            file = folder / f"{slug}-{number}.{url.rsplit('.', 1)[-1]}"
            await asyncio.to_thread(file.write_bytes, response.content)
            files.append(file)
    return files


@contextmanager
def _line(console: Console) -> Iterator[Callable[[str], object]]:
    """Yield what adds a word: to one line that grows on a terminal, else as a line of its own."""
    if not console.is_terminal:
        yield console.print
        return
    words: list[str] = []

    def told() -> str:
        return " → ".join(words[-WORDS_MAX:])

    with console.status("") as spinner:

        def add(word: str) -> None:
            words.append(word)
            spinner.update(told())

        try:
            yield add
        finally:
            spinner.stop()
            console.print(told())


async def _word(pool: Pool, job: Job) -> str:
    match job.status:
        case "queued" if job.next_run_at is not None and job.retries:
            return f"retry {job.retries} of {job.max_retries}"
        case "queued":
            position = await jobs.queue_position(pool, job)
            return f"queued ({position} before it)" if position else "queued"
        case "processing":
            return f"{job.result_count} of {job.quantity}"
        case "completed":
            return f"completed, {job.result_count} of {job.quantity}"
        case _:
            return f"{job.status}: {plain(job.error_message or job.error_code or '')}"
