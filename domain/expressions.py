"""What a filter means, as data: the tree that is matched in memory and translated to SQL.

A parsed filter has one expression for each resource type it is asked of (`Filter.of`), because the same name
may be another attribute there, or none. Expressions are made of:

* `Comparison`: some value at `place` compares to the literal. Unqualified by brackets, "some value" means
  any value of a multi-valued attribute, on its own (RFC 7644 §3.4.2.2). The literal is already in the form
  in which values of `place.leaf` are compared (`Attribute.prepare`): compare it with prepared values, never
  with raw ones. `ne` is the exact negation of `eq` (DEC-01), so it holds where there is no value at all.
  A literal None stands for null and comes with eq and ne only: eq means unassigned, ne assigned; then, and
  only then, `place.leaf` may be complex. On an attribute with `assumed_false` (`primary`), an element that
  lacks it compares as false, except with null.
* `Present`: an assigned, non-empty value; "" is not, false and 0 are. A complex value is present when one of
  its sub-attributes is. `place.leaf` may be complex.
* `Within`: one element of the complex attribute at `place` satisfies the whole inner expression. Places in
  there still carry the full `Place`; read only their `sub`, from that one element. Never nested. On a
  singular complex attribute the one value is the element; without value it does not hold.
* `And`, `Or` (two terms or more), `Not`.
* `Constant`: what a term is worth for a resource type that does not define its attribute (FI-32).
"""

import json
from typing import Any

from msgspec import Struct

from domain.attributes import Place, ResourceType

EQUALITY = ("eq", "ne")
SUBSTRINGS = ("co", "sw", "ew")
ORDERINGS = ("gt", "ge", "lt", "le")
OPERATORS = frozenset((*EQUALITY, *SUBSTRINGS, *ORDERINGS))

Literal = str | int | float | bool | None


class Comparison(Struct, frozen=True):
    """`place operator literal`.

    operator: lower case, one of OPERATORS. literal: prepared. written: as the client wrote it, with a string
    for a boolean already read as one; it seeds an element that PATCH creates (RX-06), and prints.
    """

    place: Place
    operator: str
    literal: Literal
    written: Literal


class Present(Struct, frozen=True):
    """`place pr`."""

    place: Place


class Within(Struct, frozen=True):
    """`place[expression]`."""

    place: Place
    expression: "Expression"


class And(Struct, frozen=True):
    """All terms hold."""

    terms: "tuple[Expression, ...]"


class Or(Struct, frozen=True):
    """At least one term holds."""

    terms: "tuple[Expression, ...]"


class Not(Struct, frozen=True):
    """The term does not hold."""

    term: "Expression"


class Constant(Struct, frozen=True):
    """Holds, or does not, whatever the resource."""

    holds: bool


Expression = Comparison | Present | Within | And | Or | Not | Constant


class Filter(Struct, frozen=True):
    """A filter as understood for each resource type it is asked of."""

    expressions: tuple[tuple[ResourceType, Expression], ...]

    def of(self, resource_type: ResourceType) -> Expression:
        """What the filter asks of resources of this type."""
        for asked, expression in self.expressions:
            if asked is resource_type:
                return expression
        raise KeyError(resource_type.name)


def print_expression(expression: Expression, *, bare: bool = False, redacted: bool = False) -> str:
    """The expression as filter text; parsing it again gives the same expression.

    bare: names without their parent, as inside brackets. redacted: literals as "…" unless they tell which
    value is meant and nothing about a person (`type`, booleans). For places that must not hold values.
    """
    match expression:
        case Comparison(place, operator, _, written):
            return f"{_name(place, bare)} {operator} {_print_literal(place, written, redacted)}"
        case Present(place):
            return f"{_name(place, bare)} pr"
        case Within(place, inner):
            return f"{_name(place, bare)}[{print_expression(inner, bare=True, redacted=redacted)}]"
        case And(terms):
            return " and ".join(_print_term(term, (And, Or), bare=bare, redacted=redacted) for term in terms)
        case Or(terms):
            return " or ".join(_print_term(term, (Or,), bare=bare, redacted=redacted) for term in terms)
        case Not(term):
            return f"not ({print_expression(term, bare=bare, redacted=redacted)})"
        case Constant(holds):
            return "true" if holds else "false"


def _print_term(term: Expression, wrapped: tuple[type[Any], ...], *, bare: bool, redacted: bool) -> str:
    text = print_expression(term, bare=bare, redacted=redacted)
    return f"({text})" if isinstance(term, wrapped) else text


def _name(place: Place, bare: bool) -> str:
    return place.leaf.name if bare else place.path


def _print_literal(place: Place, written: Literal, redacted: bool) -> str:
    if redacted and isinstance(written, str) and place.leaf.name != "type":
        return '"…"'
    return json.dumps(written, ensure_ascii=False)
