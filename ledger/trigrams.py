"""The index by which filters find a part of a userName, for whoever wants it: it makes new users dearer.

Beside `migrations.py` because it is no migration: it needs an extension that not every server has, may be made
and dropped at any time, and answers nothing that is not answered without it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from domain.sorting import SORTED_CHARACTERS
from ledger.connections import Connection
from ledger.migrations import MigrationError, OwnerNeeded, alone

# Concurrently: nobody who writes waits. Names longer than what is kept sorted (0005) are looked at one by one.
_INDEXES = {
    "users_by_part_of_name": "users using gin (user_name_sorted gin_trgm_ops) with (gin_pending_list_limit = 512)",
    "users_of_long_name": f"users (tenant_id) where length(user_name_sorted) = {SORTED_CHARACTERS}",
}
_THERE = "select to_regclass(%s)"
_WHOLE = "select from pg_index where indisvalid and indexrelid = to_regclass(%s)"


class NoTrigrams(MigrationError):
    """The server does not have the extension."""


def index_parts_of_names(database_url: str) -> bool:
    """Let `co` and `ew` on userName read an index; returns whether there was anything to do. Safe to repeat.

    Raises a MigrationError, or psycopg's OperationalError when the database cannot be reached.
    """
    with _owning(database_url) as connection:
        wanted = [name for name in _INDEXES if connection.execute(_WHOLE, (name,)).fetchone() is None]
        if wanted:
            connection.execute("create extension if not exists pg_trgm")
        for name in wanted:
            _drop(connection, name)  # What an interrupted attempt left behind.
            connection.execute(f"create index concurrently {name} on {_INDEXES[name]}".encode())
        return bool(wanted)


def drop_parts_of_names(database_url: str) -> bool:
    """Be without that index again; returns whether there was one. The extension stays: others may use it.

    Raises what `index_parts_of_names` raises.
    """
    with _owning(database_url) as connection:
        there = [name for name in _INDEXES if connection.execute(_THERE, (name,)).fetchone() != (None,)]
        for name in there:
            _drop(connection, name)
        return bool(there)


@contextmanager
def _owning(database_url: str) -> Iterator[Connection]:
    """Connect, with nobody else at it; one sentence for what the server or the role does not allow."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection, alone(connection):
        try:
            yield connection
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile):
            raise NoTrigrams(
                "this Postgres has no pg_trgm: install its contrib package (postgresql-contrib), and try again"
            ) from None
        except psycopg.errors.InsufficientPrivilege as refusal:
            raise OwnerNeeded(
                f"the role {connection.info.user} may not do this ({refusal.diag.message_primary}):"
                " run ./scim-ledger migrate with the owner's database URL"
            ) from None


def _drop(connection: Connection, name: str) -> None:
    connection.execute(f"drop index concurrently if exists {name}".encode())
