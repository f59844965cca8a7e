"""The OpenAPI document: valid, complete, and made of what the service is made of."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
from speaking import SCIM_TYPES, Json, Speaker, walk

from api.audit import AUDIT_HANDLERS
from api.entra_log import take_in
from api.openapi.document import document
from api.operations import OPERATIONS
from api.reports import REPORT_HANDLERS
from api.schemas import SCHEMA_HANDLERS

DOCUMENT = document("https://scim.example.com")
VERBS = ("get", "put", "post", "delete", "patch")
KINDS = {
    "string": "string",
    "reference": "string",
    "dateTime": "string",
    "binary": "string",
    "boolean": "boolean",
    "complex": "object",
}


def operations() -> Iterator[tuple[str, str, Json, Json]]:
    """Path, method, path item and operation of each."""
    for path, item in DOCUMENT["paths"].items():
        yield from ((path, verb, item, item[verb]) for verb in VERBS if verb in item)


def test_the_document_is_valid_openapi_31() -> None:
    """Against the meta schema of OpenAPI, and each schema in it against that of JSON Schema."""
    assert DOCUMENT["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    for shape in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": DOCUMENT["jsonSchemaDialect"], **shape})


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    """No reader of the document meets a dead end."""
    parts = [value for value in walk(DOCUMENT) if isinstance(value, dict)]
    # SCIM's own $ref is described by an object where OpenAPI's is a string.
    used = {part["$ref"] for part in parts if isinstance(part.get("$ref"), str)}
    assert used == {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    names = [operation["operationId"] for *_, operation in operations()]
    assert len(names) == len(set(names))
    assert {part["operationId"] for part in parts if "operationId" in part} == set(names)


def test_every_parameter_of_a_path_is_described() -> None:
    """And none that is not in it."""
    for path, _, item, operation in operations():
        parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
        in_path = [each["name"] for each in parameters if each["in"] == "path"]
        assert sorted(in_path) == sorted(re.findall(r"\{(\w+)\}", path))


def test_every_handler_beside_scim_is_described() -> None:
    """What is new has to be described to be merged."""
    served = {
        re.sub(r":\w+", "", path)
        for handler in (*AUDIT_HANDLERS, take_in, *SCHEMA_HANDLERS, *REPORT_HANDLERS, *OPERATIONS)
        for path in handler.paths
    }
    described = {re.sub(r"\{\w+\}", "{}", path) for path in DOCUMENT["paths"] if not path.startswith("/scim/")}
    assert {re.sub(r"\{\w+\}", "{}", path) for path in served} | {"/oauth/{}/token", "/schema"} == described


def test_anybody_may_read_it_and_it_names_no_tenant(lenient: Speaker) -> None:
    """GET /schema without a token, the same as the module makes it."""
    response = httpx.get(f"{lenient.service.base_url}/schema")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == document(lenient.service.base_url)
    assert lenient.slug not in response.text


@pytest.mark.parametrize("name", ["User", "Group"])
def test_resources_are_described_as_schemas_publishes_them(lenient: Speaker, name: str) -> None:
    """Every attribute that /Schemas has, with its type and its rights, and no other."""
    published = {schema["id"]: schema["attributes"] for schema in lenient.read("/Schemas")["Resources"]}
    types = {each["name"]: each for each in lenient.read("/ResourceTypes")["Resources"]}
    shown, written = (DOCUMENT["components"]["schemas"][each] for each in (name, f"{name}ToWrite"))
    agree(shown["properties"], written["properties"], published[types[name]["schema"]], complete=False)
    for extension in types[name].get("schemaExtensions", ()):
        inner = [shape["properties"][extension["schema"]]["properties"] for shape in (shown, written)]
        agree(*inner, published[extension["schema"]], complete=True)


def agree(shown: Json, written: Json, attributes: list[Json], *, complete: bool) -> None:
    """complete: whether there is nothing else; core attributes stand beside the common ones."""
    names = {each["name"] for each in attributes}
    assert not complete or set(shown) | set(written) == names
    for attribute in attributes:
        name = attribute["name"]
        assert (name in shown) is (attribute["returned"] != "never")
        assert (name in written) is (attribute["mutability"] != "readOnly")
        for shape in (side[name] for side in (shown, written) if name in side):
            assert bool(shape.get("readOnly")) is (attribute["mutability"] == "readOnly")
            assert bool(shape.get("writeOnly")) is (attribute["mutability"] == "writeOnly")
            one = shape["items"] if attribute["multiValued"] else shape
            assert kind_of(one) == KINDS[attribute["type"]]
            assert one.get("examples", []) == attribute.get("canonicalValues", [])
            assert set(one.get("properties", ())) <= {sub["name"] for sub in attribute.get("subAttributes", ())}


def kind_of(shape: Json) -> Any:
    """The JSON type, null aside."""
    kinds = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    return next(kind for kind in kinds if kind != "null")


def test_refusals_are_described_with_every_reason() -> None:
    """Every scimType there is, and on each operation of a tenant the errors that any request can meet."""
    assert set(DOCUMENT["components"]["schemas"]["Error"]["properties"]["scimType"]["enum"]) == SCIM_TYPES
    for path, verb, _, operation in operations():
        if {"bearer"} <= set().union(*operation["security"]):
            assert {"400", "401", "403", "404", "503"} <= set(operation["responses"]), path
        assert {"414", "431"} <= set(operation["responses"]), path
        if "requestBody" in operation:
            assert "413" in operation["responses"], path
            assert "415" in operation["responses"] or not path.startswith("/scim/"), path
        if "304" in operation["responses"] or (verb in ("put", "patch", "delete") and path.startswith("/scim/")):
            assert "412" in operation["responses"], path
            assert {"If-Match", "If-None-Match"} <= {each["name"] for each in operation["parameters"]}, path
        for status, response in operation["responses"].items():
            assert status not in ("401", "503") or path == "/readyz" or response["headers"]


@pytest.mark.parametrize(
    ("path", "allow"),
    [("schemas", "GET, OPTIONS, POST"), ("schemas/x", "GET, OPTIONS, PUT"), ("entra-log", "GET, OPTIONS, POST"),
     ("reports/leavers", "GET, OPTIONS, POST"), ("log", "GET, OPTIONS")],
)  # fmt: skip
def test_options_name_every_method(lenient: Speaker, path: str, allow: str) -> None:
    answer = lenient.audit.options(f"/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (204, allow)
