"""What does a worker get with a job?

The job itself, the pictures it starts from as URLs that open for as long as it may take, and a
grant for each output: a URL that takes one PUT of one object, once.
"""

import secrets
from typing import Any
from urllib.parse import quote

from tintype import jobs
from tintype.jobs import Job
from tintype.workers import STORAGE_SCHEME, Kernel, outside
from tintype.workers.outside import OutsideWorker, job_document

DEFAULT_EXTENSION = "png"
REFERENCE_SECONDS = 2 * 3600
# Makes an output's URL unguessable: 128 bits.
RANDOM_BYTES = 16


def document_of(kernel: Kernel, worker: OutsideWorker, job: Job) -> dict[str, Any]:
    """Return what a worker reads of a job it has just claimed; see `job_document` for the names."""
    return job_document(job) | {
        "quantity": job.quantity,
        "queue": job.queue,
        "payload": job.payload,
        "retries": job.retries,
        "references": [_readable(kernel, one) for one in job.payload.get("references", [])],
        "uploads": [_grant(kernel, worker, job, position) for position in range(job.quantity)],
    }


def _readable(kernel: Kernel, reference: str) -> str:
    if not reference.startswith(STORAGE_SCHEME):
        return reference
    bucket, _, name = reference.removeprefix(STORAGE_SCHEME).partition("/")
    seconds = min(REFERENCE_SECONDS, kernel.config.storage.signed_url_seconds_max)
    return kernel.storage.sign(bucket, name, seconds)


def _grant(kernel: Kernel, worker: OutsideWorker, job: Job, position: int) -> dict[str, Any]:
    """Return one upload grant. It never replaces: who comes late changes nothing delivered.

    What it uploads is the worker's until it is delivered.
    """
    kind = jobs.job_types().get(job.job_type)
    bucket = outside.bucket_of(job)
    extension = kind.extension if kind is not None else DEFAULT_EXTENSION
    random = secrets.token_hex(RANDOM_BYTES)
    name = f"{job.user_id}/{job.id}/{position}-{random}.{extension}"
    token = kernel.storage.signer.upload(bucket, name, owner=worker.holder, upsert=False)
    base = f"{kernel.config.public_url}/storage/v1"
    return {
        "position": position,
        "bucket": bucket,
        "path": name,
        "content_type": kind.content_type if kind is not None else "image/png",
        "url": f"{base}/object/upload/sign/{quote(bucket)}/{quote(name)}?token={token}",
    }
