"""Personnel's file of terminations, read: whose employment ended when, by whatever names the file has for them.

A date without a time is that day's end, in UTC: until then the person may work. A line without a time ends the reading,
as one without a name does.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from msgspec import Struct

from projections.files import BadFile, time
from projections.reports.named_lines import NamedLine, named_lines

_DATE_CHARACTERS = 10  # 2026-03-31
_TERMINATED = (
    "terminatedat", "terminationdate", "terminationtime", "terminated", "termination", "lastday", "lastdayofwork",
    "lastworkingday", "enddate", "leavedate", "leavingdate", "leftat", "employmentend", "employmentenddate",
)  # fmt: skip


class Termination(Struct, frozen=True):
    """A line of the file. names: userName, externalId and the like, as many as it has; looked up as any of these."""

    line: str
    employee_id: str
    names: list[str]
    at: datetime


def terminations(file: BinaryIO) -> Iterator[Termination]:
    """Yield the file's lines. Raises BadFile with the line."""
    needed = {"terminated": "when the employment ended, such as terminated_at"}
    with closing(named_lines(file, {"terminated": _TERMINATED}, needed)) as lines:
        for line in lines:
            yield _termination(line)


def _termination(line: NamedLine) -> Termination:
    when = line.others["terminated"]
    at = time(when, line.line)
    if len(when) == _DATE_CHARACTERS:
        if at.year == datetime.max.year:
            raise BadFile(f"{line.line} lies at the end of all time")
        at = at.replace(tzinfo=UTC) + timedelta(days=1)
    return Termination(line.line, line.employee_id, line.names, at)
