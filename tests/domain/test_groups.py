"""What is decided about groups, their members aside: those are edges, see test_members.py."""

import pytest
from deciding import (
    STAFF,
    STAFF_ID,
    Decision,
    given,
    group_body,
    op,
    patch,
    put,
    read_group,
)

from domain import groups
from domain.errors import InvalidSyntax, InvalidValue, Mutability, NoSuchResource, ScimError
from domain.events import (
    AttributeChanged,
    Event,
    GroupCreated,
    GroupDeleted,
    MembershipAdded,
    MembershipRemoved,
)
from domain.groups import Group
from domain.patches import Patched
from domain.profiles import LENIENT, STRICT
from domain.schemas import GROUP

ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


def test_a_created_group_has_no_members_of_its_own() -> None:
    """They follow as MembershipAdded, one each."""
    reading = read_group(group_body(externalId="grp-1", members=[{"value": "U1"}, {"value": "u2"}, {"value": "u1"}]))
    assert groups.create(STAFF_ID, reading) == [STAFF]
    assert reading.members == ("u1", "u2")


def test_entras_group_is_read_as_it_comes() -> None:
    """It names a schema nobody has (RX-10) and members not at all."""
    body = group_body(externalId="grp-1", meta={"resourceType": "Group"})
    body["schemas"].append(ADSCIM)
    for profile in (LENIENT, STRICT):
        reading = read_group(body, profile)
        assert groups.create(STAFF_ID, reading) == [STAFF]
        assert (reading.members, reading.quirks) == (None, ("unknown_schema",))


@pytest.mark.parametrize(
    "decide",
    [
        patch(op("Replace", "displayName", "Crew")),
        patch(op("replace", None, {"displayName": "Crew", "id": STAFF_ID})),
        put(group_body(displayName="Crew", externalId="grp-1")),
    ],
)
def test_a_rename_is_one_fact(decide: Decision) -> None:
    given(STAFF).when(decide).then_again(AttributeChanged("displayName", "Staff", "Crew"))


def test_oktas_repeated_rename_is_none() -> None:
    """RX-14: it comes with every membership push."""
    given(STAFF).when(patch(op("replace", None, {"id": STAFF_ID, "displayName": "Staff"}))).then()


def test_members_are_no_attribute_of_a_group() -> None:
    """A PATCH of nothing but members changes no attribute; a PUT with members neither."""
    given(STAFF).when(patch(op("add", "members", [{"value": "u1"}]))).then()
    given(STAFF).when(put(group_body(externalId="grp-1", members=[{"value": "u1"}]))).then()


@pytest.mark.parametrize(
    ("decide", "refusal"),
    [
        (patch(op("remove", "displayName")), Mutability),
        (patch(op("replace", "displayName", None)), InvalidValue),
        (put({"schemas": group_body()["schemas"]}), InvalidValue),
        (put({"schemas": [ADSCIM], "displayName": "Staff"}), InvalidSyntax),
        (put(group_body(members=[5])), InvalidValue),
        (put(group_body(members=[{"display": "Ada"}])), InvalidValue),
        (put(group_body(members=[{"value": 5}])), InvalidValue),
    ],
)
def test_what_cannot_be_is_refused(decide: Decision, refusal: type[ScimError]) -> None:
    given(STAFF).when(decide).refused(refusal)


@pytest.mark.parametrize(
    "decide",
    [
        groups.delete,
        lambda group: groups.replace(group, read_group(group_body()), GROUP),
        lambda group: groups.change(group, Patched({"displayName": "x"}, (), None), GROUP),
    ],
)
@pytest.mark.parametrize("events", [(), (STAFF, GroupDeleted())])
def test_a_group_that_is_not_there_cannot_be_changed(decide: Decision, events: tuple[Event, ...]) -> None:
    given(*events).when(decide).refused(NoSuchResource)


def test_deletion_is_one_fact() -> None:
    """Whoever folds memberships ends them with it: no event for each (100,000 of them)."""
    given(STAFF).when(groups.delete).then(GroupDeleted())


def test_a_membership_moves_the_version_and_nothing_else() -> None:
    state = given(STAFF, MembershipAdded("u1", "User"), MembershipRemoved("u1")).state
    assert state == Group(STAFF_ID, STAFF.resource, 3)
    assert given(GroupCreated(STAFF_ID, {"displayName": "x"})).state == Group(STAFF_ID, {"displayName": "x"}, 1)
