"""Where do the SQL texts live?

In `tintype/sql`, one file per room, read once. A named query starts with `-- name: word`.
"""

from functools import cache
from importlib.resources import files
from pathlib import Path


def sql_folder() -> Path:
    """Return the folder that holds migrations, verbs, policies and queries."""
    return Path(str(files("tintype") / "sql"))


@cache
def named_queries(room: str) -> dict[str, str]:
    """Return the named reads of `sql/queries/<room>.sql` by name."""
    text = (sql_folder() / "queries" / f"{room}.sql").read_text("utf-8")
    queries: dict[str, str] = {}
    for block in text.split("-- name: ")[1:]:
        name, _, body = block.partition("\n")
        queries[name.strip()] = body.strip().removesuffix(";")
    return queries
