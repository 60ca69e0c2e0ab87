"""One training of a tiny model, in a process of its own.

Reads `{"base", "steps", "folder"}` from standard input and prints `{"steps_per_s", "device"}`. The
clock runs from the end of the tenth part of the steps, which warms up, to that of the last.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.gpu import tiny
from tests.gpu.training_set import order, pictures, train
from tintype.gpu.training import Trainer

WARMING_SHARE = 0.1


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Train in a folder that is gone afterwards."""
    tiny.torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=spec["folder"]) as name:
        folder = Path(name)
        model = getattr(tiny, spec["base"])(folder / "model")
        trainer = Trainer(**{spec["base"]: str(model)})
        ends: list[float] = []
        asked = order(spec["base"], steps=spec["steps"], checkpoint_every=spec["steps"])
        train(
            trainer,
            asked,
            pictures(folder / "pictures"),
            folder / "made",
            report=lambda _: ends.append(time.perf_counter()),
        )
    first = int(spec["steps"] * WARMING_SHARE)
    rate = (len(ends) - 1 - first) / (ends[-1] - ends[first])
    return {"steps_per_s": rate, "device": str(trainer.device)}


if __name__ == "__main__":
    # The libraries tell of themselves on standard output too.
    out, sys.stdout = sys.stdout, sys.stderr
    json.dump(measure(json.load(sys.stdin)), out)
