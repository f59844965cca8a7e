"""Section 11 of the requirement catalogue, row by row: sortBy and sortOrder."""

from typing import Any

import pytest
from speaking import ENTERPRISE, USER, Json, Speaker, op, refused
from walking import names, pages, pages_by_index, pages_searched, query_of, searched


@pytest.fixture(scope="module")
def people(service: Any) -> Speaker:
    """Five users and two groups, made in an order that no attribute has."""
    speaker = Speaker(service)
    made: dict[str, Json] = {}
    for name, attributes in PEOPLE.items():
        made[name] = speaker.user(name, **attributes)
    speaker.group("bravo", made["Carol"]["id"])
    speaker.group("Alpha", made["bob"]["id"], made["Carol"]["id"])
    return speaker


PEOPLE: dict[str, Json] = {
    "Carol": {
        "title": "guide",
        "externalId": "b",
        "active": True,
        "name": {"familyName": "Zoë"},
        "emails": [{"value": "z@example.com"}, {"value": "A@example.com", "primary": True}],
        "enterprise": {"department": "Sales", "manager": {"value": "m2"}},
    },
    "ada": {
        "title": "Émile",
        "externalId": "B",
        "name": {"familyName": "zoe"},
        "emails": [{"value": "b@example.com"}, {"value": "a@example.com"}],
    },
    "Dora": {"title": "GUIDE", "active": False, "enterprise": {"department": "audit"}},
    "bob": {
        "externalId": "a",
        "name": {"familyName": "Ångström"},
        "emails": [{"type": "work"}, {"value": "0@example.com"}],
    },
    "eve": {"title": "", "enterprise": {"manager": {"value": "M1"}}},
}

ORDERS = {
    "SO-01-plain": ("userName", "ada bob Carol Dora eve"),
    "SO-01-dotted": ("name.familyName", "ada Carol bob Dora eve"),
    "SO-01-qualified": (f"{USER}:name.familyName", "ada Carol bob Dora eve"),
    "SO-01-extension": (f"{ENTERPRISE}:department", "Dora Carol ada bob eve"),
    "SO-01-extension-unqualified": ("department", "Dora Carol ada bob eve"),
    "SO-01-value-assumed": ("manager", "eve Carol ada Dora bob"),
    "SO-01-any-letter-case": ("USERNAME", "ada bob Carol Dora eve"),
    "SO-03-caseless": ("title", "eve Carol Dora ada bob"),
    "SO-03-case-exact": ("externalId", "ada bob Carol Dora eve"),
    "SO-03-booleans": ("active", "Dora Carol ada bob eve"),
    "SO-04-primary-else-first": ("emails", "Carol ada Dora bob eve"),
    "SO-04-another-part": ("emails.type", "bob Carol ada Dora eve"),
    "SO-04-derived": ("groups.display", "bob Carol ada Dora eve"),
    "SO-05-nobody-has-a-value": ("nickName", "Carol ada Dora bob eve"),
    "SO-06-creation": ("meta.created", "Carol ada Dora bob eve"),
    "SO-06-all-alike": ("meta.resourceType", "Carol ada Dora bob eve"),
}


@pytest.mark.parametrize(("sort_by", "expected"), ORDERS.values(), ids=ORDERS)
def test_resources_come_in_the_order_asked_for(people: Speaker, sort_by: str, expected: str) -> None:
    """SO-01 to SO-06: ascending, descending, by default, and page by page."""
    ascending = expected.split()
    assert names(people.found("/Users", query_of(sortBy=sort_by))) == ascending
    assert names(people.found("/Users", query_of(sortBy=sort_by, sortOrder="ascending"))) == ascending
    assert names(people.found("/Users", query_of(sortBy=sort_by, sortOrder="descending"))) == ascending[::-1]
    assert names(*pages_by_index(people, "/Users", 2, sortBy=sort_by)) == ascending
    assert names(*pages(people, "/Users", sortBy=sort_by, sortOrder="descending", count=2)) == ascending[::-1]
    assert names(*pages_searched(people, "/Users", sortBy=sort_by, count=3)) == ascending


def test_so_02_the_order_is_one_of_two(people: Speaker) -> None:
    """SO-02: in any letter case; anything else is 400 invalidValue."""
    assert names(people.found("/Users", query_of(sortBy="userName", sortOrder="Descending")))[0] == "eve"
    for order in ("desc", "", "up", "ascending,descending"):
        refused(people.get("/Users" + query_of(sortBy="userName", sortOrder=order)), 400, "invalidValue")


@pytest.mark.parametrize("name", ["lastModified", "meta.lastModified"])
def test_so_03_times_sort_as_times(service: Any, name: str) -> None:
    """SO-03: whoever was changed last is last; `lastModified` alone names nothing."""
    speaker = Speaker(service)
    first, *_ = (speaker.user(name) for name in ("a", "b", "c"))
    speaker.changed(first, op("replace", "title", "new"))
    response = speaker.get("/Users" + query_of(sortBy=name))
    if name == "lastModified":
        refused(response, 400, "invalidValue")
    else:
        assert names(response.json()["Resources"]) == ["b", "c", "a"]


def test_so_05_filtered_resources_are_sorted_too(people: Speaker) -> None:
    """SO-05: resources without value come last, or first when descending; also of a filter's matches."""
    asked = {"filter": 'title pr or active eq false or externalId eq "a"', "sortBy": "title"}
    assert names(people.found("/Users", query_of(**asked))) == ["Carol", "Dora", "ada", "bob"]
    assert names(people.found("/Users", query_of(**asked, sortOrder="descending"))) == ["bob", "ada", "Dora", "Carol"]
    one = query_of(filter='userName eq "ADA"', sortBy="title")
    assert names(people.found("/Users", one)) == ["ada"]


def test_so_07_an_order_of_nothing_is_ignored(people: Speaker) -> None:
    """SO-07: sortOrder without sortBy, even a wrong one."""
    for order in ("descending", "sideways"):
        assert people.found("/Users", query_of(sortOrder=order)) == people.found("/Users", "")


WRONG = ["", " ", "shoeSize", "password", "name", "addresses", "meta", "name.nick", "emails.value.x", "emails[0]",
         'emails[type eq "work"].value', "urn:x:y", "userName,title", "1", "'; drop table users; --", "ü",
         "x" * 3_000]  # fmt: skip


@pytest.mark.parametrize("sort_by", WRONG)
def test_so_01_so_08_what_cannot_be_sorted_by_is_refused(people: Speaker, sort_by: str) -> None:
    """SO-01, SO-08: complex attributes without `value`, unknown ones, password; on every way to ask."""
    for path in ("/Users", "/"):
        refused(people.get(path + query_of(sortBy=sort_by)), 400, "invalidValue")
    body = {"sortBy": sort_by}
    refused(people.send("POST", "/Users/.search", body), 400, "invalidValue")
    refused(people.send("POST", "/.search", body), 400, "invalidValue")


def test_se_04_sort_members_of_another_type_are_refused(people: Speaker) -> None:
    """SE-04: 400 invalidSyntax; null is as good as nothing."""
    for name in ("sortBy", "sortOrder", "cursor", "filter"):
        refused(people.send("POST", "/Users/.search", {name: 5}), 400, "invalidSyntax")
        assert searched(people, "/Users", **{name: None})["totalResults"] == len(PEOPLE)


def test_groups_sort_by_their_own_attributes(people: Speaker) -> None:
    """SO-01, SO-03; members decide by the first of them."""
    assert names(people.found("/Groups", query_of(sortBy="displayName"))) == ["Alpha", "bravo"]
    assert names(people.found("/Groups", query_of(sortBy="members.type"))) == ["bravo", "Alpha"]
    refused(people.get("/Groups" + query_of(sortBy="userName")), 400, "invalidValue")


@pytest.mark.parametrize("count", [1, 3, 10])
def test_se_03_resources_of_all_types_sort_together(people: Speaker, count: int) -> None:
    """SE-03, FI-32: what a type does not have, its resources have no value for; creation decides between equals."""
    users, groups = list(PEOPLE), ["bravo", "Alpha"]
    everything = {
        None: [*users, *groups],
        "displayName": ["Alpha", "bravo", *users],
        "userName": ["ada", "bob", "Carol", "Dora", "eve", *groups],
        "meta.resourceType": [*groups, *users],
        "meta.created": [*users, *groups],
    }
    for sort_by, expected in everything.items():
        asked: Json = {} if sort_by is None else {"sortBy": sort_by}
        assert names(*pages_by_index(people, "/", count, **asked)) == expected, sort_by
        assert names(*pages(people, "/", count=count, **asked)) == expected, sort_by
        assert names(*pages_searched(people, "", count=count, **asked)) == expected, sort_by
        if sort_by is not None:
            downwards = pages(people, "/", count=count, **asked, sortOrder="descending")
            assert names(*downwards) == expected[::-1], sort_by
