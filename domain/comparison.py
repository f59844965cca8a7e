"""How values are compared: the normal form of each attribute type. Values are stored as sent, never changed.

Folding happens here, with this Python's Unicode tables, and not by a database collation (IN-07). Every
function is idempotent: filters, sorting, search documents and unique keys all use the same form (IN-05).
"""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from unicodedata import decomposition, normalize

_DATE_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:(Z)|([+-])(\d\d):(\d\d))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1)
_WIDTH = {
    code: chr(int(decomposition(chr(code)).split()[-1], 16))
    for code in (0x3000, *range(0xFF01, 0xFFEF))
    if decomposition(chr(code)).startswith(("<wide>", "<narrow>"))
}


def fold(text: str) -> str:
    """Caseless form: NFC of the full case folding, the same in every locale (RFC 7644 §3.4.2.2; IN-06)."""
    if text.isascii():
        return text.lower()
    return normalize("NFC", normalize("NFD", text).casefold())


def exact(text: str) -> str:
    """Form of a case-exact string: NFC, nothing else (FI-11)."""
    return text if text.isascii() else normalize("NFC", text)


def prepare_user_name(text: str) -> str:
    """Comparison key of a userName: width mapping, case folding, NFC (IN-02; after RFC 8265 §3.3).

    Unlike PRECIS it takes spaces and symbols, because real directories contain them (IN-04).
    """
    return text.lower() if text.isascii() else fold(text.translate(_WIDTH))


def name_key(text: str) -> bytes:
    """SHA-256 of the prepared userName: what the unique index is on, whatever the name's length."""
    return hashlib.sha256(prepare_user_name(text).encode()).digest()


def display_name_key(text: str) -> bytes:
    """SHA-256 of a folded displayName, for tenants that want their groups' names unique (GR-09)."""
    return hashlib.sha256(fold(text).encode()).digest()


def microseconds(text: str) -> int:
    """An xsd:dateTime as microseconds since 1970-01-01T00:00:00Z; digits beyond that are cut off.

    Without zone it counts as UTC (FI-17). Raises ValueError for anything but a full, possible date and time.
    Source: RFC 7643 §2.3.5.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("not an xsd:dateTime")
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    midnight = hour == "24" and minute == second == "00" and not (fraction or "").strip("0")
    at = datetime(int(year), int(month), int(day), 0 if midnight else int(hour), int(minute), int(second))
    since = at - _EPOCH
    result = (since.days * 86_400 + since.seconds + (86_400 if midnight else 0)) * 1_000_000
    result += int((fraction or "0")[:6].ljust(6, "0"))
    if sign is None:
        return result
    offset = int(zone_hours) * 60 + int(zone_minutes)
    if offset > 14 * 60 or int(zone_minutes) > 59:
        raise ValueError("no time zone is that far from UTC")
    return result - (offset if sign == "+" else -offset) * 60_000_000


def binary(text: str) -> str:
    """Form of a base64 value: padding may be missing (RFC 7643 §2.3.6)."""
    return text.rstrip("=")


def number(value: float) -> float:
    """Numbers compare by value: 1.0 is 1 (FI-19)."""
    return int(value) if type(value) is float and value.is_integer() else value


def same_value(value: Any) -> Any:
    """Form of a boolean, or of what is compared by its parts only."""
    return value


def whole_preparation(
    prepare: Callable[[Any], Any], parts: dict[str, Callable[[Any], Any]], multi_valued: bool
) -> Callable[[Any], Any]:
    """The function that does the same for the whole value of an attribute: lists, and objects of `parts`."""
    if not parts:
        return (lambda value: [*map(prepare, value)]) if multi_valued else prepare
    if multi_valued:
        return lambda value: [{name: parts[name](part) for name, part in each.items()} for each in value]
    return lambda value: {name: parts[name](part) for name, part in value.items()}


def preparation(attribute_type: str, case_exact: bool, as_user_name: bool) -> Callable[[Any], Any]:
    """The function that brings values of such an attribute into the form in which they are compared."""
    match attribute_type:
        case "string" | "reference":
            return prepare_user_name if as_user_name else exact if case_exact else fold
        case "dateTime":
            return microseconds
        case "binary":
            return binary
        case "integer" | "decimal":
            return number
        case _:
            return same_value
