"""A SCIM filter as a where clause: with `places.py`, all of the project that assembles SQL from a request.

A clause is text of ours with parameters; whatever a client wrote, and every attribute name, is a parameter. It
means what `domain.matching` means, resource by resource. Three rules keep it so:

* A condition is true exactly where the expression holds; elsewhere it is false or null, and null never counts:
  `where` drops it, and every negation is written `(…) is not true`.
* "Some value at a place" has one translation for each place (`Places.some`): a walk through the search
  document, a column, or a subquery over memberships. Values there are prepared, like the literal.
* What an index can answer stands beside the condition it implies, never instead of it, unless the index is on
  the SHA-256 of the very value (userName, externalId, a group's displayName).

Every subquery names the tenant itself, and an `or` is always in parentheses: no filter reaches another tenant.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from typing import Any

from msgspec import Struct

from domain.attributes import Attribute, Place, ResourceType
from domain.expressions import (
    EQUALITY,
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
from domain.ids import is_id
from domain.schemas import USER
from domain.search import search_term
from domain.sorting import SORTED_CHARACTERS
from projections.directory import equality_key
from projections.places import TEXTUAL, Condition, Parameters, Places, Value, Values, joined

_SYMBOLS = {"eq": "=", "ne": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_SUBSTRINGS = {
    "co": "strpos({value}, {literal}) > 0",
    "sw": "starts_with({value}, {literal})",
    "ew": "right({value}, length({literal})) = {literal}",
}
_LIKE, _ESCAPED = re.compile(r"[%_\\]"), r"\\\g<0>"
_KEYED = {
    "User": frozenset({"id", "externalId", "meta.location", "userName"}),
    "Group": frozenset({"id", "externalId", "meta.location", "displayName"}),
}
_KEYED_ALWAYS = frozenset({"id", "externalId", "meta.location"})
_THROUGH_EDGES = {
    "User": frozenset({"groups.value", "groups.$ref", "groups.display"}),
    "Group": frozenset({"members.value", "members.$ref"}),
}


class Where(Struct, frozen=True):
    """A condition on `r`, a row of `users` or `groups`: true where the filter holds, else false or null.

    parameters: by name; `tenant` is the tenant's id, the others begin with `w` and a digit.
    """

    clause: str
    parameters: dict[str, Any]


def where(
    filter: Filter | None, resource_type: ResourceType, tenant_id: int, *, location_base: str,
    parameters: Parameters | None = None,
) -> Where:  # fmt: skip
    """Return the condition that a filter puts on the resources of one type; without filter, all of them.

    location_base: what `meta.location` and `$ref` begin with, up to and without the endpoint's slash.
    parameters: those of the statement so far, when the clause is only a part of it.
    The caller writes `… from users r where r.tenant_id = %(tenant)s and (<clause>)`, the table as `parameters` has it.
    """
    translation = _Translation(resource_type, parameters or Parameters(tenant_id), location_base)
    conditions = translation.of_type()
    if filter is not None:
        conditions.append(translation.clause(filter.of(resource_type)))
    return Where(joined("and", conditions or ["true"]), translation.parameters.by_name)


def point(filter: Filter) -> tuple[str, str | bytes] | None:
    """Recognise the filters that are look-ups of one key, asked of one resource type; None for all others.

    Returns the attribute's name with the id, or with the SHA-256 that its index is on: ("id", "7f3a…"),
    ("userName", key), ("externalId", key), and ("displayName", key) for groups.
    """
    if len(filter.expressions) != 1:
        return None
    resource_type, expression = filter.expressions[0]
    match expression:
        case Comparison(Place(None, attribute, None), "eq", str() as literal):
            if attribute.name == "id":
                return ("id", literal) if is_id(literal) else None
            if attribute.name in _keyed(resource_type):
                return attribute.name, equality_key(literal)
    return None


def _keyed(resource_type: ResourceType) -> frozenset[str]:
    return _KEYED.get(resource_type.name, _KEYED_ALWAYS)


_Some = Callable[[Place, Condition], str]  # Some element at a place satisfies a condition.


class _Reach(IntEnum):
    """How the rows that an expression holds for can be found: the greatest of an `and`, the least of an `or`."""

    BY_READING_ALL = 0
    BY_MEMBERSHIP = 1
    BY_ROW = 2  # An index of the table itself.


class _Translation:
    """One filter on its way to SQL, with the parameters collected so far."""

    def __init__(self, resource_type: ResourceType, parameters: Parameters, location_base: str) -> None:
        self.resource_type = resource_type
        self.parameters = parameters
        self.tenant_id: int = parameters.by_name["tenant"]
        self.places = Places(resource_type, self.parameters, location_base)
        self._some: _Some = self.places.some

    def clause(self, expression: Expression) -> str:
        """Return the condition for a whole filter."""
        return self._condition(expression, self._some, found=True)

    def of_type(self) -> list[str]:
        """Return the conditions for a row to be of the type at all, in the words of the indexes for lists (0003)."""
        if self.resource_type.has_members:
            return []
        if self.resource_type.name == USER.name:
            return ["r.resource_type = 'User'"]
        return [
            f"r.resource_type = {self.parameters.bind(self.resource_type.name, 'text')}",
            "r.resource_type <> 'User'",
        ]

    # Expressions.

    def _condition(self, expression: Expression, some: _Some, *, found: bool) -> str:
        """Return the condition for an expression.

        some: `self._some`, or within brackets the one element. found: whether rows may be looked for by an
        index here: outside of brackets and not below a negation.
        """
        match expression:
            case Comparison(place, operator, literal):
                negated = (operator == "ne") is not (literal is None)
                below = self._below(expression) if some is self._some else None
                holds = below or some(place, lambda values: self._compares(expression, values(place.sub)))
                if negated:
                    return f"({holds}) is not true"
                return self._beside(expression, holds) if found else holds
            case Present(place):
                return some(place, lambda values: _present(place, values))
            case Within(_, Comparison(_, "eq", str()) as inner):
                return self._condition(inner, some, found=found)  # The brackets say nothing more.
            case Within(place, inner):
                holds = some(place, lambda values: self._inside(inner, values))
                return self._beside(expression, holds) if found else holds
            case And(terms):
                return joined("and", [self._condition(term, some, found=found) for term in terms])
            case Or(terms):
                return self._disjunction(terms, some, found=found)
            case Not(term):
                return f"({self._condition(term, some, found=False)}) is not true"
            case Constant(result):
                return "true" if result else "false"

    def _inside(self, expression: Expression, values: Values) -> str:
        return self._condition(expression, lambda _, condition: condition(values), found=False)

    def _disjunction(self, terms: tuple[Expression, ...], some: _Some, *, found: bool) -> str:
        """Return the condition for an `or`.

        Postgres answers an `or` from indexes of one table only. Where memberships lead to some of the rows,
        each way is a query of its own, and their union names the rows.
        """
        if some is not self._some:
            return joined("or", [self._condition(term, some, found=found) for term in terms])
        terms = _merged(terms)
        conditions = [(self._reach(term), self._condition(term, some, found=found)) for term in terms]
        if not found or len(terms) == 1 or min(reach for reach, _ in conditions) is not _Reach.BY_MEMBERSHIP:
            return joined("or", [condition for _, condition in conditions])
        rows = [condition for reach, condition in conditions if reach is _Reach.BY_ROW]
        ways = [condition for reach, condition in conditions if reach is _Reach.BY_MEMBERSHIP]
        if rows:
            ways.append(joined("or", rows))
        table = self.parameters.tables.of(self.resource_type)
        selects = [f"select r.id from {table} r where r.tenant_id = %(tenant)s and ({way})" for way in ways]
        return f"r.id in ({' union all '.join(selects)})"

    def _compares(self, comparison: Comparison, value: Value) -> str:
        """Return that one value compares to the literal, `ne` and `eq null` taken as what they negate."""
        leaf, literal = comparison.place.leaf, comparison.literal
        if literal is None:
            return "true" if value.sure else f"{value.sql} is not null"
        if value.equals is not None and comparison.operator in EQUALITY:
            return value.equals(str(literal))
        if isinstance(literal, bool):
            compared = f"coalesce({value.sql}, 'false')" if leaf.assumed_false else value.sql
            return f"{compared} = '{'true' if literal else 'false'}'"
        if isinstance(literal, str):
            compared, bound = f'{value.sql} collate "C"', self.parameters.bind(literal, "text")
            if comparison.operator in _SUBSTRINGS:
                return _SUBSTRINGS[comparison.operator].format(value=compared, literal=bound)
            return f"{compared} {_SYMBOLS[comparison.operator]} {bound}"
        # By way of float8, Postgres would keep 15 digits; the document holds the shortest exact text.
        number = Decimal(repr(literal))
        return f"{value.sql} {_SYMBOLS[comparison.operator]} {self.parameters.bind(number, 'numeric')}"

    # Indexes.

    def _beside(self, expression: Expression, holds: str) -> str:
        implied = self._implied(expression)
        return holds if implied is None or implied == holds else f"({implied} and {holds})"

    def _implied(self, expression: Expression) -> str | None:
        """Return what the expression implies for an index; None when that is nothing."""
        match expression:
            case Comparison(place, "eq", literal) if literal is not None and self._has_terms(place):
                term = search_term(self.tenant_id, place.path, literal)
                return f"r.search_terms @> {self.parameters.bind([term], 'bigint[]')}"
            case Comparison(_, "eq"):
                return self._below(expression)
            case Comparison(place, "sw", str() as literal) if self._has_sorted_name(place):
                begin = self.parameters.bind(literal[:SORTED_CHARACTERS], "text")
                return f"starts_with(r.user_name_sorted, {begin})"  # A range of its index.
            case Comparison(place, "co" | "ew" as operator, str() as literal) if self._has_sorted_name(place):
                # Of an index where one was asked for: ledger/trigrams.py.
                part = self.parameters.bind(f"%{_LIKE.sub(_ESCAPED, literal)}{'%' if operator == 'co' else ''}", "text")
                return f"(r.user_name_sorted like {part} or length(r.user_name_sorted) = {SORTED_CHARACTERS})"
            case Within(_, inner):
                return self._implied(inner)
            case And(terms):
                implied = [found for term in terms if (found := self._implied(term)) is not None]
                return joined("and", implied) if implied else None
            case Or(terms):
                either = [self._implied(term) for term in terms]
                return None if None in either else joined("or", [found for found in either if found])
        return None

    def _below(self, comparison: Comparison) -> str | None:
        literal = comparison.literal
        if comparison.operator not in EQUALITY or not isinstance(literal, str):
            return None
        return self.places.below(comparison.place, literal)

    def _has_terms(self, place: Place) -> bool:
        return not self.parameters.tables.then and self.places.in_document(place) and place.leaf.type != "boolean"

    def _has_sorted_name(self, place: Place) -> bool:
        return self.resource_type.name == USER.name and place.path == "userName"

    def _reach(self, expression: Expression) -> _Reach:
        match expression:
            case Comparison(place, "eq", literal) if literal is not None:
                if place.path in _THROUGH_EDGES.get(self.resource_type.name, ()):
                    return _Reach.BY_MEMBERSHIP
                keyed = place.path in _keyed(self.resource_type) or self._has_terms(place)
                return _Reach.BY_ROW if keyed else _Reach.BY_READING_ALL
            case Within(_, inner):
                return self._reach(inner)
            case And(terms):
                return max(map(self._reach, terms))
            case Or(terms):
                return min(map(self._reach, terms))
        return _Reach.BY_READING_ALL


def _present(place: Place, values: Values) -> str:
    """Return that one element is present: assigned and not empty; a complex one in any of its parts (FI-15)."""
    leaf = place.leaf
    if leaf.type == "complex":
        return joined("or", [_filled(values(sub), sub) for sub in leaf.sub_attributes])
    return _filled(values(place.sub), leaf)


def _filled(value: Value, leaf: Attribute) -> str:
    if value.sure:
        return "true"
    return f"{value.sql} <> ''" if leaf.type in TEXTUAL else f"{value.sql} is not null"


def _merged(terms: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Bring the terms of an `or` within an `or` up into it."""
    flat: list[Expression] = []
    for term in terms:
        flat.extend(_merged(term.terms) if isinstance(term, Or) else (term,))
    return tuple(flat)
