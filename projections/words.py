"""Answers in plain words, for somebody with a telephone at the other ear. Pure.

Times are UTC and say so. The initiator is the token's label and its address, never the product's name. What a
client chose is shown with control characters spelled out: a display name must not move a terminal's cursor.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from projections.attributes import short
from projections.story import Change, GroupHeld, RequestTold
from projections.why import CREATIONS, Explanation, Step

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_OPERATOR = "operator"
_VALUE_LENGTH_MAX = 300
_EMPTY = ("  none",)


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


def counted(number: int, noun: str) -> str:
    """`1 user`, `2 users`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


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
        case "UserDeleted" | "GroupDeleted" | "ResourceDeleted":
            return "deleted" if not told.group_name else f"the group {group(told.group_id, told.group_name)} deleted"
        case "AttributeChanged" if told.before is None and told.after is None:
            return f"{short(told.attribute)}: a new one was received (it is never stored)"
        case "AttributeChanged" | "Reactivated":
            return f"{short(told.attribute)}: {value(told.before)} → {value(told.after)}"
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
            return f"refused, {told.repetitions} more times" if told.repetitions else "a request that was refused"
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


def request_lines(request: RequestTold) -> Iterator[str]:
    """A request with everything that helps to find it again, here and at the identity provider."""
    yield f"  request {request.request_id}, position {request.first_position}, {when(request.at)}"
    if (bulk := request.bulk) is not None:
        yield f"    operation {bulk.number} of {bulk.count} of the bulk request {bulk.request_id}"
    if request.method:
        answered = f", answered {request.status}" if request.status else ""
        yield f"    {request.method} {plain(request.path)}{answered}"
    token = f" (token {request.token_id})" if request.token_id not in ("", _OPERATOR) else ""
    address = f" from {plain(request.client_address)}" if request.client_address else ""
    agent = f", {plain(request.user_agent)}" if request.user_agent else ""
    yield f"    by {initiator(request)}{token}{address}{agent}"
    if request.activity_id:
        yield f"    ActivityId {request.activity_id}: search Entra's logs for it"
    for header, sent in request.correlation.items():
        if request.activity_id not in sent or not request.activity_id:
            yield f"    {plain(header)}: {plain(sent)}"
    if request.operations:
        yield f"    operations: {'; '.join(map(plain, request.operations))}"
    if request.detail:
        yield f"    detail: {plain(request.detail)}"
    if request.quirks:
        yield f"    repaired: {', '.join(request.quirks)}"
    if request.ignored:
        yield f"    ignored: {', '.join(map(plain, request.ignored))}"


def explanation(told: Explanation) -> str:
    """The whole answer to *why*, for one user or group."""
    sections = [
        [*verdict(told)],
        ["Who is meant", *_names(told)],
        ["What happened, in order", *_facts(told)],
        ["The requests behind it", *(line for r in _deciding(told) for line in request_lines(r))],
        ["Changed by the same requests", *([f"  {change(c)}" for c in told.in_request] or _EMPTY)],
        ["Groups lost in the hour before", *([f"  {_lost(g)}" for g in told.lost_before] or _EMPTY)],
        ["Groups still held", *([f"  {_held(g)}" for g in told.held] or _EMPTY)],
        ["State now", f"  {_state(told)}"],
    ]
    if told.disabled is None and told.deleted is None:
        sections = [section for section in sections if section[0] not in _OF_A_DEPROVISIONING]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


_OF_A_DEPROVISIONING = (
    "The requests behind it",
    "Changed by the same requests",
    "Groups lost in the hour before",
)


def verdict(told: Explanation) -> list[str]:
    """The answer in at most four sentences: what is true, who asked for it and when, what is left."""
    noun = told.resource_type.lower() if told.resource in ("users", "groups") else told.resource_type
    sentences = [f"{plain(told.called)} {_VERDICTS[told.verdict]}."]
    if told.disabled is not None:
        sentences.append(_disabled(told.disabled, noun))
    if told.enabled is not None:
        sentences.append(_enabled(told.enabled))
    if told.deleted is not None:
        sentences.append(f"On {when(told.deleted.at)} {initiator(told.deleted.request)} deleted the {noun}.")
    if told.verdict == "active":
        sentences.append(f"It was created on {when(told.created.at)} by {initiator(told.created.request)}.")
    return sentences


_VERDICTS = {
    "active": "is not deprovisioned: active, and never was anything else",
    "reactivated": "is not deprovisioned: active again after having been deactivated",
    "deactivated": "is deprovisioned: deactivated, not deleted",
    "created inactive": "was never active: created inactive, not deleted",
    "deleted": "is deprovisioned: deleted",
    "deactivated, then deleted": "is deprovisioned: deactivated, then deleted",
    "created inactive, then deleted": "was never active: created inactive, then deleted",
}


def _disabled(step: Step, noun: str) -> str:
    who = f"On {when(step.at)} {initiator(step.request)}"
    if step.event in CREATIONS:
        return f"{who} created the {noun} with active set to false."
    return f"{who} set active to false, {'explicitly' if step.explicit else 'implied by what was sent'}."


def _enabled(step: Step) -> str:
    how = "set active to true again" if step.event == "Reactivated" else "unassigned active, which disables nobody"
    return f"On {when(step.at)} {initiator(step.request)} {how}."


def _names(told: Explanation) -> Iterator[str]:
    yield f"  {'id':<12}{told.id}"
    for name in told.names:
        since = f"since {when(name.from_at)} (position {name.from_position})"
        until = f" until {when(name.to_at)} (position {name.to_position})" if name.to_at else ""
        yield f"  {name.kind:<12}{plain(name.value)}, {since}{until}"


def _facts(told: Explanation) -> Iterator[str]:
    width = max((len(str(fact.position)) for fact in told.facts), default=1)
    for fact in told.facts:
        request = told.requests.get(fact.request_id)
        yield f"  position {fact.position:>{width}}, {when(fact.at)}: {change(fact)}"
        if request is not None:
            yield f"    {request_line(request)}"


def _deciding(told: Explanation) -> list[RequestTold]:
    steps = (told.disabled, told.enabled, told.deleted)
    return [step.request for step in steps if step is not None and step.request is not None]


def _lost(membership: GroupHeld) -> str:
    assert membership.to_at is not None, "lost memberships have ended"
    if membership.ended_by == "GroupDeleted":
        how = "the group was deleted"
    else:
        how = "named in the request" if membership.explicit else "implied, not named in the request"
    return (
        f"{group(membership.group_id, membership.group_name)}, {when(membership.to_at)}"
        f" (position {membership.to_position}), {how}, request {membership.ended_in}"
    )


def _held(membership: GroupHeld) -> str:
    return (
        f"{group(membership.group_id, membership.group_name)}, since {when(membership.from_at)}"
        f" (position {membership.from_position})"
    )


def _state(told: Explanation) -> str:
    groups = f"{len(told.held)} group{'' if len(told.held) == 1 else 's'}"
    return f"{told.state} since {when(told.state_since)}, in {groups}; read up to entry {told.size - 1}"
