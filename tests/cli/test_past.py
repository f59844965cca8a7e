"""The verbs about moments, beside a running service: list and diff, for people and as JSON."""

import json
import re
from typing import Any

import pytest
from test_verbs import GROUP, USER, Say, say

from tests.running import Client, Service

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
__all__ = ["say"]


def made(client: Client, path: str, body: dict[str, Any]) -> str:
    answer = client.scim.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def changed(client: Client, path: str, *operations: dict[str, Any]) -> None:
    answer = client.scim.patch(path, json={"schemas": [PATCH_OP], "Operations": list(operations)})
    assert answer.status_code in (200, 204), answer.text


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    """Positions 0 and 1 are the tokens'. 2, 3: Ada and Bob. 4 to 6: Finance with both. 7, 8: Ada is renamed and
    disabled. 9, 10: Bob is gone. 11: Eve."""
    client = service.new_tenant()
    ada = made(client, "/Users", {"schemas": [USER], "userName": "ada", "title": "A\u202ea", "active": True})
    bob = made(client, "/Users", {"schemas": [USER], "userName": "bob"})
    made(client, "/Groups", {"schemas": [GROUP], "displayName": "Finance", "members": [{"value": ada}, {"value": bob}]})
    renamed = {"op": "replace", "value": {"userName": "augusta", "active": False}}
    changed(client, f"/Users/{ada}", renamed)
    assert client.scim.delete(f"/Users/{bob}").status_code == 204
    made(client, "/Users", {"schemas": [USER], "userName": "eve", "active": False})
    return client


def told(text: str) -> list[str]:
    """Lines without ids."""
    return [re.sub(r" \([0-9a-f-]{36}\)", "", line).strip() for line in text.splitlines()]


def test_everybody_is_listed_as_of_a_position(say: Say, client: Client) -> None:
    said = say("list", client.slug, "--as-of", "6")
    assert (said.status, told(said.out)) == (
        0, [f"{client.slug} at position 6", "User ada, in Finance", "User bob, in Finance", "Group Finance, 2 members"],
    )  # fmt: skip
    now = told(say("list", client.slug).out)
    assert now[1:] == ["User augusta, inactive, in Finance", "Group Finance, 1 member", "User eve, inactive"]
    before = say("list", client.slug, "--as-of", "2001-01-01", "--json").out
    assert json.loads(before) == {"tenant": client.slug, "position": -1, "resources": []}
    assert say("list", client.slug, "--as-of=-1", "--json").out == before


def test_a_list_takes_a_type_and_a_filter(say: Say, client: Client) -> None:
    """And as JSON it holds resources as SCIM showed them, with links of the service."""
    asked = ("--type", "User", "--filter", 'groups.display eq "finance"')
    (_, ada, bob) = told(say("list", client.slug, "--as-of", "6", *asked).out)
    assert (ada, bob) == ("User ada, in Finance", "User bob, in Finance")
    (only,) = json.loads(say("list", client.slug, *asked, "--json").out)["resources"]
    shown = client.scim.get(f"/Users/{only['id']}").json()
    assert only == shown


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--as-of", "yesterday"), "--as-of is an RFC 3339 time"), (("--as-of", "1000000"), "no position 1000000 yet"),
        (("--as-of", "2999-01-01"), "in the future"), (("--filter", "userName eq"), "filter"),
        (("--type", "Users"), "--type is one of User, Group"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_asked_for_is_refused(
    say: Say, client: Client, flags: tuple[str, ...], sentence: str
) -> None:
    said = say("list", client.slug, *flags)
    assert said.status == 2
    assert sentence in said.refusal


@pytest.mark.parametrize("subject", ["eve", "Finance", "nobody"])
@pytest.mark.parametrize(
    ("moment", "sentence"),
    [
        ("2099-01-01T00:00:00Z", "the time lies in the future"),
        ("12", "there is no position 12 yet; the ledger ends at 11"),
    ],
)  # fmt: skip
def test_nobody_is_shown_as_of_what_has_not_come(
    say: Say, client: Client, subject: str, moment: str, sentence: str
) -> None:
    """2, or 400: the answer could still turn out otherwise. The newest position is no such moment."""
    said = say("show", client.slug, subject, "--as-of", moment)
    assert (said.status, said.out, said.refusal) == (2, "", sentence)
    answer = client.api.get(f"/users/{subject}", params={"asOf": moment})
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})
    assert say("show", client.slug, "eve", "--as-of", "11").status == 0


def test_two_moments_are_told_apart_in_words(say: Say, client: Client) -> None:
    """Who came, left, was renamed and disabled; each group with who joined and left; totals."""
    said = say("diff", client.slug, "--from", "6", "--to", "11")
    assert said.status == 0
    lines = told(said.out)
    assert lines[0].startswith(f"What is different in {client.slug}, from position 6")
    assert lines[2:] == [
        "~ User augusta changed",
        'userName: "ada" → "augusta"',
        "active: true → false",
        "deactivated",
        "- User bob left",
        'left the group "Finance"',
        "+ User eve came",
        "inactive",
        "",
        'Group "Finance"',
        "- User bob",
        "",
        "User: 1 came, 1 left, 1 changed (1 renamed, 1 deactivated)",
        "Memberships: 0 gained, 1 lost",
    ]
    assert told(say("diff", client.slug, "--from", "8", "--to", "8").out)[2:] == ["", "Nothing is different."]
    assert "came" in say("diff", client.slug, "--from", "2001-01-01").out
    assert "\u202e" not in said.out


def test_before_the_first_entry_is_a_position_too(say: Say, client: Client) -> None:
    """-1, as answers about such a time say: for every verb that takes a moment."""
    whole = say("diff", client.slug, "--from=-1", "--json")
    assert (whole.status, whole.out) == (0, say("diff", client.slug, "--from", "2001-01-01", "--json").out)
    assert client.api.get("/diff", params={"from": "-1"}).json() == json.loads(whole.out)
    assert say("show", client.slug, "augusta", "--as-of=-1").out.endswith("not there yet\n")
    assert client.api.get("/users/augusta", params={"asOf": "-1"}).status_code == 200
    assert "No run matches." in say("runs", client.slug, "--until=-1").out
    report = say("report", client.slug, "population", "--as-of=-1", "--rows-only")
    assert (report.status, report.out.count("\n")) == (0, 1)
    every = say("report", client.slug, "movement", "--from=-1", "--to", "11", "--rows-only")
    assert every.out == say("report", client.slug, "movement", "--to", "11", "--rows-only").out


def test_the_same_as_json_is_what_the_audit_api_answers(say: Say, client: Client) -> None:
    said = json.loads(say("diff", client.slug, "--from", "6", "--to", "11", "--json").out)
    answered = client.api.get("/diff", params={"from": "6", "to": "11"}).json()
    assert said == answered
    assert said["totals"]["resources"] == {"User": {"changed": 1, "renamed": 1, "deactivated": 1, "left": 1, "came": 1}}
    (bob,) = [each for each in said["resources"] if each["change"] == "left"]
    assert bob["attributes"] == [{"attribute": "userName", "before": "bob", "after": None}]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ((), "--from"), (("--from", "x"), "--from is an RFC 3339 time"), (("--from", "3", "--to", "2"), "comes after"),
        (("--from", "1", "--to", "x"), "--to is an RFC 3339 time"),
    ],
)  # fmt: skip
def test_moments_that_cannot_be_told_apart_are_refused(
    say: Say, client: Client, flags: tuple[str, ...], sentence: str
) -> None:
    said = say("diff", client.slug, *flags)
    assert said.status == 2
    assert sentence in said.refusal
