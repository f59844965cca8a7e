"""What a tenant has declared: schemas and resource types of its own, their revisions, and the types they make.

A declaration adds, and a later revision of a schema may change what only concerns requests to come: description,
canonicalValues, referenceTypes, required, mutability, returned. What decided how values were stored stays: type,
multiValued, caseExact, uniqueness, every attribute that was ever there. So no row is ever made again for a schema's
sake, and entries of any age add up to the same rows under the newest revision as they did under their own.
"""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from domain.attributes import Attribute, JsonObject, ResourceType, Schema, describe_resource_type, describe_schema
from domain.errors import Conflict, InvalidValue
from domain.events import Declared, ResourceTypeDeclared, SchemaDeclared
from domain.registry import ResourceTypes
from domain.schema_bodies import URN_MAX, TypeBody, read_schema, sorted_out
from domain.schemas import COMMON, ENTERPRISE_USER, RESOURCE_TYPES, STANDARD
from domain.search import LEFT_OUT as ACTIVE

SCHEMAS_MAX = 100  # Of one tenant.
TYPES_MAX = 50
EXTENSIONS_MAX = 20  # Of one resource type.

_STANDARD = {schema.id.lower() for schema in STANDARD.schemas}
_EXTENSIONS = {ENTERPRISE_USER}  # Of the standard schemas, those that are extensions.
_MESSAGES = "urn:ietf:params:scim:api:"
# Below these the standard names what it has, or will have. What Entra suggests stands beside them:
# urn:ietf:params:scim:schemas:extension:<Name>:2.0:User.
_STANDARDS_OWN = ("urn:ietf:params:scim:schemas:core:", "urn:scim:schemas:core:", "urn:ietf:params:scim:event")
# First path segments and kinds of streams that are ours, or may become so.
_RESERVED = frozenset(
    (
        "users", "groups", "me", "bulk", "schemas", "resourcetypes", "serviceproviderconfig", "requests", "tokens",
        "tenant", "tenants", "settings", "reports", "exports", "ledger", "subjects", "keys", "checkpoints", "log",
        "secrets", "events", "clients", "imports", "oauth",
    )
)  # fmt: skip
_VERSION = re.compile(r"v[0-9]+", re.ASCII)  # Of the protocol, as in /v2.
# Names of resource types, in lower case, that SCIM has another meaning for: its own resources, messages, endpoints.
_SCIMS_WORDS = frozenset(
    (
        "schema", "resourcetype", "serviceproviderconfig", "listresponse", "error", "bulkrequest", "bulkresponse",
        "searchrequest", "patchop", "me", "bulk",
    )
)  # fmt: skip


class Declarations(Struct, frozen=True):
    """Everything a tenant declared, as /Schemas and /ResourceTypes publish it: by URN, by name, in order of coming."""

    schemas: dict[str, JsonObject] = {}
    resource_types: dict[str, JsonObject] = {}


def read_declarations(documents: Iterable[tuple[str, JsonObject]]) -> Declarations:
    """The declarations as they are stored: Schema or ResourceType with each document, in order of coming."""
    declarations = Declarations()
    for kind, document in documents:
        declarations = evolve(declarations, declared(kind, document))
    return declarations


def declared(kind: str, document: JsonObject) -> Declared:
    """The event of a stored declaration."""
    return SchemaDeclared(document) if kind == "Schema" else ResourceTypeDeclared(document)


def document_of(event: Declared) -> JsonObject:
    """What a declaration publishes."""
    return event.schema if isinstance(event, SchemaDeclared) else event.resource_type


def name_of(event: Declared) -> tuple[str, str]:
    """What a declaration is about: (Schema, its URN) or (ResourceType, its name)."""
    if isinstance(event, SchemaDeclared):
        return "Schema", event.schema["id"]
    return "ResourceType", event.resource_type["name"]


def stream_of(event: ResourceTypeDeclared) -> str:
    """The kind of the streams of a declared type's resources."""
    endpoint: str = event.resource_type["endpoint"]
    return endpoint[1:].lower()


def evolve(declarations: Declarations, event: Declared) -> Declarations:
    """The declarations after one event."""
    if isinstance(event, SchemaDeclared):
        schemas = {**declarations.schemas, event.schema["id"]: event.schema}
        return Declarations(schemas, declarations.resource_types)
    resource_types = {**declarations.resource_types, event.resource_type["name"]: event.resource_type}
    return Declarations(declarations.schemas, resource_types)


def resource_types(declarations: Declarations) -> ResourceTypes:
    """The resource types that a tenant with these declarations has."""
    if not declarations.resource_types:
        return STANDARD
    known = _known(declarations)
    built = {kind.name: kind for kind in RESOURCE_TYPES}
    built |= {name: _resource_type(TypeBody(document), known) for name, document in declarations.resource_types.items()}
    return ResourceTypes(tuple(built.values()))


def _known(declarations: Declarations) -> dict[str, Schema]:
    declared = {urn: read_schema(document) for urn, document in declarations.schemas.items()}
    return declared | {schema.id: schema for schema in STANDARD.schemas}


def _resource_type(body: TypeBody, known: dict[str, Schema]) -> ResourceType:
    extensions = tuple((known[urn], required) for urn, required in body.extensions.items())
    return ResourceType(body.name, body.endpoint, body.description, known[body.schema], extensions, COMMON)


def declare(present: Declarations, body: Any, *, extends: str | None = None, required: bool = False) -> list[Declared]:
    """What a body of Schema and ResourceType resources declares that is not so already; nothing is an answer.

    extends: the name of a resource type that every schema of the body becomes an extension of, for bodies without
    ResourceType; required: whether resources of the type then need it.
    Raises InvalidValue for what no tenant could declare, Conflict for what contradicts earlier declarations.
    """
    documents, types = sorted_out(body)
    schemas = [read_schema(document) for document in documents]
    bodies = [TypeBody(document) for document in types]
    _check_once("schema", [schema.id for schema in schemas])
    _check_once("resource type", [each.name for each in bodies])
    events: list[Declared] = []
    for schema in schemas:
        published = _schema(present, schema)
        events += _news(present.schemas.get(schema.id), published, SchemaDeclared(published))
    after = _folded(present, events)
    if extends is not None:
        if extends in [each.name for each in bodies]:
            raise InvalidValue(f"a ResourceType of the body says what extends {extends}; extends cannot say it too")
        bodies.append(_extended(after, extends, [schema.id for schema in schemas], required))
    for each in bodies:
        earlier = resource_types(after).by_name.get(each.name)
        event = ResourceTypeDeclared(_type(after, each, earlier))
        events += _news(None if earlier is None else describe_resource_type(earlier), event.resource_type, event)
        after = evolve(after, event)
    _check_whole(after)
    return events


def _check_once(what: str, names: list[str]) -> None:
    """Refuse two meanings of one name in one declaration: which of them was meant cannot be known."""
    folded = [name.lower() for name in names]
    for name, lower in zip(names, folded, strict=True):
        if folded.count(lower) > 1:
            raise InvalidValue(f"the {what} {name} is declared twice at once; letter case makes no difference")


def _news(before: JsonObject | None, after: JsonObject, event: Declared) -> list[Declared]:
    return [] if before == after else [event]


def _folded(declarations: Declarations, events: Iterable[Declared]) -> Declarations:
    for event in events:
        declarations = evolve(declarations, event)
    return declarations


def _schema(present: Declarations, schema: Schema) -> JsonObject:
    """A schema as it will be published, once it is known to be a possible next revision."""
    urn = schema.id
    if urn.lower() in _STANDARD:
        raise Conflict(f"{urn} is one of the standard schemas; put further attributes into an extension of your own")
    if urn not in present.schemas:  # Whoever declared it under earlier rules can still revise it.
        _check_own(urn)
    spelt = next((known for known in present.schemas if known.lower() == urn.lower()), urn)
    if spelt != urn:
        raise Conflict(f"{spelt} is declared already, in this spelling")
    if urn in present.schemas:
        earlier = read_schema(present.schemas[urn])
        _check_revision(earlier.attributes, schema.attributes, f"{urn}: ", is_part=False)
    return describe_schema(schema)


def _check_own(urn: str) -> None:
    """Refuse a URN that is not a tenant's to give a meaning to."""
    lower = f"{urn.lower()}:"
    if lower.startswith(_MESSAGES):
        raise InvalidValue(f"{urn} is the URN of a message, not of a schema")
    if lower.startswith(_STANDARDS_OWN):
        raise InvalidValue(f"{urn} is a URN of the SCIM standard; give your schema one of your own")


def _check_revision(before: tuple[Attribute, ...], after: tuple[Attribute, ...], where: str, *, is_part: bool) -> None:
    """Refuse to change what decided how values were stored."""
    now = {attribute.name: attribute for attribute in after}
    for old in before:
        new = now.get(old.name)
        path = where + old.name
        if new is None:
            raise Conflict(f"{path} is missing; an attribute that was declared stays, for what was stored in it stays")
        for name, was, is_now in _fixed(old, new):
            if was != is_now:
                raise Conflict(f"{path}: {name} stays {was}; values have been stored and compared by it")
        if (old.returned == "never") is not (new.returned == "never"):
            raise Conflict(f"{path}: returned stays {old.returned}; never decides whether values are stored at all")
        if is_part and new.mutability == "readOnly" != old.mutability:
            raise Conflict(f"{path}: mutability of a part cannot become readOnly; a PUT could not keep its values")
        _check_revision(old.sub_attributes, new.sub_attributes, f"{path}.", is_part=True)


def _fixed(old: Attribute, new: Attribute) -> list[tuple[str, Any, Any]]:
    return [
        ("type", old.type, new.type),
        ("multiValued", str(old.multi_valued).lower(), str(new.multi_valued).lower()),
        ("caseExact", str(old.case_exact).lower(), str(new.case_exact).lower()),
        ("uniqueness", old.uniqueness, new.uniqueness),
    ]


def _extended(present: Declarations, name: str, urns: list[str], required: bool) -> TypeBody:
    if not urns:
        raise InvalidValue("there is no Schema that could extend a resource type")
    found = resource_types(present).by_name.get(name)
    if found is None:
        raise InvalidValue(f"there is no resource type {name[:64]!r} to extend")
    body = TypeBody(describe_resource_type(found))
    body.extensions = {**body.extensions, **dict.fromkeys(urns, required)}
    return body


def _type(present: Declarations, body: TypeBody, earlier: ResourceType | None) -> JsonObject:
    """A resource type as it will be published: its extensions are those it had, in their order, and the new ones."""
    extensions = body.extensions
    if earlier is None:
        _check_new_type(present, body)
    elif (body.endpoint, body.schema) != (earlier.endpoint, earlier.schema.id):
        raise Conflict(f"{body.name} stays at {earlier.endpoint} with the schema {earlier.schema.id}")
    else:
        extensions = {schema.id: required for schema, required in earlier.extensions} | extensions
    known = present.schemas.keys() | _EXTENSIONS
    for urn in extensions:
        if urn not in known or urn == body.schema:
            raise InvalidValue(f"{body.name}: {urn} is no declared schema that could extend it")
    body.extensions = extensions
    return describe_resource_type(_resource_type(body, _known(present)))


def _check_new_type(present: Declarations, body: TypeBody) -> None:
    taken = {kind.name.lower() for kind in resource_types(present).types}
    if body.name.lower() in taken:
        raise Conflict(f"there is a resource type {body.name} in another spelling")
    if body.name.lower() in _SCIMS_WORDS:
        raise InvalidValue(f"{body.name} is a word of SCIM's own; give your resource type another name")
    endpoint = body.endpoint[1:].lower()
    is_taken = endpoint in _RESERVED or endpoint in resource_types(present).by_stream
    if is_taken or _VERSION.fullmatch(endpoint):
        raise Conflict(f"{body.name}: the endpoint {body.endpoint} is taken")
    if body.schema not in present.schemas:
        raise InvalidValue(f"{body.name}: its schema {body.schema[:URN_MAX]} is not one that you declared")


def _check_whole(declarations: Declarations) -> None:
    """Refuse what is wrong only with everything together: too much of it, or one name for two things."""
    if len(declarations.schemas) > SCHEMAS_MAX or len(declarations.resource_types) > TYPES_MAX:
        raise Conflict(f"a tenant declares at most {SCHEMAS_MAX} schemas and {TYPES_MAX} resource types")
    for kind in resource_types(declarations).types:
        if len(kind.extensions) > EXTENSIONS_MAX:
            raise Conflict(f"{kind.name}: a resource type has at most {EXTENSIONS_MAX} extensions")
        _check_names(kind)
        _check_active(kind)


def _check_names(kind: ResourceType) -> None:
    core = {attribute.name.lower() for attribute in (*COMMON, *kind.schema.attributes)}
    if len(core) < len(COMMON) + len(kind.schema.attributes):
        clash = next(a for a in kind.schema.attributes if a.name.lower() in {each.name.lower() for each in COMMON})
        raise Conflict(f"{kind.schema.id}: {clash.name} is an attribute that every resource has")
    written = set[str]().union(*(_spellings(kind.schema.id, each) for each in kind.core.values()))
    for schema, _ in kind.extensions:
        for attribute in schema.attributes:
            if attribute.name.lower() in core:
                raise Conflict(f"{schema.id}: {attribute.name} is the name of a core attribute of {kind.name}")
            names = _spellings(schema.id, attribute)
            if twice := written & names:
                raise Conflict(f"{kind.name}: {min(twice)} would mean two attributes")
            written |= names
    if twice := written & kind.containers.keys():
        raise Conflict(f"{kind.name}: {min(twice)} would mean an extension and an attribute")


def _spellings(urn: str, attribute: Attribute) -> set[str]:
    names = {f"{urn}{mark}{attribute.name}".lower() for mark in ":."}
    return names | {f"{name}.{part}" for name in names for part in attribute.subs}


def _check_active(kind: ResourceType) -> None:
    """`active` is what disabling means, for every resource type that has it."""
    active = kind.core.get(ACTIVE)
    fits = active is None or (
        (active.type, active.multi_valued, active.mutability) == ("boolean", False, "readWrite")
        and active.returned != "never"
    )
    if not fits:
        raise Conflict(f"{kind.schema.id}: active has to be a single boolean, readWrite and readable: it disables")
