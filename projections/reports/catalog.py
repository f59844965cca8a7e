"""Every report there is, by name."""

from msgspec import Struct

from domain.errors import NoSuchResource
from projections.reports.frame import Parameter, Report
from projections.reports.group_membership import GROUP_MEMBERSHIP
from projections.reports.leavers import LEAVERS
from projections.reports.movement import MOVEMENT
from projections.reports.population import POPULATION

REPORTS: dict[str, Report] = {report.name: report for report in (POPULATION, GROUP_MEMBERSHIP, MOVEMENT, LEAVERS)}


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
    return [
        Described(
            each.name, each.version, each.title, each.answers, "period" if each.of_period else "moment",
            each.parameters, each.takes_file, each.columns,
        )
        for each in REPORTS.values()
    ]  # fmt: skip


def known_report(name: str) -> Report:
    """Return a report by its name. Raises NoSuchResource."""
    if name not in REPORTS:
        raise NoSuchResource(f"there is no report {name[:100]!r}; there are {', '.join(REPORTS)}")
    return REPORTS[name]
