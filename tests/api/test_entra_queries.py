"""What Entra ID asks, row by row: the Q rows of the client's test catalogue.

`Speaker` checks on every answer what the catalogue asks of every row: `application/scim+json` exactly, and an
Error body on failures.
"""

import http.client
import json
import uuid
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from issuing import expired_token, revoked_token
from speaking import (
    ENTERPRISE,
    GROUP,
    SCIM_JSON,
    USER,
    Json,
    Speaker,
    answers,
    checked,
    eq,
    fresh,
    head,
    list_of,
    op,
    refused,
    where,
    wire,
)


@pytest.fixture(scope="module")
def entra(service: Any) -> Speaker:
    """A tenant that Entra provisions; the tests of this file share it and use names of their own."""
    return Speaker(service)


@pytest.fixture(scope="module")
def ana(entra: Speaker) -> Json:
    """A user as Entra creates it (section 1.4)."""
    name = fresh("ana.ruiz")
    return entra.user(
        f"{name}@contoso.example",
        externalId=name,
        active=True,
        displayName="Ana Ruiz",
        emails=[{"primary": True, "type": "work", "value": f"{name}@mail.example"}],
        name={"formatted": "Ana Ruiz", "familyName": "Ruiz", "givenName": "Ana"},
    )


@pytest.fixture(scope="module")
def dozen(service: Any) -> Speaker:
    """A tenant with twelve users and nothing else."""
    speaker = Speaker(service)
    for number in range(12):
        speaker.user(f"user{number:02}@contoso.example")
    return speaker


def raw_list(speaker: Speaker, path_and_query: str) -> list[Json]:
    """A GET whose characters reach the service exactly as written, as `urllib` of other clients would not."""
    with wire(speaker.service) as connection:
        connection.sendall(head(speaker, "GET", path_and_query))
        (answer,) = answers(connection)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == SCIM_JSON
    return list_of(answer.json())


def test_q1_nobody_by_that_name_is_an_empty_list(entra: Speaker, ana: Json) -> None:
    """Q1, LQ-02, LQ-05, the connection test: 200, totalResults 0, `Resources: []`."""
    body = entra.read(f"/Users{eq('userName', str(uuid.uuid4()))}")
    assert body["totalResults"] == 0
    assert body["Resources"] == []
    assert body["startIndex"] == 1


@pytest.mark.parametrize("attribute", ["externalId", 'emails[type eq "work"].value'])
def test_q1_the_matching_attribute_may_be_another(entra: Speaker, ana: Json, attribute: str) -> None:
    """Q1: a random GUID for the configured matching attribute, of users and of groups."""
    assert entra.found("/Users", where(f'{attribute} eq "{uuid.uuid4()}"')) == []
    assert entra.found("/Groups", eq("displayName", str(uuid.uuid4()))) == []
    assert entra.found("/Groups", eq("externalId", str(uuid.uuid4()))) == []


ENCODINGS = {
    "plus-and-percent-22": "userName+eq+%22{}%22",
    "percent-20": "userName%20eq%20%22{}%22",
    "raw-quotes": 'userName+eq+"{}"',
    "raw-quotes-percent-20": 'userName%20eq%20"{}"',
    "lower-case-hex": "userName%20eq%20%22{}%22&x=%c3%bc",
}


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_q2_every_way_to_encode_the_query_is_understood(entra: Speaker, ana: Json, encoding: str) -> None:
    """Q2, FI-38: `+` or `%20`, `%22` or raw quotes; a stranger is not found and a user is."""
    assert raw_list(entra, f"/Users?filter={encoding.format(uuid.uuid4())}") == []
    (found,) = raw_list(entra, f"/Users?filter={encoding.format(ana['userName'])}")
    assert found["id"] == ana["id"]


def test_q2_brackets_and_colons_may_be_raw_too(entra: Speaker, ana: Json) -> None:
    """Q2 for the filtered path of section 1.3."""
    mail = ana["emails"][0]["value"]
    asked = f'emails[type eq "work"].value eq "{mail}"'
    for query in (asked.replace(" ", "+"), quote(asked)):
        assert [user["id"] for user in raw_list(entra, f"/Users?filter={query}")] == [ana["id"]]


def test_q3_a_user_is_found_by_name_with_everything(entra: Speaker, ana: Json) -> None:
    """Q3, LQ-06: `@` as `%40`; totalResults 1; the full user with id."""
    query = f"?filter=userName%20eq%20%22{quote(ana['userName'], safe='')}%22"
    assert "%40" in query
    assert entra.found("/Users", query) == [entra.show(ana)]
    assert entra.read(f"/Users{query}")["totalResults"] == 1


def test_q4_a_name_in_other_letter_case_finds_the_stored_one(entra: Speaker, ana: Json) -> None:
    """Q4."""
    (found,) = entra.found("/Users", eq("userName", ana["userName"].upper()))
    assert found["userName"] == ana["userName"]
    assert found["id"] == ana["id"]


def test_q5_external_ids_are_case_exact(entra: Speaker, ana: Json) -> None:
    """Q5, FI-10: found as written, not in another case."""
    assert [user["id"] for user in entra.found("/Users", eq("externalId", ana["externalId"]))] == [ana["id"]]
    assert entra.found("/Users", eq("externalId", ana["externalId"].upper())) == []


def test_q6_a_user_is_found_by_work_mail(entra: Speaker, ana: Json) -> None:
    """Q6."""
    query = where(f'emails[type eq "work"].value eq "{ana["emails"][0]["value"]}"')
    assert [user["id"] for user in entra.found("/Users", query)] == [ana["id"]]


def test_q7_a_home_mail_is_no_work_mail(entra: Speaker) -> None:
    """Q7."""
    mail = f"{fresh('home')}@mail.example"
    entra.user(emails=[{"type": "home", "value": mail}])
    assert entra.found("/Users", where(f'emails[type eq "work"].value eq "{mail}"')) == []
    assert len(entra.found("/Users", eq("emails.value", mail))) == 1


def test_q8_a_disabled_user_is_still_found(entra: Speaker) -> None:
    """Q8, GE-06: totalResults 1, with `active: false` in it."""
    leaver = entra.user(active=True)
    entra.changed(leaver, op("Replace", "active", "False"))
    (found,) = entra.found("/Users", eq("userName", leaver["userName"]))
    assert found["active"] is False


def test_q9_a_deleted_user_is_not_found(entra: Speaker) -> None:
    """Q9, DE-02."""
    gone = entra.user()
    entra.delete(gone)
    assert entra.found("/Users", eq("userName", gone["userName"])) == []


@pytest.mark.parametrize("form", ['id eq "{u}" and manager eq "{m}"', 'manager eq "{m}" and id eq "{u}"'])
def test_q10_q11_who_is_the_manager(entra: Speaker, form: str) -> None:
    """Q10: the id alone (and schemas) when the manager is that one. Q11: nothing for another manager."""
    chief, other = entra.user(), entra.user()
    user = entra.user(enterprise={"manager": {"value": chief["id"]}})
    query = form.format(u=user["id"], m=chief["id"])
    (found,) = entra.found("/Users", where(query, attributes="id"))
    assert found["id"] == user["id"]
    assert set(found) <= {"id", "schemas"}
    assert entra.found("/Users", where(form.format(u=user["id"], m=other["id"]), attributes="id")) == []


@pytest.mark.parametrize("form", ['id eq "{g}" and members eq "{u}"', 'members eq "{u}" and id eq "{g}"'])
def test_q12_is_she_a_member(entra: Speaker, form: str) -> None:
    """Q12: totalResults 1 for a member, 0 for somebody else; with `members` excluded as documented."""
    member, stranger = entra.user(), entra.user()
    group = entra.group(None, member["id"])
    query = where(form.format(g=group["id"], u=member["id"]), excludedAttributes="members")
    (found,) = entra.found("/Groups", query)
    assert found["id"] == group["id"]
    assert "members" not in found
    assert entra.found("/Groups", where(form.format(g=group["id"], u=stranger["id"]))) == []


@pytest.mark.parametrize(
    "broken",
    [
        'displayName zz "a"',
        'displayName eq "a',
        "displayName eq",
        '(displayName eq "a"',
        'id[type eq "work" eq "a"',
    ],
)
@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_q13_a_filter_we_cannot_read_is_never_answered_with_a_list(
    entra: Speaker, ana: Json, endpoint: str, broken: str
) -> None:
    """Q13, FI-01, FI-02: 400 invalidFilter."""
    body = refused(entra.get(f"{endpoint}{where(broken)}"), 400, "invalidFilter")
    assert "Resources" not in body


@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_q14_an_unknown_id_is_404(entra: Speaker, endpoint: str) -> None:
    """Q14, GE-02."""
    refused(entra.get(f"{endpoint}/{uuid.uuid4()}"), 404, None)


def test_q15_a_disabled_user_is_readable(entra: Speaker) -> None:
    """Q15, GE-06: 200 with `active: false`."""
    leaver = entra.user(active=False)
    assert entra.show(leaver)["active"] is False


def test_q16_pages_never_overlap(dozen: Speaker) -> None:
    """Q16: startIndex 6, at most 5 of 12; all pages together hold everybody once."""
    page = dozen.read("/Users?startIndex=6&count=5")
    assert (page["startIndex"], page["totalResults"]) == (6, 12)
    assert page["itemsPerPage"] == len(page["Resources"]) == 5
    for count in (1, 5, 7):
        ids = []
        for start in range(1, 13, count):
            ids += [user["id"] for user in dozen.found("/Users", f"?startIndex={start}&count={count}")]
        assert len(ids) == len(set(ids)) == 12, count
    assert [user["id"] for user in dozen.found("/Users", "?startIndex=6&count=5")] == ids[5:10]


def test_q17_edges_of_the_page(dozen: Speaker) -> None:
    """Q17, EP-19: count 0 gives the total alone; index 0 counts as 1, in either spelling of the parameter."""
    none = dozen.read("/Users?count=0")
    assert (none["Resources"], none["totalResults"], none["itemsPerPage"]) == ([], 12, 0)
    first = dozen.read("/Users?startIndex=1&count=3")
    assert first["itemsPerPage"] == 3
    for query in ("?startIndex=0&count=3", "?startindex=0&count=3", "?STARTINDEX=1&COUNT=3"):
        assert dozen.read(f"/Users{query}") == first, query


def test_q18_an_ampersand_in_a_name(entra: Speaker) -> None:
    """Q18: `Sales & Ops`, encoded."""
    name = fresh("Sales & Ops")
    group = entra.group(name)
    (found,) = entra.found("/Groups", f"?filter=displayName%20eq%20%22{quote(name, safe='')}%22")
    assert (found["id"], found["displayName"]) == (group["id"], name)


@pytest.mark.parametrize("name", ["O'Neil + Söhne", 'the "A" team', "100%", "日本 営業", r"back\slash"])
def test_q18_other_special_characters(entra: Speaker, name: str) -> None:
    """Q18: they still reach services, though Entra calls them unsupported."""
    name = fresh(name)
    user = entra.user(name)
    assert [found["id"] for found in entra.found("/Users", eq("userName", name))] == [user["id"]]


def test_q19_q20_a_group_by_name_without_its_members(entra: Speaker) -> None:
    """Q19: no key `members`, parameters in either order. Q20: the name in another case."""
    group = entra.group(fresh("Sales EMEA"), entra.user()["id"])
    name = quote(f'displayName eq "{group["displayName"]}"')
    upper = quote(f'displayName eq "{group["displayName"].upper()}"')
    for query in (
        f"?excludedAttributes=members&filter={name}",
        f"?filter={name}&excludedAttributes=members",
        f"?excludedAttributes=members&filter={upper}",
    ):
        (found,) = entra.found("/Groups", query)
        assert found["id"] == group["id"]
        assert found["displayName"] == group["displayName"]
        assert "members" not in found
    (found,) = entra.found("/Groups", f"?filter={upper}")
    assert found["id"] == group["id"]


def test_q21_a_group_by_id_without_its_members(entra: Speaker) -> None:
    """Q21."""
    group = entra.group(None, entra.user()["id"])
    shown = entra.read(f"/Groups/{group['id']}?excludedAttributes=members")
    assert "members" not in shown
    assert shown["displayName"] == group["displayName"]


def test_q22_a_group_shows_its_member(entra: Speaker) -> None:
    """Q22: `members: [{value: …}]`."""
    user = entra.user()
    group = entra.group(None, user["id"])
    (member,) = entra.show(group)["members"]
    assert member["value"] == user["id"]


@pytest.mark.parametrize(
    "accept", [None, "application/json", "*/*", SCIM_JSON, "text/html", "application/scim+json;q=0.5", ""]
)
def test_q23_whatever_the_client_accepts_it_gets_scim(entra: Speaker, ana: Json, accept: str | None) -> None:
    """Q23, MT-03 to MT-05: 200 and scim+json without Accept and with any."""
    address = urlsplit(entra.service.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    headers = {"Authorization": f"Bearer {entra.token}"} | ({} if accept is None else {"Accept": accept})
    for path in (f"/Users/{ana['id']}", "/Users?count=1"):
        connection.request("GET", f"{entra.base}{path}", headers=headers)
        response = connection.getresponse()
        body = json.loads(response.read())
        assert (response.status, response.headers["Content-Type"]) == (200, SCIM_JSON)
        assert body["schemas"]
    connection.close()


def test_q24_unknown_query_parameters_are_ignored(entra: Speaker, ana: Json) -> None:
    """Q24, EP-16: the compatibility flag may be forwarded with every request."""
    flag = "aadOptscim062020"
    assert entra.read(f"/Users/{ana['id']}?{flag}") == entra.show(ana)
    assert entra.read(f"/Users?{flag}&count=0&AzureAdScimPatch2017=1")["totalResults"] >= 1
    response = entra.send("POST", f"/Groups?{flag}", {"schemas": [GROUP], "displayName": fresh("flag")})
    assert response.status_code == 201


def test_q25_discovery_is_complete(entra: Speaker) -> None:
    """Q25: 200, no nulls anywhere (`checked` looks), PATCH announced."""
    schemas = entra.found("/Schemas", "")
    assert {schema["id"] for schema in schemas} >= {USER, GROUP, ENTERPRISE}
    types = entra.found("/ResourceTypes", "")
    assert {kind["name"] for kind in types} == {"User", "Group"}
    assert entra.read("/ServiceProviderConfig")["patch"]["supported"] is True


@pytest.mark.parametrize("kind", ["no", "bad", "malformed", "expired", "revoked"])
def test_q26_without_a_valid_token_nothing_is_told(entra: Speaker, ana: Json, kind: str) -> None:
    """Q26: 401 and no data, whatever is asked."""
    header = {
        "no": dict,
        "bad": lambda: {"Authorization": "Bearer slt_" + "A" * 43},
        "malformed": lambda: {"Authorization": "Bearer"},
        "expired": lambda: {"Authorization": f"Bearer {expired_token(entra)}"},
        "revoked": lambda: {"Authorization": f"Bearer {revoked_token(entra)}"},
    }[kind]()
    with type(entra.scim)(base_url=entra.service.base_url, timeout=20) as stranger:
        for path in (f"/Users/{ana['id']}", "/Users", "/Groups", f"/Users{eq('userName', ana['userName'])}"):
            response = checked(stranger.get(f"{entra.base}{path}", headers=header))
            body = refused(response, 401, None)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert ana["userName"] not in response.text
            assert "Resources" not in body
