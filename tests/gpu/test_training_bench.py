"""The bench of the trainer still runs from end to end. What it measures here means nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.gpu import tiny

NAMES = ("training_flux_tiny_steps_per_s", "training_sdxl_tiny_steps_per_s")


def test_a_tiny_bench_measures_the_steps_of_a_training(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    assert tiny.torch is not None
    out = tmp_path / "smoke.json"
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--only", "training", "--out", out],
        cwd=repository,
        env=os.environ | {"DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(out.read_text())
    assert set(found["figures"]) == set(NAMES)
    assert all(found[name] > 0 and name in ran.stdout for name in NAMES)
    assert list(tmp_path.iterdir()) == [out]
