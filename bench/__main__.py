"""`python -m bench`: measure, print the table, write the JSON."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import uvloop

from bench import (
    backlog,
    capture,
    enqueue,
    http,
    interactions,
    lanes,
    limit,
    machine,
    postgres,
    readiness,
    realtime,
    report,
    rest,
    settle,
    storage,
    training,
    validation,
)
from bench.process import ROOT, MeasurementFailed
from bench.rounds import Run
from bench.sizes import FULL, SMOKE, Sizes

SECTIONS: dict[str, Callable[[Run], Awaitable[None]]] = {
    "limit": limit.measure,
    "settle": settle.measure,
    "enqueue": enqueue.measure,
    "backlog": backlog.measure,
    "http": http.measure,
    "realtime": realtime.measure,
    "capture": capture.measure,
    "rest": rest.measure,
    "storage": storage.measure,
    "lanes": lanes.measure,
    "training": training.measure,
    "validation": validation.measure,
    "readiness": readiness.measure,
    "interactions": interactions.measure,
}
NEEDS_PEERS = {"settle", "enqueue"}


def main() -> None:
    """Measure what the command line asks for."""
    arguments = _parser().parse_args()
    missing = [name for name in settle.PEERS if find_spec(name) is None]
    if missing and NEEDS_PEERS.intersection(arguments.only):
        sys.exit(f"{', '.join(missing)} not installed: pip install -e '.[bench]'")
    sizes = SMOKE if arguments.smoke else FULL
    if arguments.repeats:
        sizes = replace(sizes, repeats=arguments.repeats)
    out = arguments.out or ROOT / "bench" / "out" / (
        "smoke.json" if arguments.smoke else "latest.json"
    )
    try:
        met = uvloop.run(_measure(arguments.only, sizes, out))
    except MeasurementFailed as error:
        sys.exit(f"The bench has no result: {error}")
    if arguments.strict and not met:
        sys.exit("A goal was missed.")


async def _measure(sections: Sequence[str], sizes: Sizes, out: Path) -> bool:
    """Run the sections, write and show; return whether every goal measured is met."""
    out.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    # Beside the result and not in /tmp, which may be memory: commits have to reach a disk.
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=out.parent))
    folder.chmod(0o711)
    try:
        facts = machine.facts(folder)
        async with postgres.opened(folder) as server:
            facts["postgres"] = await server.facts()
            run = Run(server, sizes, folder)
            for name in sections:
                print(f"{name} …", file=sys.stderr, flush=True)
                run.figures.section = name
                await SECTIONS[name](run)
            facts["load_average_after"] = os.getloadavg()[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = time.perf_counter() - began
    report.write(out, run, machine=facts, seconds=seconds)
    report.show(run, facts)
    print(f"{seconds:.0f} s; written to {out}")
    return all(report.goals_met(run.figures).values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure Tintype beside its peers, in the same run on the same machine.",
        epilog="The server is an embedded, durable Postgres, or the one DATABASE_URL names."
        " Databases are made for the run and dropped. See bench/README.md for the method.",
    )
    parser.add_argument(
        "--only",
        type=_sections,
        default=list(SECTIONS),
        metavar="A,B",
        help=f"measure these sections only: {', '.join(SECTIONS)}",
    )
    parser.add_argument("--repeats", type=_positive, help=f"rounds (default {FULL.repeats})")
    parser.add_argument("--out", type=Path, help="the JSON file (default bench/out/latest.json)")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="tiny sizes: proves that the bench works, its figures mean nothing",
    )
    return parser


def _sections(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in SECTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no section {unknown[0]}; choose from {', '.join(SECTIONS)}"
        )
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    main()
