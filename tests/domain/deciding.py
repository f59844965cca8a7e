"""Given these events, when this is decided, then these events: how the tests of decisions are written."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from vectors import Json, patch_body

from domain import groups, users
from domain.attributes import ResourceType
from domain.errors import ScimError
from domain.events import Event, GroupCreated, UserCreated
from domain.groups import Group
from domain.patches import apply_patch, read_patch
from domain.profiles import LENIENT, STRICT, Profile
from domain.resources import Reading, read_resource
from domain.schemas import CORE_GROUP, CORE_USER, ENTERPRISE_USER, GROUP, USER
from domain.users import User

ADA_ID = "0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d01"
STAFF_ID = "5f1d2c3b-1111-4222-8333-444455556666"

ADA = UserCreated(
    ADA_ID,
    {
        "userName": "ada@contoso.example",
        "externalId": "ada",
        "active": True,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@contoso.example", "type": "work", "primary": True}],
        ENTERPRISE_USER: {"department": "Engines", "manager": {"value": "charles"}},
    },
)
STAFF = GroupCreated(STAFF_ID, {"displayName": "Staff", "externalId": "grp-1"})

Decision = Callable[[Any], Sequence[Event]]


class Given:
    """A resource as some events made it."""

    def __init__(self, *events: Any) -> None:
        self.state = folded(events)

    def when(self, decide: Decision) -> "When":
        """Decide on that state; nothing happens yet."""
        return When(self.state, decide)


class When:
    """A decision about to be made."""

    def __init__(self, state: User | Group | None, decide: Decision) -> None:
        self.state, self.decide = state, decide

    def then(self, *events: Event) -> None:
        """It records exactly these events, in this order."""
        assert list(self.decide(self.state)) == list(events)

    def then_again(self, *events: Event) -> None:
        """As `then`, and asking a second time records nothing."""
        self.then(*events)
        assert list(self.decide(folded(events, self.state))) == []

    def refused(self, refusal: type[ScimError], *words: str) -> None:
        """It is refused, and the detail has these words."""
        with pytest.raises(refusal) as caught:
            self.decide(self.state)
        assert all(word in caught.value.detail for word in words), caught.value.detail


def given(*events: Any) -> Given:
    """The resource that these events made; no events, no resource."""
    return Given(*events)


def folded(events: Iterable[Any], state: Any = None) -> User | Group | None:
    """The state after these events, starting from `state`."""
    for event in events:
        is_group = isinstance(event, GroupCreated) or isinstance(state, Group)
        state = groups.evolve(state, event) if is_group else users.evolve(state, event)
    result: User | Group | None = state
    return result


def user_body(**attributes: Any) -> Json:
    """A user's POST or PUT body, userName and schemas included unless given."""
    return {"schemas": [CORE_USER], "userName": "ada@contoso.example"} | attributes


def group_body(**attributes: Any) -> Json:
    """A group's POST or PUT body, displayName and schemas included unless given."""
    return {"schemas": [CORE_GROUP], "displayName": "Staff"} | attributes


def read_user(body: Json, profile: Profile = LENIENT) -> Reading:
    return read_resource(body, USER, profile)


def read_group(body: Json, profile: Profile = LENIENT) -> Reading:
    return read_resource(body, GROUP, profile)


def put(body: Json, profile: Profile = LENIENT) -> Decision:
    """The decision of a PUT with this body."""

    def decide(state: Any) -> Sequence[Event]:
        if isinstance(state, Group):
            return groups.replace(state, read_group(body, profile), GROUP)
        return users.replace(state, read_user(body, profile), USER)

    return decide


def patch(*operations: Json, profile: Profile = LENIENT) -> Decision:
    """The decision of a PATCH with these operations, members left aside."""

    def decide(state: Any) -> Sequence[Event]:
        if isinstance(state, Group):
            return groups.change(
                state, apply_patch(read_patch(patch_body(*operations), GROUP, profile), state.resource), GROUP
            )
        resource = {} if state is None else state.resource
        return users.change(state, apply_patch(read_patch(patch_body(*operations), USER, profile), resource), USER)

    return decide


def op(name: str, path: str | None = None, *value: Any) -> Json:
    """One operation; without `value` it has none."""
    operation: Json = {"op": name}
    if path is not None:
        operation["path"] = path
    return operation | ({"value": value[0]} if value else {})


def patched(before: Json, *operations: Json, profile: Profile = LENIENT, resource_type: ResourceType = USER) -> Json:
    """The resource after these operations."""
    return apply_patch(read_patch(patch_body(*operations), resource_type, profile), before).resource


# --- for rules that hold whatever was decided before

PROFILES = pytest.mark.parametrize("profile", [LENIENT, STRICT], ids=lambda profile: profile.name)
BEFORE: Json = {
    "userName": "ada",
    "emails": [{"value": "a@x", "type": "work", "primary": True}, {"value": "b@x", "type": "home"}],
    ENTERPRISE_USER: {"department": "Engines", "manager": {"value": "m1", "$ref": "../Users/m1"}},
}
MANAGER = f"{ENTERPRISE_USER}:manager"


def manager(value: Any) -> Json:
    """BEFORE with this manager, or none."""
    extension = {"department": "Engines"} | ({"manager": value} if value else {})
    return BEFORE | {ENTERPRISE_USER: extension}


def posted(body: Json, profile: Profile = LENIENT) -> Reading:
    return read_resource(body, USER, profile)
