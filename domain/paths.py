"""The path grammar of RFC 7644 §3.5.2: `attr`, `attr.sub`, `attr[filter]`, `attr[filter].sub`.

Each may be qualified by its schema's URI. An extension's URI alone is a path too (PP-08) and means the whole
extension.
"""

import re

from msgspec import Struct

from domain.attributes import Place, ResourceType, Schema
from domain.errors import InvalidPath, UnknownAttribute, UnknownSubAttribute
from domain.expressions import Expression, print_expression
from domain.filters import parse_value_filter

PATH_CHARACTERS_MAX = 8_192

_ATTRIBUTE_PATH = re.compile(r"(?:urn:[^\s\[\]\"()]+[:.])?[A-Za-z$][\w$-]*(?:\.[A-Za-z$][\w$-]*)?", re.ASCII | re.I)
_SUB_ATTRIBUTE = re.compile(r"\.([A-Za-z$][\w$-]*)", re.ASCII)
_BRACKETS = re.compile(r" *\[ *[A-Za-z$(].*\](?:\.[A-Za-z$][\w$-]*)?", re.ASCII | re.DOTALL)
_INDEX = re.compile(r"\s*-?[0-9]*\s*\]")


class Path(Struct, frozen=True):
    """What a PATCH operation is about.

    place: the attribute and, when named, its sub-attribute; None when the path is an extension's URI.
    expression: which elements, or None for all. extension: the addressed container when place is None.
    written: how the client named it, without what stands in brackets, in lower case.
    """

    place: Place | None
    expression: Expression | None = None
    extension: Schema | None = None
    written: str = ""

    @property
    def name(self) -> str:
        """The canonical path, literals left out: fit for a cause, which holds no values."""
        if self.place is None:
            return self.extension.id if self.extension else ""
        if self.expression is None:
            return self.place.path
        head = Place(self.place.extension, self.place.attribute).path
        inside = print_expression(self.expression, bare=True, redacted=True)
        return f"{head}[{inside}]" + (f".{self.place.sub.name}" if self.place.sub else "")


def parse_path(text: str, resource_type: ResourceType) -> Path:
    """Read a path.

    Raises UnknownAttribute for a well-formed path to an attribute or URI no schema defines, UnknownSubAttribute when
    what stands behind its brackets is unknown, InvalidPath for everything else that is wrong with the path,
    InvalidFilter for what is wrong inside its brackets.
    """
    written = text.lower()
    place = resource_type.places.get(written)
    if place is not None:
        return Path(place, written=written)
    container = resource_type.containers.get(written)
    if container is not None:
        return Path(None, extension=container, written=written)
    if len(text) > PATH_CHARACTERS_MAX:
        raise InvalidPath(f"the path is longer than {PATH_CHARACTERS_MAX} characters")
    head, bracket, _ = text.partition("[")
    if not bracket:
        raise _no_such_path(text, resource_type)
    head = head.rstrip(" ")
    place = resource_type.places.get(head.lower())
    if place is None:
        if not _BRACKETS.fullmatch(text, len(head)):
            raise InvalidPath("the path is malformed")
        raise _no_such_path(head, resource_type)
    return _filtered(text, head, place)


def _filtered(text: str, head: str, place: Place) -> Path:
    if place.leaf.type != "complex":
        raise InvalidPath(f"{place.path} has no sub-attributes to filter by")
    start = text.index("[") + 1
    if _INDEX.match(text, start):
        raise InvalidPath("a path has no array index; use a filter on the element's value")
    if "]" not in text:
        raise InvalidPath("the path needs a closing bracket")
    expression, end = parse_value_filter(text, start, place)
    if end == len(text):
        return Path(place, expression, written=head.lower())
    name = _SUB_ATTRIBUTE.fullmatch(text, end)
    refusal = f"behind the brackets stands no sub-attribute of {place.attribute.name}"
    if name is None:
        raise InvalidPath(refusal)
    sub = place.attribute.subs.get(name.group(1).lower())
    if sub is None:
        raise UnknownSubAttribute(refusal, f"{place.path}.{name.group(1)}")
    return Path(Place(place.extension, place.attribute, sub), expression, written=head.lower())


def _no_such_path(text: str, resource_type: ResourceType) -> InvalidPath:
    """Tell a well-formed path to an unknown attribute from one that is malformed or has an unknown part."""
    if not _ATTRIBUTE_PATH.fullmatch(text):
        return InvalidPath("the path is malformed")
    parent, dot, _ = text.rpartition(".")
    known = resource_type.places.get(parent.lower()) if dot else None
    if known is not None:
        return InvalidPath(f"{known.path} has no such sub-attribute")
    return UnknownAttribute(f"no attribute is called {text[:100]}")
