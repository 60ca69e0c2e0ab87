"""Who asks for which changes?

Bindings are kept by table, and by the value that they ask for where that is one. So a change finds
those whom it concerns, however many others there are, and one that concerns nobody is known as such
before it is read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

import msgspec

from tintype.realtime.catalogue import Shape
from tintype.realtime.filters import Equality, Filter
from tintype.realtime.frames import Message
from tintype.realtime.messages import is_message
from tintype.realtime.pgoutput import UNCHANGED
from tintype.realtime.rows import Change, Row

EVERYTHING = "*"

Place: TypeAlias = tuple[str, str]


class Binding(msgspec.Struct, frozen=True, eq=False):
    """What one `.on('postgres_changes', …)` asks for. `table` is `*` for all of the schema."""

    id: int
    event: str
    schema: str
    table: str
    select: tuple[str, ...] | None
    filter: Filter | None
    view: Shape | None

    @property
    def equality(self) -> Equality | None:
        """The one value that it asks for, if it does."""
        return self.filter.equality if self.filter is not None else None


class Viewer:
    """A role and the JSON of its claims: one object for all who share them."""

    __slots__ = ("__weakref__", "claims", "role")

    def __init__(self, role: str, claims: str) -> None:
        self.role = role
        self.claims = claims


class Group:
    """Those who hear of a change by the same message: one object for all of them."""

    __slots__ = ("__weakref__", "ids", "role", "select", "topic")

    def __init__(
        self, topic: str, role: str, select: tuple[str, ...] | None, ids: tuple[int, ...]
    ) -> None:
        self.topic = topic
        self.role = role
        self.select = select
        self.ids = ids


class Subscription:
    """What one channel hears of changes."""

    def __init__(
        self,
        topic: str,
        viewer: Viewer,
        bindings: list[Binding],
        *,
        push: Callable[[Sequence[Message]], None],
        lost: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self.viewer = viewer
        self.bindings = bindings
        self.push = push
        self.lost = lost
        # The rows that it heard of, by the relation and the key, while they are kept in mind.
        self.heard: set[tuple[int, tuple[str, ...]]] | None = None


class Entry:
    """A binding of a subscription. `group` is given where it is the only one."""

    __slots__ = ("binding", "group", "subscription")

    def __init__(self, subscription: Subscription, binding: Binding, group: Group | None) -> None:
        self.subscription = subscription
        self.binding = binding
        self.group = group


class Interest:
    """What is asked of one table. `values` are texts by column; None: everything is of interest."""

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[tuple[str, Mapping[str, int]]] | None) -> None:
        self._values = values

    def fits(self, change: Change) -> bool:
        """Whether anybody may want the change; only what nobody wants is refused."""
        if self._values is None:
            return True
        for column, wanted in self._values:
            text = change.text(column)
            if text is UNCHANGED or text in wanted:
                return True
        return False


Asked: TypeAlias = Callable[[int, Place], Interest | None]


class _Shelf:
    """The bindings of one table; those that ask for one value lie under that value."""

    def __init__(self) -> None:
        self.equal: dict[str, dict[Any, dict[Entry, None]]] = {}
        self.rest: dict[Entry, None] = {}
        # The values as Postgres writes them, and how many bindings ask for values without a text.
        self.texts: dict[str, dict[str, int]] = {}
        self.textless = 0

    def entries(self, row: Row) -> Iterator[Entry]:
        yield from self.rest
        for column, by_value in self.equal.items():
            if column in row.values:
                yield from by_value.get(row.values[column], ())

    def add(self, entry: Entry) -> None:
        equality = entry.binding.equality
        if equality is None:
            self.rest[entry] = None
            return
        by_value = self.equal.setdefault(equality.column, {})
        by_value.setdefault(equality.value, {})[entry] = None
        if equality.text is None:
            self.textless += 1
        else:
            texts = self.texts.setdefault(equality.column, {})
            texts[equality.text] = texts.get(equality.text, 0) + 1

    def remove(self, entry: Entry) -> None:
        equality = entry.binding.equality
        if equality is None:
            del self.rest[entry]
            return
        by_value = self.equal[equality.column]
        del by_value[equality.value][entry]
        _drop_if_empty(by_value, equality.value)
        _drop_if_empty(self.equal, equality.column)
        if equality.text is None:
            self.textless -= 1
        else:
            texts = self.texts[equality.column]
            texts[equality.text] -= 1
            _drop_if_empty(texts, equality.text)
            _drop_if_empty(self.texts, equality.column)

    @property
    def is_empty(self) -> bool:
        return not self.rest and not self.equal


class Interests:
    """All subscriptions. Used from one event loop."""

    def __init__(self) -> None:
        self.subscriptions: dict[Subscription, list[Entry]] = {}
        self._shelves: dict[Place, _Shelf] = {}
        self._views: dict[int, dict[int, tuple[Shape, int]]] = {}
        self._known: dict[int, Interest | None] = {}
        self._viewers: WeakValueDictionary[tuple[str, str], Viewer] = WeakValueDictionary()
        self._groups: WeakValueDictionary[tuple[Any, ...], Group] = WeakValueDictionary()

    def viewer(self, role: str, claims: str) -> Viewer:
        """Return the one object for this role and these claims."""
        viewer = self._viewers.get((role, claims))
        if viewer is None:
            viewer = self._viewers[role, claims] = Viewer(role, claims)
        return viewer

    def add(self, subscription: Subscription) -> None:
        """Find `subscription` from now on."""
        self._known.clear()
        group = None
        if len(subscription.bindings) == 1:
            [only] = subscription.bindings
            group = self._group(
                subscription.topic, subscription.viewer.role, only.select, (only.id,)
            )
        entries = [Entry(subscription, one, group) for one in subscription.bindings]
        self.subscriptions[subscription] = entries
        for entry in entries:
            binding = entry.binding
            self._shelves.setdefault((binding.schema, binding.table), _Shelf()).add(entry)
            if binding.view is not None and binding.view.base is not None:
                views = self._views.setdefault(binding.view.base, {})
                _, count = views.get(binding.view.oid, (binding.view, 0))
                views[binding.view.oid] = binding.view, count + 1

    def remove(self, subscription: Subscription) -> None:
        """Find it no longer; one that is not there is ignored."""
        self._known.clear()
        for entry in self.subscriptions.pop(subscription, ()):
            binding = entry.binding
            place = (binding.schema, binding.table)
            self._shelves[place].remove(entry)
            if self._shelves[place].is_empty:
                del self._shelves[place]
            if binding.view is not None and binding.view.base is not None:
                views = self._views[binding.view.base]
                view, count = views.pop(binding.view.oid)
                if count > 1:
                    views[binding.view.oid] = view, count - 1
                _drop_if_empty(self._views, binding.view.base)

    def forget(self, oid: int) -> None:
        """Look anew for who asks for a table, which may have another name."""
        self._known.pop(oid, None)

    def views_of(self, oid: int) -> Iterable[int]:
        """Return the views of a table that somebody asks for."""
        return tuple(self._views.get(oid, ()))

    def of(self, oid: int, place: Place) -> Interest | None:
        """Return what is asked of a table, or None where that is nothing."""
        if oid not in self._known:
            self._known[oid] = self._look(oid, place)
        return self._known[oid]

    def entries(self, row: Row) -> list[Entry]:
        """Return the entries whose event and filter fit, as far as that is decided here."""
        places = _places((row.shape.schema, row.shape.name))
        if row.shape.base is not None:
            places = places[:1]
        return [
            entry
            for place in places
            if place in self._shelves
            for entry in self._shelves[place].entries(row)
            if entry.binding.event in (EVERYTHING, row.kind)
            and (entry.binding.filter is None or entry.binding.filter.accepts(row.values))
        ]

    def _group(self, *key: Any) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(*key)
        return group

    def _look(self, oid: int, place: Place) -> Interest | None:
        shelves = [self._shelves[one] for one in _places(place) if one in self._shelves]
        if is_message(place) or any(shelf.rest or shelf.textless for shelf in shelves):
            return Interest(None)
        values = [item for shelf in shelves for item in shelf.texts.items()]
        for view, _ in self._views.get(oid, {}).values():
            shelf = self._shelves[view.schema, view.name]
            # Of a view's columns only the key is surely the table's.
            if shelf.rest or shelf.textless or not set(shelf.texts) <= set(view.key):
                return Interest(None)
            values += shelf.texts.items()
        return Interest(values) if values else None


def _places(place: Place) -> tuple[Place, ...]:
    return (place, (place[0], EVERYTHING), (EVERYTHING, EVERYTHING))


def _drop_if_empty(mapping: dict[Any, Any], key: Any) -> None:
    if not mapping[key]:
        del mapping[key]
