"""The requirement catalogue on deletion, versions and conditional requests, of users and of groups."""

import itertools
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from flood import flood
from speaking import (
    SCIM_JSON,
    Json,
    Speaker,
    eq,
    fresh,
    group_body,
    of_type,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
    version_of,
)


@pytest.fixture(params=["user", "group"])
def made(either: Speaker, request: pytest.FixtureRequest) -> Json:
    """A resource of each type, changed once, so that there is an older version."""
    kind = request.param
    first = either.user() if kind == "user" else either.group()
    return either.changed(first, op("replace", "externalId", "x"))


def older(resource: Json) -> str:
    return f'W/"{version_of(resource) - 1}"'


def writes(resource: Json) -> list[tuple[str, Json | None]]:
    """A PUT, a PATCH and a DELETE that would each change the resource."""
    is_user = resource["meta"]["resourceType"] == "User"
    body = user_body(resource["userName"]) if is_user else group_body(resource["displayName"])
    return [("PUT", body), ("PATCH", patch_body(op("replace", "externalId", fresh("y")))), ("DELETE", None)]


def test_what_is_deleted_is_gone_from_scim(either: Speaker, made: Json) -> None:
    """DE-01, DE-02, DE-03, ER-05: 204 without body, then 404 for everything; the ledger still tells the story."""
    response = either.send("DELETE", url_of(made))
    assert (response.status_code, response.content) == (204, b"")
    refused(either.get(url_of(made)), 404, None)
    for method, body in writes(made):
        refused(either.send(method, url_of(made), body), 404, None)
    endpoint = f"/{made['meta']['resourceType']}s"
    assert either.found(endpoint, eq("id", made["id"])) == []
    assert of_type(either.history(made["id"]), "UserDeleted", "GroupDeleted")


def test_disabled_is_not_deleted(either: Speaker) -> None:
    """DE-07, DE-04, CR-08, GE-06: a disabled user is readable and keeps the name; a deleted one keeps nothing."""
    user = either.user(active=True)
    disabled = either.changed(user, op("replace", "active", False))
    assert either.show(user) == disabled
    refused(either.send("POST", "/Users", user_body(user["userName"])), 409, "uniqueness")
    either.delete(user)
    again = either.user(user["userName"])
    assert again["id"] != user["id"]
    assert of_type(either.history(user["id"]), "Deactivated")


def test_a_version_moves_with_a_change_and_only_then(either: Speaker, made: Json) -> None:
    """ET-02, PA-08, PA-09, PU-11, PU-12, RS-11: of what changes nothing neither version nor lastModified move."""
    same = op("replace", "externalId", "x")
    for response in (
        either.patch(made, same),
        either.patch(made, op("remove", "externalId"), same),
        either.send("PUT", url_of(made), made),
    ):
        assert response.json() == made
        assert (response.headers["etag"], response.headers["location"]) == (
            made["meta"]["version"],
            made["meta"]["location"],
        )
    changed = either.patch(made, op("replace", "externalId", "z"))
    assert version_of(changed) == version_of(made) + 1
    assert changed.headers["location"] == made["meta"]["location"]
    listed = either.found(f"/{made['meta']['resourceType']}s", eq("id", made["id"]))
    assert listed[0]["meta"]["version"] == changed.headers["etag"] == either.get(url_of(made)).headers["etag"]


@pytest.mark.parametrize("form", ["{0}", '"{1}"', '"a", {0}, W/"b"', "*"])
def test_if_none_match_saves_a_body(either: Speaker, made: Json, form: str) -> None:
    """ET-03, ER-05: compared weakly, lists and the star included: 304 with the ETag and nothing else."""
    header = form.format(made["meta"]["version"], version_of(made))
    for method in ("GET", "HEAD"):
        response = either.send(method, url_of(made), headers={"If-None-Match": header})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == made["meta"]["version"]
    stale = either.get(url_of(made), headers={"If-None-Match": older(made)})
    assert (stale.status_code, stale.json()) == (200, made)


@pytest.mark.parametrize("form", ["{0}", '"{1}"', '"a", {0}, W/"b"', "*"])
def test_if_match_lets_the_present_version_through(either: Speaker, made: Json, form: str) -> None:
    """ET-04, ET-01: every write, compared weakly; the answer carries the new version."""
    for method, body in writes(made):
        header = form.format(made["meta"]["version"], version_of(made))
        response = either.send(method, url_of(made), body, headers={"If-Match": header})
        assert response.status_code in (200, 204), response.text
        if method != "DELETE":
            assert version_of(response) > version_of(made)
            made = either.show(made)


def test_tags_in_lines_of_their_own_are_one_list(either: Speaker, made: Json) -> None:
    """ET-03, ET-04: a list may be split over header lines, by a proxy too, in any order (RFC 9110 §5.3)."""
    tags = [made["meta"]["version"], older(made), 'W/"77"']
    for lines in itertools.permutations(tags):
        unchanged = either.scim.request("GET", url_of(made), headers=[("If-None-Match", each) for each in lines])
        assert unchanged.status_code == 304
    body = json.dumps(patch_body(op("replace", "externalId", fresh("x"))))
    lines = [("Content-Type", SCIM_JSON), *(("If-Match", each) for each in tags)]
    assert either.scim.request("PATCH", url_of(made), content=body, headers=lines).status_code == 200
    assert either.scim.request("PATCH", url_of(made), content=body, headers=lines).status_code == 412


@pytest.mark.parametrize("header", ["If-Match older", "If-Match other", "If-None-Match *", "If-None-Match present"])
def test_a_condition_that_does_not_hold_changes_nothing(either: Speaker, made: Json, header: str) -> None:
    """ET-04: 412 on PUT, PATCH and DELETE; a PUT never creates, so `If-None-Match: *` can only fail."""
    name, which = header.split()
    tag = {"older": older(made), "other": '"x", W/"999"', "*": "*", "present": made["meta"]["version"]}[which]
    for method, body in writes(made):
        refused(either.send(method, url_of(made), body, headers={name: tag}), 412, None)
    if name == "If-Match":
        refused(either.get(url_of(made), headers={name: tag}), 412, None)
    assert either.show(made) == made


def test_conditions_come_behind_existence_and_before_the_body(either: Speaker, made: Json) -> None:
    """ET-05: who asks, whether it is there, which version, and only then what is asked."""
    wrong = {"If-Match": older(made)}
    nowhere = f"/{made['meta']['resourceType']}s/{uuid.uuid4()}"
    for method in ("PUT", "PATCH"):
        anonymous = wrong | {"Authorization": "Bearer nobody"}
        refused(either.send(method, url_of(made), b"{", headers=anonymous), 401, None)
        refused(either.send(method, nowhere, b"{", headers=wrong), 404, None)
        refused(either.send(method, url_of(made), b"{", headers=wrong), 412, None)
        refused(either.send(method, url_of(made), b"{"), 400, "invalidSyntax")


def test_a_creation_has_no_version_to_match(either: Speaker) -> None:
    """ET-08: `If-None-Match: *` on POST is ignored."""
    for endpoint, body in (("/Users", user_body()), ("/Groups", group_body())):
        assert either.send("POST", endpoint, body, headers={"If-None-Match": "*"}).status_code == 201


def test_without_conditions_every_write_counts(either: Speaker) -> None:
    """ET-06: eight writers of eight attributes at once, and none undoes another."""
    user = either.user()
    names = ["title", "nickName", "displayName", "userType", "locale", "timezone", "externalId", "preferredLanguage"]
    answers = flood(either, [("PATCH", url_of(user), patch_body(op("replace", name, name))) for name in names])
    assert [status for status, _ in answers] == [200] * len(names)
    shown = either.show(user)
    assert {name: shown.get(name) for name in names} == {name: name for name in names}
    assert version_of(shown) == 1 + len(names)


def test_of_two_writers_with_one_version_one_is_told(either: Speaker, made: Json) -> None:
    """ET-04: If-Match holds under the lock, also for members, which otherwise never wait for each other."""
    operations = [op("replace", "externalId", fresh("raced")) for _ in range(6)]
    if made["meta"]["resourceType"] == "Group":
        operations = [op("add", "members", [{"value": either.user()["id"]}]) for _ in range(6)]

    def write(operation: Json) -> int:
        return either.patch(made, operation, headers={"If-Match": made["meta"]["version"]}).status_code

    with ThreadPoolExecutor(len(operations)) as threads:
        assert sorted(threads.map(write, operations)) == [200] + [412] * 5
    assert version_of(either.show(made)) == version_of(made) + 1


def test_memberships_are_no_change_of_the_member(either: Speaker) -> None:
    """ET-09, DEC-13: joining, leaving and a renamed group leave version, lastModified and ETag of the user."""
    user = either.user()
    group = either.group(None, user["id"])
    assert either.show(user)["groups"]
    either.changed(group, op("replace", "displayName", fresh("Renamed")))
    assert either.show(user)["meta"] == user["meta"]
    either.changed(group, op("remove", "members"))
    assert either.show(user) == user


def test_a_change_of_members_is_a_change_of_the_group(either: Speaker) -> None:
    """ET-02, DE-05: each member one version; also when a member is deleted, whose manager-ship stays as it was said."""
    boss, other = either.user(), either.user()
    report = either.user(enterprise={"manager": {"value": boss["id"]}})
    group = either.group(None, boss["id"], other["id"])
    either.delete(boss)
    shown = either.show(group)
    assert [member["value"] for member in shown["members"]] == [other["id"]]
    assert version_of(shown) == version_of(group) + 1
    assert either.show(report) == report
