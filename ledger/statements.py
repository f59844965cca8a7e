"""A statement asked again and again on a connection of its own, in libpq's terms.

psycopg's cursors look up, lock, adapt and wait anew for each query: more than a point read costs the database. Here
the statement is prepared once, its arguments come packed (`ledger/arrays.py`), and psycopg's loaders read the rows.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, abc, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result

from ledger.connections import KeptConnection, answered_within

_NAME = b"asked"
_DISCARD_PLANS = b"discard plans"

Row = tuple[Any, ...]
Connection = AsyncConnection[tuple[object, ...]]


class Statement:
    """One statement with `$1` for its first argument. One question at a time."""

    def __init__(self, connection: KeptConnection, query: str) -> None:
        self._kept = connection
        self._query = query.encode()
        self._connection: Connection | None = None  # That it is prepared on.
        self._transformer: abc.Transformer | None = None

    async def ask(self, arguments: Sequence[Any], within_s: float, *, anew: bool = False) -> list[Row]:
        """Return the rows. anew: plan it again. Raises psycopg.Error; one that breaks off the connection after a time.

        arguments: packed arrays as they are, None as null, anything else as psycopg dumps it.
        """
        connection = await self._kept.get()
        with answered_within(connection, within_s):
            if connection is not self._connection:
                await self._prepare(connection)
            elif anew:
                connection.pgconn.send_query(_DISCARD_PLANS)
                await _answered(connection)
            assert self._transformer is not None
            packed = [self._packed(argument) for argument in arguments]
            formats = [pq.Format.BINARY] * len(packed)
            connection.pgconn.send_query_prepared(_NAME, packed, formats, result_format=pq.Format.BINARY)
            result = await _answered(connection)
            self._transformer.set_pgresult(result, format=pq.Format.BINARY)
            rows: list[Row] = self._transformer.load_rows(0, result.ntuples, tuple)
            return rows

    async def _prepare(self, connection: Connection) -> None:
        connection.pgconn.send_prepare(_NAME, self._query)  # The types follow from the statement.
        await _answered(connection)
        self._transformer = Transformer(connection)
        self._connection = connection

    def _packed(self, argument: Any) -> Any:
        if argument is None or isinstance(argument, bytes):
            return argument
        assert self._transformer is not None
        return self._transformer.get_dumper(argument, PyFormat.BINARY).dump(argument)


async def _answered(connection: Connection) -> pq.abc.PGresult:
    """Wait for the result of what was sent. Raises what the server, or the broken connection, says."""
    loop = asyncio.get_running_loop()
    exchange = _Exchange(connection.pgconn, loop)
    try:
        result = await exchange.answered
    except asyncio.CancelledError:
        exchange.leave()
        connection.pgconn.finish()  # Whoever asks next must not be given this answer.
        raise
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return result
    error = error_from_result(result, encoding=connection.info.encoding)
    if error.sqlstate is None:  # It comes from libpq: the line broke.
        raise psycopg.OperationalError("the connection is lost") from error
    raise error


class _Exchange:
    """What was sent on a connection, until it is answered.

    The loop is left in the very callback that ends it: libpq closes the line of a broken connection, and the next
    connection may get its number before anybody who awaits this is told.
    """

    def __init__(self, pgconn: pq.abc.PGconn, loop: asyncio.AbstractEventLoop) -> None:
        """Send, and listen. Raises psycopg.OperationalError when the connection is broken already."""
        self.answered: asyncio.Future[pq.abc.PGresult] = loop.create_future()
        self._pgconn = pgconn
        self._loop = loop
        self._line = pgconn.socket
        self._results: list[pq.abc.PGresult] = []
        if pgconn.flush():
            loop.add_writer(self._line, self._send_on)
        loop.add_reader(self._line, self._read)

    def leave(self) -> None:
        """Listen no longer."""
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._line)

    def _send_on(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._line)
        except psycopg.Error as error:
            self._end(error)

    def _read(self) -> None:
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    return self._end(None)
                self._results.append(result)
        except psycopg.Error as error:
            self._end(error)
        else:
            self._listen_on()

    def _listen_on(self) -> None:
        """Ask anew to be told: libuv tells of a line in error once, though data may have come before the error."""
        self._loop.remove_reader(self._line)
        self._loop.add_reader(self._line, self._read)

    def _end(self, error: psycopg.Error | None) -> None:
        self.leave()
        if self.answered.done():
            return
        if error is not None:
            self.answered.set_exception(error)
        else:
            self.answered.set_result(self._results[0])
