"""What do clients see of one committed change?

A `Row` is the change as a table or a view shows it. It is written as JSON once for each set of
columns that somebody may read, however many subscribers there are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import compress
from typing import Any, Protocol

import msgspec

from tintype.realtime.catalogue import Column, Shape
from tintype.realtime.frames import quote
from tintype.realtime.limits import LARGE_RECORD_VALUE_BYTES_MAX, RECORD_BYTES_MAX
from tintype.realtime.pgoutput import RowChange, Unchanged, Value

KINDS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}
DESCRIPTIONS_MAX = 1_000
TOO_LARGE = '["Error 413: Payload Too Large"]'


class Change(Protocol):
    """One committed change, as its source has it.

    `place` is the table's schema and name. `xid` is the transaction where other sessions may not
    see it yet. `text` is a column's value as Postgres writes it, of the new row or of what
    identifies a deleted one; `UNCHANGED` where it must be looked for elsewhere. `row` is what was
    changed, or None where that has no primary key.
    """

    @property
    def oid(self) -> int: ...

    @property
    def place(self) -> tuple[str, str]: ...

    @property
    def xid(self) -> int | None: ...

    def text(self, column: str) -> Value: ...

    def row(self, shape: Shape) -> "Row | None": ...


class Row:
    """A change of one row. `record` and `old` hold each column's value as JSON text.

    `key` holds the primary key's values as Postgres writes them, `missing` the columns whose
    value the log did not bring.
    """

    __slots__ = (
        "_data",
        "_decoded",
        "committed_at",
        "key",
        "kind",
        "missing",
        "old",
        "record",
        "shape",
    )

    def __init__(
        self,
        shape: Shape,
        kind: str,
        committed_at: datetime,
        *,
        record: Mapping[str, str] | None,
        old: Mapping[str, str] | None,
        key: tuple[str, ...],
        missing: tuple[str, ...] = (),
    ) -> None:
        self.shape = shape
        self.kind = kind
        self.committed_at = committed_at
        self.record = record
        self.old = old
        self.key = key
        self.missing = missing
        self._data: dict[tuple[str, ...], str] = {}
        self._decoded = _Decoded((record if record is not None else old) or {})

    def fill(self, texts: Mapping[str, str]) -> None:
        """Add values that were missing to the record."""
        self.record = {**(self.record or {}), **texts}
        self._decoded = _Decoded(self.record)

    @property
    def values(self) -> Mapping[str, Any]:
        """The values that filters look at: of the new row, or of what is told of a deleted one."""
        return self._decoded

    @property
    def json(self) -> str:
        """The record as one JSON object."""
        return _object(self.record or {}, self.record or {})

    def data(self, columns: tuple[str, ...]) -> str:
        """Return the `data` of a message with these columns."""
        written = self._data.get(columns)
        if written is None:
            written = self._data[columns] = self._write(columns)
        return written

    def _write(self, columns: tuple[str, ...]) -> str:
        shape, errors = self.shape, "null"
        sides = {"record": self.record, "old_record": self.old}
        written = {name: _object(side, columns) for name, side in sides.items() if side is not None}
        if sum(map(len, written.values())) > RECORD_BYTES_MAX:
            errors = TOO_LARGE
            written = {
                name: _object(_small(side), columns)
                for name, side in sides.items()
                if side is not None
            }
        moment = self.committed_at.isoformat(timespec="milliseconds").removesuffix("+00:00")
        rest = "".join(f',"{name}":{text}' for name, text in written.items())
        return (
            f'{{{_named(shape)},"type":"{self.kind}","commit_timestamp":"{moment}Z",'
            f'"columns":{_described(shape, columns)}{rest},"errors":{errors}}}'
        )


class _Written(Mapping[str, str]):
    """Values written as JSON when they are asked for; most never are."""

    __slots__ = ("_columns", "_raw")

    def __init__(self, columns: Mapping[str, Column], raw: Mapping[str, str | None]) -> None:
        self._columns = columns
        self._raw = raw

    def fields(self, columns: Iterable[str]) -> list[str]:
        """Return those of the columns that are here, as they stand in an object."""
        return [f"{_quoted(name)}:{self[name]}" for name in columns if name in self._raw]

    def __getitem__(self, name: str) -> str:
        value = self._raw[name]
        return "null" if value is None else self._columns[name].write(value)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


class _Decoded(Mapping[str, Any]):
    """Values decoded when they are asked for."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = msgspec.json.decode(self._texts[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def row_of_table(
    shape: Shape,
    names: tuple[str, ...],
    identity: tuple[bool, ...],
    change: RowChange,
    committed_at: datetime,
) -> Row | None:
    """Return the row as the log has it, or None where it has no primary key.

    A deleted row keeps its primary key alone where row-level security is on: whose it was cannot
    be asked any more.
    """
    if not shape.key:
        return None
    kind = KINDS[change.kind]
    marked = tuple(compress(names, identity))
    before: dict[str, str | None] = {}
    if change.old is not None:
        # Of the other columns there is nothing but nulls in it.
        old = _known(shape, names, change.old)
        before = {name: old[name] for name in marked if name in old}
    after: dict[str, str | None] | None = None
    missing: tuple[str, ...] = ()
    if change.new is not None:
        # Large values that did not change are in the old row, if anywhere.
        after = before | _known(shape, names, change.new)
        missing = _missing(shape, names, after)
    source = before if after is None else after
    key = tuple(source.get(name) for name in shape.key)
    if None in key:
        return None
    shown = None
    if kind != "INSERT":
        columns = shape.key if kind == "DELETE" and shape.row_security else marked
        known = before or source
        shown = _Written(shape.columns, {name: known[name] for name in columns if name in known})
    return Row(
        shape,
        kind,
        committed_at,
        record=_Written(shape.columns, after) if after is not None else None,
        old=shown,
        key=tuple(value for value in key if value is not None),
        missing=missing,
    )


def row_of_note(
    shape: Shape, kind: str, changed_at: datetime, *, record: str | None, old: str | None
) -> Row | None:
    """Return the row as a trigger noted it (`record` and `old` are JSON objects), or None.

    The note has all values but those that Postgres computes when they are read. Of a deleted row
    no more is shown than `row_of_table` would.
    """
    after, before = _objects(shape, record), _objects(shape, old) or {}
    source = before if after is None else after
    key = tuple(_plain(source.get(name)) for name in shape.key)
    if not key or None in key:
        return None
    shown = shape.key if kind == "D" and shape.row_security else before
    return Row(
        shape,
        KINDS[kind],
        changed_at,
        record=after,
        old=None if kind == "I" else {name: before[name] for name in shown if name in before},
        key=tuple(value for value in key if value is not None),
        missing=tuple(column.name for column in shape.columns.values() if column.is_virtual),
    )


def row_of_view(view: Shape, row: Row, shaped: str | None) -> Row:
    """Return the row as a view shows it; `shaped` is the view's new row, None for a deletion."""
    record = None
    if shaped is not None:
        decoded = msgspec.json.decode(shaped, type=dict[str, msgspec.Raw])
        record = {name: bytes(value).decode() for name, value in decoded.items()}
    old = None
    if row.old is not None:
        old = {name: row.old[name] for name in view.key if name in row.old}
    return Row(view, row.kind, row.committed_at, record=record, old=old, key=row.key)


def _objects(shape: Shape, text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    return {
        name: bytes(value).decode()
        for name, value in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()
        if name in shape.columns and not shape.columns[name].is_virtual
    }


def _plain(text: str | None) -> str | None:
    """Return a value's text as Postgres reads it, from JSON."""
    if text is None or text == "null":
        return None
    return str(msgspec.json.decode(text)) if text.startswith('"') else text


def _known(shape: Shape, names: tuple[str, ...], values: Sequence[Value]) -> dict[str, str | None]:
    """Return the values that are there, of the columns that there are now."""
    return {
        name: value
        for name, value in zip(names, values, strict=True)
        if not isinstance(value, Unchanged) and name in shape.columns
    }


def _missing(
    shape: Shape, names: tuple[str, ...], record: Mapping[str, str | None]
) -> tuple[str, ...]:
    """Return what the table has and the log does not.

    Before Postgres 18 that is generated columns, and always large values that did not change.
    """
    if len(record) == len(shape.columns):
        return ()
    return tuple(
        column.name
        for column in shape.columns.values()
        if column.name not in record and (column.name in names or column.is_generated)
    )


@lru_cache(maxsize=DESCRIPTIONS_MAX)
def _named(shape: Shape) -> str:
    return f'"schema":{quote(shape.schema)},"table":{quote(shape.name)}'


@lru_cache(maxsize=DESCRIPTIONS_MAX)
def _described(shape: Shape, columns: tuple[str, ...]) -> str:
    described = ",".join(
        f'{{"name":{quote(name)},"type":{quote(shape.columns[name].type)}}}'
        for name in columns
        if name in shape.columns
    )
    return f"[{described}]"


_quoted = lru_cache(maxsize=DESCRIPTIONS_MAX)(quote)


def _object(texts: Mapping[str, str], columns: Iterable[str]) -> str:
    if isinstance(texts, _Written):
        fields = texts.fields(columns)
    else:
        fields = [f"{_quoted(name)}:{texts[name]}" for name in columns if name in texts]
    return "{" + ",".join(fields) + "}"


def _small(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if len(text) <= LARGE_RECORD_VALUE_BYTES_MAX}
