"""POST and PUT bodies: `schemas`, unassigned, unknown and wrong values (RX-10 to RX-15, RS-04, RS-29)."""

from typing import Any

import pytest
from deciding import BEFORE, PROFILES, op, patched, posted, user_body
from vectors import Json, patch_body

from domain.errors import (
    InvalidSyntax,
    InvalidValue,
)
from domain.patches import read_patch
from domain.profiles import LENIENT, STRICT, Profile
from domain.schemas import CORE_GROUP, CORE_USER, ENTERPRISE_USER, USER

# --- RX-10 to RX-13, RX-15, RX-39, RS-04: bodies


@PROFILES
@pytest.mark.parametrize(
    "schemas",
    [
        [],
        [CORE_GROUP],
        [ENTERPRISE_USER],
        ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        CORE_USER,
        [CORE_USER, 5],
        {"0": CORE_USER},
        5,
    ],
)
def test_schemas_name_the_endpoint_if_they_are_there(profile: Profile, schemas: Any) -> None:
    with pytest.raises(InvalidSyntax):
        posted({"schemas": schemas, "userName": "ada"}, profile)


@PROFILES
@pytest.mark.parametrize(
    "body",
    [
        {"userName": "ada"},
        {"schemas": None, "userName": "ada"},
        {"SCHEMAS": [CORE_USER.upper()], "USERNAME": "ada"},
        {"schemas": [CORE_USER, ENTERPRISE_USER], "userName": "ada"},
        {"schemas": ["urn:scim:schemas:core:1.0"], "userName": "ada", "id": None, "groups": [], "meta": {}},
        {"userName": "ada", "title": None, "emails": [], "name": {}, ENTERPRISE_USER: {}, "roles": [None, {}]},
        {"userName": "ada", ENTERPRISE_USER: None, "addresses": None, "name": {"givenName": None}},
        {"userName": "ada", ENTERPRISE_USER: {"manager": "", "department": None}},
    ],
)
def test_a_body_is_read_for_what_it_says(profile: Profile, body: Json) -> None:
    assert posted(body, profile).resource == {"userName": "ada"}


UNKNOWN = [
    ({"shoeSize": 43}, "shoeSize"),
    ({"urn:example:Shoes": {"size": 43}}, "urn:example:Shoes"),
    ({"name": {"initial": "A"}}, "name.initial"),
    ({"roles": [{"displayName": "x", "value": "r"}]}, "roles.displayName"),
    ({ENTERPRISE_USER: {"shoeSize": 43}}, f"{ENTERPRISE_USER}:shoeSize"),
    ({ENTERPRISE_USER: {"manager": {"managerId": "m"}}}, "manager.managerId"),
]


@pytest.mark.parametrize(("more", "name"), UNKNOWN)
def test_unknown_attributes_are_ignored_by_name_or_refused(more: Json, name: str) -> None:
    """DEC-09."""
    assert posted(user_body() | more).ignored == (name,)
    with pytest.raises(InvalidSyntax) as refusal:
        posted(user_body() | more, STRICT)
    assert name in refusal.value.detail
    assert read_patch(patch_body(op("replace", None, more)), USER, LENIENT).ignored == (name,)
    with pytest.raises(InvalidSyntax):
        read_patch(patch_body(op("replace", None, more)), USER, STRICT)


@PROFILES
@pytest.mark.parametrize(
    "more",
    [
        {"userName": 5},
        {"userName": ["ada"]},
        {"userName": "a\x07da"},
        {"title": 5},
        {"title": True},
        {"title": {"value": "x"}},
        {"title": []},
        {"name": "Ada"},
        {"name": ["Ada"]},
        {"name": {"givenName": 1}},
        {"emails": "a@x"},
        {"emails": ["a@x"]},
        {"emails": [["a@x"]]},
        {"emails": [{"value": 5}]},
        {"emails": [{"value": "a", "primary": "maybe"}]},
        {"x509Certificates": [{"value": "not base64!"}]},
        {"x509Certificates": [{"value": "abcde"}]},
        {"password": 5},
        {"emails": [{"value": str(number)} for number in range(1_001)]},
        {ENTERPRISE_USER: "x"},
        {ENTERPRISE_USER: []},
        {ENTERPRISE_USER: {"department": 5}},
    ],
)
def test_a_wrong_type_is_refused_and_never_dropped(profile: Profile, more: Json) -> None:
    """RS-29, MT-15."""
    with pytest.raises(InvalidValue):
        posted(user_body() | more, profile)
    if "password" not in more and more.get("title") != []:
        with pytest.raises(InvalidValue):
            patched(BEFORE, op("replace", None, more), profile=profile)


@pytest.mark.parametrize("name", [None, "", [], 0])
def test_a_user_has_a_name(name: Any) -> None:
    with pytest.raises(InvalidValue):
        posted(user_body(userName=name))


def test_values_are_kept_as_sent() -> None:
    """RS-22, RS-23, RX-39: nothing is trimmed, folded, formatted or parsed."""
    kept = {
        "title": "",
        "displayName": "  Ada ",
        "profileUrl": "no url",
        "locale": "xx_YY",
        "timezone": "Mars/Olympus",
        "phoneNumbers": [{"value": "tel:+1 (555) 0100"}],
        "roles": [{"value": '{"id":"06b07648","value":"25"}'}],
        "x509Certificates": [{"value": "TUlJRHFUQ0NBWkc"}],
        "emails": [{"value": "ADA@Contoso.Example", "type": "unheard-of"}],
    }
    assert posted(user_body(**kept)).resource == {"userName": "ada@contoso.example"} | kept


def test_a_reading_tells_null_from_silence() -> None:
    """PU-04: null clears whatever the rule for omission is."""
    reading = posted(user_body(active=None, title="x", **{ENTERPRISE_USER: {"department": None}}))
    assert reading.assigned == {"userName", "active", "title", f"{ENTERPRISE_USER}:department"}
