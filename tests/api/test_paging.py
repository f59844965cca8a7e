"""Sections 9, 12 and 15 of the requirement catalogue, row by row: lists, pages by index, POST .search."""

from typing import Any

import pytest
from speaking import LIST_RESPONSE, Json, Speaker, fresh, list_of, op, refused
from walking import SEARCH_REQUEST, crowd, names, pages_by_index, query_of, searched

MANY = 230  # More than a page may hold.
WAYS = ["get", "search"]


@pytest.fixture(scope="module")
def many(service: Any) -> Speaker:
    """A tenant with more users than a page may hold, and two groups."""
    speaker = Speaker(service)
    crowd(speaker, MANY)
    speaker.group("one")
    speaker.group("two")
    return speaker


def asked(speaker: Speaker, way: str, endpoint: str = "/Users", **parameters: Any) -> Json:
    """The ListResponse for these parameters, by GET or by POST .search."""
    if way == "search":
        return searched(speaker, endpoint.rstrip("/"), **parameters)
    return speaker.read(endpoint + (query_of(**parameters) if parameters else ""))


@pytest.mark.parametrize("way", WAYS)
def test_a_list_is_complete(many: Speaker, way: str) -> None:
    """LQ-01 to LQ-06, PG-04, PG-08: a full ListResponse with integers; one hundred resources unless said otherwise."""
    body = asked(many, way)
    assert set(body) == {"schemas", "totalResults", "startIndex", "itemsPerPage", "Resources"}
    assert body["schemas"] == [LIST_RESPONSE]
    assert (body["totalResults"], body["startIndex"], body["itemsPerPage"]) == (MANY, 1, 100)
    for resource in list_of(body):
        assert {"schemas", "id", "meta", "userName"} <= set(resource)
    none = asked(many, way, filter='userName eq "nobody"')
    assert (none["totalResults"], none["itemsPerPage"], none["Resources"]) == (0, 0, [])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", [-(10**17), -1, 0, 1])
def test_pg_01_an_index_below_one_counts_as_one(many: Speaker, way: str, start: int) -> None:
    """PG-01."""
    body = asked(many, way, startIndex=start, count=2)
    assert body["startIndex"] == 1
    assert names(list_of(body)) == names(list_of(asked(many, way, count=2)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("count", "items"), [(-(10**17), 0), (-1, 0), (0, 0), (1, 1), (200, 200), (201, 200),
                                               (10**17, 200)])  # fmt: skip
def test_pg_02_pg_03_a_count_is_an_upper_bound(many: Speaker, way: str, count: int, items: int) -> None:
    """PG-02, PG-03, LQ-05: below 0 counts as 0, above the maximum as the maximum; the total is right."""
    body = asked(many, way, count=count)
    assert (body["itemsPerPage"], len(body["Resources"]), body["totalResults"]) == (items, items, MANY)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("start", "items"), [(MANY - 1, 2), (MANY, 1), (MANY + 1, 0), (10**9, 0), (10**17, 0)])
def test_pg_05_beyond_the_end_is_an_empty_page(many: Speaker, way: str, start: int, items: int) -> None:
    """PG-05: 200, the right total, and the index that was asked for."""
    body = asked(many, way, startIndex=start, count=5)
    assert (body["startIndex"], len(list_of(body)), body["totalResults"]) == (start, items, MANY)


@pytest.mark.parametrize("name", ["startIndex", "count"])
@pytest.mark.parametrize("value", [10**18, -(10**18), 10**40])
def test_pg_06_absurd_numbers_are_refused(many: Speaker, name: str, value: int) -> None:
    """PG-06: 400 invalidValue either way."""
    refused(many.get("/Users" + query_of(**{name: value})), 400, "invalidValue")
    refused(many.send("POST", "/Users/.search", {name: value}), 400, "invalidValue")


@pytest.mark.parametrize("value", ["5", 1.5, True, [1], {}])
@pytest.mark.parametrize("name", ["startIndex", "count"])
def test_se_04_what_is_no_integer_is_refused(many: Speaker, name: str, value: Any) -> None:
    """SE-04: 400 invalidSyntax."""
    refused(many.send("POST", "/Users/.search", {name: value}), 400, "invalidSyntax")


@pytest.mark.parametrize("count", [1, 37, 100])
@pytest.mark.parametrize("endpoint", ["/Groups", "/Users", "/"])
def test_pg_07_without_changes_everybody_appears_once(many: Speaker, endpoint: str, count: int) -> None:
    """PG-07, LQ-08, SE-03: pages of any size are pieces of one order, that of creation; several types together."""
    if count == 1 and endpoint != "/Groups":
        count = 11
    read = list(pages_by_index(many, endpoint, count))
    created = [resource["meta"]["created"] for page in read for resource in page]
    assert created == sorted(created)
    total = {"/Groups": 2, "/Users": MANY, "/": MANY + 2}[endpoint]
    assert len(set(names(*read))) == len(names(*read)) == total


def test_lq_08_the_order_stays_when_somebody_is_changed(service: Any) -> None:
    """LQ-08."""
    speaker = Speaker(service)
    first, *_ = [speaker.user(fresh("u")) for _ in range(3)]
    before = names(speaker.found("/Users", ""))
    speaker.changed(first, op("replace", "title", "new"))
    assert names(speaker.found("/Users", "")) == before


def test_lq_09_what_was_written_is_listed(service: Any) -> None:
    """LQ-09: from the next request on, in totals and pages."""
    speaker = Speaker(service)
    for number in range(1, 4):
        user = speaker.user()
        assert speaker.total("/Users") == number
        assert speaker.found("/Users", query_of(startIndex=number))[0]["id"] == user["id"]
    speaker.delete(user)
    assert speaker.total("/Users") == 2


def test_se_02_a_search_is_answered_like_a_get(many: Speaker) -> None:
    """SE-01, SE-02, PJ-11: filter, order, page and projection."""
    parameters = {"filter": 'userName co "7"', "sortBy": "userName", "sortOrder": "descending", "startIndex": 3,
                  "count": 4, "attributes": "userName,name.familyName"}  # fmt: skip
    got = many.read("/Users" + query_of(**parameters))
    assert got == searched(many, "/Users", **parameters | {"attributes": ["userName", "name.familyName"]})
    assert got == searched(many, "/Users", **parameters)
    assert got["itemsPerPage"] == 4
    assert set(got["Resources"][0]) == {"schemas", "id", "userName", "name"}


def test_se_05_se_06_what_is_not_of_the_request_is_ignored(many: Speaker) -> None:
    """SE-05, SE-06: unknown members, and query parameters."""
    body = {"schemas": [SEARCH_REQUEST], "count": 1, "colour": "blue"}
    response = many.send("POST", "/Users/.search?count=7&filter=nonsense&cursor=x", body)
    assert response.status_code == 200
    assert response.json()["itemsPerPage"] == 1


def test_se_01_another_message_is_refused(many: Speaker) -> None:
    """SE-01: 400 invalidSyntax; no body at all as well."""
    for body in ({"schemas": [LIST_RESPONSE]}, {"schemas": SEARCH_REQUEST}, [], b""):
        refused(many.send("POST", "/Users/.search", body), 400, "invalidSyntax")


def test_ep_04_a_search_is_a_post(many: Speaker) -> None:
    """EP-04, EP-09: another method is 405."""
    for path in ("/.search", "/Users/.search", "/Groups/.search"):
        assert many.send("POST", path, {"count": 0}).status_code == 200
        refused(many.send("PUT", path, {}), 405)


@pytest.mark.parametrize("name", ["attributes", "excludedAttributes"])
def test_both_projections_at_once_are_refused_for_an_empty_list_too(many: Speaker, name: str) -> None:
    """PJ-07: also when nothing matches."""
    both = {"filter": 'userName eq "nobody"', "attributes": "userName", "excludedAttributes": "title"}
    refused(many.get("/Users" + query_of(**both)), 400, "invalidValue")
    del both[name]
    assert many.read("/Users" + query_of(**both))["totalResults"] == 0
