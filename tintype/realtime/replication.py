"""How do bytes of the log come out of Postgres?

libpq connects, authenticates and encrypts, as everywhere else it does; the event loop watches its
socket. asyncpg does not speak the replication protocol.
"""

import asyncio
import struct
from contextlib import suppress

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from tintype import clock

CONNECT_SECONDS_MAX = 10
# How often Postgres is told what need not be kept any more; it waits 60 s by default.
STATUS_SECONDS = 10
MESSAGES_PER_READ_MAX = 5_000
BYTES_PER_READ_MAX = 4 * 1024 * 1024
EPOCH_UNIX_SECONDS = 946_684_800
# Text as `to_jsonb` of a session in UTC shows it, whatever the database's own settings are.
OPTIONS = "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1"


class StreamEnded(Exception):
    """The connection is gone or was refused. `sqlstate` tells why, where Postgres said."""

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class Stream:
    """One replication connection on one slot. Used by one task."""

    def __init__(self, connection: PGconn) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._socket = connection.socket
        self._acknowledged = 0
        # Where the log ends as far as Postgres has told.
        self.log_end = 0
        self._asked = False
        self._timer: asyncio.TimerHandle | None = None

    async def read(self) -> list[bytes]:
        """Wait for messages and return those that are there, in order; [] if only told to wait.

        Bounded by `MESSAGES_PER_READ_MAX` and `BYTES_PER_READ_MAX`; what is not read stays with
        Postgres. Raises `StreamEnded`.
        """
        messages: list[bytes] = []
        size = 0
        heard = False
        try:
            while len(messages) < MESSAGES_PER_READ_MAX and size < BYTES_PER_READ_MAX:
                length, data = self._connection.get_copy_data(1)
                if length > 0:
                    heard = True
                    if data[0] == 0x77:  # w: a message of the log
                        messages.append(bytes(data[25:]))
                        size += length
                    elif data[0] == 0x6B:  # k: still there; answer if asked to
                        self.log_end = struct.unpack_from("!Q", data, 1)[0]
                        self._asked = self._asked or bool(data[17])
                elif length == 0:
                    if heard:
                        return messages
                    await _readable(self._socket)
                    self._connection.consume_input()
                else:
                    raise self._ended()
        except psycopg.Error as error:
            raise StreamEnded(str(error)) from error
        return messages

    def acknowledge(self, lsn: int) -> None:
        """Let Postgres forget the log before `lsn`; told at once if it asked, else in a while.

        Call it after every read: a server that shuts down waits for the answer.
        """
        self._acknowledged = max(self._acknowledged, lsn)
        if self._asked:
            self._asked = False
            with suppress(psycopg.Error):
                self._tell()

    def close(self) -> None:
        """Break the connection; the slot stays where it was acknowledged last."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket)
        with suppress(psycopg.Error):
            self._tell()
        self._connection.finish()

    def begin(self) -> None:
        """Tell the status from time to time from now on."""
        self._timer = self._loop.call_later(STATUS_SECONDS, self._tell_and_go_on)

    def _tell_and_go_on(self) -> None:
        # A broken connection is noticed by the reader.
        with suppress(psycopg.Error):
            self._tell()
            self.begin()

    def _tell(self) -> None:
        microseconds = int((clock.unix_seconds() - EPOCH_UNIX_SECONDS) * 1_000_000)
        lsn = self._acknowledged
        self._connection.put_copy_data(struct.pack("!cQQQqB", b"r", lsn, lsn, lsn, microseconds, 0))
        self._connection.flush()

    def _ended(self) -> StreamEnded:
        result = self._connection.get_result()
        if result is None:
            return StreamEnded("Postgres ended the stream.")
        return StreamEnded(result.get_error_message(), _sqlstate(result))


async def open_stream(url: str, slot: str, lsn: int, publications: list[str]) -> Stream:
    """Return the stream of `slot` from `lsn` on (0: from where the slot stands).

    It has the tables of `publications`, whose names are plain words. Raises `StreamEnded`, with
    sqlstate 42704 where there is no such slot, 55006 where another connection reads it, 55000
    where Postgres has thrown its log away.
    """
    try:
        connection = await asyncio.to_thread(_connect, url)
    except psycopg.Error as error:
        raise StreamEnded(str(error)) from error
    try:
        command = (
            f'START_REPLICATION SLOT "{slot}" LOGICAL {lsn_text(lsn)} '
            f"(proto_version '1', publication_names '{','.join(publications)}')"
        )
        connection.nonblocking = 1
        result = await _answered(connection, command)
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise StreamEnded(result.get_error_message(), _sqlstate(result))
    except psycopg.Error as error:
        connection.finish()
        raise StreamEnded(str(error)) from error
    except BaseException:
        connection.finish()
        raise
    stream = Stream(connection)
    stream.acknowledge(lsn)
    stream.begin()
    return stream


def lsn_text(lsn: int) -> str:
    """Return an LSN as Postgres writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """Return the number that an LSN's text stands for."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


async def _answered(connection: PGconn, command: str) -> PGresult:
    """Send a command and wait for its answer; on the loop, so that it can be given up.

    A thread that waits for libpq cannot be called back, and its connection must not be finished
    under it.
    """
    connection.send_query(command.encode())
    connection.flush()
    while connection.is_busy():
        await _readable(connection.socket)
        connection.consume_input()
    result = connection.get_result()
    if result is None:
        raise StreamEnded("Postgres did not answer.")
    return result


async def _readable(socket: int) -> None:
    """Wait until there is something to read."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    try:
        await ready
    finally:
        loop.remove_reader(socket)


def _connect(url: str) -> PGconn:
    conninfo = make_conninfo(
        url,
        replication="database",
        application_name="tintype realtime",
        connect_timeout=CONNECT_SECONDS_MAX,
        options=OPTIONS,
    )
    connection = pq.PGconn.connect(conninfo.encode())
    if connection.status != pq.ConnStatus.OK:
        message = connection.get_error_message()
        connection.finish()
        raise psycopg.OperationalError(message)
    return connection


def _sqlstate(result: PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
