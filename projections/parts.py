"""Attributes as they are asked about, in any spelling of a PATCH path, and what entries changed of just that. Pure.

An entry holds the whole value of a top-level attribute, before and after: `name.givenName` and
`emails[type eq "work"].value` are looked for within.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from domain.attributes import Attribute, Place, ResourceType
from domain.errors import InvalidFilter, InvalidPath, InvalidValue
from domain.expressions import Expression, print_expression
from domain.matching import holds_within
from domain.paths import parse_path
from domain.users import USER
from projections.story import Change

_SHOWN_MAX = 100


class Part(Struct, frozen=True):
    """An attribute, or a part of one.

    attribute: as entries name it. name: of the part; the same for a whole attribute. expression: which elements, or
    None for all. sub: the sub-attribute, or None for the whole.
    """

    attribute: str
    name: str
    expression: Expression | None = None
    sub: Attribute | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the attribute."""
        return self.sub is None and self.expression is None

    def of(self, value: Any) -> Any:
        """Return what the attribute's value has of it: one value as such, several as a list; None without any."""
        if self.is_whole or value is None:
            return value
        elements = value if isinstance(value, list) else [value]
        found = [each for each in elements if self.expression is None or holds_within(self.expression, each)]
        if self.sub is not None:
            found = [each[self.sub.name] for each in found if each.get(self.sub.name) is not None]
        return found if len(found) > 1 else found[0] if found else None


def parts_asked(asked: str, kind: ResourceType) -> list[Part]:
    """Return what is meant: one attribute or part; of an extension's URI, or a name that several have, each of them.

    Raises InvalidValue for what can be no attribute of the type.
    """
    asked = asked.strip()
    try:
        path = parse_path(asked, kind)
    except (InvalidPath, InvalidFilter) as error:
        # A name that several extensions have means nothing in a PATCH; here it means all of them.
        places = {place.path: place for place in kind.places.values() if _unqualified(place) == asked.lower()}
        if not places:
            raise InvalidValue(f"{asked[:_SHOWN_MAX]!r} is no attribute of a {kind.name}: {error.detail}") from None
        return [_part(place, None) for place in places.values()]
    if path.place is None:
        extension = path.extension
        return [_part(Place(extension.id, each), None) for each in extension.attributes] if extension else []
    if _is_membership(path.place, kind):
        raise InvalidValue(
            f"{path.place.attribute.name} are memberships: ask about one group, or for the report group-changes"
        )
    return [_part(path.place, path.expression)]


def _is_membership(place: Place, kind: ResourceType) -> bool:
    of_user = kind.name == USER and place.extension is None and place.attribute.name == "groups"
    return place.attribute.edges or of_user


def _unqualified(place: Place) -> str:
    return place.path.rpartition(":")[2].lower()


def _part(place: Place, expression: Expression | None) -> Part:
    attribute = Place(place.extension, place.attribute).path
    inside = "" if expression is None else f"[{print_expression(expression, bare=True)}]"
    sub = "" if place.sub is None else f".{place.sub.name}"
    return Part(attribute, f"{attribute}{inside}{sub}", expression, place.sub)


def narrowed(changes: Iterable[Change], parts: Iterable[Part]) -> Iterator[Change]:
    """Return the changes as what they did to the parts, and creations as what they gave them, in order."""
    parts = list(parts)
    for each in changes:
        if each.resource:
            given = {part.name: part.of(each.resource.get(part.attribute)) for part in parts}
            yield replace(each, resource={name: value for name, value in given.items() if value is not None})
        for part in parts if each.attribute else ():
            if each.attribute == part.attribute and not part.is_whole:
                before, after = part.of(each.before), part.of(each.after)
                if _in_any_order(before) != _in_any_order(after):
                    yield replace(each, attribute=part.name, before=before, after=after)
            elif each.attribute == part.name:  # Also that a part was received which is never stored.
                yield each


def _in_any_order(value: Any) -> list[bytes]:
    return sorted(msgspec.json.encode(each, order="sorted") for each in (value if isinstance(value, list) else [value]))
