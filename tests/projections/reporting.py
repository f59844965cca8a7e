"""Reports made in a test: rows and figures without a file and without the entry, or whole."""

from typing import Any

from msgspec import Struct

from ledger.reader import Reader
from projections.reports.catalog import REPORTS
from projections.reports.frame import Asked, Figure, Scope


class Listed(Struct, frozen=True):
    """A report's rows by column name, and its figures by what they say."""

    rows: list[dict[str, Any]]
    figures: dict[str, Figure]
    scanned: int
    matched: int

    def value(self, says: str) -> int | str:
        """A figure."""
        return self.figures[says].value

    @property
    def contradictions(self) -> list[Figure]:
        """Figures that do not agree with what was counted another way."""
        return [figure for figure in self.figures.values() if figure.agrees is False]


def listed(reader: Reader, name: str, asked: Asked | None = None, **parameters: str | list[str]) -> Listed:
    """Read a report. parameters: its own."""
    given = {each: value if isinstance(value, list) else [value] for each, value in parameters.items()}
    asked = asked or Asked()
    scope = Scope(reader, REPORTS[name], Asked(asked.as_of, asked.since, asked.until, given, asked.file))
    rows: list[dict[str, Any]] = []
    source = REPORTS[name].begin(scope)
    while True:
        try:
            rows.append(dict(zip(REPORTS[name].columns, next(source), strict=True)))
        except StopIteration as end:
            return Listed(rows, {figure.says: figure for figure in end.value}, scope.scanned, scope.matched)
