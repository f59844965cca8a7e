"""User, evolve, and the decisions about users: pure functions from state and arguments to events.

A resource of a type that a tenant declared is decided about in the same way; only its coming and going are called
otherwise, because its events are read without knowing what the tenant declared.
"""

from typing import Any, assert_never

from msgspec import Struct

from domain.applying import Patched
from domain.attributes import JsonObject, ResourceType
from domain.changes import after_put, assigned, receipts
from domain.errors import NoSuchResource
from domain.events import (
    AttributeChanged,
    Deactivated,
    Reactivated,
    ResourceCreated,
    ResourceDeleted,
    UserCreated,
    UserDeleted,
    UserEvent,
)
from domain.resources import Reading, difference

USER = "User"  # The one type of this kind that is everybody's.


class User(Struct, frozen=True):
    """A user, or a resource of a tenant's own type, as its events made it.

    resource: as in `UserCreated`, with `active` while it is assigned. version: how many changes it has had.
    """

    id: str
    resource: JsonObject
    version: int

    @property
    def active(self) -> bool | None:
        """None while nobody said."""
        value: bool | None = self.resource.get("active")
        return value


def create(user_id: str, reading: Reading, resource_type: ResourceType) -> list[UserEvent]:
    """A user with this id comes to be. user_id: random, lower case; never one a client chose."""
    if resource_type.name == USER:
        return [UserCreated(user_id, reading.resource), *receipts(reading.received)]
    return [ResourceCreated(resource_type.name, user_id, reading.resource), *receipts(reading.received)]


def replace(user: User | None, reading: Reading, resource_type: ResourceType) -> list[UserEvent]:
    """PUT: what the body omits is cleared, except `active` and the password; no change, no event (PU-11)."""
    if user is None:
        raise NoSuchResource()
    return _changes(user, after_put(user.resource, reading, resource_type), reading.received, resource_type)


def come_back(user: User, reading: Reading, resource_type: ResourceType) -> list[UserEvent]:
    """A POST about this inactive user: as a PUT, and active again unless the body says that it is not.

    What is immutable need not be repeated: who posts does not know that somebody is there.
    """
    after = after_put(user.resource, reading, resource_type, keeps_immutable=True)
    active = reading.resource.get("active", True)
    return _changes(user, {**after, "active": active}, reading.received, resource_type)


def change(user: User | None, patched: Patched, resource_type: ResourceType) -> list[UserEvent]:
    """PATCH: the net effect of all operations; none is no event (DEC-11). A given password counts (PD-16)."""
    if user is None:
        raise NoSuchResource()
    return _changes(user, patched.resource, patched.received, resource_type)


def delete(user: User | None, resource_type: ResourceType) -> list[UserEvent]:
    """The user goes; closing its memberships is the caller's part of the same request."""
    if user is None:
        raise NoSuchResource()
    return [UserDeleted() if resource_type.name == USER else ResourceDeleted()]


def _changes(user: User, after: JsonObject, received: tuple[str, ...], resource_type: ResourceType) -> list[UserEvent]:
    changes = difference(user.resource, after, resource_type)
    return [*(_changed(attribute, old, new) for attribute, old, new in changes), *receipts(received)]


def _changed(attribute: str, before: Any, after: Any) -> UserEvent:
    """The event of one change. That `active` became false is a fact of its own, whichever verb carried it."""
    if attribute == "active" and after is False:
        return Deactivated(before)
    if attribute == "active" and after is True and before is False:
        return Reactivated()
    return AttributeChanged(attribute, before, after)


def evolve(user: User | None, event: UserEvent) -> User | None:
    """The user after one event; None before the first and after the last."""
    if isinstance(event, UserCreated):
        return User(event.user_id, event.resource, 1)
    if isinstance(event, ResourceCreated):
        return User(event.resource_id, event.resource, 1)
    assert user is not None, "a user's stream begins with UserCreated"
    match event:
        case AttributeChanged(attribute, _, after):
            resource = assigned(user.resource, attribute, after)
        case Deactivated():
            resource = assigned(user.resource, "active", False)
        case Reactivated():
            resource = assigned(user.resource, "active", True)
        case UserDeleted() | ResourceDeleted():
            return None
        case _:
            assert_never(event)
    return User(user.id, resource, user.version + 1)
