"""The requirement catalogue on resources: what they look like, how they come to be, how they are read."""

import uuid
from datetime import datetime
from typing import Any

import pytest
from flood import flood
from issuing import setting
from speaking import (
    ENTERPRISE,
    USER,
    Json,
    Speaker,
    eq,
    fresh,
    group_body,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
    where,
)


def test_schemas_follow_from_the_data(either: Speaker) -> None:
    """RS-01, RS-02, RS-05, PD-13: the core schema and the extensions with data, each once, under every projection."""
    user = either.user(enterprise={"department": "Sales"})
    assert user["schemas"] == [USER, ENTERPRISE]
    for query in ("?attributes=userName", "?excludedAttributes=schemas,id,userName", "?attributes=nothing"):
        shown = either.read(url_of(user) + query)
        assert (shown["schemas"], shown["id"]) == ([USER, ENTERPRISE], user["id"])
    assert either.changed(user, op("remove", f"{ENTERPRISE}:department"))["schemas"] == [USER]
    assert either.changed(user, op("add", f"{ENTERPRISE}:division", "D"))["schemas"] == [USER, ENTERPRISE]


def test_ids_are_ours(either: Speaker) -> None:
    """RS-06, RS-08, CR-02, PU-05: random, never the client's, never in need of escaping; so is everything in meta."""
    claimed = {"id": "mine", "meta": {"created": "2001-01-01T00:00:00Z", "version": "x", "location": "http://x"}}
    user = either.post("/Users", user_body() | claimed)
    assert uuid.UUID(user["id"]).version == 4
    assert user["meta"]["created"] > "2020"
    replaced = either.put(user, user_body(user["userName"], title="t") | claimed)
    assert (replaced["id"], replaced["meta"]["created"]) == (user["id"], user["meta"]["created"])
    assert replaced["meta"]["location"] == user["meta"]["location"]


def test_external_ids_are_the_clients(either: Speaker) -> None:
    """RS-07: never invented, never unique, exact in case."""
    assert "externalId" not in either.user()
    twins = [either.user(externalId="Twin") for _ in range(2)]
    assert either.found("/Users", eq("externalId", "Twin")) == twins
    assert either.found("/Users", eq("externalId", "TWIN")) == []
    assert "externalId" not in either.changed(twins[0], op("remove", "externalId"))


def test_meta_tells_when_and_where(either: Speaker) -> None:
    """RS-09 to RS-12, CR-01, GE-01, ET-01: full times in UTC with milliseconds; Location and ETag as in meta."""
    for made in (either.user(), either.group()):
        meta = made["meta"]
        assert set(meta) == {"resourceType", "created", "lastModified", "location", "version"}
        assert meta["resourceType"] in meta["location"]
        assert meta["created"] == meta["lastModified"]
        assert datetime.strptime(meta["created"], "%Y-%m-%dT%H:%M:%S.%fZ")
        assert len(meta["created"]) == len("2026-11-26T11:37:49.123Z")
        response = either.get(url_of(made))
        assert (response.headers["etag"], response.headers["location"]) == (meta["version"], meta["location"])
        assert meta["version"].startswith('W/"')
        changed = either.changed(made, op("replace", "displayName", fresh("Changed")))["meta"]
        assert changed["created"] == meta["created"]
        assert changed["lastModified"] >= meta["lastModified"]


def test_names_have_no_case_and_answers_the_schemas(either: Speaker) -> None:
    """RS-13, RS-15: of attributes, sub-attributes and containers, in bodies and in operations."""
    body = {"schemas": [USER], "USERNAME": fresh("case"), "Name": {"FAMILYNAME": "B"}, "eMails": [{"VALUE": "a@x"}]}
    user = either.post("/Users", body | {ENTERPRISE.upper(): {"Department": "Sales"}})
    assert {"userName", "name", "emails", ENTERPRISE} < set(user)
    assert (user["name"], user["emails"]) == ({"familyName": "B"}, [{"value": "a@x"}])
    assert user[ENTERPRISE] == {"department": "Sales"}
    assert either.changed(user, op("replace", "NAME.givenNAME", "A"))["name"] == {"familyName": "B", "givenName": "A"}


def test_ref_is_a_name_like_others(either: Speaker) -> None:
    """RS-14: in filters and in paths."""
    user = either.user()
    group = either.group(None, user["id"])
    location = user["meta"]["location"]
    assert either.found("/Groups", where(f'members.$ref eq "{location}"')) == [group]
    assert either.found("/Users", where(f'groups[$ref eq "{group["meta"]["location"]}"]'))[0]["id"] == user["id"]
    assert "members" not in either.changed(group, op("remove", f'members[$ref eq "{location}"]'))


def test_what_was_not_assigned_is_not_shown(either: Speaker) -> None:
    """RS-16, CR-04, CR-05: nothing is made up, and null, [] and silence are one state."""
    assert set(either.user()) == {"schemas", "id", "userName", "meta"}
    empty = {"title": None, "emails": [], "name": None, "active": None, ENTERPRISE: None}
    assert set(either.post("/Users", user_body() | empty)) == {"schemas", "id", "userName", "meta"}


def test_canonical_values_are_suggestions(either: Speaker) -> None:
    """RS-21, RS-22: any other type is kept, and no value is put into another form."""
    phones = [{"value": " +49 (0)30-1234567 ", "type": "satellite"}]
    assert either.user(phoneNumbers=phones)["phoneNumbers"] == phones


def test_an_empty_string_is_a_value(either: Speaker) -> None:
    """RS-23, FI-15, DEC-15: kept and shown, equal to itself, yet not present."""
    user = either.user(title="")
    assert user["title"] == ""
    assert either.found("/Users", where(f'id eq "{user["id"]}" and title eq ""')) == [user]
    assert either.found("/Users", where(f'id eq "{user["id"]}" and title pr')) == []


@pytest.mark.parametrize(
    "form", ["../Users/{}", "/Users/{}", "Users/{}", "/scim/x/v2/Users/{}", "https://old.example/v2/Users/{}"]
)
def test_references_may_be_relative(either: Speaker, form: str) -> None:
    """RS-24, GR-10: with or without version, they lead to the same resource; answers give the absolute URI."""
    user = either.user()
    group = either.post("/Groups", group_body(members=[{"$ref": form.format(user["id"])}]))
    assert group["members"] == [{"value": user["id"], "$ref": user["meta"]["location"], "type": "User"}]


def test_binary_values_are_base64(either: Speaker) -> None:
    """RS-25: padding may be missing; anything else is refused."""
    user = either.user(x509Certificates=[{"value": "TUlJRA=="}, {"value": "TUlJRFE"}])
    assert [each["value"] for each in user["x509Certificates"]] == ["TUlJRA==", "TUlJRFE"]
    for wrong in ("###", "TUlJR", "TU lJ", 5):
        refused(either.send("POST", "/Users", user_body(x509Certificates=[{"value": wrong}])), 400, "invalidValue")


def test_booleans_and_types_are_checked(either: Speaker) -> None:
    """RS-26, RS-29, MT-18: a wrong type is refused, not dropped; nothing is created."""
    before = either.total("/Users")
    for wrong in ({"active": 1}, {"title": ["a"]}, {"name": "A B"}, {"emails": {"value": 5}}, {"displayName": {}}):
        refused(either.send("POST", "/Users", user_body() | wrong), 400, "invalidValue")
    assert either.total("/Users") == before


def test_unknown_attributes_by_profile(lenient: Speaker, strict: Speaker) -> None:
    """RS-28, RS-30, DEC-09: lenient keeps nothing of them and shows what it kept; strict refuses the body."""
    body = user_body(favouriteColour="red", **{"urn:example:x:2.0:User": {"a": 1}})
    made = lenient.post("/Users", body)
    assert set(made) == {"schemas", "id", "userName", "meta"}
    assert lenient.show(made) == made
    refused(strict.send("POST", "/Users", body), 400, "invalidSyntax")


# --- create


def test_a_name_is_taken_in_every_form(either: Speaker) -> None:
    """CR-07, CR-11, IN-01, IN-02, IN-05: by case, width and composition; posting the same body again is no replay."""
    body = user_body(f"Zoë.{uuid.uuid4().hex[:6]}@contoso.example")
    either.post("/Users", body)
    name = body["userName"]
    full_width = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in name)
    for again in (name, name.upper(), name.replace("ë", "e\u0308"), full_width):
        refused(either.send("POST", "/Users", body | {"userName": again}), 409, "uniqueness")
        assert [found["userName"] for found in either.found("/Users", eq("userName", again))] == [name]


def test_of_equal_creations_one_wins(either: Speaker) -> None:
    """CR-12: eight at once, one 201 and seven 409."""
    body = user_body(fresh("race"))
    answers = flood(either, [("POST", "/Users", body)] * 8)
    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert len(either.found("/Users", eq("userName", body["userName"]))) == 1


def test_containers_and_schemas_need_not_agree(either: Speaker) -> None:
    """CR-13, RS-03: the data decides, whichever was forgotten."""
    announced = either.post("/Users", user_body() | {"schemas": [USER, ENTERPRISE]})
    assert announced["schemas"] == [USER]
    unannounced = either.post("/Users", user_body() | {ENTERPRISE: {"department": "Sales"}})
    assert unannounced["schemas"] == [USER, ENTERPRISE]
    stranger = either.post("/Users", user_body() | {"schemas": [USER, "urn:example:other"]})
    assert stranger["schemas"] == [USER]


def test_required_attributes_have_a_value(either: Speaker) -> None:
    """CR-06, PU-07, RS-23, PD-05: missing, null, empty and blank are one refusal, and nothing is made."""
    before = either.total("/Users"), either.total("/Groups")
    user, group = either.user(), either.group()
    for wrong in ({}, *({"userName": each} for each in (None, "", "   ", "\u00a0\t"))):
        body = {name: part for name, part in user_body().items() if name != "userName"} | wrong
        refused(either.send("POST", "/Users", body), 400, "invalidValue")
        refused(either.send("PUT", url_of(user), body), 400, "invalidValue")
    for wrong in ({}, *({"displayName": each} for each in (None, "", "   ", "\u2003\n"))):
        body = {name: part for name, part in group_body().items() if name != "displayName"} | wrong
        refused(either.send("POST", "/Groups", body), 400, "invalidValue")
        refused(either.send("PUT", url_of(group), body), 400, "invalidValue")
    for resource, name in ((user, "userName"), (group, "displayName")):
        for written in (op("replace", name, " "), op("add", None, {name: " "})):
            refused(either.patch(resource, written), 400, "invalidValue")
    assert (either.total("/Users"), either.total("/Groups")) == (before[0] + 1, before[1] + 1)
    assert (either.show(user), either.show(group)) == (user, group)


def test_group_names_are_unique_by_choice(service: Any, either: Speaker) -> None:
    """GR-09, RX-41: on by default and refused in any case; switched off as many as anybody likes, and CR-11 holds."""
    name = either.group()["displayName"]
    refused(either.send("POST", "/Groups", group_body(name.upper())), 409, "uniqueness")
    free = Speaker(service, either.profile)
    setting(free, "group_names_unique", False)
    assert free.group(name)["id"] != free.group(name)["id"]
    assert len(free.found("/Groups", eq("displayName", name))) == 2


# --- read


def test_the_default_set_is_what_is_returned_by_default(either: Speaker) -> None:
    """GE-01, GE-03 to GE-05, SX-02, SX-04: all but the password; a filter on one resource is ignored."""
    sent = user_body(title="Guide", active=False, password="s3cret!", name={"givenName": "A"})
    user = either.post("/Users", sent)
    assert set(user) == (set(sent) | {"id", "meta"}) - {"password"}
    response = either.get(f"{url_of(user)}{eq('userName', 'somebody else')}")
    assert response.json() == user
    assert response.headers["location"] == user["meta"]["location"]
    for query in ("?attributes=password", "?attributes=userName,password", "?excludedAttributes=title"):
        assert "s3cret!" not in either.get(url_of(user) + query).text
        assert "password" not in either.read(url_of(user) + query)
    assert either.read("/ServiceProviderConfig")["changePassword"] == {"supported": False}


def test_a_password_is_in_no_answer(either: Speaker) -> None:
    """SX-02, SX-03, PJ-08, PD-16: of no method, of no list, of no refusal; setting it is a change all the same."""
    user = either.user(password="first-Secret")
    answers = [
        either.send("PUT", url_of(user), user_body(user["userName"], password="second-Secret")),
        either.patch(user, op("replace", "password", "third-Secret")),
        either.send("PATCH", f"{url_of(user)}?attributes=password", patch_body(op("add", "password", "fourth-Secret"))),
        either.get(f"/Users?attributes=password&{eq('id', user['id'])[1:]}"),
        either.patch(user, op("replace", "password", ["fifth-Secret"])),
        either.send("POST", "/Users", user_body(password={"value": "sixth-Secret"})),
        either.get(f"/Users{eq('password', 'first-Secret')}"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 400, 400, 400]
    assert not any("Secret" in answer.text for answer in answers)
    assert either.show(user)["meta"]["version"] == 'W/"5"'  # Created, password given; three more.
    told = str(either.history(user["id"]))
    assert "password" in told
    assert "Secret" not in told


def test_control_characters_stand_in_no_user_name(either: Speaker) -> None:
    """IN-03, IN-04, MT-14: blanks and emoji are kept as sent, controls are refused; elsewhere they are kept."""
    name = f"Jo Fox 🦊 {uuid.uuid4().hex[:6]} "
    assert either.user(name)["userName"] == name
    for wrong in ("a\tb", "a\x7fb", "a\x01b", "a\x85b"):
        refused(either.send("POST", "/Users", user_body(wrong)), 400, "invalidValue")
    assert either.user(title="a\tb")["title"] == "a\tb"


def test_folding_has_no_locale(either: Speaker) -> None:
    """IN-05 to IN-07: what a filter finds is what conflicts; sigmas are one letter, dotless i is another."""
    group: Json = either.group(f"ΣΊΣΥΦΟΣ ıI {either.slug}")
    assert either.found("/Groups", eq("displayName", f"σίσυφος ıi {either.slug}")) == [group]
    refused(either.send("POST", "/Groups", group_body(f"σίσυφος ıi {either.slug}")), 409, "uniqueness")
    assert either.found("/Groups", eq("displayName", f"σίσυφος ii {either.slug}")) == []
