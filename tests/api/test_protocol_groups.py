"""The requirement catalogue on groups, memberships and what users show of them; on PUT; on refusals as such."""

import uuid
from typing import Any

import pytest
from bulking import bulk, post
from issuing import setting, token_with
from speaking import (
    BODY_BYTES_MAX,
    ENTERPRISE,
    ERROR,
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


def groups_of(speaker: Speaker, user: Json) -> dict[str, str]:
    """The groups a user shows, by name, with the way it belongs to them."""
    return {group["display"]: group["type"] for group in speaker.show(user).get("groups", [])}


@pytest.fixture
def nest(either: Speaker) -> tuple[Json, list[Json]]:
    """Ana in the inner of three groups, each in the next, and in the outermost herself as well."""
    ana = either.user()
    inner = either.group(fresh("inner"), ana["id"])
    middle = either.group(fresh("middle"), inner["id"])
    return ana, [inner, middle, either.group(fresh("outer"), middle["id"], ana["id"])]


def test_users_show_every_way_into_every_group(either: Speaker, nest: tuple[Json, list[Json]]) -> None:
    """GR-02 to GR-04: value, URI, name and way, direct before indirect; also in lists, filters and projections."""
    ana, (inner, middle, outer) = nest
    ways = zip((inner, middle, outer), ("direct", "indirect", "direct"), strict=True)
    told = [
        {"value": each["id"], "$ref": each["meta"]["location"], "display": each["displayName"], "type": way}
        for each, way in ways
    ]
    shown = either.show(ana)
    assert shown["groups"] == told
    assert either.found("/Users", eq("id", ana["id"])) == [shown]
    assert either.found("/Users", where(f'groups[value eq "{middle["id"]}" and type eq "indirect"]')) == [shown]
    assert either.found("/Users", where(f'groups[value eq "{middle["id"]}" and type eq "direct"]')) == []
    assert either.found("/Users", eq("groups.display", middle["displayName"].upper())) == [shown]
    assert either.read(f"{url_of(ana)}?attributes=groups.display")["groups"] == [
        {"display": g["display"]} for g in told
    ]
    assert "groups" not in either.read(f"{url_of(ana)}?excludedAttributes=groups")
    kinds = [(member["type"], member["$ref"]) for member in either.show(outer)["members"]]
    assert kinds == [("Group", middle["meta"]["location"]), ("User", ana["meta"]["location"])]


def test_leaving_the_inner_group_is_leaving_what_is_around_it(either: Speaker, nest: tuple[Json, list[Json]]) -> None:
    """GR-04: the other ways stay; a deleted group takes with it what it led to."""
    ana, (inner, middle, outer) = nest
    either.changed(outer, op("remove", f'members[value eq "{ana["id"]}"]'))
    assert groups_of(either, ana)[outer["displayName"]] == "indirect"
    either.delete(middle)
    assert groups_of(either, ana) == {inner["displayName"]: "direct"}


def test_circles_of_groups_end_every_walk(either: Speaker) -> None:
    """GR-05: a group in itself, and three around each other; read, listed, filtered, left and deleted."""
    ana = either.user()
    own = either.group(fresh("own"), ana["id"])
    either.changed(own, op("add", "members", [{"value": own["id"]}]))
    ring = [either.group(fresh("ring"), own["id"])]
    ring += [either.group(fresh("ring"), ring[0]["id"])]
    ring += [either.group(fresh("ring"), ring[1]["id"])]
    either.changed(ring[0], op("add", "members", [{"value": ring[2]["id"]}]))
    around = {group["displayName"]: "indirect" for group in ring}
    assert groups_of(either, ana) == {own["displayName"]: "direct"} | around
    assert len(either.found("/Users", where(f'groups.value eq "{ring[2]["id"]}"'))) == 1
    assert {member["value"] for member in either.show(own)["members"]} == {ana["id"], own["id"]}
    either.delete(own)
    assert groups_of(either, ana) == {}
    either.delete(ring[1])
    assert either.member_ids(ring[2]) == set()
    assert either.member_ids(ring[0]) == {ring[2]["id"]}


def test_membership_is_changed_through_groups_only(either: Speaker) -> None:
    """GR-01, PD-01, CR-02: `groups` of a user is ignored in bodies and refused as a target."""
    group = either.group()
    claimed = [{"value": group["id"]}]
    ana = either.user(groups=claimed)
    assert "groups" not in ana
    assert either.put(ana, user_body(ana["userName"], groups=claimed)) == ana
    for name in ("add", "replace", "remove"):
        refused(either.patch(ana, op(name, "groups", claimed)), 400, "mutability")
    assert either.member_ids(group) == set()


def test_what_members_are_is_ours_to_say(either: Speaker) -> None:
    """GR-03, GR-07, CR-03, RS-18: type, display and $ref of the client are ignored, and a wrong one is no error."""
    ana = either.user()
    wrong = {"value": ana["id"], "type": "Group", "display": "Somebody", "$ref": "https://evil.example/Groups/1"}
    group = either.post("/Groups", group_body(members=[wrong]))
    assert group["members"] == [{"value": ana["id"], "$ref": ana["meta"]["location"], "type": "User"}]
    assert either.changed(group, op("add", "members", [wrong])) == group


def test_references_lead_to_their_resources(either: Speaker) -> None:
    """RS-24, VT-03, DEC-12, PU-12: a manager who can be one of ours has a $ref of ours; others keep what was sent."""
    boss = either.user()
    given = {"value": boss["id"], "$ref": "https://old.example/Users/1"}
    ana = either.user(enterprise={"department": "Sales", "manager": given})
    assert ana[ENTERPRISE]["manager"] == {"value": boss["id"], "$ref": boss["meta"]["location"]}
    assert either.put(ana, ana) == ana
    assert either.read(f"{url_of(ana)}?attributes={ENTERPRISE}:manager.$ref")[ENTERPRISE] == {
        "manager": {"$ref": boss["meta"]["location"]}
    }
    shown = either.changed(ana, op("replace", f"{ENTERPRISE}:manager", {"value": "emp-7", "$ref": "../Users/emp-7"}))
    assert shown[ENTERPRISE]["manager"] == {"value": "emp-7", "$ref": "../Users/emp-7"}
    ours = either.changed(ana, op("replace", f"{ENTERPRISE}:manager", {"$ref": f"../Users/{boss['id']}"}))
    assert ours[ENTERPRISE]["manager"] == {"value": boss["id"], "$ref": boss["meta"]["location"]}
    for step in (
        op("replace", f"{ENTERPRISE}:manager.$ref", "http://elsewhere.example/x"),
        op("add", f"{ENTERPRISE}:manager", {"$ref": "http://elsewhere.example/x"}),
    ):
        assert either.changed(ana, step) == ours


def test_who_is_nobody_cannot_be_a_member(either: Speaker) -> None:
    """GR-06: refused in POST, PUT and PATCH, and nobody leaves for it."""
    ana = either.user()
    group = either.group(None, ana["id"])
    nobody = [{"value": str(uuid.uuid4())}]
    refused(either.send("POST", "/Groups", group_body(members=nobody)), 400, "invalidValue")
    refused(either.send("PUT", url_of(group), group_body(group["displayName"], members=nobody)), 400, "invalidValue")
    for name in ("add", "replace"):
        refused(either.patch(group, op(name, "members", nobody)), 400, "invalidValue")
    assert either.show(group) == group


def test_a_large_group_is_answered_without_its_members(service: Any, either: Speaker) -> None:
    """PA-07, PA-08, DEC-20: 204 with ETag and Location above the tenant's limit; 200 when told what to show.

    PU-01: that is for PATCH; a PUT answers with the whole group, also when nothing changed.
    """
    few = Speaker(service, either.profile)
    setting(few, "group_answer_members_max", 1)
    ids = [few.user()["id"] for _ in range(3)]
    group = few.group(None, ids[0])
    small = few.patch(group, op("replace", "externalId", "a"))
    assert (small.status_code, len(small.json()["members"])) == (200, 1)
    large = few.patch(group, op("add", "members", [{"value": each} for each in ids[1:]]))
    shown = few.show(group)
    assert (large.status_code, large.content) == (204, b"")
    assert (large.headers["etag"], large.headers["location"]) == (shown["meta"]["version"], shown["meta"]["location"])
    assert few.patch(group, op("replace", "externalId", "a")).status_code == 204  # Nothing changed, the same answer.
    body = patch_body(op("replace", "externalId", "b"))
    selected = few.send("PATCH", f"{url_of(group)}?attributes=externalId", body)
    assert (selected.status_code, selected.json()["externalId"]) == (200, "b")
    assert "members" not in selected.json()
    for name in ("renamed", "renamed"):
        whole = few.send("PUT", url_of(group), group_body(name, *ids))
        assert (whole.status_code, whole.json()) == (200, few.show(group))
        assert {each["value"] for each in whole.json()["members"]} == set(ids)


def test_a_member_of_a_large_group_costs_what_a_member_of_a_small_one_does(service: Any) -> None:
    """GR-08: one entry, and an answer that holds no member; whoever does not want them is not sent them."""
    speaker = Speaker(service)
    setting(speaker, "group_answer_members_max", 100)
    posts = [post("/Users", f"u{n}", user_body(f"{n}@contoso.example")) for n in range(501)]
    ana, *ids = (result["location"].rpartition("/")[2] for result in bulk(speaker, *posts))
    small, large = speaker.group("small"), speaker.group("large", *ids)
    costs = []
    for group in (small, large):
        for step in (op("add", "members", [{"value": ana}]), op("remove", f'members[value eq "{ana}"]')):
            before = speaker.log()["size"]
            answer = speaker.patch(group, step)
            costs.append((answer.status_code, speaker.log()["size"] - before))
    assert costs == [(200, 1), (200, 1), (204, 1), (204, 1)]
    bare = speaker.get(f"{url_of(large)}?excludedAttributes=members")
    assert "members" not in bare.json() and len(bare.content) < 1_000
    assert speaker.member_ids(large) == set(ids)


# --- PUT


def test_a_put_replaces_whole_values(either: Speaker) -> None:
    """PU-01 to PU-05, PU-10, DEC-05: lists as a whole, what is omitted is cleared, `active` and password are not."""
    emails = [{"value": "a@x", "type": "work", "display": "A"}, {"value": "b@x"}]
    user = either.user(emails=emails, title="t", active=False, name={"givenName": "A"}, enterprise={"division": "D"})
    body = user_body(
        user["userName"], emails=[{"value": "c@x"}], name={"familyName": "B"}, id="x", groups=[{"value": "y"}]
    )
    response = either.send("PUT", url_of(user), body)
    shown = response.json()
    expected = {"emails": [{"value": "c@x"}], "name": {"familyName": "B"}, "active": False}
    assert {name: shown.get(name) for name in expected} == expected
    assert not {"title", "groups", ENTERPRISE} & set(shown)
    assert (response.headers["etag"], response.headers["location"]) == (
        shown["meta"]["version"],
        user["meta"]["location"],
    )
    cleared = either.put(user, user_body(user["userName"], active=None, emails=[], name=None))
    assert set(cleared) == {"schemas", "id", "userName", "meta"}


def test_a_put_may_rename_to_what_is_free_or_ones_own(either: Speaker) -> None:
    """PU-09, PD-12: another's name is 409, one's own in another case is stored as sent."""
    user, other = either.user(), either.user()
    refused(either.send("PUT", url_of(user), user_body(other["userName"].upper())), 409, "uniqueness")
    assert either.show(user) == user
    assert either.put(user, user_body(user["userName"].upper()))["userName"] == user["userName"].upper()


def test_a_put_of_members_is_its_difference(either: Speaker) -> None:
    """PU-13, PU-02: who stays is neither removed nor added."""
    ana, bo, cy = (either.user()["id"] for _ in range(3))
    group = either.group(None, ana, bo)
    before = len(either.history(bo))
    either.put(group, group_body(group["displayName"], bo, cy))
    assert either.member_ids(group) == {bo, cy}
    assert len(either.history(bo)) == before
    assert either.history(ana)[-1]["event"] == "MembershipRemoved"


# --- refusals


def test_every_refusal_speaks_scim(either: Speaker) -> None:
    """ER-01 to ER-03, ER-05, ER-06: `checked` has looked at each body; here is one of every status we give."""
    user = either.user()
    audit = {"Authorization": f"Bearer {token_with(either, 'audit')}"}
    answers = [
        either.send("POST", "/Users", b"{"),
        either.get("/Users", headers={"Authorization": "Bearer nobody"}),
        either.get("/Users", headers=audit),
        either.get(f"/Users/{uuid.uuid4()}"),
        either.send("DELETE", "/Users"),
        either.send("POST", "/Users", user_body(user["userName"])),
        either.send("DELETE", url_of(user), headers={"If-Match": 'W/"9"'}),
        either.send("POST", "/Users", b" " * (BODY_BYTES_MAX + 1)),
        either.get("/Users?x=" + "a" * 9_000),
        either.send("POST", "/Users", b"<user/>", headers={"Content-Type": "text/xml"}),
    ]
    assert [answer.status_code for answer in answers] == [400, 401, 403, 404, 405, 409, 412, 413, 414, 415]
    for answer in answers:
        body = answer.json()
        assert (body["schemas"], body["status"]) == ([ERROR], str(answer.status_code))
        assert ("scimType" in body) is (answer.status_code in (400, 409))


def test_who_would_rather_not_wait_is_answered_all_the_same(either: Speaker) -> None:
    """EV-09: `Prefer: respond-async` is not honoured, so the answer is the ordinary one."""
    response = either.send("POST", "/Users", user_body(), headers={"Prefer": "respond-async"})
    assert response.status_code == 201
    assert not {"preference-applied", "set-txn"} & set(response.headers)
