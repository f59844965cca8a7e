"""One HTTP exchange as the SCIM endpoint sees it: read lazily, answered with ready bytes."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from random import getrandbits
from time import perf_counter_ns, time_ns
from typing import Any
from urllib.parse import unquote_to_bytes

from litestar.types import Receive, Scope, Send

from api.caller import Caller
from domain.errors import InvalidSyntax, PayloadTooLarge, UnsupportedMediaType
from ledger.entry import BulkOperation, Received
from ledger.randomness import random_id

SCIM_JSON = b"application/scim+json"
_LISTS = (b"if-match", b"if-none-match", b"x-forwarded-for")
_ACCEPTED = (b"application/scim+json", b"application/json")
_CORRELATION = re.compile(
    rb"adscimversion|client-request-id|x-request-id|request-id|x-correlation-id|traceparent|x-ms-[a-z0-9-]+"
)
_KEPT_CHARACTERS = 256
_KEPT_HEADERS = 16


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Answer:
    """A response: status, body, headers besides Content-Type and Content-Length."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = headers or []


class Exchange:
    """A request, and what handling it has found out so far, for its cause and its log line."""

    __slots__ = (
        "_receive", "_scope", "_send", "as_of", "body", "bulk", "caller", "client_address", "headers", "ignored",
        "method", "operations", "path", "quirks", "received", "received_ns", "request_id", "segments", "started_ns",
        "subjects", "target", "written",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, proxy_hops: int) -> None:
        self.started_ns = perf_counter_ns()
        self.received_ns = time_ns()
        self._scope: dict[str, Any] = scope  # type: ignore[assignment]  # Litestar's union knows no mount.
        self._receive: Any = receive
        self._send: Any = send
        self.method: str = self._scope["method"]
        raw_path: bytes = self._scope["raw_path"].partition(b"?")[0]
        self.path = raw_path.decode("latin-1")
        self.segments = [_text(segment) for segment in raw_path.split(b"/")[2:]]
        self.headers = named(self._scope["headers"])
        self.client_address = client_address(self._scope, self.headers, proxy_hops)
        self.request_id = new_request_id(self.received_ns)
        self.caller: Caller | None = None
        self.body = b""
        self.as_of: str | None = None  # Of a GET: the moment in the past that it asks about.
        self.target: tuple[str, str] | None = None  # (stream, id) of the resource that the path names.
        self.subjects: list[str] = []
        self.quirks: tuple[str, ...] = ()
        self.ignored: tuple[str, ...] = ()
        self.operations: list[str] = []
        self.written: Collection[str] = ()  # Paths of the attributes that it assigns: the answer shows them.
        self.bulk: BulkOperation | None = None
        self.received: Received | None = None  # Of an operation: the bulk request's body, committed to once.

    @property
    def authenticated(self) -> Caller:
        """Who calls; only asked once that is known."""
        assert self.caller is not None
        return self.caller

    @property
    def query(self) -> bytes:
        """The query string as it was sent."""
        query: bytes = self._scope["query_string"]
        return query

    def new_id(self) -> str:
        """Return the id of the resource that the request makes."""
        return random_id()

    async def read_body(self, bytes_max: int) -> bytes:
        """Return the request's body. Raises PayloadTooLarge, UnsupportedMediaType, ClientGone."""
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:19]) > bytes_max:
            raise PayloadTooLarge(f"a request body may have {bytes_max} bytes at most")
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > bytes_max:
                raise PayloadTooLarge(f"a request body may have {bytes_max} bytes at most")
            chunks.append(chunk)
            if not message.get("more_body"):
                break
        self.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self.body:  # Some clients name a type with every DELETE.
            self._check_media_type()
        return self.body

    def _check_media_type(self) -> None:
        declared = self.headers.get(b"content-type")
        if declared is None:
            return  # RX-16: several clients send none.
        media_type, _, rest = declared.partition(b";")
        if media_type.strip().lower() not in _ACCEPTED:
            raise UnsupportedMediaType
        charset = rest.lower().replace(b" ", b"").replace(b'"', b"").partition(b"charset=")[2].partition(b";")[0]
        if charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
            raise UnsupportedMediaType("send application/scim+json in UTF-8")

    def header(self, name: bytes) -> str:
        """Return a header's text, bounded; '' without it."""
        return self.headers.get(name, b"")[:_KEPT_CHARACTERS].decode("latin-1")

    def correlation(self) -> dict[str, str]:
        """Return the headers that lead back to the client's side, verbatim but bounded.

        Entra's ADSCIMVersion carries an ActivityId: the only thread from a request back to Microsoft.
        """
        return {
            name.decode(): value[:_KEPT_CHARACTERS].decode("latin-1")
            for name, value in list(self.headers.items())
            if _correlates(name)
        }

    def elapsed_us(self) -> int:
        """Microseconds since the request arrived."""
        return (perf_counter_ns() - self.started_ns) // 1_000

    async def send(self, answer: Answer) -> None:
        """Send the answer. 204 and 304 have no body (ER-05)."""
        headers = answer.headers
        if answer.body:
            headers = [(b"content-type", SCIM_JSON), (b"content-length", b"%d" % len(answer.body)), *headers]
        elif answer.status not in (204, 304):
            headers = [(b"content-length", b"0"), *headers]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})


def named(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name. One that comes more than once is one list where it may be one (RFC 9110 §5.3)."""
    by_name = dict(headers)
    if len(by_name) < len(headers):
        for name in _LISTS:
            if name in by_name:
                by_name[name] = b", ".join(value for each, value in headers if each == name)
    return by_name


@lru_cache(maxsize=1_000)  # Every request of a client has the same headers.
def _correlates(name: bytes) -> bool:
    return _CORRELATION.fullmatch(name) is not None


def new_request_id(now_ns: int) -> str:
    """Return a UUID version 7: requests sort by time, and their index grows at one end."""
    random = getrandbits(74)  # Ids are no secrets; a system call for each would be the dearest part of a GET.
    value = (now_ns // 1_000_000) << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _text(segment: bytes) -> str:
    """Percent-decode one path segment once (EP-15)."""
    if b"%" not in segment:
        return segment.decode("latin-1")
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return "\ufffd"  # Names nothing: 404.


def client_address(scope: Any, headers: dict[bytes, bytes], proxy_hops: int) -> str:
    """Return where a request comes from. proxy_hops: how many proxies in front are ours."""
    peer: str = scope["client"][0] if scope.get("client") else ""
    if not proxy_hops:
        return peer
    forwarded = [part.strip() for part in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
    # The last `proxy_hops` addresses were written by proxies we trust; what stands before them anyone may claim.
    return forwarded[-proxy_hops][:64] if len(forwarded) >= proxy_hops and forwarded[0] else peer


def utf8_query(query: bytes) -> str:
    """Return the query string as text. Raises InvalidSyntax when it is not UTF-8 once decoded."""
    try:
        return query.decode("ascii")
    except UnicodeDecodeError:
        try:
            return query.decode()  # Some clients send quotes and letters raw.
        except UnicodeDecodeError:
            raise InvalidSyntax("the query string is not UTF-8") from None
