"""How do bytes lie in a bucket of S3, or of what speaks its protocol?

Through obstore's `S3Store`. S3 shows an object once it is whole, so nothing is staged: a large one
goes up in parts that are completed together, or aborted when its source fails. A process killed in
between leaves parts that no listing shows; give the bucket a lifecycle rule that aborts incomplete
multipart uploads after a day.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tintype.errors import OperatorError
from tintype.storage.backends.backend import BackendFailed, Source, Stat

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

# S3 takes 10,000 parts of an object: 80 GB in parts of this size.
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
READ_BYTES = 256 * 1024
# CopyObject's own limit; what is larger passes through this process.
COPY_BYTES_MAX = 5 * 1024**3
RETRIES_MAX = 4
RETRY_SECONDS_MAX = 30
CONNECT_SECONDS_MAX = 10
# Of one request; a download is one, however long it takes to be read.
REQUEST_SECONDS_MAX = 3600


class S3Settings(msgspec.Struct, frozen=True):
    """Which bucket, where, and with which key.

    Without `endpoint` it is Amazon's for the region. Without a key, obstore finds one as every AWS
    client does: the machine's or the container's role.
    """

    bucket: str
    region: str = "us-east-1"
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None


class S3Backend:
    """A `Backend` in a bucket that exists. Processes may share it."""

    def __init__(self, settings: S3Settings) -> None:
        """Open without a request. Raises `OperatorError` (`storage_settings_malformed`)."""
        config: S3Config = {"bucket": settings.bucket, "region": settings.region}
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS_MAX),
            "timeout": timedelta(seconds=REQUEST_SECONDS_MAX),
        }
        if settings.endpoint:
            config["endpoint"] = settings.endpoint
            client["allow_http"] = settings.endpoint.startswith("http://")
        if settings.access_key_id and settings.secret_access_key:
            config["access_key_id"] = settings.access_key_id
            config["secret_access_key"] = settings.secret_access_key
            if settings.session_token:
                config["session_token"] = settings.session_token
        try:
            self._store = S3Store(
                config=config,
                client_options=client,
                retry_config={
                    "max_retries": RETRIES_MAX,
                    "retry_timeout": timedelta(seconds=RETRY_SECONDS_MAX),
                },
            )
        except (BaseError, ValueError) as error:
            raise OperatorError(
                "storage_settings_malformed",
                f"The S3 settings of `[tintype.storage]` do not work: {error}",
            ) from error

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        source = Source(chunks)
        try:
            async with obstore.open_writer_async(
                self._store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE
            ) as writer:
                async for chunk in source:
                    await writer.write(chunk)
        except BaseException as error:
            # What was canceled in its last moment may be whole already.
            with suppress(BackendFailed):
                await self.delete(key)
            if source.is_innocent_of(error):
                raise BackendFailed(str(error)) from error
            raise

    async def get(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        with _failing():
            result = await obstore.get_async(self._store, key, options={"range": (start, end)})
        return result.stream(min_chunk_size=READ_BYTES)

    async def copy(self, source: str, target: str) -> None:
        with _failing():
            size = (await obstore.head_async(self._store, source))["size"]
            if size <= COPY_BYTES_MAX:
                await obstore.copy_async(self._store, source, target)
                return
        await self.put(target, await self.get(source, 0, size))

    async def list(self, prefix: str) -> AsyncIterator[Stat]:
        with _failing():
            async for batch in obstore.list(self._store, prefix or None):
                for meta in batch:
                    yield Stat(meta["path"], meta["size"], meta["last_modified"])

    async def delete(self, key: str) -> None:
        with _failing(), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except BaseError as error:
        raise BackendFailed(str(error)) from error
