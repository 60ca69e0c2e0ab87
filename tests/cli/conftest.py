"""A shell of its own for each test: a folder, `tintype` on the PATH, and nothing left running."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tintype
from tests.cli.terminal import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    program = tmp_path / "bin" / "tintype"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from tintype.cli import main; main()" "$@"\n'
    )
    program.chmod(0o755)
    folder = tmp_path / "home"
    folder.mkdir()
    opened = Shell(
        folder,
        {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(tintype.__file__).parent.parent),
            "HOME": str(folder),
            "TINTYPE_SANDBOX_SECONDS": "0.05",
            "COLUMNS": "100",
        },
    )
    yield opened
    opened.close()
