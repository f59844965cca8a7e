"""What /Schemas and /ResourceTypes publish is what is enforced, in the spelling of RFC 7643."""

from collections.abc import Iterator
from typing import Any

import pytest

from domain.attributes import Attribute, ResourceType, describe_resource_type, describe_schema
from domain.schemas import (
    CORE_GROUP,
    CORE_USER,
    ENTERPRISE_USER,
    ENTERPRISE_USER_SCHEMA,
    GROUP,
    GROUP_SCHEMA,
    RESOURCE_TYPES,
    USER,
    USER_SCHEMA,
    Schema,
)

SCHEMAS = (USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_USER_SCHEMA)
WORDS = {
    "type": {"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"},
    "mutability": {"readOnly", "readWrite", "immutable", "writeOnly"},
    "returned": {"always", "never", "default", "request"},
    "uniqueness": {"none", "server", "global"},
}
ALWAYS = {"name", "type", "multiValued", "description", "required", "caseExact", "mutability", "returned", "uniqueness"}
WHERE_THEY_APPLY = {"canonicalValues", "referenceTypes", "subAttributes"}


def described(attributes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for attribute in attributes:
        yield attribute
        yield from described(attribute.get("subAttributes", []))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_a_published_schema_is_complete_and_has_no_nulls(schema: Schema) -> None:
    """DI-14, DI-22: Entra fails on null."""
    published = describe_schema(schema)
    assert (published["id"], published["name"]) == (schema.id, schema.name)
    for attribute in described(published["attributes"]):
        assert attribute.keys() >= ALWAYS
        assert attribute.keys() <= ALWAYS | WHERE_THEY_APPLY
        assert all(value not in (None, [], "") for value in attribute.values()), attribute["name"]
        assert all(attribute[name] in words for name, words in WORDS.items())
        assert ("subAttributes" in attribute) is (attribute["type"] == "complex")


@pytest.mark.parametrize(
    ("schema", "path", "characteristics"),
    [
        (USER_SCHEMA, "userName", {"required": True, "uniqueness": "server", "caseExact": False}),
        (USER_SCHEMA, "password", {"mutability": "writeOnly", "returned": "never"}),
        (USER_SCHEMA, "groups", {"mutability": "readOnly", "multiValued": True}),
        (USER_SCHEMA, "groups.value", {"mutability": "readOnly"}),
        (USER_SCHEMA, "profileUrl", {"type": "reference", "caseExact": True}),
        (USER_SCHEMA, "x509Certificates.value", {"type": "binary", "caseExact": True}),
        (GROUP_SCHEMA, "displayName", {"required": True, "uniqueness": "none"}),
        (GROUP_SCHEMA, "members", {"mutability": "readWrite", "multiValued": True}),
        (GROUP_SCHEMA, "members.value", {"mutability": "immutable"}),
        (GROUP_SCHEMA, "members.$ref", {"type": "reference", "referenceTypes": ["User", "Group"]}),
        (ENTERPRISE_USER_SCHEMA, "manager.displayName", {"mutability": "readOnly"}),
        (ENTERPRISE_USER_SCHEMA, "manager.$ref", {"referenceTypes": ["User"]}),
    ],
)
def test_characteristics_are_those_of_the_rfc(schema: Schema, path: str, characteristics: dict[str, Any]) -> None:
    attributes = describe_schema(schema)["attributes"]
    for name in path.split("."):
        found = next(attribute for attribute in attributes if attribute["name"] == name)
        attributes = found.get("subAttributes", [])
    assert {name: found[name] for name in characteristics} == characteristics


def test_addresses_have_no_value() -> None:
    """RFC 7643 §4.1.2; they are compared by all their parts."""
    addresses = USER.core["addresses"]
    assert addresses.value is None
    assert {"formatted", "country", "type", "primary"} <= {sub.name for sub in addresses.sub_attributes}


def test_resource_types_are_described() -> None:
    user, group = map(describe_resource_type, RESOURCE_TYPES)
    assert (user["id"], user["endpoint"], user["schema"]) == ("User", "/Users", CORE_USER)
    assert user["schemaExtensions"] == [{"schema": ENTERPRISE_USER, "required": False}]
    assert (group["name"], group["endpoint"], group["schema"]) == ("Group", "/Groups", CORE_GROUP)
    assert "schemaExtensions" not in group


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("USERNAME", "userName"),
        ("name.FAMILYNAME", "name.familyName"),
        (f"{CORE_USER}:name.familyName", "name.familyName"),
        (f"{CORE_USER}.name.familyName", "name.familyName"),
        (f"{ENTERPRISE_USER}:manager.value", f"{ENTERPRISE_USER}:manager.value"),
        (f"{ENTERPRISE_USER}.department", f"{ENTERPRISE_USER}:department"),
        ("department", f"{ENTERPRISE_USER}:department"),
        ("displayName", "displayName"),
        ("meta.lastModified", "meta.lastModified"),
        ("members", None),
        (f"{CORE_GROUP}:displayName", None),
        (ENTERPRISE_USER, None),
        ("name.familyName.x", None),
    ],
)
def test_a_place_has_many_spellings_and_one_path(written: str, path: str | None) -> None:
    place = USER.places.get(written.lower())
    assert (place and place.path) == path


def test_extensions_of_a_tenants_own_need_no_code() -> None:
    """A core name wins; what two extensions share has to be qualified (FI-30)."""
    first = Schema(
        "urn:x:Contoso:2.0:User", "C", "", (Attribute(name="badge"), Attribute(name="title"), Attribute(name="dup"))
    )
    second = Schema("urn:x:Fabrikam:2.0:User", "F", "", (Attribute(name="dup"),))
    own = ResourceType("User", "/Users", "", USER_SCHEMA, ((first, False), (second, True)), USER.common)
    assert own.places["badge"].path == "urn:x:Contoso:2.0:User:badge"
    assert own.places["title"].path == "title"
    assert "dup" not in own.places
    assert own.places["urn:x:fabrikam:2.0:user:dup"].path == "urn:x:Fabrikam:2.0:User:dup"
    assert "badge" not in USER.places and "badge" not in GROUP.places
