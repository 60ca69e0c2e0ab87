"""How do frames become a file that every browser plays?"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av

PIXELS = "yuv420p"
# crf is x264's scale: 0 is lossless, 23 its default, 18 is held to be visually lossless. Its
# macroblock tree, measured, gives one in ten encodings of the same frames other bytes.
OPTIONS = {"crf": "18", "x264-params": "mbtree=0"}


def encode_mp4(frames: Iterable[Any], *, frames_per_second: int) -> bytes:
    """Return an MP4 (H.264, yuv420p, index first) of RGB frames, uint8 arrays of one size.

    The same frames give the same bytes. An odd last column or row is cut off, since the format
    halves the colours both ways.
    """
    # The index is moved to the front by reading the file once more: it has to be a file.
    with tempfile.TemporaryDirectory(prefix="tintype-video-") as folder:
        file = Path(folder) / "video.mp4"
        with av.open(str(file), "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("h264", rate=frames_per_second, options=OPTIONS)
            stream.pix_fmt = PIXELS
            for number, frame in enumerate(frames):
                height, width = (side - side % 2 for side in frame.shape[:2])
                if number == 0:
                    stream.width, stream.height = width, height
                picture = av.VideoFrame.from_ndarray(frame[:height, :width].copy(), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return file.read_bytes()
