"""The bench of the editor still runs from end to end. What it measures here means nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ACTS = (
    "type",
    "select_all",
    "zoom_in",
    "zoom_out",
    "drag",
    "delete_all",
    "undo",
    "redo",
    "copy",
    "paste",
)
SECONDS_MAX = 280


def measured(repository: Path, url: str, out: Path, **environment: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--only", "interactions", "--out", out],
        cwd=repository,
        env=os.environ | {"DATABASE_URL": url} | environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_a_tiny_bench_measures_what_a_person_does_with_two_hundred_nodes(
    built: Path, repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path / "smoke.json")
    names = {f"interaction_{act}_ms" for act in (*ACTS, "worst")}
    assert found["figures"].keys() == names
    assert found["goals"].keys() == {"interaction_worst_ms"}
    assert found["interaction_worst_ms"] == max(found[name] for name in names)


def test_without_a_browser_the_bench_says_so_and_goes_without(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path / "smoke.json", PATH=str(tmp_path))
    assert found["figures"] == {}
    assert "interactions: not measured, there is no Chromium here" in found["remarks"][0]
