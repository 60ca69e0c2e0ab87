"""Which promises does one look at all the tables show to be kept?"""

from collections import Counter
from typing import Any, TypeAlias
from uuid import UUID

from kernel_model import ENDED, Model

Seen: TypeAlias = dict[str, Any]

SNAPSHOT = """
select json_build_object(
  'jobs', (select coalesce(json_agg(j), '[]') from public.jobs as j),
  'outputs', (select coalesce(json_agg(g), '[]') from public.generations as g),
  'accounts', (select coalesce(json_agg(a), '[]') from public.credit_accounts as a),
  'entries', (select coalesce(json_agg(e), '[]') from public.credit_entries as e),
  'ready', (select coalesce(json_agg(r), '[]') from tintype.ready as r),
  'delayed', (select coalesce(json_agg(d), '[]') from tintype.delayed as d),
  'leases', (
    select coalesce(json_agg(l), '[]')
    from (select i.*, i.expires_at < now() as is_expired from tintype.leases as i) as l
  )
)
"""


def jobs(seen: Seen, model: Model, rows: dict[str, dict[str, Any]]) -> None:
    """Jobs are as predicted; ended ones never change again; seq grows with every change."""
    assert {row["id"] for row in seen["jobs"]} == {str(i) for i in model.jobs}
    positions: dict[str, set[int]] = {row["id"]: set() for row in seen["jobs"]}
    for output in seen["outputs"]:
        if output["status"] == "completed":
            positions[output["job_id"]].add(output["position"])
    newest = max((row["seq"] for row in rows.values()), default=0)
    for row in seen["jobs"]:
        job = model.jobs[UUID(row["id"])]
        found = {
            name: row[name] for name in ("status", "attempt", "retries", "progress", "result_count")
        }
        assert found == {name: getattr(job, name) for name in found}, job
        assert row["result_urls"] == job.urls
        assert positions[row["id"]] == job.positions
        assert (row["completed_at"] is None) == job.is_live
        before = rows.get(row["id"])
        if before is not None and before != row:
            assert before["status"] not in ENDED, "an ended job changed"
            assert row["seq"] > newest, "a change without a new seq"
        rows[row["id"]] = row


def assets(seen: Seen, model: Model) -> None:
    """Rows of pictures follow their jobs: whoever waits for one hears how it ended, once."""
    found: dict[str, dict[int, str]] = {str(job.id): {} for job in model.jobs.values()}
    pending = set()
    for output in seen["outputs"]:
        if output["status"] == "pending":
            pending.add(UUID(output["id"]))
            assert output["job_id"] is None
        else:
            found[output["job_id"]][output["position"]] = output["status"]
        assert (output["path"] is not None) == (output["status"] == "completed")
    assert pending == set(model.pending)
    ids = {(row["job_id"], row["position"]): row["id"] for row in seen["outputs"]}
    for job in model.jobs.values():
        unfilled = "generating" if job.is_live else "failed"
        expected = dict.fromkeys(job.rows, unfilled) | dict.fromkeys(job.positions, "completed")
        assert found[str(job.id)] == expected, job
        if 0 in job.rows:
            assert ids[str(job.id), 0] == str(job.asset)


def places(seen: Seen, model: Model) -> None:
    """A job that has not ended is in one place, with its own attempt: none is lost."""
    places = [("ready", row["job_id"], row["attempt"]) for row in seen["ready"]]
    places += [("delayed", row["job_id"], row["attempt"]) for row in seen["delayed"]]
    for lease in seen["leases"]:
        holds = zip(lease["job_ids"], lease["attempts"], strict=True)
        places += [("leased", job_id, attempt) for job_id, attempt in holds]
    live = {str(job.id): job for job in model.jobs.values() if job.is_live}
    found = [
        (job_id, place)
        for place, job_id, attempt in places
        if job_id in live and live[job_id].attempt == attempt
    ]
    assert sorted(found) == sorted((i, str(job.place)) for i, job in live.items())
    leases = {UUID(lease["id"]): lease["is_expired"] for lease in seen["leases"]}
    assert leases == {lease_id: lease.is_expired for lease_id, lease in model.leases.items()}


def holds(seen: Seen) -> None:
    """Each job has one hold, resolved once and exactly when it has ended."""
    entries: dict[str, dict[str, Any]] = {}
    for entry in seen["entries"]:
        if entry["kind"] != "grant":
            kinds = entries.setdefault(entry["hold_id"], {})
            assert entry["kind"] not in kinds, "an entry twice"
            kinds[entry["kind"]] = entry
    assert entries.keys() == {row["id"] for row in seen["jobs"]}
    for row in seen["jobs"]:
        kinds = entries[row["id"]]
        hold = kinds.pop("hold")
        assert {entry["user_id"] for entry in kinds.values()} <= {row["user_id"]}
        assert hold["user_id"] == row["user_id"] and hold["units"] == row["quantity"]
        assert bool(kinds) == (row["status"] in ENDED), "resolved exactly when ended"
        if kinds:
            assert sum(entry["amount"] for entry in kinds.values()) == hold["amount"]
            assert sum(entry["units"] for entry in kinds.values()) == hold["units"]
            captured = kinds.get("capture", {"units": 0, "amount": 0})
            assert captured["units"] == row["result_count"]
            price = hold["amount"] // hold["units"]
            assert captured["amount"] == price * row["result_count"]


def accounts(seen: Seen, model: Model) -> None:
    """Balances are the sums of entries, never below zero, and as predicted."""
    sums: dict[str, Counter[str]] = {row["user_id"]: Counter() for row in seen["accounts"]}
    for entry in seen["entries"]:
        sums[entry["user_id"]][entry["kind"]] += entry["amount"]
    for row in seen["accounts"]:
        of = sums[row["user_id"]]
        assert row["balance"] == of["grant"] - of["capture"] >= 0
        assert row["held"] == of["hold"] - of["capture"] - of["release"] >= 0
        assert row["available"] == row["balance"] - row["held"] >= 0
        account = model.accounts[UUID(row["user_id"])]
        assert (row["balance"], row["held"], row["is_premium"]) == (
            account.granted - account.captured,
            account.held,
            account.is_premium,
        )
    assert len(seen["accounts"]) == len(model.accounts)
