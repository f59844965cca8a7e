"""Read every entry again into tables beside the live ones, compare row by row and column by column, repair.

The live rows and the size they belong to are copied in one short snapshot; entries below that size never change,
so the rest takes its time while writes go on. What is compared was made by the code that writes: the same row
functions, and of catch-up projections the same `write`, into temporary tables of the same names.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.sql import SQL, Composable, Composed, Identifier

from ledger.declarations import STREAM as DECLARATIONS_STREAM
from ledger.reader import PAGE_ENTRIES, Reader
from projections.folding import DECLARATIONS, DIRECTORY, Folding
from projections.requests import whole_requests
from projections.runner import PROJECTIONS
from projections.tables import Table, copy_lines

_LINES_AT_ONCE = 5_000
_DIFFERENCES_MAX = 1_000


class Difference(Struct, frozen=True):
    """A row that is not what the entries add up to. live, replayed: None where there is no such row.

    columns: those that differ; empty when a whole row is missing or too many.
    """

    table: str
    key: dict[str, Any]
    columns: list[str]
    live: dict[str, Any] | None
    replayed: dict[str, Any] | None


class Replayed(Struct, frozen=True):
    """What a replay found. size: entries read. rows: compared, by table. repaired: rows put right."""

    tenant: str
    size: int
    rows: dict[str, int]
    differences: list[Difference]
    repaired: int = 0

    @property
    def equal(self) -> bool:
        """Whether every row and column is what the entries add up to."""
        return not self.differences


class LedgerMoved(Exception):
    """A repair found that the ledger has grown since the comparison: compare again."""


def replay(
    reader: Reader, *, repair: bool = False, progress: Callable[[int, int], None] = lambda position, size: None
) -> Replayed:
    """Compare a tenant's directory and projections with what its entries add up to.

    reader: on a connection of its own, in autocommit: temporary tables stand in the way of live ones on it.
    repair: put differing rows right, under the tenant's lock; raises LedgerMoved when writes came in between.
    progress: told (entries read, size).
    """
    connection, tenant_id = reader.connection, reader.tenant.tenant_id
    size, standing = _copy_live(reader)
    _make_shadows(connection)
    folding = Folding(tenant_id)
    for entries in _pages(reader, size):
        folding.feed(entries)
        if any(entry.stream == DECLARATIONS_STREAM for entry in entries):  # What projections read resources by.
            connection.execute("truncate pg_temp.schema_declarations")
            _copy(connection, DECLARATIONS, folding.lines(DECLARATIONS))
        _write(connection, reader, standing, entries)
        progress(entries[-1].position + 1, size)
    for table in DIRECTORY:
        if table is not DECLARATIONS:
            _copy(connection, table, folding.lines(table))
    tables = _tables(standing)
    rows = {table.name: _count(connection, table.name) for table in tables}
    differences = [difference for table in tables for difference in _compare(connection, table)]
    repaired = _repair(reader, size, standing, tables) if repair and differences else 0
    return Replayed(reader.tenant.slug, size, rows, differences, repaired)


def _tables(standing: dict[str, int]) -> tuple[Table, ...]:
    kept = [projection for projection in PROJECTIONS if projection.name in standing]
    return (*DIRECTORY, *(table for projection in kept for table in projection.tables))


def _copy_live(reader: Reader) -> tuple[int, dict[str, int]]:
    """Copy the tenant's live rows; return the size they belong to, and where each projection stands."""
    connection, tenant_id = reader.connection, reader.tenant.tenant_id
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        size = reader.size()
        rows = connection.execute(
            "select projection, revision, position from tracking where tenant_id = %s", (tenant_id,)
        ).fetchall()
        at = {name: (revision, position) for name, revision, position in rows}
        standing = {p.name: at[p.name][1] for p in PROJECTIONS if p.name in at and at[p.name][0] == p.revision}
        for table in _tables(standing):
            copied = SQL("create temporary table {} as select {} from public.{} where tenant_id = %s")
            connection.execute(copied.format(_live(table), _columns(table), Identifier(table.name)), (tenant_id,))
    return size, standing


def _make_shadows(connection: psycopg.Connection[Any]) -> None:
    """Make empty tables of the live ones' names: temporary tables are found before all others.

    An index that nothing is found by would cost as much as the rows.
    """
    for table in (*DIRECTORY, *(table for projection in PROJECTIONS for table in projection.tables)):
        like = SQL("create temporary table {0} (like public.{0} {1})")
        indexes = SQL("including indexes" if table.searched else "")
        connection.execute(like.format(Identifier(table.name), indexes))


def _pages(reader: Reader, size: int) -> Iterator[Sequence[Any]]:
    start = 0
    while start < size:
        page: Sequence[Any] = []
        count = PAGE_ENTRIES
        while not page:
            read = reader.entries_after(start, count, until=size)
            page = read if len(read) == size - start else whole_requests(read, count)
            count *= 2
        yield page
        start += len(page)


def _write(
    connection: psycopg.Connection[Any], reader: Reader, standing: dict[str, int], entries: Sequence[Any]
) -> None:
    """Let each projection write the entries it had read when the live rows were copied."""
    with connection.transaction(), psycopg.Cursor(connection) as cursor:
        for projection in PROJECTIONS:
            until = standing.get(projection.name, 0)
            read = [entry for entry in entries if entry.position < until]
            if read:
                projection.write(cursor, reader.tenant.tenant_id, read)


def _copy(connection: psycopg.Connection[Any], table: Table, lines: Iterator[str]) -> None:
    with connection.transaction(), psycopg.Cursor(connection) as cursor:
        while chunk := list(islice(lines, _LINES_AT_ONCE)):
            copy_lines(cursor, table, chunk)


def _count(connection: psycopg.Connection[Any], name: str) -> int:
    row = connection.execute(SQL("select count(*) from pg_temp.{}").format(Identifier(name))).fetchone()
    return int(row[0]) if row else 0


def _compare(connection: psycopg.Connection[Any], table: Table) -> Iterator[Difference]:
    # Rows of the same bytes are equal; only what is not needs to be taken apart.
    key = SQL(", ").join(map(Identifier, table.key))
    differing = SQL(
        "create temporary table {differing} as select {key}, to_jsonb(l) as live, to_jsonb(s) as replayed "
        "from (select * from {live}) l full join (select {columns} from pg_temp.{name}) s using ({key}) "
        "where l is null or s is null or l *<> s and to_jsonb(l) is distinct from to_jsonb(s)"
    ).format(**_names(table), key=key)
    connection.execute(differing)
    shown = SQL("select live, replayed from {differing} order by {key} limit {limit}")
    for live, replayed in connection.execute(shown.format(**_names(table), key=key, limit=_DIFFERENCES_MAX)).fetchall():
        some = live or replayed
        columns = [name for name in some if live and replayed and live[name] != replayed[name]]
        yield Difference(table.name, {name: some[name] for name in table.key}, columns, live, replayed)


def _repair(reader: Reader, size: int, standing: dict[str, int], tables: Sequence[Table]) -> int:
    """Put right what differs, under the tenant's lock, while the ledger is as long as it was."""
    connection, tenant_id, repaired = reader.connection, reader.tenant.tenant_id, 0
    with connection.transaction():
        connection.execute("select from tenants where tenant_id = %s for no key update", (tenant_id,))
        connection.execute("select from tracking where tenant_id = %s for update", (tenant_id,))
        if reader.size() != size or _moved(reader, standing):
            raise LedgerMoved("the ledger has grown meanwhile; run the repair again")
        for table in tables:
            for statement in _repair_statements(table):
                connection.execute(statement, (tenant_id,))
            repaired += _count(connection, f"differing_{table.name}")
    return repaired


def _moved(reader: Reader, standing: dict[str, int]) -> bool:
    rows = reader.connection.execute(
        "select projection, position from tracking where tenant_id = %s", (reader.tenant.tenant_id,)
    ).fetchall()
    at = dict(rows)
    return any(at.get(name) != position for name, position in standing.items())


def _repair_statements(table: Table) -> tuple[Composed, Composed]:
    """Delete the live rows that differ, insert what they should be. The cost is that of the differences alone."""
    same = SQL(" and ").join(SQL("x.{0} = d.{0}").format(Identifier(column)) for column in table.key)
    delete = SQL("delete from public.{name} x using {differing} d where x.tenant_id = %s and {same}").format(
        **_names(table), same=same
    )
    insert = SQL(
        "insert into public.{name} ({columns}) select {replayed} from pg_temp.{name} x join {differing} d on {same} "
        "where x.tenant_id = %s"
    ).format(**_names(table), same=same, replayed=_columns(table, "x"))
    return delete, insert


def _names(table: Table) -> dict[str, Composable]:
    return {
        "name": Identifier(table.name),
        "live": _live(table),
        "differing": Identifier(f"differing_{table.name}"),
        "columns": _columns(table),
    }


def _columns(table: Table, alias: str | None = None) -> Composed:
    names = [Identifier(alias, column) if alias else Identifier(column) for column in table.columns]
    return SQL(", ").join(names)


def _live(table: Table) -> Identifier:
    return Identifier(f"live_{table.name}")
