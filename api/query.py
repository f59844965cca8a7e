"""Query parameters as RFC 7644 §3.4.2 and §3.9 have them, from a URL or from a SearchRequest."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from api.exchange import utf8_query
from domain.attributes import ResourceType
from domain.errors import InvalidCount, InvalidFilter, InvalidSyntax, InvalidValue, ScimError, UriTooLong
from domain.selections import Selection, read_selection

COUNT_DEFAULT = 100  # PG-04
COUNT_MAX = 200  # RFC 7644 §3.4.2.4: more is clamped.
_NUMBER_DIGITS_MAX = 18
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
QUERY_BYTES_MAX = 8_192
_PARAMETERS_MAX = 64
# What means one thing; of two values the second would be ignored, and nobody told (FI-39).
_ONCE = {name.lower(): name for name in ("filter", "startIndex", "count", "sortBy", "sortOrder", "cursor", "asOf")}


class Query(Struct, frozen=True):
    """What a list request asks for. start_index counts from 1. count: None when not said.

    cursor: None for a page by index, "" to begin a walk, else where it goes on (RFC 9865).
    as_of: a time or a position, as it was written; None for now.
    """

    filter: str | None
    start_index: int
    count: int | None
    attributes: list[str] | str | None = None
    excluded_attributes: list[str] | str | None = None
    sort_by: str | None = None
    sort_order: str | None = None
    cursor: str | None = None
    as_of: str | None = None

    def selection(self, resource_type: ResourceType) -> Selection | None:
        """Which attributes of resources of a type are wanted."""
        if self.attributes is None and self.excluded_attributes is None:
            return _default_selection(resource_type)
        return read_selection(self.attributes, self.excluded_attributes, resource_type)

    @property
    def page_count(self) -> int:
        """How many resources the page may hold: clamped (PG-02, PG-03), or the default."""
        return COUNT_DEFAULT if self.count is None else min(COUNT_MAX, max(0, self.count))

    @property
    def offset(self) -> int:
        """How many matches come before the page: the one place where counting from 1 ends."""
        return self.start_index - 1


def parameters(query: bytes) -> dict[str, str]:
    """Return the query parameters by lower-case name (EP-19); unknown ones do no harm (EP-16).

    Raises InvalidFilter when `filter` is given twice, InvalidValue for others that mean one thing, InvalidSyntax when
    the text is not UTF-8, UriTooLong.
    """
    if not query:
        return {}
    refuse_long(query)
    parts = utf8_query(query).split("&")
    if len(parts) > _PARAMETERS_MAX:
        raise InvalidSyntax(f"a query string may have {_PARAMETERS_MAX} parameters")
    found: dict[str, str] = {}
    for part in filter(None, parts):
        written, _, value = part.partition("=")
        name = _decoded(written).lower()
        if name in found and name in _ONCE:
            raise (InvalidFilter if name == "filter" else InvalidValue)(f"{_ONCE[name]} is given twice")
        found.setdefault(name, _decoded(value))
    return found


def refuse_long(query: bytes) -> None:
    """Raise UriTooLong for a query string beyond the limit; what a long filter says is then not looked at (FI-37)."""
    if len(query) > QUERY_BYTES_MAX:
        raise UriTooLong(f"a query string may have {QUERY_BYTES_MAX} bytes; POST a longer filter to .search")


def _decoded(text: str) -> str:
    """Undo form encoding, as `urllib.parse.parse_qsl` does in nearly twice the time."""
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise InvalidSyntax("the query string is not UTF-8") from None


def selection(found: dict[str, str], resource_type: ResourceType) -> Selection | None:
    """Return which attributes the client wants. Raises InvalidValue for both parameters at once (PJ-07)."""
    if not found:
        return _default_selection(resource_type)
    return read_selection(found.get("attributes"), found.get("excludedattributes"), resource_type)


@lru_cache(maxsize=1_000)  # Tenants' types come and go.
def _default_selection(resource_type: ResourceType) -> Selection | None:
    return read_selection(None, None, resource_type)


def list_query(found: dict[str, str]) -> Query:
    """Read a list request's URL parameters."""
    cursor = found.get("cursor")
    return _query(
        filter=found.get("filter"),
        start_index=_integer(found, "startIndex", InvalidValue),
        count=_integer(found, "count", InvalidValue if cursor is None else InvalidCount),
        attributes=found.get("attributes"),
        excluded_attributes=found.get("excludedattributes"),
        sort_by=found.get("sortby"),
        sort_order=found.get("sortorder"),
        cursor=cursor,
        as_of=found.get("asof"),
    )


def search_query(body: dict[str, Any]) -> Query:
    """Read a SearchRequest (RFC 7644 §3.4.3, RFC 9865 §3): same meaning as the URL parameters."""
    members = {name.lower(): value for name, value in body.items()}
    cursor = _text(members, "cursor")
    return _query(
        filter=_text(members, "filter"),
        start_index=_member(members, "startIndex", InvalidValue),
        count=_member(members, "count", InvalidValue if cursor is None else InvalidCount),
        attributes=_listed(members, "attributes"),
        excluded_attributes=_listed(members, "excludedAttributes"),
        sort_by=_text(members, "sortBy"),
        sort_order=_text(members, "sortOrder"),
        cursor=cursor,
        as_of=_moment(members),
    )


def _query(*, start_index: int | None, cursor: str | None, **asked: Any) -> Query:
    if start_index is not None and cursor is not None:
        raise InvalidValue("startIndex and cursor are two ways to page: send one of them")  # CU-11
    return Query(start_index=1 if start_index is None else max(1, start_index), cursor=cursor, **asked)


def _text(members: dict[str, Any], name: str) -> str | None:
    value = members.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise InvalidSyntax(f"{name} must be a string")
    return value


def _moment(members: dict[str, Any]) -> str | None:
    value = members.get("asof")
    return str(value) if type(value) is int else _text(members, "asOf")  # A position may come as a number.


def _listed(members: dict[str, Any], name: str) -> list[str] | str | None:
    value = members.get(name.lower())
    if value is None or isinstance(value, str):
        return value  # PJ-11
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidSyntax(f"{name} must be an array of strings")
    return value


def _integer(found: dict[str, str], name: str, refusal: type[ScimError]) -> int | None:
    text = found.get(name.lower())
    if text is None:
        return None
    if not _INTEGER.fullmatch(text.strip()):
        raise refusal(f"{name} must be an integer")
    return int(text)


def _member(members: dict[str, Any], name: str, refusal: type[ScimError]) -> int | None:
    value = members.get(name.lower())
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise (refusal if refusal is InvalidCount else InvalidSyntax)(f"{name} must be an integer")
    if abs(value) >= 10**_NUMBER_DIGITS_MAX:
        raise refusal(f"{name} must be an integer of at most {_NUMBER_DIGITS_MAX} digits")
    return value
