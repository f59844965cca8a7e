"""Raw HTTP over a few kept connections, as fast as the service answers, and what every answer has to be."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from msgspec import Struct

ANSWER_S_MAX = 30.0
LEAKS = (b"Traceback", b'File \\"', b"psycopg", b"insert into ")


class Request(Struct, frozen=True):
    """One request as bytes. alone: it breaks the protocol, so the service may close the connection after it."""

    raw: bytes
    method: str = "GET"
    target: str = ""
    alone: bool = False


class Answer(Struct, frozen=True):
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[[Request], Awaitable[Answer]]


class Unanswered(AssertionError):
    """The service closed the connection, or kept silent, where an answer was due."""


@asynccontextmanager
async def connected(base_url: str) -> AsyncIterator[Ask]:
    """A client with one connection, opened again when a request made the service close it."""
    address = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)

    async def ask(request: Request) -> Answer:
        nonlocal reader, writer
        if writer.is_closing() or reader.at_eof():
            writer.close()
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                writer.write(request.raw)
                answer = await _answer(reader, request.method)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            raise Unanswered(f"{type(error).__name__} instead of an answer to {request.raw[:2_000]!r}") from error
        if request.alone or answer.headers.get("connection", "").lower() == "close":
            writer.close()
        return answer

    try:
        yield ask
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, method: str) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split()[1])
    if status == 100:
        return await _answer(reader, method)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if method == "HEAD" or status in (204, 304):
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, await _chunks(reader))
    if "content-length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
    return Answer(status, headers, await reader.read())


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


class Verdict:
    """Judges answers; keeps the first few that are wrong, each with its request."""

    SHOWN = 5

    def __init__(self) -> None:
        self.statuses = Counter[int]()
        self.wrong: list[str] = []

    def judge(self, request: Request, answer: Answer) -> None:
        """Count an answer, and note what is wrong with it."""
        self.statuses[answer.status] += 1
        fault = fault_of(request, answer)
        if fault and len(self.wrong) < self.SHOWN:
            self.wrong.append(f"{fault}: {answer.status} {answer.body[:500]!r}\nto {request.raw[:4_000]!r}")


def fault_of(request: Request, answer: Answer) -> str:
    """Return what no answer may be, however wrong the request was; "" for a good one."""
    if answer.status >= 500 and answer.status not in (501, 503):
        return "a defect"
    if answer.status == 503 and "retry-after" not in answer.headers:
        return "503 without Retry-After"
    if any(leak in answer.body for leak in LEAKS):
        return "something of our inside in the answer"
    if request.alone or not request.target.startswith("/scim/") or not answer.body:
        return ""
    if answer.headers.get("content-type") != "application/scim+json":
        return "not SCIM's media type"
    try:
        body = json.loads(answer.body)
    except ValueError:
        return "no JSON"
    if answer.status >= 400 and body.get("status") != str(answer.status):
        return "no SCIM error"
    return ""
