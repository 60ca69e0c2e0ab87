"""A training set of four pictures and its order; run as a module: a training to be killed.

`python -m tests.gpu.training_set BASE MODEL FOLDER` trains, says which checkpoints it has kept, and
stands still after the second.
"""

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.gpu import tiny
from tintype.gpu.training.course import Kept, Step, Trained
from tintype.gpu.training.order import Order, order_of
from tintype.gpu.training.trainer import Trainer
from tintype.gpu.watch import Watch

safetensors = pytest.importorskip("safetensors.torch", reason="pip install 'tintype[gpu]'")

SIZES = ((90, 60), (60, 90), (64, 64), (200, 200))
FOUR_PROMPTS = ["a portrait of zed", "zed in a forest", "zed on a horse", "a drawing of zed"]
STEPS = 9
CHECKPOINT_EVERY = 3
# A GPU sums in an order of its own, and with fewer digits.
TOLERANCE = 1e-3 if tiny.torch.cuda.is_available() else 0.0


def pictures(folder: Path) -> list[Path]:
    """Write four pictures, of three shapes, to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, size in enumerate(SIZES):
        path = folder / f"{number}.png"
        gradient = Image.linear_gradient("L").rotate(90 * number).resize(size)
        Image.merge(
            "RGB", (gradient, gradient.transpose(Image.Transpose.ROTATE_180), gradient)
        ).save(path)
        made.append(path)
    return made


def photos(folder: Path, *, count: int, side: int) -> list[Path]:
    """Write so many JPEGs to `folder`, sharp and unlike each other, as a phone would make them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        chance = random.Random(number)
        photo = Image.new("RGB", (side, side), "white")
        draw = ImageDraw.Draw(photo)
        for _ in range(60):
            x, y = chance.randrange(side), chance.randrange(side)
            colour = tuple(chance.randrange(256) for _ in range(3))
            draw.rectangle((x, y, x + chance.randrange(side // 3), y + side // 5), fill=colour)
        path = folder / f"photo-{number}.jpg"
        photo.save(path, "JPEG", quality=92)
        made.append(path)
    return made


def job(base: str, /, *, images: int = len(SIZES), **changes: Any) -> dict[str, Any]:
    """Return a claimed job that asks for a small training."""
    return {
        "id": "b2f0",
        "references": [f"https://pictures.example/{number}.png" for number in range(images)],
        "training": {
            "base": base,
            "trigger_word": "zed",
            "steps": STEPS,
            "learning_rate": 1e-2,
            "resolution": 64,
            "rank": 4,
            "seed": 3,
            "captions": None,
            "sample_prompts": FOUR_PROMPTS[:1],
            "checkpoint_every": CHECKPOINT_EVERY,
            "checkpoint": None,
            "grants": {},
        }
        | changes,
    }


def order(base: str, **changes: Any) -> Order:
    return order_of(job(base, **changes))


def train(
    trainer: Trainer,
    order: Order,
    images: Sequence[Path],
    folder: Path,
    *,
    watch: Watch | None = None,
    report: Callable[[Step], object] = lambda _: None,
    keep: Callable[[Kept], object] = lambda _: None,
    checkpoint: Path | None = None,
) -> Trained:
    folder.mkdir(parents=True, exist_ok=True)
    return trainer.train(
        order,
        images,
        watch or Watch(),
        folder=folder,
        report=report,
        keep=keep,
        checkpoint=checkpoint,
    )


def are_same(one: Path, other: Path) -> bool:
    """Whether two adapters are."""
    first, second = safetensors.load_file(one), safetensors.load_file(other)
    return first.keys() == second.keys() and all(
        tiny.torch.allclose(first[name], second[name], rtol=0, atol=TOLERANCE) for name in first
    )


def _stand_still(kept: Kept) -> None:
    if kept.checkpoint is not None:
        print(kept.of.step, kept.checkpoint, flush=True)
        if kept.of.step == 2 * CHECKPOINT_EVERY:
            sys.stdin.read()


if __name__ == "__main__":
    base, model, folder = sys.argv[1:]
    tiny.torch.set_num_threads(1)
    train(
        Trainer(**{base: model}),
        order(base),
        pictures(Path(folder) / "pictures"),
        Path(folder),
        keep=_stand_still,
    )
