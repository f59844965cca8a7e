"""Requests nobody should send: bodies, filters, paths, headers, methods and URLs by grammar, then bent."""

import re
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote

from tests.fuzz.oddities import (
    BROKEN,
    CONTENT_TYPES,
    CREDENTIALS,
    ENDPOINTS,
    HEADERS,
    METHODS,
    ODD_SEGMENTS,
    PARAMETERS,
    PATHS,
    QUESTIONS,
    TAGS,
    VERSIONS,
)
from tests.fuzz.talking import Answer, Request
from tests.fuzz.words import ENTERPRISE, GROUP, MESSAGES, NUMBERS, OPS, USER, Words
from tests.running import Client

CREATED = re.compile("/(?:Users|Groups)/([0-9a-f-]{36})$")
KNOWN_MAX = 40


class Garbage:
    """Makes requests, and remembers ids that answers mention, so that many of them hit something."""

    def __init__(self, client: Client, seed: str) -> None:
        """seed: of everything that is chosen."""
        self.client = client
        self.chance = Random(seed)
        self.words = Words(self.chance)
        self.resources: list[str] = []
        self.choose, self.likely = self.chance.choice, self.words.likely
        self._kinds: tuple[Callable[[], Request], ...] = (self.scim,) * 30 + (self.question, self.other, self.other)

    def request(self) -> Request:
        """The next one."""
        return self.choose(self._kinds)()

    def learn(self, answer: Answer) -> None:
        """Remember what an answer says was created; the oldest are forgotten."""
        if answer.status == 201 and (found := CREATED.search(answer.headers.get("location", ""))):
            self.resources.append(found[0])
            self.words.ids.append(found[1])
            del self.resources[:-KNOWN_MAX], self.words.ids[1:-KNOWN_MAX]

    # --- SCIM

    def scim(self) -> Request:
        """A request below the tenant's SCIM base, mostly of a shape that gets past the door."""
        plausible = self.likely(0.75)
        make = self.choose((self.create, self.replace, self.patch, self.patch, self.listing, self.search, self.bulk))
        method, path, body = make() if plausible else (self.choose(METHODS), self.path(), self.any_body())
        slug = self.client.slug if self.likely(0.97) else self.choose(("nope", "%00", "", "A", "-", "x" * 100))
        version = "/v2" if plausible else self.choose(VERSIONS)
        return self.sent(method, f"/scim/{slug}{version}{path}{self.query(0.2)}", body, self.client.token)

    def create(self) -> tuple[str, str, bytes]:
        """POST of a resource."""
        endpoint, body = self.choose((("/Users", self.user()), ("/Groups", self.group())))
        return "POST", endpoint, self.spoilt(body)

    def replace(self) -> tuple[str, str, bytes]:
        """PUT of a resource."""
        path = self.resource()
        return "PUT", path, self.spoilt(self.user() if path.startswith("/Users") else self.group())

    def patch(self) -> tuple[str, str, bytes]:
        """PATCH of a resource."""
        operations = [self.operation() for _ in range(self.choose((0, 1, 1, 1, 2, 3, 5)))]
        body = {"schemas": [f"{MESSAGES}PatchOp"], "Operations": operations}
        return "PATCH", self.resource(), self.spoilt(body)

    def listing(self) -> tuple[str, str, bytes]:
        """GET of a list, by filter."""
        text = quote(self.words.filter().encode("utf-8", "surrogatepass"), safe=self.choose(("", "()[].:")))
        return "GET", f"{self.choose(('/Users', '/Groups', ''))}?filter={text}{self.more(0.5)}", b""

    def search(self) -> tuple[str, str, bytes]:
        """POST of a SearchRequest."""
        body: dict[str, Any] = {"schemas": [f"{MESSAGES}SearchRequest"], "filter": self.words.filter()}
        for name in ("startIndex", "count", "attributes", "excludedAttributes", "sortBy", "sortOrder", "cursor"):
            if self.likely(0.15):
                body[name] = self.words.value(1)
        return "POST", self.choose(("/Users", "/Groups", "")) + "/.search", self.spoilt(body, 0.2)

    def bulk(self) -> tuple[str, str, bytes]:
        """POST of a BulkRequest."""
        operations = []
        for _ in range(self.choose((0, 1, 2, 4))):
            method, path, data = self.choose(
                (
                    ("POST", "/Users", self.user()),
                    ("POST", "/Groups", self.group()),
                    ("DELETE", f"/Users/{self.words.id()}", {}),
                )
            )
            operations.append({"method": method, "path": path, "bulkId": self.words.text()[:50], "data": data})
        body = {"schemas": [f"{MESSAGES}BulkRequest"], "Operations": operations}
        return "POST", "/Bulk", self.spoilt(body)

    def user(self) -> dict[str, Any]:
        """A user that would be fine."""
        name = f"u{self.chance.randrange(1 << 40):x}@example.com"
        body: dict[str, Any] = {"schemas": [USER], "userName": name if self.likely(0.8) else self.words.text()}
        if self.likely(0.5):
            body |= {
                "active": self.choose((True, False)),
                "name": {"familyName": self.words.text()},
                "externalId": name,
            }
        if self.likely(0.5):
            body["emails"] = [
                {"value": name, "type": "work", "primary": True},
                {"value": self.words.text(), "type": "home"},
            ]
        if self.likely(0.3):
            body[ENTERPRISE] = {"department": self.words.text(), "manager": {"value": self.words.id()}}
        return body

    def group(self) -> dict[str, Any]:
        """A group that would be fine."""
        members = [{"value": self.words.id()} for _ in range(self.choose((0, 1, 3)))]
        name = f"g{self.chance.randrange(1 << 40):x}"
        return {"schemas": [GROUP], "displayName": name if self.likely(0.8) else self.words.text(), "members": members}

    def operation(self) -> dict[str, Any]:
        """One PATCH operation."""
        found: dict[str, Any] = {"op": self.choose(OPS[:5]) if self.likely(0.9) else self.choose(OPS)}
        if self.likely(0.8):
            found["path"] = (
                self.choose(("members", "active", "displayName", "userName")) if self.likely(0.3) else self.words.path()
            )
        if self.likely(0.8):
            ids = [{"value": self.words.id()} for _ in range(self.choose((1, 2)))]
            found["value"] = self.choose((ids, self.words.text(), True, "False", self.words.value(), self.user()))
        return found

    def spoilt(self, body: dict[str, Any], probability: float = 0.4) -> bytes:
        """The body as JSON, with something exchanged in it as often as that."""
        if self.likely(probability):
            for _ in range(self.choose((1, 1, 2, 4))):
                self.exchange(body)
        return self.words.json_text(body)

    def exchange(self, value: Any) -> None:
        """Put another value, or another name, somewhere into a JSON value."""
        while isinstance(value, dict | list) and value:
            key = self.choose(list(value)) if isinstance(value, dict) else self.chance.randrange(len(value))
            if isinstance(value[key], dict | list) and value[key] and self.likely(0.6):
                value = value[key]
                continue
            if isinstance(value, dict) and self.likely(0.2):
                value[self.choose((key.swapcase(), self.words.name()))] = value[key]
            elif self.likely(0.1):
                del value[key]
            else:
                value[key] = self.choose((self.words.value(), [value[key]], {"value": value[key]}))
            return

    def any_body(self) -> bytes:
        """A body that has nothing to do with anything, or none."""
        if self.likely(0.4):
            return b""
        if self.likely(0.02):
            return b'{"userName":"' + b"a" * self.choose((1 << 20, (1 << 20) + 1, 70_000)) + b'"}'
        return self.words.json_text(self.words.value())

    # --- beside SCIM

    def question(self) -> Request:
        """Something of the auditors' API."""
        which = self.choose(QUESTIONS).replace("{id}", self.id_segment())
        token = self.client.audit_token if self.likely(0.95) else self.client.token
        method = "GET" if self.likely(0.9) else self.choose(METHODS)
        path = f"/api/{self.client.slug}/{which}{self.query(0.9)}"
        return self.sent(method, path, self.any_body() if method != "GET" else b"", token)

    def other(self) -> Request:
        """The endpoints beside the two, and those that are not there."""
        slug = self.client.slug
        path = self.choose(PATHS).format(slug=slug, odd=self.choose(ODD_SEGMENTS))
        if path.startswith("/oauth/"):
            grant = self.choose(("client_credentials", "password", ""))
            form = f"grant_type={grant}&client_id={quote(self.text())}&client_secret=%ff"
            return self.sent(
                self.choose(("POST", "POST", "GET")), path, form.encode(), "", "application/x-www-form-urlencoded"
            )
        return self.sent(self.choose(METHODS), path + self.query(0.3), self.any_body(), self.client.token)

    # --- parts of a request

    def text(self) -> str:
        """A string that UTF-8 can hold."""
        return self.words.text().encode("utf-8", "replace").decode()

    def id_segment(self) -> str:
        """What stands where an id is expected."""
        return (
            self.choose(self.words.ids)
            if self.likely(0.85)
            else self.choose((*ODD_SEGMENTS, quote(self.text()[:2_000])))
        )

    def resource(self) -> str:
        """The path of a resource, mostly of one that is there."""
        if self.resources and self.likely(0.85):
            return self.choose(self.resources)
        return self.choose(("/Users/", "/Groups/")) + self.id_segment()

    def path(self) -> str:
        """A path below the base, of up to four segments."""
        parts = [self.choose(ENDPOINTS)]
        while self.likely(0.4) and len(parts) < 4:
            parts.append("/" + self.id_segment())
        if len(parts) == 1 and self.likely(0.3):
            return self.resource()
        return "".join(parts) + self.choose(("", "", "", "/"))

    def query(self, probability: float) -> str:
        """A query string, as often as that."""
        return f"?{self.more(probability)[1:]}" if self.likely(probability) else ""

    def more(self, probability: float) -> str:
        """Further parameters, each as often as that."""
        text = ""
        while self.likely(probability) and len(text) < 9_000:
            value = self.choose(
                (
                    self.choose(NUMBERS[:14]),
                    self.text(),
                    self.words.name(),
                    self.words.id(),
                    self.words.filter(1),
                    "2026-01-01T00:00:00Z",
                )
            )
            sent = quote(value.encode("utf-8", "surrogatepass")) if self.likely(0.95) else self.choose(ODD_SEGMENTS[:6])
            text += f"&{self.choose(PARAMETERS)}" + (f"={sent}" if self.likely(0.95) else "")
        return text

    def sent(self, method: str, target: str, body: bytes, token: str, content_type: str = "") -> Request:
        """The request as bytes, with headers of which some are odd as well."""
        lines = [f"{method} {target} HTTP/1.1", "Host: scim.example"]
        if token:
            lines.append(f"Authorization: {self.credentials(token)}")
        if body or self.likely(0.1):
            content_type = (
                content_type or self.choose(CONTENT_TYPES[:3]) if self.likely(0.95) else self.choose(CONTENT_TYPES)
            )
            lines.append(f"Content-Type: {content_type}")
        lines += self.odd_headers()
        head = "\r\n".join(lines).encode("latin-1", "replace")
        if body and self.likely(0.03):
            half = len(body) // 2 or 1
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
            return Request(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", method, target)
        return Request(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body, method, target)

    def credentials(self, token: str) -> str:
        """An Authorization header's value: the token, nearly always."""
        if self.likely(0.97):
            return f"Bearer {token}"
        return self.choose(CREDENTIALS).replace("TOKEN", token)

    def odd_headers(self) -> list[str]:
        """Further headers."""
        lines = []
        if self.likely(0.1):
            tag = self.choose(TAGS)
            lines.append(f"{self.choose(('If-Match', 'If-None-Match'))}: {tag}")
        if self.likely(0.05):
            lines.append(self.choose(HEADERS))
        return lines

    # --- below HTTP

    def broken(self) -> Request:
        """Bytes that are no HTTP request, or one that says two things."""
        host = f"Host: x\r\nAuthorization: Bearer {self.client.token}\r\n"
        raw = self.choose(BROKEN).format(target=f"/scim/{self.client.slug}/v2/Users", host=host)
        return Request(raw.encode("latin-1"), raw.partition(" ")[0], "", alone=True)
