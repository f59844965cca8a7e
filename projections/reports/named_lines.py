"""CSV files about people that others exported: whom each line names, and what else it says, by columns of any spelling.

A line that names nobody ends the reading: a list that was compared in part would pass for a comparison.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import BinaryIO

from msgspec import Struct

from projections.files import BadFile, csv_lines, letters, opened_text

_TEXT_MAX = 1_024

# What columns are called, once everything but letters and digits is gone.
_NAMES = {
    "user_name": (
        "username", "login", "loginname", "upn", "userprincipalname", "email", "emailaddress", "mail", "workemail",
        "primaryworkemail",
    ),
    "external_id": ("externalid", "objectid", "immutableid", "alias"),
    "employee_id": (
        "employeeid", "employeenumber", "employeeno", "personnelnumber", "workerid", "personid", "staffid",
    ),
}  # fmt: skip


class NamedLine(Struct, frozen=True):
    """A line of the file. names: userName, externalId and the like, as many as it has; looked up as any of these.

    others: what it says in the columns that were asked for, empty where it says nothing. line: for people.
    """

    line: str
    names: list[str]
    employee_id: str
    others: dict[str, str]


def named_lines(
    file: BinaryIO, wanted: Mapping[str, Sequence[str]], needed: Mapping[str, str]
) -> Generator[NamedLine, None, None]:
    """Yield the file's lines. Raises BadFile with the line.

    wanted: what columns besides names are called, by what they are here. needed: of these, what to say of a file
    without one.
    """
    with opened_text(file) as text:
        head, lines = csv_lines(text)
        known = {**_NAMES, **wanted}
        columns = {kind: [name for name in head if letters(name) in called] for kind, called in known.items()}
        for kind, says in needed.items():
            if not columns[kind]:
                raise BadFile(f"the first line names no column of {says}")
        if not any(columns[kind] for kind in _NAMES):
            raise BadFile("the first line names no column of who it was, such as user_name, external_id or employee_id")
        for line, where in lines:
            yield _named(line, where, columns)


def _named(line: dict[str, str], where: str, columns: dict[str, list[str]]) -> NamedLine:
    names: list[str] = []
    firsts: dict[str, str] = {}
    for kind, called in columns.items():
        firsts[kind] = ""
        for name in called:
            text = line.get(name, "").strip()[:_TEXT_MAX]
            if not text:
                continue
            firsts[kind] = firsts[kind] or text
            if kind in _NAMES and text not in names:
                names.append(text)
    if not names:
        raise BadFile(f"{where} names nobody")
    if "\0" in "".join((*names, *firsts.values())):
        raise BadFile(f"{where} has a character that no name can have")
    employee_id = firsts["employee_id"]
    for kind in _NAMES:
        del firsts[kind]
    return NamedLine(where, names, employee_id, firsts)
