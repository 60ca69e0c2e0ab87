"""What do clients see of one committed change?

A `Row` is the change as a table or a view shows it. It is written as JSON once for each set of
columns that somebody may read, however many subscribers there are.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from tintype.realtime.catalogue import Shape
from tintype.realtime.frames import quote
from tintype.realtime.limits import LARGE_RECORD_VALUE_BYTES_MAX, RECORD_BYTES_MAX
from tintype.realtime.pgoutput import RowChange, Tuple, Unchanged

KINDS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE"}
TOO_LARGE = '["Error 413: Payload Too Large"]'


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
        record: dict[str, str] | None,
        old: dict[str, str] | None,
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

    @property
    def values(self) -> Mapping[str, Any]:
        """The values that filters look at: of the new row, or of what is told of a deleted one."""
        return self._decoded

    @property
    def json(self) -> str:
        """The record as one JSON object."""
        return _object(self.record or {}, tuple(self.record or {}))

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
        described = ",".join(
            f'{{"name":{quote(name)},"type":{quote(shape.columns[name].type)}}}'
            for name in columns
            if name in shape.columns
        )
        moment = self.committed_at.isoformat(timespec="milliseconds").removesuffix("+00:00")
        rest = "".join(f',"{name}":{text}' for name, text in written.items())
        return (
            f'{{"schema":{quote(shape.schema)},"table":{quote(shape.name)},"type":"{self.kind}",'
            f'"commit_timestamp":"{moment}Z","columns":[{described}]{rest},"errors":{errors}}}'
        )


class _Decoded(Mapping[str, Any]):
    """Values decoded when they are asked for."""

    def __init__(self, texts: dict[str, str]) -> None:
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
    marked = {name for name, is_marked in zip(names, identity, strict=True) if is_marked}
    before = {}
    if change.old is not None:
        # Of the other columns there is nothing but nulls in it.
        texts = _texts(shape, names, change.old)
        before = {name: text for name, text in texts.items() if name in marked}
    record: dict[str, str] | None = None
    missing: tuple[str, ...] = ()
    if change.new is not None:
        record = _texts(shape, names, change.new)
        for name in names:
            if name not in record and name in before:
                record[name] = before[name]
        # Before Postgres 18 the log has no generated columns, and it never has large values that
        # did not change.
        missing = tuple(
            column.name
            for column in shape.columns.values()
            if column.name not in record and (column.name in names or column.is_generated)
        )
    known = _raw(names, change.old) | {
        name: value for name, value in _raw(names, change.new).items() if change.kind != "D"
    }
    if any(name not in known for name in shape.key):
        return None
    old = None
    if kind != "INSERT":
        shown = [name for name in names if name in marked]
        if kind == "DELETE" and shape.row_security:
            shown = list(shape.key)
        source = before or record or {}
        old = {name: source[name] for name in shown if name in source}
    return Row(
        shape,
        kind,
        committed_at,
        record=record,
        old=old,
        key=tuple(known[name] for name in shape.key),
        missing=missing,
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


def _texts(shape: Shape, names: tuple[str, ...], values: Tuple) -> dict[str, str]:
    texts = {}
    for name, value in zip(names, values, strict=True):
        column = shape.columns.get(name)
        if column is not None and not isinstance(value, Unchanged):
            texts[name] = "null" if value is None else column.write(value)
    return texts


def _raw(names: tuple[str, ...], values: Tuple | None) -> dict[str, str]:
    return {
        name: value
        for name, value in zip(names, values or (), strict=False)
        if isinstance(value, str)
    }


def _object(texts: dict[str, str], columns: tuple[str, ...]) -> str:
    return "{" + ",".join(f"{quote(name)}:{texts[name]}" for name in columns if name in texts) + "}"


def _small(texts: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if len(text) <= LARGE_RECORD_VALUE_BYTES_MAX}
