"""What auditors ask and admins tell, described: /api/{tenant}."""

from api.openapi.exchanges import JSON, answer, parameters, path_parameter, refusals
from api.openapi.scim import TENANT
from api.openapi.shapes import Json, ref
from domain.errors import (
    Conflict,
    Forbidden,
    HeadTooLarge,
    InvalidSyntax,
    InvalidValue,
    NoSuchResource,
    PayloadTooLarge,
    ScimError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UriTooLong,
)
from projections.log import ACTIONS, STATUSES
from projections.reports.catalog import FORMATS, REPORTS
from projections.reports.frame import Parameter

_ERRORS = (
    InvalidValue, Unauthenticated, Forbidden, NoSuchResource, UriTooLong, TooManyRequests, HeadTooLarge, Unavailable,
)  # fmt: skip
_SUBJECT = "A userName, externalId or id, held now or ever."
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_COUNT = {**_NUMBER, "minimum": 1}
_LOG: Json = {
    "count": {**_NUMBER, "description": "Of records at most.", "default": 50},
    "before": {**_NUMBER, "description": "Only records that begin before this position: next_before of a page."},
    "subject": {"type": "string", "description": f"Only about this one. {_SUBJECT}"},
    "action": {"enum": list(ACTIONS), "description": "Only of this kind."},
    "status": {"enum": list(STATUSES), "description": "Only with this outcome."},
    "run": {**_NUMBER, "description": "Only of the run that begins at this position."},
}
_SINCE_UNTIL: Json = {
    name: {"type": "string", "description": f"Only {name} this RFC 3339 time, included."} for name in ("since", "until")
}
_RUNS: Json = {
    "count": {**_NUMBER, "description": "Of runs at most.", "default": 50},
    "before": {**_NUMBER, "description": "Only runs that begin before this position."},
    "client": {"type": "string", "minLength": 1, "description": "Only of the client with this id or label."},
    **_SINCE_UNTIL,
}
_HISTORY: Json = {
    "count": {**_COUNT, "description": "Of entries at most, the newest.", "default": 100},
    "before": {**_NUMBER, "description": "Only entries before this position: next_before of a page."},
}
_UNMATCHED: Json = {"count": {**_NUMBER, "description": "Of each kind at most.", "default": 50}}
_WHY: Json = {
    "group": {"type": "string", "description": "Only who put the subject into this group, and who took it out."},
    "attribute": {
        "type": "string",
        "description": "Only who changed this attribute or this part of one, as a PATCH path names it, and whose value "
        "that overwrote.",
    },
    "id": {"type": "string", "description": "Of several records with the name, only the one with this id."},
    "others": {"enum": ["true", "false"], "description": "Also name the others of a mass change.", "default": "false"},
}
_EXTENDING: Json = {
    "extends": {"type": "string", "description": "Make the schemas of the body extensions of this resource type."},
    "required": {"enum": ["true", "false"], "description": "Whether resources need them.", "default": "false"},
}
_REPORT: Json = {
    "asOf": {"type": "string", "description": "Of a report about a moment: an RFC 3339 time, or a position."},
    "from": {"type": "string", "description": "Of a report about a period: its beginning, likewise."},
    "to": {"type": "string", "description": "Its end; now without it."},
    "format": {"enum": list(FORMATS), "description": "What it is written as.", "default": "csv"},
    "rowsOnly": {"enum": ["true", "false"], "description": "Without header and footer.", "default": "false"},
}
_AS_OF: Json = {"asOf": {"type": "string", "description": "An RFC 3339 time, or a position; now without it."}}


def audit_paths() -> Json:
    """Return the path items below /api."""
    asked_of_entra = {"schema": {"type": "array", "items": ref("EntraRow")}}
    entra_log = _asked(
        "entraLog", "Tell what Entra's log says about a subject", "", _subject() + parameters(_SINCE_UNTIL)
    )
    entra_log["get"]["responses"]["200"] = {"description": "Oldest first.", "content": {JSON: asked_of_entra}}
    return {
        "/api/{tenant}/why": _asked(
            "why", "Say why a subject is deprovisioned, is not, or never came", "Why", [*_subject(), *parameters(_WHY)]
        ),
        "/api/{tenant}/requests/{request}": _asked(
            "request",
            "Show what exactly was sent, decided and answered",
            "RequestShown",
            [],
            path_parameter("request", "A request's id."),
        ),
        "/api/{tenant}/history": _asked(
            "history", "Tell what is recorded about a subject", "History", [*_subject(), *parameters(_HISTORY)]
        ),
        "/api/{tenant}/users/{subject}": _asked(
            "show", "Show a subject as it was", "AsOf", parameters(_AS_OF), path_parameter("subject", _SUBJECT)
        ),
        "/api/{tenant}/log": _asked("log", "Page through the provisioning log, newest first", "Log", parameters(_LOG)),
        "/api/{tenant}/diff": _asked("diff", "Tell what is different between two moments", "Differences", _moments()),
        "/api/{tenant}/runs": _asked("runs", "Page through clients' runs, newest first", "RunList", parameters(_RUNS)),
        "/api/{tenant}/entra-log": {**entra_log, "post": _import()},
        "/api/{tenant}/entra-log/unmatched": _asked(
            "unmatched", "Tell what does not fit together", "Unmatched", parameters(_UNMATCHED)
        ),
        **_reports(),
        **_declarations("schemas", "Schema", "Its URN."),
        **_declarations("resource-types", "ResourceType", "Its name."),
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


def _reports() -> Json:
    """Which reports there are, and making one."""
    listed = _asked("listReports", "List the reports that can be made", "", [])
    content = {JSON: {"schema": {"type": "array", "items": ref("Described")}}}
    listed["get"]["responses"]["200"] = {"description": "All of them.", "content": content}
    own = {each.name: each for report in REPORTS.values() for each in report.parameters}
    query = parameters({**_REPORT, **{name: _taken(each) for name, each in own.items()}})
    one = _asked("makeReport", "Make a report", "", query, path_parameter("name", "Of a report."))
    one["get"]["responses"]["200"] = _report()
    post = {**one["get"], "operationId": "makeReportBesideFile", "summary": "Make a report beside a file"}
    responses = {**one["get"]["responses"], **refusals(PayloadTooLarge, media_type=JSON)}
    body = {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    one["post"] = {**post, "requestBody": body, "responses": responses}
    return {"/api/{tenant}/reports": listed, "/api/{tenant}/reports/{name}": one}


def _taken(parameter: Parameter) -> Json:
    one: Json = {"type": "string"}
    shape: Json = {"type": "array", "items": one} if parameter.many else one
    return {**shape, "description": parameter.says}


def _report() -> Json:
    medias = {each().media_type.partition(";")[0] for each in FORMATS.values()}
    said = "The report, as it is made. Making it is an entry of the ledger, and the footer names its position."
    return {"description": said, "content": {media: {"schema": {"type": "string"}} for media in sorted(medias)}}


def _subject() -> list[Json]:
    shape = {"type": "string", "minLength": 1, "maxLength": 1_024, "description": _SUBJECT}
    return [{**each, "required": True} for each in parameters({"subject": shape})]


def _moments() -> list[Json]:
    moment, when = {"type": "string", "minLength": 1}, "An RFC 3339 time, or a position"
    start, end = {**moment, "description": f"{when}."}, {**moment, "description": f"{when}; now without it."}
    return [{**parameters({"from": start})[0], "required": True}, *parameters({"to": end})]


def _declarations(segment: str, shape: str, key: str) -> Json:
    """What a tenant declared, and declaring."""
    declared: Json = {"type": "object", "description": f"A {shape} (RFC 7643 §6, §7)."}
    several: Json = {"type": "array", "items": declared}
    body = {"required": True, "content": {JSON: {"schema": {"type": ["object", "array"]}}}}
    add = _admin(
        f"declare{shape}s",
        "Declare schemas and resource types, all or none",
        answer("What was declared.", "Revised", media_type=JSON),
        PayloadTooLarge,
    )
    replace = _admin(
        f"replace{shape}Declared",
        "Declare the next revision of one",
        answer("What was declared.", "Revised", media_type=JSON),
        PayloadTooLarge,
    )
    return {
        f"/api/{{tenant}}/{segment}": {
            "parameters": [TENANT],
            "get": _admin(f"list{shape}sDeclared", f"List each declared {shape}", _found("All of them.", several)),
            "post": {**add, "parameters": parameters(_EXTENDING), "requestBody": body},
        },
        f"/api/{{tenant}}/{segment}/{{name}}": {
            "parameters": [TENANT, path_parameter("name", key)],
            "get": _admin(f"read{shape}Declared", f"Read a declared {shape}", _found("The one.", declared)),
            "put": {**replace, "parameters": parameters(_EXTENDING), "requestBody": body},
        },
    }


def _import() -> Json:
    """An export of Entra's provisioning log, taken in."""
    imported = answer("What the import came to.", "Imported", media_type=JSON)
    operation = _admin("importEntraLog", "Take in an export of Entra's provisioning log", imported, PayloadTooLarge)
    files: Json = {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}
    medias: Json = {
        JSON: {"schema": {"type": ["array", "object"]}},
        "text/csv": {"schema": {"type": "string"}},
        "multipart/form-data": {"schema": files},
    }
    return {**operation, "requestBody": {"required": True, "content": medias}}


def _admin(name: str, summary: str, found: Json, *errors: type[ScimError]) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["Admin"],
        "security": [{"bearer": ["admin"]}],
        "responses": {"200": found, **refusals(*_ERRORS, InvalidSyntax, Conflict, *errors, media_type=JSON)},
    }


def _found(description: str, shape: Json) -> Json:
    return {"description": description, "content": {JSON: {"schema": shape}}}
