"""Resources as they were, a line each, for people."""

from typing import Any

import msgspec

from domain.attributes import ResourceType
from ledger.lookups import StoredResource
from projections.attributes import NAMED_BY
from projections.directory import resource_of
from projections.words import plain

_GROUPS_MAX = 10


def line(kind: ResourceType, stored: StoredResource, edges: list[Any]) -> str:
    """What a resource is called, its id, whether it is inactive, and its groups, or how many members it has."""
    resource = resource_of(stored.document)
    name = plain(str(resource.get(NAMED_BY.get(kind.name, "displayName"), "")))
    parts = [f"{kind.name} {name} ({stored.id})" if name else f"{kind.name} {stored.id}"]
    if resource.get("active") is False:
        parts.append("inactive")
    if kind.has_members:
        parts.append("1 member" if len(edges) == 1 else f"{len(edges):,} members")
    elif edges:
        names = [plain(msgspec.json.decode(document).get("displayName", group_id)) for group_id, document, _ in edges]
        more = f" and {len(names) - _GROUPS_MAX:,} more" if len(names) > _GROUPS_MAX else ""
        parts.append(f"in {', '.join(names[:_GROUPS_MAX])}{more}")
    return ", ".join(parts)
