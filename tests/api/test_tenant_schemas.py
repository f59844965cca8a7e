"""A tenant's own schemas and resource types over HTTP: declared, served, asked about, and nobody else's business."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from issuing import setting, token_with
from looking import Past
from speaking import (
    ENTERPRISE,
    GROUP,
    USER,
    Json,
    Speaker,
    eq,
    eventually,
    fresh,
    group_body,
    list_of,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
    version_of,
    walk,
    where,
)

from ledger.reader import Reader
from projections.replay import replay
from tests.running import NO_TLS

SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
BADGE = "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User"
DEVICE = "urn:contoso:scim:schemas:core:Device:1.0"
LEASE = "urn:contoso:scim:schemas:extension:Lease:1.0"
PIN = "4711-Secret"
AT_ONCE_S = 1.0  # What a running service may take to have a new schema.
PATIENCE_S = 10.0  # Of tests that are about something else.

BADGE_SCHEMA: Json = {
    "schemas": [SCHEMA],
    "id": BADGE,
    "name": "Badge",
    "description": "Badges of Contoso.",
    "attributes": [
        {"name": "code", "caseExact": True, "uniqueness": "server", "description": "On the back."},
        {"name": "costCode", "description": "Who pays."},
        {"name": "level", "type": "integer"},
        {"name": "hired", "type": "dateTime", "mutability": "immutable"},
        {"name": "pin", "mutability": "writeOnly", "returned": "never"},
        {"name": "hint", "returned": "request"},
        {"name": "label", "returned": "always"},
        {"name": "desk", "type": "complex", "subAttributes": [{"name": "floor"}, {"name": "seat"}]},
        {
            "name": "locks",
            "type": "complex",
            "multiValued": True,
            "subAttributes": [
                {"name": "value", "uniqueness": "server"},
                {"name": "type", "canonicalValues": ["door", "gate"]},
                {"name": "primary", "type": "boolean"},
            ],
        },
    ],
}
DEVICES: list[Json] = [
    {
        "schemas": [SCHEMA],
        "id": DEVICE,
        "name": "Device",
        "attributes": [
            {"name": "serial", "required": True, "uniqueness": "server", "mutability": "immutable"},
            {"name": "displayName"},
            {"name": "active", "type": "boolean"},
            {"name": "ports", "type": "integer", "multiValued": True},
            {"name": "secret", "mutability": "writeOnly", "returned": "never"},
        ],
    },
    {"schemas": [SCHEMA], "id": LEASE, "name": "Lease", "attributes": [{"name": "until", "type": "dateTime"}]},
    {
        "schemas": [RESOURCE_TYPE],
        "name": "Device",
        "endpoint": "/Devices",
        "description": "Things with a plug.",
        "schema": DEVICE,
        "schemaExtensions": [{"schema": LEASE, "required": False}],
    },
]


class Admin:
    """The admin of a tenant, at /api/{tenant}."""

    def __init__(self, speaker: Speaker) -> None:
        self.api = httpx.Client(
            base_url=f"{speaker.service.base_url}/api/{speaker.slug}",
            headers={"Authorization": f"Bearer {token_with(speaker, 'admin')}"},
            timeout=30,
            verify=NO_TLS,
        )

    def declare(self, body: Any, **parameters: str) -> Json:
        response = self.api.post("/schemas", json=body, params=parameters)
        assert response.status_code == 200, response.text
        revised: Json = response.json()
        return revised


def shown_schemas(speaker: Speaker) -> set[str]:
    return {schema["id"] for schema in speaker.read("/Schemas")["Resources"]}


def wait_for(speaker: Speaker, urn: str) -> None:
    """Until the running service has a schema."""
    assert eventually(lambda: urn in shown_schemas(speaker), PATIENCE_S)


@pytest.fixture(scope="module")
def contoso(service: Any) -> Past:
    """A tenant with an extension of User and a resource type of its own."""
    speaker = Past(service)
    admin = Admin(speaker)
    admin.declare(BADGE_SCHEMA, extends="User")
    admin.declare(DEVICES)
    wait_for(speaker, DEVICE)
    return speaker


@pytest.fixture(scope="module")
def fabrikam(service: Any) -> Speaker:
    """A tenant that declared the same URN with another meaning, and no devices."""
    speaker = Speaker(service)
    Admin(speaker).declare({"schemas": [SCHEMA], "id": BADGE, "attributes": [{"name": "level"}]}, extends="User")
    wait_for(speaker, BADGE)
    return speaker


@pytest.fixture(scope="module", autouse=True)
def replayed(contoso: Speaker, fabrikam: Speaker) -> Iterator[None]:
    """After everything in this file: what both tenants' entries add up to is what stands in the tables."""
    yield
    for speaker in (contoso, fabrikam):
        with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
            told = replay(Reader(connection, tenant, vault))
        assert told.differences == []
        assert told.rows["schema_declarations"] == len(DEVICES) + 2 if speaker is contoso else 2


def badged(speaker: Speaker, **badge: Any) -> Json:
    return speaker.user(**{"schemas": [USER, BADGE], BADGE: badge})


def device(speaker: Speaker, serial: str | None = None, **attributes: Any) -> Json:
    return speaker.post("/Devices", {"schemas": [DEVICE], "serial": serial or fresh("SN")} | attributes)


# --- discovery


def test_discovery_tells_each_tenant_its_own(contoso: Speaker, fabrikam: Speaker, lenient: Speaker) -> None:
    standard = {USER, GROUP, ENTERPRISE}
    assert shown_schemas(lenient) == standard
    assert shown_schemas(fabrikam) == standard | {BADGE}
    assert shown_schemas(contoso) == standard | {BADGE, DEVICE, LEASE}
    assert refused(lenient.get(f"/Schemas/{BADGE}"), 404)
    published = contoso.read(f"/Schemas/{BADGE.upper()}")
    assert published["meta"]["location"].endswith(f"/Schemas/{BADGE}")
    code, pin = published["attributes"][0], published["attributes"][4]
    assert (code["type"], code["caseExact"], code["uniqueness"], code["returned"]) == (
        "string", True, "server", "default",
    )  # fmt: skip
    assert (pin["mutability"], pin["returned"]) == ("writeOnly", "never")
    types = {each["name"]: each for each in contoso.read("/ResourceTypes")["Resources"]}
    assert list(types) == ["User", "Group", "Device"]
    assert {"schema": BADGE, "required": False} in types["User"]["schemaExtensions"]
    assert contoso.read("/ResourceTypes/Device")["endpoint"] == "/Devices"
    refused(fabrikam.get("/ResourceTypes/Device"), 404)


# --- an extension of User


def test_an_extension_is_stored_shown_and_found(contoso: Speaker) -> None:
    code = fresh("Code")
    user = badged(contoso, code=code, level=5, hired="2024-02-29T12:00:00+01:00", label="L", desk={"floor": "3"})
    assert user["schemas"] == [USER, BADGE]
    assert user[BADGE] == {
        "code": code, "level": 5, "hired": "2024-02-29T12:00:00+01:00", "label": "L", "desk": {"floor": "3"},
    }  # fmt: skip
    for asked in (
        f'{BADGE}:code eq "{code}"',
        f'code eq "{code}" and level gt 4',
        f'{BADGE}:hired eq "2024-02-29T11:00:00Z" and code eq "{code}"',
        f'schemas eq "{BADGE}" and desk.floor eq "3" and code sw "{code}"',
        f'{BADGE}:desk[floor eq "3"] and not (code ne "{code}")',
    ):
        assert [found["id"] for found in contoso.found("/Users", where(asked))] == [user["id"]], asked
    assert contoso.found("/Users", eq(f"{BADGE}:code", code.upper())) == [], "case exact"
    refused(contoso.get("/Users" + eq("level", "5")), 400, "invalidFilter")
    refused(contoso.get("/Users" + eq(f"{BADGE}:pin", PIN)), 400, "invalidFilter")


def test_an_extension_is_nobody_elses_business(contoso: Speaker, fabrikam: Speaker, lenient: Speaker) -> None:
    """The same body means an integer here, a string there, and nothing to a third tenant."""
    body = {BADGE: {"level": 5, "costCode": "X"}}
    assert contoso.user(**body)[BADGE] == {"level": 5, "costCode": "X"}
    refused(fabrikam.send("POST", "/Users", user_body(**body)), 400, "invalidValue")
    assert fabrikam.user(**{BADGE: {"level": "5", "costCode": "X"}})[BADGE] == {"level": "5"}
    assert BADGE not in lenient.user(**body)
    refused(lenient.get("/Users" + eq(f"{BADGE}:costCode", "X")), 400, "invalidFilter")
    refused(fabrikam.get("/Devices"), 404)


DIALECTS = {
    "without the flag": [op("Add", f"{BADGE}:costCode", "C1"), op("Replace", f"{BADGE}:level", 7)],
    "with the flag": [{"op": "replace", "value": {f"{BADGE}:costCode": "C1", f"{BADGE}:level": 7}}],
    "before 2018": [op("Add", f"{BADGE}.costCode", "C1"), op("Add", f"{BADGE}.level", 7)],
    "unqualified": [op("add", "costCode", "C1"), op("add", "level", 7)],
    "container": [op("add", BADGE, {"costCode": "C1", "level": 7})],
}


@pytest.mark.parametrize("operations", DIALECTS.values(), ids=DIALECTS)
def test_entra_patches_a_custom_attribute_in_every_dialect(contoso: Speaker, operations: list[Json]) -> None:
    user = contoso.user()
    shown = contoso.changed(user, *operations)
    assert shown[BADGE] == {"costCode": "C1", "level": 7}
    assert shown["schemas"] == [USER, BADGE]
    again = contoso.patch(shown, *operations)
    assert version_of(again) == version_of(shown), "the same once more is no change"
    gone = contoso.changed(user, op("Remove", f"{BADGE}:costCode"), op("Remove", f"{BADGE}:level"))
    assert gone["schemas"] == [USER]


def test_an_element_is_made_from_its_filter(contoso: Speaker) -> None:
    value = fresh("lock")
    shown = contoso.changed(contoso.user(), op("Add", f'{BADGE}:locks[type eq "door"].value', value))
    assert shown[BADGE]["locks"] == [{"type": "door", "value": value}]


def test_integers_have_no_fraction(contoso: Speaker) -> None:
    """RS-27: nor an exponent, which would be one; refused wherever a value can stand."""
    user = badged(contoso, level=7)
    made = json.dumps(user_body(schemas=[USER, BADGE], **{BADGE: {"level": "WRONG"}}))
    changed = json.dumps(patch_body(op("replace", f"{BADGE}:level", "WRONG")))
    for wrong in ("7.0", "7e0", "7.5", '"7"', "true"):
        for method, url, body in (("POST", "/Users", made), ("PATCH", f"/Users/{user['id']}", changed)):
            raw = body.replace('"WRONG"', wrong).encode()
            refused(contoso.send(method, url, raw), 400, "invalidValue")
    assert contoso.show(user)[BADGE]["level"] == 7
    assert type(contoso.show(user)[BADGE]["level"]) is int


def test_a_put_repeats_what_is_immutable(contoso: Speaker) -> None:
    """PU-06: as it is stored, or where nothing is stored for the first time; left out or changed it is refused."""
    user, name = badged(contoso, costCode="C"), fresh("put")
    for badge in ({"costCode": "D", "hired": "2024-01-01T00:00:00Z"}, {"hired": "2024-01-01T00:00:00Z"}):
        put = contoso.put(user, user_body(name, schemas=[USER, BADGE], **{BADGE: badge}))
        assert put[BADGE] == badge
    for badge in ({"costCode": "E"}, {"hired": "2025-01-01T00:00:00Z"}, {"hired": None}):
        wrong = user_body(name, schemas=[USER, BADGE], **{BADGE: badge})
        refused(contoso.send("PUT", f"/Users/{user['id']}", wrong), 400, "mutability")
    assert contoso.show(user) == put


def test_an_immutable_attribute_is_set_once(contoso: Speaker) -> None:
    user = badged(contoso, hired="2024-01-01T00:00:00Z")
    path = f"{BADGE}:hired"
    refused(contoso.patch(user, op("replace", path, "2025-01-01T00:00:00Z")), 400, "mutability")
    refused(contoso.patch(user, op("remove", path)), 400, "mutability")
    refused(contoso.send("PUT", f"/Users/{user['id']}", user_body(user["userName"])), 400, "mutability")
    assert contoso.patch(user, op("add", path, "2024-01-01T00:00:00Z")).status_code == 200
    assert contoso.changed(contoso.user(), op("add", path, "2025-01-01T00:00:00Z"))[BADGE]["hired"]


def test_what_is_returned_on_request_appears_when_named_or_written(contoso: Speaker) -> None:
    """PJ-09: by id, in lists, and in the answers to POST, PATCH and PUT."""
    user = badged(contoso, hint="blue", costCode="C")
    assert user[BADGE]["hint"] == "blue", "the answer to the write that set it"
    url = f"/Users/{user['id']}"
    assert contoso.read(url)[BADGE] == {"costCode": "C"}
    assert contoso.read(f"{url}?attributes={BADGE}:hint")[BADGE] == {"hint": "blue"}
    (listed,) = contoso.found("/Users", eq("id", user["id"]))
    assert listed[BADGE] == {"costCode": "C"}
    patched = contoso.patch(user, op("replace", f"{BADGE}:hint", "red")).json()
    assert patched[BADGE]["hint"] == "red"
    assert "hint" not in contoso.patch(user, op("replace", "title", "x")).json()[BADGE]
    put = contoso.send("PUT", url, user_body(user["userName"], **{BADGE: {"hint": "green"}})).json()
    assert put[BADGE] == {"hint": "green"}


def test_what_is_always_returned_is(contoso: Speaker) -> None:
    user = badged(contoso, label="L", costCode="C")
    assert contoso.read(f"/Users/{user['id']}?attributes=userName")[BADGE] == {"label": "L"}
    assert contoso.read(f"/Users/{user['id']}?excludedAttributes={BADGE}")[BADGE] == {"label": "L"}


def test_what_is_never_returned_is_kept_nowhere(contoso: Speaker) -> None:
    """Neither shown nor stored: not in tables, not in entries, not in the request as received."""
    user = badged(contoso, pin=PIN, costCode="C")
    assert user[BADGE] == {"costCode": "C"}
    patched = contoso.patch(user, op("replace", f"{BADGE}:pin", PIN))
    assert patched.status_code == 200 and PIN not in patched.text
    assert version_of(patched) == version_of(user) + 1, "it counts as a change"
    assert PIN not in contoso.get(f"/Users/{user['id']}?attributes={BADGE}:pin,{BADGE}").text
    history = contoso.history(user["id"])
    receipts = [entry for entry in history if entry.get("attribute") == f"{BADGE}:pin"]
    assert len(receipts) == 2
    assert PIN not in str(history) + str(contoso.log(subject=user["id"]))
    with contoso.service.opened(contoso.slug) as (connection, tenant, vault):
        reader = Reader(connection, tenant, vault)
        bodies = [reader.received(entry["request_id"]) for entry in history]
    assert all(body and b"***" in body and PIN.encode() not in body for body in bodies)


def test_a_dollar_sign_in_a_name_is_a_character_like_others(service: Any) -> None:
    """RS-13: declared, read, filtered, sorted by, patched, selected, and told as of a moment."""
    speaker = Past(service)
    attributes: list[Json] = [
        {"name": "cost$code", "uniqueness": "server"},
        {"name": "level$", "type": "integer"},
        {"name": "desk$", "type": "complex", "subAttributes": [{"name": "floor$no"}, {"name": "seat"}]},
        {"name": "locks$", "type": "complex", "multiValued": True,
         "subAttributes": [{"name": "value"}, {"name": "kind$"}]},
    ]  # fmt: skip
    Admin(speaker).declare({"schemas": [SCHEMA], "id": BADGE, "attributes": attributes}, extends="User")
    wait_for(speaker, BADGE)
    first = badged(speaker, **{"COST$code": "C1", "level$": 2, "desk$": {"floor$no": "3"}})
    second = badged(speaker, **{"cost$code": "C2", "level$": 1, "locks$": [{"value": "a", "kind$": "door"}]})
    assert first[BADGE] == {"cost$code": "C1", "level$": 2, "desk$": {"floor$no": "3"}}
    start = speaker.size() - 1
    for asked, found in (
        (f'{BADGE}:cost$code eq "c1"', first),
        ('cost$code eq "c1"', first),
        ('cost$code sw "C" and level$ gt 1', first),
        (f'{BADGE}:desk$.floor$no eq "3"', first),
        (f'{BADGE}:desk$[floor$no eq "3" and not (seat pr)]', first),
        ("locks$ pr", second),
        ('locks$[kind$ eq "door"].value eq "a"', second),
    ):
        assert [each["id"] for each in speaker.found("/Users", where(asked))] == [found["id"]], asked
        assert [each["id"] for each in list_of(speaker.back("/Users", asOf=start, filter=asked).json())] == [
            found["id"]
        ], asked
    in_order = speaker.found("/Users", where("level$ pr", sortBy=f"{BADGE}:level$"))
    assert [each["id"] for each in in_order] == [second["id"], first["id"]]
    patched = speaker.changed(
        second,
        op("Replace", f"{BADGE}:cost$code", "C3"),
        op("add", "desk$.floor$no", "4"),
        op("replace", f'{BADGE}:locks$[kind$ eq "door"].value', "b"),
        op("replace", None, {f"{BADGE}:level$": 7}),
    )
    assert patched[BADGE] == {
        "cost$code": "C3", "level$": 7, "desk$": {"floor$no": "4"}, "locks$": [{"value": "b", "kind$": "door"}],
    }  # fmt: skip
    url = f"/Users/{second['id']}"
    assert speaker.read(f"{url}?attributes={BADGE}:cost$code,desk$.floor$no")[BADGE] == {
        "cost$code": "C3", "desk$": {"floor$no": "4"},
    }  # fmt: skip
    assert "cost$code" not in speaker.read(f"{url}?excludedAttributes=cost%24code")[BADGE]
    refused(speaker.patch(first, op("replace", "cost$code", "c3")), 409, "uniqueness")
    assert f"{BADGE}:cost$code" in str(speaker.history(second["id"]))
    with service.opened(speaker.slug) as (connection, tenant, vault):
        assert replay(Reader(connection, tenant, vault)).differences == []


# --- unique values


def test_a_unique_value_has_one_holder(contoso: Speaker) -> None:
    code, lock = fresh("u"), fresh("lock")  # A letter in it, or there is no other case.
    first = badged(contoso, code=code, locks=[{"value": lock, "type": "door"}])
    body = refused(contoso.send("POST", "/Users", user_body(**{BADGE: {"code": code}})), 409, "uniqueness")
    assert f"{BADGE}:code" in body["detail"] and code not in body["detail"]
    second = badged(contoso, code=code.upper())  # Case exact: another value.
    refused(contoso.patch(second, op("replace", f"{BADGE}:code", code)), 409, "uniqueness")
    refused(contoso.patch(second, op("add", f"{BADGE}:locks", [{"value": lock.upper()}])), 409, "uniqueness")
    refused(
        contoso.send("PUT", f"/Users/{second['id']}", user_body(second["userName"], **{BADGE: {"code": code}})),
        409, "uniqueness",
    )  # fmt: skip
    contoso.changed(first, op("replace", f"{BADGE}:code", code), op("replace", "title", "its own again"))
    contoso.changed(first, op("remove", f"{BADGE}:code"))
    assert contoso.changed(second, op("replace", f"{BADGE}:code", code))[BADGE]["code"] == code
    contoso.delete(second)
    badged(contoso, code=code)


@pytest.mark.parametrize("verb", ["POST", "PATCH"])
def test_of_many_who_claim_a_value_at_once_one_gets_it(contoso: Speaker, verb: str) -> None:
    code, count = fresh("race"), 12
    users = [contoso.user() for _ in range(count)] if verb == "PATCH" else []
    start = threading.Barrier(count)

    def claim(number: int) -> int:
        start.wait()
        if verb == "POST":
            return contoso.send("POST", "/Users", user_body(**{BADGE: {"code": code}})).status_code
        return contoso.patch(users[number], op("add", f"{BADGE}:code", code)).status_code

    with ThreadPoolExecutor(count) as threads:
        statuses = sorted(threads.map(claim, range(count)))
    assert statuses == [201 if verb == "POST" else 200, *[409] * (count - 1)]
    assert len(contoso.found("/Users", eq(f"{BADGE}:code", code))) == 1


# --- declaring


def test_only_an_admin_declares(contoso: Speaker, fabrikam: Speaker) -> None:
    for token in (contoso.token, contoso.tenant.audit_token, "none", token_with(fabrikam, "admin")):
        response = httpx.post(
            f"{contoso.service.base_url}/api/{contoso.slug}/schemas",
            json=BADGE_SCHEMA,
            headers={"Authorization": f"Bearer {token}"},
        )
        assert response.status_code in (401, 403)
        assert set(response.json()) == {"error"}


def test_declarations_are_read_back_and_declared_again(contoso: Speaker) -> None:
    admin = Admin(contoso).api
    schemas = admin.get("/schemas").json()
    assert [schema["id"] for schema in schemas] == [BADGE, DEVICE, LEASE]
    assert [kind["name"] for kind in admin.get("/resource-types").json()] == ["User", "Device"]
    assert admin.get(f"/schemas/{BADGE}").json() == schemas[0]
    assert admin.get("/schemas/urn:none:such").status_code == 404
    assert admin.get("/resource-types/Device").json()["endpoint"] == "/Devices"
    again = admin.put(f"/schemas/{BADGE}", json=schemas[0])
    assert again.status_code == 200 and again.json()["declared"] == []
    other = admin.put(f"/schemas/{LEASE}", json=schemas[0])
    assert other.status_code == 400 and LEASE in other.json()["error"]


def test_a_wrong_schema_is_refused_in_one_sentence_and_recorded(contoso: Speaker) -> None:
    admin = Admin(contoso).api
    before = len(contoso.log()["records"])
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        ({"schemas": [SCHEMA], "id": USER, "attributes": [{"name": "x"}]}, 409),
        (BADGE_SCHEMA | {"attributes": BADGE_SCHEMA["attributes"][1:]}, 409),
        ([*DEVICES, {"schemas": [SCHEMA], "id": "urn:x", "attributes": []}], 400),
    ):
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        response = admin.post("/schemas", **sent)
        assert response.status_code == status, response.text
        assert set(response.json()) == {"error"} and response.json()["error"]
    records = contoso.log()["records"]
    refusals = records[: len(records) - before]
    assert [record["status"] for record in refusals] == ["failure"] * 5
    assert {record["token_label"] for record in refusals} and "code is missing" in str(refusals)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("required=true", "required=true says what extends=TYPE needs"),
        ("extends=User&extends=Group", "extends is given 2 times"),
        ("extends=User&required=true&required=false", "required is given 2 times"),
        ("extends=User&required=yes", "required is true or false"),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused(contoso: Speaker, asked: str, words: str) -> None:
    """They were ignored, and the schema extended nothing, or another type than its author thinks."""
    api = Admin(contoso).api
    other = {"schemas": [SCHEMA], "id": "urn:contoso:Other", "attributes": [{"name": "x"}]}
    for response in (
        api.post(f"/schemas?{asked}", json=other),
        api.put(f"/schemas/urn:contoso:Other?{asked}", json=other),
    ):
        assert response.status_code == 400, response.text
        assert set(response.json()) == {"error"} and words in response.json()["error"]
    assert api.get("/schemas/urn:contoso:Other").status_code == 404


def test_a_schema_may_be_spelt_as_any_body(service: Any) -> None:
    """Null members are absent, names have no case, also of the one that a PUT is about."""
    admin = Admin(Speaker(service)).api
    body = {"ID": BADGE, "description": None, "Attributes": [{"name": "code", "CASEEXACT": True, "required": None}]}
    response = admin.put(f"/schemas/{BADGE}", json=body)
    assert response.json() == {"revision": 1, "declared": [BADGE]}, response.text
    assert admin.get(f"/schemas/{BADGE}").json()["attributes"][0]["caseExact"] is True


def test_a_running_service_has_a_new_revision_within_a_second(service: Any) -> None:
    speaker = Speaker(service)
    admin = Admin(speaker)
    first = {"schemas": [SCHEMA], "id": BADGE, "attributes": [{"name": "code"}]}
    assert admin.declare(first, extends="User") == {"revision": 2, "declared": [BADGE, "User"]}
    time.sleep(AT_ONCE_S)
    user = speaker.user(**{BADGE: {"code": "A", "site": "Wien"}})
    assert user[BADGE] == {"code": "A"}
    later = first | {"attributes": [{"name": "code"}, {"name": "site", "required": True}]}
    assert admin.declare(later) == {"revision": 3, "declared": [BADGE]}
    time.sleep(AT_ONCE_S)
    refused(speaker.send("POST", "/Users", user_body(**{BADGE: {"code": "B"}})), 400, "invalidValue")
    disabled = speaker.changed(user, op("Replace", "active", "False"))
    assert disabled["active"] is False, "who lacks what is required now can still be disabled"
    assert speaker.changed(user, op("add", f"{BADGE}:site", "Wien"))[BADGE] == {"code": "A", "site": "Wien"}
    refused(speaker.patch(user, op("replace", f"{BADGE}:site", "")), 400, "invalidValue")


def test_whoever_knows_a_schema_before_others_harms_none(service: Any) -> None:
    """A token that was looked up just before the declaration: its changes wait for the schema, and lose nothing."""
    speaker = Speaker(service)
    user = speaker.user()
    Admin(speaker).declare({"schemas": [SCHEMA], "id": BADGE, "attributes": [{"name": "code"}]}, extends="User")
    quicker = {"Authorization": f"Bearer {token_with(speaker, 'scim')}"}
    url = f"/Users/{user['id']}"
    assert speaker.send("PATCH", url, patch_body(op("add", f"{BADGE}:code", "A")), headers=quicker).status_code == 200

    def patched() -> int:
        change = patch_body(op("add", "title", "Engineer"))
        response = httpx.patch(f"{service.base_url}{speaker.base}{url}", json=change, headers=speaker.scim.headers)
        assert response.status_code in (200, 503)
        assert ("retry-after" in response.headers) is (response.status_code == 503)
        return response.status_code

    assert eventually(lambda: patched() == 200)
    assert speaker.show(user)[BADGE] == {"code": "A"} and speaker.show(user)["title"] == "Engineer"


def test_a_required_extension_is_asked_for(service: Any) -> None:
    speaker = Speaker(service)
    Admin(speaker).declare(
        {"schemas": [SCHEMA], "id": BADGE, "attributes": [{"name": "code", "required": True}]},
        extends="User", required="true",
    )  # fmt: skip
    wait_for(speaker, BADGE)
    body = refused(speaker.send("POST", "/Users", user_body()), 400, "invalidValue")
    assert BADGE in body["detail"]
    user = speaker.user(**{BADGE: {"code": "A"}})
    refused(speaker.send("PUT", f"/Users/{user['id']}", user_body(user["userName"])), 400, "invalidValue")
    refused(speaker.patch(user, op("remove", BADGE)), 400, "mutability")
    refused(speaker.patch(user, op("remove", f"{BADGE}:code")), 400, "mutability")


def test_what_is_required_is_neither_removed_nor_emptied(service: Any) -> None:
    """PA-14, PD-04, PD-05: to remove it is 400 mutability, to put nothing in its place 400 invalidValue."""
    speaker, strict = Speaker(service), Speaker(service, profile="strict")
    parts = [{"name": "value"}, {"name": "must", "required": True}]
    things = {"name": "things", "type": "complex", "multiValued": True, "required": True, "subAttributes": parts}
    for each in (speaker, strict):
        Admin(each).declare({"schemas": [SCHEMA], "id": BADGE, "attributes": [things]}, extends="User", required="true")
        wait_for(each, BADGE)
        held = [{"value": "t1", "must": "a"}, {"value": "t2", "must": "b"}]
        user = each.user(schemas=[USER, BADGE], **{BADGE: {"things": held}})
        one = f'{BADGE}:things[value eq "t1"]'
        for wrong, kind in (
            (op("remove", f"{one}.must"), "mutability"), (op("replace", f"{one}.must", None), "invalidValue"),
            (op("replace", f"{one}.must", ""), "invalidValue"), (op("remove", BADGE), "mutability"),
            (op("remove", f"{BADGE}:things[must pr]"), "mutability"), (op("remove", f"{BADGE}:things"), "mutability"),
            (op("replace", BADGE, None), "invalidValue"), (op("replace", None, {BADGE: None}), "invalidValue"),
            (op("add", BADGE, None), "invalidValue"),
        ):  # fmt: skip
            refused(each.patch(user, wrong), 400, kind)
        assert each.patch(user, op("remove", one)).json()[BADGE]["things"] == held[1:]


# --- a resource type of the tenant's own


def test_a_device_lives_as_a_user_does(contoso: Speaker) -> None:
    """POST, GET, ETag, PUT, PATCH, DELETE, and what the ledger tells of it."""
    serial, external = fresh("SN"), fresh("ext")
    made = device(
        contoso, serial, displayName="Loom", active=True, externalId=external, ports=[80, 443], secret=PIN,
        **{LEASE: {"until": "2030-01-01T00:00:00Z"}},
    )  # fmt: skip
    assert made["schemas"] == [DEVICE, LEASE]
    assert made["meta"]["resourceType"] == "Device"
    assert made["meta"]["location"].endswith(f"{contoso.base}/Devices/{made['id']}")
    assert "secret" not in made
    url, etag = f"/Devices/{made['id']}", made["meta"]["version"]
    assert contoso.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert contoso.show(made) == made
    patched = contoso.patch(made, op("Replace", "active", "False"), op("add", "ports", [22]))
    assert patched.status_code == 200 and patched.json()["ports"] == [80, 443, 22]
    stale = contoso.send("PATCH", url, patch_body(op("add", "displayName", "x")), headers={"If-Match": etag})
    assert stale.status_code == 412
    put = contoso.put(made, {"schemas": [DEVICE], "serial": serial, "displayName": "Spindle"})
    assert (put["active"], put["displayName"]) == (False, "Spindle"), "a PUT without active keeps it"
    assert "ports" not in put and LEASE not in put
    refused(contoso.send("PUT", url, {"schemas": [DEVICE], "serial": "other"}), 400, "mutability")
    refused(contoso.send("PUT", url, {"schemas": [USER], "serial": serial}), 400, "invalidSyntax")
    contoso.delete(made)
    refused(contoso.get(url), 404)
    refused(contoso.send("DELETE", url), 404)
    device(contoso, serial)

    told = contoso.asked("/why", subject=made["id"])
    (explained,) = told["explanations"]
    assert (explained["verdict"], explained["resource_type"]) == ("deactivated, then deleted", "Device")
    assert "Spindle is deprovisioned" in told["text"] and "deleted the Device" in told["text"]
    assert PIN not in str(told)
    by_name = contoso.asked("/history", subject=external)["histories"]
    assert [one["id"] for one in by_name] == [made["id"]] and by_name[0]["resource_type"] == "Device"
    events = [change["event"] for change in by_name[0]["changes"]]
    assert events[0] == "ResourceCreated" and "Deactivated" in events and "ResourceDeleted" in events
    first = by_name[0]["changes"][0]["position"]
    (then,) = contoso.asked(f"/users/{made['id']}", asOf=first)["resources"]
    assert then["resource_type"] == "Device" and then["resource"]["ports"] == [80, 443]
    assert then["resource"]["schemas"] == [DEVICE, LEASE]
    records = contoso.log(subject=made["id"])["records"]
    assert {record["resource_type"] for record in records} == {"Device"}
    assert [record["action"] for record in reversed(records)][:2] == ["create", "disable"]
    assert {"failure", "success"} <= {record["status"] for record in records}


def test_a_report_tells_the_changes_of_a_device(contoso: Speaker) -> None:
    """By id, externalId and displayName, also when it is gone and a request of its changed nothing."""
    external, name = fresh("ext"), fresh("Loom")
    made = device(contoso, externalId=external, displayName=name)
    for _ in range(2):
        contoso.patch(made, op("replace", "ports", [22]))
    contoso.delete(made)
    for subject in (made["id"], external, name):
        asked = {"subject": subject, "format": "jsonl"}
        answer = contoso.audit.get("/reports/changes", params=asked)
        assert answer.status_code == 200, answer.text
        _, *rows, last = map(json.loads, answer.text.splitlines())
        assert {row["id"] for row in rows} == {made["id"]}
        assert [row["event"] for row in rows][-3:] == ["AttributeChanged", "RequestUnchanged", "ResourceDeleted"]
        assert last["footer"]["reconciled"], last


def test_what_stands_below_the_types_own_uri_is_read(contoso: Speaker) -> None:
    """RX-03 of a tenant's own type and of groups: POST, PUT, and both ways of PATCH."""
    serial = fresh("SN")
    made = contoso.post("/Devices", {"schemas": [DEVICE], DEVICE: {"serial": serial, "active": True}})
    assert made["serial"] == serial
    put = contoso.put(made, {"schemas": [DEVICE], DEVICE: {"serial": serial, "active": True, "displayName": "Loom"}})
    assert put["displayName"] == "Loom"
    assert contoso.patch(made, op("replace", DEVICE, {"active": False})).json()["active"] is False
    assert contoso.patch(made, op("add", None, {DEVICE.upper(): {"ports": [1]}})).json()["ports"] == [1]
    user, group = contoso.user(), contoso.group()
    contoso.patch(group, op("replace", GROUP, {"displayName": "Looms", "members": [{"value": user["id"]}]}))
    shown = contoso.show(group)
    assert (shown["displayName"], [each["value"] for each in shown["members"]]) == ("Looms", [user["id"]])


def test_devices_are_listed_filtered_and_searched(contoso: Speaker) -> None:
    word = fresh("Rack")
    made = [device(contoso, f"{word}-{n}", displayName=word, ports=[n], active=n > 1) for n in range(3)]
    ids = [each["id"] for each in made]
    for asked, expected in (
        (f'displayName eq "{word.upper()}"', ids),
        (f'{DEVICE}:serial eq "{word}-1"', ids[1:2]),
        (f'displayName eq "{word}" and active eq true', ids[2:]),
        (f'displayName eq "{word}" and ports gt 0', ids[1:]),
        (f'displayName eq "{word}" and ports eq 2', ids[2:]),
        (f'id eq "{ids[0]}"', ids[:1]),
        (f'displayName eq "{word}" and meta.resourceType eq "Device"', ids),
        (f'displayName eq "{word}" and not (serial ew "-1")', [ids[0], ids[2]]),
    ):
        assert [each["id"] for each in contoso.found("/Devices", where(asked))] == expected, asked
    page = contoso.read(f"/Devices{where(f'displayName eq {chr(34)}{word}{chr(34)}', startIndex=2, count=1)}")
    assert (page["totalResults"], [each["id"] for each in page["Resources"]]) == (3, ids[1:2])
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    search |= {"filter": f'displayName eq "{word}"', "attributes": ["serial"]}
    found = list_of(contoso.send("POST", "/Devices/.search", search).json())
    assert [set(each) for each in found] == [{"schemas", "id", "serial"}] * 3
    named = contoso.group(word)
    everywhere = contoso.send("POST", "/.search", search | {"attributes": ["displayName"]}).json()
    assert [each["id"] for each in list_of(everywhere)] == [*ids, named["id"]], "in the order of their creation"
    by_name = contoso.read(
        f"/Devices{where(f'displayName eq {chr(34)}{word}{chr(34)}', sortBy='serial', sortOrder='descending')}"
    )
    assert [each["id"] for each in by_name["Resources"]] == ids[::-1]
    assert [each["id"] for each in contoso.found("", where(f'serial eq "{word}-2"'))] == ids[2:]
    refused(contoso.get("/Devices" + eq("userName", "x")), 400, "invalidFilter")


def test_a_type_that_cannot_be_asked_has_no_value_there(service: Any) -> None:
    """FI-32: over several types a filter need fit only some; asked of one type, or fitting none, it is refused."""
    speaker, lease = Speaker(service), "urn:contoso:scim:schemas:core:Lease:1.0"
    attributes: list[Json] = [
        {"name": "displayName", "type": "integer"},
        {"name": "nickName", "returned": "never", "mutability": "writeOnly"},
        {"name": "emails"},
    ]
    kind = {"schemas": [RESOURCE_TYPE], "name": "Lease", "endpoint": "/Leases", "schema": lease}
    Admin(speaker).declare([{"schemas": [SCHEMA], "id": lease, "attributes": attributes}, kind])
    wait_for(speaker, lease)
    five = speaker.user(displayName="Five", nickName="V", emails=[{"value": "v@x", "type": "work"}])["id"]
    group = speaker.group("Five")["id"]
    number = speaker.post("/Leases", {"schemas": [lease], "displayName": 5, "nickName": "V", "emails": "v@x"})["id"]
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    for asked, expected in (
        ('displayName eq "Five"', [five, group]),
        ("displayName eq 5", [number]),
        ('displayName eq "Five" or displayName eq 5', [five, group, number]),
        (f'displayName ne "Five" and id eq "{number}"', [number]),
        ("displayName gt 4", [number]),
        ("nickName pr", [five]),
        ('nickName eq "V"', [five]),
        ('emails[type eq "work"]', [five]),
        ('emails[type eq "work"].value sw "v"', [five]),
        ('emails eq "v@x"', [five, number]),
    ):
        assert [each["id"] for each in speaker.found("", where(asked))] == expected, asked
        posted = speaker.send("POST", "/.search", search | {"filter": asked}).json()
        assert [each["id"] for each in list_of(posted)] == expected, asked
    for place, asked in (
        ("", "displayName eq true"), ("", "userName eq 5"), ("", "displayName[value pr]"), ("", 'emails[kind eq "x"]'),
        ("", 'displayName eq "Five" and'), ("/Users", "displayName eq 5"), ("/Leases", 'displayName eq "Five"'),
        ("/Leases", "nickName pr"), ("/Leases", 'emails[type eq "work"]'),
    ):  # fmt: skip
        refused(speaker.get(f"{place}/{where(asked)}" if not place else place + where(asked)), 400, "invalidFilter")


def test_a_device_is_no_user(contoso: Speaker) -> None:
    """Each type is bound to its endpoint, also where an id, an externalId or a member is asked for."""
    external = fresh("both")
    made, user = device(contoso, externalId=external), contoso.user(externalId=external)
    for url in (f"/Users/{made['id']}", f"/Devices/{user['id']}", f"/Groups/{made['id']}"):
        for method, body in (("GET", None), ("PATCH", patch_body(op("add", "displayName", "x"))), ("DELETE", None)):
            refused(contoso.send(method, url, body), 404)
    assert [each["id"] for each in contoso.found("/Users", eq("externalId", external))] == [user["id"]]
    assert [each["id"] for each in contoso.found("/Devices", eq("externalId", external))] == [made["id"]]
    assert contoso.found("/Users", eq("id", made["id"])) == []
    refused(contoso.send("POST", "/Groups", group_body(None, made["id"])), 400, "invalidValue")
    refused(contoso.send("POST", "/Devices", {"schemas": [DEVICE], "displayName": "no serial"}), 400, "invalidValue")
    refused(contoso.send("POST", "/Devices", {"schemas": [DEVICE], "serial": made["serial"]}), 409, "uniqueness")
    assert made["id"] not in {each["id"] for each in contoso.found("/Users", "?count=200")}


def test_methods_of_a_device_endpoint_are_those_of_users(contoso: Speaker) -> None:
    made = device(contoso)
    assert refused(contoso.send("PUT", "/Devices", {}), 405)
    response = contoso.send("POST", f"/Devices/{made['id']}", {})
    assert refused(response, 405)
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "PATCH", "DELETE"}
    assert contoso.send("HEAD", f"/Devices/{made['id']}").status_code == 200


def test_the_log_tells_who_declared_what(contoso: Speaker) -> None:
    records = [record for record in contoso.log()["records"] if mentions_declaration(record, DEVICE)]
    (record,) = records
    assert (record["resource_type"], record["status"], record["method"]) == ("Tenant", "success", "POST")
    assert record["token_label"] and record["path"].endswith("/schemas")


def mentions_declaration(record: Json, urn: str) -> bool:
    return any(each == urn for each in walk(record["modified"]))


# --- as of a moment


def test_devices_and_extensions_are_asked_about_as_of_a_moment(contoso: Past) -> None:
    """Lists, filters by every kind of attribute, one resource, and the differences between two moments."""
    word = fresh("asof")
    made = device(contoso, displayName=f"{word} A", active=True, ports=[80], externalId=word)
    user = badged(contoso, code=fresh("Code"), level=5)
    start = contoso.size() - 1
    contoso.changed(made, op("replace", "displayName", f"{word} B"), op("replace", "active", False))
    contoso.changed(user, op("replace", f"{BADGE}:level", 6))
    changed = contoso.size() - 1
    contoso.delete(made)
    gone = contoso.size() - 1

    def found(endpoint: str, asked: str, at: int) -> list[str]:
        body = contoso.back(endpoint, asOf=at, filter=asked).json()
        return [each["id"] for each in list_of(body)]

    for asked, when in {
        f'displayName eq "{word} A"': [start],
        f'displayName eq "{word} B" and active eq false': [changed],
        f'serial eq "{made["serial"]}" and ports eq 80': [start, changed],
        f'externalId eq "{word}"': [start, changed],
        f'id eq "{made["id"]}"': [start, changed],
    }.items():
        assert [at for at in (start, changed, gone) if found("/Devices", asked, at)] == when, asked
        assert [at for at in (start, changed, gone) if found("/", asked, at)] == when, asked
        assert not found("/Users", asked.replace("ports", "level").replace("serial", "code"), start), asked
    for level, at in ((5, start), (6, changed)):
        assert found("/Users", f'{BADGE}:level eq {level} and id eq "{user["id"]}"', at) == [user["id"]]
        assert contoso.back(f"/Users/{user['id']}", asOf=at).json()[BADGE]["level"] == level
    then = contoso.back(f"/Devices/{made['id']}", asOf=start).json()
    assert then == made
    refused(contoso.back(f"/Devices/{made['id']}", asOf=gone), 404)
    refused(contoso.back(f"/Users/{made['id']}", asOf=start), 404)
    told = contoso.asked("/diff", **{"from": start, "to": gone})
    assert {(each["type"], each["id"], each["change"]) for each in told["resources"]} == {
        ("Device", made["id"], "left"), ("User", user["id"], "changed"),
    }  # fmt: skip


def test_references_of_its_own_lead_to_their_resources(service: Any) -> None:
    """RS-24, DI-16: wherever the schema has a `$ref` that follows from `value`, in any place; nowhere else."""
    speaker = Speaker(service)
    reference = {"name": "$ref", "type": "reference", "referenceTypes": ["User"]}
    parts: list[Json] = [{"name": "value"}, reference, {"name": "display"}]
    attributes: list[Json] = [
        {"name": "sponsor", "type": "complex", "subAttributes": parts},
        {"name": "deputies", "type": "complex", "multiValued": True, "subAttributes": parts},
        {"name": "manager", "type": "complex", "subAttributes": [{"name": "value"}, {"name": "display"}]},
    ]
    urn = "urn:ietf:params:scim:schemas:extension:Sponsors:2.0:User"
    Admin(speaker).declare({"schemas": [SCHEMA], "id": urn, "attributes": attributes}, extends="User")
    wait_for(speaker, urn)
    boss = speaker.user()
    ours, uri = boss["id"], boss["meta"]["location"]
    sent = {
        "sponsor": {"display": "B", "value": ours, "$ref": "../Users/elsewhere"},
        "deputies": [{"value": ours, "display": "B"}, {"value": "emp-7", "$ref": "../Users/emp-7"}],
        "manager": {"value": ours},
    }
    user = speaker.user(**{urn: sent, ENTERPRISE: {"manager": {"value": ours}}})
    assert user[urn] == {
        "sponsor": {"value": ours, "display": "B", "$ref": uri},
        "deputies": [
            {"value": ours, "display": "B", "$ref": uri},
            {"value": "emp-7", "$ref": "../Users/emp-7"},
        ],
        "manager": {"value": ours},
    }
    assert user[ENTERPRISE]["manager"] == {"value": ours, "$ref": uri}
    assert speaker.put(user, user) == user
    assert speaker.found("/Users", eq("userName", user["userName"])) == [user]


def test_what_nobody_can_repeat_is_kept(service: Any) -> None:
    """PU-12, PU-06: a PUT, or a POST about who left, need not mention what GET does not show, nor may a POST know more.

    What is returned on request stays as it is until somebody mentions it, and then null clears it.
    """
    speaker = Speaker(service)
    setting(speaker, "repost_inactive", "reactivate")
    urn = "urn:ietf:params:scim:schemas:extension:Unseen:2.0:User"
    parts: list[Json] = [{"name": "street"}, {"name": "code", "returned": "request"}]
    attributes: list[Json] = [
        {"name": "note", "returned": "request"},
        {"name": "origin", "returned": "request", "mutability": "immutable"},
        {"name": "hired", "mutability": "immutable"},
        {"name": "home", "type": "complex", "subAttributes": parts},
    ]
    Admin(speaker).declare({"schemas": [SCHEMA], "id": urn, "attributes": attributes}, extends="User")
    wait_for(speaker, urn)
    sent = {"note": "n", "origin": "o", "hired": "h", "home": {"street": "s", "code": "c"}}
    user = speaker.read(url_of(speaker.user(externalId=fresh("Left"), **{urn: sent})))
    assert user[urn] == {"hired": "h", "home": {"street": "s"}}
    everything = f"{url_of(user)}?attributes={urn}:note,{urn}:origin,{urn}:hired,{urn}:home.street,{urn}:home.code"
    assert speaker.send("PUT", url_of(user), user).status_code == 200
    assert speaker.show(user) == user
    assert speaker.read(everything)[urn] == sent
    refused(speaker.send("PUT", url_of(user), {**user, urn: {}}), 400, "mutability")  # hired was shown.
    gone = speaker.changed(user, op("replace", "active", False))
    back = speaker.post("/Users", user_body(externalId=gone["externalId"], **{urn: {"note": None}}))
    assert (back["id"], back["active"]) == (user["id"], True)
    assert speaker.read(everything)[urn] == {"origin": "o", "hired": "h"}
