"""What may be asked of a trainer, and in which size does it see a picture?"""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.gpu.training_set import job
from tintype.gpu.training.buckets import bucket_for, buckets_of, framed
from tintype.gpu.training.order import order_of
from tintype.worker_client import JobFailed


@pytest.mark.parametrize("resolution", [32, 48, 64, 256, 528, 1024])
def test_buckets_are_about_as_large_as_the_resolution_squared(resolution: int) -> None:
    buckets = buckets_of(resolution)
    unit = 64 if resolution >= 256 else 16
    assert buckets == sorted({(height, width) for width, height in buckets})
    for width, height in buckets:
        assert width % unit == height % unit == 0
        assert max(width, height) <= 2 * min(width, height)
        assert 0.6 * resolution**2 < width * height <= resolution**2


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        ((1000, 1000), (512, 512)),
        ((3000, 4000), (448, 576)),
        ((4000, 3000), (576, 448)),
        ((1080, 1920), (384, 640)),
        ((10, 4000), (384, 640)),
        ((300, 290), (512, 512)),
    ],
)
def test_a_picture_goes_into_the_bucket_of_its_shape(
    size: tuple[int, int], bucket: tuple[int, int]
) -> None:
    assert bucket_for(*size, buckets_of(512)) == bucket


def test_a_picture_fills_its_bucket_is_cut_in_the_middle_and_not_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "stripes.png"
    picture = Image.new("RGB", (300, 100), "black")
    picture.paste("red", (110, 0, 150, 100))
    picture.save(path)
    frame = framed(path, [(64, 64)], number=1)
    assert (frame.original, frame.corner, frame.size) == ((100, 300), (0, 64), (64, 64))
    red = frame.pixels[0]
    assert (frame.pixels.shape, frame.pixels.min(), frame.pixels.max()) == ((3, 64, 64), -1, 1)
    assert (red[:, 10:26] == 1).all()
    assert (red[:, 40:] == -1).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "dalle"},
        {"steps": 0},
        {"steps": 10_001},
        {"steps": "many"},
        {"learning_rate": 0},
        {"learning_rate": 1},
        {"resolution": 16},
        {"resolution": 2048},
        {"resolution": 500},
        {"rank": 0},
        {"rank": 129},
        {"seed": -1},
        {"trigger_word": ""},
        {"trigger_word": None},
        {"sample_prompts": []},
        {"sample_prompts": ["zed"] * 5},
        {"captions": ["zed"]},
        {"captions": ["", "", "", ""]},
        {"checkpoint_every": 0},
        {"checkpoint": {"url": "https://pictures.example/1", "step": 0}},
        {"images": 0},
        {"images": 201},
    ],
    ids=str,
)
def test_an_order_that_cannot_be_trained_ends_the_job(changes: dict[str, Any]) -> None:
    with pytest.raises(JobFailed) as caught:
        order_of(job("flux", **changes))
    assert not caught.value.retry


def test_a_job_without_an_order_ends() -> None:
    with pytest.raises(JobFailed):
        order_of(job("flux") | {"training": None})
