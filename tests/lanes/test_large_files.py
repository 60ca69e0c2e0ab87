"""Files that are too large, empty or not what they are called, and what looking at them costs."""

import io
import resource
from collections.abc import AsyncIterator, Callable
from typing import Any

import av
import pytest

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture, video

MEGABYTE = 1024 * 1024
GROWTH_BYTES_MAX = 64 * MEGABYTE
VIDEO_BYTES = 500 * MEGABYTE


@pytest.fixture
async def videos(bench: Bench) -> Bench:
    """Return a worker of `wan_queue` that has a job of type video_fast."""
    return await Bench.open(bench.product, "wan_queue")


async def taken(bench: Bench) -> tuple[OriginalWorker, dict[str, Any], str]:
    original = OriginalWorker(bench)
    await bench.enqueue("video_fast")
    job = await original.take("wan_queue")
    assert job is not None
    return original, job, f"{job['user_id']}/{job['videoId']}.mp4"


def peak_bytes() -> int:
    """Return the most memory that this process, server included, ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def chunks(size: int) -> AsyncIterator[bytes]:
    """Yield a video that goes on and on, a piece at a time."""
    yield video()
    piece = bytes(MEGABYTE)
    for _ in range(size // MEGABYTE):
        yield piece


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_video_of_500_megabytes_is_refused_and_not_held_in_memory(
    videos: Bench, is_announced: bool
) -> None:
    original, job, path = await taken(videos)
    before, files = peak_bytes(), videos.product.files()
    headers = {
        "authorization": f"Bearer {original.key}",
        "content-type": "video/mp4",
        "x-upsert": "true",
    }
    if is_announced:
        headers["content-length"] = str(VIDEO_BYTES + len(video()))
    answer = await original.http.post(
        f"/storage/v1/object/{job['bucket']}/{path}", content=chunks(VIDEO_BYTES), headers=headers
    )
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "413"), answer.text
    assert peak_bytes() - before < GROWTH_BYTES_MAX
    assert videos.product.files() == files
    refused = await original.call_back(
        {"jobId": job["id"], "status": "completed", "outputUrl": path}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "path_missing")
    assert (await videos.product.job(job["id"])).status == "processing"


async def test_a_large_video_is_looked_at_without_being_held_in_memory(videos: Bench) -> None:
    original, job, path = await taken(videos)
    before = peak_bytes()
    answer = await original.http.post(
        f"/storage/v1/object/{job['bucket']}/{path}",
        content=chunks(90 * MEGABYTE),
        headers={"authorization": f"Bearer {original.key}", "content-type": "video/mp4"},
    )
    assert answer.status_code == 200, answer.text
    done = await original.call_back({"jobId": job["id"], "status": "completed", "outputUrl": path})
    assert done.status_code == 200, done.text
    assert peak_bytes() - before < GROWTH_BYTES_MAX


async def test_a_file_that_its_bucket_takes_no_more_is_refused_unread(videos: Bench) -> None:
    original, job, path = await taken(videos)
    await original.upload(job["bucket"], path, video(), "video/mp4")
    await videos.product.admin.execute(
        "update storage.buckets set file_size_limit = 100 where id = 'video_fast'"
    )
    refused = await original.call_back(
        {"jobId": job["id"], "status": "completed", "outputUrl": path}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "file_too_large")


def wide_video() -> bytes:
    """Return an MP4 whose one frame is larger than any job type's."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 8160, 4096, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(8160, 4096, "yuv420p")))
        container.mux(stream.encode())
    return out.getvalue()


def cut_off() -> bytes:
    """Return an MP4 of which the end is missing, and whose first frame is there all the same."""
    out = io.BytesIO()
    options = {"movflags": "frag_every_frame+empty_moov+default_base_moof"}
    with (
        av.open(io.BytesIO(video())) as source,
        av.open(out, "w", format="mp4", options=options) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out.getvalue()[: -len(out.getvalue()) // 3]


def sound() -> bytes:
    """Return an MP4 without a picture in it."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100)
        stream.codec_context.layout = "stereo"
        for number in range(3):
            frame = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
            frame.sample_rate, frame.pts = 44_100, 1024 * number
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def playlist() -> bytes:
    """Return what readers of playlists would follow to a file of this machine."""
    return b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


NO_VIDEOS: dict[str, Callable[[], bytes]] = {
    "half": lambda: video()[: len(video()) // 2],
    "cut off": cut_off,
    "zeros": lambda: video()[:40] + bytes(4000),
    "too wide": wide_video,
    "sound": sound,
    "playlist": playlist,
    "picture": picture,
    "empty box": lambda: b"\x00\x00\x00\x18ftypmp42" + bytes(100),
    "list of files": lambda: b"ffconcat version 1.0\nfile /etc/hostname\n",
    "empty": bytes,
}


@pytest.mark.parametrize("name", NO_VIDEOS)
async def test_what_is_no_video_does_not_complete_a_video_job(videos: Bench, name: str) -> None:
    data = NO_VIDEOS[name]()
    original, job, path = await taken(videos)
    uploaded = await original.upload(job["bucket"], path, data, "video/mp4")
    answer = await original.call_back(
        {"jobId": job["id"], "status": "completed", "outputUrl": path}
    )
    codes = ("file_unreadable", "file_empty") if uploaded.status_code == 200 else ("path_missing",)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] in codes
    assert (await videos.product.job(job["id"])).status == "processing"
    assert (await original.upload(job["bucket"], path, video(), "video/mp4")).status_code == 200
    mended = await original.call_back(
        {"jobId": job["id"], "status": "completed", "outputUrl": path}
    )
    assert mended.status_code == 200, mended.text
