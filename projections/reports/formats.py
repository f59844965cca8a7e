"""What a report is written as. CSV is for people and spreadsheets, JSON Lines for machines: there every value is exact.

What the SHA-256 is of: of JSON Lines the rows' lines; of CSV the line of column names and the rows. A file without
header and footer is nothing but these bytes, so that any tool can tell its hash.
"""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from projections.reports.frame import Cell, Row
from projections.words import plain

Line = tuple[str, str]  # Of header and footer, for people: what it says, and what.

# A spreadsheet takes a cell that begins so for a formula; the last four are the signs' full-width forms.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Format(Protocol):
    """A way of writing. Bytes come as they are made; `sha256` is of the rows so far.

    as_text: whether it may be printed on a terminal.
    """

    media_type: str
    extension: str
    as_text: bool

    @property
    def sha256(self) -> str:
        """In hex."""

    def head(self, lines: Sequence[Line], told: Any) -> bytes:
        """Begin with the header, in lines for people and as an object for machines."""

    def columns(self, names: Sequence[str]) -> bytes:
        """Name the columns of what follows."""

    def rows(self, rows: Sequence[Row]) -> bytes:
        """Write some rows."""

    def foot(self, lines: Sequence[Line], told: Any) -> bytes:
        """End with the footer."""

    def end(self) -> bytes:
        """Write what there is still to write."""


def shown(cell: Cell) -> str | int | float:
    """A cell for people. What is not printable is spelled out, and nothing begins as a formula does."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case datetime():
            return time_text(cell)
        case list():
            return _guarded(plain("; ".join(cell)))
        case str():
            return _guarded(plain(cell))
        case _:
            return cell


def _guarded(text: str) -> str:
    """With an apostrophe before it where a formula could begin, or an apostrophe of its own be taken for ours."""
    return f"'{text}" if text.startswith(("'", *_FORMULA)) else text


def time_text(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Echo:
    """What csv writes to: it gives each line back."""

    @staticmethod
    def write(line: str) -> str:
        return line


class Csv:
    """RFC 4180. Header and footer are lines of their own, each set apart from the rows by an empty one."""

    media_type = "text/csv; charset=utf-8; header=present"
    extension = "csv"
    as_text = True

    def __init__(self) -> None:
        self._line: Callable[[Sequence[Any]], str] = csv.writer(_Echo()).writerow
        self._digest = sha256()

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._digest.hexdigest()

    def head(self, lines: Sequence[Line], told: Any) -> bytes:
        """Begin with the header."""
        return self._apart(lines) + b"\r\n"

    def columns(self, names: Sequence[str]) -> bytes:
        """Name the columns."""
        return self._counted(self._line(names))

    def rows(self, rows: Sequence[Row]) -> bytes:
        """Write some rows."""
        return self._counted("".join(self._line([shown(cell) for cell in row]) for row in rows))

    def foot(self, lines: Sequence[Line], told: Any) -> bytes:
        """End with the footer."""
        return b"\r\n" + self._apart(lines)

    def end(self) -> bytes:
        """Nothing is left."""
        return b""

    def _apart(self, lines: Sequence[Line]) -> bytes:
        return "".join(self._line([shown(cell) for cell in line]) for line in lines).encode()

    def _counted(self, text: str) -> bytes:
        written = text.encode("utf-8", "replace")
        self._digest.update(written)
        return written


class JsonLines:
    """A header object, an object a row, a footer object; a line each."""

    media_type = "application/jsonl"
    extension = "jsonl"
    as_text = True

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._digest = sha256()

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._digest.hexdigest()

    def head(self, lines: Sequence[Line], told: Any) -> bytes:
        """Begin with the header."""
        return _encode({"header": told}) + b"\n"

    def columns(self, names: Sequence[str]) -> bytes:
        """Remember what the members are called."""
        self._names = names
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        """Write some rows."""
        written = b"".join(
            _encode(dict(zip(self._names, map(_exact, row), strict=True))) + b"\n" for row in rows
        )  # fmt: skip
        self._digest.update(written)
        return written

    def foot(self, lines: Sequence[Line], told: Any) -> bytes:
        """End with the footer."""
        return _encode({"footer": told}) + b"\n"

    def end(self) -> bytes:
        """Nothing is left."""
        return b""


def _exact(cell: Cell) -> Any:
    return time_text(cell) if isinstance(cell, datetime) else cell
