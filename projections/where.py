"""A SCIM filter as a where clause: the only place in the project that assembles SQL.

A clause is text of ours with parameters; whatever a client wrote, and every attribute name, is a parameter. It
means what `domain.matching` means, resource by resource. Three rules keep it so:

* A condition is true exactly where the expression holds; elsewhere it is false or null, and null never counts:
  `where` drops it, and every negation is written `(…) is not true`.
* "Some value at a place" has one translation for each place (`_Translation.some`): a walk through the search
  document, a column, or a subquery over memberships. Values there are prepared, like the literal.
* What an index can answer stands beside the condition it implies, never instead of it, unless the index is on
  the SHA-256 of the very value (userName, externalId, a group's displayName).

Every subquery names the tenant itself, and an `or` is always in parentheses: no filter reaches another tenant.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import IntEnum
from hashlib import sha256
from typing import Any

from msgspec import Struct

from domain.attributes import Attribute, Place, ResourceType
from domain.comparison import exact
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
from domain.schemas import GROUP, USER
from domain.search import search_term

_TABLES = {"User": "users", "Group": "groups"}
_SYMBOLS = {"eq": "=", "ne": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_SUBSTRINGS = {
    "co": "strpos({value}, {literal}) > 0",
    "sw": "starts_with({value}, {literal})",
    "ew": "right({value}, length({literal})) = {literal}",
}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TEXTUAL = frozenset({"string", "reference", "binary"})
_KEYED = {
    "User": frozenset({"id", "externalId", "meta.location", "userName"}),
    "Group": frozenset({"id", "externalId", "meta.location", "displayName"}),
}
_THROUGH_EDGES = {
    "User": frozenset({"groups.value", "groups.$ref", "groups.display"}),
    "Group": frozenset({"members.value", "members.$ref"}),
}

_OPEN = "m.tenant_id = %(tenant)s and m.to_position is null"


class Where(Struct, frozen=True):
    """A condition on `r`, a row of `users` or `groups`: true where the filter holds, else false or null.

    parameters: by name; `tenant` is the tenant's id, the others begin with `w` and a digit.
    """

    clause: str
    parameters: dict[str, Any]


def where(filter: Filter | None, resource_type: ResourceType, tenant_id: int, *, location_base: str) -> Where:
    """Return the condition that a filter puts on the resources of one type; without filter, all of them.

    location_base: what `meta.location` and `$ref` begin with, up to and without the endpoint's slash.
    The caller writes `… from users r where r.tenant_id = %(tenant)s and (<clause>)`.
    """
    translation = _Translation(resource_type, tenant_id, location_base)
    clause = "true" if filter is None else translation.clause(filter.of(resource_type))
    return Where(clause, translation.parameters)


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
                return ("id", literal) if _ID.fullmatch(literal) else None
            if attribute.name in _KEYED[resource_type.name]:
                return attribute.name, _key(literal)
    return None


def _key(prepared: str) -> bytes:
    return sha256(prepared.encode()).digest()


class _Value(Struct, frozen=True):
    """One value of one element, prepared, as SQL.

    sql: text, or numeric for numbers and dates; null where unassigned.
    equals: makes the condition that an index answers, from the literal; without it `sql` is compared.
    sure: never unassigned, never empty.
    """

    sql: str
    equals: Callable[[str], str] | None = None
    sure: bool = False


_Values = Callable[[Attribute | None], _Value]  # An element's sub-attribute, or with None the element itself.
_Condition = Callable[[_Values], str]  # What one element has to satisfy.
_Some = Callable[[Place, _Condition], str]  # That some element at a place does.


class _Reach(IntEnum):
    """How the rows that an expression holds for can be found: the greatest of an `and`, the least of an `or`."""

    BY_READING_ALL = 0
    BY_MEMBERSHIP = 1
    BY_ROW = 2  # An index of the table itself.


class _Translation:
    """One filter on its way to SQL, with the parameters collected so far."""

    def __init__(self, resource_type: ResourceType, tenant_id: int, location_base: str) -> None:
        self.resource_type = resource_type
        self.tenant_id = tenant_id
        self.base = exact(location_base)
        self.parameters: dict[str, Any] = {"tenant": tenant_id}
        self._bound: dict[tuple[str, Any], str] = {}
        self._sources: dict[str, Callable[[_Condition], str]] = {
            "id": self._id,
            "externalId": self._keyed("externalId", "r.external_id_key"),
            "meta": self._meta,
            "schemas": self._schemas,
        }
        if resource_type is USER:
            self._sources["userName"] = self._keyed("userName", "r.user_name_key")
            self._sources["active"] = lambda condition: condition(lambda _: _Value("r.active::text"))
            self._sources["groups"] = self._groups
        else:
            self._sources["displayName"] = self._keyed("displayName", "r.name_key")
            self._sources["members"] = self._members

    def clause(self, expression: Expression) -> str:
        """Return the condition for a whole filter."""
        return self._condition(expression, self.some, found=True)

    # Expressions.

    def _condition(self, expression: Expression, some: _Some, *, found: bool) -> str:
        """Return the condition for an expression.

        some: `self.some`, or within brackets the one element. found: whether rows may be looked for by an
        index here: outside of brackets and not below a negation.
        """
        match expression:
            case Comparison(place, operator, literal):
                negated = (operator == "ne") is not (literal is None)
                holds = some(place, lambda values: self._compares(expression, values(place.sub)))
                if negated:
                    return f"({holds}) is not true"
                return self._beside_terms(expression, holds) if found else holds
            case Present(place):
                return some(place, lambda values: _present(place, values))
            case Within(place, inner):
                holds = some(place, lambda values: self._inside(inner, values))
                return self._beside_terms(expression, holds) if found else holds
            case And(terms):
                return _joined("and", [self._condition(term, some, found=found) for term in terms])
            case Or(terms):
                return self._disjunction(terms, some, found=found)
            case Not(term):
                return f"({self._condition(term, some, found=False)}) is not true"
            case Constant(result):
                return "true" if result else "false"

    def _inside(self, expression: Expression, values: _Values) -> str:
        return self._condition(expression, lambda _, condition: condition(values), found=False)

    def _disjunction(self, terms: tuple[Expression, ...], some: _Some, *, found: bool) -> str:
        """Return the condition for an `or`.

        Postgres answers an `or` from indexes of one table only. Where memberships lead to some of the rows,
        each way is a query of its own, and their union names the rows.
        """
        if some != self.some:
            return _joined("or", [self._condition(term, some, found=found) for term in terms])
        terms = _merged(terms)
        conditions = [(self._reach(term), self._condition(term, some, found=found)) for term in terms]
        if not found or len(terms) == 1 or min(conditions)[0] is not _Reach.BY_MEMBERSHIP:
            return _joined("or", [condition for _, condition in conditions])
        rows = [condition for reach, condition in conditions if reach is _Reach.BY_ROW]
        ways = [condition for reach, condition in conditions if reach is _Reach.BY_MEMBERSHIP]
        if rows:
            ways.append(_joined("or", rows))
        table = _TABLES[self.resource_type.name]
        selects = [f"select r.id from {table} r where r.tenant_id = %(tenant)s and ({way})" for way in ways]
        return f"r.id in ({' union all '.join(selects)})"

    def _compares(self, comparison: Comparison, value: _Value) -> str:
        """Return that one value compares to the literal, `ne` and `eq null` taken as what they negate."""
        leaf, literal = comparison.place.leaf, comparison.literal
        if literal is None:
            return "true" if value.sure else f"{value.sql} is not null"
        if value.equals is not None and comparison.operator in ("eq", "ne"):
            return value.equals(str(literal))
        if isinstance(literal, bool):
            compared = f"coalesce({value.sql}, 'false')" if leaf.assumed_false else value.sql
            return f"{compared} = '{'true' if literal else 'false'}'"
        if isinstance(literal, str):
            compared, bound = f'{value.sql} collate "C"', self._bind(literal, "text")
            if comparison.operator in _SUBSTRINGS:
                return _SUBSTRINGS[comparison.operator].format(value=compared, literal=bound)
            return f"{compared} {_SYMBOLS[comparison.operator]} {bound}"
        # By way of float8, Postgres would keep 15 digits; the document holds the shortest exact text.
        number = Decimal(repr(literal))
        return f"{value.sql} {_SYMBOLS[comparison.operator]} {self._bind(number, 'numeric')}"

    # Indexes.

    def _beside_terms(self, expression: Expression, holds: str) -> str:
        terms = self._terms(expression)
        return holds if terms is None else f"({terms} and {holds})"

    def _terms(self, expression: Expression) -> str | None:
        """Return what the expression implies for `search_terms`; None when that says nothing."""
        match expression:
            case Comparison(place, "eq", literal) if literal is not None and self._has_terms(place):
                term = search_term(self.tenant_id, place.path, literal)
                return f"r.search_terms @> {self._bind([term], 'bigint[]')}"
            case Within(_, inner):
                return self._terms(inner)
            case And(terms):
                implied = [found for term in terms if (found := self._terms(term)) is not None]
                return _joined("and", implied) if implied else None
            case Or(terms):
                either = [self._terms(term) for term in terms]
                return None if None in either else _joined("or", [found for found in either if found])
        return None

    def _has_terms(self, place: Place) -> bool:
        special = place.extension is None and place.attribute.name in self._sources
        return not special and place.leaf.type != "boolean"

    def _reach(self, expression: Expression) -> _Reach:
        match expression:
            case Comparison(place, "eq", literal) if literal is not None:
                if place.path in _THROUGH_EDGES[self.resource_type.name]:
                    return _Reach.BY_MEMBERSHIP
                keyed = place.path in _KEYED[self.resource_type.name] or self._has_terms(place)
                return _Reach.BY_ROW if keyed else _Reach.BY_READING_ALL
            case Within(_, inner):
                return self._reach(inner)
            case And(terms):
                return max(map(self._reach, terms))
            case Or(terms):
                return min(map(self._reach, terms))
        return _Reach.BY_READING_ALL

    # Places.

    def some(self, place: Place, condition: _Condition) -> str:
        """Return that some value at the place satisfies the condition."""
        attribute = place.attribute
        if place.extension is None and (source := self._sources.get(attribute.name)):
            return source(condition)
        container = "r.search"
        if place.extension is not None:
            container = f"(r.search -> {self._bind(place.extension, 'text')})"
        stored = f"({container} -> {self._bind(attribute.name, 'text')})"
        if attribute.multi_valued:
            holds = condition(self._stored("e.value", attribute))
            return f"exists (select from jsonb_array_elements{stored} e where {holds})"
        if attribute.type == "complex":
            return f"(jsonb_typeof{stored} = 'object' and {condition(self._stored(stored, attribute))})"
        return condition(lambda _: self._stored(container, attribute)(attribute))

    def _stored(self, json: str, attribute: Attribute) -> _Values:
        """Return the values of an element of the search document."""

        def value(sub: Attribute | None) -> _Value:
            leaf = sub or attribute
            part = f"({json} -> {self._bind(leaf.name, 'text')})" if sub else json
            if leaf.type in ("integer", "decimal", "dateTime"):
                return _Value(f"case jsonb_typeof({part}) when 'number' then {part}::numeric end")
            return _Value(f"({json} ->> {self._bind(leaf.name, 'text')})" if sub else f"({json} #>> '{{}}')")

        return value

    def _keyed(self, name: str, column: str) -> Callable[[_Condition], str]:
        """Return the source of a string with a column that holds the SHA-256 of its prepared value."""
        attribute = self.resource_type.core[name.lower()]

        def equals(literal: str) -> str:
            return f"{column} = {self._bind(_key(literal), 'bytea')}"

        def source(condition: _Condition) -> str:
            stored = self._stored("r.search", attribute)(attribute)
            return condition(lambda _: _Value(stored.sql, equals))

        return source

    def _identified(self, column: str) -> _Value:
        """Return the text of a uuid column."""

        def equals(literal: str) -> str:
            return f"{column} = {self._bind(literal, 'uuid')}" if _ID.fullmatch(literal) else "false"

        return _Value(f"{column}::text", equals, sure=True)

    def _located(self, endpoint: str, column: str) -> _Value:
        """Return the URI of the resource whose id a column holds."""
        begin = f"{self.base}{endpoint}/"
        identified = self._identified(column).equals
        assert identified is not None

        def equals(literal: str) -> str:
            return identified(literal.removeprefix(begin)) if literal.startswith(begin) else "false"

        return _Value(f"({self._bind(begin, 'text')} || {column}::text)", equals, sure=True)

    def _id(self, condition: _Condition) -> str:
        return condition(lambda _: self._identified("r.id"))

    def _schemas(self, condition: _Condition) -> str:
        """One value for the core schema, and one for each extension that the resource has data for (RS-02)."""
        prepare = self.resource_type.core["schemas"].prepare

        def holds(uri: str) -> str:
            return condition(lambda _: _Value(self._bind(prepare(uri), "text"), sure=True))

        extended = [
            f"(r.search ? {self._bind(schema.id, 'text')} and {holds(schema.id)})"
            for schema, _ in self.resource_type.extensions
        ]
        return _joined("or", [holds(self.resource_type.schema.id), *extended])

    def _meta(self, condition: _Condition) -> str:
        def value(sub: Attribute | None) -> _Value:
            match sub.name if sub else "":
                case "created":
                    return _Value("(extract(epoch from r.created_at) * 1000000)", sure=True)
                case "lastModified":
                    return _Value("(extract(epoch from r.modified_at) * 1000000)", sure=True)
                case "location":
                    return self._located(self.resource_type.endpoint, "r.id")
                case "version":
                    return _Value("""('W/"' || r.version || '"')""", sure=True)
                case _:
                    return _Value(self._bind(self.resource_type.name, "text"), sure=True)

        return condition(value)

    def _members(self, condition: _Condition) -> str:
        def value(sub: Attribute | None) -> _Value:
            match sub.name if sub else "":
                case "type":
                    return _Value("lower(m.member_type)", sure=True)
                case "$ref":
                    return self._member_location()
                case "display":
                    return _Value("null::text")  # Not shown, so never a value (GR-07).
                case _:
                    return self._identified("m.member_id")

        return f"exists (select from memberships m where {_OPEN} and m.group_id = r.id and {condition(value)})"

    def _member_location(self) -> _Value:
        user, group = (self._located(kind.endpoint, "m.member_id") for kind in (USER, GROUP))
        assert user.equals is not None
        assert group.equals is not None
        equals = (user.equals, group.equals)

        def either(literal: str) -> str:
            of_user, of_group = (equal(literal) for equal in equals)
            return f"case m.member_type when 'Group' then {of_group} else {of_user} end"

        located = f"case m.member_type when 'Group' then {group.sql} else {user.sql} end"
        return _Value(f"({located})", either, sure=True)

    def _groups(self, condition: _Condition) -> str:
        """A user's groups, direct and through other groups; circles end because `union` drops repeats."""

        def value(sub: Attribute | None) -> _Value:
            match sub.name if sub else "":
                case "type":
                    return _Value("case when a.direct then 'direct' else 'indirect' end", sure=True)
                case "$ref":
                    return self._located(GROUP.endpoint, "a.grp")
                case "display":
                    return _Value("(g.search ->> 'displayName')", sure=True)
                case _:
                    return self._identified("a.grp")

        above = (
            f"select m.group_id, true from memberships m where {_OPEN} and m.member_id = r.id union "
            f"select m.group_id, false from above join memberships m on {_OPEN} and m.member_id = above.grp"
        )
        return (
            f"exists (with recursive above(grp, direct) as ({above}) "
            "select from (select grp, bool_or(direct) as direct from above group by grp) a "
            f"join groups g on g.tenant_id = %(tenant)s and g.id = a.grp where {condition(value)})"
        )

    # Parameters.

    def _bind(self, value: Any, kind: str) -> str:
        """Return the placeholder of a value, of a Postgres type; one parameter however often it is used."""
        key = (kind, tuple(value) if isinstance(value, list) else value)
        name = self._bound.get(key)
        if name is None:
            name = self._bound[key] = f"w{len(self._bound)}"
            self.parameters[name] = value
        return f"%({name})s::{kind}"


def _present(place: Place, values: _Values) -> str:
    """Return that one element is present: assigned and not empty; a complex one in any of its parts (FI-15)."""
    leaf = place.leaf
    if leaf.type == "complex":
        return _joined("or", [_filled(values(sub), sub) for sub in leaf.sub_attributes])
    return _filled(values(place.sub), leaf)


def _filled(value: _Value, leaf: Attribute) -> str:
    if value.sure:
        return "true"
    return f"{value.sql} <> ''" if leaf.type in _TEXTUAL else f"{value.sql} is not null"


def _joined(operator: str, conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else "(" + f" {operator} ".join(conditions) + ")"


def _merged(terms: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Bring the terms of an `or` within an `or` up into it."""
    flat: list[Expression] = []
    for term in terms:
        flat.extend(_merged(term.terms) if isinstance(term, Or) else (term,))
    return tuple(flat)
