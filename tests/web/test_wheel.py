"""What is installed from a wheel has the built app with it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.web.visitor import ROOT

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "tintype")


def test_a_wheel_brings_the_built_app(built: Path, tmp_path: Path) -> None:
    # What setuptools leaves beside the sources would be in the next wheel.
    for name in SOURCES:
        source, copy = ROOT / name, tmp_path / "sources" / name
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    making = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(
        [*making, "--wheel-dir", str(tmp_path)],
        cwd=tmp_path / "sources",
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = tmp_path.glob("tintype-*.whl")
    brought = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in built.rglob("*") if path.is_file())
    wanted = {f"tintype/web/dist/{path.relative_to(built).as_posix()}" for path in files}
    assert "tintype/web/dist/index.html" in wanted
    assert {name for name in wanted if "/.vite/" not in name} <= brought
    assert "tintype/sql/verbs/jobs.sql" in brought
