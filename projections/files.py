"""Files that others exported: text whose encoding is found out, CSV whose separator is, names as people spell them."""

import codecs
import csv
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from io import TextIOWrapper
from typing import BinaryIO

_FIELD_MAX = 1 << 17
_OTHERS = re.compile("[^a-z0-9]+")


class BadFile(Exception):
    """A file is not what it is taken for; the text says where, and quotes nothing of it."""


def digest(file: BinaryIO) -> str:
    """Return a file's SHA-256, in hex."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextmanager
def opened_text(file: BinaryIO) -> Iterator[TextIOWrapper]:
    """Read a file, from its beginning, as text. Raises BadFile for an empty one, and for what is no UTF-8 or UTF-16."""
    file.seek(0)
    encoding = "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    file.seek(0)
    text = TextIOWrapper(file, encoding=encoding, newline="")
    try:
        if not text.read(4_096).strip():
            raise BadFile("the file is empty")
        text.seek(0)
        yield text
    except UnicodeError:
        raise BadFile("the file is not UTF-8 text") from None
    finally:
        with suppress(ValueError):  # Whoever reads may be let go after the file was closed.
            text.detach()


def csv_lines(text: TextIOWrapper) -> tuple[list[str], Iterator[tuple[dict[str, str], str]]]:
    """Return the names in the first line, and the lines below it, each with where it stands. Raises BadFile."""
    head, above = text.readline(_FIELD_MAX), 1
    if head.lower().startswith("sep="):
        head, above = text.readline(_FIELD_MAX), 2
    delimiter = max(",;\t", key=head.count)
    try:
        names = next(csv.reader([head], delimiter=delimiter), [])
    except csv.Error:
        raise BadFile("the first line is no CSV") from None
    return names, _lines(text, names, delimiter, above)


def _lines(text: TextIOWrapper, names: list[str], delimiter: str, above: int) -> Iterator[tuple[dict[str, str], str]]:
    lines = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        try:
            fields = next(lines, None)
        except csv.Error:
            where = f"line {lines.line_num + above}"
            raise BadFile(f"{where} is no CSV: a quote is not closed, or a field too long") from None
        if fields is None:
            return
        where = f"line {lines.line_num + above}"
        if any(fields[len(names) :]):
            raise BadFile(f"{where} has more fields than the first line has names")
        if any(fields):
            yield dict(zip(names, fields, strict=False)), where


@lru_cache(maxsize=4_096)  # The same few names in every row.
def letters(name: str) -> str:
    """`Source Identity.ID` and `sourceIdentityId` alike."""
    return _OTHERS.sub("", name.lower())


def time(text: str, where: str) -> datetime:
    """Read a time that can be meant in one way only, in UTC where it names no zone. Raises BadFile."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadFile(f"{where} has no time that can be meant in one way only: write 2026-11-24T09:00:00Z") from None
