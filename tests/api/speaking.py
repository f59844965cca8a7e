"""How the tests of this folder speak to a tenant: requests in SCIM's words, answers checked on arrival.

Every answer goes through `checked`, so that no test has to repeat what holds for all of them: the media type,
the shape of an error, the headers that go with a resource.
"""

import itertools
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

Json = dict[str, Any]

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SCIM_JSON = "application/scim+json"

SCIM_TYPES = {  # Section 22 of the requirement catalogue; RFC 7644 table 9 and RFC 9865.
    "invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget",
    "invalidValue", "invalidVers", "sensitive", "invalidCursor", "expiredCursor", "invalidCount",
}  # fmt: skip
BODY_BYTES_MAX = 1 << 20

_numbers = itertools.count(1)


def fresh(word: str) -> str:
    """A name nobody had before in this run."""
    return f"{word}.{next(_numbers)}.{uuid.uuid4().hex[:6]}"


# --- what is said


def user_body(user_name: str | None = None, **attributes: Any) -> Json:
    """A POST body of a user; an attribute of the enterprise extension goes into `enterprise={…}`."""
    body: Json = {"schemas": [USER], "userName": user_name or f"{fresh('user')}@contoso.example"}
    if enterprise := attributes.pop("enterprise", None):
        body["schemas"] = [USER, ENTERPRISE]
        body[ENTERPRISE] = enterprise
    return body | attributes


def group_body(display_name: str | None = None, *member_ids: str, **attributes: Any) -> Json:
    """A POST body of a group with these members."""
    body: Json = {"schemas": [GROUP], "displayName": display_name or fresh("Group")}
    if member_ids:
        body["members"] = [{"value": member_id} for member_id in member_ids]
    return body | attributes


def op(name: str, path: str | None = None, *value: Any) -> Json:
    """One PATCH operation; without a third argument it has no `value`."""
    operation: Json = {"op": name}
    if path is not None:
        operation["path"] = path
    if value:
        operation["value"] = value[0]
    return operation


def patch_body(*operations: Json) -> Json:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def eq(attribute: str, value: str) -> str:
    """The path and query part that asks for `attribute eq "value"`."""
    return where(f"{attribute} eq {json.dumps(value, ensure_ascii=False)}")


def where(filter_text: str, **parameters: Any) -> str:
    more = "".join(f"&{name}={quote(str(value))}" for name, value in parameters.items())
    return f"?filter={quote(filter_text, safe='')}{more}"


# --- what must hold for every answer


def checked(response: httpx.Response) -> httpx.Response:
    """Assert what section 22 and 7 of the requirement catalogue ask of every answer, and hand it back."""
    request = f"{response.request.method} {response.request.url.raw_path.decode()[:200]}"
    shown = f"{request} -> {response.status_code} {response.text[:400]}"
    assert response.status_code < 500 or response.status_code == 501, shown
    if response.status_code in (204, 304):
        assert response.content == b"", shown
        return response
    if response.request.method == "HEAD":
        assert response.content == b"", shown
        return response
    if not response.content:
        assert response.request.method == "OPTIONS", f"an answer without a body: {shown}"
        return response
    assert response.headers["content-type"] == SCIM_JSON, shown
    body = response.json()
    assert "null" not in _kinds(body), f"null in an answer: {shown}"
    if response.status_code >= 400:
        _check_error(body, response.status_code, shown)
    elif "meta" in body and body.get("id"):
        _check_resource(body, response, shown)
    return response


def _check_error(body: Json, status: int, shown: str) -> None:
    assert body["schemas"] == [ERROR], shown
    assert body["status"] == str(status), shown
    assert isinstance(body["detail"], str) and body["detail"].strip(), shown
    assert body.get("scimType", "invalidValue") in SCIM_TYPES, shown
    assert set(body) <= {"schemas", "status", "scimType", "detail"}, shown
    for leak in ("Traceback", 'File "', "psycopg", "SELECT ", "insert into"):
        assert leak not in body["detail"], shown


def _check_resource(body: Json, response: httpx.Response, shown: str) -> None:
    meta = body["meta"]
    if "version" in meta and "etag" in response.headers:
        assert response.headers["etag"] == meta["version"], shown
    if "location" in meta and "location" in response.headers:
        assert response.headers["location"] == meta["location"], shown


def _kinds(value: Any) -> set[str]:
    if value is None:
        return {"null"}
    children: Iterable[Any] = ()
    if isinstance(value, dict):
        children = value.values()
    elif isinstance(value, list):
        children = value
    return set().union(*(_kinds(child) for child in children)) if children else set()


def refused(response: httpx.Response, status: int | Sequence[int], *scim_types: str | None) -> Json:
    """Assert a refusal with one of these statuses and, if named, one of these scimTypes; return its body."""
    statuses = (status,) if isinstance(status, int) else status
    assert response.status_code in statuses, f"{response.status_code} {response.text[:400]}"
    body: Json = checked(response).json()
    if scim_types:
        assert body.get("scimType") in scim_types, body
    return body


def version_of(resource_or_response: Json | httpx.Response) -> int:
    """The number in W/"n": how many changes the resource has seen."""
    if isinstance(resource_or_response, httpx.Response):
        tag = resource_or_response.headers["etag"]
    else:
        tag = resource_or_response["meta"]["version"]
    assert tag.startswith('W/"') and tag.endswith('"'), tag
    return int(tag[3:-1])


# --- the tenant spoken to


class Speaker:
    """One tenant of the running service, spoken to as an identity provider would.

    Wraps what `service.new_tenant()` returns: `.scim` and `.api` are httpx clients, `.slug`, `.token`.
    """

    def __init__(self, service: Any, profile: str = "lenient", **options: Any) -> None:
        tenant = service.new_tenant(profile=profile, **options)
        self.service, self.tenant, self.profile = service, tenant, profile
        self.scim: httpx.Client = tenant.scim
        self.audit: httpx.Client = tenant.api
        self.slug: str = tenant.slug
        self.token: str = tenant.token
        self.base = f"/scim/{self.slug}/v2"

    def send(self, method: str, url: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request, its answer checked. A dict or list is sent as SCIM JSON, bytes as they are."""
        headers = dict(options.pop("headers", None) or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", f"{SCIM_JSON}; charset=utf-8")
        return checked(self.scim.request(method, url, content=body, headers=headers, **options))

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.send("GET", url, **options)

    def read(self, url: str) -> Json:
        """The body of a GET that must succeed."""
        response = self.get(url)
        assert response.status_code == 200, response.text
        body: Json = response.json()
        return body

    def show(self, resource: Json) -> Json:
        """A fresh GET by id."""
        return self.read(url_of(resource))

    def post(self, endpoint: str, body: Json) -> Json:
        """Create: 201 with the full representation, Location and ETag (CR-01)."""
        response = self.send("POST", endpoint, body)
        assert response.status_code == 201, response.text
        created: Json = response.json()
        assert response.headers["location"] == created["meta"]["location"]
        assert response.headers["etag"] == created["meta"]["version"]
        assert isinstance(created["id"], str) and created["id"]
        return created

    def user(self, user_name: str | None = None, **attributes: Any) -> Json:
        return self.post("/Users", user_body(user_name, **attributes))

    def group(self, display_name: str | None = None, *member_ids: str, **attributes: Any) -> Json:
        return self.post("/Groups", group_body(display_name, *member_ids, **attributes))

    def patch(self, resource: Json, *operations: Json, **options: Any) -> httpx.Response:
        return self.send("PATCH", url_of(resource), patch_body(*operations), **options)

    def changed(self, resource: Json, *operations: Json) -> Json:
        """PATCH that must succeed (200 with the resource, or 204); what a fresh GET shows then."""
        response = self.patch(resource, *operations)
        assert response.status_code in (200, 204), response.text
        shown = self.show(resource)
        assert response.headers["etag"] == shown["meta"]["version"]
        assert response.headers["location"] == shown["meta"]["location"]
        if response.status_code == 200:
            assert response.json() == shown
        return shown

    def put(self, resource: Json, body: Json) -> Json:
        response = self.send("PUT", url_of(resource), body)
        assert response.status_code == 200, response.text
        replaced: Json = response.json()
        assert replaced == self.show(resource)
        return replaced

    def delete(self, resource: Json) -> None:
        assert self.send("DELETE", url_of(resource)).status_code == 204

    def found(self, endpoint: str, query: str) -> list[Json]:
        """The resources of a list that must succeed; its numbers are checked (section 9)."""
        response = self.get(f"{endpoint}{query}")
        assert response.status_code == 200, response.text
        return list_of(response.json())

    def total(self, endpoint: str) -> int:
        return int(self.read(f"{endpoint}?count=0")["totalResults"])

    def member_ids(self, group: Json) -> set[str]:
        members = self.show(group).get("members", [])
        ids = [member["value"] for member in members]
        assert len(ids) == len(set(ids)), "a member is listed twice"
        return set(ids)

    # --- the auditor's side

    def asked(self, path: str, **parameters: Any) -> Any:
        """An answer of the audit API as JSON."""
        response = self.audit.get(path, params=parameters)
        assert response.status_code == 200, f"{path} {response.status_code} {response.text[:400]}"
        return response.json()

    def history(self, subject: str) -> list[Json]:
        """The entries about one user or group, oldest first, each with its request."""
        told = self.asked("/history", subject=subject, count=1_000)
        (one,) = told["histories"]
        return [change | {"request": one["requests"].get(change["request_id"])} for change in one["changes"]]

    def log(self, **parameters: Any) -> Any:
        return self.asked("/log", **({"count": 1_000} | parameters))


def url_of(resource: Json) -> str:
    return f"/{resource['meta']['resourceType']}s/{resource['id']}"


def list_of(body: Json) -> list[Json]:
    """The resources of a ListResponse, after a look at its numbers."""
    assert body["schemas"] == [LIST_RESPONSE]
    resources: list[Json] = body["Resources"]
    assert isinstance(resources, list)
    for number in ("totalResults", "startIndex", "itemsPerPage"):
        assert type(body[number]) is int, (number, body[number])
    assert body["itemsPerPage"] == len(resources) <= body["totalResults"]
    ids = [resource["id"] for resource in resources]
    assert len(ids) == len(set(ids))
    return resources


# --- reading answers whose exact shape is the console's business


def walk(value: Any) -> Iterator[Any]:
    """Every value inside a JSON value, itself first."""
    yield value
    if isinstance(value, dict):
        for child in value.values():
            yield from walk(child)
    elif isinstance(value, list):
        for child in value:
            yield from walk(child)


def mentions(answer: Any, *values: Any) -> bool:
    """Whether each of the values stands somewhere in the answer: equal, or inside a text."""
    leaves = [leaf for leaf in walk(answer) if not isinstance(leaf, dict | list)]

    def stands(value: Any) -> bool:
        if isinstance(value, str):
            return any(isinstance(leaf, str) and value.casefold() in leaf.casefold() for leaf in leaves)
        return any(leaf == value and type(leaf) is type(value) for leaf in leaves)

    return all(stands(value) for value in values)


def entries(answer: Any) -> list[Json]:
    """The ledger entries in an answer: every object with a `position`, once, in the ledger's order."""
    by_position: dict[int, Json] = {}
    for value in walk(answer):
        if isinstance(value, dict) and isinstance(value.get("position"), int):
            by_position.setdefault(value["position"], value)
    return [by_position[position] for position in sorted(by_position)]


def of_type(history: Iterable[Json], *event_types: str) -> list[Json]:
    """The entries whose event is of one of these types."""
    wanted = set(event_types)
    return [entry for entry in history if wanted & {leaf for leaf in walk(entry) if isinstance(leaf, str)}]


def value_of(answer: Any, name: str) -> Any:
    """The first value held under this member name anywhere in the answer, spelled either way."""
    wanted = name.replace("_", "").casefold()
    for value in walk(answer):
        if isinstance(value, dict):
            for member, held in value.items():
                if member.replace("_", "").casefold() == wanted:
                    return held
    return None


def resource_in(answer: Any) -> Json:
    """The SCIM representation inside an answer of the audit API."""
    for value in walk(answer):
        if isinstance(value, dict) and {"userName", "displayName"} & set(value) and "position" not in value:
            return value
    raise AssertionError(f"no resource in {str(answer)[:400]}")


def eventually(question: Callable[[], Any], seconds: float = 5.0) -> Any:
    """The first truthy answer; projections that catch up may take a second."""
    until = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() > until:
            return answer
        time.sleep(0.05)


# --- comparison by the rules of the requirement catalogue, section 28


SERVER_ASSIGNED = {"members": ("$ref", "display", "type"), "manager": ("$ref", "displayName")}


def comparable(resource: Json | None) -> Any:
    """A resource reduced to what a vector's `after` says about it."""
    left_out = ("id", "meta", "groups", "password")
    return _plain({name: value for name, value in (resource or {}).items() if name not in left_out})


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        pairs = ((k, _plain(v, k)) for k, v in value.items() if k not in SERVER_ASSIGNED.get(name, ()))
        return {k: v for k, v in pairs if v not in (None, [], {}) and not (k == "primary" and v is False)}
    if isinstance(value, list):
        parts = [part for part in (_plain(part, name) for part in value) if part not in (None, [], {})]
        return sorted(parts, key=lambda part: json.dumps(part, sort_keys=True))
    return value


# --- below httpx: bytes on a socket


class Answer:
    """One HTTP answer as it came over the wire."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def wire(service: Any, timeout_s: float = 20) -> Iterator[socket.socket]:
    """A TCP connection to the service."""
    address = urlsplit(service.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout_s) as connection:
        yield connection


def head(speaker: Speaker, method: str, path: str, *headers: str, token: str | None = "") -> bytes:
    """The head of a request; `token` None leaves Authorization out, "" means the tenant's own."""
    lines = [f"{method} {speaker.base}{path} HTTP/1.1", "Host: scim.example"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token or speaker.token}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1")


def answers(connection: socket.socket, count: int = 1) -> list[Answer]:
    """Read this many answers; fewer when the service closes before."""
    stream = connection.makefile("rb")
    found = []
    while len(found) < count and (line := stream.readline()):
        status = int(line.split()[1])
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if status == 100:
            continue
        found.append(Answer(status, headers, _body(stream, headers)))
    return found


def _body(stream: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return bytes(stream.read(int(headers.get("content-length", 0))))
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(parts)


def said(speaker: Speaker, raw: bytes, count: int = 1) -> list[Answer]:
    """Send bytes, read the answers. A service that hangs up while we still talk is listened to as well."""
    with wire(speaker.service) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(raw)
        return answers(connection, count)
