"""Answers in plain words, for somebody with a telephone at the other ear. Pure.

Times are UTC and say so. The initiator is the token's label and its address, never the product's name. What a
client chose is shown with control characters spelled out: a display name must not move a terminal's cursor.
"""

import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from projections.attributes import short
from projections.story import Change, Overwritten, RequestTold

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OPERATOR = "operator"
_VALUE_LENGTH_MAX = 300
LINE_LENGTH = 100


def when(at: datetime) -> str:
    """`1 Dec 2026 17:40:10 UTC`."""
    utc = at.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc:%Y %H:%M:%S} UTC"


def span(seconds: float) -> str:
    """A duration in the two units that matter: `2 h 40 min`, `12 s`, `0.4 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for large, small, size, part in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if seconds >= size:
            rest = round((seconds % size) // part)
            return f"{round(seconds // size)} {large}" + (f" {rest} {small}" if rest else "")
    return f"{round(seconds)} s"


def counted(number: int, noun: str, many: str = "") -> str:
    """`1 user`, `2 users`; many: what several are called, where it is not that with an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {many or f'{noun}s'}"


def wrap(text: str, indent: str = "", hang: str = "") -> list[str]:
    """Break a text into lines that a terminal shows whole; ids and names stay in one piece."""
    return textwrap.wrap(
        text, LINE_LENGTH, initial_indent=indent, subsequent_indent=indent + hang, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def plain(text: str) -> str:
    """Spell out what is not printable: control characters, and those that turn the direction of text."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def value(of: Any) -> str:
    """A value as JSON, `nothing` when unassigned, cut when it is long."""
    if of is None:
        return "nothing"
    shown = plain(msgspec.json.encode(of).decode())
    return shown if len(shown) <= _VALUE_LENGTH_MAX else shown[: _VALUE_LENGTH_MAX - 1] + "…"


def modified(attribute: str, before: Any, after: Any) -> str:
    """An attribute's old value and new; of what is never stored, such as a password, that one came."""
    if before is None and after is None:
        return f"{short(attribute)}: {RECEIVED}"
    return f"{short(attribute)}: {value(before)} → {value(after)}"


RECEIVED = "a new one was received (it is never stored)"


def initiator(request: RequestTold | None) -> str:
    """Who asked: `the client "Entra"`."""
    if request is None:
        return "a request whose record was erased"
    if request.token_id == _OPERATOR:
        return "an operator on the command line"
    return f'the client "{plain(request.token_label)}"' if request.token_label else "a client without a label"


def group(group_id: str, name: str) -> str:
    """A group as people and scripts know it."""
    return f'"{plain(name)}" ({group_id})' if name else group_id


def change(told: Change) -> str:
    """What one entry did, in a few words."""
    if told.erased:
        return f"{_ERASED.get(told.event, told.event)} (what it said was erased)"
    match told.event:
        case "UserCreated" | "GroupCreated" | "ResourceCreated":
            return "created"
        case "GroupDeleted" if told.member_id:
            return f"left the group {group(told.group_id, told.group_name)}, which was deleted"
        case "UserDeleted" | "GroupDeleted" | "ResourceDeleted":
            return "deleted" if not told.group_name else f"the group {group(told.group_id, told.group_name)} deleted"
        case "AttributeChanged" | "Reactivated":
            return modified(told.attribute, told.before, told.after)
        case "Deactivated":
            return f"active: {value(told.before)} → false, {'explicitly' if told.explicit else 'implied'}"
        case "MembershipAdded":
            return f"joined the group {group(told.group_id, told.group_name)}"
        case "MembershipRemoved":
            how = "named in the request" if told.explicit else "implied, not named in the request"
            return f"left the group {group(told.group_id, told.group_name)}, {how}"
        case "RequestUnchanged":
            return "a request that changed nothing"
        case "RequestRefused":
            repeated = f"{counted(told.repetitions, 'repetition')} of " if told.repetitions else ""
            return f"{repeated}a request that was refused"
        case _:
            return told.event


_ERASED = {
    "UserCreated": "created",
    "ResourceCreated": "created",
    "UserDeleted": "deleted",
    "ResourceDeleted": "deleted",
    "GroupDeleted": "deleted",
    "Deactivated": "deactivated",
    "Reactivated": "reactivated",
    "AttributeChanged": "an attribute changed",
    "MembershipAdded": "joined a group",
    "MembershipRemoved": "left a group",
}


def overwrote(was: Overwritten) -> str:
    """What a change put aside that another client had set."""
    who = f'the client "{plain(was.token_label)}"' if was.token_label else "another client"
    return f"overwrites {value(was.value)}, which {who} set at position {was.position}"


def request_line(request: RequestTold) -> str:
    """A request on one line."""
    parts = [initiator(request)]
    if request.client_address:
        parts.append(f"from {plain(request.client_address)}")
    if request.method:
        parts.append(f"{request.method} {plain(request.path)}")
    if request.status:
        parts.append(f"answered {request.status}" + (f" {request.scim_type}" if request.scim_type else ""))
    parts.append(f"request {request.request_id}")
    return ", ".join(parts)


def request_details(request: RequestTold) -> Iterator[str]:
    """What helps to find a request again at whoever sent it, and what we made of it: beyond its line."""
    if (bulk := request.bulk) is not None:
        yield f"operation {bulk.number} of {bulk.count} of the bulk request {bulk.request_id}"
    if request.token_id not in ("", _OPERATOR):
        yield f"token {request.token_id}"
    if request.user_agent:
        yield f"software {plain(request.user_agent)}"
    if request.activity_id:
        yield f"ActivityId {request.activity_id}"
    for header, sent in request.correlation.items():
        if request.activity_id not in sent or not request.activity_id:
            yield f"{plain(header)}: {plain(sent)}"
    if request.operations:
        yield f"operations: {'; '.join(map(plain, request.operations))}"
    if request.detail:
        yield f"detail: {plain(request.detail)}"
    if request.quirks:
        yield f"repaired: {', '.join(request.quirks)}"
    if request.ignored:
        yield f"ignored: {', '.join(map(plain, request.ignored))}"
