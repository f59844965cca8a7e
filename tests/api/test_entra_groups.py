"""What Entra ID does with groups, row by row: the G rows of the client's test catalogue."""

import time
import uuid
from typing import Any

import pytest
from flood import flood
from speaking import (
    GROUP,
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
    version_of,
)

ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"


@pytest.fixture(scope="module")
def entra(service: Any) -> Speaker:
    """A tenant that Entra provisions; the tests of this file share it and use names of their own."""
    return Speaker(service)


@pytest.fixture(scope="module")
def people(entra: Speaker) -> list[str]:
    """The ids of four users: u, v, w and x of the catalogue. No test here changes or deletes them."""
    return [entra.user()["id"] for _ in range(4)]


def test_g1_the_unknown_schema_of_entra(entra: Speaker) -> None:
    """G1, RS-03: 201; the schema we do not know is dropped."""
    body = {
        "schemas": [GROUP, ADSCIM],
        "externalId": str(uuid.uuid4()),
        "displayName": fresh("Sales EMEA"),
        "meta": {"resourceType": "Group"},
    }
    shown = entra.show(entra.post("/Groups", body))
    assert (shown["displayName"], shown["externalId"]) == (body["displayName"], body["externalId"])
    assert shown["schemas"] == [GROUP]
    assert shown.get("members", []) == []


@pytest.mark.parametrize("case", [str, str.upper, str.lower])
def test_g2_a_group_name_is_given_once(entra: Speaker, case: Any) -> None:
    """G2, GR-09: 409 uniqueness, also in another letter case; nothing is added or changed."""
    first, count = entra.group(fresh("Engineering")), entra.total("/Groups")
    refused(entra.send("POST", "/Groups", group_body(case(first["displayName"]))), 409, "uniqueness")
    assert entra.total("/Groups") == count
    assert entra.show(first) == first


def test_g3_members_from_the_start(entra: Speaker, people: list[str]) -> None:
    """G3: 201, members returned."""
    created = entra.group(None, *people[:2])
    assert {member["value"] for member in created["members"]} == set(people[:2])
    assert entra.member_ids(created) == set(people[:2])


@pytest.mark.parametrize("form", ["path", "pathless-name", "pathless-external-id"])
def test_g4_attributes_of_a_group(entra: Speaker, people: list[str], form: str) -> None:
    """G4: applied; the members stay."""
    group = entra.group(None, people[0], externalId="before")
    name = fresh("Sales Europe")
    operation, attribute, value = {
        "path": (op("Replace", "displayName", name), "displayName", name),
        "pathless-name": ({"op": "replace", "value": {"displayName": name}}, "displayName", name),
        "pathless-external-id": ({"op": "Replace", "value": {"externalId": name}}, "externalId", name),
    }[form]
    shown = entra.changed(group, operation)
    assert shown[attribute] == value
    assert entra.member_ids(group) == {people[0]}
    assert entra.found("/Groups", eq(attribute, value)) == [shown]


def test_g5_g6_a_member_is_added_once(entra: Speaker, people: list[str]) -> None:
    """G5, PT-13: member u. G6: the same again is still one u, and no new version."""
    group = entra.group()
    add = op("Add", "members", [{"$ref": None, "value": people[0]}])
    first = entra.changed(group, add)
    assert entra.member_ids(group) == {people[0]}
    assert version_of(first) == version_of(group) + 1
    assert entra.changed(group, add) == first


@pytest.mark.parametrize("count", [1, 2])
def test_g7_g8_remove_with_a_value_removes_only_those(entra: Speaker, people: list[str], count: int) -> None:
    """G7: u goes, v stays. G8: u and v go, w stays. The literal reading would empty the group."""
    group = entra.group(None, *people[: count + 1])
    entra.changed(group, op("Remove", "members", [{"$ref": None, "value": one} for one in people[:count]]))
    assert entra.member_ids(group) == {people[count]}


def test_g9_remove_by_filter(entra: Speaker, people: list[str]) -> None:
    """G9: empty."""
    group = entra.group(None, people[0])
    shown = entra.changed(group, op("remove", f'members[value eq "{people[0]}"]'))
    assert shown.get("members", []) == []


STRANGERS = {"a user who is no member": None, "nobody we know": str(uuid.uuid4()), "no id at all": "x y"}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_g10_removing_who_is_no_member(entra: Speaker, people: list[str], stranger: str) -> None:
    """G10, PT-14: success in both forms, u stays, nothing changed."""
    group = entra.group(None, people[0])
    x = STRANGERS[stranger] or people[3]
    for operation in (op("Remove", "members", [{"value": x}]), op("remove", f'members[value eq "{x}"]')):
        assert entra.changed(group, operation) == group
    assert entra.member_ids(group) == {people[0]}


def test_g11_remove_without_value_removes_all(entra: Speaker, people: list[str]) -> None:
    """G11: empty."""
    group = entra.group(None, *people[:2])
    assert entra.changed(group, op("remove", "members")).get("members", []) == []


def test_g12_replace_sets_the_list(entra: Speaker, people: list[str]) -> None:
    """G12: exactly v; an empty list empties the group."""
    group = entra.group(None, people[0])
    entra.changed(group, op("replace", "members", [{"value": people[1]}]))
    assert entra.member_ids(group) == {people[1]}
    entra.changed(group, op("replace", "members", []))
    assert entra.member_ids(group) == set()


@pytest.mark.parametrize("form", ["one operation", "three operations"])
def test_g13_three_at_once(entra: Speaker, people: list[str], form: str) -> None:
    """G13: three members either way."""
    group, three = entra.group(), people[:3]
    if form == "one operation":
        operations = [op("Add", "members", [{"value": one} for one in three])]
    else:
        operations = [op("Add", "members", [{"value": one}]) for one in three]
    entra.changed(group, *operations)
    assert entra.member_ids(group) == set(three)


def test_g14_added_and_removed_in_one_request(entra: Speaker, people: list[str]) -> None:
    """G14: empty; the net effect is nil, so nothing changed."""
    group = entra.group()
    operations = op("add", "members", [{"value": people[0]}]), op("Remove", "members", [{"value": people[0]}])
    assert entra.changed(group, *operations) == group


@pytest.mark.parametrize("form", ["bare string", "list of strings", "single object"])
def test_g15_short_forms_of_a_member(entra: Speaker, people: list[str], form: str) -> None:
    """G15: member added, member removed."""
    group, u = entra.group(), people[0]
    value = {"bare string": u, "list of strings": [u], "single object": {"value": u}}[form]
    entra.changed(group, op("add", "members", value))
    assert entra.member_ids(group) == {u}
    entra.changed(group, op("Remove", "members", value))
    assert entra.member_ids(group) == set()


def test_g16_extra_keys_are_ignored(entra: Speaker, people: list[str]) -> None:
    """G16: `name` in the operation, `id` in the body."""
    group = entra.group()
    add = op("add", "members", [{"displayName": "U", "value": people[0]}]) | {"name": "addMember"}
    response = entra.send("PATCH", url_of(group), patch_body(add) | {"id": str(uuid.uuid4())})
    assert response.status_code in (200, 204)
    assert entra.member_ids(group) == {people[0]}


def test_g17_a_group_in_a_group(entra: Speaker, people: list[str]) -> None:
    """G17, GR-03, GR-04: a member with the inner group's id."""
    inner, outer = entra.group(None, people[0]), entra.group()
    shown = entra.changed(outer, op("Add", "members", [{"value": inner["id"]}]))
    assert [member["value"] for member in shown["members"]] == [inner["id"]]


def test_g18_the_end_of_a_group(entra: Speaker, people: list[str]) -> None:
    """G18, DE-01, DE-02: 204, then 404 for everything; the members stay; the name is free."""
    group = entra.group(None, people[0])
    entra.delete(group)
    add = patch_body(op("add", "members", [{"value": people[1]}]))
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", add), ("PUT", group_body())):
        refused(entra.send(method, url_of(group), body), 404, None)
    assert entra.found("/Groups", eq("displayName", group["displayName"])) == []
    assert entra.read(f"/Users/{people[0]}")["id"] == people[0]
    assert entra.group(group["displayName"])["id"] != group["id"]


@pytest.fixture(scope="module")
def crowd(service: Any) -> tuple[Speaker, Json]:
    """A tenant with a group of 10,000 members."""
    speaker = Speaker(service)
    posts = [("POST", "/Users", user_body(f"user{number}@contoso.example")) for number in range(10_000)]
    ids = [body["id"] for status, body in flood(speaker, posts) if status == 201]
    assert len(ids) == 10_000
    created = speaker.send("POST", "/Groups?excludedAttributes=members", group_body("Everybody", *ids))
    assert created.status_code == 201
    assert "members" not in created.json()
    return speaker, created.json()


def test_g19_a_group_of_ten_thousand(crowd: tuple[Speaker, Json]) -> None:
    """G19, DEC-20, PA-07, PJ-10: read without members and given one more, quickly, with no member list in an answer."""
    speaker, group = crowd
    someone = speaker.user()["id"]
    started = time.perf_counter()
    shown = speaker.read(f"{url_of(group)}?excludedAttributes=members")
    response = speaker.patch(group, op("Add", "members", [{"$ref": None, "value": someone}]))
    elapsed_s = time.perf_counter() - started
    assert "members" not in shown
    assert response.status_code == 204
    assert version_of(response) == version_of(group) + 1
    assert response.headers["location"] == group["meta"]["location"]
    assert elapsed_s < 1.0, elapsed_s  # A machine that is busy with other things included.
    query = f'?filter=id eq "{group["id"]}" and members eq "{someone}"&excludedAttributes=members'
    assert len(speaker.found("/Groups", query)) == 1
    assert len(speaker.member_ids(group)) == 10_001


def test_g20_put_a_new_name(entra: Speaker, people: list[str]) -> None:
    """G20: 200; a PUT without members clears them, as it replaces the resource."""
    group = entra.group(None, people[0])
    name = fresh("Put")
    kept = entra.put(group, group_body(name, people[0]))
    assert (kept["displayName"], len(kept["members"])) == (name, 1)
    assert entra.put(group, group_body(name)).get("members", []) == []
