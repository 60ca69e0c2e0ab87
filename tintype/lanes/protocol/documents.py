"""What does a worker get with a job?

The job itself, the pictures it starts from as URLs that open for as long as it may take, and a
grant for each output: a URL that takes one PUT of one object, once. Adapters and the checkpoint of
a training are such URLs too, and a training has grants for more files.
"""

import secrets
from typing import Any, Literal
from urllib.parse import quote

from tintype import jobs
from tintype.jobs import Job
from tintype.storage import StoredObject
from tintype.workers import STORAGE_SCHEME, Kernel, outside
from tintype.workers.outside import OutsideWorker, job_document, shown_payload

DEFAULT_EXTENSION = "png"
REFERENCE_SECONDS = 2 * 3600
# Makes an output's URL unguessable: 128 bits.
RANDOM_BYTES = 16
TENSORS = "application/octet-stream"
# What a worker reads of an adapter, beside its URL.
ADAPTER_WORDS = ("id", "sha256", "bytes", "weight", "trigger_word")

FileKind = Literal["checkpoint", "sample", "adapter", "sheet"]
Checkpoint = tuple[StoredObject, int]


def document_of(
    kernel: Kernel, worker: OutsideWorker, job: Job, checkpoint: Checkpoint | None = None
) -> dict[str, Any]:
    """Return what a worker reads of a job it has just claimed; see `job_document` for the names.

    A training goes on from its `checkpoint`: the file, and the last step that is done.
    """
    return job_document(job) | {
        "quantity": job.quantity,
        "queue": job.queue,
        "payload": shown_payload(job),
        "retries": job.retries,
        "references": [_readable(kernel, one) for one in job.payload.get("references", [])],
        "uploads": [_output_grant(kernel, worker, job, n) for n in range(job.quantity)],
        "adapters": [_adapter(kernel, one) for one in job.payload.get("adapters", [])],
        "training": _training(kernel, job, checkpoint) if outside.is_training(job) else None,
    }


def file_grant(
    kernel: Kernel, worker: OutsideWorker, job: Job, kind: FileKind, step: int
) -> dict[str, Any]:
    """Return a grant for one more file of a training.

    A checkpoint or sample is named for its `step`. A sheet is the output itself: the grant that
    came with the job is shut when the training lasts longer than a grant.
    """
    random = secrets.token_hex(RANDOM_BYTES)
    match kind:
        case "checkpoint":
            name, bytes_max = (
                f"checkpoint-{step}-{random}.safetensors",
                outside.CHECKPOINT_BYTES_MAX,
            )
        case "adapter":
            # The file has the name under which diffusers looks for it.
            name = f"adapter-{random}/pytorch_lora_weights.safetensors"
            bytes_max = outside.ADAPTER_BYTES_MAX
        case "sample":
            name, bytes_max = f"sample-{step}-{random}.png", outside.PICTURE_BYTES_MAX
        case "sheet":
            return _output_grant(kernel, worker, job, 0)
    content_type = "image/png" if kind == "sample" else TENSORS
    return _grant(kernel, worker, job, name, content_type, bytes_max)


def _training(kernel: Kernel, job: Job, checkpoint: Checkpoint | None) -> dict[str, Any]:
    going_on = None
    if checkpoint is not None:
        stored, step = checkpoint
        going_on = {"url": _signed(kernel, stored.bucket, stored.name), "step": step}
    grants: tuple[FileKind, ...] = ("checkpoint", "sample", "adapter", "sheet")
    return dict(job.payload.get("training", {})) | {
        "checkpoint": going_on,
        "grants": dict.fromkeys(grants, f"/worker/v1/jobs/{job.id}/grant"),
        "adapter_bytes_max": outside.ADAPTER_BYTES_MAX,
    }


def _adapter(kernel: Kernel, adapter: dict[str, Any]) -> dict[str, Any]:
    url = _signed(kernel, adapter["bucket"], adapter["path"])
    return {name: adapter.get(name) for name in ADAPTER_WORDS} | {"url": url}


def _readable(kernel: Kernel, reference: str) -> str:
    if not reference.startswith(STORAGE_SCHEME):
        return reference
    bucket, _, name = reference.removeprefix(STORAGE_SCHEME).partition("/")
    return _signed(kernel, bucket, name)


def _signed(kernel: Kernel, bucket: str, name: str) -> str:
    seconds = min(REFERENCE_SECONDS, kernel.config.storage.signed_url_seconds_max)
    return kernel.storage.sign(bucket, name, seconds)


def _output_grant(kernel: Kernel, worker: OutsideWorker, job: Job, position: int) -> dict[str, Any]:
    kind = jobs.job_types().get(job.job_type)
    extension = kind.extension if kind is not None else DEFAULT_EXTENSION
    content_type = kind.content_type if kind is not None else "image/png"
    name = f"{position}-{secrets.token_hex(RANDOM_BYTES)}.{extension}"
    return {"position": position} | _grant(kernel, worker, job, name, content_type)


def _grant(
    kernel: Kernel,
    worker: OutsideWorker,
    job: Job,
    file: str,
    content_type: str,
    bytes_max: int | None = None,
) -> dict[str, Any]:
    """Return one upload grant. It never replaces: who comes late changes nothing delivered.

    What it uploads is the worker's until it is delivered. `bytes_max` takes the place of the
    server's limit for one object.
    """
    bucket = outside.bucket_of(job)
    name = f"{job.user_id}/{job.id}/{file}"
    token = kernel.storage.signer.upload(
        bucket, name, owner=worker.holder, upsert=False, bytes_max=bytes_max
    )
    base = f"{kernel.config.public_url}/storage/v1"
    return {
        "bucket": bucket,
        "path": name,
        "content_type": content_type,
        "url": f"{base}/object/upload/sign/{quote(bucket)}/{quote(name)}?token={token}",
    }
