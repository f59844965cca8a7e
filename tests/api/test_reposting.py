"""A POST of somebody who is there, but inactive: refused with the id, or the user comes back. Never two in one."""

from typing import Any

import pytest
from flood import flood
from issuing import setting
from speaking import ENTERPRISE, Json, Speaker, eq, fresh, op, refused, url_of, user_body


@pytest.fixture(scope="module")
def forgiving(service: Any) -> Speaker:
    """A tenant that re-activates."""
    speaker = Speaker(service)
    setting(speaker, "repost_inactive", "reactivate")
    return speaker


def left(speaker: Speaker, **attributes: Any) -> Json:
    """A user who was disabled, with an externalId of their own."""
    user = speaker.user(externalId=fresh("Left"), active=True, title="Guide", **attributes)
    return speaker.changed(user, op("replace", "active", False))


def test_by_default_the_refusal_tells_who_is_in_the_way(either: Speaker) -> None:
    """CR-07: 409 with the id, by name and by externalId; nothing is made or changed."""
    gone = left(either)
    before = either.total("/Users")
    for body in (
        user_body(gone["userName"].upper()),
        user_body(externalId=gone["externalId"]),
        user_body(gone["userName"], externalId=gone["externalId"]),
    ):
        assert gone["id"] in refused(either.send("POST", "/Users", body), 409, "uniqueness")["detail"]
    assert either.show(gone) == gone
    assert either.total("/Users") == before
    either.user(externalId=gone["externalId"].upper())  # externalIds are case exact: somebody else.


def test_an_active_user_is_not_told_of_and_shares_an_external_id(either: Speaker, forgiving: Speaker) -> None:
    """RS-07: only who left is asked about; a name that is in use is refused without an id, whatever the setting."""
    for speaker in (either, forgiving):
        user = speaker.user(externalId=fresh("Left"))
        refusal = refused(speaker.send("POST", "/Users", user_body(user["userName"])), 409, "uniqueness")
        assert user["id"] not in refusal["detail"]
        assert speaker.user(externalId=user["externalId"])["id"] != user["id"]


@pytest.mark.parametrize("by", ["userName", "externalId", "both"])
def test_the_user_comes_back_with_what_the_body_says(forgiving: Speaker, by: str) -> None:
    """201 and the same id; memberships stay, what the body omits is cleared; recorded as what it is."""
    gone = left(forgiving)
    group = forgiving.group(None, gone["id"])
    before = len(forgiving.history(gone["id"]))
    body = user_body(gone["userName"] if by != "externalId" else None, displayName="Back", enterprise={"division": "D"})
    if by != "userName":
        body["externalId"] = gone["externalId"]
    response = forgiving.send("POST", "/Users", body)
    back = response.json()
    assert (response.status_code, back["id"], back["active"]) == (201, gone["id"], True)
    assert response.headers["location"] == gone["meta"]["location"]
    assert response.headers["etag"] == back["meta"]["version"]
    assert (back["displayName"], back[ENTERPRISE], back["userName"]) == ("Back", {"division": "D"}, body["userName"])
    assert "title" not in back
    assert [each["value"] for each in back["groups"]] == [group["id"]]
    assert forgiving.show(gone) == back
    entries = forgiving.history(gone["id"])[before:]
    assert {entry["event"] for entry in entries} == {"Reactivated", "AttributeChanged"}
    assert {entry["request"]["method"] for entry in entries} == {"POST"}
    assert forgiving.found("/Users", eq("userName", body["userName"])) == [back]


def test_who_is_posted_as_inactive_stays_so(forgiving: Speaker) -> None:
    """`active: false` in the body is the client's word; the rest is updated."""
    gone = left(forgiving)
    shown = forgiving.post("/Users", user_body(gone["userName"], active=False, title="Later"))
    assert (shown["id"], shown["active"], shown["title"]) == (gone["id"], False, "Later")
    assert forgiving.post("/Users", user_body(gone["userName"], active=False, title="Later")) == shown


def test_two_people_never_become_one(forgiving: Speaker) -> None:
    """409 with the ids when name and externalId are about different users, or the name came with another externalId."""
    gone, other = left(forgiving), left(forgiving)
    active = forgiving.user(externalId=fresh("Left"), active=True)
    before = [forgiving.show(user) for user in (gone, other, active)]
    for name, external_id, ids in (
        (gone["userName"], other["externalId"], {gone["id"], other["id"]}),
        (gone["userName"], active["externalId"], {gone["id"], active["id"]}),
        (active["userName"], gone["externalId"], {gone["id"]}),
        (gone["userName"], fresh("Somebody new"), {gone["id"]}),
    ):
        response = forgiving.send("POST", "/Users", user_body(name, externalId=external_id))
        detail = refused(response, 409, "uniqueness")["detail"]
        assert all(each in detail for each in ids), detail
    assert [forgiving.show(user) for user in (gone, other, active)] == before


def test_a_refusal_names_everybody_in_the_way(either: Speaker) -> None:
    """By name, by externalId, or both: whom to set active again is no riddle."""
    gone, other, active = left(either), left(either), either.user(externalId=fresh("Left"), active=True)
    for name in (active["userName"], other["userName"]):
        response = either.send("POST", "/Users", user_body(name, externalId=gone["externalId"]))
        detail = refused(response, 409, "uniqueness")["detail"]
        assert gone["id"] in detail
        assert (other["id"] in detail) is (name == other["userName"])


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_external_id_is_nobodys(forgiving: Speaker, either: Speaker, empty: str) -> None:
    """Entra sends an empty string for what is not set: whoever left with one is not the next one who comes with one."""
    for speaker in (forgiving, either):
        gone = speaker.user(externalId=empty, active=False)
        new = speaker.user(externalId=empty, active=True)
        assert new["id"] != gone["id"]
        assert speaker.show(gone) == gone
        assert gone in speaker.found("/Users", eq("externalId", empty))
    named = left(forgiving)
    assert forgiving.post("/Users", user_body(named["userName"], externalId=empty))["id"] == named["id"]


def test_two_of_one_external_id_are_nobody_in_particular(forgiving: Speaker) -> None:
    """Both left, or one of them: which one is meant is not guessed."""
    shared = fresh("Shared")
    first, second = (forgiving.user(externalId=shared, active=True) for _ in range(2))
    forgiving.changed(first, op("replace", "active", False))
    detail = refused(forgiving.send("POST", "/Users", user_body(externalId=shared)), 409, "uniqueness")["detail"]
    assert first["id"] in detail
    assert second["id"] in detail


def test_a_user_comes_back_once(forgiving: Speaker) -> None:
    """Eight at once: one brings the user back, the others find the name in use."""
    gone = left(forgiving)
    body = user_body(gone["userName"], externalId=gone["externalId"])
    answers = flood(forgiving, [("POST", "/Users", body)] * 8)
    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert forgiving.get(url_of(gone)).json()["active"] is True
    assert sum(entry["event"] == "Reactivated" for entry in forgiving.history(gone["id"])) == 1
