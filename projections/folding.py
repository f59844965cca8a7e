"""The directory as entries add up to it: the rows that the append wrote, made again from nothing but the ledger."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from domain import groups, users
from domain.declarations import Declarations, document_of, evolve, name_of, resource_types, stream_of
from domain.events import (
    AttributeChanged,
    Declared,
    GroupCreated,
    MembershipAdded,
    ResourceTypeDeclared,
    SchemaDeclared,
    SettingChanged,
)
from domain.groups import Group
from domain.registry import ResourceTypes
from domain.users import User
from ledger.entry import Entry, Erased, Settings, TenantId
from ledger.jobs import GroupRow, UserRow
from projections.directory import group_row, unique_values, user_row
from projections.tables import NULL, Table, byte_string, json, text

USERS = Table(
    "users",
    ("tenant_id", "id"),
    (
        "tenant_id", "id", "version", "position", "created_position", "created_at", "modified_at", "user_name_key",
        "external_id_key", "active", "document", "search", "search_terms", "resource_type",
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
UNIQUE_VALUES = Table("unique_values", ("tenant_id", "key"), ("tenant_id", "key", "resource_id"))
DECLARATIONS = Table(
    "schema_declarations",
    ("tenant_id", "kind", "name"),
    ("tenant_id", "kind", "name", "since", "revision", "position", "document"),
)
DIRECTORY = (USERS, GROUPS, MEMBERSHIPS, UNIQUE_VALUES, DECLARATIONS)


class _Held(Struct):
    """A live resource: its state, and what the rows keep beside it."""

    state: Any
    created_position: int
    created_at: datetime
    kind: str = "groups"  # Of its stream.
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
        self._kinds = {"users"}  # Of the streams of resources without members.
        self._declarations = Declarations()
        self._declared: dict[tuple[str, str], tuple[int, int, int, str]] = {}  # (kind, name) → rest of the row

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take entries, in position order."""
        for entry in entries:
            kind, _, resource_id = entry.stream.partition("/")
            if kind == "groups":
                self._group(entry, resource_id)
            elif kind in self._kinds:
                self._user(entry, kind, resource_id)
            elif isinstance(entry.event, SettingChanged):
                self._settings[entry.event.setting] = entry.event.after
            elif isinstance(entry.event, SchemaDeclared | ResourceTypeDeclared):
                self._declaration(entry, entry.event)

    def _declaration(self, entry: Entry, event: Declared) -> None:
        self._declarations = evolve(self._declarations, event)
        if isinstance(event, ResourceTypeDeclared) and (kind := stream_of(event)) != "groups":
            self._kinds.add(kind)
        name = name_of(event)
        since = self._declared[name][0] if name in self._declared else entry.version
        self._declared[name] = (since, entry.version, entry.position, json(document_of(event)))

    def _user(self, entry: Entry, kind: str, user_id: str) -> None:
        if entry.event_type in ("UserDeleted", "ResourceDeleted"):
            del self._users[user_id]
            return
        held = self._users.get(user_id)
        if held is None:
            held = self._users[user_id] = _Held(None, entry.position, entry.recorded_at, kind)
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
        types = resource_types(self._declarations)
        if table is USERS:
            return (self._user_line(types, user_id, held) for user_id, held in self._users.items())
        if table is GROUPS:
            return (self._group_line(types, group_id, held) for group_id, held in self._groups.items())
        if table is UNIQUE_VALUES:
            return self._value_lines(types)
        return self._membership_lines() if table is MEMBERSHIPS else self._declaration_lines()

    def _user_line(self, types: ResourceTypes, user_id: str, held: _Held) -> str:
        user = User(user_id, held.state.resource, held.version)
        row = user_row(self._tenant_id, user, types.by_stream[held.kind])
        active = NULL if row.active is None else "t" if row.active else "f"
        start = f"{self._tenant_id}\t{user_id}\t{held.version}\t{held.position}\t{held.created_position}"
        times = f"{held.created_at.isoformat()}\t{held.modified_at.isoformat() if held.modified_at else NULL}"
        keys = f"{_optional(row.name_key)}\t{_optional(row.external_id_key)}"
        return f"{start}\t{times}\t{keys}\t{active}\t{_document(row)}\t{row.resource_type}"

    def _group_line(self, types: ResourceTypes, group_id: str, held: _Held) -> str:
        settings = Settings(**self._settings)
        group = Group(group_id, held.state.resource, held.version)
        row = group_row(self._tenant_id, group, types.group, settings)
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

    def _value_lines(self, types: ResourceTypes) -> Iterator[str]:
        for resource_id, held in (*self._users.items(), *self._groups.items()):
            for key in unique_values(held.state.resource, types.by_stream[held.kind]):
                yield f"{self._tenant_id}\t{byte_string(key)}\t{resource_id}"

    def _declaration_lines(self) -> Iterator[str]:
        for (kind, name), (since, revision, position, document) in self._declared.items():
            yield f"{self._tenant_id}\t{kind}\t{name}\t{since}\t{revision}\t{position}\t{document}"


def _optional(key: bytes | None) -> str:
    return NULL if key is None else byte_string(key)


def _document(row: UserRow | GroupRow) -> str:
    assert row.search is not None, "made from the whole state"
    return f"{byte_string(row.document)}\t{text(row.search)}\t{row.terms}"
