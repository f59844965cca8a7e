"""Group, evolve, and the decisions about groups. Members are edges: see `members.py`."""

from collections.abc import Mapping
from typing import assert_never

from msgspec import Struct

from domain.applying import Patched
from domain.attributes import JsonObject, ResourceType
from domain.changes import after_put, assigned, receipts
from domain.errors import InvalidValue, NoSuchResource
from domain.events import (
    AttributeChanged,
    GroupCreated,
    GroupDeleted,
    GroupEvent,
    MembershipAdded,
    MembershipRemoved,
)
from domain.members import MemberChange, resolve
from domain.resources import Reading, difference


class Group(Struct, frozen=True):
    """A group as its events made it, without its members.

    resource: as in `GroupCreated`. version: how many changes it has had, memberships included.
    """

    id: str
    resource: JsonObject
    version: int


def create(group_id: str, reading: Reading) -> list[GroupEvent]:
    """A group with this id comes to be; its members follow with `member_events`."""
    return [GroupCreated(group_id, reading.resource), *receipts(reading.received)]


def replace(group: Group | None, reading: Reading, resource_type: ResourceType) -> list[GroupEvent]:
    """PUT, without its members: what the body omits is cleared (PU-03)."""
    if group is None:
        raise NoSuchResource()
    return _changes(group, after_put(group.resource, reading, resource_type), reading.received, resource_type)


def change(group: Group | None, patched: Patched, resource_type: ResourceType) -> list[GroupEvent]:
    """PATCH, without its members: the net effect of all operations."""
    if group is None:
        raise NoSuchResource()
    return _changes(group, patched.resource, patched.received, resource_type)


def delete(group: Group | None) -> list[GroupEvent]:
    """The group goes, and every open membership with it: no event for each."""
    if group is None:
        raise NoSuchResource()
    return [GroupDeleted()]


def member_events(
    wanted: MemberChange, open_members: Mapping[str, bool], member_types: Mapping[str, str]
) -> list[GroupEvent]:
    """The memberships that end and begin.

    wanted: without filters, see `members.selected`. open_members: as for `members.resolve`.
    member_types: "User" or "Group" by id, for every id that shall be a member and is none yet.
    Raises InvalidValue when such an id names no resource of the tenant (GR-06), NoTarget as `resolve`.
    """
    added, removed = resolve(wanted, open_members)
    if not all(member_id in member_types for member_id in added):
        raise InvalidValue("members names a resource that does not exist")
    ends: list[GroupEvent] = [MembershipRemoved(member_id, explicit) for member_id, explicit in removed]
    return ends + [MembershipAdded(member_id, member_types[member_id]) for member_id in added]


def _changes(
    group: Group, after: JsonObject, received: tuple[str, ...], resource_type: ResourceType
) -> list[GroupEvent]:
    changes = difference(group.resource, after, resource_type)
    return [*(AttributeChanged(attribute, old, new) for attribute, old, new in changes), *receipts(received)]


def evolve(group: Group | None, event: GroupEvent) -> Group | None:
    """The group after one event; a membership changes its version only."""
    if isinstance(event, GroupCreated):
        return Group(event.group_id, event.resource, 1)
    assert group is not None, "a group's stream begins with GroupCreated"
    resource = group.resource
    match event:
        case AttributeChanged(attribute, _, after):
            resource = assigned(resource, attribute, after)
        case MembershipAdded() | MembershipRemoved():
            pass
        case GroupDeleted():
            return None
        case _:
            assert_never(event)
    return Group(group.id, resource, group.version + 1)
