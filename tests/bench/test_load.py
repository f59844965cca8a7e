"""The load generator believes no rate before it has looked at every answer."""

import socketserver
import threading
from collections.abc import Iterator
from itertools import cycle, repeat

import pytest

from bench.load import Address, Call, Outcome, drive, one, request_bytes, resource_id

ANSWERS = {
    b"/right": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"/refused": b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n",
    b"/other": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye",
    b"/nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    b"/garbage": b"what?\r\n\r\n",
    b"/gone": b"",
}


class Answering(socketserver.StreamRequestHandler):
    """Answers by path, on a connection that stays open; an empty one closes it, slow ones come in pieces."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            path = line.split()[1]
            while self.rfile.readline().strip():
                continue
            if path == b"/slow":
                for piece in (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\n\r\nhe", b"llo"):
                    self.request.sendall(piece)
                    threading.Event().wait(0.01)
                continue
            if not (answer := ANSWERS[path]):
                return
            self.wfile.write(answer)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with Server(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Address("127.0.0.1", server.server_address[1])
        server.shutdown()


def call(address: Address, path: str, fragment: bytes = b"hello") -> Call:
    return Call(request_bytes(address, "GET", path), fragment)


def outcome_of(address: Address, *paths: str) -> Outcome:
    calls = iter([call(address, path) for path in paths])
    return drive(address, calls, connections=2, seconds=5, wanted=frozenset({200}))


def test_right_answers_make_a_valid_row(address: Address) -> None:
    outcome = outcome_of(address, *["/right"] * 50)
    assert (outcome.requests, outcome.bad, outcome.statuses) == (50, 0, {200: 50})
    assert 0 < outcome.p50_ms <= outcome.p99_ms


def test_an_answer_in_pieces_is_one_answer(address: Address) -> None:
    outcome = outcome_of(address, "/slow", "/slow", "/right")
    assert (outcome.requests, outcome.bad) == (3, 0)


@pytest.mark.parametrize("path", ["/refused", "/other", "/nothing"])
def test_a_wrong_answer_is_counted_as_bad(address: Address, path: str) -> None:
    """A wrong status, and a right status over the wrong body alike."""
    outcome = outcome_of(address, "/right", path, "/right")
    assert (outcome.requests, outcome.bad) == (3, 1)
    assert outcome.first_bad.startswith(f"GET {path}")


@pytest.mark.parametrize("path", ["/gone", "/garbage"])
def test_a_lost_connection_is_bad_and_its_call_is_not_sent_again(address: Address, path: str) -> None:
    outcome = outcome_of(address, path, *["/right"] * 6)
    assert (outcome.requests, outcome.bad) == (6, 1)
    assert outcome.statuses == {0: 1, 200: 6}


def test_a_run_ends_with_its_time_and_waits_for_the_last_answers(address: Address) -> None:
    sent = []

    def endless() -> Iterator[Call]:
        for each in repeat(call(address, "/right")):
            sent.append(each)
            yield each

    outcome = drive(address, endless(), connections=4, seconds=0.1, wanted=frozenset({200}))
    assert outcome.requests == len(sent)
    assert 0.1 <= outcome.seconds < 1


def test_answers_are_learnt_with_their_calls(address: Address) -> None:
    learnt: list[tuple[bytes, bytes]] = []
    calls = (call(address, path) for _, path in zip(range(4), cycle(["/right"]), strict=False))
    drive(
        address, calls, connections=2, seconds=5, wanted=frozenset({200}),
        learn=lambda asked, answer: learnt.append((asked.fragment, answer[-5:])),
    )  # fmt: skip
    assert learnt == [(b"hello", b"hello")] * 4


def test_one_request_gives_status_and_answer(address: Address) -> None:
    assert one(address, request_bytes(address, "GET", "/refused"))[0] == 409
    assert one(address, request_bytes(address, "GET", "/gone")) == (0, b"")


def test_the_id_of_an_answer_is_its_first_uuid() -> None:
    wanted = "4a1f6f3e-0a67-4f0f-9c3c-0f6f1f0e8a11"
    assert resource_id(b'{"schemas":["x"],"id":"%s","id":"no"}' % wanted.encode()) == wanted
