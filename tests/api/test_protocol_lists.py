"""The requirement catalogue on lists: their shape, the filters that vectors leave out, projection, .search."""

from typing import Any

import pytest
from speaking import (
    ENTERPRISE,
    LIST_RESPONSE,
    USER,
    Json,
    Speaker,
    eq,
    fresh,
    list_of,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
    where,
)

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"


@pytest.fixture(scope="module")
def five(either: Speaker) -> list[Json]:
    """Five users who came one after the other, and nobody else with their title."""
    return [either.user(title="Five", displayName=f"{5 - number}") for number in range(5)]


def test_a_list_has_the_shape_of_one(either: Speaker, five: list[Json]) -> None:
    """LQ-01 to LQ-06, LQ-08: numbers about all matches and this page; full resources in the order they came."""
    whole = either.read(f"/Users{eq('title', 'five')}")
    assert set(whole) == {"schemas", "totalResults", "startIndex", "itemsPerPage", "Resources"}
    assert (whole["schemas"], whole["Resources"]) == ([LIST_RESPONSE], five)
    assert (whole["totalResults"], whole["startIndex"], whole["itemsPerPage"]) == (5, 1, 5)
    part = either.read(f"/Users{eq('title', 'five')}&startIndex=4&count=3")
    assert (part["totalResults"], part["startIndex"], part["itemsPerPage"]) == (5, 4, 2)
    assert part["Resources"] == five[3:]
    empty = either.read(f"/Users{eq('title', 'nobody')}")
    assert (empty["totalResults"], empty["itemsPerPage"], empty["Resources"]) == (0, 0, [])


def test_a_write_is_seen_by_the_next_read(either: Speaker) -> None:
    """LQ-09: in lists and by id, whatever was written."""
    name = fresh("seen")
    user = either.user(name)
    assert either.found("/Users", eq("userName", name)) == [user]
    assert either.found("/Users", eq("title", name)) == []
    user = either.changed(user, op("replace", "title", name))
    assert either.found("/Users", eq("title", name)) == [user]
    either.delete(user)
    assert either.found("/Users", eq("userName", name)) == []


@pytest.mark.parametrize(
    "text", ['  title   eq   "Five"  ', '( title eq "Five"   )', 'emails[ type eq "x" ] or title eq "FIVE"']
)
def test_blanks_are_tolerated(either: Speaker, five: list[Json], text: str) -> None:
    """FI-09: between tokens and around brackets."""
    assert either.found("/Users", where(text)) == five


def test_what_is_compared_is_what_was_shown(either: Speaker) -> None:
    """FI-36: nothing has a default, so a user who was never said to be active is not found as active."""
    user = either.user()
    assert "active" not in user
    mine = f'id eq "{user["id"]}" and '
    assert either.found("/Users", where(mine + "active eq true")) == []
    assert either.found("/Users", where(mine + "active eq null")) == [user]


# --- projection


def everywhere(speaker: Speaker, user: Json, query: str) -> list[Json]:
    """The user as each operation shows it under these parameters: PATCH, PUT, GET, list, .search; last a POST."""
    name, value = query.split("=")
    body = user_body(user["userName"], title="Guide", name={"givenName": "A", "familyName": "B"})
    asked = {"schemas": [SEARCH], "filter": f'id eq "{user["id"]}"', name: value.split(",")}
    return [
        speaker.send("PATCH", f"{url_of(user)}?{query}", patch_body(op("replace", "title", "Guide"))).json(),
        speaker.send("PUT", f"{url_of(user)}?{query}", body).json(),
        speaker.read(f"{url_of(user)}?{query}"),
        list_of(speaker.read(f"/Users{eq('id', user['id'])}&{query}"))[0],
        list_of(speaker.send("POST", "/Users/.search", asked).json())[0],
        speaker.send("POST", f"/Users?{query}", body | {"userName": fresh("projected")}).json(),
    ]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("attributes=title", {"title": "Guide"}),
        ("attributes=TITLE, name.givenName,unknown", {"title": "Guide", "name": {"givenName": "A"}}),
        (f"attributes={USER}:name.familyName", {"name": {"familyName": "B"}}),
        ("attributes=nothing", {}),
        ("excludedAttributes=meta,userName,name.givenName,id,schemas", {"title": "Guide", "name": {"familyName": "B"}}),
    ],
)
def test_every_answer_can_be_projected(either: Speaker, query: str, shown: Json) -> None:
    """PJ-01 to PJ-04, PJ-06, PJ-11, CR-10: the minimum and what is named, or all without what is named."""
    user = either.user(name={"givenName": "A", "familyName": "B"})
    *later, created = everywhere(either, user, query)
    minimum = {"schemas": user["schemas"], "id": user["id"]}
    assert later == [minimum | shown] * 5
    assert created == minimum | shown | {"id": created["id"]}


def test_extensions_can_be_named(either: Speaker) -> None:
    """PJ-05, RX-09: an attribute by its URN, or the whole extension by its URI."""
    user = either.user(enterprise={"department": "Sales", "division": "D"})
    for named, shown in ((f"{ENTERPRISE}:department", {"department": "Sales"}), (ENTERPRISE, user[ENTERPRISE])):
        assert either.read(f"{url_of(user)}?attributes={named}")[ENTERPRISE] == shown
    assert either.read(f"{url_of(user)}?excludedAttributes={ENTERPRISE}:division")[ENTERPRISE] == {
        "department": "Sales"
    }
    assert ENTERPRISE not in either.read(f"{url_of(user)}?excludedAttributes={ENTERPRISE}")


def test_sub_attributes_are_projected_in_every_element(either: Speaker) -> None:
    """PJ-04."""
    user = either.user(emails=[{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home"}])
    assert either.read(f"{url_of(user)}?attributes=emails.value")["emails"] == [{"value": "a@x"}, {"value": "b@x"}]
    shown = either.read(f"{url_of(user)}?excludedAttributes=emails.value")
    assert shown["emails"] == [{"type": "work"}, {"type": "home"}]


def test_projection_leaves_the_version_alone(either: Speaker) -> None:
    """PJ-12, ET-01: the same ETag, and it answers If-None-Match whatever was asked to be shown."""
    user = either.user(title="Guide")
    response = either.get(f"{url_of(user)}?attributes=title,meta.version")
    assert response.headers["etag"] == response.json()["meta"]["version"] == user["meta"]["version"]
    unchanged = {"If-None-Match": user["meta"]["version"]}
    assert either.get(f"{url_of(user)}?attributes=userName", headers=unchanged).status_code == 304


# --- POST .search


@pytest.mark.parametrize("path", ["/Users/.search", "/Groups/.search", "/.search"])
def test_a_search_message_is_read_strictly_where_it_matters(either: Speaker, path: str) -> None:
    """SE-01, SE-04, SE-05: another message or a member of another type is refused, an unknown member ignored."""
    for wrong in (
        {"schemas": [USER]},
        {"schemas": SEARCH},
        {"filter": 5},
        {"attributes": [5]},
        {"excludedAttributes": {}},
        {"count": "ten"},
        {"startIndex": True},
    ):
        refused(either.send("POST", path, {"schemas": [SEARCH]} | wrong), 400, "invalidSyntax")
    assert either.send("POST", path, {"schemas": [SEARCH], "colour": "red", "COUNT": 0}).status_code == 200


def test_a_search_is_its_body_and_nothing_else(either: Speaker, five: list[Json]) -> None:
    """SE-02, SE-06, PJ-11: the URL's parameters mean nothing; errors are those of GET."""
    asked: dict[str, Any] = {"schemas": [SEARCH], "filter": 'title eq "Five"', "startIndex": 2, "count": 2}
    response = either.send("POST", "/Users/.search?count=0&filter=broken", asked)
    assert list_of(response.json()) == five[1:3]
    assert response.json() == either.read(f"/Users{eq('title', 'Five')}&startIndex=2&count=2")
    names = {"schemas": [SEARCH], "filter": 'title eq "Five"', "attributes": "title,displayName", "count": 1}
    (shown,) = list_of(either.send("POST", "/Users/.search", names).json())
    assert set(shown) == {"schemas", "id", "title", "displayName"}
    refused(either.send("POST", "/Users/.search", {"schemas": [SEARCH], "filter": "title zz 1"}), 400, "invalidFilter")
    both = {"schemas": [SEARCH], "attributes": ["title"], "excludedAttributes": ["name"]}
    refused(either.send("POST", "/Users/.search", both), 400, "invalidValue")


def test_a_search_over_all_types_is_stable(either: Speaker, five: list[Json]) -> None:
    """SE-03, FI-32: page by page it is the whole, users and groups alike."""
    either.group("Five")
    asked = {"schemas": [SEARCH], "filter": 'title eq "five" or displayName eq "five"'}
    whole = list_of(either.send("POST", "/.search", asked).json())
    assert len(whole) == 6
    pages = [either.send("POST", "/.search", asked | {"startIndex": at, "count": 1}).json() for at in range(1, 7)]
    assert [list_of(page)[0] for page in pages] == whole
