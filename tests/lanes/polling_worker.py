"""The original's worker as a process: poll, upload, call back once. Takes the queue as argument."""

import io
import json
import os
import sys
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from PIL import Image

POLL_SECONDS = 0.05
REQUEST_SECONDS = 30


def send(url: str, token: str, *, data: bytes | None = None, **headers: str) -> Any:
    request = Request(url, data=data, headers={"authorization": f"Bearer {token}"} | headers)
    with urlopen(request, timeout=REQUEST_SECONDS) as answer:
        return json.load(answer)


def picture(number: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (number * 40 % 256, 90, 30)).save(out, "PNG")
    return out.getvalue()


def work(job: dict[str, Any]) -> None:
    base, key = os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_KEY"]
    paths = []
    for number in range(job["config"]["num_images"]):
        path = f"{job['user_id']}/sdxl_{job['id']}_{int(time.time())}_{number}.png"
        send(
            f"{base}/storage/v1/object/{job['bucket']}/{path}",
            key,
            data=picture(number),
            **{"content-type": "image/png", "x-upsert": "true"},
        )
        paths.append(path)
    body = {"job_id": job["id"], "status": "completed", "assets": paths, "metadata": {"seed": 1}}
    send(
        f"{base}/functions/v1/job-callback",
        key,
        data=json.dumps(body).encode(),
        **{"content-type": "application/json"},
    )


def main(queue: str) -> None:
    url, token = os.environ["UPSTASH_REDIS_REST_URL"], os.environ["UPSTASH_REDIS_REST_TOKEN"]
    while True:
        try:
            result = send(f"{url}/rpop/{queue}", token)["result"]
            if result is None:
                time.sleep(POLL_SECONDS)
            else:
                work(json.loads(result))
        except (HTTPError, URLError, OSError) as error:
            print(f"trouble: {error!r}", file=sys.stderr)
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
