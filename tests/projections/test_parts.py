"""One attribute, or a part of one, is asked about in any spelling; what changed beside it is not told."""

from typing import Any

import pytest

from domain.errors import InvalidValue
from domain.schemas import STANDARD
from projections.asking import Asked
from projections.parts import parts_asked
from projections.story import Change
from projections.whole import story
from tests.projections.telling import ADA, changed, created
from tests.projections.whying import SCRIPT, Ask, Told

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = STANDARD.by_stream["users"]
NAME = {"givenName": "Ada", "familyName": "Lovelace"}
WORK, HOME = {"value": "ada@x.example", "type": "work"}, {"value": "ada@home.example", "type": "home"}
NEW_WORK = {"value": "ada@y.example", "type": "work"}


def renamed() -> Told:
    """Position 3: the family name. 4: the given name, by another client. 5, 6: mails. 7, 8: the department."""
    told = Told()
    told.request("POST", "/Users", created(ADA, userName="ada", name=NAME, emails=[WORK, HOME]))
    married = NAME | {"familyName": "King"}
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "name", NAME, married))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "name", married, married | {"givenName": "Augusta"}), **SCRIPT)
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "emails", [WORK, HOME], [HOME, NEW_WORK]))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "emails", [HOME, NEW_WORK], [NEW_WORK]))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, f"{ENTERPRISE}:department", None, "Mathematics"))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, f"{ENTERPRISE}:manager", None, {"value": "b0b"}))
    return told


def changes(ask: Ask, attribute: str) -> list[Change]:
    (about,) = ask(renamed(), "ada", Asked(attribute=attribute)).pointed
    return about.changes


ASKED: dict[str, tuple[str, list[tuple[int, Any, Any]]]] = {
    "name.givenName": ("name.givenName", [(4, "Ada", "Augusta")]),
    "NAME.givenname": ("name.givenName", [(4, "Ada", "Augusta")]),
    "name.familyName": ("name.familyName", [(3, "Lovelace", "King")]),
    "name.middleName": ("name.middleName", []),
    'emails[type eq "work"].value': ('emails[type eq "work"].value', [(5, "ada@x.example", "ada@y.example")]),
    'Emails[Type eq "WORK"].value': ('emails[type eq "WORK"].value', [(5, "ada@x.example", "ada@y.example")]),
    'emails[type eq "home"]': ('emails[type eq "home"]', [(6, HOME, None)]),
    "emails.type": ("emails.type", [(6, ["home", "work"], "work")]),
    "department": (f"{ENTERPRISE}:department", [(7, None, "Mathematics")]),
    f"{ENTERPRISE}:Department".upper(): (f"{ENTERPRISE}:department", [(7, None, "Mathematics")]),
    "manager.value": (f"{ENTERPRISE}:manager.value", [(8, None, "b0b")]),
    "title": ("title", []),
}


@pytest.mark.parametrize("attribute", ASKED)
def test_a_part_is_told_where_it_really_changed(ask: Ask, attribute: str) -> None:
    """With its own old value and new, under its canonical name."""
    name, expected = ASKED[attribute]
    told = changes(ask, attribute)
    assert [(each.position, each.before, each.after) for each in told] == expected
    assert {each.attribute for each in told} <= {name}


def test_a_whole_attribute_is_told_with_whole_values(ask: Ask) -> None:
    assert [each.position for each in changes(ask, "name")] == [3, 4]
    assert changes(ask, "Emails")[0].before == [WORK, HOME]
    assert [each.position for each in changes(ask, ENTERPRISE)] == [7, 8]


def test_whose_part_was_put_aside(ask: Ask) -> None:
    """The value that the creation gave counts, and what another client changed beside it does not."""
    (told,) = changes(ask, "name.givenName")
    assert told.overwrote is not None
    assert (told.overwrote.position, told.overwrote.value, told.overwrote.token_label) == (2, "Ada", "Entra")
    said = story(ask(renamed(), "ada", Asked(attribute='emails[type eq "work"].value')))
    assert 'emails[type eq "work"].value: "ada@x.example" → "ada@y.example"' in " ".join(said.split())


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "nmae",
        "name.nickName",
        "name.",
        "name[",
        "emails[type eq",
        "emails[0].value",
        "urn:x:y:title",
        "groups",
        "x y",
    ],
)
def test_what_can_be_no_attribute_is_refused(asked: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        parts_asked(asked, USER)
    assert "\n" not in refusal.value.detail and len(refusal.value.detail) < 250


def test_members_are_no_attribute_that_changes() -> None:
    with pytest.raises(InvalidValue, match="members are memberships"):
        parts_asked("members.value", STANDARD.by_stream["groups"])
