"""What resources are made of: attributes, schemas, resource types, and the lookups made from them once.

Nothing here names User or Group: those are data, in `schemas.py` (and later in a tenant's own).
Names are looked up without regard to case (RFC 7643 §2.1); what comes back has the schema's spelling.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr

from domain.comparison import preparation, same_value, whole_preparation

JsonObject = dict[str, Any]


class Attribute(Struct, frozen=True, eq=False, kw_only=True):
    """One attribute with its characteristics (RFC 7643 §2.2, §7); equal only to itself.

    type: string, boolean, decimal, integer, dateTime, binary, reference or complex.
    edges: kept as memberships between resources, never inside a resource (`members`).
    as_user_name: compared by the PRECIS-like key instead of plain case folding (RFC 7644 §5).
    subs: sub-attributes by lower-case name, derived. value: the sub-attribute `value`, derived; a complex
    attribute that has one is compared by it when nothing else is named (RFC 7644 §3.4.2.2, figure 2).
    assumed_false: derived; `primary` counts as false where it is missing (RFC 7643 §2.4).
    refers_to: derived; of a complex attribute whose `value` is the id of a User or Group, as manager's is, that type.
    Then `$ref` follows from `value` and is ours to say.
    prepare: derived; brings one value into the form in which it is compared. prepare_whole: the same for the
    attribute's whole value, whose names are canonical.
    """

    name: str
    type: str = "string"
    multi_valued: bool = False
    description: str = ""
    required: bool = False
    canonical_values: tuple[str, ...] = ()
    case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    reference_types: tuple[str, ...] = ()
    sub_attributes: "tuple[Attribute, ...]" = ()
    edges: bool = False
    as_user_name: bool = False
    subs: "dict[str, Attribute]" = {}
    value: "Attribute | None" = None
    assumed_false: bool = False
    refers_to: str = ""
    prepare: Callable[[Any], Any] = same_value
    prepare_whole: Callable[[Any], Any] = same_value

    def __post_init__(self) -> None:
        subs = {sub.name.lower(): sub for sub in self.sub_attributes}
        force_setattr(self, "subs", subs)
        force_setattr(self, "value", subs.get("value"))
        force_setattr(self, "assumed_false", self.name == "primary" and self.type == "boolean")
        force_setattr(self, "refers_to", _referred(subs))
        prepare = preparation(self.type, self.case_exact, self.as_user_name)
        parts = {sub.name: sub.prepare_whole for sub in self.sub_attributes}
        force_setattr(self, "prepare", prepare)
        force_setattr(self, "prepare_whole", whole_preparation(prepare, parts, self.multi_valued))

    def __repr__(self) -> str:
        return f"Attribute({self.name})"


def _referred(subs: "dict[str, Attribute]") -> str:
    types = subs["$ref"].reference_types if "$ref" in subs and "value" in subs else ()
    return types[0] if types in (("User",), ("Group",)) else ""


class Schema(Struct, frozen=True, eq=False):
    """A core or extension schema (RFC 7643 §7).

    by_name: its attributes by lower-case name, derived. required: those that are, derived.
    """

    id: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]
    by_name: dict[str, Attribute] = {}
    required: tuple[Attribute, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "by_name", {attribute.name.lower(): attribute for attribute in self.attributes})
        force_setattr(self, "required", tuple(attribute for attribute in self.attributes if attribute.required))


class Place(Struct, frozen=True):
    """Where a value stands in a resource: `attribute`, or its `sub`, below `extension` if not None.

    extension: the schema URI that names the container, in the schema's spelling.
    """

    extension: str | None
    attribute: Attribute
    sub: Attribute | None = None

    @property
    def leaf(self) -> Attribute:
        """The attribute whose characteristics hold for the value."""
        return self.sub or self.attribute

    @property
    def path(self) -> str:
        """Its one canonical name: `name.familyName`, `urn:…:User:manager.value`."""
        name = self.attribute.name if self.sub is None else f"{self.attribute.name}.{self.sub.name}"
        return f"{self.extension}:{name}" if self.extension else name


class ResourceType(Struct, frozen=True, eq=False):
    """An endpoint with its core schema and extensions (RFC 7643 §6), and every lookup over them.

    common: attributes outside every schema (RFC 7643 §3.1), such as id and meta.
    extensions: each with whether it is required. The rest is derived:
    core: top-level attributes, common ones included, by lower-case name.
    containers: schema of an extension, by lower-case URI.
    places: every way to write a place, in lower case: plain, below its URI with colon or (RX-09) with dot,
    and extension attributes without URI where the name is unambiguous (FI-30, core names win).
    order: rank of a top-level name or qualified extension attribute; changes are listed by it.
    required_parts, immutable, read_only, unique, always, on_request: places with that characteristic. Members
    are kept elsewhere and have none; userName, whose uniqueness has a column of its own, is not among `unique`;
    of what is readOnly only whole attributes count, without the service's own.
    has_members: whether its resources have members, as groups do; those are kept as edges.
    stream: the kind of its resources' streams: `users` of `users/7f3a`.
    prepare_whole: by top-level name or extension URI; see `Attribute.prepare_whole`.
    unkept: attributes that are written but never read, such as password, with their paths: no value of theirs is
    stored. never_returned: their names in lower case.
    """

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[tuple[Schema, bool], ...]
    common: tuple[Attribute, ...]
    core: dict[str, Attribute] = {}
    containers: dict[str, Schema] = {}
    places: dict[str, Place] = {}
    order: dict[str, int] = {}
    required_parts: tuple[Place, ...] = ()
    immutable: tuple[Place, ...] = ()
    read_only: tuple[Place, ...] = ()
    unique: tuple[Place, ...] = ()
    always: tuple[Place, ...] = ()
    on_request: tuple[Place, ...] = ()
    unkept: dict[Attribute, str] = {}
    never_returned: frozenset[str] = frozenset()
    prepare_whole: dict[str, Callable[[Any], Any]] = {}
    has_members: bool = False
    stream: str = ""

    def __post_init__(self) -> None:
        top = (*self.common, *self.schema.attributes)
        extensions = [schema for schema, _ in self.extensions]
        qualified = [(schema.id, attribute) for schema in extensions for attribute in schema.attributes]
        ranks = [attribute.name for attribute in top] + [f"{urn}:{a.name}" for urn, a in qualified]
        force_setattr(self, "core", {attribute.name.lower(): attribute for attribute in top})
        force_setattr(self, "containers", {schema.id.lower(): schema for schema in extensions})
        force_setattr(self, "places", _places(self.schema.id, top, qualified))
        force_setattr(self, "order", {name: rank for rank, name in enumerate(ranks)})
        force_setattr(self, "prepare_whole", _prepare_whole(top, extensions))
        force_setattr(self, "has_members", any(attribute.edges for attribute in top))
        force_setattr(self, "stream", self.endpoint[1:].lower())
        own = list(_every_place([*((None, attribute) for attribute in self.schema.attributes), *qualified]))
        for name, places in _by_characteristic(own).items():
            force_setattr(self, name, places)
        whole = [*(Place(None, attribute) for attribute in self.common), *own]
        force_setattr(self, "always", tuple(place for place in whole if place.leaf.returned == "always"))
        force_setattr(self, "unkept", {place.leaf: place.path for place in own if place.leaf.returned == "never"})
        force_setattr(self, "never_returned", frozenset(attribute.name.lower() for attribute in self.unkept))

    def __repr__(self) -> str:
        return f"ResourceType({self.name})"


def _prepare_whole(top: tuple[Attribute, ...], extensions: list[Schema]) -> dict[str, Callable[[Any], Any]]:
    whole = {attribute.name: attribute.prepare_whole for attribute in top}
    for schema in extensions:
        parts = {attribute.name: attribute.prepare_whole for attribute in schema.attributes}
        whole[schema.id] = whole_preparation(same_value, parts, False)
    return whole


def _every_place(attributes: "list[tuple[str | None, Attribute]]") -> Iterator[Place]:
    """Every attribute and every sub-attribute, each once."""
    for urn, attribute in attributes:
        yield Place(urn, attribute)
        for sub in attribute.sub_attributes:
            yield Place(urn, attribute, sub)


def _by_characteristic(own: list[Place]) -> dict[str, tuple[Place, ...]]:
    """The tuples of places that `ResourceType` derives from its schemas."""
    stored = [place for place in own if not place.attribute.edges]
    return {
        "required_parts": tuple(place for place in stored if place.sub is not None and place.sub.required),
        "immutable": tuple(place for place in stored if place.leaf.mutability == "immutable"),
        "read_only": tuple(place for place in stored if place.sub is None and place.leaf.mutability == "readOnly"),
        "unique": tuple(p for p in stored if p.leaf.uniqueness != "none" and not p.leaf.as_user_name),
        "on_request": tuple(place for place in stored if place.leaf.returned == "request"),
    }


def _places(core_urn: str, top: tuple[Attribute, ...], qualified: list[tuple[str, Attribute]]) -> dict[str, Place]:
    """Every spelling of every place, in lower case; see `ResourceType.places`."""
    places: dict[str, Place] = {}
    unqualified: dict[str, int] = {}
    for _, attribute in qualified:
        unqualified[attribute.name.lower()] = unqualified.get(attribute.name.lower(), 0) + 1
    for urn, attribute in qualified:
        prefixes = [f"{urn}:", f"{urn}."]
        if unqualified[attribute.name.lower()] == 1:
            prefixes.append("")
        _write_places(places, prefixes, urn, attribute)
    for attribute in top:  # Last, so that a core name wins over an extension's.
        _write_places(places, ["", f"{core_urn}:", f"{core_urn}."], None, attribute)
    return places


def _write_places(places: dict[str, Place], prefixes: list[str], extension: str | None, attribute: Attribute) -> None:
    for prefix in prefixes:
        name = prefix.lower() + attribute.name.lower()
        places[name] = Place(extension, attribute)
        for sub in attribute.sub_attributes:
            places[f"{name}.{sub.name.lower()}"] = Place(extension, attribute, sub)


def describe_attribute(attribute: Attribute) -> JsonObject:
    """The attribute as /Schemas publishes it (RFC 7643 §7); members without value are left out (DI-14)."""
    described: JsonObject = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": attribute.mutability,
        "returned": attribute.returned,
        "uniqueness": attribute.uniqueness,
    }
    if attribute.canonical_values:
        described["canonicalValues"] = list(attribute.canonical_values)
    if attribute.reference_types:
        described["referenceTypes"] = list(attribute.reference_types)
    if attribute.sub_attributes:
        described["subAttributes"] = [describe_attribute(sub) for sub in attribute.sub_attributes]
    return described


def describe_schema(schema: Schema) -> JsonObject:
    """The schema as /Schemas publishes it, without `meta`, which needs the service's URL."""
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [describe_attribute(attribute) for attribute in schema.attributes],
    }


def describe_resource_type(resource_type: ResourceType) -> JsonObject:
    """The resource type as /ResourceTypes publishes it, without `meta` (RFC 7643 §6)."""
    described: JsonObject = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "id": resource_type.name,
        "name": resource_type.name,
        "endpoint": resource_type.endpoint,
        "description": resource_type.description,
        "schema": resource_type.schema.id,
    }
    if resource_type.extensions:
        described["schemaExtensions"] = [
            {"schema": schema.id, "required": required} for schema, required in resource_type.extensions
        ]
    return described
