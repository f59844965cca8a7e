"""Every state of every resource, with the positions between which it held: what answers about the past are read from.

A state is what a resource's own entries add up to. Memberships are no part of it: they are intervals already, and a
group whose every new member were a new state would be written as often as it has members.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from psycopg import Cursor

from domain import groups, users
from domain.attributes import ResourceType
from domain.declarations import resource_types
from domain.groups import Group
from domain.registry import ResourceTypes
from domain.resources import schemas_of
from domain.search import search_document
from domain.users import User
from ledger.declarations import present_declarations
from ledger.entry import Entry, Erased, TenantId
from projections.attributes import NAMED_BY
from projections.directory import document, equality_key, resource_of
from projections.tables import NULL, Table, byte_string, copy_lines, text

_encode = msgspec.json.Encoder().encode
_MEMBERSHIPS = ("MembershipAdded", "MembershipRemoved")
HOLDS = 2**63 - 1  # As `to_position`: it has not ended.


class Version(Struct):
    """A state of a resource: after the entry at `from_position`, until the one at `to_position`.

    version: of its stream at `from_position`.
    """

    type: ResourceType
    id: str
    from_position: int
    version: int
    created_position: int
    created_at: datetime
    modified_at: datetime
    resource: dict[str, Any]
    to_position: int = HOLDS


def touched(entries: Iterable[Entry], types: ResourceTypes) -> set[str]:
    """The ids of resources that were there before the entries and were changed or deleted by them."""
    ids: set[str] = set()
    new: set[str] = set()
    for entry in entries:
        kind, _, resource_id = entry.stream.partition("/")
        if kind in types.by_stream and entry.event_type not in _MEMBERSHIPS:
            (new if entry.version == 1 else ids).add(resource_id)
    return ids - new


def rows(entries: Iterable[Entry], held: Mapping[str, Version], types: ResourceTypes) -> list[Version]:
    """The states that the entries made, in order. Ends those of `held` that they ended.

    entries: in position order. held: by id, the present state of every resource that was there before.
    Pure but for that: runner and replay both write what it returns.
    """
    made: list[Version] = []
    present = dict(held)
    for entry in entries:
        kind, _, resource_id = entry.stream.partition("/")
        resource_type = types.by_stream.get(kind)
        if resource_type is None or entry.event_type in _MEMBERSHIPS:
            continue
        before = present.pop(resource_id, None)
        if before is not None:
            before.to_position = entry.position
        if not entry.event_type.endswith("Deleted"):  # By type: the event may be erased.
            after = present[resource_id] = _after(before, entry, resource_id, resource_type)
            made.append(after)
    return made


def _after(before: Version | None, entry: Entry, resource_id: str, resource_type: ResourceType) -> Version:
    created = (entry.position, entry.recorded_at) if before is None else (before.created_position, before.created_at)
    return Version(
        resource_type, resource_id, entry.position, entry.version, *created, entry.recorded_at, _resource(before, entry)
    )


def _resource(before: Version | None, entry: Entry) -> dict[str, Any]:
    """The resource after an entry; of an erased person's nothing is left but that it was there."""
    if isinstance(entry.event, Erased):
        return {}
    event: Any = entry.event
    of_group = entry.stream.startswith("groups/")
    state: Any = (Group if of_group else User)(before.id, before.resource, before.version) if before else None
    after = (groups.evolve if of_group else users.evolve)(state, event)
    assert after is not None, "only a deletion leaves nothing"
    return after.resource


VERSIONS = Table(
    "resource_versions",
    key=("tenant_id", "id", "from_position"),
    columns=(
        "tenant_id", "type", "id", "from_position", "to_position", "version", "created_position", "created_at",
        "modified_at", "name_key", "external_id_key", "active", "document", "search",
    ),
    owner="id",
)  # fmt: skip

# The newest state of each; of what is deleted it has ended. One index probe an id.
_HELD = """
select v.type, k.id::text, v.from_position, v.version, v.created_position, v.created_at, v.modified_at, v.document
  from unnest(%(ids)s::uuid[]) k(id)
 cross join lateral (select *
                       from resource_versions r
                      where r.tenant_id = %(tenant_id)s
                        and r.id = k.id
                      order by r.from_position desc
                      limit 1) v
 where v.to_position = 9223372036854775807
"""

_END = """
update resource_versions v
   set to_position = e.to_position
  from unnest(%(ids)s::uuid[], %(from)s::bigint[], %(to)s::bigint[]) e(id, from_position, to_position)
 where v.tenant_id = %(tenant_id)s
   and v.id = e.id
   and v.from_position = e.from_position
"""


class Versions:
    """The catch-up projection behind everything that is asked as of a moment."""

    name = "versions"
    revision = 1
    tables = (VERSIONS,)

    def write(self, cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Append new states and end those that they follow."""
        # The present declarations read resources of any age (domain/declarations.py).
        types = resource_types(present_declarations(cursor.connection, tenant_id))
        held = _held(cursor, tenant_id, touched(entries, types), types)
        made = rows(entries, held, types)
        ended = [version for version in held.values() if version.to_position != HOLDS]
        if ended:
            parameters = {
                "tenant_id": tenant_id,
                "ids": [version.id for version in ended],
                "from": [version.from_position for version in ended],
                "to": [version.to_position for version in ended],
            }
            cursor.execute(_END, parameters)
        copy_lines(cursor, VERSIONS, [_line(tenant_id, version) for version in made])


def _held(cursor: Cursor[Any], tenant_id: TenantId, ids: set[str], types: ResourceTypes) -> dict[str, Version]:
    if not ids:
        return {}
    by_name = {kind.name: kind for kind in types.types}
    cursor.execute(_HELD, {"tenant_id": tenant_id, "ids": list(ids)}, binary=True)
    found = {}
    for kind, resource_id, since, version, position, created_at, modified_at, stored in cursor.fetchall():
        found[resource_id] = Version(
            by_name[kind], resource_id, since, version, position, created_at, modified_at, resource_of(stored)
        )
    return found


def _line(tenant_id: TenantId, version: Version) -> str:
    """A row in the order of VERSIONS.columns."""
    resource, kind = version.resource, version.type
    search = search_document(resource, kind)
    active = {True: "t", False: "f"}.get(resource.get("active"), NULL)  # type: ignore[arg-type]
    stored = document(resource, schemas_of(resource, kind))
    return (
        f"{tenant_id}\t{kind.name}\t{version.id}\t{version.from_position}\t{version.to_position}\t{version.version}\t"
        f"{version.created_position}\t{version.created_at.isoformat()}\t{version.modified_at.isoformat()}\t"
        f"{_key(search.get(NAMED_BY.get(kind.name, '')))}\t{_key(search.get('externalId'))}\t{active}\t"
        f"{byte_string(stored)}\t{text(_encode(search).decode())}"
    )


def _key(prepared: str | None) -> str:
    return NULL if prepared is None else byte_string(equality_key(prepared))
