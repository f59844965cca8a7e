"""What users and groups have in common: a resource with one attribute changed, and what a PUT leaves."""

from typing import Any

from domain.attributes import JsonObject, ResourceType
from domain.errors import Mutability
from domain.resources import Reading, same

KEPT_WHEN_OMITTED = ("active",)  # PU-03, DEC-05: a PUT that does not mention it neither clears nor sets it.


def assigned(resource: JsonObject, attribute: str, value: Any) -> JsonObject:
    """A copy of the resource with one attribute set; None unassigns it.

    attribute: as in `AttributeChanged`; an extension attribute is `urn:…:name`, and its container comes and
    goes with its attributes.
    """
    urn, _, name = attribute.rpartition(":")
    if urn:
        container = assigned(resource.get(urn, {}), name, value)
        return assigned_whole(resource, urn, container or None)
    return assigned_whole(resource, attribute, value)


def assigned_whole(resource: JsonObject, name: str, value: Any) -> JsonObject:
    """A copy of the resource with one member set; None removes it."""
    if value is not None:
        return {**resource, name: value}
    return {key: part for key, part in resource.items() if key != name}


def stored(resource: JsonObject, attribute: str) -> Any:
    """The value of an attribute named as in `AttributeChanged`; None while it is unassigned."""
    urn, _, name = attribute.rpartition(":")
    return resource.get(urn, {}).get(name) if urn else resource.get(name)


def after_put(before: JsonObject, reading: Reading, resource_type: ResourceType) -> JsonObject:
    """What a PUT makes of a resource: the body's values and what a PUT keeps (PU-02, PU-03).

    Raises Mutability when the body does not repeat a stored immutable value (PU-06).
    """
    for place in resource_type.immutable:
        value = stored(before, place.path)
        if value is not None and not same(place.attribute, value, stored(reading.resource, place.path)):
            raise Mutability(f"{place.path} is immutable")
    kept = {name: before[name] for name in KEPT_WHEN_OMITTED if name in before and name not in reading.assigned}
    return {**reading.resource, **kept} if kept else reading.resource
