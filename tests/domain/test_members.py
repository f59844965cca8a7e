"""What requests want with members, added up and held against the edges there are."""

from typing import Any

import pytest
from deciding import op
from hypothesis import given as draw
from hypothesis import settings
from hypothesis import strategies as st
from vectors import Json, patch_body

from domain import groups
from domain.errors import InvalidFilter, InvalidValue, Mutability, NoTarget
from domain.events import GroupEvent, MembershipAdded, MembershipRemoved
from domain.members import MemberChange, replaced_by, resolve, selected
from domain.patches import read_patch
from domain.profiles import LENIENT, STRICT
from domain.schemas import GROUP

TYPES = {"u1": "User", "u2": "User", "u3": "User", "g1": "Group"}


def wanted(*operations: Json, members: tuple[str, ...] = ()) -> MemberChange:
    """The change these operations ask for, filters resolved against the members."""
    change = read_patch(patch_body(*operations), GROUP, LENIENT).members
    assert change is not None
    return selected(change, [element(member_id) for member_id in members])


def element(member_id: str) -> Json:
    return {
        "value": member_id,
        "type": TYPES.get(member_id, "User"),
        "display": member_id.upper(),
        "$ref": f"https://scim.example/v2/Users/{member_id}",
    }


def events(*operations: Json, members: tuple[str, ...] = ()) -> list[GroupEvent]:
    """What these operations record for a group with these members."""
    return groups.member_events(wanted(*operations, members=members), dict.fromkeys(members, True), TYPES)


def added(*ids: str) -> list[GroupEvent]:
    return [MembershipAdded(member_id, TYPES[member_id]) for member_id in ids]


def removed(*ids: str, explicit: bool = True) -> list[GroupEvent]:
    return [MembershipRemoved(member_id, explicit) for member_id in ids]


# --- forms


@pytest.mark.parametrize(
    "value",
    [
        [{"value": "u1"}, {"value": "u2"}],
        [{"$ref": None, "value": "u1"}, {"value": "u2", "display": "Bob", "type": "Group"}],
        ["u1", "u2"],
        [{"value": "U1"}, {"VALUE": "u2"}],
        [{"$ref": "https://scim.example/scim/t/v2/Users/u1"}, {"$ref": "../Users/u2"}],
        [{"value": "u1"}, {"value": "u2"}, {"value": "u1"}, None],
    ],
)
def test_members_are_named_in_many_ways(value: Any) -> None:
    assert events(op("Add", "members", value)) == added("u1", "u2")
    assert events(op("Remove", "members", value), members=("u1", "u2", "u3")) == removed("u1", "u2")


@pytest.mark.parametrize("value", ["u1", {"value": "u1"}, [{"value": "u1"}], ["u1"]])
def test_one_member_needs_no_list(value: Any) -> None:
    assert events(op("add", "members", value)) == added("u1")
    assert events(op("add", None, {"members": value})) == added("u1")
    assert events(op("remove", "members", value), members=("u1", "u2")) == removed("u1")


@pytest.mark.parametrize("value", [5, True, [True], [[]], [{}], [{"display": "x"}], [{"value": ["u1"]}], {"value": 5}])
def test_what_names_no_member_is_refused(value: Any) -> None:
    for name in ("add", "replace", "remove"):
        with pytest.raises(InvalidValue):
            read_patch(patch_body(op(name, "members", value)), GROUP, LENIENT)


def test_a_reference_to_something_else_names_no_member() -> None:
    with pytest.raises(InvalidValue):
        read_patch(patch_body(op("add", "members", [{"$ref": "https://x.example/Devices/u1"}])), GROUP, LENIENT)


# --- what is explicit


def test_a_member_that_is_there_already_is_no_fact() -> None:
    assert events(op("add", "members", ["u1"]), members=("u1",)) == []


def test_a_member_that_is_not_there_leaves_nothing() -> None:
    assert events(op("remove", "members", ["u9"]), members=("u1",)) == []
    assert events(op("remove", 'members[value eq "u9"]'), members=("u1",)) == []


def test_who_was_named_was_removed_explicitly() -> None:
    for operation in (op("remove", "members", ["u1"]), op("remove", 'members[value eq "U1"]')):
        assert events(operation, members=("u1", "u2")) == removed("u1")
    both = 'members[value eq "u1" or value eq "u2"]'
    assert events(op("remove", both), members=("u1", "u2", "u3")) == removed("u1", "u2")


@pytest.mark.parametrize(
    "operation", [op("remove", "members"), op("replace", "members", []), op("remove", "members", None)]
)
def test_whoever_was_not_named_was_removed_by_implication(operation: Json) -> None:
    assert events(operation, members=("u1", "g1")) == removed("u1", "g1", explicit=False)


def test_a_replaced_list_records_the_difference_only() -> None:
    """PU-13, and nobody leaves who stays."""
    assert events(op("replace", "members", ["u2", "u3"]), members=("u1", "u2")) == [
        *removed("u1", explicit=False),
        *added("u3"),
    ]
    assert events(op("replace", "members", ["u2", "u1"]), members=("u1", "u2")) == []


def test_whom_a_filter_found_was_not_named() -> None:
    assert events(op("remove", 'members[type eq "Group"]'), members=("u1", "g1")) == removed("g1", explicit=False)
    assert events(op("remove", 'members[not (value eq "u1")]'), members=("u1", "u2")) == removed("u2", explicit=False)
    again = [op("remove", 'members[type eq "User"]'), op("remove", "members", ["u1"])]
    assert events(*again, members=("u1", "u2")) == [*removed("u1"), *removed("u2", explicit=False)]


# --- operations in their order


def test_operations_on_members_add_up_in_their_order() -> None:
    assert events(op("add", "members", ["u1"]), op("remove", "members", ["u1"])) == []
    assert events(op("remove", "members", ["u1"]), op("add", "members", ["u1"]), members=("u1",)) == []
    assert events(op("remove", "members"), op("add", "members", ["u2"]), members=("u1", "u2")) == removed(
        "u1", explicit=False
    )
    assert events(op("add", "members", ["u3"]), op("replace", "members", ["u1"]), members=("u1",)) == []


def test_a_filter_sees_what_the_operations_before_it_did() -> None:
    steps = [op("add", "members", ["u2"]), op("remove", 'members[value co "u"]')]
    assert events(*steps, members=("u1",)) == removed("u1", explicit=False)


# --- immutable parts


@pytest.mark.parametrize(
    "operation",
    [
        op("replace", 'members[value eq "u1"].value', "u2"),
        op("replace", 'members[value eq "u1"]', {"value": "u2"}),
        op("add", 'members[value eq "u1"].display', "x"),
        op("remove", 'members[value eq "u1"].value'),
        op("replace", "members.value", "u2"),
        op("remove", "members.type"),
    ],
)
def test_what_a_member_is_cannot_be_changed(operation: Json) -> None:
    with pytest.raises(Mutability):
        read_patch(patch_body(operation), GROUP, LENIENT)


def test_repeating_what_a_member_is_needs_the_member() -> None:
    repeated = op("replace", 'members[value eq "u1"]', {"value": "u1", "display": "Ada"})
    assert events(repeated, members=("u1",)) == []
    with pytest.raises(NoTarget):
        events(repeated, members=("u2",))
    with pytest.raises(NoTarget):
        wanted(op("remove", "members", ["u1"]), repeated)
    with pytest.raises(NoTarget):
        wanted(op("replace", 'members[type eq "Group"]', {"display": "x"}), members=("u1",))
    assert events(op("add", "members", ["u1"]), repeated) == added("u1")


def test_replacing_a_member_by_null_removes_it() -> None:
    assert events(op("replace", 'members[value eq "u1"]', None), members=("u1", "u2")) == removed("u1")
    with pytest.raises(NoTarget):
        events(op("replace", 'members[value eq "u9"]', None), members=("u1",))


def test_a_filter_that_names_ids_can_add_them() -> None:
    assert events(op("add", 'members[value eq "u1"]', {"type": "User"})) == added("u1")


@pytest.mark.parametrize("path", ['members[colour eq "red"]', "members[value eq u1]", 'members[value zz "u1"]'])
def test_a_wrong_filter_is_refused(path: str) -> None:
    with pytest.raises(InvalidFilter):
        read_patch(patch_body(op("remove", path)), GROUP, STRICT)


def test_a_member_nobody_knows_is_refused_with_everything_else() -> None:
    """GR-06, also on replace, before anything is removed."""
    with pytest.raises(InvalidValue):
        groups.member_events(wanted(op("replace", "members", ["u1", "u9"])), {"u2": True}, {"u1": "User"})


def test_a_change_tells_what_it_needs() -> None:
    change = wanted(op("add", "members", ["u1", "u2"]), op("remove", "members", ["u2"]))
    assert (change.clear, change.present, change.selects) == (False, {"u1": True, "u2": False}, False)
    assert change.wanted == ["u1"]
    assert not change.is_empty
    assert MemberChange().is_empty
    assert replaced_by(["u1"]) == MemberChange(clear=True, present={"u1": True})
    by_type = read_patch(patch_body(op("remove", 'members[type eq "User"]')), GROUP, LENIENT).members
    assert by_type is not None
    assert by_type.selects
    assert read_patch(patch_body(op("add", "displayName", "x")), GROUP, LENIENT).members is None


def test_a_hundred_thousand_members_cost_what_the_request_names() -> None:
    """GR-08: no list of them is asked for, only the edges in `present`."""
    change = wanted(op("add", "members", ["u1"]))
    assert list(change.present) == ["u1"]
    assert resolve(change, {"u1": False}) == (["u1"], [])


# --- law

MEMBERS = st.lists(st.sampled_from(["u1", "u2", "u3", "g1"]), unique=True).map(tuple)
OPERATION = st.one_of(
    st.builds(lambda ids: op("add", "members", list(ids)), MEMBERS),
    st.builds(lambda ids: op("remove", "members", list(ids)), MEMBERS),
    st.builds(lambda ids: op("replace", "members", list(ids)), MEMBERS),
    st.builds(lambda one: op("remove", f'members[value eq "{one}"]'), st.sampled_from(list(TYPES))),
    st.builds(lambda kind: op("remove", f'members[type eq "{kind}"]'), st.sampled_from(["User", "Group"])),
    st.just(op("remove", "members")),
)


@settings(max_examples=150, deadline=None)
@draw(MEMBERS, st.lists(OPERATION, min_size=1, max_size=5))
def test_adding_up_equals_one_after_the_other(members: tuple[str, ...], operations: list[Json]) -> None:
    """The model is a set to which every operation is applied as RFC 7644 §3.5.2 says."""
    model = set(members)
    for operation in operations:
        model = after(model, operation)
    state = set(members)
    # Types of new members are unknown to a filter of the same request, as they are to the service.
    if any("[type" in operation["path"] for operation in operations[1:]):
        return
    for event in events(*operations, members=members):
        assert isinstance(event, MembershipAdded | MembershipRemoved)
        if isinstance(event, MembershipAdded):
            assert event.member_id not in state
            state.add(event.member_id)
        else:
            state.remove(event.member_id)
    assert state == model


def after(model: set[str], operation: Json) -> set[str]:
    ids = set(operation.get("value") or ())
    if operation["op"] == "add":
        return model | ids
    if operation["op"] == "replace":
        return ids
    path = operation["path"]
    if path == "members":
        return model - ids if "value" in operation else set()
    literal = path.split('"')[1]
    return {one for one in model if literal not in (one, TYPES[one])}
