"""What is in the database that a request may name?

Every identifier in a statement comes from here, read from pg_catalog; a caller's word is only ever
compared with it. A `Catalogue` is one reading and never changes: a new one replaces it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import msgspec

from tintype import database
from tintype.rest.relationships import Relationship, View, derive, faces_of, primary_keys
from tintype.rest.trouble import RestError, nearest, no_column, told

SHAPES_REMEMBERED_MAX = 1_000
WHOLE_BODY_TYPES = frozenset(("json", "jsonb", "text", "xml", "bytea"))
# The bits of pg_relation_is_updatable.
WRITES = {"update": 1 << 2, "insert": 1 << 3, "delete": 1 << 4}

# What SQL calls types that pg_type has under another name.
TYPE_NAMES = {
    "int": "integer",
    "integer": "integer",
    "bigint": "bigint",
    "smallint": "smallint",
    "boolean": "boolean",
    "real": "real",
    "float": "double precision",
    "double precision": "double precision",
    "decimal": "numeric",
    "char": "bpchar",
    "character varying": "character varying",
    "timestamp with time zone": "timestamp with time zone",
    "timestamp without time zone": "timestamp without time zone",
}


class Column(msgspec.Struct, frozen=True):
    """A column. `base` is its type without domains; `function` computes it from a whole row."""

    name: str
    type: str
    base: str
    default: str | None = None
    function: str | None = None


class Relation(msgspec.Struct, frozen=True):
    """A table or view, or the rows of a function (`kind` "record").

    A view has the primary key of the table whose key it shows. `writes` are the actions it takes.
    """

    schema: str
    name: str
    kind: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...] = ()
    writes: frozenset[str] = frozenset()

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    def column(self, name: str) -> Column:
        """Return the column; raise what Postgres says where there is none."""
        found = self.columns.get(name)
        if found is None:
            raise no_column(self.name, name)
        return found


class Argument(msgspec.Struct, frozen=True):
    """An argument of a function."""

    name: str
    type: str
    required: bool
    variadic: bool = False


class Function(msgspec.Struct, frozen=True):
    """A function of the exposed schemas. `rows` is None where it returns a scalar."""

    schema: str
    name: str
    arguments: tuple[Argument, ...]
    rows: Relation | None
    returns_set: bool
    returns_void: bool
    volatile: bool
    oid: int = 0

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def takes_whole_body(self) -> str | None:
        """The type of its single argument without a name, if that can be the body."""
        if len(self.arguments) == 1 and not self.arguments[0].name:
            kind = self.arguments[0].type
            return kind if kind in WHOLE_BODY_TYPES else None
        return None


class Catalogue:
    """One reading of the exposed schemas, and what was planned on it."""

    def __init__(
        self,
        schemas: tuple[str, ...],
        relations: dict[tuple[str, str], Relation],
        functions: dict[tuple[str, str], list[Function]],
        relationships: dict[tuple[str, str], list[Relationship]],
        types: dict[str, str],
    ) -> None:
        self.schemas = schemas
        self.functions = functions
        self.relationships = relationships
        self._relations = relations
        self._types = types
        # The least recently used shape is forgotten first; see `remember`.
        self.remembered: dict[Any, Any] = {}

    def schema(self, name: str) -> str:
        """Return the exposed schema that `name` means, the first for none; raise PGRST106."""
        if name and name not in self.schemas:
            raise RestError(
                "PGRST106",
                f"Invalid schema: {told(name)}",
                hint=f"Only the following schemas are exposed: {', '.join(self.schemas)}",
            )
        return name or self.schemas[0]

    def search_path(self, name: str) -> str:
        """Return the path under which a request for the schema runs."""
        return f"{quote(name or self.schemas[0])}, public, extensions"

    def has(self, schema: str, name: str) -> bool:
        """Whether there is such a table or view."""
        return (schema, name) in self._relations

    def relation(self, schema: str, name: str) -> Relation:
        """Return the table or view; raise PGRST205."""
        found = self._relations.get((schema, name))
        if found is not None:
            return found
        near = nearest(name, (known for owner, known in self._relations if owner == schema))
        hint = f"Perhaps you meant the table '{schema}.{near}'" if near else None
        raise RestError(
            "PGRST205",
            f"Could not find the table '{schema}.{told(name)}' in the schema cache",
            hint=hint,
        )

    def cast(self, name: str) -> str:
        """Return the type that `name` names, quoted; raise 42704."""
        word = " ".join(name.removesuffix("[]").split())
        found = TYPE_NAMES.get(word) or self._types.get(word)
        if found is None:
            raise RestError("42704", f'type "{told(name)}" does not exist')
        return f"{found}[]" if name.endswith("[]") else found

    def remember(self, key: Any, value: Any) -> None:
        """Keep `value`, at the cost of the oldest once there are `SHAPES_REMEMBERED_MAX`."""
        if len(self.remembered) >= SHAPES_REMEMBERED_MAX:
            self.remembered.pop(next(iter(self.remembered)))
        self.remembered[key] = value


def quote(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def read_catalogue(pool: database.Pool, schemas: tuple[str, ...]) -> Catalogue:
    """Read the schemas in one transaction, with every name and type fully qualified."""
    queries = database.named_queries("rest")
    async with database.transaction(pool) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        await connection.execute("set local search_path = ''")
        rows = {
            name: await connection.fetch(queries[name], list(schemas))
            for name in ("relations", "columns", "keys", "views", "functions", "types")
        }
    return _assemble(schemas, rows)


def _assemble(schemas: tuple[str, ...], rows: Mapping[str, list[asyncpg.Record]]) -> Catalogue:
    columns: dict[int, dict[str, Column]] = {row["oid"]: {} for row in rows["relations"]}
    positions: dict[tuple[int, int], str] = {}
    for row in rows["columns"]:
        name = row["name"]
        columns[row["relation"]][name] = Column(
            name, row["type"], row["base"], row["default_value"]
        )
        positions[row["relation"], row["position"]] = name
    views = [View(row["relation"], row["tree"]) for row in rows["views"]]
    names = {row["oid"]: (row["schema"], row["name"]) for row in rows["relations"]}
    faces = faces_of(names, positions, views)
    primary = primary_keys(rows["keys"], faces)
    by_oid = {
        row["oid"]: Relation(
            row["schema"],
            row["name"],
            row["kind"],
            columns[row["oid"]],
            primary.get((row["schema"], row["name"]), ()),
            frozenset(word for word, bit in WRITES.items() if row["updatable"] & bit),
        )
        for row in rows["relations"]
    }
    functions: dict[tuple[str, str], list[Function]] = {}
    computed: list[tuple[tuple[str, str], Relationship]] = []
    for row in rows["functions"]:
        function = _function(row, by_oid)
        functions.setdefault((function.schema, function.name), []).append(function)
        owner = by_oid.get(row["first_relation"])
        if owner is not None and row["inputs"] == 1:
            if function.rows is None and not function.returns_set:
                kind = row["return_type"]
                columns[row["first_relation"]].setdefault(
                    function.name, Column(function.name, kind, kind, function=function.sql)
                )
            elif function.rows is not None and function.rows.kind != "record":
                target = (function.rows.schema, function.rows.name)
                to_one = not function.returns_set or row["rows_expected"] == 1
                related = Relationship(function.name, target, to_one, (), function=function.sql)
                computed.append(((owner.schema, owner.name), related))
    relationships = derive(names, positions, rows["keys"], faces)
    for key, related in computed:
        relationships.setdefault(key, []).append(related)
    relations = {(relation.schema, relation.name): relation for relation in by_oid.values()}
    types = {row["name"]: row["type"] for row in rows["types"]}
    return Catalogue(schemas, relations, functions, relationships, types)


def _function(row: asyncpg.Record, by_oid: Mapping[int, Relation]) -> Function:
    types: list[str] = row["types"]
    names: list[str] = row["names"] or [""] * len(types)
    modes: list[str] = row["modes"] or ["i"] * len(types)
    inputs = [
        (name, kind, mode)
        for name, kind, mode in zip(names, types, modes, strict=True)
        if mode in "ibv"
    ]
    required = len(inputs) - row["defaults"]
    arguments = tuple(
        Argument(name, kind, place < required and mode != "v", mode == "v")
        for place, (name, kind, mode) in enumerate(inputs)
    )
    outputs = [
        (name, kind) for name, kind, mode in zip(names, types, modes, strict=True) if mode in "obt"
    ]
    return Function(
        row["schema"],
        row["name"],
        arguments,
        _rows(row, outputs, by_oid),
        row["returns_set"],
        row["returns_void"],
        row["volatility"] == "v",
        row["oid"],
    )


def _rows(
    row: asyncpg.Record, outputs: Iterable[tuple[str, str]], by_oid: Mapping[int, Relation]
) -> Relation | None:
    columns = {name: Column(name, kind, kind) for name, kind in outputs}
    if columns:
        return Relation(row["schema"], row["name"], "record", columns)
    if row["return_relation"] in by_oid:
        return by_oid[row["return_relation"]]
    if row["return_kind"] == "c" or row["return_type"] == "record":
        return Relation(row["schema"], row["name"], "record", {})
    return None
