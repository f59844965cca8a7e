"""Whether a service can do its work on its database, asked afresh and answered soon also when it is away."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from msgspec import Struct

from ledger.migrations import APPEND, digest, read_migrations

TIMEOUT_S = 2
CLOCKS_APART_MAX = timedelta(seconds=60)  # Beyond that the append refuses as well.

_LOOK = """
select clock_timestamp(),
       (select max(version) from schema_migrations),
       (select sha256 from schema_code where name = %(append)s),
       current_setting('transaction_read_only')::boolean
"""

_MAY_CHANGE = """
select current_user,
       bool_or(has_table_privilege(name, privilege))
  from unnest(array['entries', 'received_requests']) name
 cross join unnest(array['update', 'delete', 'truncate', 'trigger']) privilege
"""


class Health(Struct, frozen=True):
    """problems: why requests cannot be served now. warnings: what should not stay so."""

    problems: list[str]
    warnings: list[str]


class HealthCheck:
    """Asks on a connection of its own: those of the service may be what is wrong."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._version = max((file.version for file in read_migrations()), default=0)
        self._append = digest(APPEND)

    async def look(self) -> Health:
        """Return what is wrong; within 4 seconds, whatever the database does."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                return await self._look()
        except psycopg.errors.InsufficientPrivilege as error:
            return Health([f"the database refuses to be read ({error.sqlstate})"], [])
        except (TimeoutError, OSError, psycopg.Error):
            return Health(["the database cannot be reached"], [])

    async def _look(self) -> Health:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=TIMEOUT_S, application_name="scim-ledger health",
            options=f"-c statement_timeout={TIMEOUT_S * 1000}",
        )  # fmt: skip
        try:
            seen: Any = await (await connection.execute(_LOOK, {"append": APPEND.name})).fetchone()
            may_change: Any = await (await connection.execute(_MAY_CHANGE)).fetchone()
        finally:
            await connection.close()
        return Health(self._problems(*seen), _warnings(*may_change))

    def _problems(self, time: datetime, version: int, append: str, read_only: bool) -> list[str]:
        found = []
        if abs(time - datetime.now(UTC)) > CLOCKS_APART_MAX:
            found.append("the clocks of the database and of this service disagree by more than 60 seconds")
        if (version, append) != (self._version, self._append):
            found.append("the database was migrated by another version of this code: run the same one everywhere")
        if read_only:
            found.append("the database takes no writes: it is a standby, or set to read only")
        return found


def excess_privileges(connection: "psycopg.Connection[Any]") -> list[str]:
    """Return, in a sentence, that the role of this connection could change what is recorded; nothing if it cannot."""
    row: Any = connection.execute(_MAY_CHANGE).fetchone()
    return _warnings(*row)


def _warnings(role: str, may_change: bool) -> list[str]:
    if not may_change:
        return []
    return [f"the database role {role} may change what is recorded: let serve connect as scim_ledger_app"]
