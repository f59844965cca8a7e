"""Every report there is, by name, and what it can be written as."""

from collections.abc import Callable

from msgspec import Struct

from domain.errors import NoSuchResource
from projections.reports.actors import ACTORS
from projections.reports.bursts import BURSTS
from projections.reports.changes import CHANGES
from projections.reports.failures import FAILURES
from projections.reports.formats import Csv, Format, JsonLines
from projections.reports.frame import Parameter, Report
from projections.reports.group_changes import GROUP_CHANGES
from projections.reports.group_membership import GROUP_MEMBERSHIP
from projections.reports.integrity import INTEGRITY
from projections.reports.joiners import JOINERS
from projections.reports.leavers import LEAVERS
from projections.reports.movement import MOVEMENT
from projections.reports.orphans import ORPHANS
from projections.reports.population import POPULATION
from projections.reports.reactivations import REACTIVATIONS
from projections.reports.workbook import Workbook

_ALL = (
    POPULATION, GROUP_MEMBERSHIP, MOVEMENT, JOINERS, LEAVERS, REACTIVATIONS, CHANGES, GROUP_CHANGES, ORPHANS, FAILURES,
    BURSTS, ACTORS, INTEGRITY,
)  # fmt: skip
FORMATS: dict[str, Callable[[], Format]] = {"csv": Csv, "jsonl": JsonLines, "xlsx": Workbook}
REPORTS: dict[str, Report] = {report.name: report for report in _ALL}


class Described(Struct, frozen=True):
    """A report as it is offered. about: a moment (asOf) or a period (from, to). takes_file: by POST."""

    name: str
    version: int
    title: str
    answers: str
    about: str
    parameters: tuple[Parameter, ...]
    takes_file: bool
    columns: tuple[str, ...]


def described() -> list[Described]:
    """Return every report as it is offered."""
    return [_described(each) for each in REPORTS.values()]


def _described(report: Report) -> Described:
    about = "period" if report.of_period else "moment"
    return Described(
        report.name, report.version, report.title, report.answers, about, report.parameters, report.takes_file,
        report.columns,
    )  # fmt: skip


def known_report(name: str) -> Report:
    """Return a report by its name. Raises NoSuchResource."""
    if name not in REPORTS:
        raise NoSuchResource(f"there is no report {name[:100]!r}; there are {', '.join(REPORTS)}")
    return REPORTS[name]
