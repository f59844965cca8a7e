"""Clients that write on 16 connections, whatever happens, and remember what they asked and were answered."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from msgspec import Struct

from ledger.entry import Cause, Entry

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ANSWER_S_MAX = 20.0
PAUSE_S = 0.05  # After a failed call: the service is being killed and restarted, and needs the processor.


class Attempt(Struct):
    """One request: its mark (sent as X-Request-Id), the entries it leaves, and its answer.

    status: None while it has no answer. 503 is an answer that promises nothing: its fate may be unknown.
    perhaps: a refusal; its repetitions within a minute are one entry, and a crash may lose their count.
    """

    mark: str
    asked: str
    events: tuple[str, ...]
    status: int | None = None
    perhaps: bool = False

    @property
    def certain(self) -> bool:
        """Whether the client may rely on what it was told."""
        return self.status is not None and self.status != 503


class Known(Struct):
    """A user as its writer knows it from certain answers."""

    id: str
    user_name: str
    title: str = ""
    in_group: bool = False


class Writer(threading.Thread):
    """One client on one connection: creates, changes, adds, removes, deletes, repeats; one request at a time.

    Whoever an uncertain answer was about is left alone from then on, so a writer always knows what to expect.
    """

    def __init__(self, base_url: str, slug: str, token: str, group_id: str, seed: int) -> None:
        super().__init__(daemon=True)
        parts = urlsplit(base_url)
        self.place = (parts.hostname or "", parts.port or 80)
        self.path = f"/scim/{slug}/v2/"
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        self.group_id = group_id
        self.chance = random.Random(seed)
        self.stopped = threading.Event()
        self.attempts: list[Attempt] = []
        self.unwanted: list[str] = []
        self.user: Known | None = None
        self.finished: list[Known] = []
        self.connection: http.client.HTTPConnection | None = None
        self.retry_after_missing = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            self.turn()

    def turn(self) -> None:
        """Send one request, of a kind that suits what is known."""
        if self.user is None:
            self.create()
            return
        user = self.user
        work = self.chance.choices(
            (self.change, self.join_or_leave, self.repeat, self.clash, self.delete, self.next),
            (6, 6, 2, 1, 1, 1),
        )[0]
        work(user)

    def create(self) -> None:
        name = f"{uuid4().hex}@faults.example"
        body = {"schemas": [USER], "userName": name, "active": True, "name": {"familyName": "Fault"}}
        answer = self.send("POST", "Users", body, ("UserCreated",), 201)
        if answer is not None:
            self.user = Known(answer["id"], name)

    def change(self, user: Known) -> None:
        """Change two attributes in one request: both, or neither."""
        title = uuid4().hex
        values = {"title": title, "nickName": title}
        operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
        if self.patch(f"Users/{user.id}", operations, ("AttributeChanged",) * 2):
            user.title = title

    def join_or_leave(self, user: Known) -> None:
        """Enter the group that all writers share, or leave it."""
        if user.in_group:
            operation = {"op": "remove", "path": f'members[value eq "{user.id}"]'}
        else:
            operation = {"op": "add", "path": "members", "value": [{"value": user.id}]}
        event = "MembershipRemoved" if user.in_group else "MembershipAdded"
        if self.patch(f"Groups/{self.group_id}", [operation], (event,)):
            user.in_group = not user.in_group

    def repeat(self, user: Known) -> None:
        """Ask for what is so already: seen, and no change."""
        operation = {"op": "replace", "path": "active", "value": True}
        self.patch(f"Users/{user.id}", [operation], ("RequestUnchanged",))

    def clash(self, user: Known) -> None:
        """Ask for a userName that is taken."""
        body = {"schemas": [USER], "userName": user.user_name}
        self.send("POST", "Users", body, ("RequestRefused",), 409)

    def delete(self, user: Known) -> None:
        events = ("MembershipRemoved", "UserDeleted") if user.in_group else ("UserDeleted",)
        if self.send("DELETE", f"Users/{user.id}", None, events, 204) is not None:
            self.user = None

    def next(self, user: Known) -> None:
        """Leave this user as it is, and go on with a new one."""
        self.finished.append(user)
        self.user = None

    def patch(self, path: str, operations: list[dict[str, Any]], events: tuple[str, ...]) -> bool:
        body = {"schemas": [PATCH_OP], "Operations": operations}
        return self.send("PATCH", path, body, events, 200, 204) is not None

    def send(self, method: str, path: str, body: Any, events: tuple[str, ...], *wanted: int) -> dict[str, Any] | None:
        """Send one request once. Return its answer when it is certain and wanted."""
        asked, refused = f"{method} {path}", "RequestRefused" in events
        attempt = Attempt(uuid4().hex, asked, tuple(sorted(events)), perhaps=refused)
        self.attempts.append(attempt)
        try:
            answer, raw = self.exchange(method, path, body, attempt.mark)
        except (OSError, http.client.HTTPException):
            self.connection = None
            self.user = None
            self.stopped.wait(PAUSE_S)
            return None
        attempt.status = answer.status
        if not attempt.certain:
            self.retry_after_missing += not answer.headers.get("Retry-After", "").isdigit()
            self.user = None
            self.stopped.wait(PAUSE_S)
            return None
        if answer.status not in wanted:
            self.unwanted.append(f"{attempt.asked} was answered {answer.status}: {raw[:300]!r}")
            self.user = None
            return None
        return json.loads(raw) if raw else {}

    def exchange(self, method: str, path: str, body: Any, mark: str) -> tuple[http.client.HTTPResponse, bytes]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.place, timeout=ANSWER_S_MAX)
        raw = json.dumps(body) if body is not None else None
        self.connection.request(method, self.path + path, raw, {**self.headers, "X-Request-Id": mark})
        answer = self.connection.getresponse()
        return answer, answer.read()


class Crowd:
    """Writers at work together on one tenant. seed: of everything they choose."""

    def __init__(self, base_url: str, slug: str, token: str, *, count: int = 16, seed: int) -> None:
        first = Writer(base_url, slug, token, "", seed)
        made = first.send("POST", "Groups", {"schemas": [GROUP], "displayName": "all"}, ("GroupCreated",), 201)
        assert made, f"the group was not made: {first.unwanted}"
        self.writers = [Writer(base_url, slug, token, made["id"], seed + 1 + number) for number in range(count)]
        self.first = first

    def __enter__(self) -> "Crowd":
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.stopped.set()
        for writer in self.writers:
            writer.join(ANSWER_S_MAX + 5)
            assert not writer.is_alive(), "a writer waits for ever"

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for writer in (self.first, *self.writers) for attempt in writer.attempts]

    def answered(self) -> int:
        """Return how many certain answers there are so far."""
        return sum(attempt.certain for attempt in self.attempts)

    def wait_for_answers(self, more: int, seconds_max: float = 60) -> None:
        """Wait until so many more certain answers came: the service works (again)."""
        until, wanted = time.monotonic() + seconds_max, self.answered() + more
        while self.answered() < wanted:
            assert time.monotonic() < until, f"no {more} answers within {seconds_max} s: {self.statuses()}"
            time.sleep(0.02)

    def statuses(self) -> dict[int | None, int]:
        return dict(Counter(attempt.status for attempt in self.attempts))

    def known_users(self) -> list[Known]:
        """Return every user whose state is certain and who is still there."""
        return [user for writer in self.writers for user in (*writer.finished, *([writer.user] if writer.user else []))]


def check_attempts(attempts: list[Attempt], entries: list[Entry]) -> None:
    """Check that every certain request is in the ledger exactly once and whole, every other wholly or not."""
    found = by_mark(entries)
    wrong = []
    for attempt in attempts:
        written = found.pop(attempt.mark, [])
        events = tuple(sorted(entry.event_type for entry in written))
        must = attempt.certain and not attempt.perhaps
        if events != attempt.events and (must or events):
            wrong.append(f"{attempt.asked} answered {attempt.status}: {events}, not {attempt.events}")
        if [entry.cause.index for entry in written if entry.cause] != list(range(len(written))):
            wrong.append(f"{attempt.asked}: its entries are out of order")
    wrong += [f"nobody asked for {[entry.event_type for entry in entries]}" for entries in found.values()]
    assert not wrong, f"{len(wrong)} of {len(attempts)} requests: " + "; ".join(wrong[:5])


def by_mark(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Group entries by the X-Request-Id of their request; entries of no client's request are left out."""
    marks, found = {}, {}
    for entry in entries:
        if entry.cause and (mark := mark_of(entry.cause)):
            marks[entry.request_id] = mark
    for entry in entries:
        if entry.request_id in marks:
            found.setdefault(marks[entry.request_id], []).append(entry)
    return found


def mark_of(cause: Cause) -> str:
    """Return the X-Request-Id of a request's full cause."""
    return next((value for name, value in cause.correlation.items() if name.lower() == "x-request-id"), "")
