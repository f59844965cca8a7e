"""What Entra ID does with users, row by row: the U rows of the client's test catalogue.

Every PATCH is followed by a fresh GET (`Speaker.changed`), because that is what Entra judges by.
"""

import json
import uuid
from typing import Any

import pytest
from speaking import (
    ENTERPRISE,
    USER,
    Json,
    Speaker,
    eq,
    fresh,
    mentions,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
    version_of,
)

WORK_MAIL = 'emails[type eq "work"].value'


@pytest.fixture(scope="module")
def entra(service: Any) -> Speaker:
    """A tenant that Entra provisions; the tests of this file share it and use names of their own."""
    return Speaker(service)


def entra_body(**attributes: Any) -> Json:
    """The POST body of section 1.4."""
    name = fresh("ana.ruiz")
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": name,
        "userName": f"{name}@contoso.example",
        "active": True,
        "displayName": "Ana Ruiz",
        "emails": [{"primary": True, "type": "work", "value": f"{name}@mail.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Ana Ruiz", "familyName": "Ruiz", "givenName": "Ana"},
        "roles": [],
    } | attributes


def unassigned(resource: Json, attribute: str) -> bool:
    return resource.get(attribute) in (None, "", [], {})


# --- POST


def test_u1_what_was_sent_comes_back(entra: Speaker) -> None:
    """U1, CR-01, RS-22: 201, all sent attributes as sent, `id`, `meta`."""
    body = entra_body()
    created = entra.post("/Users", body)
    for attribute in ("externalId", "userName", "active", "displayName", "emails", "name"):
        assert created[attribute] == body[attribute], attribute
    assert created["meta"]["resourceType"] == "User"
    assert created["meta"]["created"] == created["meta"]["lastModified"]
    assert created["meta"]["location"].endswith(f"{entra.base}/Users/{created['id']}")
    assert created == entra.show(created)


def test_u2_an_extension_may_be_announced_and_missing(entra: Speaker) -> None:
    """U2, RS-02, CR-13: 201; `schemas` then names what is present only."""
    created = entra.post("/Users", entra_body())
    assert ENTERPRISE not in created
    assert created["schemas"] == [USER]


def test_u3_an_extension_may_come_unannounced(entra: Speaker) -> None:
    """U3, CR-13, RS-15: 201; GET shows the attribute, and the URN in `schemas`."""
    created = entra.post("/Users", entra_body(schemas=[USER]) | {ENTERPRISE: {"department": "Sales"}})
    shown = entra.show(created)
    assert shown[ENTERPRISE] == {"department": "Sales"}
    assert set(shown["schemas"]) == {USER, ENTERPRISE}


def test_u4_null_and_empty_are_not_set(entra: Speaker) -> None:
    """U4, CR-05, RS-16: 201; those attributes are absent."""
    nothing: Json = dict.fromkeys(("addresses", "phoneNumbers", "title", "department", "manager")) | {"ims": []}
    body = entra_body(**nothing) | {ENTERPRISE: {"department": None, "manager": None}}
    shown = entra.show(entra.post("/Users", body))
    assert not (set(nothing) | {"roles", ENTERPRISE}) & set(shown)
    assert shown["schemas"] == [USER]


@pytest.mark.parametrize(("active", "primary"), [("True", "true"), ("true", "True")])
def test_u5_booleans_may_come_as_strings(entra: Speaker, active: str, primary: str) -> None:
    """U5, RS-26: 201; read back as JSON booleans."""
    mails = [{"value": "ana@mail.example", "type": "work", "primary": primary}]
    shown = entra.show(entra.post("/Users", entra_body(active=active, emails=mails)))
    assert shown["active"] is True
    assert shown["emails"][0]["primary"] is True


def test_u6_a_name_is_enough(entra: Speaker) -> None:
    """U6: 201."""
    name = fresh("only")
    assert entra.post("/Users", {"userName": name})["userName"] == name


def test_u7_the_shape_of_a_small_gallery_application(entra: Speaker) -> None:
    """U7, kpifire: no e-mails, no displayName, no externalId."""
    body = {
        "schemas": [USER, ENTERPRISE],
        "userName": f"{fresh('kim')}@contoso.example",
        "active": True,
        "name": {"givenName": "Kim", "familyName": "Ek"},
        "phoneNumbers": [{"type": "work", "value": "+46 8 123"}],
        ENTERPRISE: {"department": "Improvement"},
    }
    shown = entra.show(entra.post("/Users", body))
    assert {k: shown[k] for k in body if k != "schemas"} == {k: v for k, v in body.items() if k != "schemas"}


@pytest.mark.parametrize("case", [str, str.upper, str.title])
def test_u8_a_name_is_given_once(entra: Speaker, case: Any) -> None:
    """U8, CR-07: 409 uniqueness with a detail, also in another letter case; nobody is added or changed."""
    first = entra.post("/Users", entra_body())
    count = entra.total("/Users")
    body = entra_body(userName=case(first["userName"]))
    refused(entra.send("POST", "/Users", body), 409, "uniqueness")
    assert entra.total("/Users") == count
    assert entra.show(first) == first


@pytest.mark.parametrize("user_name", [None, "", [], "absent"])
def test_u9_without_a_name_there_is_no_user(entra: Speaker, user_name: Any) -> None:
    """U9, CR-06: 400 invalidValue."""
    body = entra_body(userName=user_name)
    if user_name == "absent":
        del body["userName"]
    refused(entra.send("POST", "/Users", body), 400, "invalidValue")


def test_u10_broken_json(entra: Speaker) -> None:
    """U10: 400 invalidSyntax."""
    refused(entra.send("POST", "/Users", b'{"userName": "ana"'), 400, "invalidSyntax")


def test_u11_what_we_do_not_know_is_no_reason_to_refuse(entra: Speaker) -> None:
    """U11, RS-03, RS-28: 201; the unknown attribute and extension are not echoed."""
    unknown = "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User"
    body = entra_body(shoeSize="43", schemas=[USER, unknown]) | {unknown: {"badge": "7"}}
    shown = entra.show(entra.post("/Users", body))
    assert not {"shoeSize", unknown} & set(shown)
    assert shown["schemas"] == [USER]


def test_u12_names_of_attributes_in_any_case(entra: Speaker) -> None:
    """U12, RS-13: 201; answered in the schema's spelling."""
    name = fresh("Caps")
    body = {
        "Schemas": [USER],
        "UserName": name,
        "Active": True,
        "NAME": {"GivenName": "Ana"},
        "Emails": [{"Value": "a@b.example", "TYPE": "work", "Primary": "True"}],
    }
    shown = entra.show(entra.post("/Users", body))
    assert (shown["userName"], shown["active"], shown["name"]) == (name, True, {"givenName": "Ana"})
    assert shown["emails"] == [{"value": "a@b.example", "type": "work", "primary": True}]


@pytest.mark.parametrize("form", ["object", "string"])
def test_u13_a_manager_need_not_be_known_here(entra: Speaker, form: str) -> None:
    """U13, DEC-12, GR-06: 201, returned as sent; a bare string is read back as an object."""
    stranger = uuid.uuid4().hex
    manager = {"value": stranger} if form == "object" else stranger
    shown = entra.show(entra.post("/Users", entra_body() | {ENTERPRISE: {"manager": manager}}))
    assert shown[ENTERPRISE]["manager"]["value"] == stranger


# --- PATCH of attributes


def test_u14_replace_a_display_name(entra: Speaker) -> None:
    """U14: GET shows the new one; the version moves."""
    ana = entra.post("/Users", entra_body())
    shown = entra.changed(ana, op("Replace", "displayName", "Ana R. Ruiz"))
    assert shown["displayName"] == "Ana R. Ruiz"
    assert version_of(shown) > version_of(ana)
    assert shown["meta"]["created"] == ana["meta"]["created"]


def test_u15_replace_of_what_is_not_there_sets_it(entra: Speaker) -> None:
    """U15."""
    assert entra.changed(entra.user(), op("Replace", "title", "Guide"))["title"] == "Guide"


def test_u16_add_to_what_is_there_overwrites_it(entra: Speaker) -> None:
    """U16."""
    assert entra.changed(entra.user(title="Guide"), op("Add", "title", "Chief"))["title"] == "Chief"


@pytest.mark.parametrize("verb", ["Replace", "Add", "replace", "add"])
def test_u17_a_filtered_path_without_match_creates_the_element(entra: Speaker, verb: str) -> None:
    """U17: one element with the filter's type."""
    shown = entra.changed(entra.user(), op(verb, WORK_MAIL, "ana@mail.example"))
    assert shown["emails"] == [{"type": "work", "value": "ana@mail.example"}]


def test_u18_the_other_elements_stay(entra: Speaker) -> None:
    """U18: both elements, home unchanged."""
    home = {"type": "home", "value": "home@mail.example"}
    work = {"type": "work", "value": "work@mail.example"}
    shown = entra.changed(entra.user(emails=[home]), op("Replace", WORK_MAIL, "work@mail.example"))
    assert {mail["type"]: mail for mail in shown["emails"]} == {"home": home, "work": work}


def test_u19_the_other_sub_attributes_stay(entra: Speaker) -> None:
    """U19: only the value changes."""
    mail = {"type": "work", "value": "old@mail.example", "primary": True, "display": "Ana"}
    shown = entra.changed(entra.user(emails=[mail]), op("Replace", WORK_MAIL, "new@mail.example"))
    assert shown["emails"] == [mail | {"value": "new@mail.example"}]


@pytest.mark.parametrize("verb", ["Add", "Replace"])
def test_u20_two_operations_on_one_new_element(entra: Speaker, verb: str) -> None:
    """U20: one address."""
    shown = entra.changed(
        entra.user(),
        op(verb, 'addresses[type eq "work"].formatted', "1 Main St"),
        op(verb, 'addresses[type eq "work"].locality', "Malmö"),
    )
    assert shown["addresses"] == [{"type": "work", "formatted": "1 Main St", "locality": "Malmö"}]


def test_u21_names_in_paths_in_any_case(entra: Speaker) -> None:
    """U21: the default mappings write `.Value` and `.Formatted`."""
    shown = entra.changed(
        entra.user(),
        op("Add", 'emails[type eq "other"].Value', "x@y.example"),
        op("Add", 'addresses[type eq "other"].Formatted', "Room 4"),
        op("Replace", 'EMAILS[TYPE EQ "other"].VALUE', "z@y.example"),
    )
    assert shown["emails"] == [{"type": "other", "value": "z@y.example"}]
    assert shown["addresses"] == [{"type": "other", "formatted": "Room 4"}]


@pytest.mark.parametrize(
    ("path", "attribute"),
    [
        ("phoneNumbers[primary eq true].value", "phoneNumbers"),
        ('phoneNumbers[primary eq "True"].value', "phoneNumbers"),
        ('roles[primary eq "True"].value', "roles"),
        ("roles[primary eq true].value", "roles"),
    ],
)
def test_u22_the_primary_element_is_created_as_such(entra: Speaker, path: str, attribute: str) -> None:
    """U22: an element with `primary: true`, a boolean; the second time it is found."""
    user = entra.user()
    assert entra.changed(user, op("Add", path, "7"))[attribute] == [{"primary": True, "value": "7"}]
    assert entra.changed(user, op("Replace", path, "8"))[attribute] == [{"primary": True, "value": "8"}]


def test_u23_the_first_attribute_of_an_extension(entra: Speaker) -> None:
    """U23, RS-02: GET shows the object, and the URN in `schemas`."""
    user = entra.user()
    shown = entra.changed(user, op("Add", f"{ENTERPRISE}:department", "Sales"))
    assert shown[ENTERPRISE] == {"department": "Sales"}
    assert set(shown["schemas"]) == {USER, ENTERPRISE}
    assert entra.changed(user, op("Remove", f"{ENTERPRISE}:department"))["schemas"] == [USER]


def test_u24_core_attributes_may_carry_their_urn(entra: Speaker) -> None:
    """U24."""
    given = op("Add", f"{USER}:name.givenName", "Barbara")
    shown = entra.changed(entra.user(), op("Replace", f"{USER}:nickName", "Babs"), given)
    assert (shown["nickName"], shown["name"]) == ("Babs", {"givenName": "Barbara"})


def test_u25_a_custom_urn_is_not_split_at_its_dots(entra: Speaker) -> None:
    """U25 while no tenant can declare a schema: read as one attribute, ignored, recorded as ignored."""
    badge = "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User:badge"
    user = entra.user()
    shown = entra.changed(user, op("Add", badge, "7"), op("Add", "title", "Guide"))
    assert shown["title"] == "Guide"
    assert set(shown) - set(user) == {"title"}
    assert mentions(entra.history(user["id"]), badge)


FLAG_VALUE = {
    "displayName": "Ana Soto",
    "name.givenName": "Anna",
    f"{ENTERPRISE}:employeeNumber": "7002",
}


@pytest.mark.parametrize("verb", ["replace", "add"])
def test_u26_u27_all_scalars_in_one_operation(entra: Speaker, verb: str) -> None:
    """U26, U27: dotted and URN keys next to filtered operations; the name's other parts stay."""
    ana = entra.post("/Users", entra_body())
    shown = entra.changed(
        ana,
        op(verb, WORK_MAIL, "ana.soto@contoso.example"),
        op(verb, 'phoneNumbers[type eq "mobile"].value', "+34 600"),
        {"op": verb, "value": FLAG_VALUE},
    )
    assert shown["displayName"] == "Ana Soto"
    assert shown["name"] == ana["name"] | {"givenName": "Anna"}
    assert shown[ENTERPRISE] == {"employeeNumber": "7002"}
    assert shown["emails"] == [ana["emails"][0] | {"value": "ana.soto@contoso.example"}]
    assert shown["phoneNumbers"] == [{"type": "mobile", "value": "+34 600"}]


@pytest.mark.parametrize("verb", ["replace", "add", "Add", "Replace"])
def test_u27_nested_objects_are_merged(entra: Speaker, verb: str) -> None:
    """U27: `"name": {"givenName": …}` leaves the family name."""
    ana = entra.post("/Users", entra_body() | {ENTERPRISE: {"division": "EMEA"}})
    value = {"name": {"givenName": "Anna"}, ENTERPRISE: {"department": "Sales"}}
    shown = entra.changed(ana, {"op": verb, "value": value})
    assert shown["name"] == ana["name"] | {"givenName": "Anna"}
    assert shown[ENTERPRISE] == {"division": "EMEA", "department": "Sales"}


# --- active


DISABLED = {
    "False": op("Replace", "active", "False"),
    "false-string": op("Replace", "active", "false"),
    "boolean": op("replace", "active", False),
    "pathless": {"op": "replace", "value": {"active": False}},
    "pathless-string": {"op": "Replace", "value": {"active": "False"}},
    "add": op("Add", "active", "False"),
    "capital-path": op("Replace", "Active", "False"),
}


@pytest.mark.parametrize("operation", DISABLED.values(), ids=DISABLED)
def test_u28_u29_every_way_to_disable(entra: Speaker, operation: Json) -> None:
    """U28, U29: `active` is false, a boolean; nothing else changes."""
    ana = entra.post("/Users", entra_body())
    shown = entra.changed(ana, operation)
    assert shown["active"] is False
    assert {k: v for k, v in shown.items() if k != "meta"} == {
        k: v for k, v in (ana | {"active": False}).items() if k != "meta"
    }


@pytest.mark.parametrize("value", ["True", "true", True])
def test_u30_enable_again(entra: Speaker, value: Any) -> None:
    """U30."""
    assert entra.changed(entra.user(active=False), op("Replace", "active", value))["active"] is True


@pytest.mark.parametrize("value", ["maybe", "yes", "0", "1", 1, 0, "", [True], {"value": False}, "Falsch"])
def test_u31_what_is_no_boolean_changes_nothing(entra: Speaker, value: Any) -> None:
    """U31: 400 invalidValue; a non-empty string is never taken for true."""
    ana = entra.user(active=True)
    refused(entra.patch(ana, op("Replace", "active", value)), 400, "invalidValue")
    assert entra.show(ana) == ana


UNKNOWN_NEXT_TO_IT = {
    "path": op("Add", "shoeSize", "43"),
    "filtered": op("Add", 'badges[type eq "door"].value', "7"),
    "urn": op("Add", "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User:badge", "7"),
    "pathless": {"op": "Add", "value": {"shoeSize": "43"}},
}


@pytest.mark.parametrize("unknown", UNKNOWN_NEXT_TO_IT.values(), ids=UNKNOWN_NEXT_TO_IT)
@pytest.mark.parametrize("order", ["before", "after"])
def test_u32_a_bundled_deactivation_is_not_lost(entra: Speaker, unknown: Json, order: str) -> None:
    """U32: success and `active: false`, though the bundle names an attribute we do not know."""
    disable = op("Replace", "active", "False")
    operations = [disable, unknown] if order == "after" else [unknown, disable]
    assert entra.changed(entra.user(active=True), *operations)["active"] is False


def test_u33_memberships_survive_a_disabled_time(entra: Speaker) -> None:
    """U33: on re-enable Entra does not send them again."""
    user = entra.user(active=True)
    groups = [entra.group(None, user["id"]) for _ in range(2)]
    for value in ("False", "True"):
        entra.changed(user, op("Replace", "active", value))
        assert all(entra.member_ids(group) == {user["id"]} for group in groups), value


# --- manager


@pytest.fixture
def chiefs(entra: Speaker) -> tuple[Json, str, str]:
    """A user whose manager is the second of the three; the third is another user."""
    first, second = entra.user()["id"], entra.user()["id"]
    return entra.user(enterprise={"manager": {"value": first}}), first, second


def test_u34_a_manager_as_a_bare_string(entra: Speaker) -> None:
    """U34: read back as an object."""
    chief = entra.user()["id"]
    shown = entra.changed(entra.user(), op("Add", f"{ENTERPRISE}:manager", chief))
    assert shown[ENTERPRISE]["manager"]["value"] == chief


FORMS_OF_MANAGER = {
    "string": lambda new: op("Replace", f"{ENTERPRISE}:manager", new),
    "object": lambda new: op("Replace", f"{ENTERPRISE}:manager", {"value": new}),
    "array": lambda new: op("Replace", "manager", [{"$ref": f"http://x.example/Users/{new}", "value": new}]),
    "value-path": lambda new: op("Replace", f"{ENTERPRISE}:manager.value", new),
    "pathless": lambda new: {"op": "Add", "value": {f"{ENTERPRISE}:manager": new}},
    "pathless-value": lambda new: {"op": "Add", "value": {f"{ENTERPRISE}:manager.value": new}},
    "pathless-nested": lambda new: {"op": "replace", "value": {ENTERPRISE: {"manager": new}}},
}


@pytest.mark.parametrize("form", FORMS_OF_MANAGER.values(), ids=FORMS_OF_MANAGER)
def test_u35_u36_another_manager(entra: Speaker, chiefs: tuple[Json, str, str], form: Any) -> None:
    """U35, U36: every form that was seen."""
    user, _, second = chiefs
    manager = entra.changed(user, form(second))[ENTERPRISE]["manager"]
    assert manager["value"] == second
    assert isinstance(manager, dict)


FORMS_OF_NO_MANAGER = {
    "filter": lambda old: op("remove", f'manager[value eq "{old}"]'),
    "urn-filter": lambda old: op("Remove", f'{ENTERPRISE}:manager[value eq "{old}"]'),
    "remove": lambda old: op("Remove", f"{ENTERPRISE}:manager"),
    "empty-string": lambda old: op("replace", f"{ENTERPRISE}:manager", ""),
    "empty-value": lambda old: op("replace", f"{ENTERPRISE}:manager", {"value": ""}),
    "null": lambda old: op("Replace", f"{ENTERPRISE}:manager", None),
}


@pytest.mark.parametrize("form", FORMS_OF_NO_MANAGER.values(), ids=FORMS_OF_NO_MANAGER)
def test_u37_u38_no_manager_any_more(entra: Speaker, chiefs: tuple[Json, str, str], form: Any) -> None:
    """U37, U38: gone."""
    user, first, _ = chiefs
    assert "manager" not in entra.changed(user, form(first)).get(ENTERPRISE, {})


# --- removing and replacing


MAPPED = {  # The default mapping, section 3.2: path and where GET shows it.
    "displayName": "Ana",
    "title": "Guide",
    "preferredLanguage": "es",
    "name.givenName": "Ana",
    "name.familyName": "Ruiz",
    "name.formatted": "Ana Ruiz",
    WORK_MAIL: "ana@mail.example",
    'emails[type eq "other"].value': "ana@other.example",
    'addresses[type eq "work"].streetAddress': "Main St",
    'addresses[type eq "work"].postalCode': "123",
    'addresses[type eq "other"].formatted': "Room 4",
    'phoneNumbers[type eq "work"].value': "+34 1",
    'phoneNumbers[type eq "mobile"].value': "+34 2",
    'phoneNumbers[type eq "fax"].value': "+34 3",
    "externalId": "ext",
    f"{ENTERPRISE}:employeeNumber": "7",
    f"{ENTERPRISE}:department": "Sales",
    f"{ENTERPRISE}:manager": "c0ffee",
}


def shown_at(resource: Json, path: str) -> Any:
    """What a GET shows at one of the mapped paths; None when there is nothing."""
    if path.startswith(ENTERPRISE):
        return resource.get(ENTERPRISE, {}).get(path.removeprefix(f"{ENTERPRISE}:"))
    attribute, _, rest = path.partition("[")
    if rest:
        kind, sub_attribute = rest.split('"')[1], rest.rpartition(".")[2]
        elements = [element for element in resource.get(attribute, []) if element.get("type") == kind]
        return elements[0].get(sub_attribute) if elements else None
    parent, _, sub_attribute = path.partition(".")
    value = resource.get(parent)
    return value.get(sub_attribute) if sub_attribute and value else value


def test_u39_every_mapped_attribute_replaced_by_nothing(entra: Speaker) -> None:
    """U39: success each time; empty or absent on GET, and the others stay."""
    user = entra.user()
    everything = entra.changed(user, *(op("Add", path, value) for path, value in MAPPED.items()))
    assert all(shown_at(everything, path) for path in MAPPED)
    left = dict(MAPPED)
    for path in MAPPED:
        shown = entra.changed(user, op("Replace", path, ""))
        assert shown_at(shown, path) in (None, "", []), path
        del left[path]
        assert all(shown_at(shown, other) for other in left), path


def test_u39_all_of_them_in_one_request(entra: Speaker) -> None:
    """U39, as one bundle."""
    user = entra.user()
    entra.changed(user, *(op("Add", path, value) for path, value in MAPPED.items()))
    shown = entra.changed(user, *(op("Replace", path, "") for path in MAPPED))
    assert all(shown_at(shown, path) in (None, "", []) for path in MAPPED)


def test_u40_replaced_by_null(entra: Speaker) -> None:
    """U40: absent; so does Remove."""
    assert "title" not in entra.changed(entra.user(title="Guide"), op("Replace", "title", None))
    assert "title" not in entra.changed(entra.user(title="Guide"), op("Remove", "title"))


def test_u41_three_kinds_in_one_request(entra: Speaker) -> None:
    """U41: remove, path-less add, path-less replace: all three."""
    external_id = fresh("ext")
    shown = entra.changed(
        entra.user(nickName="Babs", displayName="Old"),
        op("remove", "nickName"),
        {"op": "add", "value": {"externalId": external_id}},
        {"op": "replace", "value": {"displayName": "New"}},
    )
    assert "nickName" not in shown
    assert (shown["externalId"], shown["displayName"]) == (external_id, "New")


def test_u42_the_last_one_wins(entra: Speaker) -> None:
    """U42: remove, add and replace of one attribute in one request."""
    shown = entra.changed(
        entra.user(externalId="before"),
        op("remove", "externalId"),
        op("add", "externalId", "between"),
        op("replace", "externalId", "after"),
    )
    assert shown["externalId"] == "after"


def test_u43_a_rename(entra: Speaker) -> None:
    """U43, LQ-09: GET and filter show the new name, the old one finds nobody."""
    user, name = entra.user(), fresh("renamed")
    shown = entra.changed(user, {"op": "replace", "value": {"userName": name}})
    assert (shown["userName"], shown["id"]) == (name, user["id"])
    assert entra.found("/Users", eq("userName", name)) == [shown]
    assert entra.found("/Users", eq("userName", user["userName"])) == []
    assert entra.user(user["userName"])["id"] != user["id"]  # The old name is free.


@pytest.mark.parametrize("case", [str, str.upper])
def test_u44_a_rename_to_somebody_else(entra: Speaker, case: Any) -> None:
    """U44, PA-11: 409 uniqueness, b unchanged."""
    a, b = entra.user(), entra.user(title="B")
    clash = op("Replace", "userName", case(a["userName"]))
    refused(entra.patch(b, op("Replace", "title", "C"), clash), 409, "uniqueness")
    assert entra.show(b) == b
    assert entra.show(a) == a


# --- requests that change nothing, or must not


def test_u45_no_operations(entra: Speaker) -> None:
    """U45: success, no event of the user."""
    user = entra.user()
    response = entra.send("PATCH", url_of(user), patch_body())
    assert response.status_code in (200, 204)
    assert entra.show(user) == user


def test_u46_the_same_request_twice(entra: Speaker) -> None:
    """U46, PA-09, EV-12: success; the second one changes neither version nor lastModified."""
    user = entra.user()
    operations = (op("Replace", "displayName", "Ana"), op("Add", WORK_MAIL, "a@b.example"))
    first = entra.changed(user, *operations)
    assert entra.changed(user, *operations) == first


def test_a_patch_is_one_request_of_the_ledger_or_none(entra: Speaker) -> None:
    """EV-12: its changes stand together under one request; refused or repeated, it changes nothing."""
    user = entra.user(title="Guide")
    operations = (op("Replace", "displayName", "Ana"), op("Replace", "active", "False"))
    refused(entra.patch(user, *operations, op("Replace", "userName", "")), 400, "invalidValue")
    for _ in range(2):
        assert entra.patch(user, *operations).status_code == 200
    created, refusal, *changes, unchanged = entra.history(user["id"])
    assert (created["event"], refusal["event"], unchanged["event"]) == (
        "UserCreated", "RequestRefused", "RequestUnchanged",
    )  # fmt: skip
    assert {change["event"] for change in changes} == {"AttributeChanged", "Deactivated"} and len(changes) == 2
    assert len({change["request_id"] for change in changes}) == 1
    assert changes[1]["position"] == changes[0]["position"] + 1


@pytest.mark.parametrize("verb", ["move", "copy", "test", "Update", "", None, 5])
def test_u47_an_unknown_operation(entra: Speaker, verb: Any) -> None:
    """U47: 400 invalidSyntax or invalidValue, nothing changed."""
    user = entra.user(title="Guide")
    response = entra.patch(user, {"op": verb, "path": "title", "value": "x"})
    refused(response, 400, "invalidSyntax", "invalidValue")
    assert entra.show(user) == user


def test_u48_all_or_nothing(entra: Speaker) -> None:
    """U48, PA-06: the first operation was fine, the second is not: 400, the first is not applied."""
    user = entra.user(title="Guide")
    response = entra.patch(user, op("Replace", "title", "Chief"), op("Replace", "active", "maybe"))
    refused(response, 400, "invalidValue")
    assert entra.show(user) == user


@pytest.mark.parametrize("verb", ["Add", "Replace", "Remove"])
def test_u49_the_id_is_ours(entra: Speaker, verb: str) -> None:
    """U49, RS-06, PD-01: 400 mutability; the id is unchanged."""
    user = entra.user()
    refused(entra.patch(user, op(verb, "id", str(uuid.uuid4()))), 400, "mutability")
    assert entra.show(user) == user


def test_u50_nobody_to_change(entra: Speaker) -> None:
    """U50: 404."""
    body = patch_body(op("Replace", "title", "x"))
    refused(entra.send("PATCH", f"/Users/{uuid.uuid4()}", body), 404, None)


# --- DELETE


def test_u51_u52_u53_the_end_of_a_user(entra: Speaker) -> None:
    """U51, DE-01, DE-02, GE-02: 204, then 404 and not found. U52: 404 the second time. U53, DE-04, CR-08: the name is
    free, the id is new.
    """
    user = entra.user(externalId=fresh("ext"))
    entra.delete(user)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", patch_body()), ("PUT", user_body())):
        refused(entra.send(method, url_of(user), body), 404, None)
    for attribute in ("userName", "externalId", "id"):
        assert entra.found("/Users", eq(attribute, user[attribute])) == []
    refused(entra.send("DELETE", f"/Users/{uuid.uuid4()}"), 404, None)
    again = entra.user(user["userName"], externalId=user["externalId"])
    assert again["id"] != user["id"]
    refused(entra.get(url_of(user)), 404, None)


def test_u54_a_deleted_user_leaves_every_group(entra: Speaker) -> None:
    """U54, DE-05: the groups list her no longer, and the others still."""
    user, other = entra.user(), entra.user()
    groups = [entra.group(None, user["id"], other["id"]) for _ in range(2)]
    entra.delete(user)
    for group in groups:
        assert entra.member_ids(group) == {other["id"]}
        assert entra.found("/Groups", eq("members", user["id"])) == []


# --- values kept as they are


def test_u55_no_opinion_about_formats(entra: Speaker) -> None:
    """U55: random text is stored as sent."""
    names = ("locale", "timezone", "preferredLanguage", "profileUrl", "userType", "displayName", "title")
    texts = {name: f" {fresh('ÀÉ  text')}\t" for name in names}
    user = entra.user(**texts)
    assert {name: entra.show(user)[name] for name in texts} == texts
    other = {name: text.upper() for name, text in texts.items()}
    shown = entra.changed(user, *(op("Replace", name, text) for name, text in other.items()))
    assert {name: shown[name] for name in other} == other


def test_u56_a_role_that_holds_json(entra: Speaker) -> None:
    """U56: stored verbatim; `displayName` in a role is not known, and no reason to refuse."""
    text = json.dumps({"id": str(uuid.uuid4()), "value": "25", "displayName": "Role1234"})
    shown = entra.changed(entra.user(), op("Add", "roles", [{"value": text}]))
    assert shown["roles"] == [{"value": text}]
    role = {"type": "WindowsAzureActiveDirectoryRole", "value": "Admin"}
    sent = role | {"primary": "True", "displayName": "Admin"}
    shown = entra.changed(entra.user(), op("add", "roles", [sent]))
    assert shown["roles"] == [role | {"primary": True}]


def test_u57_all_roles_replaced(entra: Speaker) -> None:
    """U57."""
    user = entra.user(roles=[{"value": "a", "primary": True}, {"value": "b"}])
    shown = entra.changed(user, op("Replace", "roles", [{"value": "c", "display": "C"}]))
    assert shown["roles"] == [{"value": "c", "display": "C"}]


def test_u58_put(entra: Speaker) -> None:
    """U58, PU-01, PU-07: 200; a misspelled attribute is ignored; without userName 400, nothing changed."""
    user = entra.post("/Users", entra_body())
    body = entra_body(userName=user["userName"], displayName="Put", dispalyName="misspelled")
    shown = entra.put(user, body)
    assert shown["displayName"] == "Put"
    assert "dispalyName" not in shown
    del body["userName"]
    refused(entra.send("PUT", url_of(user), body), 400, "invalidValue")
    assert entra.show(user) == shown
