"""A ledger in memory, told request by request: what the pure halves of the projections are given."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from domain.events import (
    AttributeChanged,
    Deactivated,
    Event,
    GroupCreated,
    GroupDeleted,
    MembershipAdded,
    MembershipRemoved,
    Reactivated,
    RequestRefused,
    RequestUnchanged,
    UserCreated,
    UserDeleted,
)
from ledger.entry import Cause, Entry, Position, Stream, TenantId, Version

ADA = "ada00000-0000-4000-8000-000000000001"
BOB = "b0b00000-0000-4000-8000-000000000002"
EVE = "e0e00000-0000-4000-8000-000000000003"
FINANCE = "f1a00000-0000-4000-8000-00000000000a"
EVERYONE = "e4e00000-0000-4000-8000-00000000000b"
TOKEN = "70ce0000-0000-4000-8000-00000000000f"

Happening = tuple[str, str, Event]  # stream, subject id, event


def created(user_id: str, **attributes: Any) -> Happening:
    return f"users/{user_id}", user_id, UserCreated(user_id, attributes)


def changed(user_id: str, attribute: str, before: Any, after: Any) -> Happening:
    return f"users/{user_id}", user_id, AttributeChanged(attribute, before, after)


def deactivated(user_id: str, before: bool | None = True) -> Happening:
    return f"users/{user_id}", user_id, Deactivated(before)


def reactivated(user_id: str) -> Happening:
    return f"users/{user_id}", user_id, Reactivated()


def deleted(user_id: str) -> Happening:
    return f"users/{user_id}", user_id, UserDeleted()


def group_created(group_id: str, name: str) -> Happening:
    return f"groups/{group_id}", group_id, GroupCreated(group_id, {"displayName": name})


def group_renamed(group_id: str, before: str, after: str) -> Happening:
    return f"groups/{group_id}", group_id, AttributeChanged("displayName", before, after)


def group_deleted(group_id: str) -> Happening:
    return f"groups/{group_id}", group_id, GroupDeleted()


def joined(group_id: str, member_id: str) -> Happening:
    return f"groups/{group_id}", member_id, MembershipAdded(member_id, "User")


def left(group_id: str, member_id: str, *, explicit: bool = True) -> Happening:
    return f"groups/{group_id}", member_id, MembershipRemoved(member_id, explicit)


class Telling:
    """Entries in the making. Each request takes a second, until `at` or `later` moves the clock."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._clock = datetime(2026, 11, 2, 9, 0, 0, tzinfo=UTC)
        self._versions: dict[str, int] = {}
        self._requests = 0

    def at(self, text: str) -> "Telling":
        self._clock = datetime.fromisoformat(text)
        return self

    def later(self, **duration: float) -> "Telling":
        self._clock += timedelta(**duration)
        return self

    def request(self, method: str, path: str, *happenings: Happening, **cause: Any) -> str:
        """Record one request's entries; returns its id."""
        self._requests += 1
        request_id = str(uuid5(NAMESPACE_URL, f"request {self._requests}"))
        full = Cause(
            **{
                "request_id": request_id,
                "count": len(happenings),
                "token_id": TOKEN,
                "token_label": "Entra",
                "profile": "lenient",
                "client_address": "20.1.2.3",
                "user_agent": "Azure-AD-SCIM/1.0",
                "method": method,
                "path": path,
                "received_at": self._clock.isoformat(),
                "elapsed_us": 2_400,
                "status": {"POST": 201, "DELETE": 204}.get(method, 200),
            }
            | cause
        )
        for index, (stream, subject_id, event) in enumerate(happenings):
            self._versions[stream] = self._versions.get(stream, 0) + 1
            self.entries.append(
                Entry(
                    tenant_id=TenantId(1),
                    position=Position(len(self.entries)),
                    stream=Stream(stream),
                    version=Version(self._versions[stream]),
                    event_type=type(event).__name__,
                    subject_id=subject_id,
                    request_id=request_id,
                    recorded_at=self._clock,
                    event=event,
                    cause=full if index == 0 else Cause(request_id, index=index, count=len(happenings)),
                )
            )
        self._clock += timedelta(seconds=1)
        return request_id

    def refused(
        self, method: str, path: str, subject_id: str | None = None, *, repetitions: int = 0, **cause: Any
    ) -> str:
        return self._outcome(method, path, subject_id, RequestRefused(repetitions), cause)

    def unchanged(self, method: str, path: str, subject_id: str, **cause: Any) -> str:
        return self._outcome(method, path, subject_id, RequestUnchanged(), cause)

    def _outcome(self, method: str, path: str, subject_id: str | None, event: Event, cause: dict[str, Any]) -> str:
        request_id = str(uuid5(NAMESPACE_URL, f"request {self._requests + 1}"))
        return self.request(method, path, (f"requests/{request_id}", subject_id or request_id, event), **cause)
