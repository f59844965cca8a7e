"""The requirement catalogue on endpoints, media types, versions and tenants."""

import uuid
from typing import Any

import pytest
from issuing import token_with
from speaking import (
    GROUP,
    PATCH_OP,
    USER,
    Json,
    Speaker,
    eq,
    fresh,
    group_body,
    head,
    list_of,
    op,
    patch_body,
    refused,
    said,
    url_of,
    user_body,
    where,
)

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@pytest.mark.parametrize("endpoint", ["/Users", "/Groups"])
def test_a_collection_and_its_resources_have_every_method(either: Speaker, endpoint: str) -> None:
    """EP-01, EP-02, EP-13."""
    body = user_body() if endpoint == "/Users" else group_body()
    made = either.post(endpoint, body)
    url = url_of(made)
    assert either.get(url).json() == made
    assert made in either.found(endpoint, eq("id", made["id"]))
    assert either.send("HEAD", url).status_code == either.send("HEAD", endpoint).status_code == 200
    assert either.put(made, body | {"displayName": fresh("Other")})["id"] == made["id"]
    assert either.changed(made, op("replace", "externalId", "x"))["externalId"] == "x"
    either.delete(made)
    refused(either.get(url), 404, None)


def test_discovery_is_for_reading(either: Speaker) -> None:
    """EP-03: each of the five documents answers GET, and nothing that would change it."""
    for path in ("", "/User"):
        assert either.get(f"/ResourceTypes{path}").status_code == 200
    for path in ("/ServiceProviderConfig", "/Schemas", f"/Schemas/{USER}"):
        assert either.get(path).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused(either.send(method, path, user_body() if method != "DELETE" else None), 405, None)


@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
def test_a_post_to_search_is_a_query(either: Speaker, path: str) -> None:
    """EP-04, EP-07, SE-02, SE-03: 200 with what GET finds; at the root over all types, in one stable order."""
    name = fresh("Searched")
    user, group = either.user(displayName=name), either.group(name)
    asked = f'displayName eq "{name}"'
    response = either.send("POST", path, {"schemas": [SEARCH], "filter": asked})
    assert response.status_code == 200
    assert "location" not in response.headers
    found = list_of(response.json())
    assert found == ([user] if path == "/Users/.search" else [user, group])
    assert found == list_of(either.read(path.removesuffix(".search").rstrip("/") + "/" + where(asked)))
    total = either.total("/Users") + (0 if path == "/Users/.search" else either.total("/Groups"))
    assert either.send("POST", path, {"schemas": [SEARCH], "count": 0}).json()["totalResults"] == total


def test_endpoints_are_plurals_and_told_by_resource_types(lenient: Speaker) -> None:
    """EP-08: a client that follows /ResourceTypes arrives."""
    for described in list_of(lenient.read("/ResourceTypes")):
        assert described["endpoint"] == f"/{described['name']}s"
        assert lenient.get(described["endpoint"]).status_code == 200


@pytest.mark.parametrize("method", ["PROPFIND", "LOCK", "REPORT"])
def test_a_method_of_other_protocols_is_not_implemented(lenient: Speaker, method: str) -> None:
    """EP-10: 501, where DELETE on a collection is 405: that one is known."""
    for path in ("/Users", f"/Users/{uuid.uuid4()}", "/.search", "/Schemas"):
        (answer,) = said(lenient, head(lenient, method, path, "Content-Length: 0"))
        assert answer.status == 501, answer.body
        assert answer.json()["status"] == "501"


def test_what_is_not_there_is_not_there_for_any_method(either: Speaker) -> None:
    """EP-11, EP-12, PU-08, PA-10, GE-02: 404, also for PUT, which creates nothing."""
    before = either.total("/Users"), either.total("/Groups")
    group = either.group()
    for url in (f"/Users/{uuid.uuid4()}", f"/Groups/{uuid.uuid4()}", f"/Users/{group['id']}", "/Users/x/y", "/Nothing"):
        body: Json = user_body() if "Users" in url else group_body()
        for method, sent in (("GET", None), ("PUT", body), ("PATCH", patch_body(op("remove", "title")))):
            refused(either.send(method, url, sent), 404, None)
        refused(either.send("DELETE", url), 404, None)
    assert (either.total("/Users"), either.total("/Groups")) == (before[0], before[1] + 1)


def test_paths_and_parameters_are_appended_to_the_base(either: Speaker) -> None:
    """EP-14, EP-16, EP-19, RS-10, RX-35: the base is a prefix and no more; what follows it may be followed as it is."""
    user = either.user()
    base = f"{either.service.base_url}{either.base}"
    assert user["meta"]["location"] == f"{base}/Users/{user['id']}"
    assert either.scim.get(user["meta"]["location"]).json() == user
    assert either.read(f"{url_of(user)}?tracking=1&x=%20&y") == user
    shown = either.read(f"/Users?COUNT=1&StartIndex=1&{where('userName pr')[1:]}&AttributeS=id")
    assert shown["itemsPerPage"] == 1
    assert set(shown["Resources"][0]) == {"id", "schemas"}


# --- media types and JSON


def test_every_answer_with_a_body_is_scim_json(either: Speaker) -> None:
    """MT-03, ER-01: resources, lists, discovery and refusals; `checked` looks at all other answers of these tests."""
    user = either.user()
    for method, path in (("GET", url_of(user)), ("GET", "/Users"), ("GET", "/Schemas"), ("GET", "/Users/x")):
        assert either.send(method, path).headers["content-type"] == "application/scim+json"
    assert either.send("POST", "/Users", b"{").headers["content-type"] == "application/scim+json"


@pytest.mark.parametrize("accept", ["application/scim+json", "application/json", "*/*", "text/html", "image/png;q=0.1"])
def test_accept_never_stands_between_a_client_and_its_answer(either: Speaker, accept: str) -> None:
    """MT-04, MT-05: either JSON type is served, and an unusable header is disregarded."""
    user = either.user()
    response = either.get(url_of(user), headers={"Accept": accept})
    assert (response.status_code, response.json()) == (200, user)


def test_members_may_stand_in_any_order(either: Speaker) -> None:
    """MT-19: in a resource, in an operation, in a message."""
    name = fresh("order")
    user = either.post("/Users", {"name": {"givenName": "A", "familyName": "B"}, "userName": name, "schemas": [USER]})
    operation = {"value": {"familyName": "B", "givenName": "C"}, "path": "name", "op": "replace"}
    response = either.send("PATCH", url_of(user), {"Operations": [operation], "schemas": [PATCH_OP]})
    assert response.json()["name"] == {"givenName": "C", "familyName": "B"}
    again = user_body(name, name={"familyName": "B", "givenName": "C"})
    assert either.put(user, again)["meta"] == response.json()["meta"]


# --- versions and tenants


def test_without_a_version_the_newest_is_spoken(either: Speaker) -> None:
    """VT-01: and what is emitted names it."""
    user = either.user()
    bare = f"{either.service.base_url}/scim/{either.slug}"
    assert either.scim.get(f"{bare}/Users/{user['id']}").json() == user
    assert either.scim.get(f"{bare}/V2/Users/{user['id']}").json() == user
    made = either.scim.post(f"{bare}/Users", json=user_body()).json()
    assert made["meta"]["location"] == f"{either.service.base_url}{either.base}/Users/{made['id']}"


def test_links_do_not_come_from_the_host_header(either: Speaker) -> None:
    """VT-03: neither from it nor from what proxies add."""
    user = either.user(enterprise={"manager": {"value": either.user()["id"]}})
    group = either.group(None, user["id"])
    strange = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "ftp"}
    for shown in (user, group):
        response = either.get(url_of(shown), headers=strange)
        assert "evil" not in response.text
        assert "evil" not in str(response.headers)
        assert response.json()["meta"] == shown["meta"]
    assert "evil" not in either.get("/ServiceProviderConfig", headers=strange).text


def test_nothing_crosses_tenants(service: Any, either: Speaker) -> None:
    """VT-05 to VT-07, AU-07, RS-06: names, externalIds, ids, references, ETags; ids are unique over all of them."""
    other = Speaker(service, either.profile)
    mine = either.user("shared@contoso.example", externalId="E-1", displayName="Shared")
    theirs = other.user("shared@contoso.example", externalId="E-1", displayName="Shared")
    assert mine["id"] != theirs["id"]
    for query in (eq("userName", "shared@contoso.example"), eq("externalId", "E-1"), eq("displayName", "Shared")):
        assert other.found("/Users", query) == [theirs]
    for method, body in (("GET", None), ("PUT", user_body()), ("PATCH", patch_body(op("remove", "title")))):
        refused(other.send(method, url_of(mine), body, headers={"If-Match": mine["meta"]["version"]}), 404, None)
    refused(other.send("DELETE", url_of(mine)), 404, None)
    refused(other.send("POST", "/Groups", group_body(None, mine["id"])), 400, "invalidValue")
    assert either.show(mine) == mine


def test_all_clients_of_a_tenant_see_one_external_id(either: Speaker) -> None:
    """VT-06: whichever token wrote it."""
    user = either.user(externalId="A-1")
    second = {"Authorization": f"Bearer {token_with(either, 'scim')}"}
    assert either.get(url_of(user), headers=second).json()["externalId"] == "A-1"
    either.patch(user, op("replace", "externalId", "B-1"), headers=second)
    assert either.show(user)["externalId"] == "B-1"
    assert either.found("/Users", eq("externalId", "A-1")) == []


def test_a_body_does_not_choose_the_type(either: Speaker) -> None:
    """CR-09, RS-04: meta.resourceType follows the endpoint; a body of the other type is refused."""
    user = either.post("/Users", user_body(meta={"resourceType": "Group"}))
    assert user["meta"]["resourceType"] == "User"
    refused(either.send("POST", "/Users", user_body() | {"schemas": [GROUP]}), 400, "invalidSyntax")
