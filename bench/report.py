"""How are the figures shown and kept?"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import Figures
from bench.rounds import Run


@dataclass(frozen=True)
class Goal:
    """A bound that the median of a figure has to reach."""

    name: str
    at_least: float | None = None
    below: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether `value` is within the bound."""
        if self.at_least is not None:
            return value >= self.at_least
        return self.below is not None and value < self.below

    @property
    def told(self) -> str:
        """The bound in words."""
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"< {self.below:g}"


GOALS = (
    Goal("settle_ratio_vs_best_python_peer", at_least=2.0),
    Goal("claim_rate_1m_over_1k", at_least=0.9),
    Goal("submit_http_p99_ms_at_16", below=50.0),
    Goal("submit_http_per_s", at_least=3000.0),
    Goal("capture_settle_rate_on_over_off", at_least=0.9),
    Goal("capture_enqueue_rate_on_over_off", at_least=0.9),
    Goal("rest_read_over_bare_p50_ms", below=1.5),
    Goal("storage_memory_growth_mb", below=64.0),
    Goal("rpop_p99_ms_at_1", below=15.0),
    Goal("readiness_seconds", below=2.0),
    Goal("validation_largest_memory_growth_mb", below=100.0),
    Goal("validation_smallest_memory_growth_mb", below=100.0),
    Goal("idle_lanes_percent", below=3.0),
    Goal("interaction_worst_ms", below=200.0),
)
# The width of the table in a file.
PLAIN_COLUMNS = 160
# Names that readers script against, beside the figure they stand for.
ALIASES = {"submit_http_per_s": "submit_http_per_s_at_64"}


def medians(figures: Figures) -> dict[str, float]:
    """Return every figure's median by its name, and by its alias."""
    found = {figure.name: figure.median for figure in figures.all()}
    return found | {alias: found[name] for alias, name in ALIASES.items() if name in found}


def goals_met(figures: Figures) -> dict[str, bool]:
    """Return for each goal that was measured whether it is reached."""
    found = medians(figures)
    return {goal.name: goal.is_met(found[goal.name]) for goal in GOALS if goal.name in found}


def write(path: Path, run: Run, *, machine: dict[str, object], seconds: float) -> None:
    """Write everything as JSON: medians at the top, then spread, machine and sizes."""
    document = medians(run.figures) | {
        "goals": goals_met(run.figures),
        "figures": {figure.name: figure.as_json() for figure in run.figures.all()},
        "remarks": run.remarks,
        "machine": machine,
        "sizes": asdict(run.sizes),
        "repeats": run.sizes.repeats,
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


def show(run: Run, machine: dict[str, object]) -> None:
    """Print the table, section by section, then the goals, the remarks and the machine."""
    figures = run.figures
    out = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_COLUMNS)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("figure", no_wrap=True)
    for column in ("median", "lowest", "highest"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("what")
    section = ""
    for figure in figures.all():
        if figure.section != section:
            section = figure.section
            table.add_section()
            table.add_row(f"[bold]{section}[/bold]")
        spread = (figure.median, min(figure.runs), max(figure.runs))
        table.add_row(figure.name, *map(_number, spread), figure.unit, figure.what)
    out.print(table)
    found = medians(figures)
    met = goals_met(figures)
    out.print()
    for goal in GOALS:
        if goal.name in met:
            verdict = "[green]met[/green]" if met[goal.name] else "[red]missed[/red]"
            out.print(f"{verdict:<16} {goal.name} {goal.told}: {_number(found[goal.name])}")
    for remark in run.remarks:
        out.print(remark)
    postgres = machine["postgres"]
    assert isinstance(postgres, dict)
    out.print(
        f"\n{machine['cpu_count']} × {machine['cpu_model']}, Postgres {postgres['version']},"
        f" load {machine['load_average_before']:.1f} → {machine['load_average_after']:.1f},"
        f" {machine['date']}"
    )


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"
