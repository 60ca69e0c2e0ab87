"""How does a plan read in SQL?

As one statement that answers everything: the body as the caller gets it, how many rows it holds,
how many there are, and what a function set as status and headers. Values are parameters, always
text that is cast to the type of what it meets, so that a bad one is Postgres's own error 22P02.
Names are quoted and come from the catalogue; only an output's label may be the caller's, and the
grammar lets it be letters, digits and `_ $ . -` alone.
"""
# ruff: noqa: S608 (every piece is a name of the catalogue, a parameter or a word of our own)

from typing import NamedTuple

import msgspec

from tintype.rest.calls import VALUE
from tintype.rest.catalogue import quote
from tintype.rest.conditions import Binder, expression, operand
from tintype.rest.grammar import Star
from tintype.rest.plan import Node, Output, Plan, Sorting, labels, stored
from tintype.rest.request import ROWS_MAX
from tintype.rest.writing import MERGED, source


class Query(msgspec.Struct, frozen=True):
    """A statement and where its parameters come from: a slot's number, or a constant.

    `estimate` is the EXPLAIN that guesses how many rows there are. Its columns are: body, page
    rows, total rows, status, headers, affected rows, merged rows, the key of the first row.
    """

    text: str
    parameters: tuple[int | str, ...]
    read_only: bool
    estimate: "Query | None" = None

    def bind(self, values: tuple[str | list[str], ...]) -> list[str | list[str]]:
        """Return the parameters of one request."""
        return [values[one] if isinstance(one, int) else one for one in self.parameters]


def render(plan: Plan) -> Query:
    """Return the one statement that does what `plan` says."""
    shape, root = plan.shape, plan.root
    binder = Binder()
    writes = shape.action in ("insert", "update", "delete")
    before, origin = "", _origin(plan, binder)
    if writes:
        before, origin = f"with source as ({source(plan, binder, _needed(plan))}) ", "source as r0"
        binder.flat = True
    elif plan.function is not None and shape.count in ("exact", "estimated"):
        # Counted and shown from one call: a second one would do again what the function does.
        before, origin = f"with called as materialized (select r0.* from {origin}) ", "called as r0"
    if writes and shape.returning != "representation":
        rows = "select 1 from source"
    elif shape.bodiless and not root.aggregated:
        rows = f"select 1 {_tail(root, binder, origin)}"
    else:
        rows = _rows(root, binder, origin=origin, tested=not writes)
    affected = "(select count(*) from source)" if writes else "null::bigint"
    total = affected if writes and shape.count else _total(plan, binder, origin)
    text = (
        f"{before}select {_body(plan)}, count(*), {total},"
        " nullif(current_setting('response.status', true), ''),"
        " nullif(current_setting('response.headers', true), ''),"
        f" {affected}, {_merged(plan)}, {_location(plan)} from ({rows}) as s"
    )
    estimate = None
    if not writes and shape.count in ("planned", "estimated"):
        estimating = Binder()
        counted = _counted(plan, estimating, _origin(plan, estimating))
        parameters = tuple(estimating.parameters)
        estimate = Query(f"explain (format json) {counted}", parameters, True)
    return Query(text, tuple(binder.parameters), plan.read_only, estimate)


def _body(plan: Plan) -> str:
    shape = plan.shape
    if shape.bodiless or shape.returning != "representation":
        return "null::bytea"
    if plan.function is not None and plan.function.returns_void:
        return "null::bytea"
    scalar = plan.root.relation.kind == "scalar"
    row = f"s.{VALUE}" if scalar else "s.*"
    if shape.media == "csv":
        whole = f"({row})::text"
        line = whole if scalar else f"substring({whole}, 2, length({whole}) - 2)"
        return f"convert_to(coalesce(string_agg({line}, chr(10)), ''), 'UTF8')"
    one = shape.media == "object" or (plan.function is not None and not plan.function.returns_set)
    stripped = shape.nulls_stripped and not scalar
    item = f"json_strip_nulls(row_to_json({row}))" if stripped else row
    many = f"json_agg({item})"
    text = f"coalesce(({many} -> 0)::text, 'null')" if one else f"coalesce({many}::text, '[]')"
    return f"convert_to({text}, 'UTF8')"


def _total(plan: Plan, binder: Binder, origin: str) -> str:
    if plan.shape.count not in ("exact", "estimated"):
        return "null::bigint"
    limit = f" limit {ROWS_MAX + 1}" if plan.shape.count == "estimated" else ""
    return f"(select count(*) from ({_counted(plan, binder, origin)}{limit}) as c)"


def _counted(plan: Plan, binder: Binder, origin: str) -> str:
    root = plan.root
    listed = _listed(root, binder) if root.aggregated else "1"
    tail = _tail(root, binder, origin, windowed=False, every=root.aggregated)
    return f"select {listed} {tail}"


def _merged(plan: Plan) -> str:
    if plan.shape.resolution != "merge-duplicates":
        return "0"
    return f"coalesce(nullif(current_setting('{MERGED}', true), ''), '0')::integer"


def _location(plan: Plan) -> str:
    keys = plan.root.relation.primary_key
    if plan.shape.action != "insert" or plan.shape.returning != "headers-only" or not keys:
        return "null::text[]"
    values = ", ".join(f"k.{quote(name)}::text" for name in keys)
    return f"(select array[{values}] from source as k limit 1)"


def _needed(plan: Plan) -> list[str]:
    """Return what a write hands on to the part that reads, as SQL over `r0`."""
    shape, root = plan.shape, plan.root
    if shape.returning == "minimal":
        return ["1"]
    if shape.returning == "headers-only":
        return [f"r0.{quote(name)}" for name in root.relation.primary_key] or ["1"]
    names: dict[str, None] = {}
    for output in root.outputs:
        if isinstance(output, Output) and output.operand is not None:
            names[output.operand.column.name] = None
        elif isinstance(output, Node) and output.link is not None:
            pairs = output.link.junction.near if output.link.junction else output.link.pairs
            near = 1 if output.link.junction else 0
            names.update(dict.fromkeys(pair[near] for pair in pairs))
    names.update((one.operand.column.name, None) for one in root.order if one.child is None)
    needed: list[str] = []
    whole = any(isinstance(output, Star) for output in root.outputs)
    if whole:
        needed.append("r0.*")
    for name in names:
        column = root.relation.columns[name]
        if column.function is not None:
            needed.append(f"{column.function}(r0) as {quote(name)}")
        elif not whole:
            needed.append(f"r0.{quote(name)}")
    return needed or ["1"]


def _origin(plan: Plan, binder: Binder) -> str:
    function = plan.function
    if function is None:
        return f"{plan.root.relation.sql} as r0"
    shape, before, arguments = plan.shape, "", []
    if plan.whole_body is not None:
        arguments = [f"{binder.slot(shape.payload_slot)}::{plan.whole_body}"]
    elif shape.columns:
        known = {argument.name: argument for argument in function.arguments}
        chosen = [known[name] for name in shape.columns]
        if shape.argument_slots is None:
            columns = ", ".join(f"{quote(one.name)} {one.type}" for one in chosen)
            payload = binder.slot(shape.payload_slot)
            before = f"json_to_record({payload}::json) as b({columns}) cross join lateral "
            values = [f"b.{quote(one.name)}" for one in chosen]
        else:
            values = []
            for one, slot in zip(chosen, shape.argument_slots, strict=True):
                value = binder.slot(slot)
                alone = one.variadic and slot not in shape.repeated
                values.append(f"{f'array[{value}]' if alone else value}::{one.type}")
        arguments = [
            f"{'variadic ' if one.variadic else ''}{quote(one.name)} => {value}"
            for one, value in zip(chosen, values, strict=True)
        ]
    alias = f"r0({VALUE})" if plan.root.relation.kind == "scalar" else "r0"
    return f"{before}{function.sql}({', '.join(arguments)}) as {alias}"


def _rows(node: Node, binder: Binder, *, origin: str, tested: bool = True) -> str:
    return f"select {_listed(node, binder)} {_tail(node, binder, origin, tested=tested)}"


def _tail(
    node: Node,
    binder: Binder,
    origin: str,
    *,
    tested: bool = True,
    windowed: bool = True,
    every: bool = True,
    joined: str = "",
) -> str:
    """Return everything from `from` on. Without `every`, only joins that decide which rows."""
    parts = [f"from {origin}"]
    parts += [_lateral(one, binder) for one in node.children if every or one.decisive]
    parts.append(joined)
    tests = _link(node)
    if tested:
        tests += [expression(one, node, binder) for one in node.tests]
    if tests:
        parts.append(f"where {' and '.join(tests)}")
    if node.aggregated and not node.merges:
        grouped = [
            str(place)
            for place, value in enumerate(_values(node, binder), 1)
            if value.aggregate is None
        ]
        if grouped:
            parts.append(f"group by {', '.join(grouped)}")
    if windowed:
        if node.order:
            parts.append(f"order by {', '.join(_sorted(one, node, binder) for one in node.order)}")
        if node.window is not None:
            limit, offset = binder.slot(node.window.limit), binder.slot(node.window.offset)
            parts.append(f"limit {limit}::bigint offset {offset}::bigint")
        elif node.link is not None and not node.to_one:
            parts.append(f"limit {ROWS_MAX}")
    return " ".join(part for part in parts if part)


def _sorted(one: Sorting, node: Node, binder: Binder) -> str:
    if one.child is None:
        value = operand(one.operand, node, binder)
    else:
        value = _exported(one, one.child, binder)
    direction = "desc" if one.term.descending else "asc"
    return " ".join(part for part in (value, direction, one.term.nulls) if part)


def _exported(one: Sorting, child: Node, binder: Binder) -> str:
    """Return an embed's value by which its parent is ordered."""
    if child.merges:
        # Where the parent is grouped, only what it is grouped by can order it.
        sql = operand(one.operand, child, binder)
        for place, value in enumerate(_values(child, binder)):
            if value.sql == sql and value.aggregate is None:
                return f"l{child.number}.x{place}"
    return f"l{child.number}.o{one.export}"


class _Value(NamedTuple):
    """The SQL of a value and its name in the row; None for the names that `*` has.

    An aggregate is the value's and not yet in its SQL: rows that merge into their parent are
    aggregated there. `json` has no equality to group by.
    """

    sql: str
    label: str | None
    aggregate: str | None = None
    cast: str | None = None
    json: bool = False

    def grouped(self) -> str:
        """Return the SQL of the value in rows that are grouped."""
        if self.aggregate is None:
            return f"{self.sql}::jsonb" if self.json else self.sql
        value = f"{self.aggregate}({self.sql})"
        return f"({value})::{self.cast}" if self.cast else value


def _values(node: Node, binder: Binder) -> list[_Value]:
    values: list[_Value] = []
    for output in node.outputs:
        if isinstance(output, Star) and (node.expand or node.aggregated):
            values += [
                _Value(f"r{node.number}.{quote(name)}", name, json=_is_json(node, name))
                for name in stored(node.relation)
            ]
        elif isinstance(output, Star):
            values.append(_Value(f"r{node.number}.*", None))
        elif isinstance(output, Output):
            values.append(_output(output, node, binder))
        elif output.merges:
            values += [
                one._replace(sql=f"l{output.number}.x{place}", label=name)
                for place, (one, name) in enumerate(
                    zip(_values(output, binder), labels(output), strict=True)
                )
            ]
        elif output.spread:
            values += [
                _Value(f"coalesce(l{output.number}.x{place}, '[]'::json)", name, json=True)
                for place, name in enumerate(labels(output))
            ]
        elif output.outputs:
            sql = f"l{output.number}.j"
            sql = sql if output.to_one else f"coalesce({sql}, '[]'::json)"
            values.append(_Value(sql, output.label, json=True))
    return values


def _is_json(node: Node, name: str) -> bool:
    return node.relation.columns[name].base == "json"


def _listed(node: Node, binder: Binder) -> str:
    return ", ".join(
        one.sql if one.label is None else f"{one.sql} as {quote(one.label)}"
        for one in _shown(node, binder)
    )


def _shown(node: Node, binder: Binder) -> list[_Value]:
    """Return the values as the node's rows show them, grouped where something is aggregated."""
    values = _values(node, binder)
    return [one._replace(sql=one.grouped()) for one in values] if node.aggregated else values


def _output(output: Output, node: Node, binder: Binder) -> _Value:
    value, json = "true", False
    if output.operand is not None:
        value = operand(output.operand, node, binder)
        json = output.operand.type == "json"
    elif not node.merges:
        value = "*"
    if output.cast is not None:
        value, json = f"({value})::{output.cast}", output.cast == "json"
    return _Value(value, output.label, output.aggregate, output.aggregate_cast, json)


def _link(node: Node) -> list[str]:
    """Return how the rows of an embed belong to the row of the parent."""
    if node.link is None or node.parent is None:
        return []
    here, there = f"r{node.number}", f"r{node.parent.number}"
    if node.link.junction is not None:
        join = f"j{node.number}"
        return [f"{join}.{quote(a)} = {there}.{quote(b)}" for a, b in node.link.junction.near]
    return [f"{here}.{quote(theirs)} = {there}.{quote(ours)}" for ours, theirs in node.link.pairs]


def _embedded(node: Node) -> str:
    """Return the relation of an embed, with its join table."""
    here = f"r{node.number}"
    if node.link is not None and node.link.function is not None and node.parent is not None:
        return f"{node.link.function}(r{node.parent.number}) as {here}"
    relation = f"{node.relation.sql} as {here}"
    if node.link is not None and node.link.junction is not None:
        junction, join = node.link.junction, f"j{node.number}"
        table = f"{quote(junction.table[0])}.{quote(junction.table[1])}"
        on = " and ".join(f"{join}.{quote(a)} = {here}.{quote(b)}" for a, b in junction.far)
        relation += f" inner join {table} as {join} on {on}"
    return relation


def _lateral(node: Node, binder: Binder) -> str:
    """Return the join that gives the parent's row `l<n>.j`, the embed's JSON or null."""
    number, origin = node.number, _embedded(node)
    rows = _one(node, binder, origin) if node.to_one else _many(node, binder, origin)
    kind = "inner" if node.inner else "left"
    on = f"l{number}.j is not null" if node.inner and not node.to_one else "true"
    return f"{kind} join lateral ({rows}) as l{number} on {on}"


def _one(node: Node, binder: Binder, origin: str) -> str:
    exported = [
        f"{operand(one, node, binder)} as o{place}" for place, one in enumerate(node.exports)
    ]
    if node.aggregated and not node.spread:
        return f"select row_to_json(s.*) as j from ({_rows(node, binder, origin=origin)}) as s"
    if node.spread or not node.outputs:
        spread = [f"{one.sql} as x{n}" for n, one in enumerate(_values(node, binder))]
        listed = ", ".join([*spread, "true as j", *exported])
        return f"select {listed} {_tail(node, binder, origin)}"
    number = node.number
    row = f"cross join lateral (select {_listed(node, binder)}) as s{number}"
    listed = ", ".join([f"row_to_json(s{number}.*) as j", *exported])
    return f"select {listed} {_tail(node, binder, origin, joined=row)}"


def _many(node: Node, binder: Binder, origin: str) -> str:
    if node.spread:
        values = [one.sql for one in _shown(node, binder)]
        inner = ", ".join(f"{value} as x{place}" for place, value in enumerate(values))
        outer = "".join(f"json_agg(s.x{place}) as x{place}, " for place in range(len(values)))
        tail = _tail(node, binder, origin)
        return f"select {outer}nullif(count(*), 0) as j from (select {inner} {tail}) as s"
    if not node.outputs:
        return f"select nullif(count(*), 0) as j from (select 1 {_tail(node, binder, origin)}) as s"
    return f"select json_agg(s.*) as j from ({_rows(node, binder, origin=origin)}) as s"
