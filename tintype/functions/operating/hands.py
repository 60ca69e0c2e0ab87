"""Who works, and what must rest?"""

from datetime import date, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from tintype import clock, jobs
from tintype.errors import NotFound
from tintype.functions.context import Context
from tintype.functions.operating.asking import (
    JOBS_SEEN_MAX,
    Act,
    Minutes,
    Operator,
    Text,
    Told,
    View,
    first_id_of,
    query,
)
from tintype.providers import Catalogue
from tintype.workers import outside, pauses

SEEN_SECONDS = 60
LEASES_SHOWN_MAX = 500
JOBS_SHOWN_MAX = 500
WARNING_DAYS = 60
# Holders of leases that are no worker of a server's process: workers outside, carriers of queues.
OUTSIDE, CARRIER = "worker:", "carrier:"


class OutsideState(Told, frozen=True):
    """A worker on another machine; alive if it was heard of in the last minute."""

    name: str
    queues: list[str]
    created_at: datetime
    seen_at: datetime | None
    is_alive: bool
    jobs_held: int


class InsideState(Told, frozen=True):
    """A worker of a server's process: one that holds a lease, or the one that answers this."""

    name: str
    is_answering: bool
    leases: int
    jobs_held: int


class HeldJob(Told, frozen=True):
    """A job under a lease that has not ended; `worker` is the holder by name."""

    id: UUID
    job_type: str
    queue: str
    status: str
    progress: int
    attempt: int
    worker: str
    expires_at: datetime


class LeaseState(Told, frozen=True):
    """One lease, and how many jobs it was given for."""

    id: UUID
    worker: str
    expires_at: datetime
    jobs: int


class Workers(Told, frozen=True):
    """Everybody who works, and at most 500 leases and jobs, those that expire first."""

    outside: list[OutsideState]
    inside: list[InsideState]
    leases: list[LeaseState]
    jobs: list[HeldJob]


class AskWorkers(View, tag="workers", frozen=True):
    """Who works, on what, and until when?"""

    async def read(self, context: Context) -> Workers:
        """Return the workers, their leases and the jobs under them."""
        return await workers_of(context)


async def workers_of(context: Context) -> Workers:
    """Return the workers, their leases and the jobs under them."""
    pool, now = context.pool, clock.now()
    known = await outside.list_workers(pool)
    names = {worker.holder: worker.name for worker in known}
    leases = await pool.fetch(query("leases"), LEASES_SHOWN_MAX)
    held = await pool.fetch(query("held_jobs"), JOBS_SHOWN_MAX)
    counts: dict[str, int] = {}
    for row in held:
        counts[row["holder"]] = counts.get(row["holder"], 0) + 1
    inside = {row["holder"] for row in leases if not row["holder"].startswith((OUTSIDE, CARRIER))}
    return Workers(
        outside=[
            OutsideState(
                name=worker.name,
                queues=list(worker.queues),
                created_at=worker.created_at,
                seen_at=worker.seen_at,
                is_alive=worker.seen_at is not None
                and (now - worker.seen_at).total_seconds() < SEEN_SECONDS,
                jobs_held=counts.get(worker.holder, 0),
            )
            for worker in known
        ],
        inside=[
            InsideState(
                name=name,
                is_answering=name == context.worker.name,
                leases=sum(row["holder"] == name for row in leases),
                jobs_held=counts.get(name, 0),
            )
            for name in sorted(inside | {context.worker.name})
        ],
        leases=[
            LeaseState(
                id=row["id"],
                worker=names.get(row["holder"], row["holder"]),
                expires_at=row["expires_at"],
                jobs=row["jobs"],
            )
            for row in leases
        ],
        jobs=[
            HeldJob(
                worker=names.get(row["holder"], row["holder"]),
                **{name: value for name, value in row.items() if name != "holder"},
            )
            for row in held
        ],
    )


class Cause(Told, frozen=True):
    """Why attempts failed: `failed` ended their jobs, `retried` were made again."""

    cause: str
    failed: int
    retried: int


class ProviderState(Told, frozen=True):
    """A model and what it made in the window. Job types without a model of their own stand under
    their own name, with the provider "workers"."""

    provider: str
    model: str
    jobs: int
    completed: int
    failed: int
    outputs: int
    credits: int
    causes: list[Cause]
    paused_until: datetime | None


class PauseState(Told, frozen=True):
    """What must not be called until a time; `model` "" is the whole provider."""

    provider: str
    model: str
    cause: str
    detail: str
    until: datetime


class Providers(Told, frozen=True):
    """The models with jobs in the window, and every pause that holds."""

    models: list[ProviderState]
    pauses: list[PauseState]
    jobs_seen_max: int = JOBS_SEEN_MAX


class AskProviders(View, tag="providers", frozen=True):
    """What did providers make, at what price, and what must rest?"""

    minutes: Minutes = 60

    async def read(self, context: Context) -> Providers:
        """Return what each model made of the jobs of the last `minutes`."""
        pool, now, bound = context.pool, clock.now(), first_id_of(self.minutes)
        resting = [
            PauseState(
                provider=one.provider,
                model=one.model,
                cause=one.cause,
                detail=one.detail,
                until=now + timedelta(seconds=one.seconds),
            )
            for one in await pauses.listing(pool)
        ]
        causes: dict[str, list[Cause]] = {}
        for row in await pool.fetch(query("causes"), bound, JOBS_SEEN_MAX):
            causes.setdefault(row["model"], []).append(
                Cause(cause=row["cause"], failed=row["failed"], retried=row["retried"])
            )
        models = []
        for row in await pool.fetch(query("made"), bound, JOBS_SEEN_MAX):
            provider = _provider_of(context.providers.catalogue, row["model"])
            until = [
                one.until
                for one in resting
                if one.provider == provider and one.model in ("", row["model"])
            ]
            models.append(
                ProviderState(
                    provider=provider,
                    causes=causes.get(row["model"], []),
                    paused_until=max(until, default=None),
                    **dict(row),
                )
            )
        return Providers(models=models, pauses=resting)


def _provider_of(catalogue: Catalogue, model: str) -> str:
    for one in catalogue.models:
        if one.id == model:
            return one.provider
    return "workers" if model in jobs.job_types() else "unknown"


class ModelState(Told, frozen=True):
    """One model of the catalogue. `ends_in_days` is negative when it has ended; `is_ending` says
    that it ends within 60 days, or has. `is_available`: it can be asked for here, now."""

    id: str
    title: str
    provider: str
    prices: dict[str, int]
    is_available: bool
    shutdown_at: date | None
    ends_in_days: int | None
    is_ending: bool
    replaced_by: str | None


class Models(Told, frozen=True):
    """The catalogue, in its order."""

    models: list[ModelState]


class AskModels(View, tag="models", frozen=True):
    """Which models are there, and which of them end?"""

    async def read(self, context: Context) -> Models:
        """Return the whole catalogue, ended models included; nothing is looked up."""
        catalogue, now = context.providers.catalogue, clock.now()
        available = {model.id for model in catalogue.available(now)}
        found = []
        for model in catalogue.models:
            ends = model.shutdown_at
            days = None if ends is None else (ends - now.date()).days
            found.append(
                ModelState(
                    id=model.id,
                    title=model.title,
                    provider=model.provider,
                    prices=model.prices,
                    is_available=model.id in available,
                    shutdown_at=ends,
                    ends_in_days=days,
                    is_ending=days is not None and days <= WARNING_DAYS,
                    replaced_by=model.replaced_by,
                )
            )
        return Models(models=found)


class Done(Told, frozen=True):
    """The act was carried out."""

    done: bool = True


class Unpause(Act, tag="unpause", frozen=True):
    """Let a model be called again; `model` "" ends the pause of the whole provider."""

    provider: Text
    model: Annotated[str, msgspec.Meta(max_length=320)] = ""

    async def perform(self, context: Context, operator: Operator) -> Done:
        """End the pause. Raises `NotFound` `pause_not_found` when there is none."""
        is_ended = await pauses.end(context.pool, self.provider, self.model)
        subject = f"{self.provider}/{self.model}"
        operator.tell("unpause", subject, "unpaused" if is_ended else "pause_not_found")
        if not is_ended:
            raise NotFound("pause_not_found", "There is no such pause.")
        context.worker.nudge()
        return Done()


class RevokeWorker(Act, tag="revoke_worker", frozen=True):
    """Shut a worker outside the server out; its jobs go back to their queues."""

    name: Text

    async def perform(self, context: Context, operator: Operator) -> Done:
        """End its secrets at once. Raises `NotFound` `worker_not_found` for an unknown name."""
        is_revoked = await outside.revoke_worker(context.pool, self.name)
        operator.tell("revoke_worker", self.name, "revoked" if is_revoked else "worker_not_found")
        if not is_revoked:
            raise NotFound("worker_not_found", "There is no such worker.")
        return Done()
