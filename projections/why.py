"""Why somebody is deprovisioned: the facts of the story, each with its position and time. Pure.

The answer names who asked for it (token and address), never the product itself: "deactivated by the service"
is an answer nobody can use. What is inferred does not belong here; every field is read off an entry.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from domain.events import AttributeChanged, Deactivated, ResourceCreated, UserCreated
from ledger.entry import Entry
from projections.story import (
    Change,
    GroupHeld,
    GroupNames,
    NameHeld,
    RequestTold,
    change,
    groups_held,
    in_requests,
    last_name,
    names_held,
    requests_told,
    type_name,
)

CREATIONS = ("UserCreated", "ResourceCreated")
LOOK_BACK = timedelta(hours=1)  # Group losses so long before the deprovisioning are told with it.

Verdict = Literal[
    "active", "reactivated", "deactivated", "created inactive", "deleted", "deactivated, then deleted",
    "created inactive, then deleted",
]  # fmt: skip
State = Literal["active", "inactive", "deleted"]


class Step(Struct, frozen=True):
    """One turn of the story.

    event: Deactivated, Reactivated, UserDeleted, GroupDeleted, ResourceDeleted; UserCreated (or ResourceCreated)
    for somebody created inactive.
    explicit: whether the client said so. request: None when what it said was erased.
    """

    event: str
    position: int
    at: datetime
    explicit: bool
    request_id: str
    request: RequestTold | None


class Explanation(Struct, frozen=True, kw_only=True):
    """The story of one user (or group, or resource of a tenant's own type), told up to a position.

    resource: the kind of its stream, such as users or groups. resource_type: its type's name.
    names: every name it ever had, oldest first. verdict: what is true at `size`.
    disabled, deleted, enabled: the last turn of each kind that the verdict rests on, None without one.
    facts: all of the below in order. in_request: what else the deciding requests changed.
    lost_before: memberships that ended in the hour before, in whatever request.
    held: memberships open at `size`. requests: those of every fact, by request id.
    """

    id: str
    resource: str
    resource_type: str
    size: int
    names: list[NameHeld]
    verdict: Verdict
    state: State
    state_since: datetime
    created: Step
    disabled: Step | None = None
    deleted: Step | None = None
    enabled: Step | None = None
    facts: list[Change] = []
    in_request: list[Change] = []
    lost_before: list[GroupHeld] = []
    held: list[GroupHeld] = []
    requests: dict[str, RequestTold] = {}

    @property
    def called(self) -> str:
        """What people call it: the last userName, or a group's displayName; the id when all is erased."""
        return last_name(self.names, self.resource) or self.id


def explain(resource: str, resource_id: str, entries: Sequence[Entry], size: int) -> Explanation:
    """Explain one resource's state from entries.

    entries: in position order, below `size`: at least those about the resource, the first of each of their
    requests, and the entries about every group it was ever in. More does no harm.
    """
    own = [entry for entry in entries if entry.stream == f"{resource}/{resource_id}"]
    assert own, "a stream that was found has a first entry"
    names = GroupNames(entries)
    told = requests_told(entries)
    turns = _turns(own, told)
    memberships = groups_held(entries, resource_id, names)
    decisive = [step for step in (turns.disabled, turns.deleted) if step is not None]
    in_request = _in_requests(entries, decisive, resource_id, names)
    lost = _lost_before(memberships, decisive)
    facts = _facts(entries, turns, in_request, lost, resource_id, names)
    return Explanation(
        id=resource_id,
        resource=resource,
        resource_type=type_name(resource, own),
        size=size,
        names=names_held(own, resource_id),
        verdict=_verdict(turns),
        state="deleted" if turns.deleted else "inactive" if turns.disabled and not turns.enabled else "active",
        state_since=(turns.deleted or turns.enabled or turns.disabled or turns.created).at,
        created=turns.created,
        disabled=turns.disabled,
        deleted=turns.deleted,
        enabled=turns.enabled,
        facts=facts,
        in_request=in_request,
        lost_before=lost,
        held=[membership for membership in memberships if membership.to_position is None],
        requests=in_requests(facts, told),
    )


class _Turns(Struct):
    created: Step
    disabled: Step | None = None
    enabled: Step | None = None  # After `disabled`, else None.
    deleted: Step | None = None


def _turns(own: Sequence[Entry], told: dict[str, RequestTold]) -> _Turns:
    """The last turn of each kind. Who was re-enabled before a deletion was deleted while active."""
    turns = _Turns(created=_step(own[0], told))
    for entry in own:
        match entry.event_type:
            case "UserCreated" | "ResourceCreated" if _is_born_inactive(entry):
                turns.disabled = _step(entry, told)
            case "Deactivated":
                turns.disabled, turns.enabled = _step(entry, told), None
            case "Reactivated":
                turns.enabled = _step(entry, told)
            case "AttributeChanged" if turns.disabled and not turns.enabled and _is_of_active(entry):
                turns.enabled = _step(entry, told)  # Unassigned: where `active` is missing, nobody is disabled.
            case "UserDeleted" | "GroupDeleted" | "ResourceDeleted":
                turns.deleted = _step(entry, told)
    if turns.deleted and turns.enabled:
        turns.disabled = turns.enabled = None
    return turns


def _is_born_inactive(entry: Entry) -> bool:
    event = entry.event
    return isinstance(event, UserCreated | ResourceCreated) and event.resource.get("active") is False


def _is_of_active(entry: Entry) -> bool:
    return isinstance(entry.event, AttributeChanged) and entry.event.attribute == "active"


def _step(entry: Entry, told: dict[str, RequestTold]) -> Step:
    explicit = entry.event.explicit if isinstance(entry.event, Deactivated) else True
    request_id = entry.request_id
    return Step(
        entry.event_type, entry.position, entry.recorded_at, explicit, request_id, told.get(request_id)
    )  # fmt: skip


def _verdict(turns: _Turns) -> Verdict:
    born_inactive = turns.disabled is not None and turns.disabled.event in CREATIONS
    match turns.disabled, turns.enabled, turns.deleted:
        case None, _, None:
            return "active"
        case None, _, _:
            return "deleted"
        case _, None, None:
            return "created inactive" if born_inactive else "deactivated"
        case _, _, None:
            return "reactivated"
        case _:
            return "created inactive, then deleted" if born_inactive else "deactivated, then deleted"


def _in_requests(
    entries: Iterable[Entry], decisive: Iterable[Step], resource_id: str, names: GroupNames
) -> list[Change]:
    """What else the deciding requests changed about this resource."""
    positions = {step.position for step in decisive}
    request_ids = {step.request_id for step in decisive}
    return [
        change(entry, names)
        for entry in entries
        if entry.request_id in request_ids
        and entry.position not in positions
        and _concerns(entry, resource_id)
        and not entry.stream.startswith("requests/")
    ]


def _concerns(entry: Entry, resource_id: str) -> bool:
    return entry.subject_id == resource_id or entry.stream.partition("/")[2] == resource_id


def _lost_before(memberships: Iterable[GroupHeld], decisive: Sequence[Step]) -> list[GroupHeld]:
    """Memberships that ended within the hour before a deciding entry, in another request."""
    return [
        membership
        for membership in memberships
        if membership.to_at is not None and any(_shortly_before(membership, step) for step in decisive)
    ]


def _shortly_before(membership: GroupHeld, step: Step) -> bool:
    if membership.to_at is None or membership.to_position is None:
        return False
    if membership.ended_in == step.request_id:
        return False
    return membership.to_position < step.position and step.at - membership.to_at <= LOOK_BACK


def _facts(
    entries: Iterable[Entry], turns: _Turns, in_request: Iterable[Change], lost: Iterable[GroupHeld],
    resource_id: str, names: GroupNames,
) -> list[Change]:  # fmt: skip
    """Everything the story rests on, in the order in which it was recorded."""
    steps = (turns.created, turns.disabled, turns.enabled, turns.deleted)
    positions = {step.position for step in steps if step is not None}
    positions |= {fact.position for fact in in_request}
    positions |= {membership.to_position for membership in lost if membership.to_position is not None}
    return [change(entry, names) for entry in entries if entry.position in positions]
