"""Pictures judged and written anew, in a process of its own.

Reads `{"pictures", "images", "folder"}` from standard input: so many images, the pictures by turns.
Prints `{"seconds"}`, from the first picture to the last; what decodes them is running by then.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tintype.identities import Received, validate


async def measure(spec: dict[str, Any]) -> dict[str, float]:
    """Validate in a folder that is gone afterwards."""
    pictures = [Path(name) for name in spec["pictures"]]
    chosen = [pictures[number % len(pictures)] for number in range(spec["images"])]
    files = [Received(path.name, path, path.stat().st_size) for path in chosen]
    with tempfile.TemporaryDirectory(dir=spec["folder"]) as folder:
        await validate(files[:4], Path(folder), images_min=1)
        began = time.perf_counter()
        await validate(files, Path(folder), images_min=1)
        return {"seconds": time.perf_counter() - began}


def main() -> None:
    """Measure what standard input asks for."""
    json.dump(asyncio.run(measure(json.load(sys.stdin))), sys.stdout)


if __name__ == "__main__":
    main()
