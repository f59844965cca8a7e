"""Many requests in little time: kept connections, no HTTP library in the way."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from speaking import SCIM_JSON, Speaker

Request = tuple[str, str, Any]


def flood(speaker: Speaker, requests: Sequence[Request], connections: int = 16) -> list[tuple[int, Any]]:
    """Send (method, path, body) over this many connections; status and JSON body of each, in order."""
    return asyncio.run(_flood(speaker, list(requests), connections))


async def _flood(speaker: Speaker, requests: list[Request], connections: int) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = [(0, None)] * len(requests)
    waiting = iter(range(len(requests)))
    address = urlsplit(speaker.service.base_url)

    async def client() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for index in waiting:
            writer.write(_message(speaker, *requests[index]))
            found[index] = await _answer(reader)
        writer.close()

    await asyncio.gather(*(client() for _ in range(min(connections, len(requests)))))
    return found


def _message(speaker: Speaker, method: str, path: str, body: Any) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {speaker.base}{path} HTTP/1.1",
        "Host: scim.example",
        f"Authorization: Bearer {speaker.token}",
        f"Content-Length: {len(content)}",
    ]
    if content:
        lines.append(f"Content-Type: {SCIM_JSON}")
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), json.loads(body) if body else None
