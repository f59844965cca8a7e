"""Making a report: header, rows as they come, footer; and the ledger entry that says who was given what.

The entry is written when the rows have ended and before the footer, which names it. Whoever breaks off leaves one as
well, with the rows that were made until then. A file without its footer is not the whole report.
"""

from collections.abc import Callable, Generator, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from msgspec import Struct

from domain.events import ReportMade
from ledger.entry import Cause, Tenant
from ledger.randomness import random_id
from ledger.reader import Reader
from ledger.single import append
from ledger.tenants import OPERATOR, job_of, opaque_id
from projections.reports.formats import Format, Line, time_text
from projections.reports.frame import AN_OPERATOR, Asked, Figure, Report, Row, Scope
from projections.words import plain

GENERATOR = "scim-ledger 0.1.0"
_ROWS_AT_ONCE = 250
_NO_CHECKPOINT = "none yet: this version signs none"
_COUNTED = """
select count(*), min(position), max(position)
  from entries
 where tenant_id = %(tenant)s
   and position <= %(last)s
"""


class Header(Struct, frozen=True):
    """What an auditor has to know of a list before relying on it.

    entries: counted, from position 0 to `last_position`. without_gaps: whether they are as many as there have to be.
    ledger_size: when the report was begun. filters: in words. parameters: the same, to ask again.
    checkpoint: over the entries that were read, signed; None while there is none.
    """

    report: str
    report_version: int
    title: str
    answers: str
    tenant: str
    origin: str
    report_id: str
    made_at: datetime
    made_by: str
    generator: str
    ledger_size: int
    entries: int
    first_position: int
    last_position: int
    last_recorded_at: datetime | None
    without_gaps: bool
    as_of: datetime | None
    since: datetime | None
    until: datetime | None
    filters: list[str]
    parameters: dict[str, Any]
    columns: tuple[str, ...]
    checkpoint: str | None = None


class Footer(Struct, frozen=True):
    """What a list came to. position: of the ledger's entry about it. sha256: of the rows, as `formats` says."""

    rows_scanned: int
    rows_matched: int
    rows_output: int
    figures: list[Figure]
    reconciled: bool
    sha256: str
    report_id: str
    position: int


class Making:
    """A report in the making. `pieces` makes it; afterwards `footer` says what it came to.

    by: the token's label, or the command line. cause: gives that of the ledger's entry when it is written.
    rows_only: without header and footer.
    """

    def __init__(
        self, reader: Reader, report: Report, asked: Asked, written: Format, cause: Callable[[], Cause], *,
        by: str = "", rows_only: bool = False,
    ) -> None:  # fmt: skip
        """Raises InvalidValue, NoSuchSubject."""
        self.scope = Scope(reader, report, asked)
        self.report = report
        self.report_id = random_id()
        self.footer: Footer | None = None
        self.output = 0
        self._rows = report.begin(self.scope)
        self._reader = reader
        self._asked = asked
        self._written = written
        self._cause = cause
        self._by = by or AN_OPERATOR
        self._rows_only = rows_only

    def pieces(self) -> Generator[bytes, None, None]:
        """Make it, and record it however that ends. An empty piece says: pass on what there is."""
        try:
            if not self._rows_only:
                header = self._header()
                yield self._written.head(header_lines(header), header)
            yield self._written.columns(self.report.columns)
            yield b""
            figures: list[Figure] = []
            for rows in _batches(self._rows, figures):
                written = self._written.rows(rows)
                self.output += len(rows)
                yield written
            self.footer = self._recorded(figures)
        finally:
            if self.footer is None:
                self._rows.close()
                self._written.end()
                self._broken_off()
        if not self._rows_only:
            yield self._written.foot(footer_lines(self.footer), self.footer)
        yield self._written.end()

    def _header(self) -> Header:
        scope, report = self.scope, self.report
        count, lowest, highest = scope.row(_COUNTED)
        gapless = count == scope.last + 1 and (count == 0 or (lowest, highest) == (0, scope.last))
        tenant: Tenant = self._reader.tenant
        return Header(
            report.name, report.version, report.title, report.answers, tenant.slug, tenant.origin, self.report_id,
            datetime.now(UTC), self._by, GENERATOR, self._reader.size(), count, scope.first, scope.last,
            scope.time_of(scope.last), gapless, None if report.of_period else scope.at,
            scope.since if report.of_period else None,
            scope.at if report.of_period else None, scope.filters or ["none: everything is listed"],
            self._parameters(), report.columns,
        )  # fmt: skip

    def _parameters(self) -> dict[str, Any]:
        """What has to be asked to be given the same again."""
        asked, scope = self._asked, self.scope
        moments = (
            {"from": _text(asked.since), "to": _text(asked.until, scope.at)}
            if self.report.of_period
            else {"asOf": _text(asked.as_of, scope.at)}
        )
        return {name: text for name, text in moments.items() if text} | asked.parameters | scope.recorded

    def _recorded(self, figures: list[Figure]) -> Footer:
        reconciled = all(figure.agrees is not False for figure in figures)
        position = self._append(complete=True, reconciled=reconciled)
        return Footer(
            self.scope.scanned, self.scope.matched, self.output, figures, reconciled, self._written.sha256,
            self.report_id, position,
        )  # fmt: skip

    def _broken_off(self) -> None:
        connection = self._reader.connection
        if not (connection.closed or connection.broken):
            self._append(complete=False, reconciled=False)

    def _append(self, *, complete: bool, reconciled: bool) -> int:
        scope, tenant = self.scope, self._reader.tenant
        event = ReportMade(
            self.report_id, self.report.name, self.report.version, self._parameters(), self._written.extension,
            scope.first, scope.last, scope.scanned, scope.matched, self.output, self._written.sha256, complete,
            reconciled,
        )  # fmt: skip
        stream = f"reports/{self.report_id}"
        job = job_of(tenant, self._reader.vault, self._cause(), stream, 1, opaque_id(tenant), event)
        return append(self._reader.connection, job).position


def _batches(rows: Generator[Row, None, list[Figure]], figures: list[Figure]) -> Generator[list[Row], None, None]:
    """Some rows at a time; the figures that they return are put into `figures`."""

    def all_rows() -> Generator[Row, None, None]:
        figures.extend((yield from rows))

    source = all_rows()
    while batch := list(islice(source, _ROWS_AT_ONCE)):
        yield batch


def _text(moment: datetime | int | None, otherwise: datetime | None = None) -> str:
    moment = otherwise if moment is None else moment
    return time_text(moment) if isinstance(moment, datetime) else "" if moment is None else str(moment)


def header_lines(header: Header) -> list[Line]:
    """The header for people."""
    span = f"0 to {header.last_position}" if header.last_position >= 0 else "none"
    gaps = "no gaps" if header.without_gaps else "THERE ARE GAPS"
    newest = f", recorded {time_text(header.last_recorded_at)}" if header.last_recorded_at else ""
    return [
        ("Report", header.title),
        ("Answers", header.answers),
        ("Name and version", f"{header.report}, version {header.report_version}"),
        ("Report id", header.report_id),
        ("Tenant", header.tenant),
        ("Ledger", header.origin),
        ("Made at", time_text(header.made_at)),
        ("Made by", plain(header.made_by)),
        ("Made with", header.generator),
        ("Ledger size", f"{header.ledger_size} entries when the report was begun"),
        ("Entries that count", f"positions {span}{newest}; {header.entries} counted, {gaps}"),
        *_span_lines(header),
        *(("Filter", words) for words in header.filters),
        ("Ask again", _again(header.parameters)),
        ("Signed checkpoint", header.checkpoint or _NO_CHECKPOINT),
    ]


def _span_lines(header: Header) -> Iterable[Line]:
    if header.as_of is not None:
        yield "As of", time_text(header.as_of)
    if header.until is not None:
        since = time_text(header.since) if header.since else "the beginning"
        yield "Period", f"after {since}, until {time_text(header.until)} (positions {header.first_position + 1} on)"


def _again(parameters: dict[str, Any]) -> str:
    said = [
        (name, each) for name, given in parameters.items() for each in (given if isinstance(given, list) else [given])
    ]
    return " ".join(f"{name}={each}" for name, each in said)


def footer_lines(footer: Footer) -> list[Line]:
    """The footer for people."""
    counts = [
        ("Rows scanned", str(footer.rows_scanned)),
        ("Rows matched", str(footer.rows_matched)),
        ("Rows output", str(footer.rows_output)),
    ]
    figures = [(figure.says, f"{figure.value}{_AGREES[figure.agrees]}") for figure in footer.figures]
    return [
        *counts,
        *figures,
        ("Reconciles", "yes" if footer.reconciled else "NO: see the figures that do not agree"),
        ("SHA-256 of the rows", footer.sha256),
        ("Recorded at position", str(footer.position)),
        ("End of report", footer.report_id),
    ]


_AGREES = {True: " (agrees)", False: " (DOES NOT AGREE)", None: ""}


def by_whom(token_id: str, label: str) -> str:
    """Who makes it, for the header."""
    return AN_OPERATOR if token_id == OPERATOR else f'the token "{label}" ({token_id})'
