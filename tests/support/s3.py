"""A server that speaks S3, on an ephemeral port, with buckets of its own for each test."""

import logging
from types import TracebackType
from typing import Any
from uuid import uuid4

import boto3
from moto.server import ThreadedMotoServer

KEY = {"access_key_id": "testing", "secret_access_key": "testing-secret", "region": "us-east-1"}


class S3Server:
    """moto's server in a thread. `client` is Amazon's own, to look behind the scenes."""

    def __enter__(self) -> "S3Server":
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = "http://{}:{}".format(*self._server.get_host_and_port())
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=KEY["region"],
            aws_access_key_id=KEY["access_key_id"],
            aws_secret_access_key=KEY["secret_access_key"],
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self._server.stop()

    def make_bucket(self) -> str:
        bucket = f"tintype-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def settings(self, bucket: str) -> dict[str, str]:
        return {**KEY, "bucket": bucket, "endpoint": self.url}

    def keys(self, bucket: str) -> set[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return {entry["Key"] for entry in found}

    def unfinished(self, bucket: str) -> int:
        return len(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
