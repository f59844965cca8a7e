"""Connections that stay open, and what to do when one breaks."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import ConnectionPool

# Statements on kept connections are planned once, for tables of any size: the key's index or nothing.
KEPT_SETTINGS = (
    "set enable_seqscan = off; set enable_bitmapscan = off; set enable_hashjoin = off; set enable_mergejoin = off; "
    "set jit = off; set plan_cache_mode = force_generic_plan; set timezone = 'UTC'; "
    # Under the tenant's lock a call has to see what was committed while it waited.
    "set default_transaction_isolation = 'read committed'"
)
_OPTIONS = "-c timezone=UTC -c default_transaction_isolation=read\\ committed"
DatabaseError = psycopg.Error
DatabaseUnreachable = psycopg.OperationalError
Connection = psycopg.Connection[Any]
PRIVILEGE_MISSING = "42501"  # SQLSTATE
_RESOURCES = ("53", "57", "58")  # SQLSTATE classes: resources, an operator's intervention, the system below.
_MOMENTARY = ("25006", "40001", "40P01", "55P03")  # Read-only, serialization, deadlock, lock timeout.
_RETRY_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)


def connect(url: str, name: str) -> Connection:
    """Open a plain connection in autocommit. Raises DatabaseUnreachable."""
    return psycopg.connect(url, autocommit=True, connect_timeout=10, application_name=name, options=_OPTIONS)


class Pool:
    """A few plain connections for work in threads."""

    def __init__(self, url: str, name: str, connections: int) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url, min_size=0, max_size=connections, open=False, timeout=10,
            kwargs={"autocommit": True, "application_name": name, "options": "-c jit=off -c timezone=UTC"},
        )  # fmt: skip

    def open(self) -> None:
        """Start the pool; connections come when needed."""
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Connection]:
        """Borrow a connection. Raises DatabaseUnreachable."""
        with self._pool.connection() as connection:
            yield connection


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of a database error: its message can hold values of a row, this cannot."""
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def is_passing(error: BaseException) -> bool:
    """Whether an error is trouble of the database, such as a full disk, that will pass without the request changing."""
    state = sqlstate(error) or ""
    return state.startswith(_RESOURCES) or state in _MOMENTARY


class KeptConnection:
    """One connection, opened when first needed and again after it broke."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: AsyncConnection[tuple[object, ...]] | None = None
        self.backend_pid = 0

    async def get(self) -> AsyncConnection[tuple[object, ...]]:
        """Return the open connection. Raises psycopg.OperationalError when there is no database."""
        connection = self._connection
        if connection is not None and not connection.closed:
            return connection
        connection = await AsyncConnection.connect(
            self._url, autocommit=True, prepare_threshold=0, connect_timeout=5, application_name=self._name
        )
        await connection.execute(KEPT_SETTINGS, prepare=False)
        self.backend_pid = connection.info.backend_pid
        self._connection = connection
        return connection

    async def drop(self) -> None:
        """Give up a connection that broke."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()

    async def get_again(self, *, give_up_after_s: float) -> AsyncConnection[tuple[object, ...]]:
        """Reconnect with growing pauses. Raises psycopg.OperationalError when the time is up."""
        clock = asyncio.get_running_loop().time
        deadline, attempt = clock() + give_up_after_s, 0
        while True:
            try:
                return await self.get()
            except psycopg.OperationalError:
                await self.drop()
                if clock() > deadline:
                    raise
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1


@contextlib.contextmanager
def answered_within(connection: AsyncConnection[Any], seconds: float) -> Iterator[None]:
    """Break a connection when what is awaited inside takes longer; it then fails as lost.

    A frozen database never answers, and neither does it answer the request to cancel that psycopg would wait for.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _break, connection)
    try:
        yield
    finally:
        timer.cancel()


def _break(connection: AsyncConnection[Any]) -> None:
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as line, contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def is_lost(error: BaseException) -> bool:
    """Whether an error means that the connection, and not the statement, failed."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return False
    lost = (psycopg.OperationalError, psycopg.InterfaceError, OSError)
    return isinstance(error, lost) and not _is_statement_error(error)


def _is_statement_error(error: BaseException) -> bool:
    state: str | None = getattr(error, "sqlstate", None)
    return state is not None and not state.startswith(("08", "57P"))
