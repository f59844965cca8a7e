"""The SCIM endpoints, described: one set of operations a resource type, then what lies beside them."""

from api.openapi.exchanges import ALWAYS, answer, parameters, path_parameter, refusals, takes
from api.openapi.messages import AS_OF, LISTING, SELECTING
from api.openapi.shapes import Json, written
from domain.attributes import ResourceType
from domain.errors import (
    Conflict,
    ExpiredCursor,
    InvalidCount,
    InvalidCursor,
    InvalidFilter,
    InvalidPath,
    InvalidValue,
    Mutability,
    NoTarget,
    NotUnique,
    PayloadTooLarge,
    PreconditionFailed,
    ScimError,
    UnsupportedMediaType,
)

BASE = "/scim/{tenant}/v2"
TENANT = path_parameter("tenant", "The tenant's name in URLs.", pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
_ID = path_parameter("id", "The id that we gave the resource.")
_CONDITIONS: Json = {
    "If-Match": {"type": "string", "description": 'Only if this is still the version, as W/"3".'},
    "If-None-Match": {"type": "string", "description": "Only if the version is another one."},
}
_READING = (*ALWAYS, InvalidValue)
_LISTING = (*_READING, InvalidFilter, InvalidCursor, ExpiredCursor, InvalidCount)
_BODY = (*_READING, PayloadTooLarge, UnsupportedMediaType)
_WRITING = (*_BODY, NotUnique, Conflict)
_EITHER = [{"bearer": ["scim"]}, {"bearer": ["audit"]}]  # With asOf, which shows the past.
_NOT_MODIFIED = {"304": answer("Not modified.", None, "ETag")}
_RESOURCE_HEADERS = ("ETag", "Location")


def scim_paths(types: tuple[ResourceType, ...]) -> Json:
    """Return the path items below a tenant's SCIM base."""
    paths: Json = {}
    for resource_type in types:
        paths |= _of_type(resource_type)
    paths[BASE] = _item(get=_list("listResources", "List resources of every type", "ResourceList"))
    paths[f"{BASE}/.search"] = _item(post=_search("searchResources", "Search resources of every type", "ResourceList"))
    (user,) = (each for each in types if each.name == "User")
    paths[f"{BASE}/Me"] = _item(**_resource("Me", user))  # Of a token that is bound to a user.
    paths[f"{BASE}/Bulk"] = _item(post=_bulk())
    return paths | _discovery()


def _of_type(resource_type: ResourceType) -> Json:
    name, collection = resource_type.name, BASE + resource_type.endpoint
    return {
        collection: _item(
            get=_list(f"list{name}s", f"List {name}s", f"{name}List"),
            post=_create(resource_type),
        ),
        f"{collection}/.search": _item(post=_search(f"search{name}s", f"Search {name}s", f"{name}List")),
        collection + "/{id}": _item(_ID, **_resource(name, resource_type)),
    }


def _resource(name: str, resource_type: ResourceType) -> Json:
    """The operations on one resource. name: what their ids end with."""
    shape = resource_type.name
    return {
        "get": _read(name, shape),
        "put": _replace(name, shape),
        "patch": _patch(name, resource_type),
        "delete": _delete(name),
    }


def _item(*of_path: Json, **operations: Json) -> Json:
    return {"parameters": [TENANT, *of_path], **operations}


def _operation(name: str, summary: str, answers: Json, errors: tuple[type[ScimError], ...]) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["SCIM"],
        "security": [{"bearer": ["scim"]}],
        "responses": {**answers, **refusals(*errors)},
    }


def _list(name: str, summary: str, listed: str) -> Json:
    operation = _operation(name, summary, {"200": answer("A page of what matches.", listed)}, _LISTING)
    return {**operation, "parameters": parameters(LISTING), "security": _EITHER}


def _search(name: str, summary: str, listed: str) -> Json:
    answers = {"200": answer("A page of what matches.", listed)}
    operation = _operation(name, summary, answers, (*_LISTING, PayloadTooLarge, UnsupportedMediaType))
    return {**operation, "requestBody": takes("SearchRequest"), "security": _EITHER}


def _create(resource_type: ResourceType) -> Json:
    name = resource_type.name
    created = answer(f"The {name} as it was created.", name, *_RESOURCE_HEADERS)
    created["links"] = {
        verb: {"operationId": f"{verb}{name}", "parameters": {"id": "$response.body#/id"}}
        for verb in ("read", "replace", "patch", "delete")
    }
    operation = _operation(f"create{name}", f"Create a {name}", {"201": created}, _WRITING)
    return {**operation, "parameters": parameters(SELECTING), "requestBody": takes(written(name))}


def _read(name: str, shape: str) -> Json:
    answers = {"200": answer(f"The {shape}.", shape, *_RESOURCE_HEADERS), **_NOT_MODIFIED}
    operation = _operation(f"read{name}", f"Read a {shape}", answers, (*_READING, PreconditionFailed))
    looking_back = parameters({**SELECTING, **AS_OF})
    return {**operation, "parameters": looking_back + parameters(_CONDITIONS, "header"), "security": _EITHER}


def _replace(name: str, shape: str) -> Json:
    answers = {"200": answer(f"The {shape} after the request.", shape, *_RESOURCE_HEADERS)}
    errors = (*_WRITING, PreconditionFailed, Mutability)
    operation = _operation(f"replace{name}", f"Replace a {shape}", answers, errors)
    return {**operation, "parameters": _changing(), "requestBody": takes(written(shape))}


def _patch(name: str, resource_type: ResourceType) -> Json:
    shape = resource_type.name
    answers = {"200": answer(f"The {shape} after the request.", shape, *_RESOURCE_HEADERS)}
    if resource_type.has_members:
        answers["204"] = answer("Done; with many members the resource is left out.", None, *_RESOURCE_HEADERS)
    errors = (*_WRITING, PreconditionFailed, Mutability, InvalidPath, InvalidFilter, NoTarget)
    operation = _operation(f"patch{name}", f"Change a {shape}", answers, errors)
    return {**operation, "parameters": _changing(), "requestBody": takes("PatchOp")}


def _delete(name: str) -> Json:
    errors = (*_BODY, PreconditionFailed)
    operation = _operation(f"delete{name}", f"Delete a {name}", {"204": answer("Gone.")}, errors)
    return {**operation, "parameters": parameters(_CONDITIONS, "header")}


def _bulk() -> Json:
    """Errors of operations are in their results; these are of the request itself."""
    answers = {"200": answer("What became of each operation.", "BulkResponse")}
    operation = _operation("bulk", "Change many resources", answers, _BODY)
    return {**operation, "requestBody": takes("BulkRequest")}


def _changing() -> list[Json]:
    return parameters(SELECTING) + parameters(_CONDITIONS, "header")


def _discovery() -> Json:
    config = _described("readServiceProviderConfig", "Say what is offered", "ServiceProviderConfig")
    paths: Json = {f"{BASE}/ServiceProviderConfig": _item(get={**config, "security": []})}
    for name in ("ResourceType", "Schema"):
        key = path_parameter("name", "Its id.")
        paths[f"{BASE}/{name}s"] = _item(get=_described(f"list{name}s", f"List {name}s", f"{name}List"))
        paths[f"{BASE}/{name}s/{{name}}"] = _item(key, get=_described(f"read{name}", f"Read a {name}", name))
    return paths


def _described(name: str, summary: str, shape: str) -> Json:
    answers = {"200": answer("What is offered to this tenant.", shape, "ETag"), **_NOT_MODIFIED}
    operation = _operation(name, summary, answers, (*ALWAYS, PreconditionFailed))
    return {**operation, "parameters": parameters(_CONDITIONS, "header")}
