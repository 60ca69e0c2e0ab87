"""One act of one contestant, in a process of its own.

Reads `{"contestant", "act", "loop", "arguments"}` from standard input and prints what the act
returned. Started by `bench.process.ask`.
"""

import asyncio
import gc
import importlib
import json
import logging
import sys

import uvloop


def main() -> None:
    """Perform the act that standard input names."""
    logging.disable(logging.WARNING)
    spec = json.load(sys.stdin)
    module = importlib.import_module(f"bench.contestants.{spec['contestant']}_queue")
    work = getattr(module, spec["act"])(**spec["arguments"])
    gc.collect()
    gc.freeze()
    result = uvloop.run(work) if spec["loop"] == "uvloop" else asyncio.run(work)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
