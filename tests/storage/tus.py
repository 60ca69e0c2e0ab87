"""TUS 1.0.0 as tus-js-client sends it."""

import base64
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2

CHUNK = "application/offset+octet-stream"


def described(bucket: str, name: str, **more: str) -> str:
    pairs = {"bucketName": bucket, "objectName": name} | more
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items()
    )


class Tus:
    """One caller. Every answer comes back as it is."""

    def __init__(
        self, http: httpx2.AsyncClient, headers: dict[str, str], place: str = "/upload/resumable"
    ) -> None:
        self._http = http
        self._headers = headers | {"Tus-Resumable": "1.0.0"}
        self._place = place

    async def create(
        self,
        bucket: str,
        name: str,
        length: int | None,
        data: bytes | None = None,
        *,
        upsert: bool = False,
        **more: str,
    ) -> httpx2.Response:
        headers = self._headers | {"Upload-Metadata": described(bucket, name, **more)}
        if length is None:
            headers["Upload-Defer-Length"] = "1"
        else:
            headers["Upload-Length"] = str(length)
        if upsert:
            headers["x-upsert"] = "true"
        if data is not None:
            headers["Content-Type"] = CHUNK
        return await self._http.post(self._place, headers=headers, content=data)

    async def begin(self, bucket: str, name: str, length: int | None, **more: str) -> str:
        answer = await self.create(bucket, name, length, **more)
        assert answer.status_code == 201, answer.text
        return path_of(answer)

    async def patch(
        self, path: str, offset: int, data: bytes | AsyncIterator[bytes], **headers: str
    ) -> httpx2.Response:
        headers = {
            **self._headers,
            "Upload-Offset": str(offset),
            "Content-Type": CHUNK,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return await self._http.patch(path, headers=headers, content=data)

    async def head(self, path: str) -> httpx2.Response:
        return await self._http.head(path, headers=self._headers)

    async def offset(self, path: str) -> int:
        answer = await self.head(path)
        assert answer.status_code == 200, answer.text
        return int(answer.headers["upload-offset"])

    async def delete(self, path: str) -> httpx2.Response:
        return await self._http.delete(path, headers=self._headers)


def path_of(answer: httpx2.Response) -> str:
    """Return where to go on, relative to `/storage/v1`."""
    return urlsplit(answer.headers["location"]).path.removeprefix("/storage/v1")
