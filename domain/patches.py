"""A PATCH message read (RFC 7644 §3.5.2): which operations, on which places, with which values.

Reading needs no resource: paths are parsed, values read against their attributes, members added up. What
remains are steps, which `applying.py` applies to a resource, in their order and without side effects, so
that a request that lost a race can be applied again to the newer state.
"""

from typing import Any

from msgspec import Struct

from domain import profiles
from domain.applying import Patch, Patched, Step, apply_patch
from domain.attributes import Attribute, JsonObject, Place, ResourceType
from domain.bodies import names_message
from domain.errors import (
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    PayloadTooLarge,
    UnknownAttribute,
    UnknownSubAttribute,
)
from domain.members import MemberChange, MemberStep, member_change, named_ids
from domain.paths import Path, parse_path
from domain.profiles import Profile
from domain.reading import Reader
from domain.resources import is_empty, member_ids

__all__ = ["MemberChange", "Patch", "Patched", "Step", "apply_patch", "read_patch"]

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
OPERATIONS_MAX = 2_000
OPERATIONS_SHOWN_MAX = 100

_OPS = frozenset(("add", "remove", "replace"))


class _Absent(Struct, frozen=True):
    """Stands for a `value` that was not given; null is one."""


_ABSENT = _Absent()


def read_patch(body: JsonObject, resource_type: ResourceType, profile: Profile) -> Patch:
    """Read the body of a PATCH.

    body: from `parse_json`. Raises InvalidSyntax for a message that is no PatchOp, PayloadTooLarge for more
    than OPERATIONS_MAX operations, and for an operation that cannot be: InvalidPath, InvalidFilter,
    InvalidValue, Mutability, NoTarget.
    """
    reading = _Reading(resource_type, profile)
    for operation in reading.operations(body):
        reading.operation(operation)
    return Patch(
        resource_type=resource_type,
        profile=profile,
        steps=tuple(reading.steps),
        received=tuple(resource_type.unkept[attribute] for attribute in reading.reader.received),
        members=member_change(reading.members) if reading.members else None,
        operations_text=reading.texts,
        quirks=tuple(reading.reader.quirks),
        ignored=tuple(reading.reader.ignored),
    )


class _Reading:
    """One message being read."""

    __slots__ = ("members", "reader", "resource_type", "steps", "texts")

    def __init__(self, resource_type: ResourceType, profile: Profile) -> None:
        self.resource_type = resource_type
        self.reader = Reader(profile)
        self.steps: list[Step] = []
        self.members: list[MemberStep] = []
        self.texts: list[str] = []

    def operations(self, body: JsonObject) -> list[Any]:
        message = {name.lower(): value for name, value in body.items()}  # RX-22
        schemas = message.get("schemas")
        if schemas is None:
            self.reader.quirk(profiles.MISSING_SCHEMAS)
        elif not names_message(schemas, PATCH_OP):
            raise InvalidSyntax(f"schemas does not name {PATCH_OP}")
        operations = message.get("operations")
        if type(operations) is not list:
            raise InvalidSyntax("Operations takes an array")
        if not operations:
            self.reader.quirk(profiles.EMPTY_OPERATIONS)
        if len(operations) > OPERATIONS_MAX:
            raise PayloadTooLarge(f"a PATCH takes at most {OPERATIONS_MAX} operations")
        return operations

    def operation(self, operation: Any) -> None:
        if type(operation) is not dict:
            raise InvalidSyntax("an operation has to be an object")
        if "op" not in operation or len(operation) > 1 + ("path" in operation) + ("value" in operation):
            operation = {name.lower(): value for name, value in operation.items()}
        given = operation.get("op")
        op = given.lower() if type(given) is str else ""
        if op not in _OPS:
            raise InvalidSyntax("op is add, remove or replace")
        if op != given:
            self.reader.quirk(profiles.OPERATION_CASE)
        text = operation.get("path")
        value = operation.get("value", _ABSENT)
        if text is None:
            self.without_path(op, value)
        elif type(text) is not str:
            raise InvalidPath("path takes a string")
        else:
            self.with_path(op, text, value)

    def with_path(self, op: str, text: str, value: Any) -> None:
        if not text:
            raise NoTarget("remove needs a path") if op == "remove" else InvalidPath("the path is empty")
        try:
            path = parse_path(text, self.resource_type)
        except InvalidPath as error:
            if self.opens_core(op, text, value):
                self.without_path(op, {text: value})
            elif isinstance(error, UnknownAttribute) and self.reader.profile.ignores_unknown:
                self.reader.unknown(text)
            else:
                raise
            return
        self.show(op, path)
        if op != "remove" and value is _ABSENT:
            raise InvalidValue(f"{op} needs a value")
        if op == "add" and value is None:
            raise InvalidValue("add takes no null")
        self.step(op, path, value)

    def opens_core(self, op: str, text: str, value: Any) -> bool:
        """Whether the path is the core schema's own URI, and what stands below it is to be read (RX-03)."""
        named = self.reader.profile.opens_core and text.lower() == self.resource_type.schema.id.lower()
        return named and op != "remove" and type(value) is dict

    def without_path(self, op: str, value: Any) -> None:
        """Every key of the value is a path (PT-01, RX-03); what we assigned ourselves is ignored (PD-02)."""
        if op == "remove":
            raise NoTarget("remove needs a path")
        if type(value) is not dict:
            raise InvalidValue(f"{op} without path takes an object")
        for key, part in self.reader.opened(value, self.resource_type.schema.id).items():
            path = self.key(key)
            if path is None:
                continue
            place = path.place
            if place is not None and (_is_ours(place) or place.attribute.name == "schemas"):
                continue
            if op == "add" and part is None:
                continue
            self.show(op, path)
            self.step(op, path, part)

    def key(self, key: str) -> Path | None:
        """A key of a value without path, read as a path; None when it is one to ignore."""
        try:
            path = parse_path(key, self.resource_type)
        except UnknownSubAttribute as error:
            if not self.reader.profile.ignores_unknown:
                raise
            self.reader.unknown(error.path)
            return None
        except InvalidPath as error:
            if "[" in key and not isinstance(error, UnknownAttribute):
                raise
            self.reader.unknown(key)
            return None
        if path.expression is not None:
            self.reader.quirk(profiles.FILTER_KEYS)
        elif path.place is not None and path.written != path.place.attribute.name.lower():
            self.reader.quirk(profiles.DOTTED_KEYS)
        return path

    def show(self, op: str, path: Path) -> None:
        """Note what the operation is about, and how its path deviates."""
        if len(self.texts) < OPERATIONS_SHOWN_MAX:
            self.texts.append(f"{op} {path.name}")
        place = path.place
        if place is None:
            return
        if place.extension is not None:
            urn = place.extension.lower()
            if not path.written.startswith(urn):
                self.reader.quirk(profiles.UNQUALIFIED_EXTENSION)
            elif path.written[len(urn)] == ".":
                self.reader.quirk(profiles.DOT_AFTER_URN)
        if path.expression is not None and not place.attribute.multi_valued:
            self.reader.quirk(profiles.FILTER_ON_SINGULAR)

    def step(self, op: str, path: Path, value: Any) -> None:
        """One operation on one place, checked against what its attribute allows."""
        place = path.place
        if place is None:
            self.extension(op, path, value)
            return
        attribute = place.attribute
        if _is_ours(place):
            raise Mutability(f"{place.path} is readOnly")
        if attribute.name == "schemas":
            _check_schemas_step(op, value)
        elif attribute.edges:
            self.member_step(op, path, value)
        elif attribute.returned == "never" or place.leaf.returned == "never":
            if op != "remove":  # Nothing is kept, so there is nothing to remove.
                self.reader.unkept(place.leaf, value)
        elif op == "remove":
            self.remove(path, value)
        else:
            self.steps.append(Step(op, path, self.read(op, path, value)))

    def extension(self, op: str, path: Path, value: Any) -> None:
        """The URI of an extension as path: merged attribute by attribute, or removed whole (PT-11)."""
        schema = path.extension
        assert schema is not None, "a path has a place or an extension"
        if op == "remove" or value is None:
            if (schema, True) in self.resource_type.extensions:
                refusal = Mutability if op == "remove" else InvalidValue
                raise refusal(f"{schema.id} is required")
            self.steps.append(Step("remove", path))
            return
        if type(value) is not dict:
            raise InvalidValue(f"{schema.id} takes an object")
        for key, part in value.items():
            attribute = schema.by_name.get(key.lower())
            if attribute is None:
                self.reader.unknown(f"{schema.id}:{key}")
            elif attribute.mutability != "readOnly" and not (op == "add" and part is None):
                self.step(op, Path(Place(schema.id, attribute)), part)

    def remove(self, path: Path, value: Any) -> None:
        place = path.place
        assert place is not None, "an extension is removed elsewhere"
        attribute = place.attribute
        if place.leaf.required and not self.takes_elements(path):
            raise Mutability(f"{place.path} is required")
        whole = path.expression is None and place.sub is None
        if not (whole and attribute.multi_valued) or value is _ABSENT or value is None:
            self.steps.append(Step("remove", path))
            return
        self.reader.quirk(profiles.MEMBERS_BY_VALUE)
        self.steps.append(Step("remove", path, self.selection(attribute, value)))

    def takes_elements(self, path: Path) -> bool:
        """Whether a `remove` with a filter is about whole elements; in lenient also by way of `value` (DEC-10)."""
        place = path.place
        if place is None or path.expression is None:
            return False
        by_value = self.reader.profile.drops_valueless and place.sub is place.attribute.value
        return place.sub is None or by_value

    def selection(self, attribute: Attribute, value: Any) -> list[Any]:
        """The elements that `remove` with a value names (RX-05)."""
        listed = value if type(value) is list else [value]
        if attribute.type != "complex":
            return [self.reader.simple(attribute, part) for part in listed if part is not None]
        if not all(part is None or type(part) is dict for part in listed):
            raise InvalidValue(f"{attribute.name} takes an array of objects")
        return [element for part in listed if part and (element := self.reader.object(attribute, part))]

    def read(self, op: str, path: Path, value: Any) -> Any:
        """The value of add or replace in canonical form; None unassigns."""
        place = path.place
        assert place is not None, "an extension is read elsewhere"
        attribute, leaf = place.attribute, place.leaf
        if value is None or (leaf.required and is_empty(value)):
            if leaf.required:
                raise InvalidValue(f"{place.path} is required")
            return None
        if place.sub is not None:
            if value == "" and leaf is attribute.value and not attribute.multi_valued:
                return None  # An empty reference is none, however it is written (RX-07).
            return self.reader.elements(leaf, value) if leaf.multi_valued else self.reader.simple(leaf, value)
        if path.expression is not None:
            if type(value) is list and len(value) == 1:
                value = value[0]
            if type(value) is not dict:
                raise InvalidValue(f"an element of {attribute.name} takes an object")
            return self.reader.object(attribute, value, partial=True)
        if attribute.multi_valued:
            return self.reader.elements(attribute, value)
        if attribute.type == "complex":
            return self.reader.singular(attribute, value, partial=True)
        return self.reader.simple(attribute, value)

    def member_step(self, op: str, path: Path, value: Any) -> None:
        """An operation on members becomes part of the MemberChange; their parts are immutable (PD-03)."""
        place, expression = path.place, path.expression
        assert place is not None, "members are a place"
        attribute = place.attribute
        if place.sub is not None:
            raise Mutability(f"{place.path} is immutable")
        if expression is not None:
            self.filtered_members(op, attribute, path, value)
        elif op != "remove":
            self.members.append(MemberStep(op, member_ids(self.reader, attribute, value)))
        elif value is _ABSENT or value is None:
            self.members.append(MemberStep("remove", None))
        else:
            self.reader.quirk(profiles.MEMBERS_BY_VALUE)
            self.members.append(MemberStep("remove", member_ids(self.reader, attribute, value)))

    def filtered_members(self, op: str, attribute: Attribute, path: Path, value: Any) -> None:
        expression = path.expression
        assert expression is not None, "asked for filtered members only"
        ids = named_ids(expression)
        unnamed = expression if ids is None else None
        if op == "remove":
            self.members.append(MemberStep("remove", ids, unnamed))
            return
        if value is None:  # `replace` by null: as of any other element, but one has to be there.
            self.members += [MemberStep("expect", ids, unnamed), MemberStep("remove", ids, unnamed)]
            return
        given = member_ids(self.reader, attribute, _with_value(value, ids))
        if not set(given) <= set(ids or ()):
            raise Mutability(f"{attribute.name}.value is immutable")
        self.members.append(MemberStep("add" if op == "add" and ids else "expect", ids, unnamed))


def _is_ours(place: Place) -> bool:
    """Whether only the service writes there (PD-01)."""
    return place.attribute.mutability == "readOnly" or place.leaf.mutability == "readOnly"


def _check_schemas_step(op: str, value: Any) -> None:
    """`schemas` follows from the attributes there are: setting it changes nothing (PD-14)."""
    if op == "remove":
        raise Mutability("schemas is required")
    listed = value if type(value) is list else [value]
    if not all(type(uri) is str for uri in listed):
        raise InvalidValue("schemas takes an array of strings")


def _with_value(value: Any, ids: tuple[str, ...] | None) -> Any:
    """An element that says nothing about its id is about the one the filter names."""
    if type(value) is dict and not any(name.lower() in ("value", "$ref") for name in value):
        return [{**value, "value": member_id} for member_id in ids or ()]
    return value
