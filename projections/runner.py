"""The catch-up runner: carries projections from where they stand to where the ledger ends.

A page of entries is read once and given to every projection that stands at its beginning. What they write and
the move of their tracking positions, by compare-and-set, are one transaction: of two runners at the same
place one waits, finds the position moved, and reads again. Nothing is written twice, nothing is left out.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

from ledger.entry import Entry, Settings, Tenant, TenantId
from ledger.reader import PAGE_ENTRIES, Reader
from projections.names import Names
from projections.requests import whole_requests
from projections.runs import Runs
from projections.tables import Table
from projections.trail import Trail
from projections.versions import Versions

POLL_S = 0.15
_BUSY_POLL_S = 0.6  # Everything within a second; a page costs the writers more than what is on it.
_BUSY_ENTRIES = 100
_PAGES_A_TURN = 4  # Then the next tenant: one customer's import does not starve the others.
_RETRY_S = (0.15, 0.3, 0.6, 1.2, 2.5, 5.0)
_SET_ASIDE_S = 30.0

Connection = psycopg.Connection[Any]


class Projection(Protocol):
    """What the runner carries. A change of its code that would write other rows takes another `revision`."""

    @property
    def name(self) -> str:
        """What its tracking position is kept under."""

    @property
    def revision(self) -> int:
        """From 1; another one is rebuilt from the first entry."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """What it writes, and what is emptied to begin again."""

    def write(self, cursor: psycopg.Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Write what some whole requests mean for the tables."""


PROJECTIONS: tuple[Projection, ...] = (Trail(), Names(), Runs(), Versions())


class Lagging(Exception):
    """A projection has not read as far as an answer needs, in the time given."""


_TRACKED = """
select projection, revision, position
  from tracking
 where tenant_id = %(tenant_id)s
   and projection = any(%(projections)s)
"""

_BEGIN = """
insert into tracking (tenant_id, projection, revision, position)
values (%(tenant_id)s, %(projection)s, %(revision)s, 0)
    on conflict do nothing
"""

_BEGIN_AGAIN = """
update tracking
   set revision = %(revision)s, position = 0
 where tenant_id = %(tenant_id)s
   and projection = %(projection)s
   and revision <> %(revision)s
"""

_MOVE = """
update tracking
   set position = %(after)s
 where tenant_id = %(tenant_id)s
   and projection = %(projection)s
   and revision = %(revision)s
   and position = %(before)s
"""

# What a page is joined with is found by its key, in a table of whatever size it has at that moment: a plan made while
# it was small would stay, and read all of it for each row of a page once it is large.
BY_KEY = """
set local plan_cache_mode = force_custom_plan;
set local enable_seqscan = off;
set local enable_bitmapscan = off
"""

# Every tenant with something to read, in one statement: two index probes a tenant, no rows when all is read.
_BEHIND = """
select t.tenant_id, t.slug, t.origin, t.settings, p.projection,
       s.size - coalesce(k.position, 0) as lag_entries
  from tenants t
 cross join lateral (select coalesce((select e.position + 1
                                        from entries e
                                       where e.tenant_id = t.tenant_id
                                       order by e.position desc
                                       limit 1), 0) as size) s
 cross join unnest(%(projections)s::text[], %(revisions)s::integer[]) p(projection, revision)
  left join tracking k on k.tenant_id = t.tenant_id
                      and k.projection = p.projection
                      and k.revision = p.revision
 where s.size > coalesce(k.position, 0)
"""


def catch_up(
    reader: Reader,
    *,
    until: int | None = None,
    projections: Sequence[Projection] = PROJECTIONS,
    pages: int | None = None,
    progress: Callable[[int], None] = lambda position: None,
) -> None:
    """Carry a tenant's projections to a position; may run beside any number of others that do the same.

    until: a size of the ledger, by default its present one. pages: how many to read at most.
    progress: told the position that the slowest projection has reached.
    """
    size = reader.size() if until is None else until
    standing = _tracked(reader, projections)
    while pages is None or pages > 0:
        start = min(standing.values(), default=size)
        if start >= size:
            return
        fed = [projection for projection in projections if standing[projection.name] == start]
        ahead = min((position for position in standing.values() if position > start), default=size)
        entries = _whole_page(reader, start, min(ahead, size))
        if _write(reader, fed, entries, start):
            standing |= {projection.name: start + len(entries) for projection in fed}
        else:
            standing = _tracked(reader, projections)  # Another runner was here.
        progress(min(standing.values()))
        pages = None if pages is None else pages - 1


def _whole_page(reader: Reader, start: int, until: int) -> Sequence[Entry]:
    """Read a page that ends with a request; a request of more entries than a page takes a larger one."""
    count = PAGE_ENTRIES
    while True:
        entries = reader.entries_after(start, count, until=until)
        assert entries, f"tenant {reader.tenant.tenant_id} has no entry at {start}, below its size {until}"
        if len(entries) == until - start:
            return entries  # Sizes and tracking positions are ends of requests.
        whole = whole_requests(entries, count)
        if whole:
            return whole
        count *= 2


def behind(
    connection: Connection, projections: Sequence[Projection] = PROJECTIONS
) -> tuple[list[Tenant], dict[str, int]]:
    """Return the tenants with entries to read, and how many each projection is behind over all of them."""
    names = [projection.name for projection in projections]
    revisions = [projection.revision for projection in projections]
    parameters = {"projections": names, "revisions": revisions}
    tenants: dict[int, Tenant] = {}
    lag = dict.fromkeys(names, 0)
    for tenant_id, slug, origin, settings, projection, entries in connection.execute(_BEHIND, parameters):
        settled = msgspec.convert(settings, Settings)
        tenants[tenant_id] = Tenant(TenantId(tenant_id), slug, origin, settled)
        lag[projection] += entries
    return list(tenants.values()), lag


def _tracked(reader: Reader, projections: Sequence[Projection]) -> dict[str, int]:
    """Where each projection stands; new ones, and those of another revision, at the beginning."""
    tenant_id = reader.tenant.tenant_id
    parameters = {"tenant_id": tenant_id, "projections": [projection.name for projection in projections]}
    rows = reader.connection.execute(_TRACKED, parameters).fetchall()
    standing = {name: (revision, position) for name, revision, position in rows}
    found: dict[str, int] = {}
    for projection in projections:
        revision, position = standing.get(projection.name, (None, 0))
        if revision != projection.revision:
            _begin(reader.connection, tenant_id, projection)
            position = 0
        found[projection.name] = position
    return found


def _begin(connection: Connection, tenant_id: TenantId, projection: Projection) -> None:
    """Start a projection over: its rows of this tenant go, and its tracking position returns to 0."""
    parameters = {
        "tenant_id": tenant_id,
        "projection": projection.name,
        "revision": projection.revision,
    }
    with connection.transaction():
        connection.execute(_BEGIN, parameters)
        if connection.execute(_BEGIN_AGAIN, parameters).rowcount:
            for table in projection.tables:
                delete = SQL("delete from {} where tenant_id = %s").format(Identifier(table.name))
                connection.execute(delete, (tenant_id,))


def _write(reader: Reader, projections: Sequence[Projection], entries: Sequence[Entry], start: int) -> bool:
    """Write a page and move; False, with nothing written, when somebody else moved first."""
    tenant_id = reader.tenant.tenant_id
    with reader.connection.transaction(), psycopg.Cursor(reader.connection) as cursor:
        cursor.execute(BY_KEY)
        for projection in projections:
            # Moved first: the row's lock makes a second runner wait here, before it has written anything.
            cursor.execute(
                _MOVE,
                {
                    "tenant_id": tenant_id,
                    "projection": projection.name,
                    "revision": projection.revision,
                    "before": start,
                    "after": start + len(entries),
                },
            )
            if cursor.rowcount != 1:
                raise psycopg.Rollback
        for projection in projections:
            projection.write(cursor, tenant_id, entries)
        return True
    return False


def wait_until(
    connection: Connection, tenant: Tenant, projection: str, position: int, *, timeout_ms: int = 2_000
) -> None:
    """Return when a projection has read every entry below a position. Raises Lagging when time is up."""
    deadline = time.monotonic() + timeout_ms / 1_000
    parameters = {"tenant_id": tenant.tenant_id, "projections": [projection]}
    pause_s = 0.005
    while True:
        rows = connection.execute(_TRACKED, parameters).fetchall()
        if any(reached >= position for _, _, reached in rows):
            return
        if time.monotonic() > deadline:
            raise Lagging(f"{projection} of tenant {tenant.slug} has not reached {position} in {timeout_ms} ms")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


class Runner:
    """Follows all tenants of a database, in a thread of its own.

    reach: opens a connection in autocommit. open_reader: a tenant's reader on it.
    report_lag: told after every look how many entries each projection is behind, over all tenants.
    report_failure: told what kept a tenant's projections from being carried on (None: the database itself).
    That tenant is left alone for half a minute, the others are not.
    """

    def __init__(
        self,
        reach: Callable[[], Connection],
        open_reader: Callable[[Connection, Tenant], Reader],
        *,
        report_lag: Callable[[Mapping[str, int]], None] = lambda lag: None,
        report_failure: Callable[[Tenant | None, Exception], None] = lambda tenant, failure: None,
        projections: Sequence[Projection] = PROJECTIONS,
    ) -> None:
        self._reach = reach
        self._open_reader = open_reader
        self._report_lag = report_lag
        self._report_failure = report_failure
        self._projections = projections
        self._readers: dict[int, Reader] = {}
        self._set_aside: dict[int, float] = {}  # Tenant → when to try again, by the monotonic clock.

    def run_forever(self, stop: threading.Event) -> None:
        """Carry every tenant's projections along until `stop` is set; come back when the database does."""
        failures = 0
        while not stop.is_set():
            try:
                with self._reach() as connection:
                    # What a crash takes back is read again: rows and tracking go together. Nobody waits for the disk.
                    connection.execute("set synchronous_commit = off")
                    self._readers.clear()
                    while not stop.is_set():
                        read = self.look(connection)
                        failures = 0
                        if read:
                            self._tidy(connection)
                        stop.wait(_pause_s(read))
            except (psycopg.OperationalError, psycopg.InterfaceError) as failure:
                self._report_failure(None, failure)
                stop.wait(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1

    def look(self, connection: Connection) -> int:
        """Carry every tenant a few pages on; returns how many entries the slowest projection lagged, if any moved."""
        tenants, lag = behind(connection, self._projections)
        self._report_lag(lag)
        moved = False
        for tenant in tenants:
            if self._set_aside.get(tenant.tenant_id, 0.0) > time.monotonic():
                continue
            try:
                catch_up(self._reader(connection, tenant), projections=self._projections, pages=_PAGES_A_TURN)
                moved = True
            except (psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except Exception as failure:
                self._set_aside[tenant.tenant_id] = time.monotonic() + _SET_ASIDE_S
                self._report_failure(tenant, failure)
        return max(lag.values()) if moved else 0

    def _tidy(self, connection: Connection) -> None:
        """Move what is new in indexes of terms where it belongs, so that no append has to."""
        try:
            connection.execute("select tidy_indexes()")
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as failure:
            self._report_failure(None, failure)

    def _reader(self, connection: Connection, tenant: Tenant) -> Reader:
        if tenant.tenant_id not in self._readers:
            self._readers[tenant.tenant_id] = self._open_reader(connection, tenant)
        return self._readers[tenant.tenant_id]


def _pause_s(entries: int) -> float:
    """How long to wait after a look that found so many entries to read."""
    if entries >= PAGE_ENTRIES:
        return 0
    return _BUSY_POLL_S if entries >= _BUSY_ENTRIES else POLL_S
