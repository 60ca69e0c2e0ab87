"""What did the runs say, and how much did they differ?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Figure:
    """One measured quantity of a section: a value for each run."""

    name: str
    section: str
    unit: str
    what: str
    runs: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return median(self.runs)

    def as_json(self) -> dict[str, object]:
        """Return the figure with its spread, in full precision."""
        return {
            "section": self.section,
            "unit": self.unit,
            "what": self.what,
            "median": self.median,
            "lowest": min(self.runs),
            "highest": max(self.runs),
            "runs": self.runs,
        }


class Figures:
    """All figures of a run, in the order in which they first came; `section` is set by turns."""

    def __init__(self) -> None:
        self.section = ""
        self._by_name: dict[str, Figure] = {}

    def add(self, name: str, value: float, *, unit: str, what: str) -> None:
        """Add one run's value to the figure `name`, of the section that is being measured."""
        figure = self._by_name.setdefault(name, Figure(name, self.section, unit, what))
        figure.runs.append(value)

    def find(self, name: str) -> Figure | None:
        """Return the figure, or None when it was not measured."""
        return self._by_name.get(name)

    def all(self) -> list[Figure]:
        """Return every figure."""
        return list(self._by_name.values())


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
