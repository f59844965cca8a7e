"""PATCH paths, and the keys of a value without one, which are paths too (RX-03, RX-29, DEC-27)."""

from typing import Any

import pytest
from deciding import BEFORE, MANAGER, PROFILES, op, patched
from vectors import patch_body

from domain.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidValue,
    Mutability,
    NoTarget,
    ScimError,
    UnknownAttribute,
)
from domain.patches import read_patch
from domain.profiles import LENIENT, STRICT, Profile
from domain.schemas import CORE_USER, ENTERPRISE_USER, USER

# --- RX-03, RX-04, PD-02, PD-14: values without path


@PROFILES
def test_keys_of_a_value_without_path_are_paths(profile: Profile) -> None:
    value = {
        "NAME.GivenName": "Ada",
        f"{CORE_USER}:nickName": "A",
        f"{ENTERPRISE_USER}:employeeNumber": "7",
        f"{MANAGER}.value": "m2",
        'emails[type eq "home"].display': "H",
        "name": {"familyName": "L"},
    }
    for name in ("add", "replace"):
        assert patched(BEFORE, op(name, None, value), profile=profile) == {
            "userName": "ada",
            "name": {"givenName": "Ada", "familyName": "L"},
            "nickName": "A",
            "emails": [BEFORE["emails"][0], {"value": "b@x", "type": "home", "display": "H"}],
            ENTERPRISE_USER: {"department": "Engines", "employeeNumber": "7", "manager": {"value": "m2"}},
        }


@PROFILES
def test_what_only_the_service_says_is_ignored_in_a_value_without_path(profile: Profile) -> None:
    value = {
        "id": "x",
        "meta": {"created": 5},
        "groups": "no list",
        "schemas": "no list",
        f"{MANAGER}.displayName": "x",
    }
    assert patched(BEFORE, op("replace", None, value | {"title": "T"}), profile=profile) == BEFORE | {"title": "T"}


@PROFILES
@pytest.mark.parametrize(
    "key",
    ["emails[0].value", "emails[type eq work].value", 'emails[colour eq "x"]', "emails[type", "emails[type pr].a b"],
)
def test_a_wrong_filter_in_a_key_is_refused(profile: Profile, key: str) -> None:
    with pytest.raises((InvalidFilter, InvalidPath)):
        patched(BEFORE, op("replace", None, {key: "x"}), profile=profile)


@pytest.mark.parametrize("key", ['emails[type eq "work"].foo', 'emails[type eq "no].one" or not (value pr)].foo'])
def test_an_unknown_part_behind_the_filter_of_a_key_is_ignored_in_lenient(key: str) -> None:
    """As `name.foo` is, by name and without the filter's literals; the bundle's other keys count (RX-03, RX-04)."""
    bundle = op("replace", None, {key: 1, "name.foo": 1, "active": False})
    patch = read_patch(patch_body(bundle), USER, LENIENT)
    assert patch.ignored == ("emails.foo", "name.foo")
    assert patched(BEFORE, bundle) == BEFORE | {"active": False}
    for name in ("add", "replace", "remove"):
        with pytest.raises(InvalidPath):
            patched(BEFORE, op(name, key, 1))
    with pytest.raises(InvalidPath):
        patched(BEFORE, bundle, profile=STRICT)


@PROFILES
@pytest.mark.parametrize("value", ["x", 5, None, True, [], [{"title": "x"}], '{"title": "x"}'])
def test_a_value_without_path_is_an_object(profile: Profile, value: Any) -> None:
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("replace", None, value), profile=profile)
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("add"), profile=profile)


@PROFILES
def test_null_unassigns_in_replace_and_adds_nothing(profile: Profile) -> None:
    value = {"title": None, "emails": None, "department": None, "nickName": None}
    before = BEFORE | {"title": "T"}
    rest = {"userName": "ada", ENTERPRISE_USER: {"manager": BEFORE[ENTERPRISE_USER]["manager"]}}
    assert patched(before, op("replace", None, value), profile=profile) == rest
    assert patched(before, op("add", None, value), profile=profile) == before
    with pytest.raises(InvalidValue):
        patched(before, op("add", "title", None), profile=profile)
    assert patched(before, op("replace", ENTERPRISE_USER, None), profile=profile) == {
        name: before[name] for name in ("userName", "emails", "title")
    }


# --- RX-29, DEC-27, PP-02 to PP-11: paths


@PROFILES
@pytest.mark.parametrize(
    "path",
    [
        "/emails/0",
        "/title",
        "emails[0]",
        "emails[0].value",
        "emails[-1]",
        "emails[]",
        "emails[",
        "emails]",
        'emails[type eq "work"',
        'emails[type eq "work"].value.x',
        'emails[type eq "work"]value',
        'emails[type eq "work"].',
        'emails[type eq "work"].colour',
        'emails[type eq "work"] ',
        "name.familyName.initial",
        "name.initial",
        "title.x",
        "ti tle",
        " title",
        "title ",
        ".title",
        "title.",
        "title,active",
        'title[value eq "x"]',
        'emails.value[type eq "x"]',
        "colour[",
        "colour[0]",
        'colour[type eq "x"',
        'colour[type eq "x"]x',
        "*",
        "é",
        f"{ENTERPRISE_USER}:manager.colour",
        "x" * 9_000 + "[",
    ],
)
def test_a_malformed_path_is_refused_in_both_profiles(profile: Profile, path: str) -> None:
    with pytest.raises(InvalidPath) as refusal:
        patched(BEFORE, op("replace", path, "x"), profile=profile)
    assert not isinstance(refusal.value, UnknownAttribute)


@pytest.mark.parametrize(
    "path",
    [
        "colour",
        "colour.shade",
        'colour[type eq "x"]',
        'colour[type eq "x"].value',
        "urn:x:2.0:User:title",
        f"{ENTERPRISE_USER}:colour",
    ],
)
@pytest.mark.parametrize("name", ["add", "replace", "remove"])
def test_a_path_to_an_unknown_attribute_is_ignored_or_refused(path: str, name: str) -> None:
    operations = [op(name, path, "x"), op("replace", "active", False)]
    assert patched(BEFORE, *operations) == BEFORE | {"active": False}
    assert len(read_patch(patch_body(*operations), USER, LENIENT).ignored) == 1
    with pytest.raises(UnknownAttribute):
        patched(BEFORE, *operations, profile=STRICT)


@PROFILES
@pytest.mark.parametrize(("name", "refusal"), [("remove", NoTarget), ("add", InvalidPath), ("replace", InvalidPath)])
def test_an_empty_path_is_refused(profile: Profile, name: str, refusal: type[ScimError]) -> None:
    with pytest.raises(refusal):
        patched(BEFORE, op(name, "", "x"), profile=profile)


@PROFILES
@pytest.mark.parametrize("path", [5, True, ["title"], {"path": "title"}])
def test_a_path_is_a_string(profile: Profile, path: Any) -> None:
    with pytest.raises(InvalidPath):
        patched(BEFORE, {"op": "replace", "path": path, "value": "x"}, profile=profile)


@PROFILES
def test_what_stands_in_quotes_is_no_syntax(profile: Profile) -> None:
    """PP-06."""
    odd = 'x].value) or ("y" and [z'
    before = {"userName": "ada", "emails": [{"value": odd}, {"value": "b"}]}
    path = 'emails[value eq "x].value) or (\\"y\\" and [z"].display'
    assert patched(before, op("add", path, "D"), profile=profile)["emails"] == [
        {"value": odd, "display": "D"},
        {"value": "b"},
    ]


@PROFILES
@pytest.mark.parametrize(
    "path",
    ["id", "ID", "meta", "meta.version", "groups", "groups.value", 'groups[value eq "g"]', f"{MANAGER}.displayName"],
)
@pytest.mark.parametrize("name", ["add", "replace", "remove"])
def test_what_only_the_service_says_is_no_target(profile: Profile, path: str, name: str) -> None:
    """PD-01."""
    with pytest.raises(Mutability):
        patched(BEFORE, op(name, path, "x"), profile=profile)


@PROFILES
def test_schemas_follow_from_the_attributes(profile: Profile) -> None:
    """PD-14."""
    for name in ("add", "replace"):
        assert patched(BEFORE, op(name, "schemas", [CORE_USER]), profile=profile) == BEFORE
    with pytest.raises(Mutability):
        patched(BEFORE, op("remove", "schemas"), profile=profile)
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("replace", "schemas", [5]), profile=profile)
