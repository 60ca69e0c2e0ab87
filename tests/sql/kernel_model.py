"""What should the kernel hold after each step?

The kernel's promises once more, in plain Python and one thread: jobs, accounts, leases and stored
answers. Every method tells what the verb of the same name must answer.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

ENDED = ("completed", "failed", "canceled")


@dataclass
class ModelJob:
    """`place` is where a job that has not ended waits: ready, delayed or leased."""

    id: UUID
    user: UUID
    queue: str
    priority: int
    quantity: int
    price: int
    max_retries: int
    status: str = "queued"
    attempt: int = 1
    retries: int = 0
    progress: int = 0
    result_count: int = 0
    positions: set[int] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)
    place: str | None = "ready"
    asset: UUID | None = None
    # The positions whose row of pictures follows the job.
    rows: set[int] = field(default_factory=set)

    @property
    def is_live(self) -> bool:
        return self.status not in ENDED

    def is_held(self, attempt: int) -> bool:
        return self.is_live and self.attempt == attempt


@dataclass
class ModelAccount:
    granted: int = 0
    captured: int = 0
    held: int = 0
    is_premium: bool = False

    @property
    def available(self) -> int:
        return self.granted - self.captured - self.held


@dataclass
class ModelLease:
    worker: str
    holds: list[tuple[UUID, int]]
    is_expired: bool = False


class Model:
    def __init__(self) -> None:
        self.jobs: dict[UUID, ModelJob] = {}
        self.accounts: dict[UUID, ModelAccount] = {}
        self.leases: dict[UUID, ModelLease] = {}
        self.answers: dict[tuple[UUID, str], tuple[str, dict[str, Any]]] = {}
        self.references: set[tuple[UUID, str]] = set()
        # Pictures that wait for a job, and those of jobs: whose they are.
        self.pending: dict[UUID, UUID] = {}

    def live(self, *places: str) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.is_live and job.place in places]

    def grant(self, user: UUID, amount: int, reference: str | None) -> bool:
        account = self.accounts.setdefault(user, ModelAccount())
        if reference is not None and (user, reference) in self.references:
            return False
        if reference is not None:
            self.references.add((user, reference))
        account.granted += amount
        return True

    def submit(self, submissions: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any] | None]]:
        """A key that comes again within the batch is looked at after all others."""
        outcomes: dict[int, tuple[str, dict[str, Any] | None]] = {}
        seen: set[tuple[UUID, str]] = set()
        named: set[tuple[UUID, UUID | None]] = set()
        later: list[int] = []
        for place, row in enumerate(submissions):
            key = (row["user_id"], row["key"])
            named_now = (row["user_id"], row["asset_id"])
            is_taken = row["asset_id"] is not None and named_now in named
            named.add(named_now)
            if row["key"] is not None and key in seen:
                later.append(place)
                continue
            seen.add(key)
            outcomes[place] = self._submit_one(row, is_taken)
        if later:
            answers = self.submit([submissions[place] for place in later])
            outcomes.update(zip(later, answers, strict=True))
        return [outcomes[place] for place in range(len(submissions))]

    def filled_by(self, asset: UUID) -> ModelJob | None:
        """The job whose first output the picture is to be, or was."""
        found = [job for job in self.jobs.values() if job.asset == asset and 0 in job.rows]
        return found[0] if found else None

    def _is_free(self, asset: UUID, user: UUID) -> bool:
        if self.pending.get(asset) == user:
            return True
        job = self.filled_by(asset)
        has_failed = job is not None and not job.is_live and 0 not in job.positions
        return has_failed and job is not None and job.user == user

    def _begin_rows(self, job: ModelJob, row: dict[str, Any]) -> None:
        job.asset = row["image_id"]
        if job.asset is None:
            return
        job.rows = set(range(job.quantity))
        self.pending.pop(job.asset, None)
        for other in self.jobs.values():
            if other is not job and other.asset == job.asset:
                other.rows.discard(0)

    def _submit_one(self, row: dict[str, Any], is_taken: bool) -> tuple[str, dict[str, Any] | None]:
        user, key = row["user_id"], row["key"]
        stored = self.answers.get((user, key)) if key is not None else None
        if stored is not None:
            return ("replayed" if stored[0] == row["fingerprint"] else "key_reused"), stored[1]
        asset = row["asset_id"]
        if asset is not None and (is_taken or not self._is_free(asset, user)):
            return "asset_not_found", None
        account = self.accounts.get(user)
        amount = 0 if account is not None and account.is_premium else row["amount"]
        answer = {
            "job_id": str(row["job_id"]),
            "held": amount,
            "available": 0 if account is None else account.available,
        }
        if account is None:
            return "no_account", answer | {"held": row["amount"]}
        if amount > account.available:
            return "insufficient", answer
        account.held += amount
        answer["available"] = account.available
        price = amount // row["quantity"]
        self.jobs[row["job_id"]] = ModelJob(
            row["job_id"],
            user,
            row["queue"],
            row["priority"],
            row["quantity"],
            price,
            row["max_retries"],
        )
        self._begin_rows(self.jobs[row["job_id"]], row)
        if key is not None:
            self.answers[user, key] = row["fingerprint"], answer
        return "accepted", answer

    def claimed(self, lease_id: UUID, worker: str, claims: list[tuple[UUID, int]]) -> None:
        self.leases[lease_id] = ModelLease(worker, claims)
        for job_id, _ in claims:
            self.jobs[job_id].place = "leased"

    def holder_of(self, job: ModelJob, *workers: str) -> UUID | None:
        """The lease under which one of the workers has the job."""
        found = [
            lease_id
            for lease_id, lease in self.leases.items()
            if lease.worker in workers and job.is_live and (job.id, job.attempt) in lease.holds
        ]
        return found[0] if found else None

    def report(self, job: ModelJob, attempt: int, progress: int) -> bool:
        if not job.is_held(attempt):
            return False
        job.status = "processing"
        job.progress = max(job.progress, progress)
        return True

    def deliver(self, job: ModelJob, attempt: int, position: int) -> bool | None:
        """Whether it is new; None when fenced."""
        if not job.is_held(attempt):
            return None
        if position in job.positions or not 0 <= position < job.quantity:
            return False
        job.status = "processing"
        job.positions.add(position)
        job.result_count = len(job.positions)
        job.urls = [f"https://example.test/{job.id}/{place}.png" for place in sorted(job.positions)]
        job.progress = max(job.progress, 100 * job.result_count // job.quantity)
        return True

    def complete(self, job: ModelJob, attempt: int, urls: list[str] | None = None) -> bool:
        if not job.is_held(attempt):
            return False
        if urls is not None:
            job.urls, job.result_count = list(urls), len(urls)
        self.end(job, "completed")
        return True

    def fail(self, job: ModelJob, attempt: int, delay: float | None, spends: bool) -> str | None:
        """The new status; None when fenced."""
        if not job.is_held(attempt):
            return None
        if delay is None or (spends and job.retries >= job.max_retries):
            self.end(job, "completed" if job.result_count else "failed")
        else:
            self._requeue(job, "delayed" if delay > 0 else "ready", spends)
        return job.status

    def forward(self, job: ModelJob, attempt: int, queue: str) -> bool:
        if not job.is_held(attempt):
            return False
        self._requeue(job, "ready", False)
        job.queue, job.retries = queue, 0
        return True

    def cancel(self, job: ModelJob, user: UUID | None) -> str:
        """One of canceled, again, TT404, TT409."""
        if user is not None and user != job.user:
            return "TT404"
        if job.status == "canceled":
            return "again"
        if not job.is_live:
            return "TT409"
        self.end(job, "canceled")
        return "canceled"

    def rescue(self, lease_ids: list[UUID]) -> dict[UUID, str]:
        """The jobs that the leases held, each with its new status."""
        taken: dict[UUID, str] = {}
        for lease_id in lease_ids:
            for job_id, attempt in self.leases.pop(lease_id).holds:
                job = self.jobs[job_id]
                if not job.is_held(attempt):
                    continue
                if job.result_count >= job.quantity:
                    self.end(job, "completed")
                elif job.retries >= job.max_retries:
                    self.end(job, "completed" if job.result_count else "failed")
                else:
                    self._requeue(job, "ready", True)
                taken[job_id] = job.status
        return taken

    def lost(self, lease_id: UUID) -> set[UUID]:
        holds = self.leases[lease_id].holds
        return {job_id for job_id, attempt in holds if not self.jobs[job_id].is_held(attempt)}

    def close_leases(self, lease_ids: list[UUID]) -> None:
        for lease_id in lease_ids:
            lease = self.leases.get(lease_id)
            if lease is not None and len(self.lost(lease_id)) == len(lease.holds):
                del self.leases[lease_id]

    def _requeue(self, job: ModelJob, place: str, spends: bool) -> None:
        job.status, job.place = "queued", place
        job.attempt += 1
        job.retries += spends

    def end(self, job: ModelJob, status: str) -> None:
        account = self.accounts[job.user]
        account.held -= job.price * job.quantity
        account.captured += job.price * job.result_count
        job.status, job.place = status, None
        if status == "completed":
            job.progress = 100
