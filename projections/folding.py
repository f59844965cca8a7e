"""The directory as entries add up to it: the rows that the append wrote, made again from nothing but the ledger."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from domain import groups, users
from domain.events import AttributeChanged, GroupCreated, MembershipAdded, SettingChanged
from domain.groups import Group
from domain.registry import ResourceTypes
from domain.schemas import STANDARD
from domain.users import User
from ledger.entry import Entry, Erased, Settings, TenantId
from ledger.jobs import GroupRow, UserRow
from projections.directory import group_row, user_row
from projections.tables import NULL, Table, byte_string, text

USERS = Table(
    "users",
    ("tenant_id", "id"),
    (
        "tenant_id", "id", "version", "position", "created_position", "created_at", "modified_at", "user_name_key",
        "external_id_key", "active", "document", "search", "search_terms",
    ),
)  # fmt: skip
GROUPS = Table(
    "groups",
    ("tenant_id", "id"),
    (
        "tenant_id", "id", "version", "attribute_version", "member_count", "position", "created_position",
        "created_at", "modified_at", "name_key", "unique_name_key", "external_id_key", "document", "search",
        "search_terms",
    ),
)  # fmt: skip
MEMBERSHIPS = Table(
    "memberships",
    ("tenant_id", "group_id", "member_id", "from_position"),
    ("tenant_id", "group_id", "member_id", "member_type", "from_position", "to_position"),
)
DIRECTORY = (USERS, GROUPS, MEMBERSHIPS)


class _Held(Struct):
    """A live resource: its state, and what the rows keep beside it."""

    state: Any
    created_position: int
    created_at: datetime
    position: int = 0
    modified_at: datetime | None = None
    version: int = 0
    attribute_version: int = 1


class Folding:
    """The state of one tenant's directory after the entries fed so far."""

    def __init__(self, tenant_id: TenantId) -> None:
        self._tenant_id = tenant_id
        self._users: dict[str, _Held] = {}
        self._groups: dict[str, _Held] = {}
        self._open: dict[str, dict[str, tuple[str, int]]] = {}  # group → member → (type, from position)
        self._closed: list[tuple[str, str, str, int, int]] = []
        self._settings: dict[str, Any] = {}
        self._types: ResourceTypes = STANDARD

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take entries, in position order."""
        for entry in entries:
            kind, _, resource_id = entry.stream.partition("/")
            if kind == "users":
                self._user(entry, resource_id)
            elif kind == "groups":
                self._group(entry, resource_id)
            elif isinstance(entry.event, SettingChanged):
                self._settings[entry.event.setting] = entry.event.after

    def _user(self, entry: Entry, user_id: str) -> None:
        if entry.event_type == "UserDeleted":
            del self._users[user_id]
            return
        held = self._users.get(user_id)
        if held is None:
            held = self._users[user_id] = _Held(None, entry.position, entry.recorded_at)
        event: Any = entry.event
        held.state = User(user_id, {}, entry.version) if isinstance(event, Erased) else users.evolve(held.state, event)
        held.position, held.modified_at, held.version = entry.position, entry.recorded_at, entry.version

    def _group(self, entry: Entry, group_id: str) -> None:
        if entry.event_type == "GroupDeleted":
            del self._groups[group_id]
            for member_id, (kind, since) in self._open.pop(group_id, {}).items():
                self._closed.append((group_id, member_id, kind, since, entry.position))
            return
        held = self._groups.get(group_id)
        if held is None:
            held = self._groups[group_id] = _Held(None, entry.position, entry.recorded_at)
        event: Any = entry.event
        if isinstance(event, GroupCreated | AttributeChanged):
            held.state = groups.evolve(held.state, event)
            held.attribute_version = entry.version
        elif isinstance(event, MembershipAdded):
            self._open.setdefault(group_id, {})[event.member_id] = (event.member_type, entry.position)
        else:
            kind, since = self._open[group_id].pop(event.member_id)
            self._closed.append((group_id, event.member_id, kind, since, entry.position))
        held.position, held.modified_at, held.version = entry.position, entry.recorded_at, entry.version

    def lines(self, table: Table) -> Iterator[str]:
        """Return a table's rows as lines of COPY text."""
        if table is USERS:
            return (self._user_line(user_id, held) for user_id, held in self._users.items())
        if table is GROUPS:
            return (self._group_line(group_id, held) for group_id, held in self._groups.items())
        return self._membership_lines()

    def _user_line(self, user_id: str, held: _Held) -> str:
        row = user_row(self._tenant_id, User(user_id, held.state.resource, held.version), self._types.user)
        active = NULL if row.active is None else "t" if row.active else "f"
        start = f"{self._tenant_id}\t{user_id}\t{held.version}\t{held.position}\t{held.created_position}"
        times = f"{held.created_at.isoformat()}\t{held.modified_at.isoformat() if held.modified_at else NULL}"
        keys = f"{byte_string(row.name_key)}\t{_optional(row.external_id_key)}"
        return f"{start}\t{times}\t{keys}\t{active}\t{_document(row)}"

    def _group_line(self, group_id: str, held: _Held) -> str:
        settings = Settings(**self._settings)
        group = Group(group_id, held.state.resource, held.version)
        row = group_row(self._tenant_id, group, self._types.group, settings)
        members = len(self._open.get(group_id, ()))
        start = f"{self._tenant_id}\t{group_id}\t{held.version}\t{held.attribute_version}\t{members}"
        places = f"{held.position}\t{held.created_position}"
        times = f"{held.created_at.isoformat()}\t{held.modified_at.isoformat() if held.modified_at else NULL}"
        keys = f"{byte_string(row.name_key)}\t{_optional(row.unique_name_key)}\t{_optional(row.external_id_key)}"
        return f"{start}\t{places}\t{times}\t{keys}\t{_document(row)}"

    def _membership_lines(self) -> Iterator[str]:
        for group_id, member_id, kind, since, until in self._closed:
            yield f"{self._tenant_id}\t{group_id}\t{member_id}\t{kind}\t{since}\t{until}"
        for group_id, members in self._open.items():
            for member_id, (kind, since) in members.items():
                yield f"{self._tenant_id}\t{group_id}\t{member_id}\t{kind}\t{since}\t{NULL}"


def _optional(key: bytes | None) -> str:
    return NULL if key is None else byte_string(key)


def _document(row: UserRow | GroupRow) -> str:
    return f"{byte_string(row.document)}\t{text(row.search)}\t{row.terms}"
