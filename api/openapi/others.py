"""What is neither SCIM nor an auditor's, described: OAuth, the operators' endpoints, this document."""

from api.openapi.exchanges import HEADERS_OF, JSON, headers, refusals
from api.openapi.scim import TENANT
from api.openapi.shapes import Json
from domain.errors import HeadTooLarge, UriTooLong


def other_paths() -> Json:
    """Return the path items of OAuth and of operators."""
    return {"/oauth/{tenant}/token": {"parameters": [TENANT], "post": _grant()}, **_operations()}


def _grant() -> Json:
    """RFC 6749 §4.4 and §5: the client by its Authorization header or in the form."""
    failed = {
        status: {
            "description": description,
            "headers": headers(*HEADERS_OF.get(int(status), ())),
            "content": {JSON: {"schema": _GRANT_FAILED}},
        }
        for status, description in (
            ("400", "A request that cannot be answered."),
            ("401", "No such client, or not its secret."),
            ("413", "A form that is too large."),
            ("414", "A query string, though none is read, that is too long."),
            ("429", "Too many attempts."),
            ("431", "Headers that are too large."),
            ("503", "The database cannot be reached."),
        )
    }
    return {
        "operationId": "grantToken",
        "summary": "Give a registered client an access token",
        "tags": ["OAuth"],
        "security": [{"client": []}, {}],
        "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _GRANT}}},
        "responses": {"200": _said("An access token.", _GRANTED), **failed},
    }


def _operations() -> Json:
    ready = {"200": _said("Requests can be served."), "503": _said("They cannot; `problems` says why.")}
    text: Json = {"description": "Counters, in Prometheus' format.", "content": {"text/plain": {"schema": _TEXT}}}
    return {
        "/healthz": _public("health", "Say that the process answers", {"200": _said("It does.")}),
        "/readyz": _public("readiness", "Say whether requests can be served", ready),
        "/metrics": _public("metrics", "Read the counters", {"200": text}),
        "/schema": _public("schema", "Read this document", {"200": _said("An OpenAPI document.", {"type": "object"})}),
    }


def _public(name: str, summary: str, answers: Json) -> Json:
    operation = {"operationId": name, "summary": summary, "tags": ["Operations"], "security": []}
    return {"get": {**operation, "responses": {**answers, **refusals(UriTooLong, HeadTooLarge, media_type=JSON)}}}


_TEXT = {"type": "string"}
_GRANT: Json = {
    "type": "object",
    "properties": {
        "grant_type": {"const": "client_credentials"},
        "client_id": _TEXT,
        "client_secret": _TEXT,
        "scope": {**_TEXT, "description": "With blanks between; all that the client may have without it."},
    },
    "required": ["grant_type"],
}
_GRANTED: Json = {
    "type": "object",
    "properties": {
        "access_token": _TEXT,
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds."},
        "scope": _TEXT,
    },
    "required": ["access_token", "token_type", "expires_in", "scope"],
}
_GRANT_FAILED: Json = {
    "type": "object",
    "properties": {"error": _TEXT, "error_description": _TEXT},
    "required": ["error", "error_description"],
}
_STATUS: Json = {
    "type": "object",
    "properties": {
        "status": _TEXT,
        "problems": {"type": "array", "items": _TEXT},
        "warnings": {"type": "array", "items": _TEXT},
    },
    "required": ["status"],
}


def _said(description: str, shape: Json = _STATUS) -> Json:
    return {"description": description, "content": {JSON: {"schema": shape}}}
