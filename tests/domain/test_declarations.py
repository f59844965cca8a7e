"""Tenants' schemas: what is read, what is refused and why, what a later revision may change."""

import re
from pathlib import Path
from typing import Any

import pytest
from vectors import Json, patch_body

from domain.declarations import (
    EXTENSIONS_MAX,
    SCHEMAS_MAX,
    Declarations,
    declare,
    evolve,
    resource_types,
)
from domain.errors import Conflict, InvalidSyntax, InvalidValue, Mutability, OutdatedSchema, ScimError
from domain.events import AttributeChanged, Deactivated, ResourceCreated, ResourceDeleted
from domain.patches import apply_patch, read_patch
from domain.profiles import LENIENT, STRICT
from domain.resources import read_resource
from domain.schema_bodies import ATTRIBUTES_MAX, LIST, PARTS_MAX, RESOURCE_TYPE, SCHEMA, read_json
from domain.schemas import CORE_GROUP, CORE_USER, ENTERPRISE_USER, STANDARD, USER
from domain.search import search_document
from domain.selections import project, read_selection
from domain.users import User, change, create, delete, replace

ROOT = Path(__file__).resolve().parent.parent.parent
BADGE = "urn:contoso:scim:extension:Badge:1.0"
DEVICE = "urn:contoso:scim:core:Device:1.0"


def schema(*attributes: Json, urn: str = BADGE, **members: Any) -> Json:
    return {"schemas": [SCHEMA], "id": urn, "name": "Badge", "attributes": list(attributes)} | members


def attribute(name: str, **characteristics: Any) -> Json:
    return {"name": name} | characteristics


def device_type(*extensions: str, required: bool = False, **members: Any) -> Json:
    listed = [{"schema": urn, "required": required} for urn in extensions]
    document = {"schemas": [RESOURCE_TYPE], "name": "Device", "endpoint": "/Devices", "schema": DEVICE}
    return document | {"schemaExtensions": listed} | members


def declared(*bodies: Any, extends: str | None = None, required: bool = False) -> Declarations:
    """What these bodies make of nothing, one after the other."""
    present = Declarations()
    for body in bodies:
        for event in declare(present, body, extends=extends, required=required):
            present = evolve(present, event)
    return present


def types_of(*bodies: Any, extends: str | None = None, required: bool = False) -> Any:
    return resource_types(declared(*bodies, extends=extends, required=required)).by_name


DEVICES = [schema(attribute("serial", uniqueness="server"), attribute("active", type="boolean"), urn=DEVICE)]


def test_a_tenant_without_declarations_has_the_types_of_everybody() -> None:
    assert resource_types(Declarations()) is STANDARD


@pytest.mark.parametrize(
    "body",
    [
        [schema(attribute("site"), urn=BADGE), device_type(BADGE), *DEVICES],
        {"schemas": [LIST], "Resources": [device_type(BADGE), schema(attribute("site")), *DEVICES]},
    ],
    ids=["array", "list-response"],
)
def test_a_body_declares_in_any_order(body: Any) -> None:
    device = types_of(body)["Device"]
    assert (device.endpoint, device.stream, device.schema.id) == ("/Devices", "devices", DEVICE)
    assert [each.id for each, _ in device.extensions] == [BADGE]


def test_an_extension_is_added_to_those_there_are() -> None:
    """Whoever declares User with one extension does not take the standard one away, nor an earlier one."""
    other = schema(attribute("floor"), urn="urn:contoso:Desk")
    user = {"schemas": [RESOURCE_TYPE], "name": "User", "endpoint": "/Users", "schema": CORE_USER}
    user |= {"schemaExtensions": [{"schema": "urn:contoso:Desk", "required": True}]}
    extended = types_of(schema(attribute("code")), extends="User")
    assert [each.id for each, _ in extended["User"].extensions] == [ENTERPRISE_USER, BADGE]
    present = declared(schema(attribute("code")), extends="User")
    for event in declare(present, [other, user]):
        present = evolve(present, event)
    built = resource_types(present).by_name["User"]
    assert [(each.id, needed) for each, needed in built.extensions] == [
        (ENTERPRISE_USER, False), (BADGE, False), ("urn:contoso:Desk", True),
    ]  # fmt: skip
    assert declare(present, [other, user]) == [], "what is declared already is no event"


def test_defaults_are_those_of_the_rfc() -> None:
    """RFC 7643 §2.2; references and binary values are case exact (§2.3.6, §2.3.7)."""
    read = types_of(schema(attribute("code"), attribute("link", type="reference"), attribute("blob", type="binary")),
                    extends="User")["User"].containers[BADGE.lower()].by_name  # fmt: skip
    code = read["code"]
    assert (code.type, code.multi_valued, code.required, code.case_exact) == ("string", False, False, False)
    assert (code.mutability, code.returned, code.uniqueness) == ("readWrite", "default", "none")
    assert read["link"].case_exact and read["blob"].case_exact


def test_null_is_no_value_and_members_have_no_case() -> None:
    """Of a declaration as of every other body (RFC 7643 §2.1, §2.5), on every level."""
    plain = [
        schema(attribute("code", multiValued=True, subAttributes=[attribute("seat")], type="complex"), urn=BADGE),
        schema(attribute("serial"), urn=DEVICE),
        device_type(BADGE, required=True),
    ]
    code = {"NAME": "code", "Type": "complex", "multivalued": True, "caseExact": None, "description": None}
    code |= {"subattributes": [{"name": "seat", "Returned": None}], "canonicalValues": None, "none": None}
    kind = {"schemas": None, "Name": "Device", "ENDPOINT": "/Devices", "schema": DEVICE, "meta": None}
    kind |= {"schemaextensions": [{"Schema": BADGE, "REQUIRED": True}]}
    odd = {
        "Schemas": [LIST],
        "resources": [
            {"schemas": [SCHEMA], "ID": BADGE, "name": "Badge", "description": None, "Attributes": [code]},
            {"id": DEVICE, "name": "Badge", "attributes": [attribute("serial", required=None)]},
            kind,
        ],
    }
    assert declared(odd) == declared(plain)
    with pytest.raises(InvalidValue, match="attributes is an array"):
        declare(Declarations(), schema() | {"attributes": None})


WRONG: dict[str, tuple[Any, type[ScimError], str]] = {
    "nothing": ([], InvalidValue, "neither a Schema nor a ResourceType"),
    "text": ("x", InvalidValue, "send a Schema"),
    "element": ([5], InvalidValue, "JSON object"),
    "neither": ({"id": BADGE}, InvalidValue, "neither"),
    "message": ({"schemas": [CORE_USER], "attributes": []}, InvalidValue, "neither"),
    "schemas-number": (schema(attribute("a"), schemas=5), InvalidValue, "neither"),
    "schemas-text": (schema(attribute("a"), schemas=LIST), InvalidValue, "neither"),
    "null-attribute": (schema(None), InvalidValue, "name of an attribute"),  # type: ignore[arg-type]
    "no-urn": (schema(attribute("a"), urn="Badge"), InvalidValue, "URN"),
    "http": (schema(attribute("a"), urn="http://contoso.example/Badge"), InvalidValue, "URN"),
    "upper-urn": (schema(attribute("a"), urn="URN:contoso:Badge"), InvalidValue, "URN"),
    "blank-urn": (schema(attribute("a"), urn="urn:contoso:my badge"), InvalidValue, "URN"),
    "long-urn": (schema(attribute("a"), urn="urn:contoso:" + "x" * 200), InvalidValue, "URN"),
    "standard": (schema(attribute("a"), urn=CORE_USER), Conflict, "standard"),
    "enterprise": (schema(attribute("a"), urn=ENTERPRISE_USER.upper().replace("URN:", "urn:")), Conflict, "standard"),
    "message-urn": (schema(attribute("a"), urn=LIST), InvalidValue, "message"),
    "no-attributes": (schema(), InvalidValue, "1 to"),
    "many": (schema(*(attribute(f"a{n}") for n in range(ATTRIBUTES_MAX + 1))), InvalidValue, "1 to"),
    "no-name": (schema({"type": "string"}), InvalidValue, "name of an attribute"),
    "bad-name": (schema(attribute("2nd")), InvalidValue, "'2nd'"),
    "dotted-name": (schema(attribute("a.b")), InvalidValue, "'a.b'"),
    "ref-name": (schema(attribute("$ref")), InvalidValue, "'$ref'"),
    "unicode-name": (schema(attribute("größe")), InvalidValue, "name of an attribute"),
    "grammar": (schema(attribute("not")), InvalidValue, "filter grammar"),
    "twice": (schema(attribute("a"), attribute("A")), InvalidValue, "there twice"),
    "typo": (schema(attribute("a", mutabilty="readOnly")), InvalidValue, "mutabilty"),
    "unknown-type": (schema(attribute("a", type="text")), InvalidValue, "type is one of"),
    "mutability": (schema(attribute("a", mutability="readonly")), InvalidValue, "mutability is one of"),
    "returned": (schema(attribute("a", returned="maybe")), InvalidValue, "returned is one of"),
    "uniqueness": (schema(attribute("a", uniqueness="tenant")), InvalidValue, "uniqueness is one of"),
    "boolean": (schema(attribute("a", required="true")), InvalidValue, "required is true or false"),
    "description": (schema(attribute("a", description=5)), InvalidValue, "description is a string"),
    "canonical": (schema(attribute("a", canonicalValues="x")), InvalidValue, "canonicalValues is an array"),
    "canonical-number": (schema(attribute("a", type="integer", canonicalValues=["1"])), InvalidValue, "for strings"),
    "no-reference": (schema(attribute("a", referenceTypes=["User"])), InvalidValue, "no reference"),
    "no-parts": (schema(attribute("a", type="complex")), InvalidValue, "needs 1 to"),
    "parts": (schema(attribute("a", subAttributes=[attribute("b")])), InvalidValue, "type is complex"),
    "nested": (
        schema(attribute("a", type="complex", subAttributes=[
            attribute("b", type="complex", subAttributes=[attribute("c")])])),
        InvalidValue, f"{BADGE}: a.b is complex",
    ),
    "many-parts": (
        schema(attribute("a", type="complex", subAttributes=[attribute(f"s{n}") for n in range(PARTS_MAX + 1)])),
        InvalidValue, "needs 1 to",
    ),
    "plural-part": (
        schema(attribute("a", type="complex", subAttributes=[attribute("b", multiValued=True)])),
        InvalidValue, "has one value",
    ),
    "primary": (
        schema(attribute("a", type="complex", multiValued=True, subAttributes=[attribute("primary")])),
        InvalidValue, "boolean",
    ),
    "write-only": (schema(attribute("a", mutability="writeOnly")), InvalidValue, "has to be never"),
    "never-required": (schema(attribute("a", returned="never", required=True)), InvalidValue, "could be required"),
    "never-unique": (schema(attribute("a", returned="never", uniqueness="server")), InvalidValue, "could be unique"),
    "never-immutable": (
        schema(attribute("a", returned="never", mutability="immutable")), InvalidValue, "could be immutable",
    ),
    "read-only-required": (schema(attribute("a", mutability="readOnly", required=True)), InvalidValue, "nobody"),
    "unique-boolean": (schema(attribute("a", type="boolean", uniqueness="server")), InvalidValue, "is boolean"),
    "binary": (schema(attribute("a", type="binary", caseExact=False)), InvalidValue, "case exact"),
    "no-endpoint": ([*DEVICES, device_type(endpoint="Devices")], InvalidValue, "one path segment"),
    "two-segments": ([*DEVICES, device_type(endpoint="/my/Devices")], InvalidValue, "one path segment"),
    "our-endpoint": ([*DEVICES, device_type(endpoint="/Bulk")], Conflict, "taken"),
    "our-stream": ([*DEVICES, device_type(endpoint="/Tokens")], Conflict, "taken"),
    "version": ([*DEVICES, device_type(endpoint="/v3")], Conflict, "taken"),
    "later-version": ([*DEVICES, device_type(endpoint="/V10")], Conflict, "taken"),
    "users": ([*DEVICES, device_type(endpoint="/users")], Conflict, "taken"),
    "name-case": ([*DEVICES, device_type(name="user")], Conflict, "another spelling"),
    "other-user": ([*DEVICES, device_type(name="User")], Conflict, "User stays at /Users"),
    "no-schema": (device_type(), InvalidValue, "not one that you declared"),
    "standard-core": (device_type(schema=CORE_GROUP), InvalidValue, "not one that you declared"),
    "no-extension": ([*DEVICES, device_type(BADGE)], InvalidValue, "no declared schema"),
    "itself": ([*DEVICES, device_type(DEVICE)], InvalidValue, "no declared schema"),
    "core-extension": ([*DEVICES, device_type(CORE_USER)], InvalidValue, "no declared schema"),
    "extension-form": ([*DEVICES, device_type(schemaExtensions=[BADGE])], InvalidValue, "array of objects"),
    "type-typo": ([*DEVICES, device_type(schemaExtension=[])], InvalidValue, "schemaExtension"),
    "common": ([schema(attribute("externalId"), urn=DEVICE), device_type()], Conflict, "every resource has"),
    "active": ([schema(attribute("active"), urn=DEVICE), device_type()], Conflict, "active has to be"),
    "two-meanings": (
        [*DEVICES, schema(attribute("b"), urn="urn:con:x"), schema(attribute("a"), urn="urn:con:x:b"),
         device_type("urn:con:x", "urn:con:x:b")],
        Conflict, "would mean",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "refusal", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_schema_is_refused_and_named(body: Any, refusal: type[ScimError], words: str) -> None:
    with pytest.raises(refusal) as caught:
        declare(Declarations(), body)
    assert words in caught.value.detail
    assert "\n" not in caught.value.detail


def test_a_dollar_sign_may_stand_in_a_name_but_not_begin_it() -> None:
    """RS-13; only `$ref` begins with one, and is a part."""
    read = types_of(schema(attribute("cost$code"), attribute("a$"), attribute("b", type="complex", subAttributes=[
        attribute("c$d"), attribute("$ref", type="reference")])), extends="User")["User"]  # fmt: skip
    assert {f"{BADGE}:cost$code".lower(), "a$", "b.c$d", "b.$ref"} <= read.places.keys()
    for name in ("$", "$code", "_a"):
        with pytest.raises(InvalidValue, match="dollar signs; this is none"):
            declare(Declarations(), schema(attribute(name)))
    for wrong in (device_type(name="De$ice"), device_type(endpoint="/De$ices")):
        with pytest.raises(InvalidValue):
            declare(Declarations(), [*DEVICES, wrong])


@pytest.mark.parametrize(
    "urn",
    [
        "urn:ietf:params:scim:schemas:core:2.0:Device",
        "urn:ietf:params:scim:schemas:CORE:2.0:schema",
        "urn:ietf:params:scim:schemas:core:2.0:User:contoso",
        "urn:ietf:params:scim:schemas:core",
        "urn:scim:schemas:core:1.0",
        "urn:ietf:params:scim:event:prov:create:full",
        "urn:ietf:params:scim:events:Badge",
        "urn:ietf:params:scim:api",
        "urn:ietf:params:scim:API:messages:2.0:Badge",
    ],
)
def test_a_urn_of_the_standard_is_no_tenants(urn: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(urn)):
        declare(Declarations(), schema(attribute("a"), urn=urn), extends="User")


@pytest.mark.parametrize(
    "urn", [f"urn:ietf:params:scim:schemas:extension:{name}:2.0:User" for name in ("Contoso", "core", "enterprises")]
)
def test_a_urn_as_entra_suggests_it_is_a_tenants(urn: str) -> None:
    assert types_of(schema(attribute("a"), urn=urn), extends="User")["User"].containers[urn.lower()]


def test_what_was_declared_under_earlier_rules_can_be_revised() -> None:
    """A schema is never withdrawn, so its URN has to stay good for its own next revision."""
    urn = "urn:ietf:params:scim:schemas:core:2.0:Device"
    present = Declarations({urn: schema(attribute("serial"), urn=urn)})
    (event,) = declare(present, schema(attribute("serial"), attribute("site"), urn=urn))
    assert len(evolve(present, event).schemas[urn]["attributes"]) == 2


@pytest.mark.parametrize(
    "name",
    [
        "Schema", "ResourceType", "ServiceProviderConfig", "ListResponse", "Error", "BulkRequest", "BulkResponse",
        "SearchRequest", "PatchOp", "Me", "Bulk", "SCHEMA", "patchOP",
    ],
)  # fmt: skip
def test_a_word_of_scim_names_no_resource_type(name: str) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is a word of SCIM's own"):
        declare(Declarations(), [*DEVICES, device_type(name=name)])


def test_an_endpoint_may_begin_as_a_version_does() -> None:
    assert types_of([*DEVICES, device_type(endpoint="/v2x")])["Device"].endpoint == "/v2x"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([schema(attribute("a")), schema(attribute("b"))], f"schema {BADGE}"),
        ([schema(attribute("a")), schema(attribute("a"))], f"schema {BADGE}"),
        ([schema(attribute("a")), schema(attribute("a"), urn=BADGE.replace("Badge", "BADGE"))], f"schema {BADGE}"),
        ([*DEVICES, device_type(), device_type(endpoint="/Things")], "resource type Device"),
        ([*DEVICES, device_type(), device_type(name="DEVICE", endpoint="/Things")], "resource type Device"),
    ],
    ids=["other", "same", "schema-case", "type", "type-case"],
)
def test_nothing_is_declared_twice_at_once(body: Any, named: str) -> None:
    """Which of the two was meant cannot be known; the second one silently won."""
    for sent in (body, {"schemas": [LIST], "Resources": body}):
        with pytest.raises(InvalidValue, match=re.escape(named) + " is declared twice"):
            declare(Declarations(), sent)


def test_a_body_and_its_parameters_do_not_both_say_what_extends_a_type() -> None:
    user = {"schemas": [RESOURCE_TYPE], "name": "User", "endpoint": "/Users", "schema": CORE_USER}
    user |= {"schemaExtensions": [{"schema": BADGE, "required": True}]}
    with pytest.raises(InvalidValue, match="says what extends User"):
        declare(Declarations(), [schema(attribute("a")), user], extends="User")


@pytest.mark.parametrize("name", ["userName", "USERNAME", "active", "externalId", "groups"])
def test_an_extension_takes_no_name_of_the_core(name: str) -> None:
    with pytest.raises(Conflict, match="core attribute of User"):
        declare(Declarations(), schema(attribute(name)), extends="User")


@pytest.mark.parametrize("extends", ["Device", "user", ""])
def test_only_a_type_that_is_there_is_extended(extends: str) -> None:
    with pytest.raises(InvalidValue, match="no resource type"):
        declare(Declarations(), schema(attribute("a")), extends=extends)


def test_there_is_an_end_to_it() -> None:
    with pytest.raises(Conflict, match=f"at most {SCHEMAS_MAX}"):
        declare(Declarations(), [schema(attribute("a"), urn=f"urn:con:s{n}") for n in range(SCHEMAS_MAX + 1)])
    with pytest.raises(Conflict, match=f"at most {EXTENSIONS_MAX}"):
        declare(
            Declarations(), [schema(attribute("a"), urn=f"urn:con:s{n}") for n in range(EXTENSIONS_MAX)], extends="User"
        )


@pytest.mark.parametrize("raw", [b"", b"[", b"[1]]", b'[],"x":1', b"[1,]", b"\xff", b'{"a":1,"A":2}'])
def test_what_is_no_json_is_no_schema(raw: bytes) -> None:
    with pytest.raises(InvalidSyntax):
        read_json(raw)
    assert read_json(b" [1] ") == [1]


# --- revisions

FIRST = schema(
    attribute("code", caseExact=True, uniqueness="server"),
    attribute("level", type="integer"),
    attribute("pin", returned="never", mutability="writeOnly"),
    attribute("locks", type="complex", multiValued=True, subAttributes=[attribute("value"), attribute("type")]),
)


def revised(**changes: Any) -> Json:
    """FIRST with the characteristics of some attributes changed; None takes the attribute away."""
    attributes = [each | changes.get(each["name"], {}) for each in FIRST["attributes"]
                  if changes.get(each["name"], {}) is not None]  # fmt: skip
    return FIRST | {"attributes": [*attributes, *changes.get("more", [])]}


@pytest.mark.parametrize(
    "later",
    [
        revised(more=[attribute("floor", required=True)]),
        revised(code={"description": "On the back.", "canonicalValues": ["A"]}),
        revised(level={"required": True, "mutability": "immutable", "returned": "request"}),
        revised(level={"mutability": "readOnly", "returned": "always"}),
        revised(locks={"subAttributes": [attribute("value", required=True), attribute("type"), attribute("display")]}),
    ],
)
def test_a_revision_may_change_what_concerns_requests_to_come(later: Json) -> None:
    present = declared(FIRST, extends="User")
    (event,) = declare(present, later)
    assert resource_types(evolve(present, event)).by_name["User"].containers


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (revised(code=None), "code is missing"),
        (revised(locks={"subAttributes": [attribute("value")]}), "locks.type is missing"),
        (revised(code={"name": "Code"}), "code is missing"),
        (revised(level={"type": "string"}), "type stays integer"),
        (revised(level={"multiValued": True}), "multiValued stays false"),
        (revised(code={"caseExact": False}), "caseExact stays true"),
        (revised(code={"uniqueness": "none"}), "uniqueness stays server"),
        (revised(level={"uniqueness": "global"}), "uniqueness stays none"),
        (revised(level={"returned": "never"}), "returned stays default"),
        (revised(pin={"returned": "default", "mutability": "readWrite"}), "returned stays never"),
        (
            revised(locks={"subAttributes": [attribute("value", mutability="readOnly"), attribute("type")]}),
            "cannot become readOnly",
        ),
        (FIRST | {"id": BADGE.replace("Badge", "BADGE")}, "in this spelling"),
    ],
)
def test_a_revision_changes_nothing_that_decided_how_values_were_stored(later: Json, words: str) -> None:
    with pytest.raises(Conflict) as caught:
        declare(declared(FIRST, extends="User"), later)
    assert words in caught.value.detail


def test_a_resource_type_stays_where_it_is() -> None:
    present = declared([*DEVICES, device_type()])
    for moved in (device_type(endpoint="/Things"), device_type(schema=BADGE)):
        with pytest.raises(Conflict, match="Device stays at /Devices"):
            declare(present, [schema(attribute("x")), moved])


# --- what the characteristics do, decided in memory

TYPES = types_of(
    schema(
        attribute("code", mutability="immutable"),
        attribute("frozen"),
        attribute("pin", returned="never", mutability="writeOnly"),
        attribute("hint", returned="request"),
        attribute("label", returned="always"),
        attribute("desk", type="complex", subAttributes=[
            attribute("floor", mutability="immutable"), attribute("seat", required=True),
            attribute("key", returned="never"), attribute("note", returned="request"),
        ]),
        attribute("locks", type="complex", multiValued=True, subAttributes=[
            attribute("value", caseExact=True), attribute("type", caseExact=True),
            attribute("since", type="dateTime", mutability="immutable"),
        ]),
        attribute("hired", type="dateTime", mutability="immutable"),
        attribute("leaves", type="dateTime"),
        attribute("terms", type="dateTime", multiValued=True, mutability="immutable"),
        attribute("pass", type="complex", subAttributes=[
            attribute("from", type="dateTime", mutability="immutable"), attribute("zone"),
        ]),
    ),
    extends="User",
)  # fmt: skip
EXTENDED = TYPES["User"]
PLACE = f"{BADGE}:{{}}".format


def user(**badge: Any) -> User:
    return User("u", {"userName": "ada"} | ({BADGE: badge} if badge else {}), 1)


def patched(state: User, *operations: Json) -> list[Any]:
    asked = read_patch(patch_body(*operations), EXTENDED, LENIENT)
    return change(state, apply_patch(asked, state.resource), EXTENDED)


def put(state: User, **badge: Any) -> list[Any]:
    body = {"schemas": [CORE_USER], "userName": "ada"} | ({BADGE: badge} if badge else {})
    return replace(state, read_resource(body, EXTENDED, LENIENT), EXTENDED)


def test_a_value_that_is_never_returned_leaves_a_receipt_only() -> None:
    given = {"pin": "1234", "desk": {"seat": "7", "key": "k"}}
    created, *receipts = create("u", read_resource({"userName": "ada", BADGE: given}, EXTENDED, LENIENT), EXTENDED)
    assert created.resource == {"userName": "ada", BADGE: {"desk": {"seat": "7"}}}
    assert receipts == [AttributeChanged(PLACE("pin"), None, None), AttributeChanged(PLACE("desk.key"), None, None)]
    for operation in (
        {"op": "add", "path": PLACE("pin"), "value": "1"},
        {"op": "replace", "value": {PLACE("pin"): "1"}},
        {"op": "add", "path": BADGE, "value": {"pin": "1"}},
    ):
        assert patched(user(), operation) == [AttributeChanged(PLACE("pin"), None, None)]
    key = {"op": "replace", "path": PLACE("desk.key"), "value": "1"}
    assert patched(user(), key) == [AttributeChanged(PLACE("desk.key"), None, None)]
    assert patched(user(), {"op": "remove", "path": PLACE("pin")}) == []
    with pytest.raises(InvalidValue, match="pin takes a string"):
        patched(user(), {"op": "add", "path": PLACE("pin"), "value": 1})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": PLACE("code"), "value": "B"},
        {"op": "remove", "path": PLACE("code")},
        {"op": "remove", "path": BADGE},
        {"op": "replace", "path": PLACE("desk.floor"), "value": "2"},
        {"op": "remove", "path": PLACE("desk")},
        {"op": "replace", "path": PLACE("locks"), "value": [{"value": "a", "since": "2025-01-01T00:00:00Z"}]},
        {"op": "replace", "path": PLACE('locks[value eq "a"].since'), "value": "2025-01-01T00:00:00Z"},
    ],
)
def test_an_immutable_value_stays(operation: Json) -> None:
    state = user(code="A", desk={"floor": "1", "seat": "7"}, locks=[{"value": "a", "since": "2024-01-01T00:00:00Z"}])
    with pytest.raises(Mutability, match="immutable"):
        patched(state, operation)


def test_an_immutable_value_is_set_once_and_repeated() -> None:
    assert patched(user(frozen="x"), {"op": "add", "path": PLACE("code"), "value": "A"})
    desk = {"floor": "1", "seat": "7"}
    assert put(user(code="A", desk=desk), code="A", desk=desk) == []
    for badge in ({"desk": desk}, {"code": "B", "desk": desk}, {"code": "A"}, {"code": "A", "desk": {"seat": "7"}}):
        with pytest.raises(Mutability, match="immutable"):
            put(user(code="A", desk=desk), **badge)
    gone = {"op": "remove", "path": PLACE('locks[value eq "a"]')}
    assert patched(user(locks=[{"value": "a", "since": "2024-01-01T00:00:00Z"}]), gone), "elements come and go"


NOON, SAME, LATER = "2024-05-01T12:00:00Z", "2024-05-01T14:00:00.000+02:00", "2024-05-01T12:00:01Z"
DATED = {"hired": NOON, "terms": [NOON], "pass": {"from": NOON}, "locks": [{"value": "a", "since": NOON}]}


def redated(written: str) -> Json:
    """DATED, with all dates as this one."""
    return {
        "hired": written, "terms": [written], "pass": {"from": written}, "locks": [{"value": "a", "since": written}],
    }  # fmt: skip


def test_an_immutable_date_is_the_same_in_another_zone() -> None:
    """PU-06, PD-03: dates compare as instants, and what is stored stays as it was written."""
    state = user(**DATED)
    assert put(state, **redated(SAME)) == []
    assert patched(state, *({"op": "replace", "path": PLACE(n), "value": v} for n, v in redated(SAME).items())) == []
    assert patched(state, {"op": "add", "path": BADGE, "value": redated(SAME)}) == []
    for path in (PLACE("pass.from"), PLACE('locks[value eq "a"].since'), PLACE("locks.since")):
        assert patched(state, {"op": "replace", "path": path, "value": SAME}) == []
    beside = {**redated(SAME), "pass": {"from": SAME, "zone": "north"}}
    (change,) = put(state, **beside)
    assert change.after == {"from": NOON, "zone": "north"}


@pytest.mark.parametrize("name", DATED)
def test_an_immutable_date_is_no_other_instant(name: str) -> None:
    """A second later is another one; and a date that may change is kept as it is sent."""
    later = redated(LATER)[name]
    with pytest.raises(Mutability, match="immutable"):
        put(user(**DATED), **{**DATED, name: later})
    with pytest.raises(Mutability, match="immutable"):
        patched(user(**DATED), {"op": "replace", "path": PLACE(name), "value": later})
    assert put(user(leaves=NOON), leaves=SAME) == [AttributeChanged(PLACE("leaves"), NOON, SAME)]


def test_case_exact_tells_elements_apart() -> None:
    """Also where the type of an element is case exact (PD-09)."""
    state = user(locks=[{"value": "a", "type": "x"}])
    for other in ({"value": "A", "type": "x"}, {"value": "a", "type": "X"}):
        (changed,) = patched(state, {"op": "add", "path": PLACE("locks"), "value": [other]})
        assert len(changed.after) == 2


def test_what_was_frozen_later_survives_a_put() -> None:
    """PU-05: what is readOnly is ignored in the body, and so it stays."""
    present = declared(schema(attribute("code"), attribute("frozen")), extends="User")
    for event in declare(present, schema(attribute("code"), attribute("frozen", mutability="readOnly"))):
        present = evolve(present, event)
    kind = resource_types(present).by_name["User"]
    state = user(code="A", frozen="x")
    reading = read_resource({"userName": "ada", BADGE: {"frozen": "y"}}, kind, LENIENT)
    assert replace(state, reading, kind) == [AttributeChanged(PLACE("code"), "A", None)]
    asked = read_patch(patch_body({"op": "remove", "path": BADGE}), kind, LENIENT)
    assert apply_patch(asked, state.resource).resource == {"userName": "ada", BADGE: {"frozen": "x"}}


def test_a_part_that_is_required_is_asked_for() -> None:
    with pytest.raises(InvalidValue, match=r"desk\.seat is required"):
        put(user(), desk={"floor": "1"})
    with pytest.raises(InvalidValue, match=r"desk\.seat is required"):
        patched(user(), {"op": "add", "path": PLACE("desk"), "value": {"floor": "1"}})
    for blank in ("", "  "):
        with pytest.raises(InvalidValue, match=r"desk\.seat is required"):
            put(user(), desk={"seat": blank})
        with pytest.raises(InvalidValue, match=r"desk\.seat is required"):
            patched(user(desk={"seat": "7"}), {"op": "replace", "path": PLACE("desk.seat"), "value": blank})
    with pytest.raises(Mutability, match=r"desk\.seat is required"):
        patched(user(desk={"seat": "7"}), {"op": "remove", "path": PLACE("desk.seat")})


NEEDED = types_of(schema(attribute("code", required=True), attribute("on", type="boolean", required=True)),
                  extends="User", required=True)["User"]  # fmt: skip


def test_a_required_extension_is_asked_for() -> None:
    for body, words in (
        ({"userName": "ada"}, f"{BADGE} is required"),
        ({"userName": "ada", BADGE: {"code": "A"}}, "on is required"),
        ({"userName": "ada", BADGE: {"on": False, "code": ""}}, "code is required"),
        ({"userName": "ada", BADGE: {"on": False, "code": " \t"}}, "code is required"),
    ):
        for profile in (LENIENT, STRICT):
            with pytest.raises(InvalidValue, match=words):
                read_resource({"schemas": [CORE_USER, BADGE], **body}, NEEDED, profile)
    read_resource({"userName": "ada", BADGE: {"code": "A", "on": False}}, NEEDED, LENIENT)
    with pytest.raises(Mutability, match="is required"):
        read_patch(patch_body({"op": "remove", "path": BADGE}), NEEDED, LENIENT)


def test_who_has_blanks_where_a_value_is_required_can_still_be_disabled() -> None:
    """They may have been recorded before blanks counted as empty."""
    state = user(code="  ", on=True)
    asked = read_patch(patch_body({"op": "replace", "path": "active", "value": False}), NEEDED, LENIENT)
    assert change(state, apply_patch(asked, state.resource), NEEDED) == [Deactivated(None)]


def test_who_lacks_what_a_later_revision_requires_can_still_be_disabled() -> None:
    state = user()
    asked = read_patch(patch_body({"op": "replace", "path": "active", "value": False}), NEEDED, LENIENT)
    assert change(state, apply_patch(asked, state.resource), NEEDED) == [Deactivated(None)]


SHOWN = {
    "schemas": [CORE_USER, BADGE],
    "id": "u",
    "userName": "ada",
    BADGE: {"code": "A", "hint": "h", "label": "L", "desk": {"floor": "1", "seat": "7", "note": "n"}},
}


@pytest.mark.parametrize(
    ("attributes", "excluded", "badge"),
    [
        (None, None, {"code": "A", "label": "L", "desk": {"floor": "1", "seat": "7"}}),
        ("userName", None, {"label": "L"}),
        (PLACE("hint"), None, {"label": "L", "hint": "h"}),
        ("hint,desk.note", None, {"label": "L", "hint": "h", "desk": {"note": "n"}}),
        (BADGE, None, {"code": "A", "label": "L", "desk": {"floor": "1", "seat": "7"}}),
        (f"{BADGE},{PLACE('hint')}", None, {"code": "A", "label": "L", "hint": "h",
                                           "desk": {"floor": "1", "seat": "7"}}),
        (None, BADGE, {"label": "L"}),
        (None, PLACE("label"), {"code": "A", "label": "L", "desk": {"floor": "1", "seat": "7"}}),
        (None, "code,desk.floor", {"label": "L", "desk": {"seat": "7"}}),
    ],
)  # fmt: skip
def test_returned_holds_wherever_an_attribute_stands(attributes: Any, excluded: Any, badge: Json) -> None:
    shown = project(SHOWN, read_selection(attributes, excluded, EXTENDED))
    assert shown[BADGE] == badge
    assert shown["id"] == "u", "returned always"


def test_the_answer_to_a_write_shows_what_it_wrote() -> None:
    """PJ-09: also what is returned on request; but not what the client excluded."""
    whole = read_selection(None, None, EXTENDED)
    assert whole is not None
    assert project(SHOWN, whole.after_writing({PLACE("hint")}))[BADGE]["hint"] == "h"
    excluded = read_selection(None, PLACE("hint"), EXTENDED)
    assert excluded is not None
    assert "hint" not in project(SHOWN, excluded.after_writing({PLACE("hint")}))[BADGE]


def test_a_part_that_is_always_returned_comes_with_its_attribute() -> None:
    kind = types_of(
        schema(attribute("desk", type="complex", subAttributes=[attribute("seat", returned="always"), attribute("f")])),
        extends="User",
    )["User"]
    shown = {"id": "u", "userName": "ada", BADGE: {"desk": {"seat": "7", "f": "1"}}}
    assert project(shown, read_selection("desk.f", None, kind)) == {"id": "u", BADGE: {"desk": {"seat": "7", "f": "1"}}}
    assert project(shown, read_selection("userName", None, kind)) == {"id": "u", "userName": "ada"}
    assert project(shown, read_selection(None, "desk.seat", kind)) == shown
    assert project(shown, read_selection(None, "desk", kind)) == {"id": "u", "userName": "ada"}


def test_a_resource_of_a_tenants_type_has_events_of_its_own() -> None:
    device = types_of([*DEVICES, device_type()])["Device"]
    reading = read_resource({"schemas": [DEVICE], "serial": "7", "active": True}, device, STRICT)
    assert create("d", reading, device) == [ResourceCreated("Device", "d", {"serial": "7", "active": True})]
    state = User("d", reading.resource, 1)
    asked = read_patch(patch_body({"op": "replace", "path": f"{DEVICE}:active", "value": False}), device, STRICT)
    assert change(state, apply_patch(asked, state.resource), device) == [Deactivated()]
    assert delete(state, device) == [ResourceDeleted()]


def test_the_standard_types_ask_for_nothing_new() -> None:
    """So that the hot path has nothing to do: no place of theirs is unique, immutable or on request."""
    for kind in STANDARD.types:
        assert (kind.unique, kind.immutable, kind.on_request, kind.required_parts) == ((), (), (), ())
    assert STANDARD.never_returned == {"password"}
    assert [place.path for place in USER.always] == ["schemas", "id"]


def test_a_process_that_does_not_know_a_new_attribute_yet_asks_to_come_again() -> None:
    """Another process stored it a moment ago: changing the rest by the old schema would lose or misread it."""
    for kind, resource in (
        (USER, {"userName": "ada", BADGE: {"label": "A"}}),
        (EXTENDED, {"userName": "ada", BADGE: {"label": "A", "brandNew": 1}}),
        (EXTENDED, {"userName": "ada", BADGE: {"desk": {"brandNew": 1}}}),
    ):
        with pytest.raises(OutdatedSchema):
            search_document(resource, kind)
        put = read_resource({"userName": "ada", "title": "x", BADGE: {"label": "L"}}, kind, LENIENT)
        if "desk" not in resource[BADGE]:
            with pytest.raises(OutdatedSchema):
                replace(User("u", resource, 1), put, kind)


@pytest.mark.parametrize("block", re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
def test_the_schemas_of_the_readme_can_be_declared(block: str) -> None:
    body = read_json(block.encode())
    assert declare(Declarations(), body, extends=None if isinstance(body, list) else "User")
