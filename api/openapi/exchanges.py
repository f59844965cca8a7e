"""The parts of an OpenAPI operation: parameters, bodies, answers, and refusals made from the error classes."""

from api.openapi.shapes import Json, ref
from domain import errors
from domain.errors import ScimError

SCIM_JSON, JSON = "application/scim+json", "application/json"

_HEADERS: Json = {
    "ETag": {"description": "The version, as in meta.version.", "schema": {"type": "string", "pattern": '^W/".+"$'}},
    "Location": {"description": "As in meta.location.", "schema": {"type": "string", "format": "uri"}},
    "WWW-Authenticate": {"description": "The scheme that is wanted.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "Allow": {"description": "The methods there are.", "schema": {"type": "string"}},
}
HEADERS_OF = {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After"], 503: ["Retry-After"]}

# What may happen to every request that a tenant answers.
ALWAYS = (
    errors.InvalidSyntax, errors.Unauthenticated, errors.Forbidden, errors.NoSuchResource, errors.UriTooLong,
    errors.TooManyRequests, errors.HeadTooLarge, errors.Unavailable,
)  # fmt: skip


def headers(*names: str) -> Json:
    """Return headers that an answer carries."""
    return {name: {"required": True, **_HEADERS[name]} for name in names}


def parameters(shapes: Json, place: str = "query") -> list[Json]:
    """Return optional parameters from their schemas by name."""
    listed = []
    for name, shape in shapes.items():
        schema = {key: value for key, value in shape.items() if key != "description"}
        listed.append({"name": name, "in": place, "description": shape["description"], "schema": schema})
    return listed


def path_parameter(name: str, description: str, **shape: object) -> Json:
    """Return a parameter in the path."""
    return {
        "name": name, "in": "path", "required": True, "description": description,
        "schema": {"type": "string", "minLength": 1, **shape},
    }  # fmt: skip


def takes(name: str) -> Json:
    """Return a request body of this component; plain JSON will do (MT-02)."""
    return {"required": True, "content": {media: {"schema": ref(name)} for media in (SCIM_JSON, JSON)}}


def answer(description: str, name: str | None = None, *header_names: str, media_type: str = SCIM_JSON) -> Json:
    """Return an answer with a body of this component, or without one."""
    found: Json = {"description": description}
    if header_names:
        found["headers"] = headers(*header_names)
    if name is not None:
        found["content"] = {media_type: {"schema": ref(name)}}
    return found


def refusals(*kinds: type[ScimError], media_type: str = SCIM_JSON) -> Json:
    """Return the answers of these errors by status, each with its reasons, scimTypes and headers."""
    by_status: dict[int, list[type[ScimError]]] = {}
    for kind in kinds:
        of_status = by_status.setdefault(kind.status, [])
        if kind not in of_status:
            of_status.append(kind)
    return {str(status): _refusal(status, found, media_type) for status, found in sorted(by_status.items())}


def _refusal(status: int, kinds: list[type[ScimError]], media_type: str) -> Json:
    reasons = " ".join((kind.__doc__ or "").partition("\n")[0] for kind in kinds)
    if media_type == JSON:
        return answer(reasons, "Failure", *HEADERS_OF.get(status, ()), media_type=JSON)
    narrowed: Json = {"status": {"const": str(status)}}
    if scim_types := sorted({kind.scim_type for kind in kinds if kind.scim_type}):
        narrowed["scimType"] = {"enum": scim_types}
    found = answer(reasons, "Error", *HEADERS_OF.get(status, ()))
    found["content"][media_type]["schema"] = {"allOf": [ref("Error"), {"properties": narrowed}]}
    return found
