"""Discovery (section 4): what is offered, told completely, to whoever may know, in a shape to build on."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from speaking import ENTERPRISE, GROUP, SCIM_JSON, USER, Json, Speaker, checked, list_of, refused, walk

CONFIG = "/ServiceProviderConfig"
CONFIG_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
DISCOVERY = [CONFIG, "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}"]
TYPES = {"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"}
KEYWORDS = {
    "type": TYPES,
    "mutability": {"readOnly", "readWrite", "immutable", "writeOnly"},
    "returned": {"always", "never", "default", "request"},
    "uniqueness": {"none", "server", "global"},
}


@pytest.fixture(scope="module")
def config(lenient: Speaker) -> Json:
    """The tenant's ServiceProviderConfig."""
    return lenient.read(CONFIG)


@pytest.fixture(scope="module")
def schemas(lenient: Speaker) -> dict[str, Json]:
    """The tenant's schemas by their URN."""
    return {schema["id"]: schema for schema in list_of(lenient.read("/Schemas"))}


def attributes(schema: Json) -> Iterator[tuple[str, Json]]:
    """Every attribute and sub-attribute of a schema by its name."""
    for attribute in schema["attributes"]:
        yield attribute["name"], attribute
        for sub in attribute.get("subAttributes", ()):
            yield f"{attribute['name']}.{sub['name']}", sub


def test_the_config_has_every_member_and_number(config: Json) -> None:
    """DI-01, DI-02, DI-05: one object; a client that finds a number missing may switch everything off."""
    assert config["schemas"] == [CONFIG_SCHEMA]
    for feature in ("patch", "bulk", "filter", "changePassword", "sort", "etag"):
        assert type(config[feature]["supported"]) is bool, feature
    numbers = [
        config["bulk"]["maxOperations"], config["bulk"]["maxPayloadSize"], config["filter"]["maxResults"],
        config["pagination"]["defaultPageSize"], config["pagination"]["maxPageSize"],
    ]  # fmt: skip
    assert all(type(number) is int and number >= 0 for number in numbers)
    assert config["patch"]["supported"] and config["filter"]["supported"] and config["etag"]["supported"]
    assert type(config["pagination"]["cursor"]) is type(config["pagination"]["index"]) is bool
    assert config["pagination"]["defaultPaginationMethod"] in ("cursor", "index")
    assert config["documentationUri"].startswith("http")


def test_passwords_are_not_changed_here(config: Json) -> None:
    """SX-04: no password is ever stored, so none can be changed."""
    assert config["changePassword"] == {"supported": False}


def test_both_ways_of_authenticating_are_told(config: Json, lenient: Speaker) -> None:
    """DI-02, DI-03: type, name and description; one is primary; Basic is not offered (AU-10)."""
    schemes = config["authenticationSchemes"]
    assert [scheme["type"] for scheme in schemes] == ["oauthbearertoken", "oauth2"]
    assert [scheme["primary"] for scheme in schemes] == [True, False]
    for scheme in schemes:
        assert scheme["name"] and scheme["description"] and scheme["specUri"].startswith("https://")
    assert f"{lenient.service.base_url}/oauth/{lenient.slug}/token" in schemes[1]["description"]


def test_the_config_alone_is_open(config: Json, lenient: Speaker) -> None:
    """DI-04: readable before there is a token, for a tenant that is there and for one that is not."""
    with httpx.Client(base_url=lenient.service.base_url, timeout=20) as stranger:
        assert checked(stranger.get(f"{lenient.base}{CONFIG}")).json() == config
        nobody = checked(stranger.get(f"/scim/t-nobody/v2{CONFIG}"))
        assert nobody.text == checked(stranger.get(f"{lenient.base}{CONFIG}")).text.replace(lenient.slug, "t-nobody")
        for path in DISCOVERY[1:]:
            refused(checked(stranger.get(f"{lenient.base}{path}")), 401, None)


def test_events_are_not_claimed(config: Json) -> None:
    """DI-06: a member that is absent is a feature that is not there."""
    assert "securityEvents" not in config


def test_resource_types_are_listed_and_single(lenient: Speaker) -> None:
    """DI-07, DI-08, DI-09."""
    listed = {each["name"]: each for each in list_of(lenient.read("/ResourceTypes"))}
    assert listed.keys() >= {"User", "Group"}
    assert (listed["User"]["endpoint"], listed["User"]["schema"]) == ("/Users", USER)
    assert (listed["Group"]["endpoint"], listed["Group"]["schema"]) == ("/Groups", GROUP)
    assert {"schema": ENTERPRISE, "required": False} in listed["User"]["schemaExtensions"]
    for name, each in listed.items():
        assert each["id"] == name and each["description"]
        assert lenient.read(f"/ResourceTypes/{name}") == each
    refused(lenient.get("/ResourceTypes/Device"), 404, None)


def test_schemas_are_listed_and_single(lenient: Speaker, schemas: dict[str, Json]) -> None:
    """DI-10, DI-11, DI-12: every one in use, none of messages; the URN in any case."""
    assert schemas.keys() >= {USER, GROUP, ENTERPRISE}
    assert not [urn for urn in schemas if ":api:messages:" in urn]
    for urn, schema in schemas.items():
        assert lenient.read(f"/Schemas/{urn}") == schema
    assert lenient.read(f"/Schemas/{USER.upper()}") == schemas[USER]
    refused(lenient.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Device"), 404, None)


def test_attributes_are_described_in_full(schemas: dict[str, Json]) -> None:
    """DI-14, DI-15, DI-22: every characteristic, in the RFC's spelling, and no null, which Entra fails on."""
    required = {"name", "multiValued", "description", "required", "caseExact", *KEYWORDS}
    for schema in schemas.values():
        assert None not in walk(schema)
        for name, attribute in attributes(schema):
            assert attribute.keys() >= required, name
            for characteristic, known in KEYWORDS.items():
                assert attribute[characteristic] in known, (name, characteristic)
            assert ("subAttributes" in attribute) is (attribute["type"] == "complex"), name
            assert ("referenceTypes" in attribute) is (attribute["type"] == "reference"), name


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("emails", {"work", "home", "other"}),
        ("addresses", {"work", "home", "other"}),
        ("phoneNumbers", {"work", "mobile", "fax", "home", "pager", "other"}),
    ],
)
def test_canonical_values_are_those_that_entra_maps(schemas: dict[str, Json], attribute: str, values: set[str]) -> None:
    """Section 3.1: without them Entra's validator asks for emails[primary eq true] and fails."""
    assert set(dict(attributes(schemas[USER]))[f"{attribute}.type"]["canonicalValues"]) == values


def test_roles_are_chosen_by_primary(schemas: dict[str, Json]) -> None:
    """Section 3.1: roles have no canonical values, so that Entra maps roles[primary eq "True"].value."""
    assert "canonicalValues" not in dict(attributes(schemas[USER]))["roles.type"]


def test_what_is_published_is_enforced(lenient: Speaker, strict: Speaker, schemas: dict[str, Json]) -> None:
    """DI-16: required, readOnly, returned never and uniqueness, each tried."""
    published = dict(attributes(schemas[USER]))
    assert published["userName"]["required"] and published["userName"]["uniqueness"] == "server"
    refused(strict.send("POST", "/Users", {"schemas": [USER], "displayName": "x"}), 400, "invalidValue")
    held = strict.user()
    refused(strict.send("POST", "/Users", {"schemas": [USER], "userName": held["userName"]}), 409, "uniqueness")
    assert published["password"]["returned"] == "never"
    assert published["groups"]["mutability"] == "readOnly"
    made = lenient.user(password="t1meMa$heen", groups=[{"value": "x"}])
    assert not {"password", "groups"} & made.keys()


@pytest.mark.parametrize("path", DISCOVERY)
def test_a_filter_is_refused_and_paging_ignored(lenient: Speaker, path: str) -> None:
    """DI-17, DI-18."""
    refused(lenient.get(f'{path}?filter=name eq "User"'), 403, None)
    whole = lenient.read(path)
    for query in ("?startIndex=2&count=1", "?count=0", "?sortBy=id&sortOrder=descending", "?attributes=id"):
        assert lenient.read(f"{path}{query}") == whole


@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_is_read_only(lenient: Speaker, path: str) -> None:
    """DI-19."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        body: Any = None if method == "DELETE" else {"schemas": [CONFIG_SCHEMA]}
        response = lenient.send(method, path, body)
        refused(response, 405, None)
        assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "kind"), [(CONFIG, "ServiceProviderConfig"), ("/ResourceTypes", "ResourceType"), ("/Schemas", "Schema")]
)
def test_meta_says_what_and_where(lenient: Speaker, path: str, kind: str) -> None:
    """DI-20: the location is absolute, and leads back to the same."""
    told = lenient.read(path)
    for each in told.get("Resources", [told]):
        assert each["meta"]["resourceType"] == kind
        assert each["meta"]["location"].startswith(f"{lenient.service.base_url}{lenient.base}/")
        assert checked(lenient.scim.get(each["meta"]["location"])).json() == each


@pytest.mark.parametrize("path", DISCOVERY)
def test_discovery_is_tagged(lenient: Speaker, path: str) -> None:
    """DI-21: a weak ETag of what is said; who has it is told that nothing changed."""
    shown = lenient.get(path)
    tag = shown.headers["etag"]
    assert tag.startswith('W/"')
    assert shown.headers["content-type"] == SCIM_JSON
    assert lenient.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert lenient.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200
