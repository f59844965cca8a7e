"""Rows on their way into Postgres: COPY's text format, by hand because a page has a hundred thousand fields.

Source: PostgreSQL documentation, COPY, "Text Format": tabs between columns, `\\N` for null, backslashes.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import Cursor

NULL = "\\N"

_encode_json = msgspec.json.Encoder().encode


class Table(Struct, frozen=True):
    """A table that a projection keeps; `tenant_id` comes first in its key and its columns.

    key: what tells its rows apart within a tenant. columns: all of them, in the order rows are written.
    owner: the column of `key` that names the resource a row is about, where there is one. searched: whether its
    projection finds rows in it while it writes.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    owner: str | None = None
    searched: bool = False


def text(value: str) -> str:
    """Escape a text for COPY."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def texts(values: Iterable[str]) -> str:
    """Encode a `text[]` for COPY."""
    quoted = (f'"{value.translate(_QUOTED)}"' for value in values)
    return text("{" + ",".join(quoted) + "}")


_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})


def json(value: Any) -> str:
    """Encode a `jsonb` for COPY.

    A NUL, which a jsonb cannot hold, becomes U+FFFD: one odd header must not stop a projection for good.
    """
    encoded = _encode_json(value)
    if b"\\u0000" in encoded:
        encoded = _encode_json(_without_nul(msgspec.to_builtins(value)))
    return encoded.decode().replace("\\", "\\\\")


def _without_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd")
        case list():
            return [_without_nul(element) for element in value]
        case dict():
            return {_without_nul(key): _without_nul(element) for key, element in value.items()}
        case _:
            return value


def byte_string(value: bytes) -> str:
    """Encode a `bytea` for COPY."""
    return "\\\\x" + value.hex()


def copy_lines(cursor: Cursor[Any], table: Table, lines: list[str]) -> None:
    """Append rows, given as lines of COPY text without their ends, to a table."""
    if not lines:
        return
    whole = "\n".join(lines) + "\n"
    if "\0" in whole:
        whole = whole.replace("\0", "\ufffd")
    with cursor.copy(_copy_statement(table)) as copy:
        copy.write(whole)


def _copy_statement(table: Table) -> Any:
    from psycopg.sql import SQL, Identifier

    columns = SQL(", ").join(map(Identifier, table.columns))
    return SQL("copy {} ({}) from stdin").format(Identifier(table.name), columns)
