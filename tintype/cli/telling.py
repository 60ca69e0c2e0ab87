"""How does a command tell what it did?

Words for people go to standard output plain where it is no terminal; with `--json` standard
output holds one JSON value and nothing else. Trouble and progress go to standard error.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

CELL_CHARACTERS_MAX = 60
LIST_ROWS_MAX = 1000

Json: TypeAlias = Annotated[bool, Parameter(help="Print JSON.", negative="", show_default=False)]
Output: TypeAlias = Annotated[Literal["env", "json"], Parameter(name=["--output", "-o"])]
Limit: TypeAlias = Annotated[
    int, Parameter(help="How many at most.", validator=Number(gte=1, lte=LIST_ROWS_MAX))
]

# What is printed may hold a user's words: no markup and no emoji codes are read in it.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


def stop(message: str, *, hint: str | None = None, code: int = 1) -> NoReturn:
    """Say what is wrong, and what to do, on standard error; exit."""
    err.print(Text.assemble(("error: ", "bold red"), message))
    if hint:
        err.print(f"  {hint}")
    raise SystemExit(code)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False) + "\n")


def print_values(values: dict[str, str], output: Output) -> None:
    """Print names and values as JSON, or as lines that a shell can `eval`."""
    if output == "json":
        print_json(values)
        return
    for name, value in values.items():
        print('{}="{}"'.format(name, re.sub(r'([\\"$`])', r"\\\1", value)))


def print_rows(
    rows: Sequence[Any], columns: Sequence[str], *, as_json: bool, empty: str = "There are none."
) -> None:
    """Print a list of structs or dicts: one line each for people, or a JSON array.

    A line is never wrapped, so that `grep` finds all of it. `empty` is said on standard error
    where there is nothing to list.
    """
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        err.print(empty)
        return
    for line in table(rows, columns):
        out.print(line)


def table(rows: Iterable[Any], columns: Sequence[str]) -> Iterator[Text]:
    """Yield a heading and one line for each row, in columns; numbers stand to the right."""
    values = [row if isinstance(row, dict) else msgspec.structs.asdict(row) for row in rows]
    cells = [[cell(value[name]) for name in columns] for value in values]
    heads = [name.replace("_", " ") for name in columns]
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    numeric = [
        all(isinstance(value[name], int) and value[name] is not True for value in values)
        for name in columns
    ]
    for number, line in enumerate([heads, *cells]):
        padded = [
            text.rjust(width) if right else set_cell_size(text, width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        yield Text("  ".join(padded).rstrip(), style="" if number else "bold")


def cell(value: Any) -> str:
    """Return a value as one short line: seconds are enough, and nothing moves the cursor."""
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
    text = plain(str(value))
    short = len(text) <= CELL_CHARACTERS_MAX
    return text if short else text[: CELL_CHARACTERS_MAX - 1].rstrip() + "…"


def plain(text: str) -> str:
    """Return someone's words as one line without control characters."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())
