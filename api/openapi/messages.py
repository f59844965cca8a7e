"""JSON Schemas of the messages around resources: queries, patches, errors, the auditors' answers."""

from inspect import cleandoc

import msgspec

from api.answers import ERROR_SCHEMA
from api.bulk import OPERATIONS_MAX as BULK_OPERATIONS_MAX
from api.bulk import RESPONSE_SCHEMA, Result
from api.listing import SEARCH_SCHEMA
from api.openapi.discovery import DISCOVERY
from api.openapi.shapes import PREFIX, Json, listed, naming, ref, resource, written
from api.query import COUNT_DEFAULT, COUNT_MAX
from domain.attributes import ResourceType
from domain.bulk import BULK_REQUEST, METHODS
from domain.errors import ScimError
from domain.patches import OPERATIONS_MAX, PATCH_OP
from ledger.declarations import Revised
from projections.answers import AsOf, History
from projections.asking import Why
from projections.differences import MembershipDiffers, ResourceDiffers, Standing, Totals
from projections.entra import EntraRow
from projections.entra_import import Imported
from projections.entra_report import Unmatched
from projections.log import Log
from projections.received import RequestShown
from projections.reports.catalog import Described
from projections.rhythm import RunList

# Which attributes of the answer are wanted, and which resources: for URLs and SearchRequests alike.
SELECTING: Json = {
    "attributes": {"type": "string", "description": "Only these attributes, with commas between."},
    "excludedAttributes": {"type": "string", "description": "All but these. Not together with attributes."},
}
AS_OF: Json = {
    "asOf": {
        "type": "string",
        "description": "Show all as it was: an RFC 3339 time, or a position; -1 is before the first entry. Needs the "
        "scope audit, and only that. The answer's SCIM-Ledger-Position is that of the last entry that counts.",
    }
}
LISTING: Json = {
    "filter": {
        "type": "string",
        "description": "RFC 7644 §3.4.2.2.",
        "examples": ['userName eq "grace.okafor@example.com"'],
    },
    "startIndex": {"type": "integer", "description": "Of the first resource, from 1.", "default": 1},
    "count": {
        "type": "integer",
        "description": f"Of resources at most; more than {COUNT_MAX} counts as {COUNT_MAX}.",
        "default": COUNT_DEFAULT,
    },
    "cursor": {
        "type": "string",
        "description": "Instead of startIndex (RFC 9865): empty to begin, then nextCursor of the page before.",
    },
    "sortBy": {"type": "string", "description": "An attribute.", "examples": ["userName", "name.familyName"]},
    "sortOrder": {"type": "string", "description": "Ascending, or descending, in any case.", "default": "ascending"},
    **SELECTING,
    **AS_OF,
}


def components(types: tuple[ResourceType, ...]) -> Json:
    """Return every schema that the document refers to."""
    made: Json = {}
    for resource_type in types:
        made[resource_type.name] = resource(resource_type, to_write=False)
        made[written(resource_type.name)] = resource(resource_type, to_write=True)
        made[f"{resource_type.name}List"] = listed(ref(resource_type.name))
    made["ResourceList"] = listed({"anyOf": [ref(each.name) for each in types]})
    made |= {"PatchOp": _PATCH, "SearchRequest": _search(), "Error": _error(), "Failure": _FAILURE}
    made |= {"BulkRequest": _BULK, "BulkResponse": _BULK_RESPONSE}
    return made | DISCOVERY | _told()


def scim_types() -> list[str]:
    """Return every scimType that a refusal can have."""
    found, waiting = set[str](), [ScimError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error.scim_type:
            found.add(error.scim_type)
    return sorted(found)


def _error() -> Json:
    return {
        "type": "object",
        "description": "A refusal (RFC 7644 §3.12).",
        "properties": {
            "schemas": {"const": [ERROR_SCHEMA]},
            "status": {"type": "string", "pattern": "^[45][0-9]{2}$"},
            "scimType": {"enum": scim_types()},
            "detail": {"type": "string", "description": "What to change, for the client's administrator."},
        },
        "required": ["schemas", "status", "detail"],
    }


def _told() -> Json:
    """What auditors and admins are told, from the classes of the answers."""
    asked = (
        Why, RequestShown, History, AsOf, Log, RunList, EntraRow, Unmatched, Imported, Revised, Result,
        Standing, ResourceDiffers, MembershipDiffers, Totals, Described,
    )  # fmt: skip
    _, made = msgspec.json.schema_components(asked, ref_template=PREFIX + "{name}")
    for shape in made.values():
        shape["description"] = cleandoc(shape.get("description", ""))
    for told in ("Why", "RequestShown"):
        made[told]["properties"]["text"] = {"type": "string", "description": "The same for people."}
        made[told]["required"].append("text")
    return dict(made) | {"Differences": _DIFFERENCES}


def _search() -> Json:
    """A list request as a body: null counts as left out, and names may be an array."""
    properties = {}
    for name, parameter in LISTING.items():
        kinds = [parameter["type"], "array"] if name in SELECTING else [parameter["type"]]
        properties[name] = {**parameter, "type": [*kinds, "null"], "items": {"type": "string"}}
    return {
        "type": "object",
        "description": "A list request without personal data in its URL (RFC 7644 §3.4.3).",
        "properties": {"schemas": naming(SEARCH_SCHEMA), **properties},
    }


_PATCH: Json = {
    "type": "object",
    "description": "Changes, applied in their order, all or none (RFC 7644 §3.5.2).",
    "properties": {
        "schemas": naming(PATCH_OP),
        "Operations": {
            "type": "array",
            "maxItems": OPERATIONS_MAX,
            "items": {
                "type": "object",
                "properties": {
                    "op": {"enum": ["add", "remove", "replace"], "description": "In any case."},
                    "path": {"type": ["string", "null"], "examples": ["active", 'emails[type eq "work"].value']},
                    "value": {"description": "Needed by add and replace."},
                },
                "required": ["op"],
            },
        },
    },
    "required": ["Operations"],
}

_BULK: Json = {
    "type": "object",
    "description": "Many changes in one request (RFC 7644 §3.7).",
    "properties": {
        "schemas": naming(BULK_REQUEST),
        "failOnErrors": {"type": ["integer", "null"], "minimum": 1, "description": "Stop after so many."},
        "Operations": {
            "type": "array",
            "minItems": 1,
            "maxItems": BULK_OPERATIONS_MAX,
            "items": {
                "type": "object",
                "properties": {
                    "method": {"enum": list(METHODS)},
                    "path": {"type": "string", "examples": ["/Users", "/Groups/bulkId:team"]},
                    "bulkId": {"type": "string", "description": "Of a POST, to refer to it as bulkId:…."},
                    "version": {"type": "string", "description": "As If-Match."},
                    "data": {"type": "object", "description": "The body of a single request."},
                },
            },
        },
    },
    "required": ["Operations"],
}

_BULK_RESPONSE: Json = {
    "type": "object",
    "description": "What became of each operation, in their order.",
    "properties": {
        "schemas": {"const": [RESPONSE_SCHEMA]},
        "Operations": {"type": "array", "items": ref("Result")},
    },
    "required": ["schemas", "Operations"],
}

_DIFFERENCES: Json = {
    "type": "object",
    "description": "What is different between two moments.",
    "properties": {
        "tenant": {"type": "string"},
        "from": ref("Standing"),
        "to": ref("Standing"),
        "resources": {"type": "array", "items": ref("ResourceDiffers")},
        "memberships": {"type": "array", "items": ref("MembershipDiffers")},
        "totals": ref("Totals"),
    },
    "required": ["tenant", "from", "to", "resources", "memberships", "totals"],
}

_FAILURE: Json = {
    "type": "object",
    "description": "Why there is no answer, in one sentence.",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
