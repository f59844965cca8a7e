"""Filters, parameters, paths, ids and methods that are wrong."""

import uuid
from typing import Any
from urllib.parse import quote

import pytest
from refusing import missing_from_the_log, noted
from speaking import (
    SCIM_JSON,
    USER,
    Json,
    Speaker,
    head,
    op,
    patch_body,
    refused,
    said,
    url_of,
    user_body,
    where,
)
from walking import SEARCH_REQUEST

pytestmark = pytest.mark.usefixtures("untouched")


WRONG_FILTERS = {
    "empty": "",
    "blank": "   ",
    "word": "userName",
    "unknown-operator": 'userName like "a"',
    "symbol-operator": 'userName == "a"',
    "regex": 'userName regex "a.*"',
    "no-operand": "userName eq",
    "unquoted": "userName eq ana",
    "single-quotes": "userName eq 'ana'",
    "open-string": 'userName eq "ana',
    "open-bracket": '(userName eq "a"',
    "closed-twice": '(userName eq "a"))',
    "open-square": 'emails[type eq "work"',
    "trailing-and": 'userName eq "a" and',
    "leading-or": 'or userName eq "a"',
    "not-without-brackets": 'not userName eq "a"',
    "number-for-string": "userName eq 5",
    "string-for-boolean": 'active eq "maybe"',
    "ordered-boolean": "active gt true",
    "date-only": 'meta.created gt "2020-01-01"',
    "no-date": 'meta.created gt "yesterday"',
    "impossible-date": 'meta.created gt "2021-02-30T00:00:00Z"',
    "part-of-date": 'meta.created co "2021"',
    "complex": 'name eq "a"',
    "nested-value-filter": 'emails[emails[type eq "a"]]',
    "simple-with-filter": 'title[value eq "a"]',
    "unknown-attribute": 'shoeSize eq "43"',
    "unknown-sub-attribute": 'name.nick eq "x"',
    "unknown-urn": 'urn:example:nothing:2.0:User:x eq "y"',
    "too-deep-a-name": 'name.givenName.first eq "x"',
    "password": 'password eq "secret"',
    "password-present": "password pr",
    "null-ordered": "title gt null",
    "capital-literal": "active eq TRUE",
    "bad-escape": r'userName eq "\x"',
    "nul": 'userName eq "\\u0000"',
    "raw-nul": 'userName eq "a\x00"',
    "lone-surrogate": r'userName eq "\ud800"',
    "index": "emails[0].value eq 1",
    "injection": "userName eq 'a' or 1=1",
    "statement": "'; drop table users; --",
    "70-deep": "(" * 70 + 'userName eq "a"' + ")" * 70,
    "5000-deep": "(" * 2_500 + 'userName eq "a"' + ")" * 2_500,
    "70-times-not": "not (" * 70 + 'userName eq "a"' + ")" * 70,
    "open-5000-deep": "(" * 5_000,
    "huge-number": "meta.version eq 1e999999",
    "many-digits": "meta.version eq " + "9" * 5_000,
}


@pytest.mark.parametrize("text", WRONG_FILTERS.values(), ids=WRONG_FILTERS)
def test_a_filter_we_cannot_evaluate_is_never_the_full_list(lenient: Speaker, text: str) -> None:
    """Section 10: 400 invalidFilter; in a body where it is longer than a URI may be."""
    if len(where(text)) < 8_192:
        assert "Resources" not in refused(lenient.get(f"/Users{where(text)}"), 400, "invalidFilter")
    else:
        search = {"schemas": [SEARCH_REQUEST], "filter": text}
        refused(lenient.send("POST", "/Users/.search", search), 400, "invalidFilter")


def test_a_filter_may_be_deep_and_long_within_reason(lenient: Speaker, ana: Json) -> None:
    """FI-37: 30 brackets and 40 terms are answered."""
    deep = "(" * 30 + f'userName eq "{ana["userName"]}"' + ")" * 30
    assert [user["id"] for user in lenient.found("/Users", where(deep))] == [ana["id"]]
    long = " or ".join([f'userName eq "nobody{n}"' for n in range(40)] + [f'id eq "{ana["id"]}"'])
    assert [user["id"] for user in lenient.found("/Users", where(long))] == [ana["id"]]


@pytest.mark.parametrize("characters", [10_000, 60_000, 300_000])
def test_an_over_long_filter_is_refused(lenient: Speaker, characters: int) -> None:
    """FI-37: 414, since the URI is too long before anybody reads the filter; the service goes on.

    Below httpx: its own limit is 65,536.
    """
    text = " or ".join(f'userName eq "{n:08}"' for n in range(characters // 26))
    (answer,) = said(lenient, head(lenient, "GET", f"/Users?filter={quote(text)}"))
    assert answer.status == 414 or (characters == 300_000 and answer.status == 431), answer.body[:200]
    assert answer.headers["content-type"] == SCIM_JSON and "scimType" not in answer.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/Users"),
        ("DELETE", "/Users/x"),
        ("POST", "/Bulk"),
        ("GET", "/Schemas"),
        ("GET", "/ServiceProviderConfig"),
    ],
)
def test_a_query_is_too_long_for_every_endpoint(lenient: Speaker, method: str, path: str) -> None:
    """FI-37: also for those that would not look at it, and one byte less is none too many."""
    refused(lenient.send(method, f"{path}?{'x' * 8_193}"), 414, None)
    assert lenient.send(method, f"{path}?{'x' * 8_192}").status_code != 414


def test_a_filter_given_twice_is_refused(lenient: Speaker) -> None:
    """FI-39, also in another spelling of the parameter."""
    one = "filter=userName%20eq%20%22a%22"
    refused(lenient.get(f"/Users?{one}&{one}"), 400, "invalidFilter")
    refused(lenient.get(f"/Users?{one}&Filter=userName%20eq%20%22b%22"), 400, "invalidFilter")


@pytest.mark.parametrize(
    "query",
    ["count=1&count=2", "count=1&Count=1", "startIndex=1&startindex=2", "cursor=&cursor=", "sortBy=id&sortBy=userName",
     "sortOrder=ascending&sortOrder=descending", "asOf=5&asOf=6"],
)  # fmt: skip
def test_what_means_one_thing_may_be_said_once(lenient: Speaker, query: str) -> None:
    """As with a filter (FI-39); what we do not know may come as often as it likes (EP-16)."""
    body = refused(lenient.get(f"/Users?{query}"), 400, "invalidValue")
    assert body["detail"] == f"{query.partition('=')[0]} is given twice"
    assert lenient.get(f"/Users?x=1&x=2&{query.partition('&')[2]}").status_code in (200, 403)


@pytest.mark.parametrize("query", ["filter=%ff", "filter=userName%20eq%20%22%c3%28%22", "filter=%"])
def test_a_query_that_is_no_utf8(lenient: Speaker, query: str) -> None:
    """400 in SCIM's words."""
    (answer,) = said(lenient, head(lenient, "GET", f"/Users?{query}"))
    assert (answer.status, answer.headers["content-type"]) == (400, SCIM_JSON)


@pytest.mark.parametrize("value", ["abc", "1.5", "1e3", "0x10", "1 or 1=1", "--1", "½", "1_000"])
@pytest.mark.parametrize("name", ["startIndex", "count"])
def test_what_is_no_number_is_refused(lenient: Speaker, name: str, value: str) -> None:
    """PG-06: 400 invalidValue."""
    refused(lenient.get(f"/Users?{name}={quote(value)}"), 400, "invalidValue")


@pytest.mark.parametrize("value", ["99999999999999999999", "9223372036854775808", "9" * 300])
def test_an_absurd_index_is_refused_or_beyond_the_end(lenient: Speaker, value: str) -> None:
    """PG-05, PG-06."""
    response = lenient.get(f"/Users?startIndex={value}")
    if response.status_code == 200:
        assert response.json()["Resources"] == []
        assert response.json()["totalResults"] == lenient.total("/Users")
    else:
        refused(response, 400, "invalidValue")
    assert lenient.get(f"/Users?count={value}").status_code in (200, 400)


def test_numbers_below_and_above_the_bounds_are_clamped(lenient: Speaker) -> None:
    """PG-01 to PG-03, PG-05."""
    first = lenient.read("/Users?count=1")
    for query in ("startIndex=-5&count=1", "startIndex=0&count=1"):
        assert lenient.read(f"/Users?{query}") == first
    assert lenient.read("/Users?count=-1")["Resources"] == []
    beyond = lenient.read("/Users?startIndex=1000000")
    assert (beyond["Resources"], beyond["totalResults"]) == ([], lenient.total("/Users"))
    assert lenient.read("/Users?count=1000000")["itemsPerPage"] == min(lenient.total("/Users"), 200)


def test_attributes_and_excluded_attributes_exclude_each_other(lenient: Speaker, ana: Json) -> None:
    """PJ-07."""
    for path in (url_of(ana), "/Users"):
        refused(lenient.get(f"{path}?attributes=userName&excludedAttributes=title"), 400, "invalidValue")


def strange_ids(ana: Json) -> dict[str, str]:
    return {
        "unknown": str(uuid.uuid4()),
        "upper-case": ana["id"].upper(),
        "without-hyphens": ana["id"].replace("-", ""),
        "braces": quote("{" + ana["id"] + "}"),
        "with-blank": ana["id"] + "%20",
        "urn": "urn:uuid:" + ana["id"],
        "no-uuid": "bjensen",
        "number": "1",
        "slash": "a%2Fb",
        "id-and-slash": ana["id"] + "%2F",
        "dots": "..%2F..%2FUsers",
        "nul": "%00",
        "invalid-utf-8": "%ff%fe",
        "umlaut": quote("ü"),
        "injection": quote("' or 1=1; --"),
        "long": "a" * 5_000,
        "very-long": "%41" * 10_000,
        "percent": "%25",
    }


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_an_id_we_never_issued_is_404(lenient: Speaker, ana: Json, method: str) -> None:
    """EP-11, EP-12, EP-15, PA-10: whatever it looks like; ids are matched exactly."""
    body: Any = {"PUT": user_body("nobody"), "PATCH": patch_body(op("replace", "title", "x"))}.get(method)
    for kind, strange in strange_ids(ana).items():
        response = lenient.send(method, f"/Users/{strange}", body)
        statuses = (404, 414) if kind == "very-long" else (404, 400) if kind in ("nul", "percent") else 404
        noted(lenient, response, statuses)


def test_an_id_of_the_other_type_is_404(lenient: Speaker, ana: Json, team: Json) -> None:
    """EP-11."""
    for wrong in (f"/Groups/{ana['id']}", f"/Users/{team['id']}"):
        refused(lenient.get(wrong), 404, None)
        noted(lenient, lenient.send("DELETE", wrong), 404, None)


def test_unknown_paths_are_404(lenient: Speaker, ana: Json) -> None:
    """EP-11: with a SCIM error body, for reading and writing."""
    emails = f"{url_of(ana)}/emails"
    for path in ("/Nope", "/User", "/Users/x/y", emails, "/Users//", "/Schemas/urn:x", "/.scim"):
        refused(lenient.get(path), 404, None)
    for path in ("/Nope", emails):
        noted(lenient, lenient.send("POST", path, user_body()), (404, 405), None)


@pytest.mark.parametrize("version", ["v1", "v3", "v22"])
def test_another_protocol_version_is_refused(lenient: Speaker, version: str) -> None:
    """VT-02: 400 invalidVers."""
    url = f"{lenient.service.base_url}/scim/{lenient.slug}/{version}/Users"
    refused(lenient.scim.get(url), 400, "invalidVers")


def test_a_trailing_slash_is_tolerated(lenient: Speaker, ana: Json) -> None:
    """EP-18."""
    assert lenient.read(f"{url_of(ana)}/") == lenient.show(ana)
    assert lenient.read("/Users/?count=0")["totalResults"] == lenient.total("/Users")
    assert lenient.read("/ServiceProviderConfig/") == lenient.read("/ServiceProviderConfig")


ALLOWED = {
    "/Users": {"GET", "POST"},
    "/Groups": {"GET", "POST"},
    "user": {"GET", "PUT", "PATCH", "DELETE"},
    "group": {"GET", "PUT", "PATCH", "DELETE"},
    "/ServiceProviderConfig": {"GET"},
    "/ResourceTypes": {"GET"},
    "/ResourceTypes/User": {"GET"},
    "/Schemas": {"GET"},
    f"/Schemas/{USER}": {"GET"},
}


@pytest.mark.parametrize("target", ALLOWED)
def test_a_method_the_endpoint_does_not_have(lenient: Speaker, ana: Json, team: Json, target: str) -> None:
    """EP-09, DE-06, DI-19: 405 with Allow; nothing is deleted with a whole collection."""
    path = {"user": url_of(ana), "group": url_of(team)}.get(target, target)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - ALLOWED[target]:
        response = lenient.send(method, path, None if method in ("DELETE", "GET") else user_body())
        noted(lenient, response, 405, None)
        allowed = {name.strip() for name in response.headers["allow"].split(",")}
        assert allowed >= ALLOWED[target], method
        assert method not in allowed


@pytest.mark.parametrize("method", ["TRACE", "FOO", "PROPFIND", "get"])
def test_a_method_nobody_has(lenient: Speaker, method: str) -> None:
    """EP-10: 405 or 501; what is no HTTP at all may be 400."""
    (answer,) = said(lenient, head(lenient, method, "/Users"))
    assert answer.status in (400, 405, 501)


def test_head_is_get_without_a_body(lenient: Speaker, ana: Json) -> None:
    """EP-13: same status and headers."""
    for path in (url_of(ana), "/Users?count=1", "/ServiceProviderConfig"):
        shown, headed = lenient.get(path), lenient.send("HEAD", path)
        assert headed.status_code == 200
        for name in ("content-type", "etag", "location", "content-length"):
            assert headed.headers.get(name) == shown.headers.get(name), (path, name)
    assert lenient.send("HEAD", f"/Users/{uuid.uuid4()}").status_code == 404


def test_options_name_the_methods(lenient: Speaker) -> None:
    """EP-09: an Allow header, whatever the status."""
    response = lenient.send("OPTIONS", "/Users")
    assert response.status_code in (200, 204, 405)
    assert {"GET", "POST"} <= {name.strip() for name in response.headers["allow"].split(",")}


@pytest.mark.parametrize("path", ["/Bulk", "/Me"])
def test_what_is_not_offered_says_so(lenient: Speaker, path: str) -> None:
    """EP-05: in SCIM's words, no 500."""
    method = "POST" if path == "/Bulk" else "GET"
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": []}
    response = lenient.send(method, path, body if method == "POST" else None)
    assert response.status_code in (400, 404, 501)


def test_zz_every_refusal_of_this_file_is_in_the_log(lenient: Speaker) -> None:
    """What was refused above to an authenticated request that could have changed something is recorded."""
    assert missing_from_the_log(lenient) == []
