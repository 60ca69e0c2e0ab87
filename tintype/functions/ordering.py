"""What is a worker with a GPU told to do?"""

from typing import Any

from tintype.jobs import JobType

SAMPLE_SOLVER = "unipc"
SAMPLE_SHIFT = 5.0


def worker_config(
    kind: JobType, quantity: int, *, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the `config` of a job's payload, under the original's names.

    `size` is width and height in pixels, where they are not the type's own.
    """
    width, height = size or (kind.width, kind.height)
    config: dict[str, Any] = {
        "size": f"{width}*{height}",
        "width": width,
        "height": height,
        "sample_steps": kind.steps,
        "sample_guide_scale": kind.guidance,
        "frame_num": kind.frames,
        "fps": kind.frames_per_second,
        "num_images": quantity,
        "enhance_prompt": kind.is_enhanced,
        "expected_time": kind.seconds,
        "content_type": kind.media_type,
        "file_extension": kind.extension,
    }
    if kind.queue == "wan_queue":
        config |= {"sample_solver": SAMPLE_SOLVER, "sample_shift": SAMPLE_SHIFT}
    return config
