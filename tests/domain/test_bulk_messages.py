"""A bulk message read, its bulkIds replaced, its operations put in order: no server, no clock."""

from typing import Any

import pytest

from domain.bulk import BULK_REQUEST, Operation, References, read_bulk
from domain.dependencies import Task, created_first, creators, in_order, tasks, with_dependants
from domain.errors import InvalidSyntax, PayloadTooLarge, ScimError
from domain.schemas import CORE_GROUP, ENTERPRISE_USER, STANDARD

IDS = {"ana": "id-of-ana", "ben": "id-of-ben", "team": "id-of-team"}
ENDPOINTS = STANDARD.by_endpoint


def read(*operations: Any, **more: Any) -> list[Operation]:
    return read_bulk({"schemas": [BULK_REQUEST], "Operations": list(operations)} | more, ENDPOINTS, 5).operations


def post(bulk_id: str, path: str = "/Users", **data: Any) -> dict[str, Any]:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def resolved(method: str, path: str, data: dict[str, Any]) -> tuple[dict[str, Any], References]:
    """The data of one operation with ids in the place of bulkIds."""
    (operation,) = read({"method": method, "path": path, "bulkId": "x", "data": data})
    assert operation.refusal is None
    references = References(IDS)
    return references.data(operation), references


REFERENCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "members": ("/Groups", {"members": [{"value": "bulkId:ana"}]}, {"members": [{"value": "id-of-ana"}]}),
    "bare members": ("/Groups", {"MEMBERS": ["bulkId:ana", "b"]}, {"MEMBERS": ["id-of-ana", "b"]}),
    "one member": ("/Groups", {"members": {"Value": "bulkId:ana"}}, {"members": {"Value": "id-of-ana"}}),
    "$ref": (
        "/Groups",
        {"members": [{"$ref": "https://x.example/v2/Users/bulkId:ben"}]},
        {"members": [{"$ref": "https://x.example/v2/Users/id-of-ben"}]},
    ),
    "manager": (
        "/Users",
        {ENTERPRISE_USER: {"manager": {"value": "bulkId:ana", "displayName": "bulkId:ana"}}},
        {ENTERPRISE_USER: {"manager": {"value": "id-of-ana", "displayName": "bulkId:ana"}}},
    ),
    "below the core schema's URI": (
        "/Groups",
        {CORE_GROUP: {"members": [{"value": "bulkId:ana"}]}},
        {CORE_GROUP: {"members": [{"value": "id-of-ana"}]}},
    ),
    "bare manager": (
        "/Users",
        {ENTERPRISE_USER: {"manager": "bulkId:ana"}},
        {ENTERPRISE_USER: {"manager": "id-of-ana"}},
    ),
    "no reference": (
        "/Users",
        {"title": "bulkId:ana", "profileUrl": "https://x/bulkId:ana", "emails": [{"value": "bulkId:ana"}], "x": 1},
        {"title": "bulkId:ana", "profileUrl": "https://x/bulkId:ana", "emails": [{"value": "bulkId:ana"}], "x": 1},
    ),
}


@pytest.mark.parametrize(("path", "data", "expected"), REFERENCES.values(), ids=REFERENCES)
def test_references_are_replaced_where_they_can_stand(path: str, data: dict[str, Any], expected: Any) -> None:
    """BU-11: in members, managers and $ref, however they are spelled; nowhere else."""
    found, references = resolved("POST", path, data)
    assert found == expected
    assert not references.unknown


STEPS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "value": ("/Groups", {"path": "members", "value": [{"value": "bulkId:ana"}]}, {"value": [{"value": "id-of-ana"}]}),
    "filter": ("/Groups", {"path": 'members[value eq "bulkId:ana"]'}, {"path": 'members[value eq "id-of-ana"]'}),
    "without path": (
        "/Groups",
        {"value": {"members": [{"value": "bulkId:ana"}]}},
        {"value": {"members": [{"value": "id-of-ana"}]}},
    ),
    "dotted": (
        "/Users",
        {"value": {f"{ENTERPRISE_USER}:manager.value": "bulkId:ana"}},
        {"value": {f"{ENTERPRISE_USER}:manager.value": "id-of-ana"}},
    ),
    "key with a filter": (
        "/Groups",
        {"value": {'members[value eq "bulkId:ana"]': {"value": "bulkId:ben"}}},
        {"value": {'members[value eq "id-of-ana"]': {"value": "id-of-ben"}}},
    ),
    "extension": (
        "/Users",
        {"path": ENTERPRISE_USER, "value": {"manager": {"value": "bulkId:ana"}}},
        {"value": {"manager": {"value": "id-of-ana"}}},
    ),
    "filtered sub-attribute": (
        "/Users",
        {"path": 'emails[value eq "bulkId:ana"].display', "value": "bulkId:ana"},
        {"path": 'emails[value eq "bulkId:ana"].display', "value": "bulkId:ana"},
    ),
    "unreadable": ("/Users", {"path": "a[[", "value": "bulkId:ana"}, {"path": "a[[", "value": "bulkId:ana"}),
}


@pytest.mark.parametrize(("path", "step", "expected"), STEPS.values(), ids=STEPS)
def test_references_are_replaced_in_patches(path: str, step: dict[str, Any], expected: Any) -> None:
    """BU-11: in values, in values without path, in the literals of filters on references."""
    found, _ = resolved("PATCH", f"{path}/1", {"Operations": [{"op": "add"} | step, "no object"]})
    assert found["Operations"][0] == {"op": "add"} | step | expected


def test_what_is_referred_to_and_not_there_is_noticed() -> None:
    """BU-14."""
    references = resolved("POST", "/Groups", {"members": [{"value": "bulkId:ana"}, {"value": "bulkId:zoe"}]})[1]
    assert (references.used, references.unknown) == ({"ana"}, True)


def task_list(*operations: Any) -> list[Task]:
    found = read(*operations)
    return tasks(found, {bulk_id: f"id-of-{bulk_id}" for bulk_id in creators(found)})


def test_operations_keep_their_order_unless_their_resource_is_made_later() -> None:
    """BU-12, BU-20: a value may point ahead, a path cannot."""
    found = task_list(
        {"method": "DELETE", "path": "/Users/bulkId:ana"},
        post("team", "/Groups", members=[{"value": "bulkId:ana"}]),
        {"method": "DELETE", "path": "/Groups/bulkId:team"},
        post("ana"),
    )
    assert [task.number for task in in_order(found)] == [2, 3, 4, 1]
    assert [task.refers for task in found] == [{4}, {4}, {2}, set()]
    assert found[0].resource_id == found[3].creates == "id-of-ana"


def test_entries_of_a_creation_stand_before_those_that_refer_to_it() -> None:
    """Through others too, and in circles as far as that goes."""
    assert created_first([1, 2, 3, 4], {1: [3], 3: [4]}) == [4, 3, 1, 2]
    assert created_first([1, 2, 3], {1: [2], 2: [1], 3: [3]}) == [2, 1, 3]
    long = list(range(1, 5_000))
    assert created_first(long, {number: [number + 1] for number in long[:-1]}) == long[::-1]


def test_who_depends_on_what_fails_fails_too() -> None:
    """BU-14: creations that refer to it, and those that refer to them; others are asked when their turn comes."""
    found = task_list(
        post("a", "/Groups", members=["bulkId:b"]),
        post("b", "/Groups", members=["bulkId:c"]),
        post("c"),
        {"method": "PATCH", "path": "/Groups/1", "data": {"Operations": [{"path": "members", "value": "bulkId:a"}]}},
        post("d", "/Groups", members=["bulkId:e"]),
    )
    assert with_dependants({3}, found) == {1, 2, 3}


def test_the_first_of_two_equal_bulk_ids_counts() -> None:
    """BU-15: also when another method had it first."""
    found = read(post("a"), post("a"), {"method": "DELETE", "path": "/Users/1", "bulkId": "b"}, post("b"))
    assert [each.refusal is None for each in found] == [True, False, True, False]
    assert creators(found) == {"a": 1, "b": 4}


def test_a_message_that_is_none_is_refused() -> None:
    """BU-01, BU-16, BU-21."""
    for body in ({}, {"Operations": None}, {"Operations": []}, {"Operations": [1]}, {"Operations": {}}):
        with pytest.raises(InvalidSyntax):
            read_bulk(body, ENDPOINTS, 5)
    with pytest.raises(PayloadTooLarge, match="5 operations"):
        read(*[post("a")] * 6)
    for stop in (0, -1, True, "1", 1.5):
        with pytest.raises(InvalidSyntax):
            read(post("a"), failOnErrors=stop)
    assert read_bulk({"operations": [post("a")], "FAILONERRORS": 2}, ENDPOINTS, 5).fail_on_errors == 2


@pytest.mark.parametrize("path", ["/Users", "Users", "/v2/Users", "/Users/", "/V2/Users/?attributes=id"])
def test_paths_are_below_the_base_with_or_without_its_version(path: str) -> None:
    """BU-02, BU-19, EP-18."""
    (operation,) = read(post("a", path))
    assert operation.refusal is None and operation.resource_type is STANDARD.user


@pytest.mark.parametrize("path", [None, 1, "", "/", "?x", "/Bulk", "/Me", "/.search", "/Users/.search", "/Schemas/x"])
def test_other_paths_are_refused(path: Any) -> None:
    """BU-03, BU-18."""
    (operation,) = read({"method": "DELETE", "path": path})
    assert isinstance(operation.refusal, ScimError) and operation.refusal.scim_type == "invalidSyntax"
