"""What does the server itself do of a training, before and after a GPU does its part?

A training is one job that changes hands twice:

    prepare   here: an identity's pictures are published; a model's are fetched and judged
    train     a worker with a GPU, on the queue `training`
    finish    here: the adapter is published beside the pictures, and the job completes

Every step may be repeated: what a killed process did is found and not done again.
"""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from tintype import clock, database, events, jobs
from tintype.database import Connection, named_queries
from tintype.errors import (
    Fenced,
    Invalid,
    Misconfigured,
    ProviderError,
    Quota,
    RequestError,
    Transient,
    Unavailable,
)
from tintype.identities import keeping
from tintype.identities.hub import ADAPTER_FILE, Hub, Published, RepoFile, card, write_tree
from tintype.identities.keeping import README, TRAININGS, TREES, Kept
from tintype.identities.receiving import Received
from tintype.identities.scratch import Scratch
from tintype.identities.validating import validate
from tintype.jobs import TRAINING_QUEUE, Job
from tintype.providers import REFERENCE_BYTES_MAX
from tintype.storage import BackendFailed
from tintype.workers import (
    STORAGE_SCHEME,
    Completion,
    Conclusion,
    Kernel,
    Settler,
    give_back,
    give_up,
    tell_ended,
)

# What the tree tells of how the adapter is trained.
TRAINING_PARAMS = ("steps", "learning_rate", "resolution", "rank", "seed")
PREPARE, TRAIN, FINISH = "prepare", "train", "finish"
# How far a job is, in per cent, where nothing is trained yet or any more.
BEGUN, BROUGHT, FINISHING = 1, 3, 98
FETCHES_AT_ONCE_MAX = 4
# How long the step to the next hands is repeated while the database is away.
PERSIST_SECONDS_MAX = 120.0
INTERRUPTED_SECONDS = 1.0
ADAPTER_BYTES_MAX = 2 * 1024**3
UPLOAD_MESSAGE = "Upload training data for {name} ({count} images)"
ADAPTER_MESSAGE = "Add trained LoRA weights"
DOWNLOAD_FAILED = "Failed to download training images"
NOT_PUBLISHED = "not_published"
# What the owner of the URL may not have noticed yet.
PASSING_CODES = {"url_unreachable"}


class Trained(msgspec.Struct, frozen=True):
    """The row of the identity that a job trains. `model_id` is its repository's name."""

    id: UUID
    user_id: UUID
    identity_name: str
    model_id: str
    repository: str | None
    huggingface_repo_url: str | None
    base_model: str
    trigger_word: str
    num_training_images: int
    training_config: dict[str, Any]
    image_paths: list[str]
    adapter_bucket: str | None
    adapter_path: str | None
    adapter_bytes: int | None


class Trainings:
    """The server's part of trainings; `perform` is what a worker of the queue runs."""

    def __init__(self, hub: Hub | None, scratch: Scratch) -> None:
        """`hub` None: what was to be published there waits for a token."""
        self._hub = hub
        self._scratch = scratch

    async def perform(self, kernel: Kernel, settler: Settler, job: Job) -> Conclusion:
        """Do the stage in which a claimed training is, and hand the job on or end it.

        On a crash at any point the lease expires and the stage is done again, finding what was
        published or stored. What can be waited for is tried again later.
        """
        try:
            return await self._stage(kernel, settler, job)
        except Fenced:
            events.emit(events.JobFenced(job=str(job.id), attempt=job.attempt))
            return Conclusion(job, None, 0, 0)
        except ProviderError as error:
            return await give_up(kernel, job, error)
        except (BackendFailed, Unavailable) as error:
            return await give_up(kernel, job, Transient("storage_unavailable", str(error)))
        except RequestError as error:
            return await give_up(kernel, job, Invalid(error.code, error.message))
        except Exception as error:
            if database.is_passing(error):
                return await give_back(
                    kernel, job, cause="interrupted", delay_seconds=INTERRUPTED_SECONDS
                )
            events.emit(events.LoopFailed(loop="training", error=repr(error), delay_seconds=0))
            cause = Transient("worker_error", f"The server failed: {type(error).__name__}.")
            return await give_up(kernel, job, cause)

    async def _stage(self, kernel: Kernel, settler: Settler, job: Job) -> Conclusion:
        is_identity = job.job_type == "train_identity"
        match job.payload.get("stage"):
            case "prepare":
                if job.expires_at <= clock.now():
                    raise Invalid("expired", "The job waited longer than jobs may wait.")
                await _tell(kernel, job, BEGUN)
                prepare = self._prepare_identity if is_identity else self._prepare_model
                return await prepare(kernel, job)
            case "finish":
                await _tell(kernel, job, FINISHING)
                trouble = await self._add_adapter(kernel, job) if is_identity else None
                return await _complete(kernel, settler, job, trouble)
            case stage:
                raise Invalid("stage_unknown", f"There is no stage {stage!r} of a training here.")

    async def _prepare_identity(self, kernel: Kernel, job: Job) -> Conclusion:
        identity = await _identity(kernel, job)
        async with self._scratch.folder() as folder:
            if identity.repository is None:
                files = await _tree(identity, job, folder, _names_only(identity))
                await _keep_tree(kernel, identity, files[len(identity.image_paths) :])
                return await _forward(kernel, job, {"stage": TRAIN})
            images = await _images(kernel, identity, folder)
            await _tell(kernel, job, BROUGHT)
            files = await _tree(identity, job, folder, images)
            message = UPLOAD_MESSAGE.format(
                name=identity.identity_name, count=identity.num_training_images
            )
            published = await self._account().publish(identity.repository, files, message=message)

        async def note(connection: Connection) -> None:
            await _note_published(connection, job, published)

        return await _forward(kernel, job, {"stage": TRAIN}, along=note)

    async def _prepare_model(self, kernel: Kernel, job: Job) -> Conclusion:
        async with self._scratch.folder() as folder:
            received = await _fetched(kernel, job, folder)
            await _tell(kernel, job, BROUGHT)
            found = await validate(received, folder, images_min=1)
            into = f"{keeping.training_folder(job.user_id, job.id)}images/"
            files = [
                Kept(TRAININGS, f"{into}{image.path.name}", image.path, image.media_type)
                for image in found.images
            ]
            await keeping.keep(kernel.storage, kernel.pool, files, owner=job.user_id)
        paths = [f"{file.bucket}/{file.name}" for file in files]
        findings = msgspec.to_builtins(found.findings)

        async def note(connection: Connection) -> None:
            await connection.execute(
                "select tintype.record_training_images($1, $2, $3, $4)",
                job.id,
                job.attempt,
                paths,
                findings,
            )

        references = [f"{STORAGE_SCHEME}{path}" for path in paths]
        return await _forward(kernel, job, {"stage": TRAIN, "references": references}, along=note)

    async def _add_adapter(self, kernel: Kernel, job: Job) -> str | None:
        """Put the adapter beside the pictures; return why the Hub does not have it, if it does not.

        An adapter that the Hub refuses for good is made and kept all the same.
        """
        identity = await _identity(kernel, job)
        if identity.adapter_path is None or identity.adapter_bucket is None:
            raise Invalid("adapter_missing", "The training left no adapter.")
        async with self._scratch.folder() as folder:
            if identity.repository is None:
                await _keep_adapter(kernel, identity, job, folder)
                return None
            files = await _adapter_files(kernel, identity, job, folder)
            try:
                published = await self._account().publish(
                    identity.repository, files, message=ADAPTER_MESSAGE
                )
            except Quota:
                raise
            except ProviderError as error:
                if isinstance(error, Transient) and job.retries < job.max_retries:
                    raise
                return f"The adapter is kept here and was not published: {error.message}"

        async def note(connection: Connection) -> None:
            await _note_published(connection, job, published)

        await _fenced(kernel, note)
        return None

    def _account(self) -> Hub:
        if self._hub is None:
            raise Misconfigured(
                "huggingface_token_missing", "HUGGINGFACE_TOKEN environment variable not set"
            )
        return self._hub


async def _identity(kernel: Kernel, job: Job) -> Trained:
    row = await kernel.pool.fetchrow(named_queries("identities")["of_job"], job.id)
    if row is None:
        raise Invalid("identity_gone", "The identity was deleted.")
    return Trained(**dict(row))


async def _tell(kernel: Kernel, job: Job, percent: int) -> None:
    """Show how far the job is. Raises `Fenced` when it is another's by now."""
    if job.id not in await jobs.report(kernel.pool, [(job, max(percent, job.progress))]):
        raise Fenced()


def _names_only(identity: Trained) -> list[Path]:
    return [Path(path).relative_to(TREES) for path in identity.image_paths]


async def _tree(
    identity: Trained, job: Job, folder: Path, images: Sequence[Path]
) -> list[RepoFile]:
    """Write the files that explain the pictures; the pictures come first in what is returned."""
    return await asyncio.to_thread(
        write_tree,
        folder,
        identity_name=identity.identity_name,
        user_id=str(identity.user_id),
        repo_name=identity.model_id,
        images=images,
        created_at=datetime.fromisoformat(identity.training_config["created_at"]),
        trigger_word=identity.trigger_word,
        base=identity.base_model,
        params=_params(job),
    )


def _params(job: Job) -> dict[str, Any]:
    chosen = job.payload["training"]
    return {name: chosen[name] for name in TRAINING_PARAMS}


def _card(identity: Trained, job: Job) -> str:
    return card(
        identity_name=identity.identity_name,
        repo_name=identity.repository or identity.model_id,
        trigger_word=identity.trigger_word,
        base=identity.base_model,
        images_count=identity.num_training_images,
        params=_params(job),
        adapter=True,
    )


async def _images(kernel: Kernel, identity: Trained, folder: Path) -> list[Path]:
    into = folder / "images"
    into.mkdir()
    locals_ = [into / Path(path).name for path in identity.image_paths]
    for path, local in zip(identity.image_paths, locals_, strict=True):
        bucket, _, name = path.partition("/")
        await keeping.bring(kernel.storage, bucket, name, local, bytes_max=REFERENCE_BYTES_MAX)
    return locals_


async def _keep_tree(kernel: Kernel, identity: Trained, files: Sequence[RepoFile]) -> None:
    folder = keeping.tree_folder(identity.user_id, identity.model_id)
    kept = [
        Kept(TREES, f"{folder}{file.path}", file.local, _media_type(file.path)) for file in files
    ]
    await keeping.keep(kernel.storage, kernel.pool, kept, owner=identity.user_id)


def _media_type(path: str) -> str:
    if path == ".gitattributes":
        return "text/plain"
    if path.endswith(".md"):
        return "text/markdown"
    return mimetypes.guess_type(path)[0] or "application/octet-stream"


async def _adapter_files(
    kernel: Kernel, identity: Trained, job: Job, folder: Path
) -> list[RepoFile]:
    """Return the adapter, the card that tells of it, and the sample sheet, all in `folder`."""
    assert identity.adapter_bucket is not None and identity.adapter_path is not None
    adapter = folder / ADAPTER_FILE
    await keeping.bring(
        kernel.storage,
        identity.adapter_bucket,
        identity.adapter_path,
        adapter,
        bytes_max=ADAPTER_BYTES_MAX,
    )
    return [RepoFile(ADAPTER_FILE, adapter), *await _told_files(kernel, identity, job, folder)]


async def _told_files(kernel: Kernel, identity: Trained, job: Job, folder: Path) -> list[RepoFile]:
    readme = folder / README
    text = _card(identity, job).encode("utf-8", "replace")
    await asyncio.to_thread(readme.write_bytes, text)
    sample = job.payload["sample"]
    local = folder / f"sample{Path(sample['path']).suffix}"
    await keeping.bring(
        kernel.storage, sample["bucket"], sample["path"], local, bytes_max=REFERENCE_BYTES_MAX
    )
    return [RepoFile(README, readme), RepoFile(f"samples/{local.name}", local)]


async def _keep_adapter(kernel: Kernel, identity: Trained, job: Job, folder: Path) -> None:
    assert identity.adapter_bucket is not None and identity.adapter_path is not None
    storage = kernel.storage
    name = f"{keeping.tree_folder(identity.user_id, identity.model_id)}{ADAPTER_FILE}"
    source = await storage.stat(identity.adapter_bucket, identity.adapter_path)
    if source is None:
        raise Invalid("adapter_missing", "The training left no adapter.")
    there = await storage.stat(TREES, name)
    if there is None or there.etag != source.etag:
        copied = await storage.write(
            TREES, name, await storage.open(source), media_type="application/octet-stream"
        )
        await keeping.record(storage, kernel.pool, [copied], owner=identity.user_id)
    await _keep_tree(kernel, identity, await _told_files(kernel, identity, job, folder))


async def _fetched(kernel: Kernel, job: Job, folder: Path) -> list[Received]:
    places = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def fetch(number: int, reference: str) -> Received:
        local = folder / f"fetched_{number:03}"
        async with places:
            try:
                await _fetch(kernel, reference, local)
            except RequestError as error:
                message = f"{DOWNLOAD_FAILED}: image {number}: {error.message}"
                kind = Transient if error.code in PASSING_CODES else Invalid
                raise kind(error.code, message) from error
        return Received(reference.rsplit("/", 1)[-1], local, local.stat().st_size)

    references = job.payload["references"]
    return await keeping.all_of(fetch(place, one) for place, one in enumerate(references, 1))


async def _fetch(kernel: Kernel, reference: str, local: Path) -> None:
    if reference.startswith(STORAGE_SCHEME):
        bucket, _, name = reference.removeprefix(STORAGE_SCHEME).partition("/")
        await keeping.bring(kernel.storage, bucket, name, local, bytes_max=REFERENCE_BYTES_MAX)
    else:
        data = await kernel.providers.fetcher.fetch(reference)
        await asyncio.to_thread(local.write_bytes, data)


async def _note_published(connection: Connection, job: Job, published: Published) -> None:
    await connection.execute(
        "select tintype.note_published($1, $2, $3, $4)",
        job.id,
        job.attempt,
        published.repo_id,
        published.url,
    )


async def _forward(
    kernel: Kernel,
    job: Job,
    payload: dict[str, Any],
    *,
    along: Callable[[Connection], Awaitable[None]] | None = None,
) -> Conclusion:
    """Hand the job to the workers that train, in one transaction with what is noted `along`."""

    async def act(connection: Connection) -> None:
        if along is not None:
            await along(connection)
        if not await jobs.forward(connection, job, TRAINING_QUEUE, payload):
            raise Fenced()

    await _fenced(kernel, act)
    return Conclusion(job, "queued", 0, 0)


async def _fenced(kernel: Kernel, act: Callable[[Connection], Awaitable[Any]]) -> None:
    """Run `act` in one transaction, outlasting a database that is away. Raises `Fenced`."""

    async def attempt() -> None:
        try:
            async with database.transaction(kernel.pool) as connection:
                await act(connection)
        except asyncpg.PostgresError as error:
            if error.sqlstate == "TT409":
                raise Fenced() from error
            raise

    await database.persist(attempt, seconds_max=PERSIST_SECONDS_MAX)


async def _complete(kernel: Kernel, settler: Settler, job: Job, trouble: str | None) -> Conclusion:
    async def deliver(connection: Connection) -> None:
        await jobs.deliver(connection, job, job.payload["sample"])

    await _fenced(kernel, deliver)
    code = NOT_PUBLISHED if trouble else None
    if not await settler.complete(Completion(job, code, trouble)):
        raise Fenced()
    tell_ended(job, status="completed", outputs=job.quantity, cause=code)
    return Conclusion(job, "completed", job.quantity, 0, job.retries)
