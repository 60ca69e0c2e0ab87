"""One worker outside the server, the credentials it was given, and jobs for it."""

from typing import Any
from uuid import UUID

import msgspec

from tests.support.product import Person, Product
from tintype import jobs
from tintype.functions.submission import Submission, Submitter
from tintype.workers import outside
from tintype.workers.outside import Credentials, OutsideWorker


class Bench(msgspec.Struct):
    """The worker `gpu-1` of `sdxl_queue`, and a person whose jobs it does."""

    product: Product
    person: Person
    worker: OutsideWorker
    credentials: Credentials

    @classmethod
    async def open(cls, product: Product, *queues: str) -> "Bench":
        credentials = await outside.add_worker(
            product.pool, product.keys, "gpu-1", queues or ("sdxl_queue",)
        )
        worker = await outside.worker_of_id(product.pool, credentials.worker_id)
        assert worker is not None
        return cls(product, await product.person(1000), worker, credentials)

    @property
    def redis_url(self) -> str:
        return f"{self.product.url}/redis/v1"

    async def enqueue(
        self, job_type: str = "sdxl_image_fast", *, quantity: int = 1, **changes: Any
    ) -> UUID:
        """Put a job of the person's on its queue, as `queue-job` does, and return its id."""
        kind = jobs.job_types()[job_type]
        asset = jobs.new_id()
        submission = Submission(
            user_id=self.person.id,
            amount=kind.price_credits * quantity,
            units=quantity,
            quantity=quantity,
            prompt="a robot",
            payload={"bucket": kind.bucket, "model_variant": kind.model_variant},
            expires_seconds=3600,
            max_retries=3,
            job_type=job_type,
            queue=kind.queue,
            **({"video_id": asset} if kind.media_type == "video" else {"image_id": asset}),
        )
        for name, value in changes.items():
            setattr(submission, name, value)
        submitter = Submitter(self.product.pool, welcome=0)
        try:
            return (await submitter.submit(submission)).job_id
        finally:
            await submitter.close()

    async def expire(self) -> None:
        """Let every lease's time be over, and wait until the jobs are back."""
        await self.product.admin.execute(
            "update tintype.leases set expires_at = now() - interval '1 s'"
        )
        await self.product.admin.fetch("select * from tintype.settle_rescue(100)")
