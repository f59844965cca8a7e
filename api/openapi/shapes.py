"""JSON Schemas of resources, made from the attributes that the service itself reads and answers by."""

from collections.abc import Iterator
from typing import Any

from api.answers import LIST_SCHEMA
from api.query import COUNT_MAX
from domain.attributes import Attribute, ResourceType, Schema
from domain.reading import ELEMENTS_MAX

Json = dict[str, Any]

PREFIX = "#/components/schemas/"
SIMPLE: dict[str, Json] = {
    "string": {"type": "string"},
    "reference": {"type": "string"},  # Kept as sent: what the client calls a URI need not be one.
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "decimal": {"type": "number"},
    "dateTime": {"type": "string", "format": "date-time"},
    "binary": {"type": "string", "contentEncoding": "base64"},
}


def ref(name: str) -> Json:
    """Return a reference to a component."""
    return {"$ref": PREFIX + name}


def written(name: str) -> str:
    """Return the name of the component that POST and PUT of a resource type take."""
    return f"{name}ToWrite"


def naming(uri: str) -> Json:
    """Return the schema of a body's `schemas`: it has to name this URI, and may be left out (RX-11)."""
    return {"type": ["array", "null"], "items": {"type": "string"}, "contains": {"const": uri}}


def resource(resource_type: ResourceType, *, to_write: bool) -> Json:
    """Return a resource as it is answered, or as POST and PUT take it."""
    attributes = (*resource_type.common, *resource_type.schema.attributes)
    properties = dict(_properties(attributes, to_write=to_write))
    if to_write:
        properties["schemas"] = naming(resource_type.schema.id)
    for schema, _ in resource_type.extensions:
        properties[schema.id] = _extension(schema, to_write=to_write)
    if to_write:
        required = [each.name for each in resource_type.schema.required]
        required += [schema.id for schema, needed in resource_type.extensions if needed]
    else:
        # Everything else can be left out by `attributes` and `excludedAttributes`, or be unassigned.
        required = [each.name for each in attributes if each.returned == "always"]
    return {
        "type": "object",
        "description": resource_type.description,
        "properties": properties,
        "required": required,
    }


def _extension(schema: Schema, *, to_write: bool) -> Json:
    shape: Json = {
        "type": ["object", "null"] if to_write else "object",
        "description": schema.description,
        "properties": dict(_properties(schema.attributes, to_write=to_write)),
    }
    if to_write and (required := [each.name for each in schema.required]):
        shape["required"] = required
    return shape


def _properties(attributes: tuple[Attribute, ...], *, to_write: bool) -> Iterator[tuple[str, Json]]:
    for attribute in attributes:
        skipped = attribute.mutability == "readOnly" if to_write else attribute.returned == "never"
        if not skipped:
            yield attribute.name, _attribute(attribute, to_write=to_write)


def _attribute(attribute: Attribute, *, to_write: bool) -> Json:
    """The schema of an attribute's whole value; null unassigns what may be unassigned (RFC 7643 §2.5)."""
    optional = to_write and not attribute.required
    shape = _one(attribute, to_write=to_write)
    if attribute.multi_valued:
        shape = {"type": "array", "items": shape}
        if not attribute.edges:
            shape["maxItems"] = ELEMENTS_MAX
    elif to_write and attribute.required and attribute.type == "string":
        shape["minLength"] = 1
    if optional:
        shape["type"] = [shape["type"], "null"]
    shape["description"] = attribute.description
    if attribute.mutability == "readOnly":
        shape["readOnly"] = True
    if attribute.mutability == "writeOnly":
        shape["writeOnly"] = True
    return shape


def _one(attribute: Attribute, *, to_write: bool) -> Json:
    """The schema of one value. canonicalValues are examples: others are accepted and kept (RS-21)."""
    if attribute.type == "complex":
        return {"type": "object", "properties": dict(_properties(attribute.sub_attributes, to_write=to_write))}
    shape = dict(SIMPLE[attribute.type])
    if attribute.canonical_values:
        shape["examples"] = list(attribute.canonical_values)
    return shape


def listed(element: Json) -> Json:
    """Return a ListResponse of such elements."""
    return {
        "type": "object",
        "description": "A page of a list (RFC 7644 §3.4.2).",
        "properties": {
            "schemas": {"const": [LIST_SCHEMA]},
            "totalResults": {"type": "integer", "minimum": 0, "description": "All matches, not those of this page."},
            "startIndex": {"type": "integer", "minimum": 1, "description": "Of a page by index."},
            "nextCursor": {"type": "string", "description": "Of a page by cursor, but for the last."},
            "itemsPerPage": {"type": "integer", "minimum": 0, "maximum": COUNT_MAX},
            "Resources": {"type": "array", "items": element, "maxItems": COUNT_MAX},
        },
        "required": ["schemas", "totalResults", "itemsPerPage", "Resources"],
    }
