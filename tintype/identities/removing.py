"""How does all that an identity, a model or a user had go, and how is that proved?

A Removal is a row of `tintype.removals`: written with the deletion itself, or beforehand for what
is about to be stored and may not be accepted. The Remover takes those that are due, one step after
the other: jobs that go on are canceled; rows, objects, uploads and the repository are removed; then
everything is listed again, and only an empty listing ends the removal, as its proof. Every step
may be repeated, so a process killed anywhere leaves the rest to the next.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from tintype import clock, database, events, workers
from tintype.database import named_queries
from tintype.errors import Conflict, NotFound, ProviderError, Quota, TintypeError
from tintype.identities.hub import Hub
from tintype.storage import BackendFailed, clear_folder, look_below
from tintype.workers import Kernel

IDLE_SECONDS = 2.0
TROUBLE_SECONDS = 5.0
REMOVALS_AT_ONCE_MAX = 4
# A removal is another process's after this long without a word from its own.
CLAIM_SECONDS = 60
HOLD_SECONDS = 20.0
RETRY_SECONDS_FIRST = 5
RETRY_SECONDS_MAX = 3600
# A worker hears at once of a job that was canceled, and then needs a moment to let go.
LET_GO_SECONDS = 10
ROWS_AT_ONCE = 500
JOBS_AT_ONCE = 100
CANCELED = "What this belonged to was deleted."
ERROR_CHARACTERS_MAX = 500


class Place(msgspec.Struct, frozen=True):
    """A folder of a bucket; `prefix` ends with a slash."""

    bucket: str
    prefix: str


class Removal(msgspec.Struct, frozen=True):
    """One row of `tintype.removals`, as read at one moment."""

    id: UUID
    user_id: UUID
    kind: Literal["identity", "model", "user"]
    repository: str | None
    places: list[Place]
    job_ids: list[UUID]
    attempts: int
    last_error: str | None
    not_before: datetime
    created_at: datetime
    done_at: datetime | None
    proof: dict[str, Any] | None


class _Later(TintypeError):
    """Something is left, or still at work; look again after `seconds`."""

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__("later", message)
        self.seconds = seconds


class Remover:
    """Removes what is due, a few at once, until it is stopped."""

    def __init__(self, kernel: Kernel, hub: Hub | None) -> None:
        self._kernel = kernel
        self._hub = hub
        self._running: set[UUID] = set()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look for removals that are due."""
        self._loops = [asyncio.create_task(self._run()), asyncio.create_task(self._hold())]

    async def stop(self) -> None:
        """Break off; what was not finished is due again within `CLAIM_SECONDS`, here or
        elsewhere."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []

    async def remove_due(self) -> int:
        """Take what is due and try to remove it; return how many removals that were."""
        rows = await self._kernel.pool.fetch(
            "select * from tintype.claim_removals($1, $2)", REMOVALS_AT_ONCE_MAX, CLAIM_SECONDS
        )
        due = [msgspec.convert(dict(row), Removal) for row in rows]
        self._running = {removal.id for removal in due}
        try:
            await asyncio.gather(*map(self._attempt, due))
        finally:
            self._running = set()
        return len(due)

    async def _run(self) -> None:
        while True:
            seconds = IDLE_SECONDS
            try:
                if await self.remove_due() == REMOVALS_AT_ONCE_MAX:
                    seconds = 0
            except Exception as error:
                seconds = TROUBLE_SECONDS
                events.emit(
                    events.LoopFailed(loop="remove", error=repr(error), delay_seconds=seconds)
                )
            await asyncio.sleep(seconds)

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(HOLD_SECONDS)
            # Without it another process does the same work once more, which harms nothing.
            with suppress(*database.STATEMENT_ERRORS):
                if self._running:
                    await self._kernel.pool.execute(
                        "select tintype.hold_removals($1, $2)", list(self._running), CLAIM_SECONDS
                    )

    async def _attempt(self, removal: Removal) -> None:
        proof: dict[str, Any] | None = None
        error: str | None = None
        delay = min(RETRY_SECONDS_FIRST * 2 ** min(removal.attempts - 1, 20), RETRY_SECONDS_MAX)
        try:
            proof = await self._remove(removal)
        except Quota as refusal:
            error, delay = refusal.message, max(1, int(refusal.retry_after_seconds))
        except _Later as later:
            error = later.message
            delay = delay if later.seconds is None else int(later.seconds)
        except (ProviderError, BackendFailed) as trouble:
            error = str(trouble)
        except Exception as trouble:
            if not database.is_passing(trouble):
                events.emit(
                    events.LoopFailed(loop="remove", error=repr(trouble), delay_seconds=delay)
                )
            error = f"{type(trouble).__name__}: {trouble}"
        self._running.discard(removal.id)
        await self._kernel.pool.execute(
            "select tintype.end_removal($1, $2, $3, $4)",
            removal.id,
            proof,
            None if error is None else error[:ERROR_CHARACTERS_MAX],
            delay,
        )
        if error is None:
            events.emit(
                events.RemovalProved(
                    removal=str(removal.id), kind=removal.kind, user=str(removal.user_id)
                )
            )

    async def _remove(self, removal: Removal) -> dict[str, Any]:
        """Remove all of it and return the proof. Raises `_Later` when something is left."""
        await self._stop_jobs(removal)
        user_id = removal.user_id if removal.kind == "user" else None
        while await self._kernel.pool.fetchval(
            "select tintype.erase_rows($1, $2, $3)", removal.job_ids, user_id, ROWS_AT_ONCE
        ):
            pass
        places = await self._places(removal)
        for place in places:
            await clear_folder(self._kernel.storage, place.bucket, place.prefix)
        if removal.repository is not None:
            await self._account().remove(removal.repository)
        return await self._prove(removal, places)

    async def _stop_jobs(self, removal: Removal) -> None:
        """Cancel every job that goes on. Raises `_Later` when somebody was at work on one."""
        user_id = removal.user_id if removal.kind == "user" else None
        pool, find = self._kernel.pool, named_queries("identities")["jobs_going_on"]
        is_held = False
        while rows := await pool.fetch(find, user_id, removal.job_ids, JOBS_AT_ONCE):
            for row in rows:
                is_held |= row["is_held"]
                with suppress(NotFound, Conflict):
                    await workers.cancel(pool, row["id"], user_id=None, message=CANCELED)
        if is_held:
            raise _Later("Its jobs were canceled, and their workers let go.", LET_GO_SECONDS)

    async def _places(self, removal: Removal) -> list[Place]:
        if removal.kind != "user":
            return removal.places
        buckets = await self._kernel.pool.fetch("select id from storage.buckets order by id")
        return [Place(row["id"], f"{removal.user_id}/") for row in buckets]

    def _account(self) -> Hub:
        if self._hub is None:
            raise _Later("HUGGINGFACE_TOKEN is not set, and a repository is to be removed.")
        return self._hub

    async def _prove(self, removal: Removal, places: list[Place]) -> dict[str, Any]:
        """Look at everything once more and return what was seen. Raises `_Later` unless it is
        empty."""
        rows = await self._rows(removal)
        folders = []
        for place in places:
            left = await look_below(self._kernel.storage, place.bucket, place.prefix)
            folders.append(msgspec.to_builtins(place) | msgspec.to_builtins(left))
            if not left.is_empty:
                raise _Later(f"{place.bucket}/{place.prefix} still holds {left}.")
        if any(rows.values()):
            raise _Later(f"Rows are left: {rows}.")
        repository = None
        if removal.repository is not None:
            files = await self._account().listing(removal.repository)
            if files is not None:
                raise _Later(f"The repository {removal.repository} is still there.")
            repository = {"name": removal.repository, "files": None}
        return {
            "at": clock.now().isoformat(),
            "rows": rows,
            "folders": folders,
            "repository": repository,
        }

    async def _rows(self, removal: Removal) -> dict[str, int]:
        queries = named_queries("identities")
        pool = self._kernel.pool
        found = dict(await pool.fetchrow(queries["rows_of_jobs"], removal.job_ids) or {})
        if removal.kind == "identity":
            found |= dict(await pool.fetchrow(queries["rows_of_identity"], removal.id) or {})
        if removal.kind == "user":
            found = dict(await pool.fetchrow(queries["rows_of_user"], removal.user_id) or {})
            # What the user's identities and models had elsewhere has removals of its own.
            if await pool.fetchval(queries["other_removals"], removal.user_id, removal.id):
                raise _Later("Identities or models of the user are still being removed.", 5)
        return found
