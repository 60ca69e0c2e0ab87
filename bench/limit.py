"""How many jobs can this Postgres claim and finish, one per transaction, in the best case?

pgbench, the C program of Postgres itself, on one plain table: select the first queued row for
update, skip locked; mark it done; commit. No library that takes one job per transaction passes it.
"""

import asyncio
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from bench.process import MeasurementFailed, running
from bench.rounds import Run
from tintype.database.launch import programs

CLIENTS = 16
THREADS = 2
TABLE = """
create table job (
  id bigint generated always as identity primary key,
  status text not null default 'queued',
  payload jsonb not null,
  created_at timestamptz not null default now(),
  done_at timestamptz
);
create index job_queued on job (id) where status = 'queued';
"""
SCRIPT = """
begin;
select id from job where status = 'queued' order by id limit 1 for update skip locked \\gset
update job set status = 'done', done_at = now() where id = :id;
commit;
"""
PAYLOAD = {"prompt": "a robot holding a skateboard", "model": "sandbox", "aspect_ratio": "1:1"}


async def measure(run: Run) -> None:
    """Add `pgbench_claim_one_tx_per_s`."""
    script = run.folder / "claim_one.sql"
    script.write_text(SCRIPT)
    for _ in range(run.sizes.repeats):
        async with run.server.empty() as url:
            connection = await asyncpg.connect(url)
            await connection.execute(TABLE)
            await connection.execute(
                "insert into job (payload) select $1::text::jsonb from generate_series(1, $2)",
                json.dumps(PAYLOAD),
                run.sizes.limit_rows,
            )
            await connection.execute("vacuum (analyze) job")
            await connection.execute("checkpoint")
            await connection.close()
            rate = await _pgbench(url, script, run.sizes.limit_seconds)
        run.note(
            "pgbench_claim_one_tx_per_s",
            rate,
            unit="tx/s",
            what=f"pgbench, {CLIENTS} clients, one job per transaction, no ledger",
        )


async def _pgbench(url: str, script: Path, seconds: float) -> float:
    parts = urlsplit(url)
    environment = {
        "PGHOST": parts.hostname or "127.0.0.1",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or "postgres"),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.removeprefix("/"),
    }
    command = [str(programs() / "pgbench"), "-n", "-M", "prepared", "-f", str(script)]
    command += ["-c", str(CLIENTS), "-j", str(THREADS), "-T", str(max(1, round(seconds)))]
    pipe = asyncio.subprocess.PIPE
    async with running(*command, environment=environment, stdout=pipe, stderr=pipe) as process:
        out, err = await process.communicate()
    found = re.search(rb"^tps = ([0-9.]+)", out, re.MULTILINE)
    if process.returncode != 0 or found is None:
        raise MeasurementFailed(f"pgbench failed:\n{err.decode(errors='replace')[-2000:]}")
    return float(found[1])
