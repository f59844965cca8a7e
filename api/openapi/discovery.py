"""JSON Schemas of what discovery answers (RFC 7643 §5 to §7)."""

from api.openapi.shapes import SIMPLE, Json, listed, ref

_META: Json = {
    "type": "object",
    "properties": {"resourceType": {"type": "string"}, "location": {"type": "string", "format": "uri"}},
    "required": ["resourceType", "location"],
}

_SCHEMA: Json = {
    "type": "object",
    "description": "A schema that resources of this tenant use (RFC 7643 §7).",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "attributes": {"type": "array", "items": ref("Attribute")},
        "meta": _META,
    },
    "required": ["id", "name", "attributes", "meta"],
}

_ATTRIBUTE: Json = {
    "type": "object",
    "description": "An attribute with its characteristics (RFC 7643 §7).",
    "properties": {
        "name": {"type": "string"},
        "type": {"enum": [*SIMPLE, "complex"]},
        "multiValued": {"type": "boolean"},
        "description": {"type": "string"},
        "required": {"type": "boolean"},
        "caseExact": {"type": "boolean"},
        "canonicalValues": {"type": "array", "items": {"type": "string"}},
        "mutability": {"enum": ["readOnly", "readWrite", "immutable", "writeOnly"]},
        "returned": {"enum": ["always", "never", "default", "request"]},
        "uniqueness": {"enum": ["none", "server", "global"]},
        "referenceTypes": {"type": "array", "items": {"type": "string"}},
        "subAttributes": {"type": "array", "items": ref("Attribute")},
    },
    "required": ["name", "type", "multiValued", "required", "mutability", "returned", "uniqueness"],
}

_RESOURCE_TYPE: Json = {
    "type": "object",
    "description": "An endpoint of this tenant and its schemas (RFC 7643 §6).",
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string"},
        "endpoint": {"type": "string"},
        "description": {"type": "string"},
        "schema": {"type": "string"},
        "schemaExtensions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"schema": {"type": "string"}, "required": {"type": "boolean"}},
                "required": ["schema", "required"],
            },
        },
        "meta": _META,
    },
    "required": ["name", "endpoint", "schema", "meta"],
}

_OFFERED: Json = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}},
    "required": ["supported"],
}

_CONFIG: Json = {
    "type": "object",
    "description": "What is offered (RFC 7643 §5, RFC 9865 §4).",
    "properties": {
        **dict.fromkeys(("patch", "bulk", "filter", "changePassword", "sort", "etag"), _OFFERED),
        "pagination": {"type": "object"},
        "authenticationSchemes": {"type": "array", "items": {"type": "object"}},
        "meta": _META,
    },
    "required": [
        "patch", "bulk", "filter", "changePassword", "sort", "etag", "authenticationSchemes", "meta",
    ],
}  # fmt: skip

DISCOVERY: Json = {
    "Schema": _SCHEMA,
    "Attribute": _ATTRIBUTE,
    "SchemaList": listed(ref("Schema")),
    "ResourceType": _RESOURCE_TYPE,
    "ResourceTypeList": listed(ref("ResourceType")),
    "ServiceProviderConfig": _CONFIG,
}
