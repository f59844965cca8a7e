"""Personnel's file of terminations, read: whose employment ended when, by whatever names the file has for them.

CSV whose first line names its columns, in any spelling and order. A date without a time is that day's end, in UTC:
until then the person may work. A line without a time, or without any name, is told and ends the reading: a list that
was compared in part would pass for a comparison.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from msgspec import Struct

from projections.files import BadFile, csv_lines, letters, opened_text, time

_TEXT_MAX = 1_024
_DATE_CHARACTERS = 10  # 2026-03-31

# What columns are called, once everything but letters and digits is gone.
_USER_NAME = (
    "username", "login", "loginname", "upn", "userprincipalname", "email", "emailaddress", "mail", "workemail",
    "primaryworkemail",
)  # fmt: skip
_EXTERNAL_ID = ("externalid", "objectid", "immutableid", "alias")
_EMPLOYEE_ID = ("employeeid", "employeenumber", "employeeno", "personnelnumber", "workerid", "personid", "staffid")
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


def digest(file: BinaryIO) -> str:
    """Return the file's SHA-256, in hex."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def terminations(file: BinaryIO) -> Iterator[Termination]:
    """Yield the file's lines. Raises BadFile with the line."""
    with opened_text(file) as text:
        names, lines = csv_lines(text)
        columns = {kind: [name for name in names if letters(name) in known] for kind, known in _COLUMNS.items()}
        if not columns["terminated"]:
            raise BadFile("the first line names no column of when the employment ended, such as terminated_at")
        if not any(columns[kind] for kind in _NAMES):
            raise BadFile("the first line names no column of who it was, such as user_name, external_id or employee_id")
        for line, where in lines:
            yield _termination(line, where, columns)


_COLUMNS = {
    "user_name": _USER_NAME, "external_id": _EXTERNAL_ID, "employee_id": _EMPLOYEE_ID, "terminated": _TERMINATED,
}  # fmt: skip
_NAMES = ("user_name", "external_id", "employee_id")


def _termination(line: dict[str, str], where: str, columns: dict[str, list[str]]) -> Termination:
    def texts(kind: str) -> list[str]:
        return [text for name in columns[kind] if (text := line.get(name, "").strip()[:_TEXT_MAX])]

    names = list(dict.fromkeys(name for kind in _NAMES for name in texts(kind)))
    if not names:
        raise BadFile(f"{where} names nobody")
    if any("\0" in name for name in names):
        raise BadFile(f"{where} has a character that no name can have")
    when = next(iter(texts("terminated")), "")
    at = time(when, where)
    if len(when) == _DATE_CHARACTERS:
        if at.year == datetime.max.year:
            raise BadFile(f"{where} lies at the end of all time")
        at = at.replace(tzinfo=UTC) + timedelta(days=1)
    return Termination(where, next(iter(texts("employee_id")), ""), names, at)
