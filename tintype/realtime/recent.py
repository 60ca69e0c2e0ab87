"""What has changed just before somebody began to listen?

`.stream()` of supabase_flutter selects while its socket is still being opened, and does not select
again when it is: a change in between would be neither in the rows nor among the changes. So rows
that changed within the last `RECENT_SECONDS` are told once more to whoever joins as it does.
"""

import asyncio
import re
from collections import deque

import asyncpg
import msgspec

from tintype import clock
from tintype.database import Pool, is_passing
from tintype.realtime.catalogue import Catalogue, Shape, quote_name
from tintype.realtime.filters import Condition
from tintype.realtime.frames import quote
from tintype.realtime.interests import EVERYTHING, Binding
from tintype.realtime.notes import NotedChange
from tintype.realtime.rows import Change

RECENT_SECONDS = 15
SAMPLE_SECONDS = 1
# What a look at rows that no index leads to may take; then nothing is told.
LOOK_MILLISECONDS_MAX = 250
ROWS_MAX = 100


def is_stream(topic: str, bindings: list[Binding]) -> bool:
    """Whether a channel is one that `.stream()` makes: `schema:table:number`, all events."""
    if len(bindings) != 1:
        return False
    [one] = bindings
    name = re.escape(f"{one.schema}:{one.table}")
    return one.event == EVERYTHING and re.fullmatch(rf"{name}:\d+", topic) is not None


class Recent:
    """The rows that changed lately. Used from one event loop."""

    def __init__(self, pool: Pool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._samples: deque[tuple[float, str]] = deque()

    async def watch(self) -> None:
        """Keep in mind which transactions are recent; runs until it is cancelled."""
        while True:
            try:
                xid = await self._pool.fetchval(
                    "select pg_snapshot_xmin(pg_current_snapshot())::text"
                )
            except Exception as error:
                if not is_passing(error) and not isinstance(error, asyncpg.PostgresError):
                    raise
            else:
                now = clock.monotonic_seconds()
                self._samples.append((now, xid))
                while self._samples[0][0] < now - RECENT_SECONDS:
                    self._samples.popleft()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def changes(self, binding: Binding) -> list[Change]:
        """Return the rows that a binding with an equality asks for, as they are now; at most
        `ROWS_MAX`, and none where they are not found quickly.
        """
        table = await self._catalogue.find(binding.schema, binding.table)
        if table is not None and table.base is not None:
            table = await self._catalogue.shape(table.base)
        condition = _equality(table, binding) if table is not None else None
        if table is None or condition is None or not self._samples:
            return []
        column = table.columns[condition.column]
        statement = (
            f"select to_json(t)::text from {table.quoted} as t"  # noqa: S608
            f" where t.{quote_name(column.name)} = ($1::text)::{column.sql_type}"
            f" and age(t.xmin) <= age(($2::text::xid8)::xid) limit {ROWS_MAX}"
        )
        try:
            async with self._pool.acquire() as connection, connection.transaction(readonly=True):
                await connection.execute(
                    "select set_config('timezone', 'UTC', true),"
                    f" set_config('statement_timeout', '{LOOK_MILLISECONDS_MAX}', true)"
                )
                found = await connection.fetch(
                    statement, condition.operands[0], self._samples[0][1]
                )
        except asyncpg.PostgresError:
            return []
        now = clock.now()
        return [
            NotedChange(table.oid, (table.schema, table.name), "U", text, _key(table, text), now)
            for (text,) in found
        ]


def _equality(table: Shape, binding: Binding) -> Condition | None:
    """Return a condition by which the rows can be looked for in the table."""
    for condition in binding.filter.conditions if binding.filter is not None else ():
        if (
            condition.operator == "eq"
            and condition.decided_here
            and not condition.negated
            and condition.column in table.columns
        ):
            return condition
    return None


def _key(table: Shape, record: str) -> str:
    values = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    return quote({name: values[name] for name in table.key})
