"""Entra's provisioning log as it is exported, read piece by piece: JSON from the portal or Graph, or three CSV files.

JSON is an array, Graph's pages (`{"value": […]}`), or one object a line. Of the CSV files the first holds the rows, the
others their steps and modified properties, joined by change id. Microsoft prints no header lines of them: names are
taken in any case, with blanks or dots, in every spelling that was seen or is likely; what nobody knows is kept.
Source: facts on the Entra client, §5.1 and §5.3.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import TextIOWrapper
from typing import Any, BinaryIO

from msgspec import Struct

from domain.ids import is_id
from projections.entra import EntraProperty, EntraRow, EntraStep
from projections.files import BadFile, csv_lines, letters, opened_text, time

ROW_CHARACTERS_MAX = 1 << 20
_TEXT_MAX = 4_096
_READ = 1 << 18


class StepPart(Struct, frozen=True):
    """A line of the file of steps."""

    change_id: str
    part: EntraStep


class PropertyPart(Struct, frozen=True):
    """A line of the file of modified properties."""

    change_id: str
    part: EntraProperty


Piece = EntraRow | StepPart | PropertyPart

# The fields of a row, and what they are called once everything but letters and digits is gone.
_SPELLINGS = {
    "row_id": ("id", "logid", "rowid", "provisioninglogid"),
    "at": ("activitydatetime", "activitydate", "activitydatetimeutc", "datetime", "dateutc", "date", "timegenerated"),
    "action": ("provisioningaction", "action"),
    "status": ("provisioningstatusinfostatus", "statusinfostatus", "status", "resulttype", "result"),
    "cycle_id": ("cycleid",),
    "change_id": ("changeid", "provisioningchangeid"),
    "job_id": ("jobid",),
    "initiated_by": ("initiatedbydisplayname", "initiatedbyname", "initiatedby", "initiatorname"),
    "initiator_type": ("initiatedbyinitiatortype", "initiatedbytype", "initiatortype"),
    "duration_ms": ("durationinmilliseconds", "durationms", "durationmilliseconds", "duration"),
    "source_id": ("sourceidentityid", "sourceid", "sourceobjectid"),
    "source_name": ("sourceidentitydisplayname", "sourceidentityname", "sourceidentity", "identity"),
    "source_type": ("sourceidentityidentitytype", "sourceidentitytype", "sourcetype"),
    "target_id": ("targetidentityid", "targetid", "targetobjectid"),
    "target_type": ("targetidentityidentitytype", "targetidentitytype", "targettype"),
    "service_principal": ("serviceprincipaldisplayname", "serviceprincipalname", "serviceprincipal", "application"),
    "error_code": ("provisioningstatusinfoerrorinformationerrorcode", "errorinformationerrorcode", "errorcode",
                   "statusinfoerrorinformationerrorcode", "resultsignature"),
    "error_reason": ("provisioningstatusinfoerrorinformationreason", "errorinformationreason", "errorreason",
                     "statusinfoerrorinformationreason", "reason", "resultdescription"),
    "modified": ("modifiedproperties",),
    "steps": ("provisioningsteps", "steps"),
}  # fmt: skip
_OPENED = frozenset((
    "initiatedby", "sourceidentity", "targetidentity", "sourcesystem", "targetsystem", "serviceprincipal",
    "provisioningstatusinfo", "statusinfo", "errorinformation",
))  # fmt: skip
_STEP = {
    "name": ("name", "stepname", "provisioningstepname", "step"),
    "type": ("provisioningsteptype", "steptype", "type"),
    "status": ("status", "stepstatus", "result"),
    "description": ("description", "stepdescription"),
    "details": ("details", "stepdetails"),
}
_PROPERTY = {
    "name": ("displayname", "name", "propertyname", "modifiedpropertyname", "property"),
    "before": ("oldvalue", "before"),
    "after": ("newvalue", "after"),
}
_CHANGE = ("changeid", "provisioningchangeid")
_PAGE = re.compile(
    r'\s*\{\s*(?:"(?!value")[^"\\]{1,100}"\s*:\s*(?:"(?:[^"\\]|\\.){0,4000}"|[-\d.]+|true|false|null)\s*,\s*){0,20}'
    r'"value"\s*:\s*\['
)


def read_export(file: BinaryIO) -> Iterator[Piece]:
    """Yield what a file holds, in its order. Raises BadFile with the row or line."""
    with opened_text(file) as text:
        start = text.read(4_096).lstrip()[:1]
        text.seek(0)
        yield from _json(text) if start in ("[", "{") else _csv(text)


# JSON.


def _json(text: TextIOWrapper) -> Iterator[EntraRow]:
    for number, record in enumerate(_records(_Window(text)), 1):
        if not isinstance(record, dict):
            raise BadFile(f"row {number} is no JSON object")
        yield _row(record, f"row {number}")


def _records(window: "_Window") -> Iterator[Any]:
    if window.peek() == "[":
        yield from window.elements()
        if window.peek():
            raise BadFile("behind the last row comes something that belongs to no row")
        return
    while window.peek():
        if (head := window.match(_PAGE)) is not None:
            window.take(head.end() - head.start() - 1)
            yield from window.elements()
            window.finish_object()
        else:
            record = window.row()
            rows = record.get("value") if isinstance(record, dict) else None
            yield from rows if isinstance(rows, list) else [record]


class _Window:
    """A stretch of a long JSON text: what was read and is not used up."""

    def __init__(self, source: TextIOWrapper) -> None:
        self._source = source
        self._decode = json.JSONDecoder(parse_constant=_no_number).raw_decode
        self._text = ""
        self._at = 0
        self._ended = False
        self._rows = 0

    def _read(self) -> None:
        more = self._source.read(_READ)
        self._ended = not more
        self._text = self._text[self._at :] + more
        self._at = 0

    def peek(self) -> str:
        """Return the next character that is no blank; empty at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read()

    def take(self, characters: int) -> None:
        """Use up what comes next."""
        self._at += characters

    def match(self, pattern: "re.Pattern[str]") -> "re.Match[str] | None":
        """Match what comes next, as far as a head reaches."""
        while len(self._text) - self._at < _HEAD and not self._ended:
            self._read()
        return pattern.match(self._text, self._at)

    def elements(self) -> Iterator[Any]:
        """Yield an array's elements, from its opening bracket to its closing one."""
        self.take(1)
        if self.peek() == "]":
            return self.take(1)
        while True:
            yield self.row()
            sign = self.peek()
            if sign not in (",", "]"):
                raise BadFile(f"after row {self._rows} the JSON is broken off or wrong")
            self.take(1)
            if sign == "]":
                return None

    def finish_object(self) -> None:
        """Use up the rest of an object, behind the value of one of its members."""
        while self.peek() == ",":
            self.take(1)
            self.value()
            self.peek()
            self.take(1)
            self.value()
        if self.peek() != "}":
            raise BadFile(f"after row {self._rows} the JSON is broken off or wrong")
        self.take(1)

    def row(self) -> Any:
        """Return the next value, which is a row."""
        self._rows += 1
        return self.value()

    def value(self) -> Any:
        """Return the next value."""
        self.peek()
        while True:
            try:
                value, self._at = self._decode(self._text, self._at)
                return value
            except (ValueError, RecursionError):
                if self._ended or len(self._text) - self._at > ROW_CHARACTERS_MAX:
                    raise BadFile(f"row {self._rows} is no whole JSON, or too long") from None
                self._read()


_BLANK = re.compile(r"[ \t\r\n]*")
_HEAD = 8_192


def _no_number(constant: str) -> Any:
    raise ValueError(constant)


# CSV.


def _csv(text: TextIOWrapper) -> Iterator[Piece]:
    names, lines = csv_lines(text)
    read = _reading(frozenset(map(letters, names)))
    for line, where in lines:
        yield read(line, where)


def _reading(names: frozenset[str]) -> Callable[[dict[str, Any], str], Piece]:
    """How the lines below these names are read."""
    if not names.isdisjoint(_PROPERTY["before"] + _PROPERTY["after"]):
        return _property_part
    if not names.isdisjoint(_SPELLINGS["at"]) and not names.isdisjoint(_SPELLINGS["action"]):
        return _row
    if not names.isdisjoint(_STEP["name"]) and not names.isdisjoint(_CHANGE):
        return _step_part
    raise BadFile(
        "the first line names no columns of ProvisioningLogs, ProvisioningLogs_ProvisioningSteps or "
        "ProvisioningLogs_ModifiedProperties"
    )


def _step_part(line: dict[str, Any], where: str) -> StepPart:
    return StepPart(_change_of(line, where), _step(line))


def _property_part(line: dict[str, Any], where: str) -> PropertyPart:
    return PropertyPart(_change_of(line, where), _property(line))


def _change_of(line: dict[str, Any], where: str) -> str:
    if change_id := _text(next((value for name, value in line.items() if letters(name) in _CHANGE), "")):
        return change_id
    raise BadFile(f"{where} has no change id, which says which row it belongs to")


# Rows.


def _row(record: Mapping[str, Any], where: str) -> EntraRow:
    """A row from its members or columns, whatever they are called."""
    found, rest = _ROW_NAMES.sort(_flat(record, ""))
    modified, steps = (_list(found.pop(name), where) for name in ("modified", "steps"))
    texts: dict[str, Any] = {name: _text(value) for name, value in found.items()}
    if not (texts["row_id"] or texts["change_id"]):
        raise BadFile(f"{where} has neither an id nor a change id")
    return EntraRow(
        **texts
        | {
            "row_id": texts["row_id"] or texts["change_id"],
            "at": time(texts["at"], where),
            "action": letters(texts["action"]) or "other",
            "status": letters(texts["status"]),
            "duration_ms": _whole(texts["duration_ms"]),
            "target_id": _our_id(texts["target_id"]),
            "modified": [_property(each) for each in modified],
            "steps": [_step(each) for each in steps],
            "details": {path: _clean(value) for path, value in rest.items()},
        }
    )


def _flat(record: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    """Members with their paths, those of identities and systems too."""
    for name, given in record.items():
        here = f"{path}.{name}" if path else str(name)
        value = _opened(given)
        if isinstance(value, list) and value and letters(here) == "serviceprincipal":
            value = value[0]
        if isinstance(value, dict) and letters(str(name)) in _OPENED:
            yield from _flat(value, here)
        else:
            yield here, value


class _Names:
    """What fields are called."""

    def __init__(self, spellings: Mapping[str, tuple[str, ...]]) -> None:
        self._fields = tuple(spellings)
        self._places = {each: (field, rank) for field, all_ in spellings.items() for rank, each in enumerate(all_)}

    def sort(self, members: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields, each by its likeliest name, None without any; and everything else that says something."""
        found: dict[str, tuple[int, str, Any]] = {}
        rest: dict[str, Any] = {}
        for path, value in members:
            if value in _NOTHING:
                continue
            field, rank = self._places.get(letters(path), ("", 0))
            known = found.get(field)
            if not field or (known is not None and known[0] <= rank):
                rest[path] = value
                continue
            if known is not None:
                rest[known[1]] = known[2]
            found[field] = (rank, path, value)
        return {field: found[field][2] if field in found else None for field in self._fields}, rest


_NOTHING: tuple[Any, ...] = (None, "", [], {})
_ROW_NAMES, _STEP_NAMES, _PROPERTY_NAMES = _Names(_SPELLINGS), _Names(_STEP), _Names(_PROPERTY)


def _opened(value: Any) -> Any:
    """JSON within a text, as CSV and Log Analytics have it, read; everything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "[") and len(value) > 1:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _list(value: Any, where: str) -> list[Mapping[str, Any]]:
    if value in (None, ""):
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadFile(f"{where} has modified properties or steps that are no list of objects")
    return value


def _property(record: Mapping[str, Any]) -> EntraProperty:
    found, _ = _PROPERTY_NAMES.sort(record.items())
    name, before, after = map(_text, found.values())
    return EntraProperty(name, before or None, after or None)  # CSV has no other way to say that there is none.


def _step(record: Mapping[str, Any]) -> EntraStep:
    found, rest = _STEP_NAMES.sort(record.items())
    name, kind, status, description, details = found.values()
    details = _opened(details)
    if isinstance(details, dict):
        rest |= details
    elif details is not None:
        rest["details"] = details
    rest = {member: _clean(value) for member, value in rest.items() if letters(member) not in _CHANGE}
    return EntraStep(_text(name), _text(kind), letters(_text(status)), _text(description), rest)


def _text(value: Any) -> str:
    """A value as a text that a database holds, bounded."""
    if value is None:
        return ""
    told = value if isinstance(value, str) else json.dumps(value)
    return _whole_text(told[:_TEXT_MAX].strip())


def _whole_text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _clean(value: Any) -> Any:
    """The same value, its texts bounded and such that a database holds them."""
    match value:
        case str():
            return _whole_text(value[:_TEXT_MAX])
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_whole_text(str(name)): _clean(each) for name, each in value.items()}
        case float() if not math.isfinite(value):  # 1e999, which JSON allows and cannot mean.
            return None
        case int() if abs(value) >= 1 << 63:
            return str(value)
        case _:
            return value


def _whole(text: str) -> int:
    try:
        return max(0, min(int(float(text or 0)), 10**12))
    except (ValueError, OverflowError):
        return 0


def _our_id(text: str) -> str:
    """Our ids in our spelling; others as they are."""
    return text.lower() if is_id(text.lower()) else text
