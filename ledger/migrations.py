"""The database, in the order it came to be: plain SQL files, each applied once and never edited afterwards.

Files are `NNNN_name.sql`. Each runs in a transaction of its own with a lock timeout, together with the row
that records it; a file whose first line is `-- no-transaction` runs statement by statement (for `create index
concurrently`) and must therefore bear being started twice. After the files comes append.sql, the one function
that writes: it is replaced whenever its text changed.

The lock belongs to the connection: never through a pooler that shares connections between transactions.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct

FOLDER = Path(__file__).resolve().parent.parent / "migrations"
APPEND = Path(__file__).resolve().parent / "append.sql"
LOCK = 7_306_001_952  # Any number, the same in every version of this code: other starters wait on it.
LOCK_TIMEOUT_MS = 5_000
POSTGRES_MIN = 150_000  # server_version_num of the oldest version that CI runs.

TABLES = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    sha256     text not null,
    applied_at timestamptz not null default clock_timestamp(),
    ms         integer not null
);
-- What is replaced when its text changes, instead of being applied once.
create table if not exists schema_code (
    name         text primary key,
    sha256       text not null,
    installed_at timestamptz not null default clock_timestamp()
);
-- Every process asks at its start whether its database is the one it was written for.
grant select on schema_migrations, schema_code to public;
"""

# A statement: up to a semicolon outside quotes, dollar quotes and comments.
STATEMENT = re.compile(
    r"""(?: [^;'"$/-] | '(?:[^']|'')*' | "(?:[^"]|"")*" | (\$(?:[A-Za-z_]\w*)?\$).*?\1 | --[^\n]* | /\*.*?\*/
          | [$/-] )+""",
    re.DOTALL | re.VERBOSE,
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class MigrationError(Exception):
    """The database was not brought to what this code needs; the message says why in one sentence."""


class EditedMigration(MigrationError):
    """A file is not what was applied."""


class MissingMigration(MigrationError):
    """What was applied has no file."""


class MigrationOutOfOrder(MigrationError):
    """A file is not applied, a later one is."""


class DatabaseNewer(MigrationError):
    """A newer version of this code was here."""


class MigrationsPending(MigrationError):
    """The database is older than this code."""


class OwnerNeeded(MigrationError):
    """Something is pending, and the role of the database URL may not create it."""


class OldPostgres(MigrationError):
    """The server is older than what we test on."""


class MigrationFailed(MigrationError):
    """The SQL of a file failed; the file left no trace, unless it is a `-- no-transaction` one."""


class Migration(Struct, frozen=True):
    """One file. version: its number, from 1. sha256: of its bytes, in hexadecimal."""

    version: int
    name: str
    sha256: str
    sql: str

    @property
    def transactional(self) -> bool:
        """Whether it runs as a whole or not at all."""
        return not self.sql.startswith("-- no-transaction")


class Migrated(Struct, frozen=True):
    """What `migrate` did. applied: names in order, none if nothing was pending. warnings: the database's."""

    applied: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Return the files of a folder in their order. Raises MigrationError on two files with one number."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_(\w+)", path.stem)
        if match is None:
            raise MigrationError(f"{path.name} in {folder.name} is not named NNNN_name.sql")
        found.append(Migration(int(match[1]), path.stem, digest(path), path.read_bytes().decode()))
        if len(found) > 1 and found[-2].version == found[-1].version:
            raise MigrationError(f"{found[-2].name} and {found[-1].name} have the same number")
    return found


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal, by which it is known again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def migrate(database_url: str, *, folder: Path = FOLDER, append: Path | None = APPEND) -> Migrated:
    """Bring the database to what this code needs; nothing is done, or locked, when nothing is pending.

    Several starters may call this at once: one works, the others wait and find nothing left to do.

    append: the SQL file to install after the migrations; None for none.

    Raises a MigrationError, or psycopg's OperationalError when the database cannot be reached.
    """
    files = read_migrations(folder)
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
        if connection.info.server_version < POSTGRES_MIN:
            raise OldPostgres(f"Postgres {connection.info.server_version // 10_000} is too old: it takes 15 or newer")
        if not _pending(connection, files, append):
            return Migrated(())
        _refuse_unless_owner(connection)
        warnings: list[str] = []
        connection.add_notice_handler(
            lambda notice: warnings.append(notice.message_primary or "") if notice.severity == "WARNING" else None
        )
        with alone(connection):
            connection.execute("set client_min_messages = warning")
            connection.execute(TABLES)
            applied = [file.name for file in _pending(connection, files, append)]
            for file in _pending(connection, files, append):
                _apply(connection, file)
        return Migrated(tuple(applied), tuple(warnings))


def pending(database_url: str, *, folder: Path = FOLDER, append: Path | None = APPEND) -> tuple[str, ...]:
    """Return the names of what `migrate` would apply. Raises what it would raise about files and database."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
        return tuple(file.name for file in _pending(connection, read_migrations(folder), append))


def refuse_unless_current(connection: "psycopg.Connection[Any]") -> None:
    """Raise a MigrationError when the database is not the one that this code was written for."""
    if names := _pending(connection, read_migrations(), APPEND):
        raise MigrationsPending(
            f"this database is older than this code, {names[0].name} is not applied: run ./scim-ledger migrate,"
            " or start ./scim-ledger serve again"
        )


def statements(text: str) -> list[str]:
    """Split SQL at the semicolons between statements; empty ones and lone comments are left out."""
    found = (match[0].strip() for match in STATEMENT.finditer(text))
    return [statement for statement in found if COMMENT.sub("", statement).strip()]


def _pending(connection: psycopg.Connection, files: Sequence[Migration], append: Path | None) -> list[Migration]:
    """Return what is not applied, after comparing what is; a changed append.sql comes last, as version 0."""
    applied = _recorded(connection, "schema_migrations", "select version, name, sha256 from schema_migrations")
    _refuse_what_differs(files, {version: (name, sha256) for version, name, sha256 in applied})
    have = {version for version, _, _ in applied}
    missing = [file for file in files if file.version not in have]
    if append is not None:
        code = Migration(0, append.name, digest(append), append.read_bytes().decode())
        installed = _recorded(connection, "schema_code", "select name, sha256 from schema_code")
        if (code.name, code.sha256) not in installed:
            missing.append(code)
    return missing


def _recorded(connection: psycopg.Connection, table: str, query: str) -> list[tuple[Any, ...]]:
    if connection.execute("select to_regclass(%s)", (table,)).fetchone() == (None,):
        return []
    try:
        return connection.execute(query.encode()).fetchall()
    except psycopg.errors.InsufficientPrivilege:
        raise OwnerNeeded(
            f"the role {connection.info.user} may not read {table}: was this database made by scim-ledger?"
        ) from None


def _refuse_what_differs(files: Sequence[Migration], applied: dict[int, tuple[str, str]]) -> None:
    by_version = {file.version: file for file in files}
    newest_file = max(by_version, default=0)
    for version, (name, sha256) in applied.items():
        if version > newest_file:
            raise DatabaseNewer(
                f"the database is newer than this code: {name} was applied, the newest known here is"
                f" {newest_file:04}; run the newer code"
            )
        if version not in by_version:
            raise MissingMigration(f"{name} was applied to this database, but its file is missing")
        if by_version[version].sha256 != sha256:
            raise EditedMigration(f"{by_version[version].name} was edited after it was applied to this database")
    for file in files:
        if file.version not in applied and file.version < max(applied, default=0):
            raise MigrationOutOfOrder(f"{file.name} is not applied to this database, but a later one is")


def _refuse_unless_owner(connection: psycopg.Connection) -> None:
    """May this role create what is pending? Asked before anything is tried, so that nothing is half-done."""
    may = connection.execute(
        """
        select coalesce((select pg_has_role(relowner, 'usage') from pg_class
                          where oid = to_regclass('schema_migrations')),
                        has_schema_privilege(current_schema(), 'create'))
        """
    ).fetchone()
    if may != (True,):
        raise OwnerNeeded(
            f"migrations are pending and the role {connection.info.user} may not apply them:"
            " run ./scim-ledger migrate with the owner's database URL"
        )


@contextmanager
def alone(connection: psycopg.Connection) -> Iterator[None]:
    """Hold the migration lock of this database; other starters wait here."""
    connection.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _apply(connection: psycopg.Connection, file: Migration) -> None:
    began = time.monotonic()
    try:
        if file.transactional:
            with connection.transaction():
                connection.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}".encode())
                connection.execute(file.sql.encode())  # Without parameters: many statements in one call.
                _record(connection, file, began)
        else:
            for statement in statements(file.sql):
                connection.execute(statement.encode())
            _record(connection, file, began)
    except psycopg.errors.LockNotAvailable:
        raise MigrationFailed(
            f"{file.name} waited {LOCK_TIMEOUT_MS // 1000} s for a table that something else holds;"
            " nothing was changed, run it again"
        ) from None
    except psycopg.errors.InsufficientPrivilege as refusal:
        raise OwnerNeeded(
            f"the role {connection.info.user} may not apply {file.name} ({refusal.diag.message_primary}):"
            " run ./scim-ledger migrate with the owner's database URL"
        ) from None
    except psycopg.OperationalError:
        raise
    except psycopg.Error as failure:
        said = failure.diag.message_primary or str(failure).partition("\n")[0]
        raise MigrationFailed(f"{file.name} failed: {said}") from failure


def _record(connection: psycopg.Connection, file: Migration, began: float) -> None:
    if file.version == 0:
        connection.execute(
            "insert into schema_code (name, sha256) values (%s, %s) on conflict (name)"
            " do update set sha256 = excluded.sha256, installed_at = clock_timestamp()",
            (file.name, file.sha256),
        )
        return
    connection.execute(
        "insert into schema_migrations (version, name, sha256, ms) values (%s, %s, %s, %s)",
        (file.version, file.name, file.sha256, round((time.monotonic() - began) * 1000)),
    )
