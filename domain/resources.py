"""A body read against a resource type; two resources compared.

A *resource* is a dict of canonical attribute names, extension attributes below their schema URI, without id,
schemas, meta, groups, members and password. Unassigned attributes are absent.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from domain import profiles
from domain.attributes import Attribute, JsonObject, Place, ResourceType, Schema
from domain.bodies import parse_json, strike_out
from domain.comparison import display_name_key, fold, name_key, prepare_user_name
from domain.errors import InvalidSyntax, InvalidValue, OutdatedSchema
from domain.matching import values
from domain.profiles import Profile
from domain.reading import Reader, element_key, end_of

__all__ = [
    "Reading",
    "difference",
    "display_name_key",
    "element_key",
    "fold",
    "is_empty",
    "member_ids",
    "missing",
    "name_key",
    "parse_json",
    "prepare_user_name",
    "read_resource",
    "same",
    "schemas_of",
    "strike_out",
]

_SCIM_1 = "urn:scim:schemas:core:1.0"


class Reading(Struct, frozen=True):
    """What a POST or PUT body says.

    resource: see above. received: paths of never-returned attributes, such as password, that were given a value.
    members: ids, each once, in their order; None when the body does not mention them.
    assigned: canonical names the body mentions, also with null; extension attributes as `urn:…:name`.
    quirks, ignored: by name, for the cause.
    """

    resource: JsonObject
    received: tuple[str, ...]
    members: tuple[str, ...] | None
    assigned: frozenset[str]
    quirks: tuple[str, ...]
    ignored: tuple[str, ...]


def read_resource(body: JsonObject, resource_type: ResourceType, profile: Profile) -> Reading:
    """Read a POST or PUT body.

    body: from `parse_json`. ReadOnly attributes are dropped (CR-02, PU-05), unknown ones ignored or refused.
    Raises InvalidSyntax for wrong `schemas` or, in the strict profile, unknown attributes; InvalidValue for
    wrong types and missing required attributes.
    """
    reader = Reader(profile)
    resource: JsonObject = {}
    assigned: set[str] = set()
    members: tuple[str, ...] | None = None
    core = resource_type.core
    body = reader.opened(body, resource_type.schema.id)
    for key, value in body.items():
        attribute = core.get(key.lower())
        if attribute is None:
            schema = resource_type.containers.get(key.lower())
            if schema is None:
                reader.unknown(key)
            elif read := _read_extension(reader, schema, value, assigned):
                resource[schema.id] = read
            continue
        name = attribute.name
        if attribute.mutability == "readOnly" or name == "schemas":
            continue
        assigned.add(name)
        if attribute.edges:
            members = member_ids(reader, attribute, value)
        elif value is None:
            continue
        elif attribute.returned == "never":
            reader.unkept(attribute, value)
        else:
            read = reader.value(attribute, value)
            if read is not None:
                resource[name] = read
    _check_schemas(reader, body, resource_type, resource)
    if lacking := missing(resource, resource_type):
        raise InvalidValue(f"{lacking[0]} is required")
    received = tuple(resource_type.unkept[attribute] for attribute in reader.received)
    return Reading(resource, received, members, frozenset(assigned), tuple(reader.quirks), tuple(reader.ignored))


def _read_extension(reader: Reader, schema: Schema, value: Any, assigned: set[str]) -> JsonObject:
    if value is None:
        assigned.update(f"{schema.id}:{attribute.name}" for attribute in schema.attributes)
        return {}
    if type(value) is not dict:
        raise InvalidValue(f"{schema.id} takes an object")
    read: JsonObject = {}
    for key, part in value.items():
        attribute = schema.by_name.get(key.lower())
        if attribute is None:
            reader.unknown(f"{schema.id}:{key}")
            continue
        if attribute.mutability == "readOnly":
            continue
        assigned.add(f"{schema.id}:{attribute.name}")
        if attribute.returned == "never":
            reader.unkept(attribute, part)
        elif part is not None:
            found = reader.value(attribute, part)
            if found is not None:
                read[attribute.name] = found
    return read


def missing(resource: JsonObject, resource_type: ResourceType) -> list[str]:
    """The paths of what is required and not there: attributes, extensions, parts of values that are there."""
    found = [attribute.name for attribute in resource_type.schema.required if is_empty(resource.get(attribute.name))]
    for schema, required in resource_type.extensions:
        container = resource.get(schema.id)
        if container is not None:
            found += [f"{schema.id}:{each.name}" for each in schema.required if is_empty(container.get(each.name))]
        elif required:
            found.append(schema.id)
    for place in resource_type.required_parts:
        whole = Place(place.extension, place.attribute)
        if place.sub and any(is_empty(element.get(place.sub.name)) for element in values(whole, resource)):
            found.append(place.path)
    return found


def is_empty(value: Any) -> bool:
    """Whether it is no value where one is required: a text of blanks only says nothing either (RFC 7643 §4.1.1)."""
    return value is None or (type(value) is str and not value.strip())


def _check_schemas(reader: Reader, body: JsonObject, resource_type: ResourceType, resource: JsonObject) -> None:
    """`schemas` has to name the endpoint's core schema if it is there at all (RS-04, RX-10 to RX-12)."""
    given = body.get("schemas")
    if given is None:
        given = next((value for name, value in body.items() if name.lower() == "schemas"), None)
    if given is None:
        reader.quirk(profiles.MISSING_SCHEMAS)
        return
    if type(given) is not list or not all(type(uri) is str for uri in given):
        raise InvalidSyntax("schemas takes an array of strings")
    named = {uri.lower() for uri in given}
    known = {resource_type.schema.id.lower(), *resource_type.containers}
    if _SCIM_1 in named:
        reader.quirk(profiles.SCIM_1_SCHEMA)
    elif resource_type.schema.id.lower() not in named:
        raise InvalidSyntax(f"schemas does not name {resource_type.schema.id}")
    if not named - {_SCIM_1} <= known:
        reader.quirk(profiles.UNKNOWN_SCHEMA)
    if any(name.lower() not in named for name in resource if ":" in name):
        reader.quirk(profiles.UNDECLARED_EXTENSION)


def member_ids(reader: Reader, attribute: Attribute, value: Any) -> tuple[str, ...]:
    """The ids that a value of `members` names, each once.

    An element is an object with `value`, or with `$ref` of one of our resources (GR-10), or a bare id
    (RX-36). display, type and $ref besides are the service's to say and ignored (GR-07). Our ids are lower
    case and members.value is not case exact, so ids are folded.
    """
    if type(value) is dict:
        reader.quirk(profiles.OBJECT_FOR_ARRAY)
    elements = value if type(value) is list else [] if value is None else [value]
    ids: dict[str, None] = {}
    for element in elements:
        if type(element) is dict:
            ids[_member_id(reader, attribute, element)] = None
        elif type(element) is str and element:
            reader.quirk(profiles.BARE_MEMBER_IDS)
            ids[element.lower()] = None
        elif element is not None:
            raise InvalidValue(f"{attribute.name} takes an array of objects")
    return tuple(ids)


def _member_id(reader: Reader, attribute: Attribute, element: JsonObject) -> str:
    value = element.get("value")
    if type(value) is str and value and len(element) == 1:
        return value.lower()
    read = reader.object(attribute, element)
    if read.get("value"):
        return str(read["value"]).lower()
    endpoint, last = end_of(str(read.get("$ref", "")))
    if not last or endpoint not in ("users", "groups"):
        raise InvalidValue(f"an element of {attribute.name} has no value")
    reader.quirk(profiles.MEMBER_BY_REF)
    return last


def schemas_of(resource: JsonObject, resource_type: ResourceType) -> list[str]:
    """The `schemas` of a resource: its core schema and the extensions it has data for (RS-02)."""
    present = [schema.id for schema, _ in resource_type.extensions if schema.id in resource]
    return [resource_type.schema.id, *present]


def same(attribute: Attribute, before: Any, after: Any) -> bool:
    """Whether two values of an attribute are one state: elements in any order, `primary: false` as absent.

    A change of case is a change (PD-11, PD-12).
    """
    if before == after:
        return True
    if not (attribute.multi_valued and before and after and len(before) == len(after)):
        return False
    return Counter(map(_plain, before)) == Counter(map(_plain, after))


def _plain(element: Any) -> Any:
    """One element in a form that can be hashed: counting is linear, comparing each with each is not."""
    if not isinstance(element, dict):
        return element
    return frozenset(
        (name, tuple(part) if isinstance(part, list) else part)
        for name, part in element.items()
        if not (name == "primary" and part is False)
    )


def difference(before: JsonObject, after: JsonObject, resource_type: ResourceType) -> list[tuple[str, Any, Any]]:
    """What changed from one resource to another: (attribute, before, after), in the order of the schemas.

    Extension attributes are called `urn:…:name`. None stands for unassigned. Values that are the `same` do
    not differ. Raises OutdatedSchema for an attribute that the type does not have.
    """
    try:
        changes = list(_differences(before, after, resource_type))
    except KeyError:
        raise OutdatedSchema from None
    if len(changes) > 1:
        changes.sort(key=lambda change: resource_type.order[change[0]])
    return changes


def _differences(before: JsonObject, after: JsonObject, resource_type: ResourceType) -> Iterator[tuple[str, Any, Any]]:
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old is new:
            continue
        schema = resource_type.containers.get(name.lower()) if ":" in name else None
        if schema is None:
            if not same(resource_type.core[name.lower()], old, new):
                yield name, old, new
            continue
        old, new = old or {}, new or {}
        for part in old.keys() | new.keys():
            attribute = schema.by_name[part.lower()]
            if not same(attribute, old.get(part), new.get(part)):
                yield f"{name}:{part}", old.get(part), new.get(part)
