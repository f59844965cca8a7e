"""Bulk requests: rows BU-01 to BU-21 of the requirement catalogue, and what the ledger tells of them."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bulking import bulk, bulk_body, delete, differences, id_of, patch, post, put, results_of, statuses
from flood import flood
from issuing import setting, token_with
from speaking import (
    ENTERPRISE,
    GROUP,
    Json,
    Speaker,
    eventually,
    fresh,
    group_body,
    op,
    patch_body,
    refused,
    user_body,
    version_of,
)


@pytest.fixture(scope="module")
def okta(service: Any) -> Speaker:
    """A tenant that a client with bulk provisions; the tests share it and use names of their own."""
    return Speaker(service)


@pytest.fixture(scope="module", autouse=True)
def replayed(okta: Speaker) -> Any:
    """After everything: the rows are what the entries add up to."""
    yield
    assert differences(okta) == []


def member(bulk_id: str) -> Json:
    return {"value": f"bulkId:{bulk_id}"}


def test_operations_are_executed_and_answered_in_order(okta: Speaker) -> None:
    """EP-05, BU-01, BU-02, BU-05, BU-06, BU-08: each as the request on its own would have been."""
    user, gone = okta.user(title="Guide"), okta.user()
    group = okta.group(None, gone["id"])
    results = bulk(
        okta,
        post("/Users", "new", user_body("bulk.one@contoso.example")),
        put(f"/Users/{user['id']}", user_body(user["userName"], title="Chief"), bulkId="put"),
        patch(f"/Groups/{group['id']}", op("add", "members", [{"value": user["id"]}])),
        delete(f"/Users/{gone['id']}"),
    )
    assert statuses(results) == ["201", "200", "200", "204"]
    assert [result["method"] for result in results] == ["POST", "PUT", "PATCH", "DELETE"]
    assert [result.get("bulkId") for result in results] == ["new", "put", None, None]
    created = okta.read(f"/Users/{id_of(results[0])}")
    assert (created["userName"], created["meta"]["location"]) == ("bulk.one@contoso.example", results[0]["location"])
    assert results[0]["version"] == created["meta"]["version"] == 'W/"1"'
    assert okta.show(user)["title"] == "Chief"
    assert results[1]["version"] == okta.show(user)["meta"]["version"]
    assert okta.member_ids(group) == {user["id"]}
    assert results[3]["location"] == gone["meta"]["location"]
    refused(okta.get(f"/Users/{gone['id']}"), 404)


def test_references_to_what_comes_earlier_later_or_never(okta: Speaker) -> None:
    """BU-11, BU-12, BU-14: a group before its user; an unknown bulkId fails its operation alone."""
    results = bulk(
        okta,
        post("/Groups", "team", group_body(None, members=[member("ana"), member("ben")])),
        post("/Users", "ana", user_body()),
        post("/Users", "ben", user_body()),
        post("/Users", "boss", user_body(enterprise={"manager": member("ana")})),
        post("/Groups", "lost", group_body(None, members=[member("nobody")])),
        patch("/Users/bulkId:nobody", op("replace", "title", "x")),
    )
    assert statuses(results) == ["201", "201", "201", "201", "400", "400"]
    assert results[4]["response"]["scimType"] == "invalidValue"
    team, ana, ben, boss = (id_of(result) for result in results[:4])
    assert okta.member_ids(okta.read(f"/Groups/{team}")) == {ana, ben}
    assert okta.read(f"/Users/{boss}")[ENTERPRISE]["manager"]["value"] == ana


def test_circles_of_new_resources_are_linked(okta: Speaker) -> None:
    """BU-13: two groups in each other, one in itself, and three managers of each other."""
    results = bulk(
        okta,
        post("/Groups", "a", group_body(None, members=[member("b")])),
        post("/Groups", "b", group_body(None, members=[member("a")])),
        post("/Groups", "self", group_body(None, members=[member("self")])),
        post("/Users", "x", user_body(enterprise={"manager": member("z")})),
        post("/Users", "y", user_body(enterprise={"manager": member("x")})),
        post("/Users", "z", user_body(enterprise={"manager": member("y")})),
    )
    assert statuses(results) == ["201"] * 6
    a, b, self, *users = (id_of(result) for result in results)
    assert okta.member_ids(okta.read(f"/Groups/{a}")) == {b}
    assert okta.member_ids(okta.read(f"/Groups/{b}")) == {a}
    assert okta.member_ids(okta.read(f"/Groups/{self}")) == {self}
    managers = [okta.read(f"/Users/{user}")[ENTERPRISE]["manager"]["value"] for user in users]
    assert managers == [users[2], users[0], users[1]]


def test_a_reference_to_an_operation_that_failed_fails(okta: Speaker) -> None:
    """BU-14: before, behind, and through others; what fails leaves nothing."""
    taken = okta.user()
    results = bulk(
        okta,
        post("/Groups", "before", group_body(None, members=[member("clash")])),
        post("/Groups", "further", group_body(None, members=[member("before")])),
        post("/Users", "fine", user_body()),
        post("/Users", "clash", user_body(taken["userName"])),
        post("/Groups", "behind", group_body(None, members=[member("clash"), member("fine")])),
        patch("/Users/bulkId:clash", op("replace", "title", "x")),
        patch("/Groups/bulkId:before", op("replace", "externalId", "x")),
    )
    assert statuses(results) == ["409", "409", "201", "409", "409", "409", "409"]
    assert results[3]["response"]["scimType"] == "uniqueness"
    assert "scimType" not in results[0]["response"]
    assert "operation 4" in results[0]["response"]["detail"]


def test_circles_fail_together(okta: Speaker) -> None:
    """BU-13, BU-14: one of them cannot be, so none is; what does not touch them stays."""
    taken = okta.user()
    results = bulk(
        okta,
        post("/Groups", "a", group_body(None, members=[member("b")])),
        post("/Groups", "b", group_body(None, members=[member("a"), member("u")])),
        post("/Users", "u", user_body(taken["userName"])),
        post("/Users", "v", user_body()),
    )
    assert statuses(results) == ["409", "409", "409", "201"]


def test_a_name_that_an_earlier_operation_frees_is_free(okta: Speaker) -> None:
    """BU-20: what refers to a later creation does not move it before what makes room for it."""
    old, first, second = okta.user(), okta.user(), okta.user()
    group = okta.group()
    results = bulk(
        okta,
        patch(f"/Groups/{group['id']}", op("add", "members", [member("heir")])),
        delete(f"/Users/{old['id']}"),
        post("/Users", "heir", user_body(old["userName"])),
        # And two who change names, which no order of single writes could do.
        patch(f"/Users/{first['id']}", op("replace", "userName", fresh("between"))),
        patch(f"/Users/{second['id']}", op("replace", "userName", first["userName"])),
        patch(f"/Users/{first['id']}", op("replace", "userName", second["userName"])),
    )
    assert statuses(results) == ["200", "204", "201", "200", "200", "200"]
    assert okta.member_ids(group) == {id_of(results[2])}
    assert okta.show(first)["userName"] == second["userName"]
    assert okta.show(second)["userName"] == first["userName"]
    assert version_of(okta.show(first)) == 3


def test_groups_swap_their_names_too(okta: Speaker) -> None:
    """The same for what a tenant setting makes unique."""
    first, second = okta.group(), okta.group()
    results = bulk(
        okta,
        patch(f"/Groups/{first['id']}", op("replace", "displayName", fresh("between"))),
        patch(f"/Groups/{second['id']}", op("replace", "displayName", first["displayName"])),
        patch(f"/Groups/{first['id']}", op("replace", "displayName", second["displayName"])),
        post("/Groups", "third", group_body(first["displayName"])),
    )
    assert statuses(results) == ["200", "200", "200", "409"]
    assert okta.show(first)["displayName"] == second["displayName"]


def test_operations_see_what_the_earlier_ones_left(okta: Speaker) -> None:
    """BU-05: created, changed, changed again and deleted, members moved in and out, in one request."""
    user, group = okta.user(), okta.group()
    results = bulk(
        okta,
        post("/Users", "brief", user_body()),
        patch("/Users/bulkId:brief", op("replace", "active", False)),
        patch(f"/Groups/{group['id']}", op("add", "members", [member("brief"), {"value": user["id"]}])),
        patch(f"/Groups/{group['id']}", op("remove", f'members[value eq "{user["id"]}"]')),
        patch(f"/Groups/{group['id']}", op("add", "members", [{"value": user["id"]}])),
        delete("/Users/bulkId:brief"),
        patch("/Users/bulkId:brief", op("replace", "active", True)),
        post("/Groups", "new", group_body(None, members=[{"value": user["id"]}])),
        patch("/Groups/bulkId:new", op("replace", "displayName", fresh("Renamed"))),
        put("/Groups/bulkId:new", group_body(None, externalId="e-1")),
        delete(f"/Groups/{group['id']}"),
    )
    assert statuses(results) == ["201", "200", "200", "200", "200", "204", "404", "201", "200", "200", "204"]
    new = okta.read(f"/Groups/{id_of(results[7])}")
    assert new["externalId"] == "e-1" and "members" not in new
    assert new["meta"]["version"] == results[9]["version"]
    brief = okta.history(id_of(results[0]))
    events = [entry["event"] for entry in brief]
    assert events == [
        "UserCreated",
        "Deactivated",
        "MembershipAdded",
        "UserDeleted",
        "MembershipRemoved",
        "RequestRefused",
    ]
    assert okta.show(user).get("groups", []) == []


def test_references_mean_the_user_whom_a_post_brings_back(service: Any) -> None:
    """BU-11 where the tenant lets inactive users come back: the same id as before, for members before and behind."""
    forgiving = Speaker(service)
    setting(forgiving, "repost_inactive", "reactivate")
    gone = forgiving.user(externalId="left", active=False, title="Guide")
    results = bulk(
        forgiving,
        post("/Groups", "before", group_body(None, members=[member("back"), member("other")])),
        patch(f"/Users/{gone['id']}", op("replace", "nickName", "x")),
        post("/Users", "back", user_body(externalId="left", active=True)),
        post("/Users", "other", user_body()),
        post("/Groups", "behind", group_body(None, members=[member("back")])),
        patch("/Users/bulkId:back", op("replace", "title", "Chief")),
    )
    assert statuses(results) == ["201", "200", "201", "201", "201", "200"]
    assert id_of(results[2]) == gone["id"]
    assert forgiving.member_ids(forgiving.read(f"/Groups/{id_of(results[0])}")) == {gone["id"], id_of(results[3])}
    assert forgiving.member_ids(forgiving.read(f"/Groups/{id_of(results[4])}")) == {gone["id"]}
    shown = forgiving.show(gone)
    assert (shown["active"], shown["title"], shown["meta"]["version"]) == (True, "Chief", results[5]["version"])
    assert forgiving.total("/Users") == 2
    assert differences(forgiving) == []


def test_somebody_inactive_is_in_the_way_within_a_request_too(okta: Speaker) -> None:
    """The default: 409 with the id, until the same request deletes or renames who left."""
    gone = okta.user(externalId=fresh("left"), active=False)
    back = user_body(externalId=gone["externalId"])
    results = bulk(
        okta,
        post("/Users", "a", back),
        patch(f"/Users/{gone['id']}", op("remove", "externalId")),
        post("/Users", "b", back | {"active": False}),
        post("/Users", "c", back | {"userName": fresh("c")}),
        delete("/Users/bulkId:b"),
        post("/Users", "d", back),
    )
    assert statuses(results) == ["409", "200", "201", "409", "204", "201"]
    assert gone["id"] in results[0]["response"]["detail"]


DEVICE = "urn:contoso:scim:schemas:core:Device:1.0"
DEVICES: list[Json] = [
    {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": DEVICE,
        "name": "Device",
        "attributes": [
            {"name": "serial", "required": True, "uniqueness": "server"},
            {"name": "owner", "type": "reference", "referenceTypes": ["User"]},
        ],
    },
    {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": "Device",
        "endpoint": "/Devices",
        "schema": DEVICE,
    },
]


def device(serial: str, **attributes: Any) -> Json:
    return {"schemas": [DEVICE], "serial": serial} | attributes


def test_a_tenants_own_types_take_part(service: Any) -> None:
    """BU-11 in extension references; unique values pass from one to the other within a request."""
    speaker = Speaker(service)
    headers = {"Authorization": f"Bearer {token_with(speaker, 'admin')}"}
    declared = speaker.audit.post("/schemas", json=DEVICES, headers=headers)
    assert declared.status_code == 200, declared.text
    assert eventually(lambda: speaker.get("/Devices").status_code == 200)
    results = bulk(
        speaker,
        post("/Devices", "phone", device("1", owner="bulkId:ana")),
        post("/Users", "ana", user_body()),
        post("/Devices", "second", device("1")),
        patch("/Devices/bulkId:phone", op("replace", "serial", "2")),
        post("/Devices", "third", device("1")),
        post("/Groups", "things", group_body(None, members=[member("phone")])),
        delete("/Devices/bulkId:third"),
        put("/Devices/bulkId:phone", device("1")),
        post("/Devices", "fourth", device("2", owner="bulkId:phone")),
    )
    assert statuses(results) == ["201", "201", "409", "200", "201", "400", "204", "200", "201"]
    shown = speaker.read(f"/Devices/{id_of(results[0])}")
    assert (shown["serial"], shown["meta"]["version"]) == ("1", results[7]["version"])
    assert speaker.read(f"/Devices/{id_of(results[8])}")["owner"] == shown["id"]
    refused(speaker.send("POST", "/Devices", device("1")), 409, "uniqueness")
    results = bulk(
        speaker, delete(f"/Devices/{shown['id']}"), post("/Devices", "heir", device("1", owner="bulkId:heir"))
    )
    assert statuses(results) == ["204", "201"]
    assert differences(speaker) == []


def test_versions_are_preconditions(okta: Speaker) -> None:
    """BU-02, ET-07: `version` plays If-Match, also against what an earlier operation made."""
    user, group = okta.user(), okta.group()
    results = bulk(
        okta,
        patch(f"/Users/{user['id']}", op("replace", "title", "a"), version='W/"1"'),
        patch(f"/Users/{user['id']}", op("replace", "title", "b"), version='W/"1"'),
        patch(f"/Users/{user['id']}", op("replace", "title", "c"), version='W/"2"'),
        patch(f"/Groups/{group['id']}", op("add", "members", [{"value": user["id"]}]), version='W/"1"'),
        delete(f"/Groups/{group['id']}", version='W/"1"'),
        delete(f"/Groups/{group['id']}", version='W/"2"'),
    )
    assert statuses(results) == ["200", "412", "200", "200", "412", "204"]
    assert okta.show(user)["title"] == "c"
    assert results[2]["version"] == 'W/"3"'


def test_it_stops_after_so_many_errors(okta: Speaker) -> None:
    """BU-09: the rest is neither executed nor reported; what was executed stays."""
    names = [fresh("stop") for _ in range(4)]
    operations = [
        post("/Users", "1", user_body(names[0])),
        delete("/Users/none"),
        post("/Users", "2", user_body(names[1])),
        delete("/Users/none"),
        post("/Users", "3", user_body(names[2])),
    ]
    assert statuses(bulk(okta, *operations, failOnErrors=2)) == ["201", "404", "201", "404"]
    assert [okta.found("/Users", f'?filter=userName eq "{name}"') != [] for name in names[:3]] == [True, True, False]
    results = bulk(
        okta,
        post("/Groups", "g", group_body(None, members=[member("late")])),
        delete("/Users/none"),
        post("/Users", "late", user_body(names[3])),
        failOnErrors=1,
    )
    assert statuses(results) == ["409"]  # What it refers to would not be executed any more.


def test_without_a_limit_it_goes_on(okta: Speaker) -> None:
    """BU-09, BU-10: every operation for itself."""
    results = bulk(okta, *[delete(f"/Users/{number}") for number in range(20)], post("/Users", "q", user_body()))
    assert statuses(results) == ["404"] * 20 + ["201"]


def test_patch_data_is_a_whole_message(okta: Speaker) -> None:
    """BU-04, BU-11: references inside of PATCH values, paths and filters."""
    group = okta.group()
    results = bulk(
        okta,
        post("/Users", "a", user_body()),
        post("/Users", "b", user_body()),
        {"method": "PATCH", "path": f"/Groups/{group['id']}", "data": [op("add", "members", [])]},
        {"method": "PATCH", "path": f"/Groups/{group['id']}", "data": op("add", "members", [member("a")])},
        patch(f"/Groups/{group['id']}", {"op": "add", "value": {"members": [member("a"), member("b")]}}),
        patch(f"/Groups/{group['id']}", op("remove", 'members[value eq "bulkId:a"]')),
        patch("/Users/bulkId:a", op("replace", f"{ENTERPRISE}:manager", "bulkId:b")),
        patch("/Users/bulkId:b", op("replace", None, {f"{ENTERPRISE}:manager.value": "bulkId:a"})),
    )
    assert statuses(results) == ["201", "201", "400", "400", "200", "200", "200", "200"]
    a, b = id_of(results[0]), id_of(results[1])
    assert okta.member_ids(group) == {b}
    assert okta.read(f"/Users/{a}")[ENTERPRISE]["manager"]["value"] == b
    assert okta.read(f"/Users/{b}")[ENTERPRISE]["manager"]["value"] == a


def test_what_only_looks_like_a_reference_is_kept(okta: Speaker) -> None:
    """A title is a title."""
    (result,) = bulk(okta, post("/Users", "q", user_body(title="bulkId:q", nickName="bulkId:none")))
    shown = okta.read(f"/Users/{id_of(result)}")
    assert (shown["title"], shown["nickName"]) == ("bulkId:q", "bulkId:none")


def test_a_version_prefix_and_slashes_are_taken_off(okta: Speaker) -> None:
    """BU-19, EP-18."""
    results = bulk(okta, post("/v2/Users", "p", user_body()), delete("Users/bulkId:p/"), delete("/v1/Users/x"))
    assert statuses(results) == ["201", "204", "400"]
    assert results[2]["response"]["scimType"] == "invalidVers"


USER_DATA = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "never"}
WRONG = {
    "method": ({"method": "GET", "path": "/Users/x"}, "400", "invalidSyntax"),
    "no method": ({"path": "/Users/x"}, "400", "invalidSyntax"),
    "method number": ({"method": 7, "path": "/Users/x"}, "400", "invalidSyntax"),
    "no path": ({"method": "DELETE"}, "400", "invalidSyntax"),
    "path object": ({"method": "DELETE", "path": {}}, "400", "invalidSyntax"),
    "empty path": ({"method": "DELETE", "path": "//"}, "400", "invalidSyntax"),
    "no bulkId": ({"method": "POST", "path": "/Users", "data": USER_DATA}, "400", "invalidSyntax"),
    "bulkId number": (post("/Users", 7, USER_DATA), "400", "invalidSyntax"),  # type: ignore[arg-type]
    "bulkId empty": (post("/Users", "", USER_DATA), "400", "invalidSyntax"),
    "no data": ({"method": "POST", "path": "/Users", "bulkId": "d"}, "400", "invalidSyntax"),
    "data text": (post("/Users", "t", "text"), "400", "invalidSyntax"),
    "version number": (delete("/Users/x", version=1), "400", "invalidSyntax"),
    "POST to a resource": (post("/Users/x", "r", USER_DATA), "400", "invalidSyntax"),
    "PUT to a collection": (put("/Users", USER_DATA), "400", "invalidSyntax"),
    "nested": (post("/Bulk", "n", {}), "400", "invalidSyntax"),
    "search": (post("/Users/.search", "s", {}), "400", "invalidSyntax"),
    "search everything": (post("/.search", "s", {}), "400", "invalidSyntax"),
    "discovery": (delete("/Schemas/x"), "400", "invalidSyntax"),
    "me": (patch("/Me"), "400", "invalidSyntax"),
    "unknown endpoint": (delete("/Things/x"), "404", None),
    "too deep a path": (delete("/Users/x/y"), "404", None),
    "unknown id": (delete("/Users/00000000-0000-4000-8000-000000000000"), "404", None),
    "id of another type": (put("/Groups/x", {}), "404", None),
    "percent": (delete("/Users/%ff%fe"), "404", None),
    "body": (post("/Users", "b", {"schemas": [GROUP], "userName": "x"}), "400", "invalidSyntax"),
    "nothing in it": (post("/Users", "e", {}), "400", "invalidValue"),
    "query": (post("/Users?attributes=a&excludedAttributes=b", "q", USER_DATA), "400", None),
    "query not UTF-8": (delete("/Users/x?\udcff".encode("utf-8", "replace").decode()), "404", None),
}


@pytest.mark.parametrize(("operation", "status", "scim_type"), WRONG.values(), ids=WRONG)
def test_a_wrong_operation_fails_alone(okta: Speaker, operation: Json, status: str, scim_type: str | None) -> None:
    """BU-02, BU-03, BU-07, BU-18: refused with a SCIM error, its neighbours are executed, the ledger tells of it."""
    results = bulk(okta, post("/Users", "one", user_body()), operation, delete("/Users/bulkId:one"))
    assert statuses(results) == ["201", status, "204"]
    if scim_type:
        assert results[1]["response"].get("scimType") == scim_type
    assert okta.found("/Users", '?filter=userName eq "never"') == []


def test_the_same_bulk_id_twice(okta: Speaker) -> None:
    """BU-15: the second one fails, references mean the first."""
    results = bulk(
        okta,
        post("/Users", "q", user_body()),
        post("/Users", "q", user_body()),
        post("/Groups", "g", group_body(None, members=[member("q")])),
    )
    assert statuses(results) == ["201", "400", "201"]
    assert results[1]["response"]["scimType"] == "invalidValue"
    assert okta.member_ids(okta.read(f"/Groups/{id_of(results[2])}")) == {id_of(results[0])}


REFUSED = {
    "empty": (bulk_body(), 400, "invalidSyntax"),
    "no operations": ({"schemas": bulk_body()["schemas"]}, 400, "invalidSyntax"),
    "operations object": (bulk_body() | {"Operations": {}}, 400, "invalidSyntax"),
    "operation text": (bulk_body("DELETE"), 400, "invalidSyntax"),  # type: ignore[arg-type]
    "other message": (bulk_body(delete("/Users/x")) | {"schemas": [GROUP]}, 400, "invalidSyntax"),
    "schemas text": (bulk_body(delete("/Users/x")) | {"schemas": "x"}, 400, "invalidSyntax"),
    "failOnErrors 0": (bulk_body(delete("/Users/x"), failOnErrors=0), 400, "invalidSyntax"),
    "failOnErrors text": (bulk_body(delete("/Users/x"), failOnErrors="1"), 400, "invalidSyntax"),
    "failOnErrors true": (bulk_body(delete("/Users/x"), failOnErrors=True), 400, "invalidSyntax"),
    "too many": (bulk_body(*[delete("/Users/x")] * 1_001), 413, None),
    "broken": (b'{"Operations": [', 400, "invalidSyntax"),
    "array": (b"[]", 400, "invalidSyntax"),
    "nul": (b'{"Operations": [{"method": "DELETE", "path": "/Users/\\u0000"}]}', 400, "invalidValue"),
    "deep": (b'{"Operations": [{"method": "POST", "data":' + b'{"a":' * 80 + b"1" + b"}" * 80 + b"}]}", 400, None),
}


@pytest.mark.parametrize(("body", "status", "scim_type"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_bulk_request_is_refused_as_a_whole(
    okta: Speaker, body: Any, status: int, scim_type: str | None
) -> None:
    """BU-01, BU-16, BU-21: nothing is executed, and the ledger has the refusal."""
    error = refused(okta.send("POST", "/Bulk", body), status, *([scim_type] if scim_type else []))
    if status == 413:
        assert "1000" in error["detail"]

    def recorded() -> bool:
        return any(record["detail"] == error["detail"] for record in okta.log(status="failure")["records"])

    assert eventually(recorded)


def test_the_limits_are_told_and_kept(okta: Speaker) -> None:
    """BU-16, BU-17, DI rows: maxOperations, maxPayloadSize; a single operation keeps the limit of a request."""
    offered = okta.read("/ServiceProviderConfig")["bulk"]
    assert offered["supported"] is True and offered["maxOperations"] == 1_000
    long = user_body(title="x" * (1 << 20))
    results = bulk(okta, post("/Users", "long", long), post("/Users", "short", user_body()))
    assert statuses(results) == ["413", "201"]
    whole = json.dumps(bulk_body(post("/Users", "q", user_body()))).encode()
    padded = whole[:-1] + b" " * (offered["maxPayloadSize"] - len(whole)) + whole[-1:]
    assert statuses(results_of(okta.send("POST", "/Bulk", padded), okta)) == ["201"]
    error = refused(okta.send("POST", "/Bulk", padded + b" "), 413)
    assert str(offered["maxPayloadSize"]) in error["detail"]
    undeclared = (part for part in (padded, b" "))
    refused(okta.scim.post("/Bulk", content=undeclared), 413)
    refused(okta.send("GET", "/Bulk"), 405)


def test_every_operation_is_a_record_of_the_trail(okta: Speaker) -> None:
    """One record an operation, all traceable to the one request; why and history name the right one."""
    agent = fresh("agent")
    user = okta.user()
    response = okta.send(
        "POST",
        "/Bulk",
        bulk_body(
            post("/Groups", "g", group_body(None, members=[member("u")])),
            post("/Users", "u", user_body(password="Tr0ub4dor&3-bulk")),
            patch("/Users/bulkId:u", op("replace", "active", False)),
            patch(f"/Users/{user['id']}", op("replace", "userName", user["userName"])),
            delete("/Users/none"),
        ),
        headers={"User-Agent": agent},
    )
    results = results_of(response, okta)
    assert statuses(results) == ["201", "201", "200", "200", "404"]
    records = eventually(lambda: [each for each in okta.log()["records"] if each["user_agent"] == agent])
    records = sorted(records, key=lambda each: each["bulk_operation"])
    assert [each["bulk_operation"] for each in records] == [1, 2, 3, 4, 5]
    assert [each["action"] for each in records] == ["create", "create", "disable", "other", "delete"]
    assert [each["status"] for each in records] == ["success"] * 3 + ["skipped", "failure"]
    (bulk_request_id,) = {each["bulk_request_id"] for each in records}
    assert [each["request_id"][:-4] for each in records] == [bulk_request_id[:-4]] * 5
    u = id_of(results[1])
    assert records[2]["path"] == f"{okta.base}/Users/{u}" and records[2]["method"] == "PATCH"
    assert records[1]["first_position"] < records[0]["first_position"]  # Created first, then named.
    assert okta.base + "/Users/none" in records[4]["path"]
    told = okta.asked("/why", subject=u)["explanations"][0]
    by = told["disabled"]["request"]
    assert (by["method"], by["path"], by["status"]) == ("PATCH", f"{okta.base}/Users/{u}", 200)
    assert by["bulk"] == {"request_id": bulk_request_id, "number": 3, "count": 5}
    assert "Tr0ub4dor" not in json.dumps(okta.history(u))


def test_a_thousand_operations(okta: Speaker) -> None:
    """BU-16: as many as are allowed, in one batch; then a group over all of them."""
    results = bulk(okta, *[post("/Users", f"u{n}", user_body()) for n in range(1_000)])
    assert statuses(results) == ["201"] * 1_000
    ids = [id_of(result) for result in results]
    steps = [patch("/Groups/bulkId:g", op("add", "members", [{"value": each}])) for each in ids[:998]]
    results = bulk(okta, post("/Groups", "g", group_body()), *steps)
    assert set(statuses(results)) == {"201", "200", "204"}
    group = okta.read(f"/Groups/{id_of(results[0])}")
    assert okta.member_ids(group) == set(ids[:998])
    assert group["meta"]["version"] == results[-1]["version"] == 'W/"999"'
    gone = bulk(okta, delete(f"/Groups/{group['id']}"), *[delete(f"/Users/{each}") for each in ids[:900]])
    assert statuses(gone) == ["204"] * 901


def test_two_bulks_and_single_requests_at_once(okta: Speaker) -> None:
    """Nothing is lost, nothing twice: each user is made once, every member that was added is in."""
    names, group = [fresh("race") for _ in range(40)], okta.group()
    loners = [okta.user()["id"] for _ in range(40)]
    body = bulk_body(
        *[post("/Users", name, user_body(name)) for name in names],
        *[patch(f"/Groups/{group['id']}", op("add", "members", [member(name)])) for name in names],
    )
    single = [
        ("PATCH", f"/Groups/{group['id']}", patch_body(op("add", "members", [{"value": each}]))) for each in loners
    ]
    answers = flood(okta, [("POST", "/Bulk", body), *single[:20], ("POST", "/Bulk", body), *single[20:]])
    assert {status for status, _ in answers} == {200}
    outcomes = [statuses(answer["Operations"]) for _, answer in answers if answer and "Operations" in answer]
    made = [[status == "201" for status in each[:40]] for each in outcomes]
    assert [sorted(pair) for pair in zip(*made, strict=True)] == [[False, True]] * 40
    assert len(okta.member_ids(group)) == 80
    last = max(
        version_of({"meta": each})
        for _, answer in answers
        for each in (answer or {}).get("Operations", [])
        if "version" in each and "/Groups/" in each["location"]
    )
    assert last <= version_of(okta.show(group)) == 81


@pytest.mark.parametrize("bulk_id", ["a/b", "a?b=c", "a#1", 'say "x"\\', "50%", "é ü", "bulkId:x", "/", "a/bulkId:b"])
def test_a_bulk_id_may_hold_any_character(okta: Speaker, bulk_id: str) -> None:
    """BU-11: in members, managers, paths and filters; base64 has slashes."""
    ana, boss, crew, filled, emptied = results = bulk(
        okta,
        post("/Users", "ana", user_body(enterprise={"manager": member(bulk_id)})),
        post("/Users", bulk_id, user_body()),
        post("/Groups", f"g{bulk_id}", group_body(None, members=[member(bulk_id)])),
        patch(f"/Groups/bulkId:g{bulk_id}", op("add", "members", [member("ana"), member(bulk_id)])),
        patch(f"/Groups/bulkId:g{bulk_id}", op("remove", f"members[value eq {json.dumps(f'bulkId:{bulk_id}')}]")),
    )
    assert [status[0] for status in statuses(results)] == ["2"] * 5
    assert okta.read(f"/Users/{id_of(ana)}")[ENTERPRISE]["manager"]["value"] == id_of(boss)
    assert id_of(crew) == id_of(filled) == id_of(emptied)
    assert okta.member_ids(okta.read(f"/Groups/{id_of(crew)}")) == {id_of(ana)}


def test_a_reference_to_nothing_is_never_kept_as_text(okta: Speaker) -> None:
    """BU-14: whatever stands behind `bulkId:`."""
    for bulk_id in ("nobody", "a/b", "a?b", ""):
        (result,) = bulk(okta, post("/Users", "u", user_body(enterprise={"manager": member(bulk_id)})))
        assert (result["status"], result["response"]["scimType"]) == ("400", "invalidValue")


@pytest.mark.parametrize("failing_first", [True, False])
def test_in_a_circle_that_fails_the_guilty_one_says_why(okta: Speaker, failing_first: bool) -> None:
    """BU-07, BU-08: what the single request would have got; the other one says what it waited for, and why in vain."""
    taken = okta.user()["userName"]
    guilty = post("/Users", "b", user_body(taken, enterprise={"manager": member("a")}))
    others = [
        post("/Users", "a", user_body(enterprise={"manager": member("c")})),
        post("/Users", "c", user_body(enterprise={"manager": member("b")})),
    ]
    results = bulk(okta, *([guilty, *others] if failing_first else [*others, guilty]))
    by_id = {result["bulkId"]: result for result in results}
    assert statuses(results) == ["409"] * 3
    assert by_id["b"]["response"] == refused(okta.send("POST", "/Users", user_body(taken)), 409, "uniqueness")
    assert [("scimType" in by_id[name]["response"]) for name in "ac"] == [False, False]
    assert by_id["b"]["response"]["detail"] in by_id["c"]["response"]["detail"]


def test_one_user_who_never_rests_does_not_keep_a_thousand_waiting(okta: Speaker) -> None:
    """BU-08, BU-10: somebody else changes one of them again and again; the request is decided in the end."""
    ids = [id_of(result) for result in bulk(okta, *[post("/Users", f"u{n}", user_body()) for n in range(400)])]
    over = threading.Event()
    seen: list[int] = []

    def restless() -> None:
        while not over.is_set():
            answer = okta.send("PATCH", f"/Users/{ids[7]}", patch_body(op("replace", "title", str(len(seen)))))
            seen.append(answer.status_code)

    with ThreadPoolExecutor(2) as others:
        changing = [others.submit(restless) for _ in range(2)]
        try:
            for nick in ("a", "b"):
                results = bulk(okta, *[patch(f"/Users/{each}", op("replace", "nickName", nick)) for each in ids])
                assert set(statuses(results)) == {"200"}
        finally:
            over.set()
        for each in changing:
            each.result()
    assert set(seen) == {200}
    assert {okta.read(f"/Users/{each}")["nickName"] for each in (ids[0], ids[7])} == {"b"}


def test_settings_of_the_tenant_hold_within_a_request(service: Any) -> None:
    """BU-08, RX-33, RX-15: endpoints in any letter case, and `managerId`, where single requests may have them."""
    old = Speaker(service)
    setting(old, "endpoints_any_case", "true")
    setting(old, "manager_id_as_value", "true")
    boss, ana, crew = bulk(
        old,
        post("/users", "boss", user_body()),
        post("/v2/USERS", "ana", user_body(enterprise={"manager": {"managerId": "bulkId:boss"}})),
        post("/groups", "crew", group_body(None, members=[member("ana")])),
    )
    assert old.read(f"/Users/{id_of(ana)}")[ENTERPRISE]["manager"]["value"] == id_of(boss)
    assert old.member_ids(old.read(f"/Groups/{id_of(crew)}")) == {id_of(ana)}
    (nested,) = bulk(old, {"method": "POST", "path": "/bulk", "bulkId": "x", "data": {}})
    assert nested["status"] == "400"


def test_the_message_may_be_named_in_any_letter_case(okta: Speaker) -> None:
    """DEC-24."""
    body = bulk_body(post("/Users", "u", user_body()))
    body["schemas"] = [each.upper() for each in body["schemas"]]
    assert statuses(results_of(okta.send("POST", "/Bulk", body), okta)) == ["201"]
    asked = {"schemas": ["URN:ietf:params:scim:api:messages:2.0:SEARCHREQUEST"], "count": 1}
    assert okta.send("POST", "/Users/.search", asked).status_code == 200
