"""The load generator: one kind of request over N kept-open connections, every answer looked at.

It shares two cores with what it measures, so it is one epoll loop over plain sockets: a request is bytes made
beforehand, an answer is parsed by httptools (C) and searched for one fragment that only a right answer holds.
"""

import re
import select
import socket
import struct
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from httptools import HttpParserError, HttpResponseParser
from msgspec import Struct

CHUNK_BYTES = 256 * 1024
SILENCE_S_MAX = 30.0  # Longer without any answer on any connection: the service is stuck, the row is over.
BROKEN_MAX = 100  # Connections lost in one row before it gives up.
RESOURCE_ID = re.compile(rb'"id": ?"([0-9a-f-]{36})"')


class Address(NamedTuple):
    """Where the service listens, and the bytes that every request to it carries."""

    host: str
    port: int
    headers: bytes = b""


class Call(NamedTuple):
    """One request as bytes, and what the answer must hold to be right.

    fragment: anywhere in the answer, head or body; empty when the status says it all.
    """

    request: bytes
    fragment: bytes = b""


class Outcome(Struct, frozen=True):
    """What one run of `drive` saw.

    bad: every answer that is not the wanted one, and every lost connection; first_bad: the first of them.
    statuses: answers by status; 0 is an answer that never came.
    generator_us: processor time of this generator for each request, a check that it is not what we measure.
    """

    requests: int
    seconds: float
    bad: int
    statuses: dict[int, int]
    first_bad: str
    p50_ms: float
    p99_ms: float
    generator_us: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds > 0 else 0.0


def request_bytes(address: Address, method: str, target: str, body: bytes = b"") -> bytes:
    """Return one HTTP/1.1 request, ready to send. target: path and query, already percent-encoded."""
    head = f"{method} {target} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n".encode()
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return head + address.headers + length + b"\r\n" + body


class _Connection:
    """A socket with at most one call on the way. httptools calls `on_message_complete`."""

    __slots__ = ("address", "call", "parser", "pieces", "ready", "sent_at", "socket")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.pieces: list[bytes] = []
        self.call: Call | None = None
        self.ready = False
        self.sent_at = 0.0
        self.socket: socket.socket = self.open()

    def open(self) -> socket.socket:
        self.socket = socket.create_connection((self.address.host, self.address.port), timeout=SILENCE_S_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The system's own time limit: with Python's, every call would ask the system twice.
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SILENCE_S_MAX), 0))
        self.parser = HttpResponseParser(self)
        return self.socket

    def on_message_complete(self) -> None:
        self.ready = True

    def send(self, call: Call) -> None:
        self.call = call
        self.sent_at = time.perf_counter()
        self.socket.sendall(call.request)

    def receive(self) -> bytes | None:
        """Take what arrived; return the whole answer once it is complete, b"" when the connection is gone."""
        try:
            data = self.socket.recv(CHUNK_BYTES)
            self.parser.feed_data(data)
        except (OSError, HttpParserError):
            return b""
        if not data:
            return b""
        self.pieces.append(data)
        if not self.ready:
            return None
        answer = data if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        self.ready = False
        return answer


class _Tally:
    """Counts answers; knows a wrong one."""

    def __init__(self, wanted: frozenset[int]) -> None:
        self.wanted = wanted
        self.latencies_s = array("d")
        self.statuses: Counter[int] = Counter()
        self.bad = 0
        self.first_bad = ""

    def answered(self, call: Call, status: int, answer: bytes, seconds: float) -> None:
        self.latencies_s.append(seconds)
        self.statuses[status] += 1
        if status not in self.wanted or call.fragment not in answer:
            self.spoilt(call, answer)

    def lost(self, call: Call | None) -> None:
        self.statuses[0] += 1
        self.spoilt(call, b"no answer")

    def spoilt(self, call: Call | None, answer: bytes) -> None:
        self.bad += 1
        if not self.first_bad:
            asked = call.request.split(b"\r\n", 1)[0] if call else b""
            self.first_bad = f"{asked.decode()} -> {answer[:600].decode(errors='replace')}"

    def outcome(self, seconds: float, processor_s: float) -> Outcome:
        requests = len(self.latencies_s)
        ordered = sorted(self.latencies_s)
        at = [1000 * ordered[min(requests - 1, int(requests * q))] if ordered else 0.0 for q in (0.5, 0.99)]
        return Outcome(
            requests=requests,
            seconds=seconds,
            bad=self.bad,
            statuses=dict(sorted(self.statuses.items())),
            first_bad=self.first_bad,
            p50_ms=at[0],
            p99_ms=at[1],
            generator_us=1e6 * processor_s / max(1, requests),
        )


def drive(
    address: Address,
    calls: Iterator[Call],
    *,
    connections: int,
    seconds: float,
    wanted: frozenset[int],
    learn: Callable[[Call, bytes], None] | None = None,
) -> Outcome:
    """Send calls for so many seconds, one at a time on each connection, and wait for the last answers.

    calls: taken one by one, only when one is really sent; when they end, the run ends early.
    learn: gets every right answer with its call, to read ids from.
    The rate counts the seconds until the last answer, so nothing on the way is counted for free.
    """
    first = list(islice(calls, connections))
    open_connections = [_Connection(address) for _ in first]
    by_descriptor = {each.socket.fileno(): each for each in open_connections}
    poll = select.epoll()
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    tally = _Tally(wanted)
    processor_s, started = time.process_time(), time.perf_counter()
    try:
        for connection, call in zip(open_connections, first, strict=True):
            connection.send(call)
        _turn(poll, by_descriptor, calls, tally, started + seconds, learn)
        return tally.outcome(time.perf_counter() - started, time.process_time() - processor_s)
    finally:
        poll.close()
        for connection in open_connections:
            connection.socket.close()


def _turn(
    poll: select.epoll,
    by_descriptor: dict[int, _Connection],
    calls: Iterator[Call],
    tally: _Tally,
    until: float,
    learn: Callable[[Call, bytes], None] | None,
) -> None:
    """The loop itself. Every name in it is local because each costs at 15,000 answers a second."""
    clock, waiting, end = time.perf_counter, len(by_descriptor), Call(b"")
    while waiting:
        events = poll.poll(SILENCE_S_MAX)
        if not events:
            for connection in by_descriptor.values():
                if connection.call:
                    tally.lost(connection.call)
            return
        for descriptor, _ in events:
            connection = by_descriptor[descriptor]
            answer = connection.receive()
            if answer is None:
                continue
            now, call = clock(), connection.call
            connection.call = None
            if answer and call:
                tally.answered(call, connection.parser.get_status_code(), answer, now - connection.sent_at)
                if learn and not tally.bad:
                    learn(call, answer)
            else:
                tally.lost(call)
                connection = _again(poll, by_descriptor, descriptor)
            following = next(calls, end) if now < until and tally.statuses[0] < BROKEN_MAX else end
            if following is end:
                waiting -= 1
            else:
                connection.send(following)


def _again(poll: select.epoll, by_descriptor: dict[int, _Connection], descriptor: int) -> _Connection:
    """Open a lost connection anew; its call is not sent again."""
    connection = by_descriptor.pop(descriptor)
    connection.socket.close()  # Closing also takes it out of the epoll set.
    connection.pieces.clear()
    connection.ready = False
    connection.open()
    by_descriptor[connection.socket.fileno()] = connection
    poll.register(connection.socket.fileno(), select.EPOLLIN)
    return connection


def resource_id(answer: bytes) -> str:
    """Return the id of the resource in an answer, by its first "id" that looks like one of ours."""
    found = RESOURCE_ID.search(answer)
    assert found, f"no resource id in {answer[:300]!r}"
    return found[1].decode()


def one(address: Address, request: bytes) -> tuple[int, bytes]:
    """Send one request on a connection of its own; return status and the whole answer. 0 when none came."""
    seen: list[Any] = []
    outcome = drive(
        address,
        iter([Call(request)]),
        connections=1,
        seconds=SILENCE_S_MAX,
        wanted=frozenset(range(100, 600)),
        learn=lambda _, answer: seen.append(answer),
    )
    return next(iter(outcome.statuses)), seen[0] if seen else b""
