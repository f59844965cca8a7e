"""What real clients get wrong (RX): every quirk leaves its name; messages, booleans, managers and filters.

The vectors cover many rows; here are the others, and what stays rejected. Elements, paths and bodies have
files of their own.
"""

from typing import Any

import pytest
from deciding import BEFORE, MANAGER, PROFILES, manager, op, patched, posted, user_body
from msgspec.structs import replace
from vectors import Json, patch_body

from domain.errors import (
    InvalidFilter,
    InvalidSyntax,
    InvalidValue,
    ScimError,
)
from domain.expressions import Within
from domain.filters import parse_filter
from domain.patches import OPERATIONS_MAX, apply_patch, read_patch
from domain.profiles import LENIENT, QUIRKS, STRICT, Profile
from domain.schemas import CORE_GROUP, CORE_USER, ENTERPRISE_USER, GROUP, RESOURCE_TYPES, USER

# --- every quirk leaves its name

# What arrives, and what it becomes of BEFORE. A tuple is a PATCH, a dict a POST.
SEEN: dict[str, tuple[Json, ...] | Json] = {
    "operation_case": (op("Replace", "title", "x"),),
    "boolean_strings": (op("replace", "active", "FALSE"),),
    "dotted_keys": (op("replace", None, {"name.givenName": "Ada"}),),
    "filter_keys": (op("replace", None, {'emails[type eq "work"].value': "c@x"}),),
    "core_container": (op("replace", CORE_USER, {"title": "x"}),),
    "members_by_value": (op("remove", "emails", [{"value": "a@x"}]),),
    "element_from_filter": (op("add", 'emails[type eq "other"].value', "c@x"),),
    "bare_reference": (op("add", MANAGER, "m2"),),
    "dot_after_urn": (op("add", f"{ENTERPRISE_USER}.department", "Looms"),),
    "unknown_schema": user_body(schemas=[CORE_USER, "http://schemas.example/Other"]),
    "missing_schemas": {"userName": "ada"},
    "scim_1_schema": user_body(schemas=["urn:scim:schemas:core:1.0"]),
    "first_primary_wins": (op("add", "emails", [{"value": "c", "primary": True}, {"value": "d", "primary": True}]),),
    "object_for_array": user_body(emails={"value": "a@x"}),
    "array_for_object": (op("replace", MANAGER, [{"value": "m2"}]),),
    "member_by_ref": (op("add", "members", [{"$ref": "../Users/u1"}]),),
    "bare_member_ids": (op("add", "members", ["u1"]),),
    "empty_operations": (),
    "filter_on_singular": (op("remove", f'{MANAGER}[value eq "m1"]'),),
    "valueless_dropped": (op("remove", 'emails[type eq "work"].value'),),
    "replace_created": (op("replace", 'emails[type eq "other"].value', "c@x"),),
    "unqualified_extension": (op("replace", "department", "Looms"),),
    "undeclared_extension": user_body(**{ENTERPRISE_USER: {"department": "Engines"}}),
    "manager_id": user_body(
        schemas=[CORE_USER, ENTERPRISE_USER], **{ENTERPRISE_USER: {"manager": {"managerId": "m2"}}}
    ),
}
OBLIGING = replace(LENIENT, reads_manager_id=True)  # What a tenant has to ask for.


@pytest.mark.parametrize("name", QUIRKS)
def test_every_quirk_leaves_its_name_with_the_cause(name: str) -> None:
    """Alone: a request without it leaves nothing, and one repair is not taken for another."""
    seen = SEEN[name]
    if isinstance(seen, dict):
        assert posted(seen, OBLIGING).quirks == (name,)
        return
    about_members = any(operation.get("path") == "members" for operation in seen)
    patch = read_patch(patch_body(*seen), GROUP if about_members else USER, LENIENT)
    assert apply_patch(patch, {"displayName": "x"} if about_members else BEFORE).quirks == (name,)


def test_every_quirk_says_where_it_was_seen() -> None:
    """style.md: a quirk has a name, a date and a row."""
    assert set(SEEN) == set(QUIRKS)
    assert all(quirk.seen and quirk.row.startswith(("RX-", "DEC-", "GR-")) and quirk.doc for quirk in QUIRKS.values())


@PROFILES
def test_what_is_in_order_leaves_no_quirk(profile: Profile) -> None:
    body = user_body(schemas=[CORE_USER, ENTERPRISE_USER], active=True, emails=BEFORE["emails"])
    assert posted(body | {ENTERPRISE_USER: {"manager": {"value": "m"}}}, profile).quirks == ()
    plain = [
        op("replace", "name.givenName", "Ada"),
        op("add", f"{ENTERPRISE_USER}:department", "Looms"),
        op("replace", f"{CORE_USER}:title", "x"),
        op("replace", 'emails[type eq "work"].value', "c@x"),
        op("replace", None, {"displayName": "Ada", "name": {"familyName": "L"}}),
        op("remove", "emails"),
    ]
    assert apply_patch(read_patch(patch_body(*plain), USER, profile), BEFORE).quirks == ()


# --- RX-01, RX-22, RX-37, RX-42: the message


@PROFILES
@pytest.mark.parametrize("name", ["ADD", "Add", "aDD"])
def test_operations_have_no_case(profile: Profile, name: str) -> None:
    assert patched(BEFORE, op(name, "title", "x"), profile=profile)["title"] == "x"


@PROFILES
@pytest.mark.parametrize("name", ["move", "copy", "test", "delete", "", " add", "ad", None, 1, True, ["add"]])
def test_other_operations_are_refused(profile: Profile, name: Any) -> None:
    with pytest.raises(InvalidSyntax):
        patched(BEFORE, {"op": name, "path": "title", "value": "x"}, profile=profile)


@PROFILES
def test_a_message_may_have_other_members_and_other_case(profile: Profile) -> None:
    """PA-13."""
    message = {
        "SCHEMAS": ["URN:ietf:params:scim:api:messages:2.0:patchop", "urn:x"],
        "id": "1",
        "OPERATIONS": [{"OP": "Add", "PATH": "title", "VALUE": "x", "name": "addTitle", "$ref": None}],
    }
    patch = read_patch(message, USER, profile)
    assert apply_patch(patch, BEFORE).resource == BEFORE | {"title": "x"}
    assert patch.ignored == ()


@PROFILES
@pytest.mark.parametrize(
    "message",
    [
        {},
        {"schemas": [CORE_USER], "Operations": []},
        {"schemas": "urn:ietf:params:scim:api:messages:2.0:PatchOp", "Operations": []},
        {"schemas": [5], "Operations": []},
        {"schemas": {}, "Operations": []},
        {"Operations": None},
        {"Operations": {}},
        {"Operations": "[]"},
        {"Operations": [None]},
        {"Operations": [[op("add", "title", "x")]]},
        {"Operations": ["add"]},
    ],
)
def test_what_is_no_patch_message_is_refused(profile: Profile, message: Json) -> None:
    with pytest.raises(InvalidSyntax):
        read_patch(message, USER, profile)


def test_operations_have_a_limit() -> None:
    one = op("add", "title", "x")
    read_patch(patch_body(*[one] * OPERATIONS_MAX), USER, STRICT)
    with pytest.raises(ScimError) as refusal:
        read_patch(patch_body(*[one] * (OPERATIONS_MAX + 1)), USER, STRICT)
    assert refusal.value.status == 413


def test_the_cause_names_operations_and_no_values() -> None:
    """Who an operation was about stays in the sealed request."""
    operations = [
        op("Replace", 'EMAILS[type EQ "work" and value eq "ada@x"].Value', "x"),
        op("add", None, {"title": "x", "department": "y"}),
        op("remove", 'members[value eq "4711"]'),
        op("remove", ENTERPRISE_USER.upper()),
    ]
    assert read_patch(patch_body(*operations[:2], operations[3]), USER, LENIENT).operations_text == [
        'replace emails[type eq "work" and value eq "…"].value',
        "add title",
        f"add {ENTERPRISE_USER}:department",
        f"remove {ENTERPRISE_USER}",
    ]
    assert read_patch(patch_body(operations[2]), GROUP, LENIENT).operations_text == ['remove members[value eq "…"]']


# --- RX-02, DEC-16: booleans


@PROFILES
@pytest.mark.parametrize(("text", "value"), [("True", True), ("FALSE", False), ("tRuE", True), ("false", False)])
def test_booleans_may_be_strings(profile: Profile, text: str, value: bool) -> None:
    assert patched(BEFORE, op("replace", "active", text), profile=profile)["active"] is value
    reading = posted(user_body(active=text, emails=[{"value": "a", "primary": text}]), profile)
    assert reading.resource["active"] is value
    assert reading.resource["emails"][0]["primary"] is value


@PROFILES
@pytest.mark.parametrize("value", ["yes", "no", "on", "0", "1", "", " true", 0, 1, 1.0, [True], {"value": True}])
def test_nothing_else_is_a_boolean(profile: Profile, value: Any) -> None:
    """A non-empty string is not true: somebody would stay active."""
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("replace", "active", value), profile=profile)
    with pytest.raises(InvalidValue):
        posted(user_body(active=value), profile)


# --- RX-07: the manager


@PROFILES
@pytest.mark.parametrize(
    "operation",
    [
        op("Add", MANAGER, "m2"),
        op("Replace", "manager", "m2"),
        op("replace", "manager", [{"value": "m2"}]),
        op("replace", f"{ENTERPRISE_USER}.manager", {"value": "m2", "displayName": "ignored"}),
        op("replace", f"{MANAGER}.value", "m2"),
        op("replace", f'{MANAGER}[value eq "m1"].value', "m2"),
        op("replace", f'{MANAGER}[value eq "m1"]', {"value": "m2"}),
        op("add", None, {ENTERPRISE_USER: {"manager": "m2"}}),
        op("add", ENTERPRISE_USER, {"Manager": {"Value": "m2"}}),
    ],
)
def test_a_manager_may_be_named_in_many_ways(profile: Profile, operation: Json) -> None:
    """And the old manager's `$ref` goes with the old manager."""
    assert patched(BEFORE, operation, profile=profile) == manager({"value": "m2"})


@PROFILES
@pytest.mark.parametrize(
    "operation",
    [
        op("replace", MANAGER, ""),
        op("replace", MANAGER, {"value": ""}),
        op("replace", MANAGER, None),
        op("replace", MANAGER, []),
        op("remove", MANAGER),
        op("remove", 'manager[value eq "m1"]'),
        op("replace", None, {MANAGER: ""}),
    ],
)
def test_an_empty_manager_is_none(profile: Profile, operation: Json) -> None:
    assert patched(BEFORE, operation, profile=profile) == manager(None)


@PROFILES
def test_an_empty_manager_value_is_no_value(profile: Profile) -> None:
    before = manager({"value": "m1"})
    assert patched(before, op("replace", f"{MANAGER}.value", ""), profile=profile) == manager(None)


@PROFILES
@pytest.mark.parametrize("value", [5, True, ["m2"], [{"value": "m2"}, {"value": "m3"}], {"value": 5}])
def test_other_managers_are_refused(profile: Profile, value: Any) -> None:
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("replace", MANAGER, value), profile=profile)
    with pytest.raises(InvalidValue):
        posted(user_body(**{ENTERPRISE_USER: {"manager": value}}), profile)


@PROFILES
@pytest.mark.parametrize("value", ["m2", {"value": "m2"}, [{"value": "m2"}], {"value": "m2", "displayName": "x"}])
def test_a_posted_manager_is_an_object_ever_after(profile: Profile, value: Any) -> None:
    reading = posted(user_body(**{ENTERPRISE_USER: {"manager": value}}), profile)
    assert reading.resource[ENTERPRISE_USER] == {"manager": {"value": "m2"}}


# --- RX-03: what stands below the core schema's own URI

BELOW = {CORE_USER: {"active": "False", "title": "Inner", ENTERPRISE_USER: {"manager": "m2"}}}


@pytest.mark.parametrize("operation", [op("replace", CORE_USER.upper(), BELOW[CORE_USER]), op("Add", None, BELOW)])
def test_what_stands_below_the_core_uri_stands_at_the_top(operation: Json) -> None:
    after = patched(BEFORE, operation)
    assert after == patched(BEFORE, op("replace", None, BELOW[CORE_USER]))
    assert after["active"] is False and CORE_USER not in after
    with pytest.raises(ScimError):
        read_patch(patch_body(operation), USER, STRICT)


def test_what_stands_at_the_top_counts() -> None:
    """In a PATCH as in POST and PUT; the other is noted."""
    patch = read_patch(patch_body(op("replace", None, {**BELOW, "Title": "Outer"})), USER, LENIENT)
    assert apply_patch(patch, BEFORE).resource["title"] == "Outer"
    reading = posted(user_body(title="Outer") | BELOW)
    assert (reading.resource["title"], reading.resource["active"]) == ("Outer", False)
    assert reading.ignored == patch.ignored == (f"{CORE_USER}:title",)
    assert "core_container" in reading.quirks and "active" in reading.assigned
    with pytest.raises(InvalidSyntax):
        posted(user_body() | BELOW, STRICT)


@pytest.mark.parametrize(
    "operation", [op("remove", CORE_USER), op("replace", CORE_USER, "x"), op("add", CORE_GROUP, {})]
)
def test_what_is_no_object_below_the_core_uri_is_ignored(operation: Json) -> None:
    patch = read_patch(patch_body(operation), USER, LENIENT)
    assert (patch.steps, len(patch.ignored)) == ((), 1)


# --- RX-08, RX-09, RX-27, DEC-25: filters


def test_a_condition_behind_the_bracket_belongs_inside() -> None:
    behind = parse_filter('emails[type eq "work"].value eq "x"', (USER,))
    assert behind == parse_filter('emails[type eq "work" and value eq "x"]', (USER,))
    assert isinstance(behind.of(USER), Within)


@pytest.mark.parametrize("name", ["members", "emails"])
def test_a_type_without_the_attribute_has_no_element_of_it(name: str) -> None:
    """FI-32: also `ne` behind the bracket wants an element first."""
    asked = parse_filter(f'{name}[type eq "x"].value ne "y"', RESOURCE_TYPES)
    other = USER if name == "members" else GROUP
    assert asked.of(other) == parse_filter(f'{name}[type eq "x" and value ne "y"]', RESOURCE_TYPES).of(other)


@pytest.mark.parametrize(
    "text",
    [
        'emails[type eq "work"] eq "x"',
        'emails[type eq "work"].value',
        'emails[type eq "work"]. value eq "x"',
        'emails[type eq "work"].colour eq "x"',
        "userName eq bjensen",
        "userName eq TRUE",
        "active eq True",
        'title eq "x" And',
        'title eq "x"and active eq true',
        'title\teq "x"',
        'title eq "x"\n',
        "title eq null or",
        'not title eq "x"',
        "not(title pr",
        "()",
        'title eq "\\u00"',
        "title eq 'x' or title pr",
        "%00",
        "(" * 60 + "title pr" + ")" * 60,
        " or ".join(["title pr"] * 2_001),
        'title eq "' + "x" * 70_000 + '"',
    ],
)
def test_a_filter_is_refused_rather_than_guessed(text: str) -> None:
    """FI-01, FI-05: A silent empty answer would make the client create duplicates."""
    with pytest.raises(InvalidFilter):
        parse_filter(text, (USER,))


def test_long_filters_work() -> None:
    """FI-37."""
    parse_filter(" or ".join(f'userName eq "user{number}@contoso.example"' for number in range(800)), (USER,))
    parse_filter("(" * 40 + "title pr" + ")" * 40, (USER,))
