"""Which rows does a binding's `filter` want?

`column=op.value`, several joined by commas meaning all of them. Equality and order of plain types
are decided here; everything else is decided by Postgres, which also reads every value first.
"""

import re
from collections.abc import Mapping
from typing import Any

import asyncpg
import msgspec

from tintype.database import Pool
from tintype.realtime.catalogue import Column, Shape, quote_name
from tintype.realtime.limits import (
    FILTER_BYTES_MAX,
    FILTER_CONDITIONS_MAX,
    FILTER_VALUES_MAX,
)

COMPARED = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
MATCHED = {"like": "like", "ilike": "ilike", "match": "~", "imatch": "~*"}
OPERATORS = (*COMPARED, *MATCHED, "in", "is", "isdistinct")
STATES = {
    "null": "null",
    "not_null": "not null",
    "true": "true",
    "false": "false",
    "unknown": "unknown",
}
_CONDITION = re.compile(
    r"""("(?:[^"]|"")+"|[^=,."]+)=(not\.)?({})\.""".format(
        "|".join(sorted(OPERATORS, key=len)[::-1])
    )
)

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


class BadFilter(Exception):
    """The filter cannot be applied to this table; the message says why."""


class Condition(msgspec.Struct, frozen=True):
    """One comparison. `values` are what `to_jsonb` makes of the operands.

    `sql` is the same comparison of `t`, its operands `$2 ->> 0` and so on, and `operands` their
    texts.
    """

    column: str
    operator: str
    negated: bool
    values: tuple[Any, ...]
    sql: str
    operands: tuple[str, ...]
    decided_here: bool
    is_text: bool


class Equality(msgspec.Struct, frozen=True):
    """One plain equality. `text` is how Postgres writes the value, if values are equal by that."""

    column: str
    value: Any
    text: str | None


class Filter(msgspec.Struct, frozen=True):
    """All conditions must hold. `text` is how the client wrote them."""

    text: str
    conditions: tuple[Condition, ...]

    @property
    def undecided(self) -> tuple[Condition, ...]:
        """The conditions that only Postgres can decide."""
        return tuple(one for one in self.conditions if not one.decided_here)

    @property
    def equality(self) -> Equality | None:
        """What the whole filter is, where it is one plain equality."""
        [first, *more] = self.conditions
        if more or first.negated or first.operator != "eq" or not first.decided_here:
            return None
        [value] = first.values
        return Equality(first.column, value, str(value) if first.is_text else None)

    def accepts(self, values: Mapping[str, Any]) -> bool:
        """Whether a row with these decoded values passes the conditions that are decided here.

        A column that is not among the values passes none.
        """
        return all(
            condition.column in values
            and (not condition.decided_here or _holds(condition, values[condition.column]))
            for condition in self.conditions
        )


async def prepare_filter(pool: Pool, shape: Shape, role: str, text: str) -> Filter:
    """Return the filter that `text` is on `shape`; raise `BadFilter` where it is none.

    A column that `role` may not read cannot be filtered by either.
    """
    if len(text) > FILTER_BYTES_MAX:
        raise BadFilter("the filter is too long")
    conditions = []
    for name, negated, operator, operand in _split(text):
        column = shape.columns.get(name)
        if column is None or role not in column.roles:
            raise BadFilter(f"invalid column for filter {name}")
        conditions.append(await _condition(pool, column, operator, negated, operand))
    return Filter(text, tuple(conditions))


def _split(text: str) -> list[tuple[str, bool, str, str]]:
    """Return column, negation, operator and operand of each condition.

    A comma divides only where another condition begins behind it, as values hold commas too.
    """
    found: list[tuple[str, bool, str, str]] = []
    match = _CONDITION.match(text)
    if match is None:
        raise BadFilter("a filter is column=operator.value")
    while match is not None:
        begin, following = match.end(), None
        comma = _comma(text, begin)
        while comma != -1:
            following = _CONDITION.match(text, comma + 1)
            if following is not None:
                break
            comma = _comma(text, comma + 1)
        operand = text[begin : comma if following is not None else len(text)]
        name = match[1][1:-1].replace('""', '"') if match[1][0] == '"' else match[1]
        found.append((name, match[2] is not None, match[3], operand))
        match = following
        if len(found) > FILTER_CONDITIONS_MAX:
            raise BadFilter(f"a filter has at most {FILTER_CONDITIONS_MAX} conditions")
    return found


def _comma(text: str, begin: int) -> int:
    """Return the place of the next comma outside parentheses and quotes, or -1."""
    depth, quoted, place = 0, False, begin
    while place < len(text):
        character = text[place]
        if character == '"':
            quoted = not quoted
        elif quoted:
            place += character == "\\"
        else:
            depth += (character == "(") - (character == ")")
            if character == "," and depth <= 0:
                return place
        place += 1
    return -1


def _list(operand: str) -> list[str]:
    if not (operand.startswith("(") and operand.endswith(")")):
        raise BadFilter("in takes a list in parentheses")
    items, text, place = [], operand[1:-1], 0
    while place <= len(text) and text:
        if text[place : place + 1] == '"':
            match = _QUOTED.match(text, place)
            if match is None:
                raise BadFilter("a quote is not closed")
            items.append(_unquoted(match[0]))
            place = match.end() + 1
        else:
            comma = text.find(",", place)
            end = comma if comma != -1 else len(text)
            items.append(text[place:end])
            place = end + 1
    if len(items) > FILTER_VALUES_MAX:
        raise BadFilter(f"in takes at most {FILTER_VALUES_MAX} values")
    return items


def _unquoted(operand: str) -> str:
    """Return an operand as it is meant; clients quote what holds commas, quotes and the like."""
    match = _QUOTED.fullmatch(operand)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match is not None else operand


async def _condition(
    pool: Pool, column: Column, operator: str, negated: bool, operand: str
) -> Condition:
    operands = _list(operand) if operator == "in" else [_unquoted(operand)]
    operand = operands[0] if operator != "in" else operand
    left = f"t.{quote_name(column.name)}"
    values: list[Any] = []
    if operator == "is":
        state = STATES.get(operand.lower())
        if state is None or ("null" not in state and column.type != "bool"):
            raise BadFilter(f"is takes {', '.join(STATES)}")
        operands, sql = [], f"{left} is {state}"
    elif operator in MATCHED:
        pattern = operand.replace("*", "%") if operator.endswith("like") else operand
        operands, sql = [pattern], f"{left}::text {MATCHED[operator]} ($2::text::jsonb ->> 0)"
        await _ask(pool, f"select 'x' {MATCHED[operator]} $1::text", pattern)
    else:
        cast = f"::{column.sql_type}"
        found = await _ask(
            pool,
            f"select coalesce(jsonb_agg((v.value){cast} order by v.n), '[]')::text"  # noqa: S608
            " from jsonb_array_elements_text($1::text::jsonb) with ordinality as v (value, n)",
            msgspec.json.encode(operands).decode(),
        )
        values = msgspec.json.decode(found)
        places = ", ".join(f"($2::text::jsonb ->> {n}){cast}" for n in range(len(operands)))
        if operator == "in":
            sql = f"{left} in ({places})" if operands else f"{left} is null and false"
        elif operator == "isdistinct":
            sql = f"{left} is distinct from {places}"
        else:
            sql = f"{left} {COMPARED[operator]} {places}"
            # An operator that this type lacks is found out here, not at the first change.
            await _ask(pool, f"select null{cast} {COMPARED[operator]} ($1::text){cast}", operand)
    return Condition(
        column=column.name,
        operator=f"is {STATES[operand.lower()]}" if operator == "is" else operator,
        negated=negated,
        values=tuple(values),
        sql=f"not ({sql})" if negated else sql,
        operands=tuple(operands),
        decided_here=_is_simple(column, operator),
        is_text=column.is_text,
    )


async def _ask(pool: Pool, statement: str, value: str) -> Any:
    try:
        async with pool.acquire() as connection, connection.transaction():
            # In UTC, as the log is read.
            await connection.execute("select set_config('timezone', 'UTC', true)")
            return await connection.fetchval(statement, value)
    except (asyncpg.DataError, asyncpg.SyntaxOrAccessError) as error:
        raise BadFilter(str(error)) from error


def _is_simple(column: Column, operator: str) -> bool:
    if operator in ("lt", "lte", "gt", "gte"):
        return column.is_integer
    return operator == "is" or (column.is_plain and operator not in MATCHED)


def _holds(condition: Condition, value: Any) -> bool:
    operator = condition.operator
    if operator.startswith("is "):
        holds: bool | None = _is(value, operator)
    elif operator == "isdistinct":
        holds = value != condition.values[0]
    elif value is None:
        holds = False if operator == "in" and not condition.values else None
    elif operator == "in":
        holds = value in condition.values
    else:
        holds = _compare(value, operator, condition.values[0])
    # As in SQL, the negation of unknown is unknown.
    return holds is not None and holds != condition.negated


def _is(value: Any, operator: str) -> bool:
    if operator == "is not null":
        return value is not None
    if operator in ("is true", "is false"):
        return value is (operator == "is true")
    return value is None


def _compare(value: Any, operator: str, other: Any) -> bool:
    if operator == "eq":
        return bool(value == other)
    if operator == "neq":
        return bool(value != other)
    if operator == "lt":
        return bool(value < other)
    if operator == "lte":
        return bool(value <= other)
    return bool(value > other) if operator == "gt" else bool(value >= other)
