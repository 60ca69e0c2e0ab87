"""The routes of `/worker/v1`, for whoever shows a worker's key."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tintype import jobs, spans
from tintype.auth import Principal
from tintype.database import is_passing
from tintype.errors import (
    InvalidRequest,
    NotFound,
    RequestError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from tintype.lanes.protocol.claiming import Claimer
from tintype.lanes.protocol.documents import document_of, file_grant
from tintype.lanes.protocol.messages import (
    Claim,
    Completed,
    Failed,
    Progress,
    Released,
    Renewal,
    Wish,
)
from tintype.workers import Kernel, outside
from tintype.workers.outside import Held, OutsideWorker, Report

T = TypeVar("T")
Authenticate = Callable[[Request], Awaitable[Principal | None]]
Answer = dict[str, Any]

BODY_BYTES_MAX = 256 * 1024


class ProtocolDoor:
    """`/worker/v1` over one kernel."""

    def __init__(self, kernel: Kernel, authenticate: Authenticate) -> None:
        self._kernel = kernel
        self._authenticate = authenticate
        self._claimer = Claimer(kernel.pool)

    def routes(self) -> list[Route]:
        """Return the routes to mount at the root."""
        table: list[tuple[str, Callable[[Request, OutsideWorker], Awaitable[Answer]]]] = [
            ("/worker/v1/claim", self.claim),
            ("/worker/v1/renew", self.renew),
            ("/worker/v1/jobs/{job_id}/progress", self.progress),
            ("/worker/v1/jobs/{job_id}/grant", self.grant),
            ("/worker/v1/jobs/{job_id}/complete", self.complete),
            ("/worker/v1/jobs/{job_id}/fail", self.fail),
            ("/worker/v1/jobs/{job_id}/release", self.release),
        ]
        return [Route(path, self._answering(act), methods=["POST"]) for path, act in table]

    async def claim(self, request: Request, worker: OutsideWorker) -> Answer:
        """Lease up to `capacity` jobs to the worker; an empty list when the wait was in vain."""
        wish = await _body(request, Claim)
        queues = worker.queues if wish.queues is None else tuple(wish.queues)
        if not queues or not set(queues) <= set(worker.queues):
            raise InvalidRequest(
                "queue_not_allowed",
                f"This worker's queues are {', '.join(worker.queues)}.",
                hint="Give it others with `tintype workers add`.",
            )

        async def is_gone() -> bool:
            # Nobody looks for whom it lets in while a claim waits.
            now = await outside.worker_of_id(self._kernel.pool, worker.id)
            return now is None or now.key_id != worker.key_id or await request.is_disconnected()

        lease = await self._claimer.claim(
            worker.holder,
            queues,
            capacity=wish.capacity,
            wait_seconds=wish.wait_seconds,
            lease_seconds=wish.lease_seconds,
            is_gone=is_gone,
        )
        if lease is None:
            return {"lease_id": None, "lease_seconds": wish.lease_seconds, "jobs": []}
        checkpoints = await outside.checkpoints_of(self._kernel, lease.jobs)
        return {
            "lease_id": lease.id,
            "lease_seconds": wish.lease_seconds,
            "jobs": [
                document_of(self._kernel, worker, job, checkpoints.get(job.id))
                for job in lease.jobs
            ],
        }

    async def renew(self, request: Request, worker: OutsideWorker) -> Answer:
        """Extend leases; `lost_job_ids` are jobs to stop: canceled, or another worker's by now."""
        renewal = await _body(request, Renewal)
        lost = await jobs.renew(
            self._kernel.pool,
            worker=worker.holder,
            lease_ids=renewal.lease_ids,
            lease_seconds=renewal.lease_seconds,
        )
        gone = await self._claimer.gone(worker.holder, renewal.lease_ids)
        return {
            "lease_seconds": renewal.lease_seconds,
            "lost_job_ids": sorted(lost),
            "lost_lease_ids": gone,
        }

    async def progress(self, request: Request, worker: OutsideWorker) -> Answer:
        """Show how far a job is, and what a training tells of its course."""
        said = await _body(request, Progress)
        report = Report(
            status="processing",
            progress=int(said.progress),
            course=None if said.training is None else said.training.course,
        )
        return await self._apply(request, worker, said.attempt, report)

    async def grant(self, request: Request, worker: OutsideWorker) -> Answer:
        """Return an upload grant for one more file of a training."""
        wish = await _body(request, Wish)
        if wish.step is None and wish.kind in ("checkpoint", "sample"):
            raise InvalidRequest("field_invalid", f"A {wish.kind} is of a `step`.")
        lent = await self._held(request, worker, wish.attempt)
        is_result = wish.kind in ("adapter", "sheet")
        await outside.grant_file(self._kernel.pool, lent.job, is_result=is_result)
        return file_grant(self._kernel, worker, lent.job, wish.kind, wish.step or 0)

    async def complete(self, request: Request, worker: OutsideWorker) -> Answer:
        """End a job with its outputs, which are looked at first; its credits settle with it."""
        said = await _body(request, Completed)
        report = Report(
            status="completed",
            paths=[made.path for made in said.outputs],
            enhanced_prompt=said.enhanced_prompt,
            metadata={"seed": [made.seed for made in said.outputs]},
            adapter=None if said.adapter is None else said.adapter.adapter,
            course=None if said.training is None else said.training.course,
        )
        return await self._apply(request, worker, said.attempt, report)

    async def fail(self, request: Request, worker: OutsideWorker) -> Answer:
        """End a job without outputs, or send it back for another try."""
        said = await _body(request, Failed)
        report = Report(
            status="failed",
            error_message=said.message,
            cause=outside.TRANSIENT if said.retry else None,
        )
        return await self._apply(request, worker, said.attempt, report)

    async def release(self, request: Request, worker: OutsideWorker) -> Answer:
        """Send a job back to its queue as it is."""
        said = await _body(request, Released)
        lent = await self._held(request, worker, said.attempt)
        await outside.give_back(self._kernel.pool, lent)
        return {"job_id": lent.job.id, "status": "queued"}

    async def _apply(
        self, request: Request, worker: OutsideWorker, attempt: int, report: Report
    ) -> Answer:
        job_id = _job_id(request)
        with spans.span("request", traceparent=request.headers.get("traceparent")):
            applied = await outside.apply(self._kernel, worker, job_id, report, attempt=attempt)
        return {
            "job_id": job_id,
            "status": applied.status,
            "is_duplicate": applied.is_duplicate,
        }

    async def _held(self, request: Request, worker: OutsideWorker, attempt: int) -> Held:
        lent = await outside.held(self._kernel.pool, worker, _job_id(request))
        if lent is None or lent.job.attempt != attempt:
            raise NotFound("job_not_held", "This worker holds no such job.")
        return lent

    def _answering(
        self, act: Callable[[Request, OutsideWorker], Awaitable[Answer]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return _json(200, await act(request, await self._proved(request)))
            except RequestError as error:
                return _json(error.status, error.body())
            except ClientDisconnect:
                return _json(400, {"error": "The body ended early.", "code": "body_truncated"})
            except Exception as error:
                if not is_passing(error):
                    raise
                trouble = Unavailable(
                    "database_unavailable", "The database does not answer at the moment."
                )
                return _json(trouble.status, trouble.body())

        return answer

    async def _proved(self, request: Request) -> OutsideWorker:
        principal = await self._authenticate(request)
        worker = None
        if principal is not None:
            worker = await outside.worker_of_principal(self._kernel.pool, principal)
        if worker is None:
            raise Unauthenticated(
                "worker_key_required",
                "This needs the key of a worker that is let in.",
                hint="Add the worker with `tintype workers add` and send its key as bearer.",
            )
        return worker


async def _body(request: Request, kind: type[T]) -> T:
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > BODY_BYTES_MAX:
            raise TooLarge("body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    if b"\\u0000" in chunks:
        # Postgres cannot store it.
        raise InvalidRequest("field_invalid", "Text may not hold a NUL character.")
    try:
        return msgspec.json.decode(bytes(chunks) or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest("field_invalid", f"{error}.") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest("body_not_json", "The body is not JSON.") from error


def _job_id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["job_id"])
    except ValueError as error:
        raise NotFound("job_not_held", "This worker holds no such job.") from error


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
