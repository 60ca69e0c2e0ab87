"""A worker as the original was written: it polls, uploads with its key, and calls back once."""

import io
import json
from typing import Any
from uuid import UUID

import av
import httpx2
from PIL import Image

from tests.lanes.bench_of_work import Bench


class OriginalWorker:
    """What a GPU machine runs, with its four environment variables and nothing else."""

    def __init__(self, bench: Bench) -> None:
        self.url = bench.product.url
        self.key = bench.credentials.key
        self.redis_url = bench.redis_url
        self.redis_token = bench.credentials.lane_token
        self.http = bench.product.http

    async def take(self, queue: str = "sdxl_queue") -> dict[str, Any] | None:
        answer = await self.http.get(
            f"{self.redis_url}/rpop/{queue}",
            headers={"authorization": f"Bearer {self.redis_token}"},
        )
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        return None if result is None else dict(json.loads(result))

    def path(self, job: dict[str, Any], position: int = 0, extension: str = "png") -> str:
        return f"{job['user_id']}/sdxl_{job['id']}_1752000000_{position}.{extension}"

    async def upload(
        self, bucket: str, path: str, data: bytes, media_type: str = "image/png"
    ) -> httpx2.Response:
        return await self.http.post(
            f"{self.url}/storage/v1/object/{bucket}/{path}",
            content=data,
            headers={
                "authorization": f"Bearer {self.key}",
                "apikey": self.key,
                "content-type": media_type,
                "x-upsert": "true",
            },
        )

    async def call_back(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        return await self.http.post(
            f"{self.url}/functions/v1/job-callback",
            json=body,
            headers={"authorization": f"Bearer {self.key}"} | headers,
        )

    async def do(self, job: dict[str, Any], count: int = 1) -> httpx2.Response:
        """Upload `count` pictures and report them."""
        paths = [self.path(job, position) for position in range(count)]
        for position, path in enumerate(paths):
            answer = await self.upload(job["bucket"], path, picture(position))
            assert answer.status_code == 200, answer.text
        return await self.call_back({"jobId": job["id"], "status": "completed", "imageUrls": paths})


def picture(shade: int = 0, pixels: int = 64) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (pixels, pixels), (shade * 20 % 256, 80, 120)).save(out, "PNG")
    return out.getvalue()


def video(frames: int = 9, width: int = 64, height: int = 48) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=16)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            shade = Image.new("RGB", (width, height), (number * 20 % 256, 80, 120))
            container.mux(stream.encode(av.VideoFrame.from_image(shade)))
        container.mux(stream.encode())
    return out.getvalue()


def job_id_of(job: dict[str, Any]) -> UUID:
    return UUID(job["id"])
