"""The filter grammar of RFC 7644 §3.4.2.2 with its errata, parsed and typed.

Precedence is brackets, `not`, `and`, `or`. Two relaxations are read here: `attr[filter].sub op value` (RX-08,
Entra's matching query) and booleans as strings (RX-02). A parse ends in expressions whose places exist and
whose literals fit; everything else is InvalidFilter.
"""

import json
import re
from collections.abc import Callable

from domain.attributes import Attribute, Place, ResourceType
from domain.errors import InvalidFilter
from domain.expressions import (
    EQUALITY,
    OPERATORS,
    ORDERINGS,
    And,
    Comparison,
    Constant,
    Expression,
    Filter,
    Literal,
    Not,
    Or,
    Present,
    Within,
)
from domain.matching import holds, matches

__all__ = ["FILTER_CHARACTERS_MAX", "Filter", "holds", "matches", "parse_filter", "parse_value_filter"]

FILTER_CHARACTERS_MAX = 65_536
TERMS_MAX = 2_000
DEPTH_MAX = 50  # Parentheses and `not`; far below Python's own recursion limit.

_WORD = re.compile(r'[A-Za-z$][^ ()\[\]"]*')
_SPACES = re.compile(" *")
_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"|"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MATCHING = re.compile(r'([A-Za-z$][^ ()\[\]"]*) eq "([^"\\\x00-\x1f]*)"')
_CONSTANTS: dict[str, Literal] = {"true": True, "false": False, "null": None}
_BOOLEANS = {"true": True, "false": False}
_INTEGER_MAX = 2**63 - 1

Resolve = Callable[[str], Place | None]


def parse_filter(text: str, resource_types: tuple[ResourceType, ...]) -> Filter:
    """Read a filter that is asked of resources of these types.

    An attribute that only some of the types define has no value in the others, and so has one that they define in
    another way than the filter needs it; an error is what fits none of them (FI-31, FI-32). Raises InvalidFilter, and
    nothing else, for whatever text.
    """
    if len(text) > FILTER_CHARACTERS_MAX:
        raise InvalidFilter(f"the filter is longer than {FILTER_CHARACTERS_MAX} characters")
    if len(resource_types) == 1 and (matching := _matching(text, resource_types[0])) is not None:
        return Filter(((resource_types[0], matching),))
    alone = len(resource_types) == 1
    parsers = [_Parser(text, resource_type.places.get, alone=alone) for resource_type in resource_types]
    expressions = tuple(
        (resource_type, parser.whole()) for resource_type, parser in zip(resource_types, parsers, strict=True)
    )
    fitting = set[int]().union(*(parser.fitting for parser in parsers))
    for parser in parsers:
        for at, misfit in parser.misfits.items():
            if at not in fitting:
                raise misfit
    unknown = set.intersection(*(parser.unknown for parser in parsers))
    if unknown:
        raise InvalidFilter(f"no attribute is called {min(unknown)[:80]!r}")
    return Filter(expressions)


def _matching(text: str, resource_type: ResourceType) -> Expression | None:
    """Read `attribute eq "text"` at a glance: what identity providers match by, thousands of times a cycle."""
    found = _MATCHING.fullmatch(text)
    if found is None:
        return None
    name = found[1].lower()
    place = resource_type.places.get(name)
    if place is None or name == "not":
        return None
    literal = _storable(found[2])
    return _comparison(_readable(place), "eq", literal)


def parse_value_filter(text: str, start: int, place: Place) -> tuple[Expression, int]:
    """Read the inside of `attr[…]` of a PATCH path, from `start`, the first character after the bracket.

    Returns the expression and where the text goes on after the closing bracket. Raises InvalidFilter.
    """
    parser = _Parser(text, _none, alone=True)
    parser.at = start
    expression = parser.within(place)
    return expression, parser.at


def _none(_: str) -> Place | None:
    return None


class _Parser:
    """One pass over the text; `at` is the next character. Recursive descent, bounded by DEPTH_MAX.

    alone: no other type is asked, so that what does not fit this one is refused at once. fitting, misfits: by where
    they stand, terms that can be asked of the type, and why others cannot.
    """

    __slots__ = ("alone", "at", "depth", "fitting", "misfits", "resolve", "terms", "text", "unknown")

    def __init__(self, text: str, resolve: Resolve, *, alone: bool) -> None:
        self.text = text
        self.resolve = resolve
        self.alone = alone
        self.at = 0
        self.depth = 0
        self.terms = 0
        self.unknown: set[str] = set()
        self.fitting: set[int] = set()
        self.misfits: dict[int, InvalidFilter] = {}

    def refuse(self, wanted: str) -> InvalidFilter:
        return InvalidFilter(f"the filter needs {wanted} at character {self.at + 1}")

    def skip(self) -> bool:
        """Pass over spaces; tell whether there were any."""
        before = self.at
        self.at = _SPACES.match(self.text, before).end()  # type: ignore[union-attr]  # Matches always.
        return self.at > before

    def whole(self) -> Expression:
        expression = self.disjunction(None)
        if self.at != len(self.text):
            raise self.refuse("an end, `and` or `or`")
        return expression

    def disjunction(self, parent: Place | None) -> Expression:
        first = self.conjunction(parent)
        if not self.joined("or"):
            return first
        terms = [first, self.conjunction(parent)]
        while self.joined("or"):
            terms.append(self.conjunction(parent))
        return Or(tuple(terms))

    def conjunction(self, parent: Place | None) -> Expression:
        first = self.term(parent)
        if not self.joined("and"):
            return first
        terms = [first, self.term(parent)]
        while self.joined("and"):
            terms.append(self.term(parent))
        return And(tuple(terms))

    def joined(self, word: str) -> bool:
        """Pass over ` and ` or ` or `, blanks included, if it comes next; otherwise only over blanks."""
        text, before = self.text, self.at
        spaced = self.skip() or text.startswith(" ", before - 1)  # The other word may have been tried first.
        end = self.at + len(word)
        if text[self.at : end].lower() != word or (end < len(text) and text[end] not in " "):
            return False
        if not spaced or end >= len(text):
            self.at = before
            raise self.refuse(f"blanks around `{word}` and a term behind it")
        self.at = end
        return True

    def term(self, parent: Place | None) -> Expression:
        self.skip()
        self.terms += 1
        if self.terms > TERMS_MAX:
            raise InvalidFilter(f"the filter has more than {TERMS_MAX} terms")
        if self.text.startswith("(", self.at):
            return self.grouped(parent)
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise self.refuse("an attribute")
        self.at = word.end()
        name = word.group().lower()
        if name == "not":
            self.skip()
            if not self.text.startswith("(", self.at):
                raise self.refuse("`(` behind `not`")
            return Not(self.grouped(parent))
        spaced = self.skip()
        if self.text.startswith("[", self.at):
            return self.value_path(name, parent)
        if not spaced:
            raise self.refuse("an operator")
        return self.asserted(name, parent)

    def grouped(self, parent: Place | None) -> Expression:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise InvalidFilter(f"the filter is nested deeper than {DEPTH_MAX} levels")
        self.at += 1
        expression = self.disjunction(parent)
        if not self.text.startswith(")", self.at):
            raise self.refuse("`)`")
        self.at += 1
        self.depth -= 1
        return expression

    def place(self, name: str, parent: Place | None) -> Place | None:
        """The place a name means; None, and noted, when nothing has that name."""
        if parent is None:
            found = self.resolve(name)
            if found is None:
                self.unknown.add(name)
            return found
        sub = parent.attribute.subs.get(name)
        if sub is None:
            raise InvalidFilter(f"{parent.attribute.name} has no sub-attribute {name[:80]!r}")
        return Place(parent.extension, parent.attribute, sub)

    def value_path(self, name: str, parent: Place | None) -> Expression:
        if parent is not None:
            raise self.refuse("no second bracket")
        at = self.at
        self.at += 1
        place = self.complex_place(name, at)
        if place is None:  # Another resource type may know it: read over it (FI-32).
            self.at = _closing_bracket(self.text, self.at)
            if self.text.startswith(".", self.at):
                known, self.resolve = self.resolve, _none  # Its name is a sub-attribute's, not one of ours.
                self.behind_bracket(None)
                self.resolve = known
            return Constant(False)  # Whatever is asked of an element: there is none.
        inner = self.within(place)
        if not self.text.startswith(".", self.at):
            return Within(place, inner)
        behind = self.behind_bracket(place)
        terms = inner.terms if isinstance(inner, And) else (inner,)
        return Within(place, And((*terms, behind)))

    def complex_place(self, name: str, at: int) -> Place | None:
        """The place before a bracket; None, and noted, when nothing has that name or its values have no parts."""
        place = self.place(name, None)
        if place is None:
            return None
        try:
            _bracketed(place)
        except InvalidFilter as misfit:
            self.misfitting(at, misfit)
            return None
        self.fitting.add(at)
        return place

    def misfitting(self, at: int, misfit: InvalidFilter) -> None:
        """Note that what stands there cannot be asked of this type; refuse it when no other is asked."""
        if self.alone:
            raise misfit
        self.misfits[at] = misfit

    def within(self, place: Place) -> Expression:
        """The inside of brackets behind `place`, and the closing bracket."""
        _bracketed(place)
        expression = self.disjunction(place)
        if not self.text.startswith("]", self.at):
            raise self.refuse("`]`")
        self.at += 1
        return expression

    def behind_bracket(self, place: Place | None) -> Expression:
        """`.sub op value` behind a bracket (RX-08): one more condition on the same element."""
        word = _WORD.match(self.text, self.at + 1)
        if word is None:
            raise self.refuse("a sub-attribute")
        self.at = word.end()
        if not self.skip():
            raise self.refuse("an operator")
        return self.asserted(word.group().lower(), place)

    def asserted(self, name: str, parent: Place | None) -> Expression:
        """`pr`, or operator and literal, behind an attribute name."""
        at = self.at
        word = _WORD.match(self.text, at)
        operator = word.group().lower() if word else ""
        if operator != "pr" and operator not in OPERATORS:
            raise self.refuse("one of the operators " + ", ".join(sorted((*OPERATORS, "pr"))))
        self.at += 2
        literal = None
        if operator != "pr":
            self.skip()
            literal = self.literal()
        try:
            place = self.place(name, parent)
            if place is not None:
                asked = _asked(_readable(place), operator, literal)
                self.fitting.add(at)
                return asked
        except InvalidFilter as misfit:
            self.misfitting(at, misfit)
        return _without_value(operator, literal)

    def literal(self) -> Literal:
        text, at = self.text, self.at
        if found := _STRING.match(text, at):
            self.at = found.end()
            plain = found.group(1)
            return self.unescaped(found.group()) if plain is None else _storable(plain)
        if found := _NUMBER.match(text, at):
            self.at = found.end()
            if self.at < len(text) and text[self.at] not in " )]":
                raise self.refuse("an end of the number")
            return _number(found.group())
        word = _WORD.match(text, at)
        if word is None or word.group() not in _CONSTANTS:
            raise self.refuse("a JSON string, number, true, false or null")
        self.at = word.end()
        return _CONSTANTS[word.group()]

    def unescaped(self, quoted: str) -> str:
        try:
            text: str = json.loads(quoted)
        except ValueError:
            raise InvalidFilter("a string of the filter has an escape that JSON does not have") from None
        return _storable(text)


def _closing_bracket(text: str, at: int) -> int:
    """Where the text goes on behind the next `]` that stands outside a string."""
    while at < len(text):
        if text[at] == "]":
            return at + 1
        string = _STRING.match(text, at) if text[at] == '"' else None
        at = string.end() if string else at + 1
    raise InvalidFilter("the filter needs `]`")


def _storable(text: str) -> str:
    """The string, unless it is none: lone surrogates and NUL stand in no resource (MT-13, MT-14)."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidFilter("a string of the filter holds half a surrogate pair") from None
    if "\0" in text:
        raise InvalidFilter("a string of the filter holds U+0000")
    return text


def _number(text: str) -> int | float:
    if text.lstrip("-").isdecimal():
        if len(text) > 20 or abs(int(text)) > _INTEGER_MAX:
            raise InvalidFilter("a number of the filter is too large")
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InvalidFilter("a number of the filter is too large")
    return value


def _readable(place: Place) -> Place:
    """The place, unless its values are never returned: answering would give them away (FI-34)."""
    if place.leaf.returned == "never" or place.attribute.returned == "never":
        raise InvalidFilter(f"{place.path} cannot be filtered by")
    return place


def _bracketed(place: Place) -> None:
    """Raise InvalidFilter for a place whose values have no parts."""
    if place.leaf.type != "complex":
        raise InvalidFilter(f"{place.path} has no sub-attributes to filter by")


def _asked(place: Place, operator: str, literal: Literal) -> Expression:
    return Present(place) if operator == "pr" else _comparison(place, operator, literal)


def _without_value(operator: str, literal: Literal) -> Constant:
    """What is asked of a place that has no value."""
    return Constant((operator == "eq") == (literal is None) and operator in EQUALITY)


def _comparison(place: Place, operator: str, literal: Literal) -> Comparison:
    """Check operator and literal against the attribute's type, and prepare the literal.

    Source: RFC 7644 §3.4.2.2, table 3.
    """
    leaf = place.leaf
    if leaf.type == "complex":
        if leaf.value is None:
            raise InvalidFilter(f"{place.path} needs a sub-attribute to compare")
        if literal is not None:
            return _comparison(Place(place.extension, place.attribute, leaf.value), operator, literal)
    if literal is None:
        if operator not in EQUALITY:
            raise InvalidFilter(f"null can be compared with eq and ne only, not with {operator}")
        return Comparison(place, operator, None, None)
    if isinstance(literal, str) and leaf.type == "boolean":
        literal = _BOOLEANS.get(literal.lower(), literal)  # Entra: roles[primary eq "True"] (RX-02).
    if not _fits(leaf, literal):
        raise InvalidFilter(f"{place.path} is of type {leaf.type}, the literal is not")
    if operator not in EQUALITY and not _ordered_or_textual(leaf, operator):
        raise InvalidFilter(f"{operator} has no meaning for {place.path}, which is of type {leaf.type}")
    try:
        prepared: Literal = leaf.prepare(literal)
    except ValueError:
        raise InvalidFilter(f"{place.path} needs a full date and time") from None
    return Comparison(place, operator, prepared, literal)


def _fits(leaf: Attribute, literal: Literal) -> bool:
    match leaf.type:
        case "boolean":
            return isinstance(literal, bool)
        case "integer" | "decimal":
            return isinstance(literal, int | float) and not isinstance(literal, bool)
        case _:
            return isinstance(literal, str)


def _ordered_or_textual(leaf: Attribute, operator: str) -> bool:
    match leaf.type:
        case "string" | "reference":
            return True
        case "integer" | "decimal" | "dateTime":
            return operator in ORDERINGS
        case _:
            return False
