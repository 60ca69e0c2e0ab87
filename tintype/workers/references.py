"""Where do a job's example pictures come from?

A payload names them: `storage:<bucket>/<path>`, or an https URL. The bytes are looked at again
here, whatever was said of them at submission.
"""

from tintype.errors import Invalid, RequestError
from tintype.jobs import Job
from tintype.providers import REFERENCE_BYTES_MAX, Reference, inspect_reference
from tintype.workers.kernel import Kernel

STORAGE_SCHEME = "storage:"


async def load(kernel: Kernel, job: Job) -> tuple[Reference, ...]:
    """Return the job's references, decoded once. Raises `Invalid` when one is not a picture."""
    references = []
    for url in job.payload.get("references", []):
        try:
            if url.startswith(STORAGE_SCHEME):
                bucket, _, name = url.removeprefix(STORAGE_SCHEME).partition("/")
                data = await kernel.storage.read(bucket, name, bytes_max=REFERENCE_BYTES_MAX)
            else:
                data = await kernel.providers.fetcher.fetch(url)
            picture = await inspect_reference(data)
        except RequestError as error:
            raise Invalid(error.code, f"A reference picture cannot be used: {error}") from error
        references.append(Reference(data, picture.media_type))
    return tuple(references)
