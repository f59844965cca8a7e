"""What a refused request wanted is read from its body, in any client's spelling; what cannot be read names nobody."""

import json

import pytest

from domain.ids import is_id
from domain.schemas import CORE_USER
from projections.wanted import name_ids, names_in, sets_active

NAMED = {
    "a POST": ({"userName": "ada", "externalId": "E1", "title": "x"}, [("userName", "ada"), ("externalId", "E1")]),
    "in any case": ({"USERNAME": "ada"}, [("userName", "ada")]),
    "a group": ({"displayName": "Finance"}, [("displayName", "Finance")]),
    "a PATCH with a path": (
        {"Operations": [{"op": "Replace", "path": "userName", "value": "ada"}]},
        [("userName", "ada")],
    ),
    "a path with its schema": (
        {"Operations": [{"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:userName", "value": "ada"}]},
        [("userName", "ada")],
    ),
    "a PATCH without path": ({"operations": [{"op": "add", "value": {"externalId": "E1"}}]}, [("externalId", "E1")]),
    "below the core schema's URI": (
        {CORE_USER: {"userName": "ada"}},
        [("userName", "ada")],
    ),
    "that URI as a path": (
        {"Operations": [{"op": "add", "path": CORE_USER, "value": {"externalId": "E1"}}]},
        [("externalId", "E1")],
    ),
    "another attribute": ({"Operations": [{"op": "replace", "path": "title", "value": "userName"}]}, []),
    "no text": ({"userName": ["ada"], "externalId": None}, []),
    "no operations": ({"Operations": ["x", None, {"path": 1, "value": 2}]}, []),
}


@pytest.mark.parametrize(("body", "names"), NAMED.values(), ids=NAMED)
def test_names_are_read_from_a_body(body: object, names: list[tuple[str, str]]) -> None:
    assert names_in(json.dumps(body).encode()) == names


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"userName":', b"[" * 5_000])
def test_what_cannot_be_read_names_nobody(body: bytes) -> None:
    assert names_in(body) == []
    assert name_ids("x/t/1", body) == []
    assert not sets_active(body)


def test_a_name_has_an_id_of_its_own_in_each_tenant() -> None:
    """Equal where the names are, as names are compared."""
    (ada,) = name_ids("x/t/1", b'{"userName": "Ada"}')
    assert is_id(ada) and ada[14] == "8"
    assert name_ids("x/t/1", b'{"userName": "ADA"}') == [ada]
    assert name_ids("x/t/2", b'{"userName": "Ada"}') != [ada]
    assert name_ids("x/t/1", b'{"externalId": "Ada"}') != [ada]
    assert name_ids("x/t/1", b'{"externalId": "\\ud800"}') == []


@pytest.mark.parametrize(
    ("body", "sets"),
    [
        ({"active": "perhaps"}, True),
        ({"Operations": [{"op": "replace", "path": "Active", "value": "x"}]}, True),
        ({"Operations": [{"op": "replace", "value": {"active": None}}]}, True),
        ({CORE_USER: {"active": False}}, True),
        ({"Operations": [{"op": "replace", "path": CORE_USER, "value": {"active": False}}]}, True),
        ({"Operations": [{"op": "replace", "path": CORE_USER, "value": {"title": "active"}}]}, False),
        ({"Operations": [{"op": "replace", "path": "title", "value": "active"}]}, False),
        ({"userName": "active"}, False),
    ],
)
def test_whether_a_body_speaks_of_active(body: object, sets: bool) -> None:
    assert sets_active(json.dumps(body).encode()) is sets
