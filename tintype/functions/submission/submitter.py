"""How is a job accepted?

Price, hold and enqueue are one transaction: a caller who gets an answer has a durable job, and a
caller who is refused has left nothing behind. Submissions that arrive while the previous
transaction runs share the next one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID

import msgspec

from tintype import credits, events, jobs, spans
from tintype.database import Gatherer, Overloaded, Pool, is_passing, persist
from tintype.errors import (
    Conflict,
    InsufficientCredits,
    NotFound,
    Unavailable,
    Unprocessable,
)

PERSIST_SECONDS_MAX = 10.0
BATCH_MAX = 200
# How long a job may wait for a worker outside the server.
OUTSIDE_WAITING_SECONDS_MAX = 24 * 3600
# What `submit` and what comes before it may refuse with.
SUBMISSION_REFUSALS = {
    "idempotency_key_invalid": 400,
    "insufficient_credits": 402,
    "project_not_found": 404,
    "template_not_found": 404,
    "batch_not_found": 404,
    "model_not_found": 404,
    "batch_busy": 409,
    "model_busy": 409,
    "idempotency_key_in_use": 409,
    "idempotency_key_reused": 422,
    "account_missing": 503,
    "database_unavailable": 503,
    "overloaded": 503,
}


class Submission(msgspec.Struct, kw_only=True):
    """A job to be, with its price. `amount` is for all `units`; `key` makes it repeatable.

    `image_id` or `video_id` is the row that shows its first output from the start; it is `asset_id`
    too where the caller named a row that is there already. `batch_id` is the batch it fills: an own
    one, or with `is_new_batch` one that is made. `model_id` or `identity_id` is what it is made
    with, or what it trains.
    """

    user_id: UUID
    amount: int
    units: int
    quantity: int
    prompt: str
    payload: dict[str, Any]
    expires_seconds: int
    max_retries: int
    job_id: UUID = msgspec.field(default_factory=jobs.new_id)
    hold_id: UUID | None = None
    ordinal: int = 0
    project_id: UUID | None = None
    template_id: UUID | None = None
    image_id: UUID | None = None
    video_id: UUID | None = None
    asset_id: UUID | None = None
    batch_id: int | None = None
    is_new_batch: bool = False
    model_id: int | None = None
    identity_id: UUID | None = None
    job_type: str = "image"
    queue: str = jobs.DEFAULT_QUEUE
    priority: int = 0
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    route: str | None = None
    key: str | None = None
    fingerprint: str | None = None


class Acceptance(msgspec.Struct, frozen=True):
    """What was accepted: the job, the credits it holds, and what is left after it."""

    job_id: UUID
    held: int
    available: int


class _Outcome(msgspec.Struct, frozen=True):
    outcome: Literal[
        "accepted",
        "replayed",
        "key_reused",
        "insufficient",
        "no_account",
        "project_not_found",
        "template_not_found",
        "asset_not_found",
        "batch_not_found",
        "batch_busy",
        "model_not_found",
        "model_busy",
    ]
    answer: dict[str, Any] | None


class Submitter:
    """Accepts jobs."""

    def __init__(self, pool: Pool, *, welcome: int) -> None:
        """`welcome` is what an account starts with that is seen here for the first time."""
        self._pool = pool
        self._welcome = welcome
        self._gatherer: Gatherer[Submission, _Outcome] = Gatherer(self._write, batch_max=BATCH_MAX)
        self._in_flight: set[tuple[UUID, str | None, str]] = set()

    async def submit(self, submission: Submission) -> Acceptance:
        """Hold the credits and enqueue the job, in one committed transaction; or change nothing.

        With a `key` that was answered in the last 24 hours the stored answer comes back and no
        second job exists. Raises `InsufficientCredits`, `NotFound` (project, template),
        `Unprocessable` (`idempotency_key_reused`: the key came with another payload), `Conflict`
        (`idempotency_key_in_use`: its first request is still running), `Unavailable` when the
        database stays away for `PERSIST_SECONDS_MAX`.
        """
        submission.hold_id = submission.job_id
        with spans.span("submission", job=str(submission.job_id), queue=submission.queue):
            if (trace := spans.traceparent()) is not None:
                submission.metadata[jobs.TRACEPARENT] = trace
            outcome = await self._add(submission)
            if outcome.outcome == "no_account":
                with database_trouble_told():
                    await credits.open_account(
                        self._pool, submission.user_id, welcome=self._welcome
                    )
                outcome = await self._add(submission)
        if outcome.outcome == "accepted":
            _tell(submission)
        return _acceptance(outcome, submission.amount)

    async def replay(
        self, user_id: UUID, route: str, key: str, fingerprint: str
    ) -> Acceptance | None:
        """Return the stored answer of a key, or None if there is none yet.

        Raises `Unprocessable` as `submit` does.
        """
        row = await self._pool.fetchrow(
            "select fingerprint, answer from tintype.stored_answer($1, $2, $3)",
            user_id,
            route,
            key,
        )
        if row is None:
            return None
        is_same = row["fingerprint"] == fingerprint
        return _acceptance(_Outcome("replayed" if is_same else "key_reused", row["answer"]))

    def begin(self, user_id: UUID, route: str, key: str) -> tuple[UUID, str | None, str]:
        """Mark a key's request as running, until `end` gets what is returned here.

        Raises `Conflict` when one with the same key is running in this process. Across processes
        the database puts the two in order, and the second gets the first's answer.
        """
        mark = (user_id, route, key)
        if mark in self._in_flight:
            raise Conflict(
                "idempotency_key_in_use",
                "A request with this Idempotency-Key is still running.",
                hint="Wait for its answer, or repeat this one later.",
            )
        self._in_flight.add(mark)
        return mark

    def end(self, mark: tuple[UUID, str | None, str]) -> None:
        """Take the mark off again."""
        self._in_flight.discard(mark)

    async def close(self) -> None:
        """Wait until every submission handed in is written."""
        await self._gatherer.close()

    async def _add(self, submission: Submission) -> _Outcome:
        try:
            with database_trouble_told():
                return await self._gatherer.add(submission)
        except Overloaded:
            raise Unavailable("overloaded", "Too many requests are waiting.") from None

    async def _write(self, batch: list[Submission]) -> list[_Outcome]:
        for ordinal, submission in enumerate(batch, 1):
            submission.ordinal = ordinal
        outcomes: dict[int, _Outcome] = {}
        is_repeated = False

        async def attempt() -> None:
            nonlocal is_repeated
            left = batch
            if is_repeated:
                # The answer of the last attempt was lost, perhaps after its commit.
                outcomes.update(await self._committed(batch))
                left = [one for one in batch if one.ordinal not in outcomes]
            is_repeated = True
            if left:
                outcomes.update(await self._send(left))

        await persist(attempt, seconds_max=PERSIST_SECONDS_MAX)
        return [outcomes[submission.ordinal] for submission in batch]

    async def _send(self, batch: list[Submission]) -> dict[int, _Outcome]:
        rows = await self._pool.fetch(
            "select ordinal, outcome, answer from tintype.submit($1)",
            msgspec.json.encode(batch).decode(),
        )
        return {row["ordinal"]: _Outcome(row["outcome"], row["answer"]) for row in rows}

    async def _committed(self, batch: list[Submission]) -> dict[int, _Outcome]:
        rows = await self._pool.fetch(
            "select j.id, e.amount, a.available from public.jobs as j"
            " inner join public.credit_entries as e on e.hold_id = j.id and e.part = 0"
            " inner join public.credit_accounts as a on a.user_id = j.user_id"
            " where j.id = any ($1)",
            [submission.job_id for submission in batch],
        )
        found = {
            row["id"]: {
                "job_id": str(row["id"]),
                "held": row["amount"],
                "available": row["available"],
            }
            for row in rows
        }
        return {
            one.ordinal: _Outcome("accepted", found[one.job_id])
            for one in batch
            if one.job_id in found
        }


@contextmanager
def database_trouble_told() -> Iterator[None]:
    """Raise `Unavailable` (`database_unavailable`) for trouble inside that goes away by itself."""
    try:
        yield
    except Exception as error:
        # A full or broken disk is the operator's, and not a matter of waiting.
        is_of_the_disk = isinstance(error, OSError) and not isinstance(
            error, ConnectionError | TimeoutError | FileNotFoundError
        )
        if not is_passing(error) or is_of_the_disk:
            raise
        raise Unavailable(
            "database_unavailable",
            "The database does not answer at the moment.",
            hint="Repeat the request with the same Idempotency-Key.",
        ) from error


def _tell(submission: Submission) -> None:
    events.emit(
        events.JobAccepted(
            job=str(submission.job_id),
            user=str(submission.user_id),
            job_type=submission.job_type,
            queue=submission.queue,
            quantity=submission.quantity,
        )
    )


def _acceptance(outcome: _Outcome, amount: int = 0) -> Acceptance:
    answer = outcome.answer or {}
    match outcome.outcome:
        case "accepted" | "replayed":
            return Acceptance(UUID(answer["job_id"]), answer["held"], answer["available"])
        case "insufficient":
            raise InsufficientCredits(required=amount, available=answer.get("available") or 0)
        case "key_reused":
            raise Unprocessable(
                "idempotency_key_reused",
                "This Idempotency-Key was used with another payload.",
                hint="Use a new key for a new request.",
            )
        case "project_not_found":
            raise NotFound("project_not_found", "There is no such project of yours.")
        case "template_not_found":
            raise NotFound("template_not_found", "There is no such template for you.")
        case "asset_not_found":
            raise NotFound(
                "asset_not_found",
                "There is no such picture or video of yours that waits for a job.",
                hint="Name one whose status is pending or failed, or leave it out.",
            )
        case "batch_not_found":
            raise NotFound("batch_not_found", "There is no such batch of yours.")
        case "batch_busy":
            raise Conflict("batch_busy", "This batch has its job already.")
        case "model_not_found":
            raise NotFound("model_not_found", "There is no such model of yours.")
        case "model_busy":
            raise Conflict("model_busy", "This model is being trained already.")
        case "no_account":
            raise Unavailable("account_missing", "The credit account could not be opened.")
