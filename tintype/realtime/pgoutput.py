"""What does a message of the logical replication stream say?

Version 1 of pgoutput, text values: postgresql.org/docs/current/protocol-logicalrep-message-formats.
Only committed transactions arrive, each in one piece, in the order of their commits.
"""

import struct
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class Unchanged:
    """A large value that the transaction did not touch and that the log therefore lacks."""


UNCHANGED = Unchanged()
Value: TypeAlias = str | Unchanged | None
Tuple: TypeAlias = list[Value]


class Begin(msgspec.Struct, frozen=True):
    """A transaction begins; `commit_lsn` orders it among all others, `xid` has 32 bits."""

    commit_lsn: int
    committed_at: datetime
    xid: int


class Commit(msgspec.Struct, frozen=True):
    """A transaction is over; `end_lsn` is where the log goes on."""

    end_lsn: int


class Relation(msgspec.Struct, frozen=True):
    """A table as it is from here on. `identity` marks the columns of the replica identity."""

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    identity: tuple[bool, ...]

    @property
    def place(self) -> tuple[str, str]:
        """The schema and the name."""
        return self.schema, self.name


class RowChange(msgspec.Struct, frozen=True):
    """A row was inserted, updated or deleted (`kind` is I, U or D)."""

    kind: str
    oid: int
    old: Tuple | None
    new: Tuple | None


PgMessage: TypeAlias = Begin | Commit | Relation

# The first bytes of the messages that `read_row_change` reads.
ROW_KINDS = frozenset(b"IUD")


def read(data: bytes) -> PgMessage | None:
    """Return a message that is no row's, or None for a kind that nobody here needs."""
    kind = data[:1]
    if kind == b"B":
        lsn, microseconds, xid = struct.unpack_from("!QqI", data, 1)
        return Begin(lsn, EPOCH + timedelta(microseconds=microseconds), xid)
    if kind == b"C":
        return Commit(struct.unpack_from("!Q", data, 10)[0])
    if kind == b"R":
        return _relation(data)
    return None


def _relation(data: bytes) -> Relation:
    (oid,) = struct.unpack_from("!I", data, 1)
    schema, place = _string(data, 5)
    name, place = _string(data, place)
    (count,) = struct.unpack_from("!H", data, place + 1)
    place += 3
    columns, identity = [], []
    for _ in range(count):
        identity.append(bool(data[place] & 1))
        column, place = _string(data, place + 1)
        columns.append(column)
        place += 8
    return Relation(oid, schema, name, tuple(columns), tuple(identity))


def read_row_change(data: bytes) -> RowChange:
    """Return what happened to a row; bytes 1 to 4 of the message are the table's oid."""
    (oid,) = struct.unpack_from("!I", data, 1)
    place, old, new = 5, None, None
    while place < len(data):
        marker = data[place : place + 1]
        values, place = _tuple(data, place + 1)
        if marker == b"N":
            new = values
        else:  # K: the columns of the identity; O: the whole row before
            old = values
    return RowChange(chr(data[0]), oid, old, new)


def read_value(data: bytes, number: int) -> Value:
    """Return one column's value of the new row, or of the old one of a deletion; reads no other."""
    place = 6
    if data[0] == 0x55 and data[5] != 0x4E:  # U that does not begin with N
        place = _seek(data, place, int.from_bytes(data[place : place + 2], "big")) + 1
    place = _seek(data, place, number)
    kind = data[place]
    if kind != 0x74:  # t
        return UNCHANGED if kind == 0x75 else None
    length = int.from_bytes(data[place + 1 : place + 5], "big")
    return data[place + 5 : place + 5 + length].decode()


def _seek(data: bytes, place: int, number: int) -> int:
    """Return where the value `number` of the tuple at `place` begins."""
    place += 2
    for _ in range(number):
        if data[place] == 0x74:  # t
            place += 4 + int.from_bytes(data[place + 1 : place + 5], "big")
        place += 1
    return place


def _tuple(data: bytes, place: int) -> tuple[Tuple, int]:
    count = int.from_bytes(data[place : place + 2], "big")
    place += 2
    values: Tuple = []
    for _ in range(count):
        kind = data[place]
        place += 1
        if kind == 0x74:  # t
            end = place + 4 + int.from_bytes(data[place : place + 4], "big")
            values.append(data[place + 4 : end].decode())
            place = end
        else:
            values.append(UNCHANGED if kind == 0x75 else None)  # u, n
    return values, place


def _string(data: bytes, place: int) -> tuple[str, int]:
    end = data.index(0, place)
    return data[place:end].decode(), end + 1
