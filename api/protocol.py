"""uvicorn's HTTP protocol: one system call an answer where it makes two, a limit to heads, refusals in JSON."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.answers import error_answer
from api.exchange import SCIM_JSON
from api.framework import told
from domain.errors import HeadTooLarge, InvalidSyntax, ScimError, UriTooLong

HEAD_BYTES_MAX = 65_536  # Of a request line and its headers, one read of the socket more or less.
_URL_BYTES_MAX = 65_535  # What the parser can take apart.
_PATH_BYTES = 16  # Of a URL: enough to see whose it is.


class Coalescing:
    """A transport whose writes of one turn of the loop go out together.

    uvicorn writes head and body of an answer apart. Each write of a few hundred bytes is a system call that also
    wakes the client, who then finds half an answer: a tenth of what a GET costs.
    """

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []

    def write(self, part: bytes) -> None:
        """Take a part of an answer."""
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(part)

    def close(self) -> None:
        """Send what waits and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(waiting))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """The protocol of one connection."""

    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with writes gathered."""
        super().connection_made(Coalescing(transport, self.loop))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Take what arrived. A head without end is refused: the parser would keep all of it, token or not."""
        before = self.cycle
        in_body = before is not None and before.more_body
        super().data_received(data)
        if in_body or self.cycle is not before:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(HeadTooLarge())

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP request."""
        too_long = self.headers is not None and len(self.url) > _URL_BYTES_MAX
        self._refuse(UriTooLong("the URL is too long") if too_long else InvalidSyntax("this is no HTTP request"))

    def _unsupported_upgrade_warning(self) -> None:
        """Who offers another protocol is answered in this one, and nothing is worth a warning."""

    def _refuse(self, error: ScimError) -> None:
        """Answer like every refusal at that path, and close: where the next request would begin, nobody knows."""
        path = "" if self.headers is None else self.url[:_PATH_BYTES].decode("latin-1")
        headers, body = _refusal(path, error)
        headers |= {"content-length": str(len(body)), "connection": "close"}
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *map(": ".join, headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()


def _refusal(path: str, error: ScimError) -> tuple[dict[str, str], bytes]:
    """Headers and body in the words of whom the path belongs to; SCIM's where no path was read."""
    if not path or path.startswith("/scim"):
        return {"content-type": SCIM_JSON.decode()}, error_answer(error).body
    answer = told(path, error.status, error.detail)
    return {"content-type": "application/json", **answer.headers}, answer.content
