"""What do Redis's list commands mean on a queue of jobs?

A lane has one order, the server's: highest priority, then users in turn, then the oldest. RPOP and
LPOP both take its first job, as a lease; LPUSH and RPUSH give one back that the worker holds.
Everything else that Redis can do would make a second truth beside the jobs, and is refused.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any
from uuid import UUID

import msgspec

from tintype.database import Pool, named_queries
from tintype.jobs import job_of, waiting
from tintype.workers.outside import (
    OutsideWorker,
    give_back,
    held,
    job_document,
    native_queues,
    pop,
)

# All of them are one lease, as long as one job may take.
POP_JOBS_MAX = 20
LRANGE_JOBS_MAX = 100


class CommandError(Exception):
    """What Redis answers as an error; the message begins with its code."""


async def run(
    pool: Pool, worker: OutsideWorker, words: list[str], *, idle: Collection[str] = ()
) -> Any:
    """Run one command as the worker and return Redis's result as JSON values.

    Nothing is popped from `idle` queues: they were seen to have nothing a moment ago.
    Raises `CommandError`: `ERR` for a command that lanes do not have or arguments that do not fit,
    `NOPERM` for a queue that is not the worker's.
    """
    name, arguments = words[0].upper(), words[1:]
    found = COMMANDS.get(name)
    if found is None:
        raise CommandError(
            f"ERR Command is not available: '{words[0][:40]}'. Lanes answer {', '.join(COMMANDS)}"
        )
    act, least, most = found
    if not least <= len(arguments) <= most:
        raise CommandError(f"ERR wrong number of arguments for '{name.lower()}' command")
    if name != "PING" and arguments[0] not in worker.queues:
        raise CommandError("NOPERM this token has no access to that key")
    if name != "PING" and arguments[0] in native_queues():
        raise CommandError("ERR jobs of this queue are taken over /worker/v1 only")
    if act is _pop and len(arguments) == 1 and arguments[0] in idle:
        return None
    return await act(pool, worker, arguments)


async def _ping(_pool: Pool, _worker: OutsideWorker, arguments: list[str]) -> str:
    return arguments[0] if arguments else "PONG"


async def _pop(pool: Pool, worker: OutsideWorker, arguments: list[str]) -> Any:
    """Lend the next job, or up to `count` of them as a list; null when there is none."""
    if len(arguments) == 1:
        taken = await pop(pool, worker.holder, arguments[0])
        return _text(job_document(taken[0])) if taken else None
    count = _number(arguments[1])
    if count < 0:
        raise CommandError("ERR value is out of range, must be positive")
    if count == 0:
        return []
    taken = await pop(pool, worker.holder, arguments[0], limit=min(count, POP_JOBS_MAX))
    return [_text(job_document(job)) for job in taken] or None


async def _push(pool: Pool, worker: OutsideWorker, arguments: list[str]) -> int:
    """Give jobs back that this worker holds; all of them must be, or none is."""
    lent = []
    for value in arguments[1:]:
        found = await held(pool, worker, _job_id(value))
        if found is None or found.job.queue != arguments[0]:
            raise CommandError(
                "ERR only jobs of this queue that this worker holds can be pushed back; "
                "new jobs come from the queue-job function"
            )
        lent.append(found)
    for one in lent:
        await give_back(pool, one)
    return await _length(pool, worker, arguments)


async def _length(pool: Pool, _worker: OutsideWorker, arguments: list[str]) -> int:
    return await waiting(pool, arguments[0])


async def _range(pool: Pool, _worker: OutsideWorker, arguments: list[str]) -> list[str]:
    """Return jobs without taking them, at most `LRANGE_JOBS_MAX`, the next one last.

    RPOP takes from the right in Redis, so the right end is the head of the line.
    """
    start, stop = _number(arguments[1]), _number(arguments[2])
    length = await _length(pool, _worker, arguments)
    start, stop = (bound + length if bound < 0 else bound for bound in (start, stop))
    start, stop = max(start, 0), min(stop, length - 1)
    if start > stop:
        return []
    stop = min(stop, start + LRANGE_JOBS_MAX - 1)
    rows = await pool.fetch(
        named_queries("outside")["lane_range"], arguments[0], length - 1 - stop, stop - start + 1
    )
    return [_text(job_document(job_of(row))) for row in reversed(rows)]


def _job_id(value: str) -> UUID:
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        document = value
    if isinstance(document, dict):
        document = document.get("id") or document.get("jobId") or document.get("job_id")
    try:
        return UUID(str(document))
    except ValueError as error:
        raise CommandError("ERR the value is not a job of this lane") from error


def _number(word: str) -> int:
    if not word.removeprefix("-").isdecimal() or len(word) > 18:
        raise CommandError("ERR value is not an integer or out of range")
    return int(word)


def _text(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


Act = Callable[[Pool, OutsideWorker, list[str]], Awaitable[Any]]
# Name → what it does, and how many arguments it takes.
COMMANDS: dict[str, tuple[Act, int, int]] = {
    "RPOP": (_pop, 1, 2),
    "LPOP": (_pop, 1, 2),
    "LPUSH": (_push, 2, 1 + POP_JOBS_MAX),
    "RPUSH": (_push, 2, 1 + POP_JOBS_MAX),
    "LLEN": (_length, 1, 1),
    "LRANGE": (_range, 3, 3),
    "PING": (_ping, 0, 1),
}
