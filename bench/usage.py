"""What does a process take: how much memory, how much of the processor?

As Linux tells it; `is_told` is False elsewhere, and the figures that need it are left out.
"""

import os
import re
from pathlib import Path


class Usage:
    """What one process takes. Memory is what is resident, in MB of a million bytes."""

    def __init__(self, process_id: int) -> None:
        self._folder = Path(f"/proc/{process_id}")

    @property
    def is_told(self) -> bool:
        """Whether this system tells it, and the process lives."""
        return (self._folder / "status").exists()

    def is_of(self, name: str) -> bool:
        """Whether the process calls itself so: a Postgres elsewhere has numbers of its own."""
        return self.is_told and name in (self._folder / "cmdline").read_text(errors="replace")

    @property
    def memory(self) -> float:
        """What it holds now."""
        return self._status("VmRSS")

    @property
    def memory_peak(self) -> float:
        """The most that it held since it was started, or since `forget_peak`."""
        return self._status("VmHWM")

    @property
    def processor_seconds(self) -> float:
        """How long it has been at work, in all its threads, the kernel's work for it included."""
        return self._seconds(11, 12)

    @property
    def processor_seconds_with_ended(self) -> float:
        """The same, and that of its children that have ended and were waited for."""
        return self._seconds(11, 12, 13, 14)

    def forget_peak(self) -> None:
        """Measure the peak from now on."""
        (self._folder / "clear_refs").write_text("5")

    def _seconds(self, *places: int) -> float:
        numbers = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return sum(int(numbers[place]) for place in places) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> float:
        found = re.search(rf"^{name}:\s*(\d+) kB", (self._folder / "status").read_text(), re.M)
        assert found is not None
        return int(found[1]) * 1024 / 1e6
