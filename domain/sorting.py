"""The order of a list: what `sortBy` names, and the value that gives a resource its place (RFC 7644 §3.4.2.3).

Ascending is by value, then by creation; resources without value come last. Descending is the same order read
backwards, ties included: so one pair, value and creation, is the order in both directions and the place where a
cursor goes on. Values are compared as filters compare them (IN-05), texts by their first characters.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from domain.attributes import JsonObject, Place, ResourceType
from domain.errors import InvalidValue

SORTED_CHARACTERS = 200  # An index entry and a cursor have to hold them.
NUMERIC = frozenset({"integer", "decimal", "dateTime"})  # Compared as numbers; all other types as texts.
_DESCENDING = {"ascending": False, "descending": True}


class Sort(Struct, frozen=True):
    """What resources are sorted by.

    places: for each type asked of, where its value stands; None where the type has no such attribute, and so no value.
    """

    places: tuple[tuple[ResourceType, Place | None], ...]
    descending: bool = False

    @property
    def numeric(self) -> bool:
        """Whether values are numbers or times, not texts."""
        return any(place is not None and place.leaf.type in NUMERIC for _, place in self.places)

    @property
    def name(self) -> str:
        """One spelling for everything that means this order."""
        paths = ",".join("" if place is None else place.path for _, place in self.places)
        return f"{paths} {'descending' if self.descending else 'ascending'}"

    def of(self, resource_type: ResourceType) -> Place | None:
        """Where the value stands in resources of a type."""
        for asked, place in self.places:
            if asked is resource_type:
                return place
        raise KeyError(resource_type.name)


def read_sort(sort_by: str, sort_order: str | None, types: tuple[ResourceType, ...]) -> Sort:
    """Read `sortBy` and `sortOrder`.

    Raises InvalidValue for an attribute that none of the types has (SO-08), that is never returned, that is complex
    and has no `value` (SO-01), or that is a text in one type and a number in another.
    """
    descending = _DESCENDING.get("ascending" if sort_order is None else sort_order.lower())
    if descending is None:
        raise InvalidValue("sortOrder is ascending or descending")
    places = tuple((kind, _sortable(kind.places.get(sort_by.strip().lower()))) for kind in types)
    if all(place is None for _, place in places):
        raise InvalidValue("sortBy names no attribute of these resources")
    if len({place.leaf.type in NUMERIC for _, place in places if place is not None}) > 1:
        raise InvalidValue("sortBy is a text in one resource type and a number in another")
    return Sort(places, descending)


def _sortable(place: Place | None) -> Place | None:
    if place is None:
        return None
    if "never" in (place.leaf.returned, place.attribute.returned):
        raise InvalidValue(f"{place.path} cannot be sorted by")  # The order would give it away.
    if place.leaf.type != "complex":
        return place
    if place.leaf.value is None:
        raise InvalidValue(f"sortBy has to name a sub-attribute of {place.path}")
    return Place(place.extension, place.attribute, place.leaf.value)


def in_order(shown: Iterable[JsonObject], sort: Sort) -> list[JsonObject]:
    """Sort resources in full SCIM form, given in the order of their creation. The ordering in SQL has to agree."""
    places = {kind.name: place for kind, place in sort.places}

    def rank(resource: JsonObject) -> tuple[bool, Any]:
        place = places[resource["meta"]["resourceType"]]
        value = None if place is None else sort_value(place, resource)
        return value is None, value

    ascending = sorted(shown, key=rank)
    return ascending[::-1] if sort.descending else ascending


def sort_value(place: Place, resource: JsonObject) -> Any:
    """The value that decides, in comparable form: of the primary element, else of the first (SO-04); or None."""
    container = resource if place.extension is None else resource.get(place.extension) or {}
    value = container.get(place.attribute.name)
    if isinstance(value, list):
        value = next(
            (e for e in value if isinstance(e, dict) and e.get("primary") is True), value[0] if value else None
        )
    if place.sub is not None and value is not None:
        value = value.get(place.sub.name, False if place.sub.assumed_false else None)
    if value is None:
        return None
    prepared = place.leaf.prepare(value)
    return prepared[:SORTED_CHARACTERS] if isinstance(prepared, str) else prepared
