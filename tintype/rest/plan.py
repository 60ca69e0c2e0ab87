"""Which relations, columns and functions does a request mean?

`plan` looks every name of a shape up in the catalogue and returns a tree of `Node`s, one for each
relation that is read, which `query` can write down without asking anything.
"""

from typing import TypeAlias

import msgspec

from tintype.rest import calls
from tintype.rest.catalogue import Catalogue, Column, Function, Relation
from tintype.rest.grammar import Condition, Embed, Field, Item, Logic, Pick, Star, Step, Term
from tintype.rest.relationships import Key, Relationship, find
from tintype.rest.request import Shape, Window
from tintype.rest.trouble import RestError, no_column, told

NODES_MAX = 50


class Operand(msgspec.Struct, frozen=True):
    """A column, or a place in its JSON."""

    column: Column
    path: tuple[Step, ...] = ()

    @property
    def type(self) -> str:
        """The SQL type that a value compared with it takes."""
        if not self.path:
            return self.column.base
        if self.path[-1].text:
            return "text"
        return "json" if self.column.base == "json" else "jsonb"


class Output(msgspec.Struct, frozen=True):
    """One value of a row, under `label`. No operand: `count(*)`. Casts are SQL types."""

    label: str
    operand: Operand | None
    cast: str | None = None
    aggregate: str | None = None
    aggregate_cast: str | None = None


class Test(msgspec.Struct, frozen=True):
    """A condition on an operand, or on whether `child` has rows."""

    condition: Condition
    operand: Operand | None
    child: "Node | None" = None


class Group(msgspec.Struct, frozen=True):
    """`and` or `or` of its members."""

    word: str
    members: "tuple[Test | Group, ...]"
    negated: bool


Expression: TypeAlias = Test | Group


class Sorting(msgspec.Struct, frozen=True):
    """One term of an order; with `child`, by the value it exports as number `export`."""

    term: Term
    operand: Operand
    child: "Node | None" = None
    export: int = 0


class Node(msgspec.Struct, eq=False):
    """One relation that is read. `link` says how its rows belong to the parent's."""

    number: int
    relation: Relation
    label: str
    target: str = ""
    parent: "Node | None" = None
    link: Relationship | None = None
    inner: bool = False
    spread: bool = False
    expand: bool = False
    outputs: "list[Star | Output | Node]" = []
    tests: list[Expression] = []
    order: list[Sorting] = []
    window: Window | None = None
    exports: list[Operand] = []
    # Embeds that decide which rows there are, and not only what they hold.
    decisive: bool = False

    @property
    def to_one(self) -> bool:
        """Whether there is at most one row for each of the parent's."""
        return self.link is not None and self.link.to_one

    @property
    def children(self) -> "list[Node]":
        """The embeds."""
        return [output for output in self.outputs if isinstance(output, Node)]

    @property
    def merges(self) -> bool:
        """Whether its values become the parent's own, aggregates included."""
        return self.spread and self.to_one

    @property
    def aggregated(self) -> bool:
        """Whether something of its rows is aggregated, here or in the parent it merges into."""
        return any(
            (one.merges and one.aggregated)
            if isinstance(one, Node)
            else isinstance(one, Output) and one.aggregate is not None
            for one in self.outputs
        )


class Plan(msgspec.Struct, eq=False):
    """A shape with its names resolved. `whole_body`: the type the body as it is becomes."""

    shape: Shape
    root: Node
    columns: tuple[Column, ...] = ()
    conflict: tuple[Column, ...] = ()
    function: Function | None = None
    whole_body: str | None = None
    count_nodes: int = 1

    @property
    def read_only(self) -> bool:
        """Whether the transaction may change nothing."""
        if self.function is not None:
            return not self.function.volatile or self.shape.argument_slots is not None
        return self.shape.action == "read"


def plan(shape: Shape, catalogue: Catalogue) -> Plan:
    """Return the plan; raise what PostgREST or Postgres says of names that are not there."""
    schema = catalogue.schema(shape.schema)
    if shape.action == "call":
        function = calls.choose(shape, schema, catalogue)
        if shape.bounded and not function.returns_set:
            raise RestError(
                "PGRST128",
                "Function must return SETOF or TABLE when max-affected preference is used with"
                " handling=strict",
            )
        relation = function.rows or calls.scalar(function)
        made = Plan(shape, Node(0, relation, ""), function=function)
        if calls.takes_whole_body(function, shape):
            made.whole_body = function.takes_whole_body
    else:
        made = Plan(shape, Node(0, catalogue.relation(schema, shape.name), ""))
        _plan_write(made)
    root = made.root
    root.expand = shape.media == "csv"
    _Planner(made, catalogue).fill(root, shape.select)
    for one in shape.filters:
        node = _descend(root, one.path)
        node.tests.append(_expression(node, one.test))
    for order in shape.orders:
        node = _descend(root, order.path)
        node.order = [_sorting(node, term) for term in order.terms]
    for window in shape.windows:
        _descend(root, window.path).window = window
    if shape.put:
        _check_put(made)
    elif shape.action in ("update", "delete"):
        _check_write(made)
    return made


def _plan_write(made: Plan) -> None:
    shape, relation = made.shape, made.root.relation
    if shape.action not in ("insert", "update"):
        return
    if shape.action == "update" and shape.rows == "many":
        raise RestError("PGRST102", "An update takes one object")
    columns = []
    for name in shape.columns:
        column = relation.columns.get(name)
        if column is None or column.function is not None:
            raise RestError(
                "PGRST204",
                f"Could not find the '{told(name)}' column of '{relation.name}'"
                " in the schema cache",
            )
        columns.append(column)
    made.columns = tuple(columns)
    if shape.resolution is not None:
        names = shape.on_conflict or relation.primary_key
        made.conflict = tuple(relation.column(name) for name in names)


def _check_write(made: Plan) -> None:
    shape, root = made.shape, made.root
    if not root.tests and (shape.action == "delete" or made.columns):
        raise RestError("21000", f"{shape.action.upper()} requires a WHERE clause", status=400)
    if any(_tests_embeds(test) for test in root.tests):
        raise RestError("PGRST120", "Rows to write are not chosen by their embedded resources")


def _check_put(made: Plan) -> None:
    """Raise PGRST105 unless the filters say, by `eq` alone, which row the URL is of."""
    keys = made.root.relation.primary_key
    tests = [one for one in made.root.tests if isinstance(one, Test) and _says_equal(one)]
    named = sorted(one.operand.column.name for one in tests if one.operand is not None)
    if not keys or named != sorted(keys) or len(tests) != len(made.root.tests):
        raise RestError(
            "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators",
        )
    if not set(keys) <= {column.name for column in made.columns}:
        raise RestError("PGRST115", "Payload values do not match URL in primary key column(s)")


def _says_equal(test: Test) -> bool:
    condition, operand = test.condition, test.operand
    plain = condition.operator == "eq" and not condition.negated and not condition.quantifier
    return plain and operand is not None and not operand.path


class _Planner:
    """Gives each relation its number."""

    def __init__(self, made: Plan, catalogue: Catalogue) -> None:
        self._made = made
        self._catalogue = catalogue

    def fill(self, node: Node, items: tuple[Item, ...]) -> None:
        node.outputs = []
        for item in items:
            if isinstance(item, Star):
                node.outputs.append(item)
            elif isinstance(item, Embed):
                node.outputs.append(self._embed(node, item))
            elif _counts(item, node.relation):
                cast = self._cast(item.cast)
                node.outputs.append(
                    Output(item.label, None, aggregate="count", aggregate_cast=cast)
                )
            else:
                operand = None if item.field is None else _operand(node, item.field)
                node.outputs.append(
                    Output(
                        item.label,
                        operand,
                        self._cast(item.cast),
                        item.aggregate,
                        self._cast(item.aggregate_cast),
                    )
                )

    def _cast(self, name: str | None) -> str | None:
        return None if name is None else self._catalogue.cast(name)

    def _embed(self, parent: Node, item: Embed) -> Node:
        made, catalogue = self._made, self._catalogue
        if made.count_nodes >= NODES_MAX:
            raise RestError("PGRST100", f"A select embeds at most {NODES_MAX} relations")
        origin: Key = (parent.relation.schema, parent.relation.name)
        link = find(catalogue.relationships.get(origin, ()), origin, item.target, item.hint)
        node = Node(
            made.count_nodes,
            catalogue.relation(*link.target),
            item.label,
            item.target,
            parent,
            link,
            item.inner,
            item.spread,
            expand=item.spread,
            decisive=item.inner,
        )
        made.count_nodes += 1
        self.fill(node, item.items)
        return node


def _counts(item: Pick, relation: Relation) -> bool:
    """Whether `count` is what it was before it had brackets, and not a column."""
    field = item.field
    if field is None or field.path or item.aggregate is not None:
        return False
    return field.name == "count" and "count" not in relation.columns


def _operand(node: Node, field: Field) -> Operand:
    return Operand(node.relation.column(field.name), field.path)


def _child(node: Node, name: str) -> Node | None:
    for child in node.children:
        if name == child.label:
            return child
    return next((child for child in node.children if child.target == name), None)


def _descend(node: Node, path: tuple[str, ...]) -> Node:
    for name in path:
        child = _child(node, name)
        if child is None:
            raise RestError(
                "PGRST108",
                f"'{told(name)}' is not an embedded resource in this request",
                hint=f"Verify that '{told(name)}' is included in the 'select' query parameter.",
            )
        node = child
    return node


def _expression(node: Node, test: Condition | Logic) -> Expression:
    if isinstance(test, Logic):
        members = tuple(_expression(node, member) for member in test.members)
        return Group(test.word, members, test.negated)
    if test.field.name in node.relation.columns:
        return Test(test, _operand(node, test.field))
    child = _child(node, test.field.name)
    if child is None:
        raise no_column(node.relation.name, test.field.name)
    if test.state not in ("is null", "is not null"):
        raise RestError(
            "PGRST120",
            f"Bad operator on the '{child.label}' embedded resource",
            "Only is null or not is null filters are allowed on embedded resources",
        )
    child.decisive = True
    return Test(test, None, child)


def _tests_embeds(expression: Expression) -> bool:
    if isinstance(expression, Group):
        return any(_tests_embeds(member) for member in expression.members)
    return expression.child is not None


def _sorting(node: Node, term: Term) -> Sorting:
    if term.relation is None:
        return Sorting(term, _operand(node, term.field))
    child = _descend(node, (term.relation,))
    if not child.to_one:
        raise RestError(
            "PGRST118",
            f"A related order on '{term.relation}' is not possible",
            f"'{node.relation.name}' and '{term.relation}' do not form a many-to-one or"
            " one-to-one relationship",
        )
    operand = _operand(child, term.field)
    child.exports = [*child.exports, operand]
    return Sorting(term, operand, child, len(child.exports) - 1)


def labels(node: Node) -> list[str]:
    """Return the names of a node's values, those of its spread embeds included."""
    names: list[str] = []
    for output in node.outputs:
        if isinstance(output, Star):
            names.extend(stored(node.relation))
        elif isinstance(output, Output):
            names.append(output.label)
        elif output.spread:
            names.extend(labels(output))
        elif output.outputs:
            names.append(output.label)
    return names


def stored(relation: Relation) -> list[str]:
    """Return the columns that `*` means: those that are not computed."""
    return [name for name, one in relation.columns.items() if one.function is None]
