"""A file of approvals, read: who was to be given an account, by which request, and when that was approved.

A date without a time is that day's beginning, in UTC: approved on the day counts as approved before.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import BinaryIO

from msgspec import Struct

from projections.files import time
from projections.reports.named_lines import NamedLine, named_lines

_COLUMNS = {
    "reference": (
        "approvalreference", "approval", "approvalid", "reference", "ticket", "ticketid", "ticketnumber", "request",
        "requestid", "requestnumber", "case", "caseid", "changenumber",
    ),
    "approved": ("approvedat", "approvaldate", "approvaltime", "approved", "approvedon", "dateapproved"),
}  # fmt: skip


class Approval(Struct, frozen=True):
    """A line of the file. at: None where it says no time. names: as of `NamedLine`."""

    line: str
    names: list[str]
    reference: str
    at: datetime | None


def approvals(file: BinaryIO) -> Iterator[Approval]:
    """Yield the file's lines. Raises BadFile with the line."""
    with closing(named_lines(file, _COLUMNS, {"reference": "the approval's reference, such as ticket"})) as lines:
        for line in lines:
            yield _approval(line)


def _approval(line: NamedLine) -> Approval:
    when = line.others["approved"]
    return Approval(line.line, line.names, line.others["reference"], time(when, line.line) if when else None)
