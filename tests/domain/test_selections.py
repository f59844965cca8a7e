"""`attributes` and `excludedAttributes`: what an answer shows and what it leaves out."""

from typing import Any

import pytest

from domain.attributes import Attribute, ResourceType, Schema
from domain.errors import InvalidValue
from domain.schemas import COMMON, CORE_USER, ENTERPRISE_USER, GROUP, USER
from domain.selections import project, read_selection

ADA = {
    "schemas": [CORE_USER, ENTERPRISE_USER],
    "id": "1",
    "userName": "ada",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"value": "a@x", "type": "work", "primary": True}, {"value": "b@x"}, {"type": "other"}],
    "active": False,
    "groups": [{"value": "g1", "display": "Staff"}],
    ENTERPRISE_USER: {"department": "Engines", "manager": {"value": "m", "displayName": "Charles"}},
    "meta": {"resourceType": "User", "version": 'W/"1"'},
}
MINIMUM = {"schemas": ADA["schemas"], "id": "1"}


def shown(attributes: Any = None, excluded: Any = None) -> dict[str, Any]:
    """Ada with these parameters."""
    return project(ADA, read_selection(attributes, excluded, USER))


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ADA.items() if name not in names}


@pytest.mark.parametrize(
    ("attributes", "more"),
    [
        ("userName", {"userName": "ada"}),
        ("USERNAME , active,", {"userName": "ada", "active": False}),
        (["userName", "active"], {"userName": "ada", "active": False}),
        (["userName,active"], {"userName": "ada", "active": False}),
        ("id", {}),
        ("schemas,id", {}),
        ("name.familyName", {"name": {"familyName": "Lovelace"}}),
        ("name.familyName,name", {"name": ADA["name"]}),
        ("name,name.familyName", {"name": ADA["name"]}),
        (f"{CORE_USER}:name.givenName", {"name": {"givenName": "Ada"}}),
        ("emails.value", {"emails": [{"value": "a@x"}, {"value": "b@x"}]}),
        ("emails.display", {}),
        (f"{ENTERPRISE_USER}", {ENTERPRISE_USER: ADA[ENTERPRISE_USER]}),
        (f"{ENTERPRISE_USER.upper()}:DEPARTMENT", {ENTERPRISE_USER: {"department": "Engines"}}),
        (f"{ENTERPRISE_USER}.department", {ENTERPRISE_USER: {"department": "Engines"}}),
        ("department", {ENTERPRISE_USER: {"department": "Engines"}}),
        ("manager.value", {ENTERPRISE_USER: {"manager": {"value": "m"}}}),
        (f"manager.value,{ENTERPRISE_USER}", {ENTERPRISE_USER: ADA[ENTERPRISE_USER]}),
        (f"{ENTERPRISE_USER},manager.value", {ENTERPRISE_USER: ADA[ENTERPRISE_USER]}),
        ("meta.version", {"meta": {"version": 'W/"1"'}}),
        ("password", {}),
        ("shoeSize", {}),
        ("name.shoeSize,urn:x:y,.,[]", {}),
        ("title", {}),
    ],
)
def test_attributes_show_the_minimum_and_what_is_named(attributes: Any, more: dict[str, Any]) -> None:
    """PJ-02, PJ-04 to PJ-06."""
    assert shown(attributes) == MINIMUM | more


@pytest.mark.parametrize(
    ("excluded", "rest"),
    [
        ("emails", without("emails")),
        ("Emails, groups", without("emails", "groups")),
        (["emails", "groups"], without("emails", "groups")),
        ("id,schemas", ADA),
        ("shoeSize", ADA),
        ("meta", without("meta")),
        ("emails.type", ADA | {"emails": [{"value": "a@x", "primary": True}, {"value": "b@x"}]}),
        ("name.givenName,name.familyName", without("name")),
        ("name.givenName,name", without("name")),
        (ENTERPRISE_USER, without(ENTERPRISE_USER)),
        (f"{ENTERPRISE_USER}:manager", ADA | {ENTERPRISE_USER: {"department": "Engines"}}),
        (
            f"{ENTERPRISE_USER}:manager.displayName",
            ADA | {ENTERPRISE_USER: {"department": "Engines", "manager": {"value": "m"}}},
        ),
    ],
)
def test_excluded_attributes_leave_out_what_is_named(excluded: Any, rest: dict[str, Any]) -> None:
    """PJ-03 to PJ-06."""
    before = repr(ADA)
    assert shown(None, excluded) == rest
    assert repr(ADA) == before


@pytest.mark.parametrize("nothing", [None, "", " , ", [], [""]])
def test_a_parameter_that_says_nothing_changes_nothing(nothing: Any) -> None:
    assert read_selection(nothing, nothing, USER) is None
    assert shown(nothing, nothing) is ADA
    assert shown("id", nothing) == MINIMUM


def test_both_parameters_exclude_each_other() -> None:
    with pytest.raises(InvalidValue):
        read_selection("userName", "emails", USER)


@pytest.mark.parametrize("wrong", [5, {"a": 1}, [5], ["a", None], True])
def test_what_is_no_list_of_names_is_refused(wrong: Any) -> None:
    """PJ-11: in `.search` they come as JSON."""
    with pytest.raises(InvalidValue):
        read_selection(wrong, None, USER)
    with pytest.raises(InvalidValue):
        read_selection(None, wrong, USER)


@pytest.mark.parametrize(
    ("attributes", "excluded", "loaded"),
    [
        ("displayName", None, False),
        ("members", None, True),
        ("members.value", None, True),
        (None, "members", False),
        (None, "MEMBERS", False),
        (None, "members.display", True),
        (None, "displayName", True),
    ],
)
def test_members_are_not_loaded_when_nobody_sees_them(attributes: Any, excluded: Any, loaded: bool) -> None:
    """PJ-10: Entra asks for groups of 100,000 without them."""
    selection = read_selection(attributes, excluded, GROUP)
    assert selection is not None
    assert selection.shows("members") is loaded


def test_what_is_returned_on_request_waits_for_one() -> None:
    """PJ-09, for the schemas tenants will define."""
    schema = Schema("urn:x:Door", "Door", "", (Attribute(name="code", returned="request"), Attribute(name="room")))
    door = ResourceType("Door", "/Doors", "", schema, (), COMMON)
    resource = {"schemas": ["urn:x:Door"], "id": "1", "code": "4711", "room": "B"}
    assert project(resource, read_selection(None, None, door)) == {"schemas": ["urn:x:Door"], "id": "1", "room": "B"}
    assert project(resource, read_selection("code", None, door))["code"] == "4711"
    assert "code" not in project(resource, read_selection(None, "room", door))
