"""Every state of every resource, with the position from which it held: what answers about the past are read from.

A state is what a resource's own entries add up to. Memberships are no part of it: they are intervals already, and a
group whose every new member were a new state would be written as often as it has members.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
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
from ledger.arrays import literal
from ledger.declarations import present_declarations
from ledger.entry import Entry, Erased, TenantId
from projections.directory import document, resource_of
from projections.tables import NULL, Table, byte_string, copy_lines, text

_encode = msgspec.json.Encoder().encode
_MEMBERSHIPS = ("MembershipAdded", "MembershipRemoved")


class Version(Struct, frozen=True):
    """A state of a resource, from the entry at `from_position` until its next one.

    version: of its stream at `from_position`. resource: None once it is deleted.
    """

    type: ResourceType
    id: str
    from_position: int
    version: int
    recorded_at: datetime
    resource: dict[str, Any] | None


def own(entries: Iterable[Entry], types: ResourceTypes) -> list[Entry]:
    """The entries that make a state of a resource, in their order."""
    return [
        entry
        for entry in entries
        if entry.event_type not in _MEMBERSHIPS and entry.stream.partition("/")[0] in types.by_stream
    ]


def rows(entries: Iterable[Entry], held: Mapping[str, Version], types: ResourceTypes) -> list[Version]:
    """The states that some of the resources' own entries made, one each. Pure.

    entries: in position order. held: by id, the present state of every resource that was there before.
    """
    made: list[Version] = []
    present = dict(held)
    for entry in entries:
        kind, _, resource_id = entry.stream.partition("/")
        after = Version(
            types.by_stream[kind], resource_id, entry.position, entry.version, entry.recorded_at,
            _resource(present.get(resource_id), entry, resource_id),
        )  # fmt: skip
        present[resource_id] = after
        made.append(after)
    return made


def _resource(before: Version | None, entry: Entry, resource_id: str) -> dict[str, Any] | None:
    """The resource after an entry; of an erased person's nothing is left but that it was there."""
    if isinstance(entry.event, Erased):
        return None if _is_deletion(entry) else {}
    event: Any = entry.event
    of_group = entry.stream.startswith("groups/")
    state: Any = None
    if before is not None and before.resource is not None:
        state = (Group if of_group else User)(resource_id, before.resource, before.version)
    after = (groups.evolve if of_group else users.evolve)(state, event)
    return None if after is None else after.resource


def _is_deletion(entry: Entry) -> bool:
    return entry.event_type.endswith("Deleted")  # By type: the event may be erased.


VERSIONS = Table(
    "resource_versions",
    key=("tenant_id", "id", "from_position"),
    columns=(
        "tenant_id", "type", "id", "from_position", "version", "recorded_at", "active", "document", "search",
    ),
    owner="id",
    searched=True,
)  # fmt: skip

# Whoever has not changed again since stands in the directory as the entry left it: a row made there is not made twice.
# A resource's version tells. During a replay the directory is empty here, and every state is added up. One index probe
# an id: the limit keeps planners from reading everybody for a page's sake, and the tenant in each row from taking one
# that they have not seen yet for empty, its every index as good as the key.
TAKE_OVER = """
  with told as (
       select *
         from unnest(%(tenants)s::integer[], %(ids)s::uuid[], %(versions)s::integer[], %(positions)s::bigint[],
                     %(times)s::timestamptz[]) t(tenant_id, id, version, position, recorded_at)
       )
insert into resource_versions
       (tenant_id, type, id, from_position, version, recorded_at, active, document, search)
select t.tenant_id, r.type, t.id, t.position, t.version, t.recorded_at, r.active, r.document, r.search
  from told t
 cross join lateral (select u.resource_type as type, u.version, u.active, u.document, u.search
                       from users u
                      where u.tenant_id = t.tenant_id
                        and u.id = t.id
                      limit 1) r
 where r.version = t.version
 union all
select t.tenant_id, 'Group', t.id, t.position, t.version, t.recorded_at, null, r.document, r.search
  from told t
 cross join lateral (select g.attribute_version, g.document, g.search
                       from groups g
                      where g.tenant_id = t.tenant_id
                        and g.id = t.id
                      limit 1) r
 where r.attribute_version = t.version
returning from_position
"""

# The newest state of each; of what is deleted it has no document. One index probe an id.
_HELD = """
select v.type, k.id::text, v.from_position, v.version, v.recorded_at, v.document
  from unnest(%(ids)s::uuid[]) k(id)
 cross join lateral (select *
                       from resource_versions r
                      where r.tenant_id = %(tenant_id)s
                        and r.id = k.id
                        and r.from_position < %(before)s
                      order by r.from_position desc
                      limit 1) v
 where v.document is not null
"""


class Versions:
    """The catch-up projection behind everything that is asked as of a moment."""

    name = "versions"
    revision = 1
    tables = (VERSIONS,)

    def write(self, cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry]) -> None:
        """Append the states that the entries made: from the directory what still holds, the rest added up."""
        # The present declarations read resources of any age (domain/declarations.py).
        types = resource_types(present_declarations(cursor.connection, tenant_id))
        making = own(entries, types)
        if not making:
            return
        taken = _take_over(cursor, tenant_id, making)
        left = [entry for entry in making if entry.position not in taken]
        held = _held(cursor, tenant_id, left, entries[0].position, types)
        copy_lines(cursor, VERSIONS, [_line(tenant_id, version) for version in rows(left, held, types)])


def _take_over(cursor: Cursor[Any], tenant_id: TenantId, making: Sequence[Entry]) -> set[int]:
    """Write the last states of resources from the directory, where they still hold; return their positions."""
    last = {entry.stream: entry for entry in making}
    told = [entry for entry in last.values() if not (_is_deletion(entry) or isinstance(entry.event, Erased))]
    columns = {
        "tenants": repeat(str(tenant_id), len(told)),
        "ids": (entry.stream.partition("/")[2] for entry in told),
        "versions": (str(entry.version) for entry in told),
        "positions": (str(entry.position) for entry in told),
        "times": (entry.recorded_at.isoformat() for entry in told),
    }
    packed = {name: literal(values) for name, values in columns.items()}
    cursor.execute(TAKE_OVER, packed)
    return {position for (position,) in cursor.fetchall()}


def _held(
    cursor: Cursor[Any], tenant_id: TenantId, entries: Sequence[Entry], before: int, types: ResourceTypes
) -> dict[str, Version]:
    """The states, before a position, of resources that were there then and that the entries are of."""
    new = {entry.stream for entry in entries if entry.version == 1}
    ids = {entry.stream.partition("/")[2] for entry in entries if entry.stream not in new}
    if not ids:
        return {}
    by_name = {kind.name: kind for kind in types.types}
    cursor.execute(_HELD, {"tenant_id": tenant_id, "ids": literal(ids), "before": before}, binary=True)
    return {
        resource_id: Version(by_name[kind], resource_id, position, version, recorded_at, resource_of(stored))
        for kind, resource_id, position, version, recorded_at, stored in cursor.fetchall()
    }


def _line(tenant_id: TenantId, version: Version) -> str:
    """A row in the order of VERSIONS.columns."""
    at = (
        f"{tenant_id}\t{version.type.name}\t{version.id}\t{version.from_position}\t{version.version}\t"
        f"{version.recorded_at.isoformat()}"
    )
    resource = version.resource
    if resource is None:
        return f"{at}\t{NULL}\t{NULL}\t{NULL}"
    active = {True: "t", False: "f"}.get(resource.get("active"), NULL)  # type: ignore[arg-type]
    stored = document(resource, schemas_of(resource, version.type))
    return f"{at}\t{active}\t{byte_string(stored)}\t{text(_encode(search_document(resource, version.type)).decode())}"
