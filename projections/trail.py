"""The provisioning log: one record per request, what it changed, and the steps it went through.

Each operation of a bulk request is a request here, with its own path, status and steps: that is what it was decided
as, and one record of a thousand different outcomes would answer nobody.

Modelled on the log that Entra's administrators read (facts on the Entra client, §5): action, status,
identity, modified properties, steps, duration, error. What a target is called now or was called last is
looked up when somebody asks; a name kept here would be wrong after the next rename.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct
from psycopg import Cursor

from domain.events import (
    AttributeChanged,
    Deactivated,
    GroupCreated,
    MembershipAdded,
    MembershipRemoved,
    Reactivated,
    ResourceCreated,
    ResourceTypeDeclared,
    SchemaDeclared,
    UserCreated,
)
from ledger.entry import BulkOperation, Entry, TenantId
from projections.attributes import flat
from projections.requests import cause_of, repetitions, requests
from projections.tables import NULL, Table, copy_lines, json, text, texts
from projections.turns import DEACTIVATED, REACTIVATED, turn

ACTIONS = ("create", "update", "disable", "enable", "delete", "other")
STATUSES = ("success", "failure", "skipped")

# The event that decides what a request was: a PATCH that also disables is a disable.
_ACTION_OF = {
    "UserCreated": "create",
    "GroupCreated": "create",
    "ResourceCreated": "create",
    "UserDeleted": "delete",
    "GroupDeleted": "delete",
    "ResourceDeleted": "delete",
    "AttributeChanged": "update",
    "MembershipAdded": "update",
    "MembershipRemoved": "update",
}
_ACTION_OF_TURN = {DEACTIVATED: "disable", REACTIVATED: "enable"}  # Whatever the event is.
_WEIGHT = {"create": 5, "delete": 4, "disable": 3, "enable": 2, "update": 1, "other": 0}
_STATUS_OF = {"RequestRefused": "failure", "RequestUnchanged": "skipped"}
_ACTION_OF_METHOD = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_TYPE_OF_STREAM = {
    "users": "User", "groups": "Group", "tokens": "Token", "clients": "Client", "tenant": "Tenant", "schemas": "Tenant",
    "imports": "Import", "reports": "Report",
}  # fmt: skip
_RESOURCE_PATH = re.compile(r"/(User|Group)s(?:/|\?|$)", re.IGNORECASE)
_ME_PATH = re.compile(r"/Me/?$")
_ENDPOINT_PATH = re.compile(r"/scim/[^/]+(?:/v\d+)?/([A-Za-z][A-Za-z0-9_-]*)(?:/|$)", re.ASCII)


class Property(Struct, frozen=True, omit_defaults=True):
    """A modified property. before, after: whole values; None while unassigned. For members: a member's id."""

    position: int
    attribute: str
    before: Any = None
    after: Any = None


class TrailRow(Struct, frozen=True):
    """One request, or operation of a bulk request. Texts are empty and ids None where it had none.

    Durations are in microseconds.

    first_position, last_position: of its entries. target_id: the resource it was sent to or made.
    subjects: everybody its entries are about, and the groups they changed.
    events: how many entries of each event type. repetitions: how many repetitions of an earlier refusal the row stands
    for; the request it shows is the last of them. 0 for all other rows, which are one request.
    bulk: of an operation, the bulk request and its number in it.
    """

    first_position: int
    last_position: int
    request_id: str
    recorded_at: datetime
    received_at: str
    action: str
    status: str
    resource_type: str
    target_id: str | None
    subjects: frozenset[str]
    method: str
    path: str
    http_status: int
    scim_type: str
    detail: str
    token_id: str
    token_label: str
    profile: str
    client_address: str
    user_agent: str
    correlation: dict[str, str]
    operations: list[str]
    quirks: list[str]
    ignored: list[str]
    state_version: int
    duration_us: int
    repetitions: int
    events: dict[str, int]
    modified: list[Property]
    bulk: BulkOperation | None = None

    @property
    def entry_count(self) -> int:
        """How many entries the request left, at least one."""
        return self.last_position - self.first_position + 1


def rows(entries: Iterable[Entry]) -> Iterator[TrailRow]:
    """One row for each request, in the order of their first entries.

    entries: whole requests, in position order. Pure: runner and replay both write what it returns.
    """
    for request in requests(entries):
        yield _row(request)


def _row(request: list[Entry]) -> TrailRow:
    first = request[0]
    cause = cause_of(request)
    decisive, action, status = outcome(request, cause.method)
    resource_type, target_id = target(decisive, cause.path)
    return TrailRow(
        first_position=first.position,
        last_position=request[-1].position,
        request_id=first.request_id,
        recorded_at=first.recorded_at,
        received_at=cause.received_at,
        action=action,
        status=status,
        resource_type=resource_type,
        target_id=target_id,
        subjects=_subjects(request),
        method=cause.method,
        path=cause.path,
        http_status=cause.status,
        scim_type=cause.scim_type,
        detail=cause.detail,
        token_id=cause.token_id,
        token_label=cause.token_label,
        profile=cause.profile,
        client_address=cause.client_address,
        user_agent=cause.user_agent,
        correlation=cause.correlation,
        operations=cause.operations,
        quirks=cause.quirks,
        ignored=cause.ignored,
        state_version=cause.state_version,
        duration_us=cause.elapsed_us,
        repetitions=repetitions(first),
        events=Counter(entry.event_type for entry in request) if len(request) > 1 else {first.event_type: 1},
        modified=[p for entry in request for p in modified_properties(entry)],
        bulk=cause.bulk,
    )


def outcome(request: Sequence[Entry], method: str) -> tuple[Entry, str, str]:
    """Return the entry that decides what a request was, its action and its status."""
    decisive = request[0] if len(request) == 1 else max(request, key=_weight)
    status = _STATUS_OF.get(decisive.event_type, "success")
    if status == "failure":
        return decisive, _ACTION_OF_METHOD.get(method, "other"), status
    return decisive, _action(decisive), status


def _weight(entry: Entry) -> int:
    return _WEIGHT[_action(entry)]


def _action(entry: Entry) -> str:
    return _ACTION_OF_TURN.get(turn(entry)) or _ACTION_OF.get(entry.event_type, "other")


def target(entry: Entry, path: str) -> tuple[str, str | None]:
    """Return what a request was sent to or made: by its stream, else (nothing changed) by its path and subject.

    Of a tenant's own type it is the kind of its streams: what that is called, nobody here can know.
    """
    kind, _, stream_id = entry.stream.partition("/")
    if kind != "requests":
        return _TYPE_OF_STREAM.get(kind, kind), stream_id or None
    target_id = entry.subject_id if entry.subject_id != entry.request_id else None
    if target_id is not None and _ME_PATH.search(path):
        return "User", target_id
    if named := _RESOURCE_PATH.search(path):
        return named[1].title(), target_id
    endpoint = _ENDPOINT_PATH.match(path)
    return endpoint[1].lower() if endpoint else "", target_id


def _subjects(request: list[Entry]) -> frozenset[str]:
    found = set()
    for entry in request:
        if entry.subject_id != entry.request_id:
            found.add(entry.subject_id)
        if entry.stream.startswith("groups/"):
            found.add(entry.stream[7:])
    return frozenset(found)


def modified_properties(entry: Entry) -> list[Property]:
    """What an entry changed, old to new: every attribute of a new resource, one of a changed one."""
    position = entry.position
    match entry.event:
        case UserCreated(resource=resource) | GroupCreated(resource=resource) | ResourceCreated(resource=resource):
            return [Property(position, name, None, value) for name, value in flat(resource).items()]
        case AttributeChanged(attribute, before, after):
            return [Property(position, attribute, before, after)]
        case Deactivated(before=before):
            return [Property(position, "active", before, False)]
        case Reactivated():
            return [Property(position, "active", False, True)]
        case MembershipAdded(member_id=member_id):
            return [Property(position, "members", None, member_id)]
        case MembershipRemoved(member_id=member_id):
            return [Property(position, "members", member_id, None)]
        case SchemaDeclared(schema):
            return [Property(position, "schemas", None, schema["id"])]
        case ResourceTypeDeclared(resource_type):
            return [Property(position, "resourceTypes", None, resource_type["name"])]
        case _:
            return []


TRAIL = Table(
    "trail",
    ("tenant_id", "first_position"),
    (
        "tenant_id", "first_position", "last_position", "request_id", "recorded_at", "received_at", "action",
        "status", "resource_type", "target_id", "method", "path", "http_status", "scim_type", "detail",
        "token_id", "token_label", "profile", "client_address", "user_agent", "correlation", "operations",
        "quirks", "ignored", "state_version", "duration_us", "entry_count", "repetitions", "events",
        "modified", "bulk_request_id", "bulk_operation",
    ),
)  # fmt: skip
# When the request of a row of `trail t` happened: see `requests.happened_at`.
HAPPENED_AT = """case when t.repetitions > 0
            then least(t.recorded_at,
                       date_trunc('milliseconds', t.received_at + t.duration_us * interval '1 microsecond'))
            else t.recorded_at end"""
# How many requests a row of `trail t` stands for.
REQUESTS = "greatest(t.repetitions, 1)"

TRAIL_SUBJECTS = Table(
    "trail_subjects",
    key=("tenant_id", "subject_id", "first_position"),
    columns=("tenant_id", "subject_id", "first_position"),
)


class Trail:
    """The catch-up projection behind `log`."""

    name = "trail"
    revision = 3
    tables = (TRAIL, TRAIL_SUBJECTS)

    def write(self, cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Append the rows of some whole requests."""
        lines: list[str] = []
        subjects: list[str] = []
        for row in rows(entries):
            lines.append(_line(tenant_id, row))
            subjects.extend(f"{tenant_id}\t{subject}\t{row.first_position}" for subject in row.subjects)
        subjects.sort()  # Neighbours in the index are written together.
        copy_lines(cursor, TRAIL, lines)
        copy_lines(cursor, TRAIL_SUBJECTS, subjects)


def _line(tenant_id: TenantId, row: TrailRow) -> str:
    """A row in the order of TRAIL.columns; only what a client can choose needs escaping."""
    bulk = f"{row.bulk.request_id}\t{row.bulk.number}" if row.bulk else f"{NULL}\t{NULL}"
    operations, quirks, ignored = (texts(of) if of else "{}" for of in (row.operations, row.quirks, row.ignored))
    return (
        f"{tenant_id}\t{row.first_position}\t{row.last_position}\t{row.request_id}\t"
        f"{row.recorded_at.isoformat()}\t{row.received_at or NULL}\t{row.action}\t"
        f"{row.status}\t{row.resource_type}\t{row.target_id or NULL}\t{row.method}\t{text(row.path)}\t"
        f"{row.http_status or NULL}\t{row.scim_type}\t{text(row.detail)}\t"
        f"{row.token_id}\t{text(row.token_label)}\t{row.profile}\t{text(row.client_address)}\t"
        f"{text(row.user_agent)}\t{json(row.correlation) if row.correlation else '{}'}\t{operations}\t"
        f"{quirks}\t{ignored}\t{row.state_version}\t{row.duration_us}\t{row.entry_count}\t"
        f"{row.repetitions}\t{_events(tuple(row.events.items()))}\t{json(row.modified)}\t{bulk}"
    )


@lru_cache(maxsize=1_000)  # A handful of shapes makes up nearly every request.
def _events(counts: tuple[tuple[str, int], ...]) -> str:
    return json(dict(counts))
