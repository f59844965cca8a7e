"""What users and groups have in common: a resource with one attribute changed, and what a change has to leave."""

from typing import Any

from domain.attributes import Attribute, JsonObject, Place, ResourceType
from domain.comparison import microseconds
from domain.errors import Mutability
from domain.events import AttributeChanged
from domain.reading import element_key
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


def receipts(received: tuple[str, ...]) -> list[AttributeChanged]:
    """That values of never-returned attributes came: a change each, its value recorded nowhere (PD-16)."""
    return [AttributeChanged(path, None, None) for path in received]


def after_put(
    before: JsonObject, reading: Reading, resource_type: ResourceType, *, keeps_immutable: bool = False
) -> JsonObject:
    """What a PUT makes of a resource: the body's values and what a PUT keeps (PU-02, PU-03, PU-05, PU-12).

    keeps_immutable: also where the body does not mention it. Raises Mutability when the body does not repeat a stored
    immutable value (PU-06).
    """
    kept = {name: before[name] for name in KEPT_WHEN_OMITTED if name in before and name not in reading.assigned}
    after = {**reading.resource, **kept} if kept else reading.resource
    for place in resource_type.read_only:
        value = stored(before, place.path)
        if value is not None:  # Written while the attribute could be.
            after = assigned(after, place.path, value)
    for place in resource_type.on_request:  # What a client was not shown, it cannot repeat.
        after = _with_unseen(before, after, place, reading)
    for place in resource_type.immutable if keeps_immutable else ():
        after = _with_unseen(before, after, place, reading)
    return with_immutable(before, after, resource_type)


def _with_unseen(before: JsonObject, after: JsonObject, place: Place, reading: Reading) -> JsonObject:
    """The resource with a value that was there and that the body does not mention."""
    whole = Place(place.extension, place.attribute).path
    old, new = stored(before, whole), stored(after, whole)
    if old is None:
        return after
    if place.sub is None:
        return after if whole in reading.assigned else assigned(after, whole, old)
    if place.attribute.multi_valued or new is None or place.sub.name in new or place.sub.name not in old:
        return after
    return assigned(after, whole, {**new, place.sub.name: old[place.sub.name]})


def with_immutable(before: JsonObject, after: JsonObject, resource_type: ResourceType) -> JsonObject:
    """The resource with dates that are immutable as they were stored. Raises Mutability where a value would change.

    A part of a multi-valued attribute is immutable as long as its element is there: elements come and go.
    """
    for place in resource_type.immutable:
        whole = Place(place.extension, place.attribute).path
        old, new = stored(before, whole), stored(after, whole)
        if old is None or old is new:
            continue
        respelt = _respelt(place, old, new)
        if respelt is not new:
            after, new = assigned(after, whole, respelt), respelt
        if place.sub is None:
            kept = same(place.attribute, old, new)
        elif place.attribute.multi_valued:
            kept = _same_parts(place.attribute, place.sub.name, old, new or [])
        else:
            kept = place.sub.name not in old or old[place.sub.name] == (new or {}).get(place.sub.name)
        if not kept:
            raise Mutability(f"{place.path} is immutable")
    return after


def as_stored(attribute: Attribute, old: Any, new: Any) -> Any:
    """The old value where the new one differs in how its dates are written, which compare as instants; else the new."""
    if old is None or new is None or old == new:
        return new
    return old if same(attribute, _instants(attribute, old), _instants(attribute, new)) else new


def _instants(attribute: Attribute, value: Any) -> Any:
    if isinstance(value, list):
        return [_instants(attribute, each) for each in value]
    if isinstance(value, dict):
        return {name: _instants(attribute.subs[name.lower()], part) for name, part in value.items()}
    return microseconds(value) if attribute.type == "dateTime" else value


def _respelt(place: Place, old: Any, new: Any) -> Any:
    """The new value of the attribute, with what is immutable as it was stored."""
    sub = place.sub
    if sub is None:
        return as_stored(place.attribute, old, new)
    if not new or sub.type != "dateTime":
        return new

    def respelt(element: JsonObject, known: JsonObject) -> JsonObject:
        part = as_stored(sub, known.get(sub.name), element.get(sub.name))
        return element if part is element.get(sub.name) else {**element, sub.name: part}

    if not place.attribute.multi_valued:
        return respelt(new, old)
    known = {element_key(place.attribute, element): element for element in old}
    return [respelt(each, known.get(element_key(place.attribute, each), {})) for each in new]


def _same_parts(attribute: Attribute, name: str, old: list[JsonObject], new: list[JsonObject]) -> bool:
    """Whether elements that are in both lists have the same part, where it was assigned."""
    parts = {element_key(attribute, element): element[name] for element in old if name in element}
    return all(parts.get(element_key(attribute, each), each.get(name)) == each.get(name) for each in new)
