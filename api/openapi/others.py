"""What is asked beside SCIM, described: the auditors' questions, OAuth, the operators' endpoints, this document."""

from api.openapi.exchanges import HEADERS_OF, JSON, answer, headers, parameters, path_parameter, refusals
from api.openapi.scim import TENANT
from api.openapi.shapes import Json, ref
from domain.errors import (
    Conflict,
    Forbidden,
    InvalidSyntax,
    InvalidValue,
    NoSuchResource,
    PayloadTooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from projections.log import ACTIONS, STATUSES

_ERRORS = (InvalidValue, Unauthenticated, Forbidden, NoSuchResource, TooManyRequests, Unavailable)
_SUBJECT = "A userName, externalId or id, held now or ever."
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_LOG: Json = {
    "count": {**_NUMBER, "description": "Of records at most.", "default": 50},
    "before": {**_NUMBER, "description": "Only records that begin before this position: next_before of a page."},
    "subject": {"type": "string", "description": f"Only about this one. {_SUBJECT}"},
    "action": {"enum": list(ACTIONS), "description": "Only of this kind."},
    "status": {"enum": list(STATUSES), "description": "Only with this outcome."},
    "run": {**_NUMBER, "description": "Only of this run, named by the position it begins at."},
}
_RUNS: Json = {
    "count": {**_NUMBER, "description": "Of runs at most.", "default": 50},
    "before": {**_NUMBER, "description": "Only runs that begin before this position: next_before of a page."},
    "client": {"type": "string", "maxLength": 1_024, "description": "Only of this one: its id or label."},
    "since": {"type": "string", "description": "Only with a request from then on: an RFC 3339 time, or a position."},
    "until": {"type": "string", "description": "Only with a request until then."},
}
_BETWEEN: Json = {
    "since": {"type": "string", "description": "From this RFC 3339 time on, by Entra's clock."},
    "until": {"type": "string", "description": "Up to this time."},
}
_SHOWN: Json = {"count": {**_NUMBER, "description": "Of each side at most; all are counted.", "default": 50}}
_EXTENDING: Json = {
    "extends": {"type": "string", "description": "Make the schemas of the body extensions of this resource type."},
    "required": {"enum": ["true", "false"], "description": "Whether resources need them.", "default": "false"},
}
_AS_OF: Json = {"asOf": {"type": "string", "description": "An RFC 3339 time, or a position; now without it."}}


def other_paths() -> Json:
    """Return the path items that are not SCIM's."""
    return {
        "/api/{tenant}/why": _asked("why", "Say why a subject is deprovisioned, or that it is not", "Why", _subject()),
        "/api/{tenant}/history": _asked("history", "Tell all that is recorded about a subject", "History", _subject()),
        "/api/{tenant}/users/{subject}": _asked(
            "show", "Show a subject as it was", "AsOf", parameters(_AS_OF), path_parameter("subject", _SUBJECT)
        ),
        "/api/{tenant}/log": _asked("log", "Page through the provisioning log, newest first", "Log", parameters(_LOG)),
        "/api/{tenant}/runs": _asked(
            "runs", "Page through each client's runs, newest first; who is silent", "RunList", parameters(_RUNS)
        ),
        "/api/{tenant}/entra-log": _entra_log(),
        "/api/{tenant}/entra-log/unmatched": _asked(
            "unmatchedEntraLog", "Compare Entra's log with the ledger", "Unmatched", parameters(_SHOWN)
        ),
        **_declarations("schemas", "Schema", "Its URN."),
        **_declarations("resource-types", "ResourceType", "Its name."),
        "/oauth/{tenant}/token": {"parameters": [TENANT], "post": _grant()},
        **_operations(),
    }


def _asked(name: str, summary: str, told: str, query: list[Json], *of_path: Json) -> Json:
    operation = {
        "operationId": name,
        "summary": summary,
        "tags": ["Audit"],
        "security": [{"bearer": ["audit"]}],
        "parameters": query,
        "responses": {
            "200": answer("The answer, with how many entries it has read.", told, media_type=JSON),
            **refusals(*_ERRORS, media_type=JSON),
        },
    }
    return {"parameters": [TENANT, *of_path], "get": operation}


def _entra_log() -> Json:
    """What Entra's own log says of a subject, and taking in an export of it."""
    told = _asked(
        "entraLog", "Tell what Entra's log says about a subject", "EntraRow", _subject() + parameters(_BETWEEN)
    )
    rows: Json = {"type": "array", "items": ref("EntraRow")}
    told["get"]["responses"]["200"] = _said("Its rows, oldest first.", rows)
    files: Json = {"type": "object", "additionalProperties": {"type": "string", "contentMediaType": "text/csv"}}
    body = {
        JSON: {"schema": {"type": ["array", "object"], "description": "An array of rows, or a page of Graph."}},
        "text/csv": {"schema": _TEXT},
        "multipart/form-data": {"schema": files},
    }
    summary = "Take in an export of Entra's provisioning log"
    taken = _admin("importEntraLog", summary, answer("What it came to.", "Imported", media_type=JSON))
    taken["responses"] |= refusals(PayloadTooLarge, media_type=JSON)
    return {**told, "post": {**taken, "requestBody": {"required": True, "content": body}}}


def _subject() -> list[Json]:
    shape = {"type": "string", "minLength": 1, "maxLength": 1_024, "description": _SUBJECT}
    return [{**each, "required": True} for each in parameters({"subject": shape})]


def _declarations(segment: str, shape: str, key: str) -> Json:
    """What a tenant declared, and declaring."""
    declared: Json = {"type": "object", "description": f"A {shape} (RFC 7643 §6, §7)."}
    several: Json = {"type": "array", "items": declared}
    body = {"required": True, "content": {JSON: {"schema": {"type": ["object", "array"]}}}}
    add = _admin(
        f"declare{shape}s",
        "Declare schemas and resource types, all or none",
        answer("What was declared.", "Revised", media_type=JSON),
    )
    replace = _admin(
        f"replace{shape}Declared",
        "Declare the next revision of one",
        answer("What was declared.", "Revised", media_type=JSON),
    )
    return {
        f"/api/{{tenant}}/{segment}": {
            "parameters": [TENANT],
            "get": _admin(f"list{shape}sDeclared", f"List each declared {shape}", _said("All of them.", several)),
            "post": {**add, "parameters": parameters(_EXTENDING), "requestBody": body},
        },
        f"/api/{{tenant}}/{segment}/{{name}}": {
            "parameters": [TENANT, path_parameter("name", key)],
            "get": _admin(f"read{shape}Declared", f"Read a declared {shape}", _said("The one.", declared)),
            "put": {**replace, "parameters": parameters(_EXTENDING), "requestBody": body},
        },
    }


def _admin(name: str, summary: str, found: Json) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Admin"],
        "security": [{"bearer": ["admin"]}],
        "responses": {"200": found, **refusals(*_ERRORS, InvalidSyntax, Conflict, media_type=JSON)},
    }


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
            ("429", "Too many attempts."),
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
    operation = {"operationId": name, "summary": summary, "tags": ["Operations"], "security": [], "responses": answers}
    return {"get": operation}


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
