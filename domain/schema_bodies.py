"""Schemas and resource types as tenants send them, read and checked (RFC 7643 §6, §7).

What comes back is built of our own `Attribute` and `Schema`; whatever cannot be served truthfully is refused with
one sentence that names the attribute. Members that a characteristic's name is misspelt in are refused as well: a
schema that means something else than its author thinks is worse than none.
"""

import re
from typing import Any

from domain.attributes import Attribute, JsonObject, Schema
from domain.bodies import parse_json
from domain.errors import InvalidSyntax, InvalidValue

SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

ATTRIBUTES_MAX = 200  # Of one schema.
PARTS_MAX = 50  # Sub-attributes of one attribute.
VALUES_MAX = 200  # canonicalValues, referenceTypes.
NAME_MAX, URN_MAX, TEXT_MAX = 64, 200, 1_000  # Characters.

_TYPES = ("string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex")
_MUTABILITY = ("readOnly", "readWrite", "immutable", "writeOnly")
_RETURNED = ("always", "never", "default", "request")
_UNIQUENESS = ("none", "server", "global")
_GRAMMAR = ("and", "or", "not", "pr")  # Words of the filter grammar.

_URN = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{1,31}(?::[A-Za-z0-9_.-]+)+", re.ASCII)
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{NAME_MAX - 1}}}", re.ASCII)
_ATTRIBUTE_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_$-]{{0,{NAME_MAX - 1}}}", re.ASCII)
_BOOLEANS = ("multiValued", "required", "caseExact")
_WORDS = {"type": _TYPES, "mutability": _MUTABILITY, "returned": _RETURNED, "uniqueness": _UNIQUENESS}
_LISTS = ("canonicalValues", "referenceTypes")
_MEMBERS = frozenset(("name", "description", "subAttributes", *_BOOLEANS, *_WORDS, *_LISTS))
_SCHEMA_MEMBERS = frozenset(("schemas", "id", "name", "description", "attributes", "meta"))
_TYPE_MEMBERS = frozenset(("schemas", "id", "name", "description", "endpoint", "schema", "schemaExtensions", "meta"))
_SPELLINGS = {name.lower(): name for name in (*_MEMBERS, *_SCHEMA_MEMBERS, *_TYPE_MEMBERS, "Resources")}


def read_json(raw: bytes) -> Any:
    """The JSON of a body or file, which may also be an array. Raises InvalidSyntax, InvalidValue."""
    if not raw.lstrip().startswith(b"["):
        return parse_json(raw)
    read = parse_json(b'{"Resources":' + raw + b"}")
    if len(read) > 1:
        raise InvalidSyntax("the body is not JSON: something follows the array")
    return read["Resources"]


def sorted_out(body: Any) -> tuple[list[JsonObject], list[JsonObject]]:
    """The Schema and the ResourceType documents of a body: one, an array of them, or a ListResponse.

    Members are names of attributes, and so have no case (RFC 7643 §2.1); null is no value (§2.5). What comes back
    has the RFC's spelling and no null members.
    """
    schemas: list[JsonObject] = []
    resource_types: list[JsonObject] = []
    for document in _documents(_spelt(body)):
        if not isinstance(document, dict):
            raise InvalidValue("a schema is a JSON object")
        named = document.get("schemas", [])
        if named == [RESOURCE_TYPE] or (not named and "endpoint" in document):
            resource_types.append(document)
        elif named == [SCHEMA] or (not named and "attributes" in document):
            schemas.append(document)
        else:
            raise InvalidValue(f"an object is neither a {SCHEMA} nor a {RESOURCE_TYPE}")
    if not schemas and not resource_types:
        raise InvalidValue("there is neither a Schema nor a ResourceType")
    return schemas, resource_types


def _spelt(given: Any) -> Any:
    if isinstance(given, list):
        return [_spelt(each) for each in given]
    if not isinstance(given, dict):
        return given
    return {_SPELLINGS.get(name.lower(), name): _spelt(part) for name, part in given.items() if part is not None}


def _documents(body: Any) -> list[Any]:
    if isinstance(body, dict) and isinstance(named := body.get("schemas"), list) and LIST in named:
        body = body.get("Resources")
    if isinstance(body, dict):
        return [body]
    if not isinstance(body, list):
        raise InvalidValue("send a Schema, a ResourceType, an array of them, or a ListResponse")
    return body


def read_schema(document: JsonObject) -> Schema:
    """One Schema resource. Raises InvalidValue."""
    urn = document.get("id")
    if not isinstance(urn, str) or len(urn) > URN_MAX or not _URN.fullmatch(urn):
        raise InvalidValue(
            f"id of a schema is a URN of at most {URN_MAX} characters, such as urn:example:scim:extension:Badge:1.0: "
            "lower-case `urn`, then letters, digits, dots, hyphens and underscores between colons"
        )
    _only(document, _SCHEMA_MEMBERS, urn)
    attributes = document.get("attributes")
    if not isinstance(attributes, list) or not 1 <= len(attributes) <= ATTRIBUTES_MAX:
        raise InvalidValue(f"{urn}: attributes is an array of 1 to {ATTRIBUTES_MAX} attributes")
    read = tuple(_attribute(each, urn, None) for each in attributes)
    _once([attribute.name for attribute in read], urn)
    name = _text(document, "name", urn) or urn.rpartition(":")[2]
    return Schema(urn, name, _text(document, "description", urn), read)


def _attribute(given: Any, where: str, parent: str | None) -> Attribute:
    """One attribute, or with `parent` one sub-attribute. where: what a refusal calls the place."""
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or not (_ATTRIBUTE_NAME.fullmatch(name) or (parent and name == "$ref")):
        raise InvalidValue(
            f"{where}: the name of an attribute begins with a letter and has at most {NAME_MAX} "
            f"letters, digits, hyphens, underscores and dollar signs; this is none: {_shown(name)}"
        )
    path = f"{where}: {name}" if parent is None else f"{where}.{name}"
    if name.lower() in _GRAMMAR:
        raise InvalidValue(f"{path} is a word of the filter grammar and cannot be asked for")
    _only(given, _MEMBERS, path)
    read = {key: given.get(key, _default(key, given)) for key in (*_BOOLEANS, *_WORDS)}
    _check_characteristics(read, path)
    attribute = Attribute(
        name=name,
        type=read["type"],
        multi_valued=read["multiValued"],
        description=_text(given, "description", path),
        required=read["required"],
        canonical_values=_texts(given, "canonicalValues", path),
        case_exact=read["caseExact"],
        mutability=read["mutability"],
        returned=read["returned"],
        uniqueness=read["uniqueness"],
        reference_types=_texts(given, "referenceTypes", path),
        sub_attributes=_parts(given, read["type"], path, parent),
    )
    _check_together(attribute, path, parent)
    return attribute


def _default(characteristic: str, given: JsonObject) -> Any:
    """What a characteristic is when nobody said (RFC 7643 §2.2; §2.3.6 and §2.3.7 for caseExact)."""
    if characteristic in _WORDS:
        return {"type": "string", "mutability": "readWrite", "returned": "default"}.get(characteristic, "none")
    return characteristic == "caseExact" and given.get("type") in ("reference", "binary")


def _check_characteristics(read: JsonObject, path: str) -> None:
    for name in _BOOLEANS:
        if not isinstance(read[name], bool):
            raise InvalidValue(f"{path}: {name} is true or false")
    for name, words in _WORDS.items():
        if read[name] not in words:
            raise InvalidValue(f"{path}: {name} is one of {', '.join(words)}")


def _parts(given: JsonObject, kind: str, path: str, parent: str | None) -> tuple[Attribute, ...]:
    parts = given.get("subAttributes") or []
    if kind != "complex":
        if parts:
            raise InvalidValue(f"{path} has sub-attributes, so its type is complex, not {kind}")
        return ()
    if parent is not None:
        raise InvalidValue(f"{path} is complex; a sub-attribute cannot be (RFC 7643 §2.3.8)")
    if not isinstance(parts, list) or not 1 <= len(parts) <= PARTS_MAX:
        raise InvalidValue(f"{path} is complex and needs 1 to {PARTS_MAX} subAttributes")
    read = tuple(_attribute(each, path, path) for each in parts)
    _once([part.name for part in read], path)
    return read


def _check_together(attribute: Attribute, path: str, parent: str | None) -> None:
    """Refuse characteristics that contradict each other, or that nobody could keep."""
    is_never = attribute.returned == "never"
    unkept = "is never returned, so no value is kept"
    refusals = (
        (parent and attribute.multi_valued, "is multi-valued; a sub-attribute has one value"),
        (attribute.type == "binary" and not attribute.case_exact, "is binary and so always case exact"),
        (attribute.canonical_values and attribute.type != "string", "has canonicalValues, which are for strings"),
        (attribute.reference_types and attribute.type != "reference", "has referenceTypes but is no reference"),
        (attribute.mutability == "writeOnly" and not is_never, "is writeOnly, so returned has to be never"),
        (
            is_never and attribute.mutability == "immutable",
            f"{unkept} that could be immutable",
        ),
        (is_never and attribute.required, f"{unkept} that could be required"),
        (is_never and attribute.uniqueness != "none", f"{unkept} that could be unique"),
        (attribute.required and attribute.mutability == "readOnly", "is required, but readOnly: nobody could give it"),
        (
            attribute.uniqueness != "none" and attribute.type in ("boolean", "complex"),
            f"is {attribute.type}; uniqueness is for strings, references, numbers, dates and binary values",
        ),
        (parent and attribute.name == "primary" and attribute.type != "boolean", "has to be boolean (RFC 7643 §2.4)"),
    )
    for is_so, sentence in refusals:
        if is_so:
            raise InvalidValue(f"{path} {sentence}")


class TypeBody:
    """A ResourceType document as sent, its form checked. extensions: URN → whether it is required."""

    __slots__ = ("description", "endpoint", "extensions", "name", "schema")

    def __init__(self, document: JsonObject) -> None:
        """Read it. Raises InvalidValue."""
        name = document.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidValue(
                f"a resource type's name has at most {NAME_MAX} letters, digits, hyphens and underscores"
            )
        _only(document, _TYPE_MEMBERS, name)
        endpoint = document.get("endpoint")
        if not isinstance(endpoint, str) or not endpoint.startswith("/") or not _NAME.fullmatch(endpoint[1:]):
            raise InvalidValue(f"{name}: endpoint is one path segment with a slash before it, such as /Devices")
        schema = document.get("schema")
        if not isinstance(schema, str):
            raise InvalidValue(f"{name}: schema is the URN of its core schema")
        self.name, self.endpoint, self.schema = name, endpoint, schema
        self.description = _text(document, "description", name)
        self.extensions = _extensions(document.get("schemaExtensions") or [], name)


def _extensions(given: Any, name: str) -> dict[str, bool]:
    read: dict[str, bool] = {}
    for each in given if isinstance(given, list) else [None]:
        if not isinstance(each, dict) or not isinstance(each.get("schema"), str) or each["schema"] in read:
            raise InvalidValue(f"{name}: schemaExtensions is an array of objects with schema, each URN once")
        if not isinstance(required := each.get("required", False), bool):
            raise InvalidValue(f"{name}: required of the extension {_shown(each['schema'])} is true or false")
        read[each["schema"]] = required
    return read


def _only(given: JsonObject, known: frozenset[str], where: str) -> None:
    if unknown := sorted(given.keys() - known):
        raise InvalidValue(f"{where}: there is no member {_shown(unknown[0])}; there are {', '.join(sorted(known))}")


def _once(names: list[str], where: str) -> None:
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            raise InvalidValue(f"{where}: {name} is there twice; case makes no difference")


def _text(given: JsonObject, member: str, where: str) -> str:
    text = given.get(member, "")
    if not isinstance(text, str) or len(text) > TEXT_MAX or "\0" in text:
        raise InvalidValue(f"{where}: {member} is a string of at most {TEXT_MAX} characters")
    return text


def _texts(given: JsonObject, member: str, where: str) -> tuple[str, ...]:
    listed = given.get(member) or []
    fits = isinstance(listed, list) and len(listed) <= VALUES_MAX
    if not fits or not all(isinstance(each, str) and len(each) <= URN_MAX and "\0" not in each for each in listed):
        raise InvalidValue(f"{where}: {member} is an array of at most {VALUES_MAX} short strings")
    return tuple(listed)


def _shown(given: Any) -> str:
    return repr(given)[:NAME_MAX] if isinstance(given, str) else "nothing" if given is None else type(given).__name__
