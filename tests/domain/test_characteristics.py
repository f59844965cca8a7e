"""What characteristics mean for attributes that no standard schema has: integers, decimals, immutable ones."""

from typing import Any

import pytest
from deciding import PROFILES, user_body

from domain import users
from domain.applying import apply_patch
from domain.attributes import Attribute, ResourceType, Schema
from domain.errors import InvalidValue, Mutability
from domain.patches import read_patch
from domain.profiles import LENIENT, STRICT, Profile
from domain.resources import read_resource
from domain.schemas import CORE_USER, ENTERPRISE_USER_SCHEMA, GROUP_SCHEMA, USER, USER_SCHEMA
from domain.users import User

BADGE = Schema(
    "urn:x:Badge:2.0:User",
    "Badge",
    "",
    (
        Attribute(name="number", mutability="immutable"),
        Attribute(name="level", type="integer"),
        Attribute(name="weight", type="decimal"),
        Attribute(
            name="locks",
            type="complex",
            multi_valued=True,
            sub_attributes=(Attribute(name="value", required=True), Attribute(name="type")),
        ),
    ),
)
OWN = ResourceType("User", "/Users", "", USER_SCHEMA, ((BADGE, False),), USER.common)


def posted(profile: Profile, **badge: Any) -> Any:
    body = user_body(schemas=[CORE_USER, BADGE.id]) | {BADGE.id: badge}
    return read_resource(body, OWN, profile)


@PROFILES
def test_integers_have_no_fraction(profile: Profile) -> None:
    """RS-27: neither fraction nor exponent; decimals have both."""
    assert posted(profile, level=7, weight=7.5).resource[BADGE.id] == {"level": 7, "weight": 7.5}
    for wrong in (7.0, 7e2, "7", True, [7]):
        with pytest.raises(InvalidValue):
            posted(profile, level=wrong)
    for wrong in ("7.5", True, [7.5]):
        with pytest.raises(InvalidValue):
            posted(profile, weight=wrong)


@PROFILES
def test_what_is_immutable_is_said_once(profile: Profile) -> None:
    """CR-03, PU-06, PD-03: at creation, or later where there is none; then a PUT has to repeat it."""
    reading = posted(profile, number="1", level=1)
    assert reading.resource[BADGE.id] == {"number": "1", "level": 1}
    user, bare = User("u", reading.resource, 1), User("u", {"userName": "ada@contoso.example"}, 1)
    assert users.replace(user, posted(profile, number="1", level=1), OWN) == []
    assert len(users.replace(user, posted(profile, number="1", level=2), OWN)) == 1
    assert len(users.replace(bare, posted(profile, number="2"), OWN)) == 1
    for other in ({"number": "2"}, {"level": 1}):
        with pytest.raises(Mutability):
            users.replace(user, posted(profile, **other), OWN)
    path = f"{BADGE.id}:number"
    for operation in ({"op": "replace", "path": path, "value": "2"}, {"op": "remove", "path": path}):
        with pytest.raises(Mutability):
            apply_patch(read_patch({"Operations": [operation]}, OWN, profile), user.resource)
    added = apply_patch(
        read_patch({"Operations": [{"op": "add", "path": path, "value": "2"}]}, OWN, profile), bare.resource
    )
    assert added.resource[BADGE.id] == {"number": "2"}


def test_an_element_goes_with_its_required_value_where_the_client_is_known_to_mean_it() -> None:
    """DEC-10 before PD-04: what Entra sends to remove an element, lenient reads so also where `value` is required."""
    removal = {"op": "remove", "path": f'{BADGE.id}:locks[type eq "gate"].value'}
    resource = posted(LENIENT, locks=[{"value": "1", "type": "door"}, {"value": "2", "type": "gate"}]).resource
    patched = apply_patch(read_patch({"Operations": [removal]}, OWN, LENIENT), resource)
    assert patched.resource[BADGE.id]["locks"] == [{"value": "1", "type": "door"}]
    with pytest.raises(Mutability):
        read_patch({"Operations": [removal]}, OWN, STRICT)


def test_complex_attributes_are_one_level_deep() -> None:
    """RS-17: no schema of ours nests further; RS-18: what has several values has the parts that clients expect."""
    for schema in (USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_USER_SCHEMA):
        for attribute in schema.attributes:
            assert (attribute.type == "complex") is bool(attribute.sub_attributes)
            assert all(sub.type != "complex" for sub in attribute.sub_attributes)
            if attribute.multi_valued and attribute.mutability == "readWrite" and not attribute.edges:
                assert {"type", "primary"} <= set(attribute.subs)
                assert ({"value", "display"} <= set(attribute.subs)) is (attribute.name != "addresses")
