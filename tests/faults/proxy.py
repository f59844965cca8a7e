"""A proxy between the service and its database that cuts connections where it hurts most.

It speaks no protocol: it passes bytes on, and knows the writer's connections by the application_name they
begin with. It listens on a port of its own; the database is reached over its Unix socket.
"""

import asyncio
import threading
from pathlib import Path

CHUNK_BYTES = 64 * 1024
BEGINNING_BYTES = 4 * 1024  # In which the startup message with the application_name is.
WRITER = b"scim-ledger writer"


class Link:
    """One connection through the proxy, both its halves."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.beginning = b""

    @property
    def writes(self) -> bool:
        """Whether the service writes entries over this connection."""
        return WRITER in self.beginning

    def cut(self) -> None:
        """End it for both sides at once, without a farewell."""
        for half in (self.client, self.server):
            half.transport.abort()


class Proxy:
    """Runs in a thread of its own; every method may be called from the test.

    socket: the database's Unix socket. port: where the proxy listens, on 127.0.0.1.
    cuts: how many connections were cut so far.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.links: set[Link] = set()
        self.refusing = False
        self.cuts = 0
        self.port = 0
        self._cut_replies = 0
        self._cut_requests = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._accept, "127.0.0.1", 0), self._loop)
        self.port = started.result().sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), self._loop).result(5)  # Links end now.
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def refuse(self) -> None:
        """Cut every connection and take no new one: the database is out of reach."""
        self.refusing = True

        async def cut_all() -> None:
            for link in self.links:
                link.cut()

        asyncio.run_coroutine_threadsafe(cut_all(), self._loop).result(5)

    def allow(self) -> None:
        """Take connections again."""
        self.refusing = False

    def cut_next_reply(self) -> None:
        """Cut in the middle of the next reply to a writer: the call is done, and nobody is told."""
        self._cut_replies += 1

    def cut_next_request(self) -> None:
        """Cut in the middle of the next call of a writer: half of it arrives, nothing is done."""
        self._cut_requests += 1

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        try:
            from_server, to_server = await asyncio.open_unix_connection(self.socket)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, to_server)
        self.links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(link, reader))
                group.create_task(self._replies(link, from_server))
        except* OSError:
            pass
        finally:
            self.links.discard(link)
            link.cut()

    async def _requests(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if len(link.beginning) < BEGINNING_BYTES:
                link.beginning += data
            elif link.writes and self._cut_requests and len(data) > 2:
                self._cut_requests -= 1
                await self._half(link, link.server, data)
                return
            link.server.write(data)
            await link.server.drain()
        link.cut()

    async def _replies(self, link: Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            settled = len(link.beginning) >= BEGINNING_BYTES
            if settled and link.writes and self._cut_replies and len(data) > 2:
                self._cut_replies -= 1
                await self._half(link, link.client, data)
                return
            link.client.write(data)
            await link.client.drain()
        link.cut()

    async def _half(self, link: Link, half: asyncio.StreamWriter, data: bytes) -> None:
        """Pass half of the data on, then end the connection."""
        half.write(data[: len(data) // 2])
        await half.drain()
        await asyncio.sleep(0.005)  # Let it arrive; an abort may overtake what is in the buffers.
        self.cuts += 1
        link.cut()
