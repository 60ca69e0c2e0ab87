"""What is behind a name: a table of the publication, or a view of one?

Read from Postgres's own catalogue and kept for a short while; a change that the log announces is
read anew at once.
"""

from typing import Any

import msgspec

from tintype import clock
from tintype.database import CALLER_ROLES, Pool, named_queries
from tintype.realtime.values import Writer, writer_for

# How long a new grant or a replaced view may go unnoticed.
CATALOGUE_SECONDS = 10
RELATIONS_MAX = 10_000

# Types of which two values are equal exactly if their JSON is.
COMPARED_AS_JSON = frozenset(
    ("bool", "date", "int2", "int4", "int8", "text", "timestamp", "timestamptz", "uuid", "varchar")
)

# Types of which two values are equal exactly if Postgres writes them alike.
COMPARED_AS_TEXT = frozenset(("int2", "int4", "int8", "text", "uuid", "varchar"))


class Column(msgspec.Struct, frozen=True):
    """A column. `type` is its name in `pg_type`, as clients read it, `sql_type` as SQL writes it.

    `roles` may read it. `is_plain`: its values are equal exactly if their JSON is, `is_text`:
    exactly if the text is that Postgres writes.
    """

    name: str
    type: str
    sql_type: str
    roles: frozenset[str]
    write: Writer
    is_plain: bool
    is_text: bool
    is_integer: bool
    is_generated: bool
    is_virtual: bool


class Shape(msgspec.Struct, frozen=True, eq=False):
    """A table of the publication, or a view over one such table (`base`)."""

    oid: int
    schema: str
    name: str
    row_security: bool
    published: bool
    columns: dict[str, Column]
    key: tuple[str, ...]
    base: int | None
    read_at: float
    readers: dict[str, tuple[str, ...]]

    @property
    def quoted(self) -> str:
        """The name as SQL writes it."""
        return f"{quote_name(self.schema)}.{quote_name(self.name)}"

    def readable(self, role: str) -> tuple[str, ...]:
        """Return the columns that `role` may read, in their order."""
        return self.readers.get(role, ())


class Catalogue:
    """Shapes by name and by oid. Used from one event loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queries = named_queries("realtime")
        self._shapes: dict[int, Shape] = {}

    async def find(self, schema: str, name: str) -> Shape | None:
        """Return what changes can be shown of, read anew; None for anything else."""
        oid = await self._pool.fetchval(self._queries["find_relation"], schema, name)
        if oid is None:
            return None
        self._shapes.pop(oid, None)
        shape = await self.shape(oid)
        return shape if shape is not None and shape.published else None

    async def shape(self, oid: int) -> Shape | None:
        """Return a relation by its oid, not older than `CATALOGUE_SECONDS`; None if it is gone."""
        known = self._shapes.get(oid)
        if known is not None and clock.monotonic_seconds() < known.read_at + CATALOGUE_SECONDS:
            return known
        shape = await self._read(oid)
        if shape is None:
            self._shapes.pop(oid, None)
            return None
        if len(self._shapes) >= RELATIONS_MAX:
            self._shapes.clear()
        self._shapes[oid] = shape
        return shape

    def forget(self, oid: int) -> None:
        """Read the relation and the views of it anew when they are needed next."""
        for shape in list(self._shapes.values()):
            if oid in (shape.oid, shape.base):
                del self._shapes[shape.oid]

    async def _read(self, oid: int) -> Shape | None:
        row = await self._pool.fetchrow(self._queries["relation"], oid)
        if row is None:
            return None
        columns = {item["name"]: _column(item) for item in row["columns"] or ()}
        key = tuple(row["key"] or ())
        base, published = None, row["published"]
        if row["kind"] == "v":
            base = await self._pool.fetchval(self._queries["base_of_view"], oid)
            table = await self.shape(base) if base is not None else None
            published = (
                table is not None
                and table.base is None
                and table.published
                and bool(table.key)
                and all(name in columns for name in table.key)
            )
            key = table.key if table is not None else ()
        return Shape(
            oid=oid,
            schema=row["schema"],
            name=row["name"],
            row_security=row["row_security"],
            published=published,
            columns=columns,
            key=key,
            base=base,
            read_at=clock.monotonic_seconds(),
            readers={
                role: tuple(column.name for column in columns.values() if role in column.roles)
                for role in CALLER_ROLES
            },
        )


def quote_name(name: str) -> str:
    """Return an identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _column(item: dict[str, Any]) -> Column:
    is_array = item["element"] is not None
    named = item["element"] if is_array else item["base"]
    return Column(
        name=item["name"],
        type=item["type"],
        sql_type=item["sql_type"],
        roles=frozenset(item["roles"]),
        write=writer_for(named, is_array=is_array, delimiter=item["delimiter"]),
        is_plain=not is_array and (named in COMPARED_AS_JSON or item["is_enum"]),
        is_text=not is_array and (named in COMPARED_AS_TEXT or item["is_enum"]),
        is_integer=not is_array and named in ("int2", "int4", "int8"),
        is_generated=item["is_generated"],
        is_virtual=item["is_virtual"],
    )
