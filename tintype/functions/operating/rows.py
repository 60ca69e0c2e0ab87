"""How is a job told in a list?"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from tintype.functions.context import Context
from tintype.functions.operating.asking import JOBS_SEEN_MAX, Told, query

PROMPT_CHARACTERS_SHOWN_MAX = 200
# By the name of what is wanted. What is not asked for is not in the query, so that the plan fits.
# An index finds the first; for the rest, jobs are looked at one by one.
KEYS = {"before": "n.id < $", "user_id": "n.user_id = $"}
CONDITIONS = {
    "status": "j.status = $",
    "queue": "j.queue = $",
    "job_type": "j.job_type = $",
    "error_code": "j.error_code = $",
}


class JobRow(Told, frozen=True):
    """One job in a list; of its prompt the beginning."""

    id: UUID
    user_id: UUID
    email: str | None
    job_type: str
    queue: str
    model: str | None
    status: str
    progress: int
    quantity: int
    result_count: int
    attempt: int
    retries: int
    max_retries: int
    error_code: str | None
    error_message: str | None
    prompt: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    next_run_at: datetime | None


async def job_rows(context: Context, wanted: Mapping[str, Any], *, limit: int) -> list[JobRow]:
    """Return the newest jobs of which all that is `wanted` (names of `KEYS` and `CONDITIONS`) is
    true, among the newest `JOBS_SEEN_MAX` of which what is wanted by `KEYS` is."""
    arguments: list[Any] = [limit, PROMPT_CHARACTERS_SHOWN_MAX, JOBS_SEEN_MAX]
    statement = _where(query("jobs"), KEYS, wanted, arguments)
    statement = _where(statement, CONDITIONS, wanted, arguments)
    rows = await context.pool.fetch(statement, *arguments)
    emails = await emails_of(context, [row["user_id"] for row in rows])
    return [JobRow(email=emails.get(row["user_id"]), **dict(row)) for row in rows]


async def last_seen(context: Context, wanted: Mapping[str, Any]) -> UUID | None:
    """Return the last job that `job_rows` looks at if there may be older ones, None otherwise."""
    arguments: list[Any] = [JOBS_SEEN_MAX]
    statement = _where(query("last_seen"), KEYS, wanted, arguments)
    seen: UUID | None = await context.pool.fetchval(statement, *arguments)
    return seen


def _where(
    statement: str, known: Mapping[str, str], wanted: Mapping[str, Any], arguments: list[Any]
) -> str:
    """Return the statement with its first open condition filled in; `arguments` grow."""
    conditions = []
    for name, condition in known.items():
        if wanted.get(name) is not None:
            arguments.append(wanted[name])
            conditions.append(f"{condition}{len(arguments)}")
    return statement.replace("where true", f"where {' and '.join(conditions or ['1 = 1'])}", 1)


async def emails_of(context: Context, user_ids: list[UUID]) -> dict[UUID, str]:
    """Return the addresses of the users that have one."""
    rows = await context.pool.fetch(query("emails"), list(set(user_ids)))
    return {row["user_id"]: row["email"] for row in rows}
