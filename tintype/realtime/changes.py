"""Who hears of a change?

Bindings are found by table and by the value they ask for. Whether a subscriber may see a row is
asked of the database: the rows of a batch are selected under each subscriber's role and claims.
A batch is delivered whole and in commit order, or not at all.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from tintype.database import Pool, named_queries
from tintype.realtime.capture import GRACE_SECONDS, Capture, Change
from tintype.realtime.catalogue import Catalogue, Shape, quote_name
from tintype.realtime.filters import BadFilter, Filter, prepare_filter
from tintype.realtime.frames import Message, quote
from tintype.realtime.rows import Row, row_of_table, row_of_view

EVENTS = ("*", "INSERT", "UPDATE", "DELETE")
EVERYTHING = "*"
# Joins that ask the database at one time; the connections are shared with everything else.
PREPARING_MAX = 4
# One question to the database is about this many subscribers at most.
VIEWERS_PER_QUESTION_MAX = 500

Place: TypeAlias = tuple[str, str]
Viewer: TypeAlias = tuple[str, str]


class BadBinding(Exception):
    """The binding cannot be served; the message is for the client."""


class Binding(msgspec.Struct, frozen=True, eq=False):
    """What one `.on('postgres_changes', …)` asks for. `table` is `*` for all of the schema."""

    id: int
    event: str
    schema: str
    table: str
    select: tuple[str, ...] | None
    filter: Filter | None
    view: Shape | None


class Subscription:
    """What one channel hears of changes. `viewer` is its role and the JSON of its claims."""

    def __init__(
        self,
        topic: str,
        viewer: Viewer,
        bindings: list[Binding],
        *,
        push: Callable[[Message], None],
        lost: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self.viewer = viewer
        self.bindings = bindings
        self.push = push
        self.lost = lost


Entry: TypeAlias = tuple[Subscription, Binding]


class _Shelf:
    """The bindings of one table; those that ask for one value lie under that value."""

    def __init__(self) -> None:
        self.equal: dict[str, dict[Any, set[Entry]]] = {}
        self.rest: set[Entry] = set()

    def entries(self, row: Row) -> Iterator[Entry]:
        yield from self.rest
        for column, by_value in self.equal.items():
            if column in row.values:
                yield from by_value.get(row.values[column], ())

    def add(self, entry: Entry) -> None:
        equality = entry[1].filter.equality if entry[1].filter is not None else None
        if equality is None:
            self.rest.add(entry)
        else:
            column, value = equality
            self.equal.setdefault(column, {}).setdefault(value, set()).add(entry)

    def remove(self, entry: Entry) -> None:
        equality = entry[1].filter.equality if entry[1].filter is not None else None
        if equality is None:
            self.rest.discard(entry)
            return
        column, value = equality
        by_value = self.equal[column]
        by_value[value].discard(entry)
        if not by_value[value]:
            del by_value[value]
        if not by_value:
            del self.equal[column]

    @property
    def is_empty(self) -> bool:
        return not self.rest and not self.equal


class Changes:
    """Committed changes, to whoever asked and may see them. Used from one event loop."""

    def __init__(
        self, database_url: str, pool: Pool, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._pool = pool
        self._catalogue = Catalogue(pool)
        self.capture = Capture(
            database_url,
            pool,
            deliver=self._deliver,
            forget=self._catalogue.forget,
            lost=self._lost,
            grace_seconds=grace_seconds,
        )
        self._shelves: dict[Place, _Shelf] = {}
        self._views: dict[int, dict[int, int]] = {}
        self._subscriptions: set[Subscription] = set()
        self._preparing = asyncio.Semaphore(PREPARING_MAX)

    async def prepare(
        self, role: str, number: int, event: str, place: Place, **options: Any
    ) -> Binding:
        """Return the binding `number` to `place` for `role`; raise `BadBinding` where it is none.

        `options` are `filter` (its text) and `select` (column names). Nothing is heard yet.
        """
        async with self._preparing:
            return await self._prepare(role, number, event, place, **options)

    async def _prepare(
        self, role: str, number: int, event: str, place: Place, **options: Any
    ) -> Binding:
        schema, table = place
        text, select = options.get("filter"), options.get("select")
        if table == EVERYTHING or schema == EVERYTHING:
            if text:
                raise _unable(schema, table, "a filter needs a table")
            chosen = tuple(select) if select else None
            return Binding(number, event, schema, EVERYTHING, chosen, None, None)
        shape = await self._catalogue.find(schema, table)
        if shape is None or not shape.readable(role):
            raise _unable(schema, table, "it is not in the publication supabase_realtime")
        unknown = set(select or ()) - set(shape.readable(role))
        if unknown:
            raise _unable(schema, table, f"invalid column for select {min(unknown)}")
        try:
            prepared = await prepare_filter(self._pool, shape, role, text) if text else None
        except BadFilter as error:
            raise _unable(schema, table, str(error)) from error
        return Binding(
            id=number,
            event=event,
            schema=schema,
            table=table,
            select=tuple(select) if select else None,
            filter=prepared,
            view=shape if shape.base is not None else None,
        )

    def add(self, subscription: Subscription) -> None:
        """Deliver to `subscription` from now on. The capture must be held."""
        self._subscriptions.add(subscription)
        for binding in subscription.bindings:
            place = (binding.schema, binding.table)
            self._shelves.setdefault(place, _Shelf()).add((subscription, binding))
            if binding.view is not None and binding.view.base is not None:
                views = self._views.setdefault(binding.view.base, {})
                views[binding.view.oid] = views.get(binding.view.oid, 0) + 1

    def remove(self, subscription: Subscription) -> None:
        """Deliver to it no longer; one that is not there is ignored."""
        if subscription not in self._subscriptions:
            return
        self._subscriptions.discard(subscription)
        for binding in subscription.bindings:
            place = (binding.schema, binding.table)
            shelf = self._shelves[place]
            shelf.remove((subscription, binding))
            if shelf.is_empty:
                del self._shelves[place]
            if binding.view is not None and binding.view.base is not None:
                views = self._views[binding.view.base]
                views[binding.view.oid] -= 1
                if not views[binding.view.oid]:
                    del views[binding.view.oid]

    def _lost(self, reason: str) -> None:
        for subscription in list(self._subscriptions):
            subscription.lost(reason)

    async def _deliver(self, batch: list[Change]) -> None:
        xids = sorted({change.begin.xid for change in batch})
        rows = await self._rows(batch, xids)
        candidates = [self._candidates(row) for row in rows]
        await self._ask_filters(rows, candidates)
        seen = await self._ask_policies(rows, candidates, xids)
        for number, (row, entries) in enumerate(zip(rows, candidates, strict=True)):
            _push(row, [entry for entry in entries if (number, entry[0].viewer) in seen])
            if number % 100 == 99:
                await asyncio.sleep(0)

    async def _rows(self, batch: list[Change], xids: list[int]) -> list[Row]:
        """Return what tables and views show of the batch, in commit order."""
        tables: list[tuple[Row, list[Shape]]] = []
        for change in batch:
            relation = change.relation
            views = self._views.get(relation.oid, {})
            if not views and not self._is_wanted((relation.schema, relation.name)):
                continue
            shape = await self._catalogue.shape(relation.oid)
            if shape is None:
                continue
            row = row_of_table(
                shape, relation.columns, relation.identity, change.row, change.begin.committed_at
            )
            if row is not None:
                found = [await self._catalogue.shape(oid) for oid in views]
                tables.append((row, [view for view in found if view is not None]))
        await self._fill([row for row, _ in tables], xids)
        shaped = await self._shape(tables)
        rows: list[Row] = []
        for number, (row, views_of_row) in enumerate(tables):
            rows.append(row)
            for view in views_of_row:
                text = shaped.get((view.oid, number))
                if row.record is None or text is not None:
                    rows.append(row_of_view(view, row, text))
        return rows

    async def _fill(self, rows: list[Row], xids: list[int]) -> None:
        """Read the values that the log did not bring, as they are now."""
        by_shape: dict[Shape, list[Row]] = {}
        for row in rows:
            if row.missing and row.record is not None:
                by_shape.setdefault(row.shape, []).append(row)
        if by_shape:
            await self._pool.execute(named_queries("realtime")["await_commits"], xids)
        for shape, lacking in by_shape.items():
            wanted = sorted({name for row in lacking for name in row.missing})
            match = " and ".join(
                f"t.{quote_name(name)} = (k.value ->> {n})::{shape.columns[name].sql_type}"
                for n, name in enumerate(shape.key)
            )
            columns = ", ".join(f"to_json(t.{quote_name(name)})::text" for name in wanted)
            found = await self._pool.fetch(
                f"select k.n, {columns}"  # noqa: S608
                " from jsonb_array_elements($1::text::jsonb) with ordinality as k (value, n)"
                f" inner join {shape.quoted} as t on {match}",
                quote([row.key for row in lacking]),
            )
            for place, *values in found:
                row = lacking[place - 1]
                for name, value in zip(wanted, values, strict=True):
                    if name in row.missing and row.record is not None:
                        row.record[name] = "null" if value is None else value

    async def _shape(self, tables: list[tuple[Row, list[Shape]]]) -> dict[tuple[int, int], str]:
        """Return what each view shows of each row, by the view's oid and the row's number."""
        by_view: dict[Shape, list[int]] = {}
        for number, (row, views) in enumerate(tables):
            if row.record is not None:
                for view in views:
                    by_view.setdefault(view, []).append(number)
        shaped: dict[tuple[int, int], str] = {}
        for view, numbers in by_view.items():
            records = ",".join(tables[number][0].json for number in numbers)
            for place, text in await self._pool.fetch(
                named_queries("realtime")["shape_rows"], view.oid, view.base, f"[{records}]"
            ):
                shaped[view.oid, numbers[place]] = text
        return shaped

    def _is_wanted(self, place: Place) -> bool:
        return any(shelf in self._shelves for shelf in _places(place))

    def _candidates(self, row: Row) -> list[Entry]:
        """Return the entries whose event and filter fit, as far as that is decided here."""
        places = _places((row.shape.schema, row.shape.name))
        if row.shape.base is not None:
            places = places[:1]
        return [
            entry
            for place in places
            if place in self._shelves
            for entry in self._shelves[place].entries(row)
            if entry[1].event in (EVERYTHING, row.kind)
            and (entry[1].filter is None or entry[1].filter.accepts(row.values))
        ]

    async def _ask_filters(self, rows: list[Row], candidates: list[list[Entry]]) -> None:
        """Take out the entries whose filters Postgres finds unfitting."""
        asked: dict[tuple[Shape, str], tuple[Filter, list[int]]] = {}
        for number, entries in enumerate(candidates):
            for _, binding in entries:
                if binding.filter is not None and binding.filter.undecided:
                    key = (rows[number].shape, binding.filter.text)
                    numbers = asked.setdefault(key, (binding.filter, []))[1]
                    if not numbers or numbers[-1] != number:
                        numbers.append(number)
        for (shape, text), (wanted, numbers) in asked.items():
            fitting = set(numbers)
            records = ",".join(_record_json(rows[number]) for number in numbers)
            for condition in wanted.undecided:
                found = await self._pool.fetch(
                    "select e.n from json_array_elements($1::text::json)"  # noqa: S608
                    " with ordinality as e (value, n),"
                    f" lateral json_populate_record(null::{shape.quoted}, e.value) as t"
                    f" where ($2::text is not null) and ({condition.sql})",
                    f"[{records}]",
                    quote(condition.operands),
                )
                fitting &= {numbers[row["n"] - 1] for row in found}
            for number in set(numbers) - fitting:
                candidates[number] = [
                    entry
                    for entry in candidates[number]
                    if entry[1].filter is None or entry[1].filter.text != text
                ]

    async def _ask_policies(
        self, rows: list[Row], candidates: list[list[Entry]], xids: list[int]
    ) -> set[tuple[int, Viewer]]:
        """Return which viewers may see which rows, by the rows' numbers."""
        seen: set[tuple[int, Viewer]] = set()
        by_shape: dict[Shape, dict[Viewer, list[int]]] = {}
        for number, entries in enumerate(candidates):
            row = rows[number]
            for viewer in {subscription.viewer for subscription, _ in entries}:
                if row.record is not None:
                    by_viewer = by_shape.setdefault(row.shape, {})
                    by_viewer.setdefault(viewer, []).append(number)
                elif set(row.shape.key) <= set(row.shape.readable(viewer[0])):
                    # Nothing is left that a policy could be asked about.
                    seen.add((number, viewer))
        for shape, by_viewer in by_shape.items():
            viewers = list(by_viewer)
            for begin in range(0, len(viewers), VIEWERS_PER_QUESTION_MAX):
                some = {v: by_viewer[v] for v in viewers[begin : begin + VIEWERS_PER_QUESTION_MAX]}
                seen |= await self._ask_policies_of(shape, rows, some, xids)
        return seen

    async def _ask_policies_of(
        self,
        shape: Shape,
        rows: list[Row],
        by_viewer: dict[Viewer, list[int]],
        xids: list[int],
    ) -> set[tuple[int, Viewer]]:
        numbers = sorted({number for some in by_viewer.values() for number in some})
        places = {number: place for place, number in enumerate(numbers)}
        viewers = list(by_viewer)
        asked = [
            {"role": role, "claims": claims, "rows": [places[n] for n in by_viewer[role, claims]]}
            for role, claims in viewers
        ]
        answer = await self._pool.fetch(
            named_queries("realtime")["visible_rows"],
            shape.oid,
            list(shape.key),
            quote([rows[number].key for number in numbers]),
            quote(asked),
            xids,
        )
        seen = set()
        for viewer, place in answer:
            if place >= 0:
                seen.add((numbers[place], viewers[viewer]))
            else:
                self._fail(viewers[viewer])
        return seen

    def _fail(self, viewer: Viewer) -> None:
        for subscription in list(self._subscriptions):
            if subscription.viewer == viewer:
                subscription.lost("Changes may have been missed: a policy raised an error.")


def _push(row: Row, entries: Iterable[Entry]) -> None:
    """Send one message to each channel for each set of columns asked for, with all fitting ids."""
    grouped: dict[tuple[Subscription, tuple[str, ...] | None], list[int]] = {}
    for subscription, binding in entries:
        grouped.setdefault((subscription, binding.select), []).append(binding.id)
    messages: dict[tuple[str, tuple[str, ...], tuple[int, ...]], Message] = {}
    readable: dict[str, tuple[str, ...]] = {}
    for (subscription, select), ids in grouped.items():
        role = subscription.viewer[0]
        if role not in readable:
            readable[role] = row.shape.readable(role)
        columns = readable[role]
        if select is not None:
            columns = tuple(name for name in columns if name in select)
        key = (subscription.topic, columns, tuple(sorted(ids)))
        message = messages.get(key)
        if message is None:
            payload = f'{{"ids":{quote(key[2])},"data":{row.data(columns)}}}'
            message = messages[key] = Message(subscription.topic, "postgres_changes", payload)
        subscription.push(message)


def _places(place: Place) -> tuple[Place, ...]:
    return (place, (place[0], EVERYTHING), (EVERYTHING, EVERYTHING))


def _record_json(row: Row) -> str:
    return row.json if row.record is not None else "{}"


def _unable(schema: str, table: str, why: str) -> BadBinding:
    return BadBinding(
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled"
        f" for the given connect parameters: [schema: {schema}, table: {table}]: {why}"
    )
