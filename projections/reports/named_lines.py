"""CSV files about people that others exported: whom each line names, and what else it says, by columns of any spelling.

A line that names nobody ends the reading: a list that was compared in part would pass for a comparison.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

from msgspec import Struct

from domain.errors import InvalidValue
from projections.files import BadFile, csv_lines, digest, letters, opened_text
from projections.names import NAMING
from projections.subjects import name_keys

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


def read_once(file: BinaryIO, read: Callable[[BinaryIO], Iterable[object]], called: str) -> tuple[int, str]:
    """Read all of a file, so that a wrong line is told before anything else; return how many lines, and the SHA-256.

    called: what the file is called for people. Raises InvalidValue with the line.
    """
    try:
        return sum(1 for _ in read(file)), digest(file)
    except BadFile as error:
        raise InvalidValue(f"{called}: {error}") from None


def account_keys(names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (kind, key) of everything that an account by these names can be called in the table `names`."""
    return ((kind, key) for name in names for kind, key in name_keys(name).items() if kind in NAMING["users"])


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
