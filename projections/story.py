"""Entries about one resource, told in order: what changed, through which request, what was held when.

Pure. Every function takes entries in position order and may be given more than it needs: what speaks of
others is left aside. Event types are read before events, so that an erased event still counts as what it was.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from domain.events import (
    AttributeChanged,
    Deactivated,
    GroupCreated,
    MembershipRemoved,
    RequestRefused,
    ResourceCreated,
    UserCreated,
)
from domain.schemas import STANDARD
from ledger.entry import BulkOperation, Cause, Entry, Erased, Received
from projections.attributes import flat
from projections.names import NAMING
from projections.requests import NO_CAUSE, happened_at

_ACTIVITY_ID = re.compile(r"ActivityId:\s*([0-9a-f-]{36})", re.IGNORECASE)
NAME_ATTRIBUTES = ("userName", "externalId", "displayName")
DELETIONS = ("UserDeleted", "GroupDeleted", "ResourceDeleted")


class RequestTold(Struct, frozen=True, omit_defaults=True):
    """A request as an administrator looks for it.

    token_label: the initiator. activity_id: Entra's, from its ADSCIMVersion header, to search its logs for.
    duration_us: from receipt to append. first_position: of its entries. received: the commitment to its body,
    and whether that is kept. bulk: which operation of which bulk request it was; the body is the bulk request's.
    """

    request_id: str
    first_position: int
    at: datetime
    token_id: str = ""
    token_label: str = ""
    profile: str = ""
    client_address: str = ""
    user_agent: str = ""
    correlation: dict[str, str] = {}
    activity_id: str = ""
    method: str = ""
    path: str = ""
    operations: list[str] = []
    status: int = 0
    scim_type: str = ""
    detail: str = ""
    quirks: list[str] = []
    ignored: list[str] = []
    duration_us: int = 0
    received: Received | None = None
    bulk: BulkOperation | None = None


class Overwritten(Struct, frozen=True, omit_defaults=True):
    """What another client had set, at a position, and a change put aside: a sync over a manual change, or back."""

    position: int
    token_label: str
    value: Any = None


class Change(Struct, frozen=True, omit_defaults=True):
    """One entry about the resource.

    event: its type. attribute, before, after: of AttributeChanged; `active` of Deactivated, Reactivated.
    resource: of a creation, by attribute name. group_id, group_name, member_id: of memberships; a GroupDeleted with
    a member_id is the end of that member's. explicit: whether the request named it. repetitions: how many of an earlier
    refusal the entry stands for, the last of them at `at`; 0 when it stands for itself. erased: what it said is gone,
    that it happened is not.
    """

    position: int
    at: datetime
    event: str
    request_id: str
    version: int = 0
    attribute: str = ""
    before: Any = None
    after: Any = None
    resource: dict[str, Any] = {}
    group_id: str = ""
    group_name: str = ""
    member_id: str = ""
    explicit: bool = True
    repetitions: int = 0
    erased: bool = False
    overwrote: Overwritten | None = None


class NameHeld(Struct, frozen=True, omit_defaults=True):
    """A name and when it was held; still so while `to_position` is None.

    kind: userName, externalId or displayName.
    """

    kind: str
    value: str
    from_position: int
    from_at: datetime
    to_position: int | None = None
    to_at: datetime | None = None


class GroupHeld(Struct, frozen=True, omit_defaults=True):
    """A direct membership and when it was held; still so while `to_position` is None.

    group_name: what the group was called when it ended, or is called now. ended_by: MembershipRemoved or
    GroupDeleted. explicit: whether the ending named the member. ended_in: that request's id.
    """

    group_id: str
    group_name: str
    from_position: int
    from_at: datetime
    to_position: int | None = None
    to_at: datetime | None = None
    ended_by: str = ""
    explicit: bool = True
    ended_in: str = ""


class GroupNames:
    """What groups were called at a position, from their own entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._names: dict[str, list[tuple[int, str]]] = {}
        for entry in entries:
            match entry.event:
                case GroupCreated(group_id=group_id, resource=resource):
                    self._note(group_id, entry.position, resource.get("displayName"))
                case AttributeChanged(attribute="displayName", after=after) if entry.stream.startswith("groups/"):
                    self._note(entry.stream[7:], entry.position, after)

    def _note(self, group_id: str, position: int, name: object) -> None:
        self._names.setdefault(group_id, []).append((position, name if isinstance(name, str) else ""))

    def at(self, group_id: str, position: int) -> str:
        """Return a group's name after the entry at a position; empty when its entries were not given."""
        name = ""
        for since, called in self._names.get(group_id, ()):
            if since > position:
                break
            name = called
        return name


def type_name(kind: str, own: Iterable[Entry]) -> str:
    """The name of a resource's type. kind: of its stream. own: its entries; the first one says what it was made as."""
    if kind in STANDARD.by_stream:
        return STANDARD.by_stream[kind].name
    events = (entry.event for entry in own)
    return next((event.resource_type for event in events if isinstance(event, ResourceCreated)), kind)


def last_name(names: Iterable[NameHeld], kind: str) -> str:
    """What people call a resource: its last userName, a group's displayName, else whatever it has; or nothing."""
    last = {name.kind: name.value for name in names}
    order = {"users": ("userName",), "groups": ("displayName",)}.get(kind, ("displayName", "userName", "externalId"))
    return next((last[each] for each in order if each in last), "")


def requests_told(entries: Iterable[Entry]) -> dict[str, RequestTold]:
    """Tell every request whose first entry is among the entries, by request id."""
    told: dict[str, RequestTold] = {}
    for entry in entries:
        cause = entry.cause
        if cause is None or cause.index > 0:
            continue
        if entry.request_id not in told:  # A refusal's repetitions are counted in a later entry of the same id.
            told[entry.request_id] = request_told(entry, cause)
    return told


def request_told(first: Entry, cause: Cause) -> RequestTold:
    """Tell one request from its first entry and full cause."""
    return RequestTold(
        request_id=first.request_id,
        first_position=first.position,
        at=happened_at(first),
        token_id=cause.token_id,
        token_label=cause.token_label,
        profile=cause.profile,
        client_address=cause.client_address,
        user_agent=cause.user_agent,
        correlation=cause.correlation,
        activity_id=activity_id(cause.correlation),
        method=cause.method,
        path=cause.path,
        operations=cause.operations,
        status=cause.status,
        scim_type=cause.scim_type,
        detail=cause.detail,
        quirks=cause.quirks,
        ignored=cause.ignored,
        duration_us=cause.elapsed_us,
        received=cause.received,
        bulk=cause.bulk,
    )


def activity_id(correlation: Mapping[str, str]) -> str:
    """Return Entra's ActivityId from the headers that a request came with; empty without one."""
    found = (_ACTIVITY_ID.search(value) for value in correlation.values())
    return next((match[1] for match in found if match), "")


def first_position(entry: Entry) -> int:
    """Return the position of the first entry of an entry's request; its own where the cause was erased."""
    return entry.position - (entry.cause or NO_CAUSE).index


def change(entry: Entry, names: GroupNames) -> Change:
    """Tell one entry."""
    told: dict[str, Any] = {}
    match entry.event:
        case UserCreated(resource=resource) | GroupCreated(resource=resource) | ResourceCreated(resource=resource):
            told = {"resource": flat(resource)}
        case AttributeChanged(attribute, before, after):
            told = {"attribute": attribute, "before": before, "after": after}
        case Deactivated(before, explicit):
            told = {"attribute": "active", "before": before, "after": False, "explicit": explicit}
        case MembershipRemoved(explicit=explicit):
            told = {"explicit": explicit}
        case RequestRefused(repetitions):
            told = {"repetitions": repetitions}
        case Erased():
            told = {"erased": True}
    if entry.event_type == "Reactivated":
        told |= {"attribute": "active", "before": False, "after": True}
    if entry.stream.startswith("groups/"):
        group_id = entry.stream[7:]
        told |= {"group_id": group_id, "group_name": names.at(group_id, entry.position)}
        if entry.event_type in ("MembershipAdded", "MembershipRemoved"):
            told["member_id"] = entry.subject_id
    return Change(
        position=entry.position,
        at=happened_at(entry),
        event=entry.event_type,
        request_id=entry.request_id,
        version=entry.version,
        **told,
    )


def change_for(resource_id: str, entry: Entry, names: GroupNames) -> Change:
    """Tell one entry as what it did to a resource: another group's deletion ended its membership there."""
    told = change(entry, names)
    if entry.event_type == "GroupDeleted" and entry.subject_id != resource_id:
        return replace(told, member_id=resource_id, explicit=False)
    return told


def marked(changes: Iterable[Change], told: Mapping[str, RequestTold]) -> list[Change]:
    """Mark the changes, in order, that put aside what another client had set: attributes, and memberships."""
    setters: dict[tuple[str, str], tuple[str, Overwritten]] = {}
    found = []
    for each in changes:
        request = told.get(each.request_id)
        client, label = (request.token_id, request.token_label) if request is not None else ("", "")
        overwrote = None
        for what, value in _settings(each):
            before = setters.get(what)
            if before is not None and client and before[0] not in ("", client):
                overwrote = before[1]
            setters[what] = client, Overwritten(each.position, label, value)
        found.append(each if overwrote is None else replace(each, overwrote=overwrote))
    return found


def _settings(change: Change) -> list[tuple[tuple[str, str], Any]]:
    """What a change sets: attributes, each with its value, or whether somebody is in a group."""
    if change.event.endswith("Created"):
        return [(("attribute", name), value) for name, value in change.resource.items()]
    if change.event in ("MembershipAdded", "MembershipRemoved"):
        return [(("group", change.group_id), change.event == "MembershipAdded")]
    return [(("attribute", change.attribute), change.after)] if change.attribute else []


def names_held(entries: Iterable[Entry], resource_id: str) -> list[NameHeld]:
    """Return every name that the resource had and can be asked for by, oldest first."""
    held: list[NameHeld] = []
    open_at: dict[str, int] = {}  # kind → index in `held`

    def end(kind: str, entry: Entry) -> None:
        if (index := open_at.pop(kind, None)) is not None:
            was = held[index]
            held[index] = NameHeld(kind, was.value, was.from_position, was.from_at, entry.position, entry.recorded_at)

    def begin(kind: str, value: object, entry: Entry) -> None:
        end(kind, entry)
        if isinstance(value, str):
            open_at[kind] = len(held)
            held.append(NameHeld(kind, value, entry.position, entry.recorded_at))

    for entry in entries:
        stream_kind, _, stream_id = entry.stream.partition("/")
        if stream_id != resource_id:
            continue
        kinds = NAMING.get(stream_kind, NAME_ATTRIBUTES)
        match entry.event:
            case UserCreated(resource=resource) | GroupCreated(resource=resource) | ResourceCreated(resource=resource):
                for kind in kinds:
                    begin(kind, resource.get(kind), entry)
            case AttributeChanged(attribute, _, after) if attribute in kinds:
                begin(attribute, after, entry)
        if entry.event_type in DELETIONS:
            for kind in list(open_at):
                end(kind, entry)
    return held


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Return changes by when they happened: repetitions of a refusal came before what was recorded meanwhile."""
    return sorted(changes, key=lambda change: (change.at, change.position))


def in_requests(changes: Iterable[Change], told: Mapping[str, RequestTold]) -> dict[str, RequestTold]:
    """Return the requests that the changes belong to."""
    wanted = {change.request_id for change in changes}
    return {request_id: request for request_id, request in told.items() if request_id in wanted}
