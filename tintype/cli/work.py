"""Commands about jobs: list, show, cancel, requeue."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from cyclopts import App, Parameter
from rich.progress import track

from tintype import clock, credits, jobs
from tintype.cli.people import find_user
from tintype.cli.reach import Data, opened_pool, run
from tintype.cli.telling import Json, Limit, err, out, plain, print_json, print_rows
from tintype.config import Config
from tintype.database import Pool
from tintype.errors import NotFound, TintypeError
from tintype.jobs import Job

work = App(name="jobs", help="Look at jobs, cancel them, run them again.")

COLUMNS = ("id", "status", "result_count", "quantity", "retries", "error_code", "prompt")

JobIds: TypeAlias = Annotated[list[UUID], Parameter(help="One or more ids.", negative="")]


@work.command(name="list")
def list_(
    *,
    user: Annotated[str | None, Parameter(help="Only this user's: e-mail or id.")] = None,
    status: Annotated[jobs.Status | None, Parameter(help="Only those that are so.")] = None,
    limit: Limit = 50,
    data: Data = None,
    json: Json = False,
) -> None:
    """List jobs, newest first."""

    async def act() -> None:
        async with opened_pool(data) as (_, pool):
            user_id = (await find_user(pool, user)).id if user else None
            found = await jobs.listing(pool, user_id=user_id, status=status, limit=limit)
        print_rows(found, COLUMNS, as_json=json, empty="There are no such jobs.")

    run(act())


@work.command
def show(job_id: UUID, /, *, data: Data = None, json: Json = False) -> None:
    """Show a job with its outputs and its credits."""

    async def act() -> None:
        async with opened_pool(data) as (_, pool):
            job = await _find(pool, job_id)
            outputs = await jobs.outputs(pool, job_id)
            hold = await credits.hold(pool, job_id)
            position = await jobs.queue_position(pool, job)
        if json:
            print_json({"job": job, "outputs": outputs, "hold": hold, "queue_position": position})
            return
        facts = _facts(job)
        if position is not None:
            facts["position"] = f"{position} before it"
        if hold is not None:
            facts["credits"] = (
                f"held {hold.amount}, captured {hold.captured}, released {hold.released}"
            )
        for row in outputs:
            facts[str(row["position"])] = f"{row['width']}×{row['height']}  {row['url']}"
        for name, value in facts.items():
            out.print(f"{name:>12}  {plain(str(value))}")

    run(act())


@work.command
def cancel(job_ids: JobIds, /, *, data: Data = None, json: Json = False) -> None:
    """Cancel jobs; what they delivered stays and is paid for, the rest is released."""

    from tintype import workers

    async def one(pool: Pool, _: Config, job_id: UUID) -> dict[str, str]:
        await workers.cancel(pool, job_id, user_id=None, message="Canceled by an operator.")
        return {"status": "canceled"}

    _each("canceling", job_ids, one, data=data, as_json=json)


@work.command
def requeue(job_ids: JobIds, /, *, data: Data = None, json: Json = False) -> None:
    """Run what failed or canceled jobs did not deliver, as new jobs at the old price.

    A job that is requeued twice has one new job.

    For example, all that failed:
      tintype jobs requeue $(tintype jobs list --status failed --json | jq -r '.[].id')
    """

    from tintype import functions

    async def one(pool: Pool, config: Config, job_id: UUID) -> dict[str, str]:
        submitter = functions.Submitter(pool, welcome=config.credits.welcome)
        return {"new_id": str(await functions.requeue(pool, submitter, job_id))}

    _each("requeueing", job_ids, one, data=data, as_json=json)


def _each(
    what: str,
    job_ids: list[UUID],
    one: Callable[[Pool, Config, UUID], Awaitable[dict[str, str]]],
    *,
    data: Any,
    as_json: bool,
) -> None:
    """Do it to every job, whatever becomes of the others; exit 1 if one could not be done."""

    async def act() -> list[dict[str, str]]:
        done = []
        is_watched = err.is_terminal and len(job_ids) > 1
        async with opened_pool(data) as (config, pool):
            for job_id in track(job_ids, what, console=err, transient=True, disable=not is_watched):
                try:
                    done.append({"id": str(job_id), **await one(pool, config, job_id)})
                except TintypeError as error:
                    done.append({"id": str(job_id), "code": error.code, "error": error.message})
        return done

    done = run(act())
    if as_json:
        print_json(done)
    else:
        for outcome in done:
            said = outcome.get("error") or outcome.get("status") or f"→ {outcome['new_id']}"
            (err if "error" in outcome else out).print(f"{outcome['id']}  {said}")
    if any("error" in outcome for outcome in done):
        raise SystemExit(1)


async def _find(pool: Pool, job_id: UUID) -> Job:
    job = await jobs.get(pool, job_id)
    if job is None:
        raise NotFound(
            "job_not_found", f"There is no job {job_id}.", hint="List them: tintype jobs list"
        )
    return job


def _facts(job: Job) -> dict[str, object]:
    waits = job.next_run_at
    facts = {
        "id": job.id,
        "user": job.user_id,
        "status": job.status,
        "prompt": job.prompt,
        "model": job.payload.get("model"),
        "delivered": f"{job.result_count} of {job.quantity}",
        "retries": f"{job.retries} of {job.max_retries}",
        "created": f"{job.created_at:%Y-%m-%d %H:%M:%S}",
        "ended": f"{job.completed_at:%Y-%m-%d %H:%M:%S}" if job.completed_at else None,
        "runs again": f"in {(waits - clock.now()).total_seconds():.0f} s" if waits else None,
        "error": f"{job.error_code}: {job.error_message}" if job.error_code else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
