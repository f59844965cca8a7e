"""A JSON value read against its attribute: names folded, readOnly dropped, types checked, quirks repaired.

What comes back holds canonical names and no unassigned values; strings are kept as sent (RS-22).
"""

import re
from typing import Any

from domain import profiles
from domain.attributes import Attribute, JsonObject
from domain.comparison import microseconds
from domain.errors import InvalidSyntax, InvalidValue
from domain.ids import is_id
from domain.profiles import Profile

ELEMENTS_MAX = 1_000  # Of one multi-valued attribute; members are kept elsewhere and have no limit.
NAMES_MAX = 50  # How many ignored names one request may leave in its cause.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}", re.ASCII)
MANAGER_ID = "managerid"  # What SCIM 1.1 called the manager's value (RX-15).
_BOOLEANS = {"true": True, "false": False}
_LITERAL = re.compile(r"\[.*", re.DOTALL)


class Reader:
    """Reads the values of one request and notes, by name, what it repaired and what it ignored.

    received: attributes that are never returned and were given a value, which goes no further.
    """

    __slots__ = ("ignored", "profile", "quirks", "received")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.quirks: dict[str, None] = {}
        self.ignored: dict[str, None] = {}
        self.received: dict[Attribute, None] = {}

    def quirk(self, name: str) -> None:
        """Note a quirk, once."""
        self.quirks[name] = None

    def unknown(self, name: str) -> None:
        """Ignore an attribute no schema defines, or refuse it (DEC-09). Literals in a name are left out."""
        shown = _LITERAL.sub("[…]", name)[:100]
        if not self.profile.ignores_unknown:
            raise InvalidSyntax(f"no attribute is called {shown}")
        if len(self.ignored) < NAMES_MAX:
            self.ignored[shown] = None

    def opened(self, body: JsonObject, core: str) -> JsonObject:
        """The body with what stands below the core schema's own URI at the top (RX-03). core: that URI.

        What stands at the top already counts, and the other is noted as ignored.
        """
        urn = core.lower()
        key = next((name for name in body if name.lower() == urn), None) if self.profile.opens_core else None
        if key is None or type(body[key]) is not dict:
            return body
        self.quirk(profiles.CORE_CONTAINER)
        top = {name.lower() for name in body}
        opened: JsonObject = {}
        for name, value in body.items():
            if name != key:
                opened[name] = value
                continue
            for inner, part in value.items():
                if inner.lower() in top:
                    self.unknown(f"{core}:{inner}")
                else:
                    opened[inner] = part
        return opened

    def value(self, attribute: Attribute, value: Any) -> Any:
        """The whole value of an attribute; None when that unassigns it."""
        if attribute.multi_valued:
            return self.elements(attribute, value) or None
        if attribute.type == "complex":
            return self.singular(attribute, value) or None
        return None if value is None else self.simple(attribute, value)

    def unkept(self, attribute: Attribute, value: Any) -> None:
        """Check a value of an attribute that is never returned, and note that there was one."""
        if value is not None and self.value(attribute, value) is not None:
            self.received[attribute] = None

    def simple(self, attribute: Attribute, value: Any) -> Any:
        """One value of a simple attribute, never None."""
        kind = attribute.type
        if kind == "boolean":
            return self.boolean(attribute, value)
        if kind == "string" or kind == "reference":
            if type(value) is not str:
                raise _wrong(attribute)
            if attribute.as_user_name and _CONTROL.search(value):
                raise InvalidValue(f"{attribute.name} holds a control character")
            return value
        return _other(attribute, value)

    def boolean(self, attribute: Attribute, value: Any) -> bool:
        """A boolean, also as the string "True" or "False" in any case, and as nothing else (RX-02)."""
        if value is True or value is False:
            return value
        if type(value) is str and value.lower() in _BOOLEANS:
            self.quirk(profiles.BOOLEAN_STRINGS)
            return _BOOLEANS[value.lower()]
        raise _wrong(attribute)

    def singular(self, attribute: Attribute, value: Any, *, partial: bool = False) -> JsonObject | None:
        """A singular complex value; None when it unassigns the attribute.

        Where the attribute has a sub-attribute `value`, as manager has, that alone may stand for the whole,
        and an empty one unassigns (RX-07). partial: keep nulls, which unassign sub-attributes in a PATCH.
        """
        if type(value) is not dict:
            if value is None or value == []:
                return None
            if attribute.value is not None and type(value) is str:
                self.quirk(profiles.BARE_REFERENCE)
                value = {"value": value}
            elif type(value) is list and len(value) == 1 and type(value[0]) is dict:
                self.quirk(profiles.ARRAY_FOR_OBJECT)
                value = value[0]
            else:
                raise _wrong(attribute)
        read = self.object(attribute, value, partial=partial)
        return None if attribute.value is not None and read.get("value") == "" else read

    def object(self, attribute: Attribute, value: JsonObject, *, partial: bool = False) -> JsonObject:
        """The sub-attributes of one complex value. partial: as for `singular`."""
        subs = attribute.subs
        read: JsonObject = {}
        for name, part in value.items():
            sub = subs.get(name.lower()) or self._by_old_name(attribute, name, value)
            if sub is None:
                self.unknown(f"{attribute.name}.{name}")
            elif sub.mutability == "readOnly":
                continue  # As in POST and PUT, also inside a PATCH value (DEC-06).
            elif sub.returned == "never":
                self.unkept(sub, part)
            elif part is None:
                if partial:
                    read[sub.name] = None
            else:
                read[sub.name] = self.simple(sub, part)
        if attribute.refers_to and "$ref" in read:
            if "value" not in read and (referred := self._by_reference(attribute, str(read["$ref"]))):
                read["value"] = referred
            if is_id(str(read.get("value"))):
                del read["$ref"]  # Of one of ours: answers say it (VT-03).
        return read

    def _by_reference(self, attribute: Attribute, uri: str) -> str:
        """The id at the end of a `$ref` that can be one of ours; "" for any other (as GR-10 has it of members)."""
        endpoint, last = end_of(uri)
        if endpoint != f"{attribute.refers_to}s".lower() or not is_id(last):
            return ""
        self.quirk(profiles.MEMBER_BY_REF)
        return last

    def _by_old_name(self, attribute: Attribute, name: str, value: JsonObject) -> Attribute | None:
        """The sub-attribute that SCIM 1.1 called so, where the tenant wants it read (RX-15)."""
        is_reference = attribute.refers_to and not attribute.multi_valued
        if not self.profile.reads_manager_id or not is_reference or name.lower() != MANAGER_ID:
            return None
        if any(each.lower() == "value" for each in value):
            return None  # What has its name today counts.
        self.quirk(profiles.MANAGER_ID)
        return attribute.value

    def elements(self, attribute: Attribute, value: Any) -> list[Any]:
        """The elements of a multi-valued attribute, without nulls, empty objects and duplicates."""
        if type(value) is not list:
            if value is None:
                return []
            if type(value) is dict:
                self.quirk(profiles.OBJECT_FOR_ARRAY)
            elif attribute.type == "complex":
                raise _wrong(attribute)
            value = [value]
        if len(value) > ELEMENTS_MAX:
            raise InvalidValue(f"{attribute.name} takes at most {ELEMENTS_MAX} values")
        if attribute.type != "complex":
            return list(dict.fromkeys(self.simple(attribute, part) for part in value if part is not None))
        read = []
        for part in value:
            if part is None:
                continue
            if type(part) is not dict:
                raise _wrong(attribute)
            if element := self.object(attribute, part):
                read.append(element)
        if len(read) > 1:
            read = collapsed(attribute, read)
            self.one_primary(attribute, read)
        return read

    def one_primary(self, attribute: Attribute, elements: list[JsonObject]) -> None:
        """At most one element of those a request gave stays primary (RS-19, DEC-08). Changes the elements."""
        marked = [element for element in elements if element.get("primary") is True]
        if len(marked) < 2 or "primary" not in attribute.subs:
            return
        if not self.profile.keeps_first_primary:
            raise InvalidValue(f"{attribute.name} has more than one primary value")
        self.quirk(profiles.FIRST_PRIMARY_WINS)
        for element in marked[1:]:
            del element["primary"]


def end_of(uri: str) -> tuple[str, str]:
    """The endpoint and the id that a `$ref` ends with, in lower case; "" for what it has not."""
    *_, endpoint, last = f"/{uri.lower()}".rsplit("/", 2)
    return endpoint, last


def collapsed(attribute: Attribute, elements: list[JsonObject]) -> list[JsonObject]:
    """The elements, those that are equal merged in the place of the first of them (PD-09, PD-10, RS-20)."""
    found: dict[Any, JsonObject] = {}
    for element in elements:
        key = element_key(attribute, element)
        first = found.setdefault(key, element)
        if first is not element:
            found[key] = {**first, **element}
            if first.get("primary") is True:
                found[key]["primary"] = True
    return list(found.values()) if len(found) < len(elements) else elements


def element_key(attribute: Attribute, element: JsonObject) -> Any:
    """What makes two elements the same: value and type; without a value, all sub-attributes (PD-09)."""
    value = element.get("value")
    if value is None or attribute.value is None:
        return frozenset(
            (name, tuple(part) if isinstance(part, list) else part)
            for name, part in element.items()
            if not (name == "primary" and part is False)
        )
    kind = element.get("type")
    return attribute.value.prepare(value), kind if kind is None else attribute.subs["type"].prepare(kind)


def _wrong(attribute: Attribute) -> InvalidValue:
    wanted = {"complex": "object", "reference": "string"}.get(attribute.type, attribute.type)
    if attribute.multi_valued:
        return InvalidValue(f"{attribute.name} takes an array of {wanted}s")
    return InvalidValue(f"{attribute.name} takes {'an' if wanted[0] in 'aeiou' else 'a'} {wanted}")


def _other(attribute: Attribute, value: Any) -> Any:
    """A value of a type that is neither string nor boolean."""
    kind = attribute.type
    if kind == "integer" and type(value) is int:
        return value
    if kind == "decimal" and type(value) in (int, float):
        return value
    if kind == "dateTime" and type(value) is str:
        try:
            microseconds(value)
        except ValueError:
            raise InvalidValue(f"{attribute.name} takes a full date and time") from None
        return value
    if kind == "binary" and type(value) is str:
        if _BASE64.fullmatch(value) and len(value.rstrip("=")) % 4 != 1:
            return value
        raise InvalidValue(f"{attribute.name} takes base64")
    raise _wrong(attribute)
