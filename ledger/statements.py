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
    pgconn, loop = connection.pgconn, asyncio.get_running_loop()
    answered: asyncio.Future[pq.abc.PGresult] = loop.create_future()
    results: list[pq.abc.PGresult] = []
    line = pgconn.socket

    def send_on() -> None:
        try:
            if not pgconn.flush():
                loop.remove_writer(line)
        except psycopg.Error as error:
            fail(error)

    def read() -> None:
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is not None:
                    results.append(result)
                    continue
                if not answered.done():
                    answered.set_result(results[0])
                return
        except psycopg.Error as error:
            fail(error)

    def fail(error: psycopg.Error) -> None:
        if not answered.done():
            answered.set_exception(error)

    try:
        if pgconn.flush():
            loop.add_writer(line, send_on)
        loop.add_reader(line, read)
        result = await answered
    except asyncio.CancelledError:
        pgconn.finish()  # Whoever asks next must not be given this answer.
        raise
    finally:
        loop.remove_reader(line)
        loop.remove_writer(line)
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        return result
    error = error_from_result(result, encoding=connection.info.encoding)
    if error.sqlstate is None:  # It comes from libpq: the line broke.
        raise psycopg.OperationalError("the connection is lost") from error
    raise error
