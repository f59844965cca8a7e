"""From the bytes of a request to JSON we can work with, or a refusal (MT-08 to MT-15 of the catalogue).

The fast path decodes once with msgspec, which keeps the last of two members with the same name and says
nothing. The walk that checks depth and numbers therefore also counts: every member has one colon in the raw
text, and further colons stand inside strings. If the sums differ, a member was lost, and the slow path names
it. Escapes that would disturb the count, or hide what cannot be stored, take the slow path at once.
"""

import json
import re
from typing import Any

import msgspec

from domain.attributes import JsonObject
from domain.errors import InvalidSyntax, InvalidValue

DEPTH_MAX = 64
STRUCK = "***"

_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1
_decode = msgspec.json.Decoder().decode
_NAME = re.compile(r"[A-Za-z$][\w$:.-]{0,99}", re.ASCII)


def parse_json(raw: bytes) -> JsonObject:
    """Read a request body, which has to be one JSON object.

    Refused with InvalidSyntax: what is not JSON or not UTF-8, two members of one name (also when only the
    case differs, because attribute names have none), nesting deeper than DEPTH_MAX. With InvalidValue: lone
    surrogates, U+0000, numbers beyond 64 bit. Never raises anything else.
    """
    if b"\\u003" not in raw and b"\\u0000" not in raw and b"\\ud" not in raw and b"\\uD" not in raw:
        try:
            body = _decode(raw)
            if type(body) is dict and _colons(body, DEPTH_MAX) == raw.count(b":"):
                return body
        except (ValueError, RecursionError):
            pass  # The slow path finds out what it is and says so.
    return _parse_slowly(raw)


def names_message(schemas: Any, urn: str) -> bool:
    """Whether `schemas` names a message, in any letter case (DEC-24)."""
    return type(schemas) is list and any(type(each) is str and each.lower() == urn.lower() for each in schemas)


def _colons(body: JsonObject | list[Any], depth: int) -> int:
    """Colons this part must have had in the raw text: one a member, and those inside strings.

    Raises InvalidSyntax and InvalidValue as `parse_json`.
    """
    if depth == 0:
        raise InvalidSyntax(f"the body is nested deeper than {DEPTH_MAX} levels")
    colons = 0
    if type(body) is dict:
        colons = len(body)
        if colons > 1 and len(set(map(str.lower, body))) != colons:
            raise InvalidSyntax("a member is given twice, with different case")
        names = "".join(body)
        if ":" in names:
            colons += names.count(":")
        parts: Any = body.values()
    else:
        parts = body
    for part in parts:
        kind = type(part)
        if kind is str:
            if ":" in part:
                colons += part.count(":")
        elif kind is dict or kind is list:
            colons += _colons(part, depth - 1)
        elif kind is int and not _INTEGER_MIN <= part <= _INTEGER_MAX:
            raise InvalidValue("a number is beyond 64 bit")
    return colons


def _parse_slowly(raw: bytes) -> JsonObject:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidSyntax("the body is not UTF-8") from None
    try:
        body = json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_decimal,
            parse_constant=_not_json,
        )
    except json.JSONDecodeError as error:
        raise InvalidSyntax(f"the body is not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise InvalidSyntax(f"the body is nested deeper than {DEPTH_MAX} levels") from None
    if not isinstance(body, dict):
        raise InvalidSyntax("the body has to be a JSON object")
    _colons(body, DEPTH_MAX)
    _check_strings(body)
    return body


def _members(pairs: list[tuple[str, Any]]) -> JsonObject:
    seen: set[str] = set()
    for name, _ in pairs:
        lowered = name.lower()
        if lowered in seen:
            shown = name if _NAME.fullmatch(name) else "a member"
            raise InvalidSyntax(f"{shown} is given twice in one object")
        seen.add(lowered)
    return dict(pairs)


def _integer(digits: str) -> int:
    if len(digits) > 20 or not _INTEGER_MIN <= int(digits) <= _INTEGER_MAX:
        raise InvalidValue("a number is beyond 64 bit")
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise InvalidValue("a number is beyond 64 bit")
    return value


def _not_json(constant: str) -> Any:
    raise InvalidSyntax(f"{constant} is not JSON")


def _check_strings(body: Any) -> None:
    """Refuse what no store can keep. Depth is bounded before."""
    if isinstance(body, str):
        if "\0" in body:
            raise InvalidValue("a string holds U+0000")
        try:
            body.encode()
        except UnicodeEncodeError:
            raise InvalidValue("a string holds half a surrogate pair") from None
    elif isinstance(body, dict):
        for name, part in body.items():
            _check_strings(name)
            _check_strings(part)
    elif isinstance(body, list):
        for part in body:
            _check_strings(part)


def strike_out(body: Any, never_returned: frozenset[str]) -> Any:
    """The body with every value of a never-returned attribute replaced by "***"; the rest is the same.

    Such a value may stand below its name, a qualified or dotted name, next to a PATCH `path` that mentions
    it, inside that path's filter, anywhere in bulk data, or in a JSON text that a client sent as a string.
    In doubt it is struck out: what is sealed for an auditor must not hold a password (SX-01).

    body: as `parse_json` returns it, so that its depth is bounded. never_returned: of the tenant's types.
    """
    if not never_returned:
        return body
    return _struck(body, re.compile("|".join(map(re.escape, sorted(never_returned))), re.IGNORECASE))


def _struck(body: Any, secret: re.Pattern[str]) -> Any:
    if isinstance(body, dict):
        targeted = any(
            name.lower() == "path" and isinstance(part, str) and secret.search(part) for name, part in body.items()
        )
        return {
            _struck_text(name, secret): (
                STRUCK if secret.search(name) or (targeted and name.lower() == "value") else _struck(part, secret)
            )
            for name, part in body.items()
        }
    if isinstance(body, list):
        return [_struck(part, secret) for part in body]
    return _struck_text(body, secret) if isinstance(body, str) else body


def _struck_text(text: str, secret: re.Pattern[str]) -> str:
    """Strings that mention the attribute next to a quoted literal: JSON as text, a filter."""
    return STRUCK if '"' in text and secret.search(text) else text
