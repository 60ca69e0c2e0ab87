"""What happens between the claim of a job and its end?

One attempt, told from top to bottom: `execute`. It makes what is missing, delivers each output as
it is ready, and concludes by the causes of what failed.
"""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tintype import clock, database, events
from tintype.errors import (
    Fenced,
    Invalid,
    Misconfigured,
    ProviderError,
    Quota,
    Refused,
    RequestError,
    Transient,
)
from tintype.jobs import TERMINAL, Job
from tintype.providers import Model, Output, Reference, Request
from tintype.workers import delivery, pauses, references, settlement
from tintype.workers.kernel import Kernel
from tintype.workers.settlement import Completion, Settler

# What decides, when the outputs of one job failed for different causes: the first that occurs.
CAUSES_BY_WEIGHT: tuple[type[ProviderError], ...] = (
    Misconfigured,
    Quota,
    Transient,
    Refused,
    Invalid,
)
# A batch of many pictures must not ask for all of them in the same instant.
CALLS_AT_ONCE_MAX = 8
# The provider does not know this one model; its others may go on.
MODEL_MISSING = "provider_model_missing"
REFUSED_POSITIONS = "refused_positions"
MESSAGE_CHARACTERS_MAX = 1000
# Jobs that wait for the same quota do not all come back in the same instant.
JITTER = 0.1


class Conclusion(msgspec.Struct, frozen=True):
    """How one attempt ended. `status` is the job's; None when the attempt had lost the job."""

    job: Job
    status: str | None
    made: int
    failed: int
    retries: int = 0
    next_run_at: datetime | None = None


async def execute(kernel: Kernel, settler: Settler, job: Job) -> Conclusion:
    """Run one attempt of a claimed job to its end and settle it.

    Outputs that exist are kept; only what is missing is asked of the provider, each output in its
    own time. On a crash at any point the lease expires and the next attempt goes on from what was
    stored. A job that was canceled or given to another worker is left as it is.
    """
    failures: dict[int, ProviderError] = {}
    model: Model | None = None
    try:
        if job.expires_at <= clock.now():
            raise Invalid("expired", "The job waited longer than jobs may wait.")
        model = _model(kernel, job)
        resting = await pauses.find(kernel.pool, model)
        if resting is not None:
            raise Quota(resting.detail, retry_after_seconds=resting.seconds)
        examples = await references.load(kernel, job)
        missing = await _missing(kernel, job, model)
        failures = await _make(kernel, job, model, examples, missing)
    except Fenced:
        events.emit(events.JobFenced(job=str(job.id), attempt=job.attempt))
        return Conclusion(job, None, 0, 0)
    except ProviderError as error:
        failures = dict.fromkeys(range(job.quantity), error)
    except Exception as error:
        if database.is_passing(error):
            return await give_back(kernel, job, cause="interrupted", delay_seconds=1.0)
        # A fault of ours or of the machine must not hold the job for ever.
        events.emit(events.LoopFailed(loop="execute", error=repr(error), delay_seconds=0))
        cause = Transient("worker_error", f"The worker failed: {type(error).__name__}.")
        failures = dict.fromkeys(range(job.quantity), cause)
    return await _conclude(kernel, settler, job, model, failures)


async def give_up(kernel: Kernel, job: Job, error: ProviderError) -> Conclusion:
    """End an attempt by the cause of its failure: the job is tried again later, or ends."""
    conclusion = await _fail(kernel, job, None, error, {0: error}, [])
    if conclusion.status in TERMINAL:
        settlement.tell(job, status=conclusion.status, outputs=conclusion.made, cause=_cause(error))
    return conclusion


async def give_back(
    kernel: Kernel,
    job: Job,
    *,
    cause: str,
    delay_seconds: float,
    persist_seconds_max: float = settlement.PERSIST_SECONDS_MAX,
) -> Conclusion:
    """Return an unfinished job to its queue with what it has, without spending a retry."""
    failure = await settlement.fail(
        kernel.pool,
        job,
        cause=cause,
        message="The attempt was interrupted and goes on where it was.",
        delay_seconds=delay_seconds,
        spends_retry=False,
        persist_seconds_max=persist_seconds_max,
    )
    if failure is None:
        return Conclusion(job, None, 0, 0)
    return Conclusion(
        job, failure.status, failure.delivered, 0, failure.retries, failure.next_run_at
    )


def _model(kernel: Kernel, job: Job) -> Model:
    try:
        model, _ = kernel.providers.catalogue.resolve(job.payload.get("model"), clock.now())
    except RequestError as error:
        if error.code == "model_not_available":
            raise Misconfigured(error.code, error.message) from error
        raise Invalid(error.code, error.message) from error
    return model


async def _missing(kernel: Kernel, job: Job, model: Model) -> list[int]:
    """Return the positions to make: not delivered, not refused, nothing left by a crash."""
    if job.attempt == 1:
        return list(range(job.quantity))
    await delivery.adopt(kernel, job, model)
    done = await delivery.delivered_positions(kernel, job)
    done.update(job.metadata.get(REFUSED_POSITIONS, []))
    return [position for position in range(job.quantity) if position not in done]


async def _make(
    kernel: Kernel, job: Job, model: Model, examples: tuple[Reference, ...], missing: list[int]
) -> dict[int, ProviderError]:
    """Ask for the missing positions, up to `CALLS_AT_ONCE_MAX` calls at once.

    Returns what failed, by position. When the provider must rest, or the job is lost, the calls
    that have not begun are not made.
    """
    failures: dict[int, ProviderError] = {}
    places = asyncio.Semaphore(CALLS_AT_ONCE_MAX)
    is_over = False

    async def call(positions: Sequence[int]) -> None:
        nonlocal is_over
        async with places:
            resting = [one for one in failures.values() if isinstance(one, Quota | Misconfigured)]
            if resting:
                failures.update(dict.fromkeys(positions, resting[0]))
            elif not is_over:
                try:
                    await made(positions)
                except BaseException:
                    is_over = True
                    raise

    async def made(positions: Sequence[int]) -> None:
        try:
            outcomes = await kernel.providers.generate(
                model, _request(job, model, positions, examples)
            )
        except ProviderError as error:
            failures.update(dict.fromkeys(positions, error))
            return
        for position, outcome in zip(positions, outcomes, strict=True):
            if isinstance(outcome, Output):
                await delivery.keep(kernel, job, position, outcome, model)
            else:
                failures[position] = outcome

    results = await asyncio.gather(
        *(call(positions) for positions in _calls(missing, model.outputs_per_call_max)),
        return_exceptions=True,
    )
    # Every call is seen to its end first: a sibling's trouble must not drop a paid picture.
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return failures


def _calls(missing: list[int], outputs_per_call_max: int) -> list[list[int]]:
    """Split positions into calls of neighbours, since a seed counts up within one call."""
    calls: list[list[int]] = []
    for position in missing:
        last = calls[-1] if calls else []
        if last and last[-1] == position - 1 and len(last) < outputs_per_call_max:
            last.append(position)
        else:
            calls.append([position])
    return calls


def _request(
    job: Job, model: Model, positions: Sequence[int], examples: tuple[Reference, ...]
) -> Request:
    seed = job.payload.get("seed")
    return Request(
        model=model.name,
        prompt=job.prompt or "",
        count=len(positions),
        position=positions[0],
        aspect_ratio=job.payload.get("aspect_ratio"),
        image_size=job.payload.get("image_size"),
        seed=None if seed is None else seed + positions[0],
        person_generation=job.payload.get("person_generation"),
        references=examples,
    )


async def _conclude(
    kernel: Kernel,
    settler: Settler,
    job: Job,
    model: Model | None,
    failures: dict[int, ProviderError],
) -> Conclusion:
    refused = _refused_positions(job, failures)
    deciding = _deciding(failures)
    code: str | None
    if deciding is None:
        code = Refused.cause if refused else None
        message = f"{len(refused)} of {job.quantity} were refused." if refused else None
        done = await settler.complete(Completion(job, code, message))
        status = "completed" if done else None
        if not done:
            events.emit(events.JobFenced(job=str(job.id), attempt=job.attempt))
        conclusion = Conclusion(job, status, job.quantity - len(refused), len(refused), job.retries)
    else:
        code = _cause(deciding)
        conclusion = await _fail(kernel, job, model, deciding, failures, refused)
    if conclusion.status in TERMINAL:
        settlement.tell(job, status=conclusion.status, outputs=conclusion.made, cause=code)
    return conclusion


async def _fail(
    kernel: Kernel,
    job: Job,
    model: Model | None,
    error: ProviderError,
    failures: dict[int, ProviderError],
    refused: list[int],
) -> Conclusion:
    delay, spends_retry = _delay(kernel, job, error)
    if model is not None and isinstance(error, Quota | Misconfigured) and delay is not None:
        await database.persist(
            lambda: pauses.pause(
                kernel.pool,
                model,
                cause=error.cause,
                detail=f"{error.message} {error.hint or ''}".strip(),
                seconds=delay,
                whole=isinstance(error, Misconfigured) and error.code != MODEL_MISSING,
            ),
            seconds_max=settlement.PERSIST_SECONDS_MAX,
        )
    if delay is not None:
        delay *= 1 + random.uniform(0, JITTER)  # noqa: S311
    failure = await settlement.fail(
        kernel.pool,
        job,
        cause=_cause(error),
        message=error.message[:MESSAGE_CHARACTERS_MAX],
        delay_seconds=delay,
        spends_retry=spends_retry,
        metadata={REFUSED_POSITIONS: refused} if refused else None,
    )
    if failure is None:
        events.emit(events.JobFenced(job=str(job.id), attempt=job.attempt))
        return Conclusion(job, None, 0, len(failures))
    if failure.status == "queued":
        events.emit(
            events.JobRetried(
                job=str(job.id),
                job_type=job.job_type,
                cause=error.cause,
                delay_seconds=delay or 0,
                attempt=job.attempt,
            )
        )
    return Conclusion(
        job,
        failure.status,
        failure.delivered,
        len(failures),
        failure.retries,
        failure.next_run_at,
    )


def _delay(kernel: Kernel, job: Job, error: ProviderError) -> tuple[float | None, bool]:
    """Return after how many seconds to try again (None: never), and whether that is a retry."""
    match error:
        case Quota():
            return max(error.retry_after_seconds, 1.0), False
        case Misconfigured():
            return pauses.MISCONFIGURED_SECONDS, False
        case Transient():
            seconds = kernel.config.worker.retry_seconds
            return float(seconds[min(job.retries, len(seconds) - 1)]), True
        case _:
            return None, False


def _deciding(failures: dict[int, ProviderError]) -> ProviderError | None:
    """Return the failure that decides; a refusal beside delivered outputs decides nothing."""
    for kind in CAUSES_BY_WEIGHT:
        for error in failures.values():
            if isinstance(error, kind):
                return error
    return None


def _cause(error: ProviderError) -> str:
    return "expired" if error.code == "expired" else error.cause


def _refused_positions(job: Job, failures: dict[int, ProviderError]) -> list[int]:
    earlier = job.metadata.get(REFUSED_POSITIONS, [])
    now = [position for position, error in failures.items() if isinstance(error, Refused)]
    return sorted({*earlier, *now})
