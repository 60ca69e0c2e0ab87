"""Commands about workers outside the server: add, list, revoke."""

from typing import Annotated

from cyclopts import App, Parameter

from tintype import clock, jobs
from tintype.cli.reach import Data, opened_pool, run
from tintype.cli.telling import Json, Output, err, out, print_json, print_rows, print_values
from tintype.errors import NotFound
from tintype.workers import outside

workers = App(name="workers", help="Let workers on other machines in, list them, shut them out.")

Queues = Annotated[
    list[str],
    Parameter(name=["--queue", "-q"], help="A queue that it serves; may be given again."),
]


@workers.command
def add(
    name: str,
    /,
    *,
    queue: Queues,
    callback_secret: Annotated[
        bool,
        Parameter(help="Print CALLBACK_SECRET too, for a worker that signs.", negative=""),
    ] = False,
    data: Data = None,
    output: Output = "env",
) -> None:
    """Let a worker in and print what its machine needs: four variables.

    The key among them is no service key: it writes files of jobs that this worker holds, reports
    those jobs, and opens nothing else. Adding the same name again gives it new ones; the old stop
    working at once.

    For example:
      tintype workers add gpu-1 --queue sdxl_queue -o env > gpu-1.env
    """
    from tintype import app as server

    known = {kind.queue for kind in jobs.job_types().values()} | {jobs.DEFAULT_QUEUE}
    for one in queue:
        if one not in known:
            err.print(
                f"note: no job type uses the queue {one}; known are {', '.join(sorted(known))}"
            )

    async def work() -> dict[str, str]:
        async with opened_pool(data) as (config, pool):
            keys = server.open_keys(config)
            secrets = await outside.add_worker(pool, keys, name, queue)
        values = {
            "SUPABASE_URL": config.public_url,
            "SUPABASE_SERVICE_KEY": secrets.key,
            "UPSTASH_REDIS_REST_URL": f"{config.public_url}/redis/v1",
            "UPSTASH_REDIS_REST_TOKEN": secrets.lane_token,
        }
        return values | ({"CALLBACK_SECRET": secrets.callback_secret} if callback_secret else {})

    print_values(run(work()), output)


@workers.command(name="list")
def list_(*, data: Data = None, json: Json = False) -> None:
    """List the workers that are let in, with what each holds and when it was last heard of."""

    async def work() -> list[dict[str, object]]:
        async with opened_pool(data) as (_, pool):
            found = await outside.list_workers(pool)
            held = await outside.held_counts(pool)
        now = clock.now()
        return [
            {
                "name": worker.name,
                "queues": ", ".join(worker.queues),
                "jobs_held": held.get(worker.holder, 0),
                "seen_seconds_ago": (
                    None if worker.seen_at is None else int((now - worker.seen_at).total_seconds())
                ),
                "created_at": worker.created_at,
            }
            for worker in found
        ]

    print_rows(
        run(work()),
        ("name", "queues", "jobs_held", "seen_seconds_ago", "created_at"),
        as_json=json,
        empty="There are no workers. Let one in: tintype workers add gpu-1 --queue sdxl_queue",
    )


@workers.command
def revoke(name: str, /, *, data: Data = None, json: Json = False) -> None:
    """Shut a worker out at once; the jobs it holds go back to their queues."""

    async def work() -> bool:
        async with opened_pool(data) as (_, pool):
            return await outside.revoke_worker(pool, name)

    if not run(work()):
        raise NotFound(
            "worker_not_found",
            f"There is no worker {name}.",
            hint="List them: tintype workers list",
        )
    if json:
        print_json({"name": name, "revoked": True})
    else:
        out.print(f"{name} is shut out.")
