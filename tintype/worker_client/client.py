"""What does a worker say to the server, and what does it hear?"""

import asyncio
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import httpx2

REQUEST_SECONDS_MAX = 30.0
TRANSFER_SECONDS_MAX = 300.0
DOWNLOAD_BYTES_MAX = 64 * 1024 * 1024
# The largest file that a job starts from is a training's checkpoint.
FETCH_BYTES_MAX = 8 * 1024**3
# A claim waits on the server; the answer is given this long on top.
WAIT_SECONDS_EXTRA = 10.0
TRIES_MAX = 5
TRY_SECONDS = 0.5
CHUNK_BYTES = 256 * 1024
MESSAGE_CHARACTERS_MAX = 500
# Answers that another try may change.
PASSING_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))

Job = Mapping[str, Any]


class WorkerRefused(Exception):
    """The server said no. `status` is HTTP's, `code` the server's stable word for it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code


class JobLost(WorkerRefused):
    """The job was canceled, has ended, or is another worker's by now: stop, and say nothing."""


@dataclass(frozen=True)
class Claim:
    """The jobs of one lease; no lease when there were none."""

    lease_id: str | None
    lease_seconds: int
    jobs: list[dict[str, Any]]


class WorkerClient:
    """Speaks `/worker/v1` with a worker's key. Every request is tried again on passing trouble.

    Repeating is safe: what the server has done already it answers the same. Only `claim` is not
    repeated: jobs whose answer was lost come back when their lease expires.
    """

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(REQUEST_SECONDS_MAX),
            follow_redirects=False,
        )
        # Grants and references carry their own proof; the key goes to the server's own door only.
        self._plain = httpx2.AsyncClient(timeout=httpx2.Timeout(TRANSFER_SECONDS_MAX))

    async def __aenter__(self) -> "WorkerClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._plain.aclose()

    async def claim(
        self,
        *,
        queues: Sequence[str] | None = None,
        capacity: int = 1,
        wait_seconds: float = 20,
        lease_seconds: int = 60,
    ) -> Claim:
        """Lease up to `capacity` jobs; wait for the first up to `wait_seconds`.

        Raises `WorkerRefused`, or httpx2's errors when the server is not reached.
        """
        body: dict[str, Any] = {
            "capacity": capacity,
            "wait_seconds": wait_seconds,
            "lease_seconds": lease_seconds,
        }
        if queues is not None:
            body["queues"] = list(queues)
        answer = await self._http.post(
            "/worker/v1/claim", json=body, timeout=wait_seconds + WAIT_SECONDS_EXTRA
        )
        told = _told(answer)
        return Claim(told["lease_id"], told["lease_seconds"], told["jobs"])

    async def renew(
        self, lease_ids: Sequence[str], *, lease_seconds: int = 60
    ) -> tuple[set[str], set[str]]:
        """Extend leases; return the ids of the jobs to stop and of the leases that are gone."""
        told = await self._post(
            "/worker/v1/renew", {"lease_ids": list(lease_ids), "lease_seconds": lease_seconds}
        )
        return set(told["lost_job_ids"]), set(told["lost_lease_ids"])

    async def progress(
        self, job: Job, percent: float, *, training: Mapping[str, Any] | None = None
    ) -> None:
        """Show how far a job is, 0 to 100, and what a training tells. Raises `JobLost`."""
        body: dict[str, Any] = {"progress": max(0.0, min(float(percent), 100.0))}
        if training is not None:
            body["training"] = _finite(training)
        await self._say(job, "progress", body)

    async def grant(self, job: Job, kind: str, *, step: int | None = None) -> dict[str, Any]:
        """Return a grant for one more file of a training, as those of `uploads` are.

        `kind` is "checkpoint" or "sample", of a `step`, or "adapter". Raises `WorkerRefused`
        `grants_exhausted`, `JobLost`.
        """
        body: dict[str, Any] = {"kind": kind}
        if step is not None:
            body["step"] = step
        return await self._say(job, "grant", body)

    async def complete(
        self,
        job: Job,
        outputs: Sequence[Mapping[str, Any]],
        *,
        enhanced_prompt: str | None = None,
        adapter: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> str:
        """End a job with `outputs` (`{"path", "seed"?}`, in order); return its status.

        A training gives its `adapter` (`{"path", "sha256"}`) too, and may tell how it went
        (`{"steps", "loss"}`). Raises `WorkerRefused` when an upload does not hold, `JobLost`.
        """
        body: dict[str, Any] = {"outputs": [dict(one) for one in outputs]}
        if enhanced_prompt is not None:
            body["enhanced_prompt"] = enhanced_prompt
        if adapter is not None:
            body["adapter"] = dict(adapter)
        if training is not None:
            body["training"] = _finite(training)
        # The server reads an adapter whole before it answers.
        seconds = REQUEST_SECONDS_MAX if adapter is None else TRANSFER_SECONDS_MAX
        return str((await self._say(job, "complete", body, seconds))["status"])

    async def fail(self, job: Job, message: str, *, retry: bool = False) -> str:
        """End a job without outputs, or with `retry` send it back; return its status."""
        return str((await self._say(job, "fail", {"message": message, "retry": retry}))["status"])

    async def release(self, job: Job) -> None:
        """Send a job back to its queue as it is, for another worker. Raises `JobLost`."""
        await self._say(job, "release", {})

    async def upload(self, grant: Mapping[str, Any], data: bytes | Path) -> None:
        """Upload one output by its grant. A file is streamed. Raises `WorkerRefused`."""
        headers = {"content-type": str(grant["content_type"])}

        async def attempt() -> httpx2.Response:
            content: Any = data if isinstance(data, bytes) else _chunks(data)
            return await self._plain.put(str(grant["url"]), content=content, headers=headers)

        answer = await self._persist(attempt)
        # Sent twice, since the first answer was lost: the bytes are there.
        if _code_of(answer) not in ("KeyAlreadyExists", "Duplicate", "object_exists"):
            _told(answer)

    async def download(self, url: str) -> bytes:
        """Return what a reference URL holds, at most `DOWNLOAD_BYTES_MAX`. Raises as `upload`."""
        data = bytearray()

        async def attempt() -> httpx2.Response:
            data.clear()
            async with self._plain.stream("GET", url) as answer:
                async for chunk in answer.aiter_bytes():
                    data.extend(chunk)
                    if len(data) > DOWNLOAD_BYTES_MAX:
                        break
            return answer

        answer = await self._persist(attempt)
        if answer.status_code != 200 or len(data) > DOWNLOAD_BYTES_MAX:
            raise WorkerRefused(answer.status_code, "reference_unreadable", url.partition("?")[0])
        return bytes(data)

    async def fetch(self, url: str, path: Path, *, bytes_max: int = FETCH_BYTES_MAX) -> None:
        """Write what a URL holds to `path`, piece by piece; `path` is there whole or not at all.

        Only this user may read the file. Raises `WorkerRefused`, also for more than `bytes_max`
        bytes, and httpx2's errors.
        """
        part = path.with_name(path.name + ".part")
        try:
            status, size = await self._fetched(url, part, bytes_max)
            if status != 200 or size > bytes_max:
                raise WorkerRefused(status, "reference_unreadable", url.partition("?")[0])
            await asyncio.to_thread(part.replace, path)
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _fetched(self, url: str, part: Path, bytes_max: int) -> tuple[int, int]:
        """Write the answer's body to a file; return its status and how many bytes came."""
        size = 0

        async def attempt() -> httpx2.Response:
            nonlocal size
            size = 0
            async with self._plain.stream("GET", url) as answer:
                file = await asyncio.to_thread(_open_private, part)
                try:
                    async for chunk in answer.aiter_bytes(CHUNK_BYTES):
                        size += len(chunk)
                        if size > bytes_max:
                            break
                        await asyncio.to_thread(file.write, chunk)
                finally:
                    await asyncio.to_thread(file.close)
            return answer

        answer = await self._persist(attempt)
        return answer.status_code, size

    async def _say(
        self, job: Job, verb: str, body: dict[str, Any], seconds: float = REQUEST_SECONDS_MAX
    ) -> dict[str, Any]:
        # The job's trace goes back with what is said of it.
        trace = job.get("traceparent")
        return await self._post(
            f"/worker/v1/jobs/{job['id']}/{verb}",
            body | {"attempt": job["attempt"]},
            {"traceparent": trace} if trace else None,
            seconds,
        )

    async def _post(
        self,
        path: str,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
        seconds: float = REQUEST_SECONDS_MAX,
    ) -> dict[str, Any]:
        async def attempt() -> httpx2.Response:
            return await self._http.post(path, json=body, headers=headers, timeout=seconds)

        return _told(await self._persist(attempt))

    async def _persist(self, attempt: Any) -> httpx2.Response:
        for number in range(TRIES_MAX):
            is_last = number == TRIES_MAX - 1
            try:
                answer: httpx2.Response = await attempt()
            except httpx2.TransportError:
                if is_last:
                    raise
            else:
                if is_last or answer.status_code not in PASSING_STATUSES:
                    return answer
            await asyncio.sleep(TRY_SECONDS * 2**number)
        raise AssertionError("the last try returns or raises")


def _told(answer: httpx2.Response) -> dict[str, Any]:
    body = _body_of(answer)
    if answer.is_success and body is not None:
        return body
    if answer.is_success:
        # Something between us and the server answered in its place; another time it may not.
        raise WorkerRefused(502, "not_json", answer.text[:MESSAGE_CHARACTERS_MAX])
    code = _code_of(answer)
    kind = JobLost if code == "job_not_held" else WorkerRefused
    said = str((body or {}).get("error") or answer.text)
    raise kind(answer.status_code, code, said[:MESSAGE_CHARACTERS_MAX])


def _code_of(answer: httpx2.Response) -> str:
    """Return the server's word for a refusal; "" for none."""
    if answer.is_success:
        return ""
    body = _body_of(answer)
    return "not_json" if body is None else str(body.get("code", "unknown"))


def _body_of(answer: httpx2.Response) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _finite(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training tells without the numbers that JSON cannot say."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in training.items()
    }


def _open_private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


async def _chunks(path: Path) -> Any:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        await asyncio.to_thread(file.close)
