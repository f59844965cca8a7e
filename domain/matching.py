"""A filter held against a resource in memory. The where clause has to agree with it on every resource."""

import operator
from collections.abc import Callable, Iterator
from typing import Any, assert_never

from domain.attributes import Attribute, JsonObject, Place
from domain.expressions import (
    And,
    Comparison,
    Constant,
    Expression,
    Filter,
    Not,
    Or,
    Present,
    Within,
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.eq,  # Negated over all values, see `_compares`.
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def matches(asked: Filter, representation: JsonObject) -> bool:
    """Whether the resource, in full SCIM form with id, schemas, meta, groups or members, is asked for.

    Its type is `meta.resourceType`; that may be missing when the filter was parsed for one type only.
    """
    if len(asked.expressions) == 1:
        return holds(asked.expressions[0][1], representation)
    name = representation.get("meta", {}).get("resourceType")
    return any(
        holds(expression, representation)
        for resource_type, expression in asked.expressions
        if resource_type.name == name
    )


def holds(expression: Expression, resource: JsonObject) -> bool:
    """Whether the expression holds for the resource."""
    match expression:
        case Comparison(place):
            return _compares(expression, list(values(place, resource)))
        case Present(place):
            return any(_present(place.leaf, value) for value in values(place, resource))
        case Within(place, inner):
            return any(holds_within(inner, element) for element in values(place, resource))
        case And(terms):
            return all(holds(term, resource) for term in terms)
        case Or(terms):
            return any(holds(term, resource) for term in terms)
        case Not(term):
            return not holds(term, resource)
        case Constant(result):
            return result
        case _:
            assert_never(expression)


def holds_within(expression: Expression, element: JsonObject) -> bool:
    """Whether an expression from inside brackets holds for one element of its attribute."""
    match expression:
        case Comparison(place):
            return _compares(expression, list(_listed(element.get(place.leaf.name), place.leaf)))
        case Present(place):
            return _present(place.leaf, element.get(place.leaf.name))
        case And(terms):
            return all(holds_within(term, element) for term in terms)
        case Or(terms):
            return any(holds_within(term, element) for term in terms)
        case Not(term):
            return not holds_within(term, element)
        case _:
            raise AssertionError("brackets do not nest")


def values(place: Place, resource: JsonObject) -> Iterator[Any]:
    """Every value at the place, raw: elements of a multi-valued attribute, sub-values of each element."""
    container = resource if place.extension is None else resource.get(place.extension) or {}
    found = _listed(container.get(place.attribute.name), place.attribute)
    sub = place.sub
    if sub is None:
        yield from found
        return
    for element in found:
        value = element.get(sub.name)
        if value is not None or sub.assumed_false:
            yield value


def _listed(value: Any, attribute: Attribute) -> list[Any]:
    """The values as a list; missing counts as false where the RFC says so (FI-28)."""
    if value is None:
        return [None] if attribute.assumed_false else []
    return value if isinstance(value, list) else [value]


def _compares(comparison: Comparison, found: list[Any]) -> bool:
    leaf, literal = comparison.place.leaf, comparison.literal
    if literal is None:
        assigned = any(value is not None for value in found)
        return assigned if comparison.operator == "ne" else not assigned
    compare = _COMPARE[comparison.operator]
    matched = any(compare(leaf.prepare(False if value is None else value), literal) for value in found)
    return not matched if comparison.operator == "ne" else matched


def _present(leaf: Attribute, value: Any) -> bool:
    """Assigned and non-empty (FI-15)."""
    if value is None or value == "":
        return False
    if isinstance(value, list):
        return any(_present(leaf, element) for element in value)
    if isinstance(value, dict):
        return any(part is not None and part != "" and part != [] for part in value.values())
    return True
