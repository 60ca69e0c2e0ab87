"""Who hears of a change?

Whether a subscriber may see a row is
asked of the database: the rows of a batch are selected under each subscriber's role and claims.
A batch is delivered whole and in commit order, or not at all.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tintype.auth import Principal
from tintype.database import Pool, named_queries
from tintype.realtime.capture import GRACE_SECONDS, Capture
from tintype.realtime.catalogue import Catalogue, Shape, quote_name
from tintype.realtime.filters import BadFilter, Filter, prepare_filter
from tintype.realtime.frames import Message, quote
from tintype.realtime.interests import (
    EVERYTHING,
    Binding,
    Entry,
    Group,
    Interests,
    Place,
    Subscription,
    Viewer,
)
from tintype.realtime.messages import broadcast_of, is_message
from tintype.realtime.notes import Notes
from tintype.realtime.recent import Recent
from tintype.realtime.rows import Change, Row, row_of_view
from tintype.realtime.slots import Log
from tintype.realtime.topics import Halls

EVENTS = ("*", "INSERT", "UPDATE", "DELETE")
# Joins that ask the database at one time; the connections are shared with everything else.
PREPARING_MAX = 4
# One question to the database is about this many subscribers at most.
VIEWERS_PER_QUESTION_MAX = 500
# After so many rows what was written goes out, and others get their turn.
ROWS_PER_SEND_MAX = 100


class BadBinding(Exception):
    """The binding cannot be served; the message is for the client."""


class Changes:
    """Committed changes, to whoever asked and may see them. Used from one event loop.

    What the database broadcasts is captured as the rest is, and goes to the topics in `halls`.
    """

    def __init__(
        self, database_url: str, pool: Pool, halls: Halls, *, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._pool = pool
        self._halls = halls
        self._catalogue = Catalogue(pool)
        self._interests = Interests()
        self.recent = Recent(pool, self._catalogue)
        self.capture = Capture(
            pool,
            log=Log(database_url, pool, interest=self._interests.of, forget=self._forget),
            notes=Notes(pool),
            deliver=self._deliver,
            lost=self._lost,
            grace_seconds=grace_seconds,
        )
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
        if shape is None:
            raise _unable(schema, table, "it is not in the publication supabase_realtime")
        if not shape.readable(role):
            raise _unable(schema, table, f"the role {role} may not select from it")
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

    def listen(
        self,
        topic: str,
        principal: Principal,
        bindings: list[Binding],
        *,
        push: Callable[[Sequence[Message]], None],
        lost: Callable[[str], None],
    ) -> Subscription:
        """Deliver to a channel from now on; the capture must be held.

        `push` gets messages in their order, `lost` hears that changes may have been missed.
        """
        viewer = self._interests.viewer(principal.role, quote(principal.claims))
        subscription = Subscription(topic, viewer, bindings, push=push, lost=lost)
        self._interests.add(subscription)
        return subscription

    async def repeat(self, subscription: Subscription) -> None:
        """Tell `subscription` of the rows that changed just before it listened, once.

        Of a row that it hears of meanwhile nothing is repeated: what it heard is newer.
        """
        heard: set[tuple[int, tuple[str, ...]]] = set()
        subscription.heard = heard
        try:
            [binding] = subscription.bindings
            rows = await self._rows(await self.recent.changes(binding), [])
            candidates = [
                [e for e in self._interests.entries(row) if e.subscription is subscription]
                for row in rows
            ]
            await self._ask_filters(rows, candidates)
            seers = await self._ask_policies(rows, candidates, [])
        finally:
            subscription.heard = None
        outgoing: dict[Subscription, list[Message]] = {}
        for row, entries, seeing in zip(rows, candidates, seers, strict=True):
            if subscription.viewer in seeing and (row.shape.oid, row.key) not in heard:
                _address(row, entries, outgoing)
        _send(outgoing)

    def remove(self, subscription: Subscription) -> None:
        """Deliver to it no longer; one that is not there is ignored."""
        self._interests.remove(subscription)

    def _lost(self, reason: str) -> None:
        for subscription in list(self._interests.subscriptions):
            subscription.lost(reason)

    def _forget(self, oid: int) -> None:
        self._interests.forget(oid)
        self._catalogue.forget(oid)

    async def _deliver(self, batch: list[Change]) -> None:
        xids = sorted({change.xid for change in batch if change.xid is not None})
        rows = await self._rows(batch, xids)
        candidates = [self._interests.entries(row) for row in rows]
        await self._ask_filters(rows, candidates)
        seers = await self._ask_policies(rows, candidates, xids)
        outgoing: dict[Subscription, list[Message]] = {}
        for number, (row, entries) in enumerate(zip(rows, candidates, strict=True)):
            if is_message((row.shape.schema, row.shape.name)) and row.kind == "INSERT":
                _send(outgoing)
                message, private = broadcast_of(row)
                self._halls.of(private).broadcast(message)
            seeing = seers[number]
            _address(row, [e for e in entries if e.subscription.viewer in seeing], outgoing)
            if number % ROWS_PER_SEND_MAX == ROWS_PER_SEND_MAX - 1:
                _send(outgoing)
                await asyncio.sleep(0)
        _send(outgoing)

    async def _rows(self, batch: list[Change], xids: list[int]) -> list[Row]:
        """Return what tables and views show of the batch, in commit order."""
        tables: list[tuple[Row, list[Shape]]] = []
        for change in batch:
            interest = self._interests.of(change.oid, change.place)
            if interest is None or not interest.fits(change):
                continue
            shape = await self._catalogue.shape(change.oid)
            row = change.row(shape) if shape is not None else None
            if row is not None:
                views = self._interests.views_of(change.oid)
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
                row.fill(
                    {
                        name: "null" if value is None else value
                        for name, value in zip(wanted, values, strict=True)
                        if name in row.missing
                    }
                )

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

    async def _ask_filters(self, rows: list[Row], candidates: list[list[Entry]]) -> None:
        """Take out the entries whose filters Postgres finds unfitting."""
        asked: dict[tuple[Shape, str], tuple[Filter, list[int]]] = {}
        for number, entries in enumerate(candidates):
            for entry in entries:
                wants = entry.binding.filter
                if wants is not None and wants.undecided:
                    numbers = asked.setdefault((rows[number].shape, wants.text), (wants, []))[1]
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
                    if entry.binding.filter is None or entry.binding.filter.text != text
                ]

    async def _ask_policies(
        self, rows: list[Row], candidates: list[list[Entry]], xids: list[int]
    ) -> list[set[Viewer]]:
        """Return who may see each row."""
        seers: list[set[Viewer]] = [set() for _ in rows]
        by_shape: dict[Shape, dict[Viewer, list[int]]] = {}
        for number, entries in enumerate(candidates):
            row = rows[number]
            for viewer in {entry.subscription.viewer for entry in entries}:
                if not set(row.shape.key) <= set(row.shape.readable(viewer.role)):
                    continue
                if row.record is not None:
                    by_viewer = by_shape.setdefault(row.shape, {})
                    by_viewer.setdefault(viewer, []).append(number)
                else:
                    # Nothing is left that a policy could be asked about.
                    seers[number].add(viewer)
        for shape, by_viewer in by_shape.items():
            viewers = list(by_viewer)
            for begin in range(0, len(viewers), VIEWERS_PER_QUESTION_MAX):
                some = {v: by_viewer[v] for v in viewers[begin : begin + VIEWERS_PER_QUESTION_MAX]}
                for number, viewer in await self._ask_policies_of(shape, rows, some, xids):
                    seers[number].add(viewer)
        return seers

    async def _ask_policies_of(
        self,
        shape: Shape,
        rows: list[Row],
        by_viewer: dict[Viewer, list[int]],
        xids: list[int],
    ) -> list[tuple[int, Viewer]]:
        viewers = list(by_viewer)
        sets: dict[tuple[int, ...], int] = {}
        asks = [sets.setdefault(tuple(by_viewer[viewer]), len(sets)) for viewer in viewers]
        answer = await self._pool.fetch(
            named_queries("realtime")["visible_rows"],
            shape.oid,
            list(shape.key),
            quote([[(number, *rows[number].key) for number in some] for some in sets]),
            [viewer.role for viewer in viewers],
            [viewer.claims for viewer in viewers],
            asks,
            xids,
        )
        for number, place in answer:
            if place < 0:
                self._fail(viewers[number])
        return [(place, viewers[number]) for number, place in answer if place >= 0]

    def _fail(self, viewer: Viewer) -> None:
        for subscription in list(self._interests.subscriptions):
            if subscription.viewer is viewer:
                subscription.lost("Changes may have been missed: a policy raised an error.")


def _address(
    row: Row, entries: Iterable[Entry], outgoing: dict[Subscription, list[Message]]
) -> None:
    """Add one message for each channel and each set of columns asked for, with all fitting ids."""
    messages: dict[object, Message] = {}
    several: dict[tuple[Subscription, tuple[str, ...] | None], list[int]] = {}
    for entry in entries:
        if entry.subscription.heard is not None:
            entry.subscription.heard.add((row.shape.oid, row.key))
        group = entry.group
        if group is None:
            key = (entry.subscription, entry.binding.select)
            several.setdefault(key, []).append(entry.binding.id)
            continue
        message = messages.get(group)
        if message is None:
            message = messages[group] = _message(row, group)
        outgoing.setdefault(entry.subscription, []).append(message)
    for (subscription, select), ids in several.items():
        group = Group(subscription.topic, subscription.viewer.role, select, tuple(sorted(ids)))
        same = (group.topic, group.role, group.select, group.ids)
        message = messages.get(same)
        if message is None:
            message = messages[same] = _message(row, group)
        outgoing.setdefault(subscription, []).append(message)


def _send(outgoing: dict[Subscription, list[Message]]) -> None:
    for subscription, messages in outgoing.items():
        subscription.push(messages)
    outgoing.clear()


def _message(row: Row, group: Group) -> Message:
    columns = row.shape.readable(group.role)
    if group.select is not None:
        columns = tuple(name for name in columns if name in group.select)
    payload = f'{{"ids":{quote(group.ids)},"data":{row.data(columns)}}}'
    return Message(group.topic, "postgres_changes", payload)


def _record_json(row: Row) -> str:
    return row.json if row.record is not None else "{}"


def _unable(schema: str, table: str, why: str) -> BadBinding:
    return BadBinding(
        "Unable to subscribe to changes with given parameters. Please check Realtime is enabled"
        f" for the given connect parameters: [schema: {schema}, table: {table}]: {why}"
    )
