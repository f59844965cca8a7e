"""Elements of multi-valued attributes: listed, filtered, created, merged, dropped (RX-05, RX-06; DEC-07 to DEC-19)."""

from typing import Any

import pytest
from deciding import BEFORE, PROFILES, op, patched, posted, user_body
from vectors import Json

from domain.errors import (
    InvalidSyntax,
    InvalidValue,
    NoTarget,
)
from domain.profiles import LENIENT, STRICT, Profile
from domain.schemas import ENTERPRISE_USER

# --- RX-05, DEC-19: remove with a value


@PROFILES
@pytest.mark.parametrize(
    ("value", "left"),
    [
        ([{"value": "a@x"}], ["b@x"]),
        ({"value": "A@X"}, ["b@x"]),
        ([{"type": "home"}], ["a@x"]),
        ([{"value": "a@x", "type": "home"}], ["a@x", "b@x"]),
        ([{"value": "a@x", "primary": "True"}], ["b@x"]),
        ([{"value": "b@x", "primary": False}], ["a@x"]),
        ([{"value": "a@x"}, {"value": "b@x"}], []),
        ([], ["a@x", "b@x"]),
        ([{}], ["a@x", "b@x"]),
        ([None], ["a@x", "b@x"]),
        (None, []),
    ],
)
def test_remove_takes_the_listed_elements_only(profile: Profile, value: Any, left: list[str]) -> None:
    after = patched(BEFORE, op("Remove", "emails", value), profile=profile)
    assert [element["value"] for element in after.get("emails", [])] == left


@PROFILES
@pytest.mark.parametrize("value", ["a@x", ["a@x"], 5, [[{"value": "a@x"}]]])
def test_remove_by_bare_values_is_for_members(profile: Profile, value: Any) -> None:
    with pytest.raises(InvalidValue):
        patched(BEFORE, op("remove", "emails", value), profile=profile)


def test_a_list_of_nothing_known_removes_nothing() -> None:
    """Ignoring what the client said about an element must not turn it into all elements."""
    assert patched(BEFORE, op("remove", "emails", [{"colour": "red"}])) == BEFORE
    with pytest.raises(InvalidSyntax):
        patched(BEFORE, op("remove", "emails", [{"colour": "red"}]), profile=STRICT)


@PROFILES
def test_elsewhere_the_value_of_remove_is_ignored(profile: Profile) -> None:
    assert "emails" not in patched(BEFORE, op("remove", 'emails[value ew "x"]', [{"value": "a@x"}]), profile=profile)
    assert patched(BEFORE, op("remove", "department", "Other"), profile=profile)[ENTERPRISE_USER].keys() == {"manager"}


# --- RX-06, DEC-17, DEC-18: elements from filters


@PROFILES
@pytest.mark.parametrize(
    ("path", "value", "element"),
    [
        ('phoneNumbers[type eq "work"].value', "1", {"type": "work", "value": "1"}),
        (
            'phoneNumbers[(type eq "work") and (primary eq "True")].value',
            "1",
            {"type": "work", "primary": True, "value": "1"},
        ),
        ('phoneNumbers[type eq "work"]', {"value": "1"}, {"type": "work", "value": "1"}),
        ('phoneNumbers[type eq "work"]', [{"value": "1"}], {"type": "work", "value": "1"}),
        ('phoneNumbers[display eq null and type eq "work"].value', "1", {"type": "work", "value": "1"}),
        ('addresses[type eq "Work"].Formatted', "1 Main St", {"type": "Work", "formatted": "1 Main St"}),
    ],
)
def test_add_makes_the_element_its_filter_describes(profile: Profile, path: str, value: Any, element: Json) -> None:
    name = path.partition("[")[0]
    assert patched(BEFORE, op("Add", path, value), profile=profile) == BEFORE | {name: [element]}


@PROFILES
@pytest.mark.parametrize(
    "inside",
    [
        'type ne "work"',
        'type eq "work" or type eq "home"',
        'not (type eq "work")',
        'type sw "work"',
        "type pr",
        'type eq "work" and type eq "home"',
        'type eq "work" and value co "x"',
    ],
)
def test_a_filter_that_describes_no_element_makes_none(profile: Profile, inside: str) -> None:
    with pytest.raises(NoTarget):
        patched({"userName": "ada"}, op("add", f"ims[{inside}].value", "x"), profile=profile)


def test_replace_makes_an_element_in_the_lenient_profile_only() -> None:
    operation = op("Replace", 'phoneNumbers[type eq "work"].value', "1")
    assert patched(BEFORE, operation)["phoneNumbers"] == [{"type": "work", "value": "1"}]
    with pytest.raises(NoTarget):
        patched(BEFORE, operation, profile=STRICT)
    for profile in (LENIENT, STRICT):
        with pytest.raises(NoTarget):
            patched(BEFORE, op("replace", 'phoneNumbers[type eq "work"]', {"value": "1"}), profile=profile)


def test_removing_what_is_not_there_makes_nothing() -> None:
    assert patched(BEFORE, op("Replace", 'phoneNumbers[type eq "work"].value', None)) == BEFORE
    assert patched(BEFORE, op("remove", 'phoneNumbers[type eq "work"].value')) == BEFORE


@PROFILES
def test_a_new_primary_element_resets_the_old_one(profile: Profile) -> None:
    after = patched(BEFORE, op("add", 'emails[primary eq true and type eq "x"].value', "c@x"), profile=profile)
    assert [element["value"] for element in after["emails"] if element.get("primary")] == ["c@x"]


# --- RX-20, DEC-07, DEC-08, RS-20: elements


def test_of_two_primary_values_the_first_stays_or_neither_comes() -> None:
    """RS-19, DEC-08."""
    two = [{"value": "a", "primary": True}, {"value": "b", "primary": "true"}]
    assert posted(user_body(emails=two)).resource["emails"] == [{"value": "a", "primary": True}, {"value": "b"}]
    with pytest.raises(InvalidValue):
        posted(user_body(emails=two), STRICT)
    everywhere = op("replace", "emails.primary", True)
    assert [element.get("primary") for element in patched(BEFORE, everywhere)["emails"]] == [True, None]
    with pytest.raises(InvalidValue):
        patched(BEFORE, everywhere, profile=STRICT)


@PROFILES
def test_the_same_value_and_type_stand_once(profile: Profile) -> None:
    """RS-20, PD-09, PD-10."""
    same = [{"value": "A", "type": "work"}, {"value": "a", "type": "WORK", "display": "x"}]
    assert len(posted(user_body(emails=same), profile).resource["emails"]) == 1
    assert len(patched(BEFORE, op("replace", "emails", same), profile=profile)["emails"]) == 1
    merged = patched(BEFORE, op("replace", 'emails[type eq "home"]', {"value": "a@x", "type": "work"}), profile=profile)
    assert merged["emails"] == [{"value": "a@x", "type": "work", "primary": True}]


def test_an_element_without_value_goes_or_stays() -> None:
    """DEC-10, PD-18."""
    operation = op("remove", 'emails[type eq "home"].value')
    assert patched(BEFORE, operation)["emails"] == BEFORE["emails"][:1]
    assert patched(BEFORE, operation, profile=STRICT)["emails"] == [BEFORE["emails"][0], {"type": "home"}]
