"""What every report is made of: what it is called and asked for, what it reads, its rows, and figures that add up.

A report's rows are a generator that returns its figures: they are counted while the rows go by, or counted another way,
so that they can contradict each other. Everything is read as of a fixed position, page by page, each page a statement
of its own: what is written meanwhile changes nothing, and nobody keeps a snapshot.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, LiteralString

from msgspec import Struct
from psycopg.sql import SQL, Identifier

from domain.errors import InvalidValue
from ledger.reader import Reader
from ledger.tenants import OPERATOR
from projections.answers import read_up_to
from projections.asof import last_position
from projections.differences import NAMES
from projections.directory import resource_of

PAGE = 1_000
AN_OPERATOR = "operator (command line)"
_RESTS_ON = ("trail", "names", "runs")  # And on versions, which `last_position` waits for.

Cell = str | int | float | bool | datetime | list[str] | None
Row = Sequence[Cell]


class Figure(Struct, frozen=True):
    """A line of the footer. agrees: whether what was counted in two ways is the same; None where it was in one."""

    says: str
    value: int | str
    agrees: bool | None = None


Rows = Generator[Row, None, list[Figure]]


class Parameter(Struct, frozen=True):
    """What a report may be asked for besides its moment or period. many: whether it may be given several times."""

    name: str
    says: str
    many: bool = False


class Report(Struct, frozen=True):
    """A kind of report.

    name: in commands and URLs. version: of its columns and rules. answers: the question, for people.
    of_period: whether it is about a period, else about a moment. takes_file: whether it can be laid beside a file.
    begin: checks what was asked for, and returns the rows. Raises InvalidValue, NoSuchSubject.
    """

    name: str
    version: int
    title: str
    answers: str
    columns: tuple[str, ...]
    begin: Callable[["Scope"], Rows]
    of_period: bool = False
    parameters: tuple[Parameter, ...] = ()
    takes_file: bool = False


class Asked(Struct, frozen=True):
    """What was asked for: moments, and the report's own parameters. file: laid beside it, readable twice."""

    as_of: datetime | int | None = None
    since: datetime | int | None = None
    until: datetime | int | None = None
    parameters: dict[str, list[str]] = {}
    file: BinaryIO | None = None


class Doing(Struct, frozen=True):
    """By whom and through which request something was done. Empty where the record was erased.

    entries: how many the request left, from first_position on.
    """

    at: datetime | None = None
    by: str = ""
    token_id: str = ""
    address: str = ""
    request_id: str = ""
    method: str = ""
    path: str = ""
    status: int | None = None
    entries: int = 0
    first_position: int = 0


_NOTHING_KNOWN = Doing()
_NOW = "select date_trunc('milliseconds', clock_timestamp())"
_DOINGS = """
select k.position, t.recorded_at, t.token_label, t.token_id, t.client_address, t.request_id::text, t.method, t.path,
       t.http_status, t.entry_count, t.first_position
  from unnest(%(positions)s::bigint[]) k(position)
 cross join lateral (select *
                       from trail r
                      where r.tenant_id = %(tenant)s
                        and r.first_position <= k.position
                      order by r.first_position desc
                      limit 1) t
"""
_COUNTED = """
select count(*)
  from entries
 where tenant_id = %(tenant)s
   and position > %(first)s
   and position <= %(last)s
   and event_type = %(event_type)s
   and starts_with(stream, %(kind)s)
"""


class Scope:
    """What a report reads: one tenant's ledger between two positions.

    first: what happened is of entries behind it; -1 for all. last: of the last entry that counts. at: the moment at
    the end: as it was asked for, or now; the time of the last entry where a position was asked for. since: the moment
    at the beginning; None for all of it.
    scanned, matched: rows, counted by the report as it goes. filters: in words, for the header.
    recorded: parameters as they are to be recorded, where not as they were asked.
    """

    def __init__(self, reader: Reader, report: Report, asked: Asked) -> None:
        """Raises InvalidValue for moments that have not come yet, or that the report is not about."""
        self.reader = reader
        self.asked = asked
        self.first = self.last = -1
        self.scanned = self.matched = 0
        self.filters: list[str] = []
        self.recorded: dict[str, list[str]] = {}
        _check(report, asked)
        now = self.row(_NOW)[0]
        end = asked.until if report.of_period else asked.as_of
        self.last = last_position(reader, reader.size() - 1 if end is None else end)
        self.first = -1 if asked.since is None else last_position(reader, asked.since)
        if self.first > self.last:
            raise InvalidValue(f"the period begins at position {self.first}, after its end at position {self.last}")
        for projection in _RESTS_ON:
            read_up_to(reader, projection, self.last + 1)
        self.since = asked.since if isinstance(asked.since, datetime) else self.time_of(self.first)
        newest = self.time_of(self.last)
        self.at = end if isinstance(end, datetime) else newest or now
        if end is None:
            self.at = max(self.at, now)

    def fits(self, row: Row) -> Row:
        """Count a row that was looked at and belongs into the report."""
        self.scanned += 1
        self.matched += 1
        return row

    def time_of(self, position: int) -> datetime | None:
        """When an entry was recorded; None before the first."""
        query = "select recorded_at from entries where tenant_id = %(tenant)s and position = %(position)s"
        found = self.rows(query, position=position)
        return found[0][0] if found else None

    def run(self, query: str, **parameters: Any) -> None:
        """Have a statement done that returns nothing."""
        given = {"tenant": self.reader.tenant.tenant_id, "first": self.first, "last": self.last, **parameters}
        self.reader.connection.execute(query.encode(), given)

    def rows(self, query: str, **parameters: Any) -> list[Any]:
        """Put a statement to the database; it may name tenant, first and last besides its own parameters."""
        given = {"tenant": self.reader.tenant.tenant_id, "first": self.first, "last": self.last, **parameters}
        return self.reader.connection.execute(query.encode(), given).fetchall()

    def row(self, query: str, **parameters: Any) -> Any:
        """Return the one row of a statement."""
        return self.rows(query, **parameters)[0]

    def pages(self, query: str, begin: Any, *, key: int = 0, **parameters: Any) -> Iterator[list[Any]]:
        """Page through a statement that goes on behind `after`, for `count` rows, in the order of a column.

        begin: what `after` is at first. key: which column it is.
        """
        after = begin
        while page := self.rows(query, after=after, count=PAGE, **parameters):
            yield page
            if len(page) < PAGE:
                return
            after = page[-1][key]

    def doings(self, positions: Sequence[int | None]) -> dict[int | None, Doing]:
        """By whom the entries at these positions were made."""
        wanted = list({position for position in positions if position is not None})
        found: dict[int | None, Doing] = dict.fromkeys(positions, _NOTHING_KNOWN)
        for position, at, label, token_id, *rest in self.rows(_DOINGS, positions=wanted):
            found[position] = Doing(at, known_as(token_id, label), token_id, *rest)
        return found

    def names(self, ids: Sequence[str]) -> dict[str, str]:
        """What these users and groups were called last, until the end."""
        rows = self.rows(NAMES, ids=list(set(ids)))
        return {resource_id: name_of(resource_of(document)) for resource_id, _, document in rows}

    def counted(self, event_type: str, kind: str = "") -> int:
        """Count the period's entries of a type themselves. kind: with its slash, of their streams."""
        return int(self.row(_COUNTED, event_type=event_type, kind=kind)[0])

    @contextmanager
    def table(self, name: str, columns: LiteralString) -> Iterator[None]:
        """Have a table of the connection's own for the time being: what does not fit into memory waits there."""
        connection = self.reader.connection
        drop = SQL("drop table if exists {}").format(Identifier(name))
        connection.execute(drop)
        connection.execute(SQL("create temporary table {} ({})").format(Identifier(name), SQL(columns)))
        try:
            yield
        finally:
            if not (connection.closed or connection.broken):
                connection.execute(drop)

    def given(self, name: str) -> list[str]:
        """What a parameter was given, in order."""
        return self.asked.parameters.get(name, [])

    def one_of(self, name: str, known: Sequence[str], default: str) -> str:
        """What a parameter that is one of some words was given. Raises InvalidValue."""
        given = self.given(name)
        if given and given[-1] not in known:
            raise InvalidValue(f"{name} is one of {', '.join(known)}")
        return given[-1] if given else default

    def number(self, name: str, default: int, maximum: int = 100_000) -> int:
        """What a parameter that is a number was given. Raises InvalidValue."""
        given = self.given(name)
        if not given:
            return default
        text = given[-1]
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and 0 < int(text) <= maximum):
            raise InvalidValue(f"{name} is a number from 1 to {maximum}")
        return int(text)


def known_as(token_id: str, label: str) -> str:
    """Who acts, for people: a token's or OAuth client's label, or the command line."""
    return AN_OPERATOR if token_id == OPERATOR else label


def name_of(resource: dict[str, Any]) -> str:
    """What a user or group is called; empty for one that was erased."""
    return str(resource.get("userName", resource.get("displayName", "")))


def _check(report: Report, asked: Asked) -> None:
    """Raise InvalidValue when what was asked for is not what the report is about."""
    if report.of_period and asked.as_of is not None:
        raise InvalidValue(f"{report.name} is about a period: say from and to, not as of")
    if not report.of_period and (asked.since is not None or asked.until is not None):
        raise InvalidValue(f"{report.name} is about a moment: say as of, not from and to")
    known = {parameter.name: parameter for parameter in report.parameters}
    for name, values in asked.parameters.items():
        if name not in known:
            raise InvalidValue(
                f"{report.name} knows no {name}; it takes {', '.join(known) or 'nothing besides moments'}"
            )
        if len(values) > 1 and not known[name].many:
            raise InvalidValue(f"{name} may be given once")
    if asked.file is not None and not report.takes_file:
        raise InvalidValue(f"{report.name} is not laid beside a file")
