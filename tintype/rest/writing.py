"""How do rows get in, change and go?

The payload is one JSON parameter that Postgres itself reads into rows of the table's types.
"""
# ruff: noqa: S608 (every piece is a name of the catalogue, a parameter or a word of our own)

from tintype.rest.catalogue import Column, quote
from tintype.rest.conditions import Binder, expression
from tintype.rest.plan import Plan, Test

MERGED = "tintype.merged"
# jsonb_build_object takes at most 100 arguments.
DEFAULTS_TOGETHER_MAX = 50


def source(plan: Plan, binder: Binder, returning: list[str]) -> str:
    """Return the statement that writes and hands on `returning` of each row it wrote.

    Nothing but `returning` is read of the written rows, so that who may only insert can.
    """
    shape, table = plan.shape, plan.root.relation.sql
    given = ", ".join(returning)
    if shape.action == "delete":
        return f"delete from {table} as r0 where {_where(plan, binder)} returning {given}"
    if shape.rows == "none" or (shape.action == "update" and not plan.columns):
        origin = "" if returning == ["1"] else f" from {table} as r0"
        return f"select {given}{origin} where false"
    if shape.action == "update":
        changes = ", ".join(f"{quote(one.name)} = b.{quote(one.name)}" for one in plan.columns)
        return (
            f"update {table} as r0 set {changes} from {_recordset(plan, binder)}"
            f" where {_where(plan, binder)} returning {given}"
        )
    if not plan.columns:
        rows = f"json_array_elements({binder.slot(shape.payload_slot)}::json)"
        return (
            f"insert into {table} as r0 select from {rows} where true{_conflict(plan)}"
            f" returning {given}"
        )
    names = ", ".join(quote(one.name) for one in plan.columns)
    values = ", ".join(f"b.{quote(one.name)}" for one in plan.columns)
    return (
        f"insert into {table} as r0 ({names}) select {values} from {_recordset(plan, binder)}"
        # `on conflict` after a join without `where` would read as the join's own.
        f" where {_one(plan, binder) if shape.put else 'true'}{_conflict(plan)} returning {given}"
    )


def _one(plan: Plan, binder: Binder) -> str:
    """Return what makes a PUT write the one row that its URL is of."""
    tests = [test for test in plan.root.tests if isinstance(test, Test)]
    matches = " and ".join(
        f"b.{quote(one.operand.column.name)}"
        f" = {binder.slot(one.condition.slot)}::{one.operand.type}"
        for one in tests
        if one.operand is not None
    )
    return f"{matches} limit 1"


def _where(plan: Plan, binder: Binder) -> str:
    return " and ".join(expression(one, plan.root, binder) for one in plan.root.tests)


def _conflict(plan: Plan) -> str:
    if not plan.conflict:
        return ""
    target = ", ".join(quote(one.name) for one in plan.conflict)
    if plan.shape.resolution == "ignore-duplicates" or not plan.columns:
        return f" on conflict ({target}) do nothing"
    changes = ", ".join(f"{quote(one.name)} = excluded.{quote(one.name)}" for one in plan.columns)
    # Counts the rows that were there, which tells 200 from 201.
    counted = (
        f"set_config('{MERGED}', (coalesce(nullif(current_setting('{MERGED}', true), ''), '0')"
        "::integer + 1)::text, true) is not null"
    )
    return f" on conflict ({target}) do update set {changes} where {counted}"


def _recordset(plan: Plan, binder: Binder) -> str:
    columns = ", ".join(f"{quote(one.name)} {one.type}" for one in plan.columns)
    payload = binder.slot(plan.shape.payload_slot)
    defaults = _defaults(plan.columns) if plan.shape.defaults else ""
    if not defaults:
        return f"json_to_recordset({payload}::json) as b({columns})"
    filled = (
        f"(select coalesce(jsonb_agg({defaults} || e.row), '[]')"
        f" from jsonb_array_elements({payload}::jsonb) as e(row))"
    )
    return f"jsonb_to_recordset({filled}) as b({columns})"


def _defaults(columns: tuple[Column, ...]) -> str:
    pairs = [
        f"'{one.name.replace(chr(39), chr(39) * 2)}', {one.default}"
        for one in columns
        if one.default is not None
    ]
    groups = [
        ", ".join(pairs[start : start + DEFAULTS_TOGETHER_MAX])
        for start in range(0, len(pairs), DEFAULTS_TOGETHER_MAX)
    ]
    return " || ".join(f"jsonb_build_object({group})" for group in groups)
