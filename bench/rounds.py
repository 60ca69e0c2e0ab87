"""What does every section need to measure?"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Figures
from bench.postgres import Server
from bench.process import MeasurementFailed, ask
from bench.sizes import Sizes


@dataclass
class Run:
    """One run of the bench: where it measures, how much, and what it found so far."""

    server: Server
    sizes: Sizes
    folder: Path
    figures: Figures = field(default_factory=Figures)
    remarks: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Tell whoever waits how far it is."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def note(self, name: str, value: float, *, unit: str, what: str) -> None:
        """Keep one run's value, and show it."""
        self.figures.add(name, value, unit=unit, what=what)
        self.say(f"{name:<46} {value:>12,.2f} {unit}")

    def remark(self, text: str) -> None:
        """Keep what a reader of the figures has to know."""
        self.remarks.append(text)
        self.say(text)


async def act(contestant: str, name: str, *, loop: str = "uvloop", **arguments: Any) -> Any:
    """Perform one act of a contestant in a process of its own and return what it says."""
    spec = {"contestant": contestant, "act": name, "loop": loop, "arguments": arguments}
    return await ask("bench.subject", spec)


async def check_ledger(url: str, *, jobs: int | None, open_holds: int) -> None:
    """Stop the run unless the ledger adds up and exactly `open_holds` holds are left.

    `jobs` None: however many there are.
    """
    found = await act("tintype", "verify", url=url)
    if not found["holds_true"]:
        raise MeasurementFailed(f"the ledger does not hold: {found['findings']}")
    if found["open_holds"] != open_holds or found["ready"] + found["leases"] != open_holds:
        raise MeasurementFailed(f"{open_holds} open holds and ready jobs were expected: {found}")
    if jobs is not None and found["jobs"] != jobs:
        raise MeasurementFailed(f"{jobs} jobs were expected: {found}")
