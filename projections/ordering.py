"""The order of a list as SQL, and where in it a walk goes on: means what `domain.sorting` means.

A row's place is the pair of its value and its `created_position`, which no two resources of a tenant share. What
lies beyond such a pair is a condition like any other: a page costs the same at any depth, and rows that come and go
elsewhere move nobody past it.
"""

from msgspec import Struct

from domain.attributes import ResourceType
from domain.schemas import USER
from domain.sorting import SORTED_CHARACTERS, Sort
from projections.places import Parameters, Places

_SORTED_NAME = "r.user_name_sorted"  # Never null; its index wants the pair alone.


class Mark(Struct, frozen=True, array_like=True):
    """The place of the last row of a page. key: its value as text, None where it has none. position: its creation."""

    key: str | None
    position: int


class Ordering(Struct, frozen=True):
    """The order of rows `r` of one resource type.

    key: the value as SQL, null where there is none; without key, creation alone is the order.
    kind: its Postgres type.
    """

    key: str | None
    kind: str
    descending: bool

    def clause(self, key: str, position: str) -> str:
        """Return what follows `order by`, from what the value and the position are called there."""
        direction = " desc" if self.descending else ""  # Nulls are last, and then first, by themselves.
        return f"{position}{direction}" if self.key is None else f"{key}{direction}, {position}{direction}"

    def beyond(self, mark: Mark, parameters: Parameters) -> str:
        """Return that a row lies behind a mark, in the direction of the walk."""
        symbol = "<" if self.descending else ">"
        position = parameters.bind(mark.position, "bigint")
        if self.key is None:
            return f"r.created_position {symbol} {position}"
        if mark.key is None:
            last = f"({self.key}) is null and r.created_position {symbol} {position}"
            return f"(({self.key}) is not null or {last})" if self.descending else f"({last})"
        bound = parameters.bind(mark.key, self.kind)
        behind = f"(({self.key}), r.created_position) {symbol} ({bound}, {position})"
        return behind if self.descending or self.key == _SORTED_NAME else f"({behind} or ({self.key}) is null)"


def ordering(sort: Sort | None, resource_type: ResourceType, parameters: Parameters, location_base: str) -> Ordering:
    """Return the order of one type's rows; without sort, that of their creation."""
    if sort is None:
        return Ordering(None, "text", False)
    place = sort.of(resource_type)
    path = place.path if place is not None else ""
    if path == "meta.created":
        return Ordering(None, "text", sort.descending)  # Times never decrease along the positions.
    if path == "meta.lastModified":
        return Ordering("r.modified_at", "timestamptz", sort.descending)
    if resource_type.name == USER.name and path == "userName":
        return Ordering(_SORTED_NAME, "text", sort.descending)
    value = "null" if place is None else Places(resource_type, parameters, location_base).deciding(place)
    if sort.numeric:
        return Ordering(f"{value}::numeric", "numeric", sort.descending)
    return Ordering(f'left({value}::text, {SORTED_CHARACTERS}) collate "C"', "text", sort.descending)
