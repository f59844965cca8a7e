"""The steps of a PATCH applied to a resource (RFC 7644 §3.5.2).

Nothing is changed in place: neither the resource nor the patch, whose values may go into several resources'
states when a request has to be decided again.
"""

from collections.abc import Collection
from typing import Any

from msgspec import Struct

from domain import profiles
from domain.attributes import Attribute, JsonObject, Place, ResourceType, Schema
from domain.changes import as_stored, with_immutable
from domain.errors import InvalidValue, Mutability, NoTarget
from domain.expressions import And, Comparison, Expression
from domain.ids import is_id
from domain.matching import holds_within
from domain.members import MemberChange
from domain.paths import Path
from domain.profiles import Profile
from domain.reading import ELEMENTS_MAX, Reader, collapsed, element_key
from domain.resources import missing


class Step(Struct, frozen=True):
    """One operation on one place.

    op: add, replace or remove. value: canonical; None unassigns. For remove: the elements to remove, or None
    for all. With a filter and no sub-attribute it is an object whose nulls unassign sub-attributes.
    """

    op: str
    path: Path
    value: Any = None


class Patch(Struct, frozen=True):
    """A PATCH message as understood.

    received: as in `Reading`. members: None when no operation is about members. operations_text: "op path" of each
    operation, without values, for the cause. quirks, ignored: by name.
    """

    resource_type: ResourceType
    profile: Profile
    steps: tuple[Step, ...]
    received: tuple[str, ...]
    members: MemberChange | None
    operations_text: list[str]
    quirks: tuple[str, ...]
    ignored: tuple[str, ...]

    def written(self) -> Collection[str]:
        """The paths of the attributes it is about, where the answer depends on that (PJ-09)."""
        if not self.resource_type.on_request:
            return ()
        places = [step.path.place for step in self.steps if step.path.place is not None]
        return {Place(place.extension, place.attribute).path for place in places}


class Patched(Struct, frozen=True):
    """What a PATCH makes of a resource.

    received: as in `Reading`. quirks: of the patch, and those that only showed on this resource.
    """

    resource: JsonObject
    received: tuple[str, ...]
    members: MemberChange | None
    quirks: tuple[str, ...] = ()


def apply_patch(patch: Patch, resource: JsonObject) -> Patched:
    """Apply every step, in order, each to the result of the one before; all or nothing (PA-05, PA-06).

    Raises NoTarget when a filter matches nothing that could be changed, Mutability when a stored immutable
    value would change or a removal takes what is required, InvalidValue when values cannot all be kept or something
    required would be gone otherwise. What was required and missing before may stay so: who disables somebody need
    not first fill in what a later revision of a schema wants.
    """
    reader = Reader(patch.profile)
    state = dict(resource)
    for step in patch.steps:
        _apply(step, state, reader)
    state = with_immutable(resource, state, patch.resource_type)
    lacking = missing(state, patch.resource_type)
    if lacking and (gone := [path for path in lacking if path not in missing(resource, patch.resource_type)]):
        refusal = Mutability if any(_takes_from(step, gone[0]) for step in patch.steps) else InvalidValue
        raise refusal(f"{gone[0]} is required")
    quirks = patch.quirks
    if reader.quirks:
        quirks = tuple(dict.fromkeys((*quirks, *reader.quirks)))
    return Patched(state, patch.received, patch.members, quirks)


def _takes_from(step: Step, required: str) -> bool:
    """Whether a step removes something required, or of it (PA-14). required: its path."""
    path = step.path.name if step.path.place is None else step.path.place.path
    return step.op == "remove" and (path == required or path.startswith((f"{required}.", f"{required}:")))


def _apply(step: Step, state: JsonObject, reader: Reader) -> None:
    place = step.path.place
    if place is None:
        assert step.path.extension is not None, "a path has a place or an extension"
        _remove_extension(step.path.extension, state)
        return
    attribute, name = place.attribute, place.attribute.name
    holder = state if place.extension is None else dict(state.get(place.extension) or {})
    before = holder.get(name)
    after = _changed(step, attribute, before, reader)
    if attribute.mutability == "immutable" and before is not None:
        after = as_stored(attribute, before, after)
        if after != before:
            raise Mutability(f"{place.path} is immutable")
    if after is None or after == [] or after == {}:
        holder.pop(name, None)
    else:
        holder[name] = after
    if place.extension is not None:
        if holder:
            state[place.extension] = holder
        else:
            state.pop(place.extension, None)


def _remove_extension(extension: Schema, state: JsonObject) -> None:
    """All that clients may write there goes."""
    removed = state.pop(extension.id, {})
    frozen = {attribute.name for attribute in extension.attributes if attribute.mutability == "readOnly"}
    kept = {name: part for name, part in removed.items() if name in frozen}
    if kept:
        state[extension.id] = kept


def _changed(step: Step, attribute: Attribute, before: Any, reader: Reader) -> Any:
    """The attribute's whole value after the step."""
    sub = step.path.place.sub if step.path.place else None
    if step.path.expression is not None:
        return _filtered(step, step.path.expression, attribute, before, reader)
    if sub is not None:
        given = {sub.name: step.value}
        if not attribute.multi_valued:
            return _merged(attribute, before or {}, given)
        if not before:
            return None if step.value is None else _added(attribute, [], [given])
        return _set(attribute, before, [True] * len(before), given, reader)
    if step.op == "remove":
        return None if step.value is None else _without(attribute, before or [], step.value)
    if attribute.multi_valued:
        return _added(attribute, before or [], step.value) if step.op == "add" else step.value
    if attribute.type == "complex":
        return None if step.value is None else _merged(attribute, before or {}, step.value)
    return step.value


def _filtered(step: Step, expression: Expression, attribute: Attribute, before: Any, reader: Reader) -> Any:
    """`attr[filter]` and `attr[filter].sub` (PT-06 to PT-09). A singular complex value is a list of one."""
    elements: list[JsonObject] = before or [] if attribute.multi_valued else [before] if before else []
    chosen = [holds_within(expression, element) for element in elements]
    sub = step.path.place.sub if step.path.place else None
    if any(chosen):
        if sub is None and (step.op == "remove" or step.value is None):
            after = [e for e, matched in zip(elements, chosen, strict=True) if not matched]
        else:
            given = step.value if sub is None else {sub.name: step.value}
            after = _set(attribute, elements, chosen, given, reader)
    elif step.op == "remove":
        return before
    else:
        after = _created(step, expression, attribute, elements, reader)
    return after if attribute.multi_valued else after[0] if after else None


def _created(
    step: Step, expression: Expression, attribute: Attribute, elements: list[JsonObject], reader: Reader
) -> list[JsonObject]:
    """The elements with a new one, made of the filter's eq terms and the value (RX-06, DEC-17, DEC-18)."""
    sub = step.path.place.sub if step.path.place else None
    if step.op == "replace" and (sub is None or not reader.profile.replace_creates):
        raise NoTarget(f"the path matches no element of {attribute.name}")
    seed = _seed(expression)
    if seed is None or (elements and not attribute.multi_valued):
        raise NoTarget(f"the path matches no element of {attribute.name} and describes none")
    given = step.value if sub is None else {sub.name: step.value}
    given = {name: part for name, part in given.items() if part is not None}
    if not given:
        return elements
    reader.quirk(profiles.REPLACE_CREATED if step.op == "replace" else profiles.ELEMENT_FROM_FILTER)
    return _added(attribute, elements, [{**seed, **given}])


def _seed(expression: Expression) -> JsonObject | None:
    """What the filter says about the element it wants; None when that is no conjunction of eq terms."""
    seed: JsonObject = {}
    for term in expression.terms if isinstance(expression, And) else (expression,):
        if isinstance(term, And):
            inner = _seed(term)
        elif isinstance(term, Comparison) and term.operator == "eq" and _may_be_set(term.place.leaf):
            inner = {} if term.written is None else {term.place.leaf.name: term.written}
        else:
            inner = None
        if inner is None or any(seed.get(name, part) != part for name, part in inner.items()):
            return None
        seed.update(inner)
    return seed


def _may_be_set(leaf: Attribute) -> bool:
    return not leaf.multi_valued and leaf.mutability != "readOnly"


def _merged(attribute: Attribute, element: JsonObject, given: JsonObject) -> JsonObject:
    """The element with the given sub-attributes set; None unassigns one."""
    merged = {**element, **given}
    for name in given.keys() & element.keys():
        sub = attribute.subs[name.lower()]
        if sub.mutability == "immutable":
            merged[name] = as_stored(sub, element[name], given[name])
            if merged[name] != element[name]:
                raise Mutability(f"{attribute.name}.{name} is immutable")
    if "$ref" in merged and _follows(attribute, element, given, merged):
        del merged["$ref"]
    if None in given.values():
        return {name: part for name, part in merged.items() if part is not None}
    return merged


def _follows(attribute: Attribute, element: JsonObject, given: JsonObject, merged: JsonObject) -> bool:
    """Whether an element's `$ref` goes: it pointed to what `value` was before, or is one that answers say (VT-03)."""
    pointed_elsewhere = "$ref" not in given and merged.get("value") != element.get("value")
    return pointed_elsewhere or (bool(attribute.refers_to) and is_id(str(merged.get("value"))))


def _set(
    attribute: Attribute, elements: list[JsonObject], chosen: list[bool], given: JsonObject, reader: Reader
) -> list[JsonObject]:
    """The elements with the given sub-attributes set in the chosen ones; emptied ones go (PD-18, DEC-10)."""
    loses_value = attribute.value is not None and "value" in given and given["value"] is None
    after: list[JsonObject] = []
    changed: list[JsonObject] = []
    for element, matched in zip(elements, chosen, strict=True):
        if not matched:
            after.append(element)
            continue
        merged = _merged(attribute, element, given)
        if merged and loses_value and reader.profile.drops_valueless and "value" in element:
            reader.quirk(profiles.VALUELESS_DROPPED)
            continue
        if merged:
            after.append(merged)
            changed.append(merged)
    if given.get("primary") is True and "primary" in attribute.subs:
        reader.one_primary(attribute, changed)  # Fresh dicts of `_merged`: may be changed.
        after = _demoted(after, changed[0])
    return collapsed(attribute, after) if len(after) > 1 else after


def _demoted(elements: list[JsonObject], primary: JsonObject) -> list[JsonObject]:
    """The elements with no other one primary (PD-06)."""
    return [
        {**element, "primary": False} if element.get("primary") is True and element is not primary else element
        for element in elements
    ]


def _added(attribute: Attribute, before: list[Any], given: list[Any]) -> list[Any]:
    """The elements with the given ones added; equal ones are merged (PD-09, DEC-07)."""
    if attribute.type != "complex":
        known = set(map(attribute.prepare, before))
        after = before + [part for part in given if attribute.prepare(part) not in known]
    else:
        after = list(before)
        index: dict[Any, int] = {}
        for position, element in enumerate(before):
            index.setdefault(element_key(attribute, element), position)
        primary = None
        for element in given:
            position = index.setdefault(element_key(attribute, element), len(after))
            if position == len(after):
                after.append(element)
            else:
                after[position] = _merged(attribute, after[position], element)
            if element.get("primary") is True:
                primary = after[position]
        if primary is not None and "primary" in attribute.subs:
            after = _demoted(after, primary)
    if len(after) > ELEMENTS_MAX:
        raise InvalidValue(f"{attribute.name} takes at most {ELEMENTS_MAX} values")
    return after


def _without(attribute: Attribute, before: list[Any], named: list[Any]) -> list[Any]:
    """The elements without those that the client listed: by what it said about them (RX-05, DEC-19)."""
    if attribute.type != "complex":
        gone = set(map(attribute.prepare, named))
        return [part for part in before if attribute.prepare(part) not in gone]
    wanted = [{name: _prepared(attribute, name, part) for name, part in element.items()} for element in named]
    return [
        element
        for element in before
        if not any(
            all(_prepared(attribute, name, element.get(name)) == part for name, part in one.items()) for one in wanted
        )
    ]


def _prepared(attribute: Attribute, name: str, part: Any) -> Any:
    sub = attribute.subs[name.lower()]
    if part is None:
        return False if sub.assumed_false else None
    return [sub.prepare(one) for one in part] if isinstance(part, list) else sub.prepare(part)
