"""Groups, PATCH messages and attributes that make no sense, in both profiles."""

import uuid
from typing import Any

import pytest
from refusing import missing_from_the_log, noted
from speaking import (
    PATCH_OP,
    USER,
    Json,
    Speaker,
    group_body,
    op,
    patch_body,
    url_of,
    user_body,
)

pytestmark = pytest.mark.usefixtures("untouched")


WRONG_GROUPS: dict[str, Any] = {
    "name-missing": {"displayName": None},
    "name-empty": {"displayName": ""},
    "name-number": {"displayName": 5},
    "members-number": {"members": 5},
    "member-number": {"members": [5]},
    "member-empty": {"members": [{}]},
    "member-value-number": {"members": [{"value": 5}]},
    "member-unknown": {"members": [{"value": str(uuid.uuid4())}]},
    "member-no-uuid": {"members": [{"value": "x"}]},
    "member-injection": {"members": [{"value": "'; drop table users; --"}]},
    "member-long": {"members": [{"value": "x" * 5_000}]},
    "member-foreign-ref": {"members": [{"$ref": "https://elsewhere.example/Users/1"}]},
}


@pytest.mark.parametrize("attributes", WRONG_GROUPS.values(), ids=WRONG_GROUPS)
def test_a_group_that_cannot_be_is_refused(lenient: Speaker, team: Json, ana: Json, attributes: Json) -> None:
    """CR-06, GR-06, GR-10: 400 invalidValue; also on PUT, before anybody is removed."""
    body = group_body(None, ana["id"]) | attributes
    noted(lenient, lenient.send("POST", "/Groups", body), 400, "invalidValue")
    noted(lenient, lenient.send("PUT", url_of(team), body), 400, "invalidValue")
    if members := attributes.get("members"):
        noted(lenient, lenient.patch(team, op("replace", "members", members)), 400, "invalidValue")
        if members not in NEVER_OURS:
            noted(lenient, lenient.patch(team, op("add", "members", members)), 400, "invalidValue")


_NEVER_OURS = ("no-uuid", "injection", "long", "foreign-ref")
NEVER_OURS = [WRONG_GROUPS[f"member-{name}"]["members"] for name in _NEVER_OURS]


@pytest.mark.parametrize("members", NEVER_OURS, ids=_NEVER_OURS)
def test_adding_what_can_be_no_id_of_ours_is_ignored_and_recorded(lenient: Speaker, team: Json, members: Any) -> None:
    """A conformance suite adds such a member and expects 200; nothing changes, and the log says what was ignored."""
    before = lenient.show(team)
    assert lenient.patch(team, op("add", "members", members)).status_code == 200
    assert lenient.show(team) == before
    assert lenient.log()["records"][0]["ignored"] == ["members: an id that was never ours"]


SYNTAX, VALUE, PATH = ("invalidSyntax", "invalidValue"), ("invalidValue", "invalidSyntax"), ("invalidPath",)
FILTER = ("invalidFilter", "invalidPath")
WRONG_PATCHES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no-operations": ({"schemas": [PATCH_OP]}, SYNTAX),
    "operations-text": ({"schemas": [PATCH_OP], "Operations": "x"}, SYNTAX),
    "operations-object": ({"schemas": [PATCH_OP], "Operations": op("remove", "title")}, SYNTAX),
    "operation-number": ({"schemas": [PATCH_OP], "Operations": [5]}, SYNTAX),
    "operation-list": ({"schemas": [PATCH_OP], "Operations": [[]]}, SYNTAX),
    "operation-null": ({"schemas": [PATCH_OP], "Operations": [None]}, SYNTAX),
    "other-message": ({"schemas": [USER], "Operations": []}, SYNTAX),
    "no-op": (patch_body({"path": "title", "value": "x"}), SYNTAX),
    "op-move": (patch_body(op("move", "title", "x")), SYNTAX),
    "op-number": (patch_body({"op": 5, "path": "title", "value": "x"}), SYNTAX),
    "path-number": (patch_body({"op": "add", "path": 5, "value": "x"}), ("invalidPath", *SYNTAX)),
    "path-list": (patch_body({"op": "add", "path": ["title"], "value": "x"}), ("invalidPath", *SYNTAX)),
    "path-empty": (patch_body(op("add", "", "x")), PATH),
    "path-index": (patch_body(op("replace", "emails[0].value", "x")), FILTER),
    "path-pointer": (patch_body(op("replace", "/emails/0", "x")), PATH),
    "path-open": (patch_body(op("replace", "emails[", "x")), FILTER),
    "path-half": (patch_body(op("replace", "emails[type eq", "x")), FILTER),
    "path-operator": (patch_body(op("replace", 'emails[type zz "work"].value', "x")), FILTER),
    "path-blank": (patch_body(op("replace", "display Name", "x")), PATH),
    "path-dots": (patch_body(op("replace", "name..givenName", "x")), PATH),
    "path-deep": (patch_body(op("replace", "emails[" + "(" * 5_000 + 'type eq "a"', "x")), FILTER),
    "path-nul": (patch_body(op("replace", "title\u0000", "x")), ("invalidPath", "invalidValue")),
    "path-simple-filter": (patch_body(op("replace", 'title[value eq "x"]', "x")), (*FILTER, "noTarget")),
    "remove-nothing": (patch_body({"op": "remove"}), ("noTarget",)),
    "remove-empty": (patch_body(op("remove", "")), ("noTarget",)),
    "no-value": (patch_body(op("add", "title")), VALUE),
    "no-value-no-path": (patch_body({"op": "replace"}), VALUE),
    "pathless-text": (patch_body({"op": "replace", "value": "x"}), VALUE),
    "pathless-list": (patch_body({"op": "replace", "value": [{"title": "x"}]}), VALUE),
    "pathless-bad-filter": (
        patch_body({"op": "replace", "value": {'emails[type zz "work"].value': "x"}}), (*FILTER, *VALUE),
    ),
    "value-object": (patch_body(op("replace", "title", {"a": "b"})), VALUE),
    "value-list": (patch_body(op("replace", "title", ["a"])), VALUE),
    "value-nul": (patch_body(op("replace", "title", "a\u0000")), VALUE),
    "read-only": (patch_body(op("replace", "meta.created", "2001-01-01T00:00:00Z")), ("mutability",)),
    "read-only-groups": (patch_body(op("add", "groups", [{"value": "x"}])), ("mutability",)),
    "required": (patch_body(op("remove", "userName")), ("mutability",)),
    "required-empty": (patch_body(op("replace", "userName", "")), VALUE),
    "required-null": (patch_body(op("replace", "userName", None)), VALUE),
}  # fmt: skip


def test_other_members_of_an_operation_say_nothing(either: Speaker) -> None:
    """PA-13: neither a name that JSON Patch has nor one that nobody knows changes what an operation means."""
    user = either.user(title="Guide")
    others = {"from": "userName", "name": "setTitle", "nickName": "x", "values": ["y"]}
    assert either.changed(user, op("replace", "title", "Chief") | others)["title"] == "Chief"
    shown = either.show(user)
    assert "nickName" not in shown and shown["userName"] == user["userName"]


@pytest.mark.parametrize("case", WRONG_PATCHES.values(), ids=WRONG_PATCHES)
def test_a_patch_that_makes_no_sense_is_refused(lenient: Speaker, ana: Json, case: Any) -> None:
    """PA-01 to PA-04, PP-02, PP-03, PP-11, PD-01, PD-04, PD-05."""
    body, scim_types = case
    noted(lenient, lenient.send("PATCH", url_of(ana), body), 400, *scim_types)


@pytest.mark.parametrize(
    "path",
    ["x" * 100_000, "title." + "y" * 100_000, f'emails[type eq "{"z" * 100_000}"]'],
    ids=["name", "sub-attribute", "literal"],
)
def test_a_very_long_path_is_ignored_or_refused(lenient: Speaker, ana: Json, path: str) -> None:
    """A long name is a name, and a long literal a literal; or they are refused."""
    response = lenient.patch(ana, op("remove", path))
    if response.status_code != 200:
        noted(lenient, response, 400, "invalidPath", "invalidFilter")


@pytest.mark.parametrize("count", [1_000, 20_000])
def test_many_operations_are_done_or_refused(lenient: Speaker, count: int) -> None:
    """One request with very many operations ends, and ends well."""
    user = lenient.user()
    response = lenient.patch(user, *(op("replace", "title", str(number)) for number in range(count)))
    if response.status_code == 200:
        assert response.json()["title"] == str(count - 1)
    else:
        noted(lenient, response, (400, 413))
    lenient.delete(user)


UNKNOWN: dict[str, tuple[str, Json, str]] = {
    "post": ("POST", user_body("strict-a", shoeSize="43"), "invalidSyntax"),
    "post-inside": ("POST", user_body("strict-b", name={"nick": "x"}), "invalidSyntax"),
    "path": ("PATCH", patch_body(op("add", "shoeSize", "43")), "invalidPath"),
    "urn": ("PATCH", patch_body(op("add", "urn:example:Contoso:2.0:User:badge", "7")), "invalidPath"),
    "pathless": ("PATCH", patch_body({"op": "add", "value": {"shoeSize": "43"}}), "invalidSyntax"),
}


@pytest.mark.parametrize("case", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_attributes_in_both_profiles(lenient: Speaker, strict: Speaker, case: Any) -> None:
    """DEC-09, DEC-27: the strict profile refuses, the lenient one ignores and stores nothing of it."""
    method, body, scim_type = case
    for speaker in (strict, lenient):
        user = speaker.user()
        path = "/Users" if method == "POST" else url_of(user)
        response = speaker.send(method, path, body)
        if speaker is strict:
            noted(speaker, response, 400, scim_type)
            assert speaker.show(user) == user
        else:
            assert response.status_code in (200, 201)
            assert "shoeSize" not in response.json()
            if method == "POST":
                speaker.delete(response.json())
        speaker.delete(user)


def test_zz_every_refusal_of_this_file_is_in_the_log(lenient: Speaker) -> None:
    """What was refused above to an authenticated request that could have changed something is recorded."""
    assert missing_from_the_log(lenient) == []
