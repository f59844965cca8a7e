"""`asOf` over HTTP: who may look back, at what, how a moment is written, and what is told of two of them.

That the answers are right is tested in tests/projections; here an auditor's token asks, which may do nothing else.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from looking import Past
from speaking import op, refused
from walking import SEARCH_REQUEST

POSITION = "scim-ledger-position"


@pytest.fixture(scope="module")
def past(service: Any) -> Past:
    """Ada comes, then Bob, then their group; Ada is renamed and leaves. `start`: the position of the first of it."""
    past = Past(service)
    past.start = past.size()
    ada, bob = past.user("ada", title="Analyst"), past.user("bob")  # +0, +1
    team = past.group("Team", ada["id"], bob["id"])  # +2 to +4
    past.changed(ada, op("replace", "userName", "eve"))  # +5
    past.delete(ada)  # +6, +7
    past.ada, past.bob, past.team = ada, bob, team
    return past


def names(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [each.get("userName") or each["displayName"] for each in response.json()["Resources"]]


# --- who may


def test_the_past_is_the_auditors_and_the_present_is_not(past: Past) -> None:
    """A token of scope audit asks with asOf and nothing else; one of scope scim never with asOf."""
    at, path = past.start + 4, f"/Users/{past.bob['id']}"
    for asked in ("/Users", "/Groups", "/", path):
        assert past.back(asked, asOf=at).status_code == 200
        refused(past.back(asked), 403)
        refused(past.get(f"{asked}?asOf={at}"), 403)
        refused(past.back(asked, count=3, filter='title eq "asof=1"'), 403)
    search = {"schemas": [SEARCH_REQUEST]}
    for endpoint in ("/Users/.search", "/.search"):
        assert past.back(endpoint, "POST", {**search, "asOf": at}).status_code == 200
        refused(past.back(endpoint, "POST", search), 403)
        refused(past.send("POST", endpoint, {**search, "asOf": at}), 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", each) for each in ("/Users", "/Groups")),
        *((each, "/Users/{bob}") for each in ("PUT", "PATCH", "DELETE")),
        *(("GET", each) for each in ("/Me", "/Schemas", "/ResourceTypes", "/Nothing")),
    ],
)
def test_asof_opens_nothing_else(past: Past, method: str, path: str) -> None:
    """Neither writing nor what has no past, whatever the URL says."""
    refused(past.back(path.format(bob=past.bob["id"]), method, asOf=past.start), 403)


# --- moments


def test_a_list_is_of_who_was_there_then(past: Past) -> None:
    """Each answer says up to which position it has read; before the first entry nobody is there."""
    users = [names(past.back("/Users", asOf=past.start + each)) for each in range(8)]
    assert users == [["ada"], *[["ada", "bob"]] * 4, ["eve", "bob"], ["bob"], ["bob"]]
    answer = past.back("/Users", asOf=past.start + 5)
    assert answer.headers[POSITION] == str(past.start + 5)
    before = past.back("/Users", asOf="2000-01-01T00:00:00Z")
    assert (names(before), before.headers[POSITION], before.json()["totalResults"]) == ([], "-1", 0)
    assert POSITION not in past.get("/Users").headers


def test_the_position_of_an_answer_about_a_time_before_the_first_entry_can_be_asked_again(past: Past) -> None:
    """Also that number gives the same answer: -1, for lists, searches and resources."""
    told = past.back("/Users", asOf="2000-01-01T00:00:00Z")
    at = told.headers[POSITION]
    assert past.back("/Users", asOf=at).content == told.content
    search = {"schemas": [SEARCH_REQUEST]}
    for asked in (at, int(at)):
        answer = past.back("/Users/.search", "POST", {**search, "asOf": asked})
        assert (names(answer), answer.headers[POSITION]) == ([], "-1")
    assert "position -1" in refused(past.back(f"/Users/{past.bob['id']}", asOf=at), 404)["detail"]


def test_a_time_means_everything_recorded_until_then(past: Past) -> None:
    """With any offset; a time between two entries means the first of them."""
    recorded = datetime.fromisoformat(past.user("late")["meta"]["created"])
    for moment, there in ((recorded, True), (recorded - timedelta(milliseconds=1), False)):
        for text in (moment.isoformat(), moment.astimezone(UTC).isoformat().replace("+00:00", "Z")):
            assert ("late" in names(past.back("/Users", asOf=text))) is there, text


@pytest.mark.parametrize(
    "written", ["", " ", "yesterday", "-2", "+1", "--1", "1.5", "2026-13-01", "9" * 19, "٣", "2026-01-01T25:00:00Z"]
)
def test_what_is_no_moment_is_refused(past: Past, written: str) -> None:
    """400, and the detail says how one is written."""
    for answer in (past.back("/Users", asOf=written), past.back(f"/Users/{past.bob['id']}", asOf=written)):
        assert "asOf" in refused(answer, 400, "invalidValue")["detail"]


def test_what_has_not_come_yet_is_refused(past: Past) -> None:
    """An answer about it could turn out otherwise."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert "future" in refused(past.back("/Users", asOf=tomorrow.isoformat()), 400, "invalidValue")["detail"]
    assert "ends at" in refused(past.back("/Users", asOf=10**17), 400, "invalidValue")["detail"]
    search = {"schemas": [SEARCH_REQUEST], "asOf": 10**17}
    refused(past.back("/Users/.search", "POST", search), 400, "invalidValue")
    refused(past.back("/Users/.search", "POST", {**search, "asOf": ["x"]}), 400, "invalidSyntax")


# --- one resource


def test_a_resource_is_shown_with_its_version_and_its_edges_of_then(past: Past) -> None:
    """Its ETag, its times, whom it belonged to; and 404 where it was not there."""
    ada, team = f"/Users/{past.ada['id']}", f"/Groups/{past.team['id']}"
    then = past.back(ada, asOf=past.start + 4).json()
    assert (then["userName"], then["title"], then["meta"]["version"]) == ("ada", "Analyst", 'W/"1"')
    assert [each["display"] for each in then["groups"]] == ["Team"]
    assert past.back(ada, asOf=past.start + 5).json()["meta"]["version"] == 'W/"2"'
    members = [len(past.back(team, asOf=past.start + each).json().get("members", [])) for each in (2, 3, 4, 7)]
    versions = [past.back(team, asOf=past.start + each).headers["etag"] for each in (2, 3, 4, 7)]
    assert (members, versions) == ([0, 1, 2, 1], ['W/"1"', 'W/"2"', 'W/"3"', 'W/"4"'])
    assert past.back(team, asOf=past.size() - 1).json() == past.show(past.team)
    for path, at in ((ada, past.size() - 1), (team, past.start), ("/Users/nobody", past.start)):
        assert "position" in refused(past.back(path, asOf=at), 404)["detail"]


def test_attributes_and_conditions_work_as_ever(past: Past) -> None:
    """attributes, excludedAttributes, If-None-Match, HEAD."""
    ada, at = f"/Users/{past.ada['id']}", past.start + 4
    assert set(past.back(ada, asOf=at, attributes="title").json()) == {"schemas", "id", "title"}
    assert "groups" not in past.back(ada, asOf=at, excludedAttributes="groups").json()
    assert "groups" not in past.back("/Users", asOf=at, excludedAttributes="groups").json()["Resources"][0]
    assert past.back(ada, "HEAD", asOf=at).headers[POSITION] == str(at)
    url = f"{past.service.base_url}{past.base}{ada}?asOf={at}"
    headers = {"Authorization": past.audit.headers["Authorization"], "If-None-Match": 'W/"1"'}
    assert httpx.get(url, headers=headers).status_code == 304


# --- lists


def test_filters_sorting_and_pages_are_of_then(past: Past) -> None:
    """By index and by cursor; a cursor belongs to the moment it was given for."""
    at = past.start + 5
    assert names(past.back("/Users", asOf=at, filter='userName eq "eve" and groups.display eq "team"')) == ["eve"]
    assert names(past.back("/Users", asOf=at, filter='userName eq "ada"')) == []
    assert names(past.back("/Users", asOf=at, sortBy="userName")) == ["bob", "eve"]
    assert names(past.back("/Users", asOf=at, startIndex=2, count=1)) == ["bob"]
    assert names(past.back("/", asOf=at)) == ["eve", "bob", "Team"]
    first = past.back("/Users", asOf=at, count=1, cursor="")
    assert (names(first), first.json()["totalResults"]) == (["eve"], 2)
    cursor = first.json()["nextCursor"]
    assert names(past.back("/Users", asOf=at, count=1, cursor=cursor)) == ["bob"]
    refused(past.back("/Users", asOf=at + 1, count=1, cursor=cursor), 400, "invalidCursor")
    searched = {"schemas": [SEARCH_REQUEST], "asOf": str(at), "filter": "title pr", "count": 5}
    assert names(past.back("/Users/.search", "POST", searched)) == ["eve"]


# --- two moments


def test_two_moments_are_told_apart(past: Past) -> None:
    """Who left, who was renamed, which memberships ended; totals; the moments by position and time."""
    told = past.asked("/diff", **{"from": past.start + 4, "to": past.start + 5})
    (renamed,) = told["resources"]
    assert (renamed["change"], renamed["renamed"], renamed["name"]) == ("changed", True, "eve")
    assert renamed["attributes"] == [{"attribute": "userName", "before": "ada", "after": "eve"}]
    assert told["totals"] == {
        "resources": {"User": {"changed": 1, "renamed": 1}}, "memberships": {"gained": 0, "lost": 0},
    }  # fmt: skip
    told = past.asked("/diff", **{"from": past.start + 5, "to": past.start + 7})
    (left,) = told["resources"]
    assert (left["change"], left["id"]) == ("left", past.ada["id"])
    (lost,) = told["memberships"]
    assert (lost["change"], lost["group"], lost["member"]) == ("lost", "Team", "eve")
    assert told["to"]["position"] == past.start + 7
    assert told["to"]["recorded_at"]
    whole = past.asked("/diff", **{"from": "2000-01-01T00:00:00Z"})
    assert whole["from"] == {"position": -1, "recorded_at": None}
    assert whole["to"]["position"] == past.size() - 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "from"), ({"from": "x"}, "from"), ({"from": "0", "to": "x"}, "to"), ({"from": "2", "to": "1"}, "after"),
        ({"from": "0", "to": str(10**17)}, "ends at"), ({"from": "2999-01-01"}, "future"),
    ],
)  # fmt: skip
def test_moments_that_cannot_be_told_apart_are_refused(past: Past, asked: dict[str, str], said: str) -> None:
    """400 with a sentence, before anything is sent."""
    answer = past.audit.get("/diff", params=asked)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_differences_are_the_auditors(past: Past) -> None:
    """Another scope is refused."""
    url = f"{past.service.base_url}/api/{past.slug}/diff?from=0"
    assert httpx.get(url, headers={"Authorization": f"Bearer {past.token}"}).status_code == 403


# --- numbers and periods that can hold nothing


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/history?subject=ada&count=0", 400, "count is a number from 1 on"),
        ("/log?before=-1", 400, "before is a number from 0 on"),
        ("/runs?since=2026-02-01&until=2026-01-01", 400, "since comes after until"),
        ("/runs?since=7&until=6", 400, "since comes after until"),
        ("/entra-log?subject=ada&since=2026-02-01&until=2026-01-01", 400, "since comes after until"),
        ("/runs?client=nobody", 404, "no client 'nobody', and never had"),
    ],
)
def test_what_can_only_be_empty_is_refused(past: Past, path: str, status: int, sentence: str) -> None:
    """200 and nothing would read as an answer: nobody did anything."""
    answer = past.audit.get(path)
    assert answer.status_code == status and sentence in answer.json()["error"]


def test_a_page_may_end_where_the_ledger_begins(past: Past) -> None:
    """before=0 is what next_before comes to, and a client without runs in a period is a client."""
    assert past.audit.get("/log?before=0").json()["records"] == []
    assert past.audit.get("/entra-log/unmatched?count=0").status_code == 200
    for path in ("/log?count=0", "/runs?count=0"):
        assert past.audit.get(path).json()["size"] == past.size()
    (client, *_) = past.audit.get("/runs").json()["runs"]
    for name in (client["client_id"], client["client_label"], "operator"):
        assert past.audit.get("/runs", params={"client": name, "until": "2020-01-01"}).json()["runs"] == []
