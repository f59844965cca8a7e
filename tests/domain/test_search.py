"""The comparable form of values and resources, and the terms an index keeps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.comparison import binary, exact, fold, microseconds, name_key, number, prepare_user_name
from domain.schemas import ENTERPRISE_USER, GROUP, USER
from domain.search import search_document, search_term, search_terms

ADA = {
    "userName": "Ａda@Contoso.example",
    "externalId": "AbC-É",
    "active": True,
    "displayName": "STRASSE",
    "profileUrl": "https://Example.com/Ada",
    "name": {"givenName": "Zoë"},
    "emails": [{"value": "ADA@x", "type": "Work", "primary": True}, {"value": "b@x"}],
    "x509Certificates": [{"value": "TUlJRA=="}],
    ENTERPRISE_USER: {"department": "R&D", "manager": {"value": "M1", "$ref": "../Users/M1"}},
}
DOCUMENT = {
    "userName": "ada@contoso.example",
    "externalId": "AbC-É",
    "displayName": "strasse",
    "profileUrl": "https://Example.com/Ada",
    "name": {"givenName": "zoë"},
    "emails": [{"value": "ada@x", "type": "work", "primary": True}, {"value": "b@x"}],
    "x509Certificates": [{"value": "TUlJRA"}],
    ENTERPRISE_USER: {"department": "r&d", "manager": {"value": "m1", "$ref": "../Users/M1"}},
}


def test_a_search_document_is_the_resource_as_it_is_compared() -> None:
    before = repr(ADA)
    assert search_document(ADA, USER) == DOCUMENT
    assert search_document({"displayName": "ÉQUIPE"}, GROUP) == {"displayName": "équipe"}
    assert repr(ADA) == before


def test_every_value_has_a_term() -> None:
    manager = f"{ENTERPRISE_USER}:manager"
    expected = {
        search_term(9, path, value)
        for path, value in (
            ("userName", "ada@contoso.example"),
            ("externalId", "AbC-É"),
            ("displayName", "strasse"),
            ("profileUrl", "https://Example.com/Ada"),
            ("name.givenName", "zoë"),
            ("emails.value", "ada@x"),
            ("emails.value", "b@x"),
            ("emails.type", "work"),
            ("emails.primary", True),
            ("x509Certificates.value", "TUlJRA"),
            (f"{ENTERPRISE_USER}:department", "r&d"),
            (f"{manager}.value", "m1"),
            (f"{manager}.$ref", "../Users/M1"),
        )
    }
    terms = search_terms(9, DOCUMENT)
    assert terms == sorted(expected)
    assert all(-(2**63) <= term < 2**63 for term in terms)


def test_terms_are_stored_and_therefore_stay_what_they_are() -> None:
    """Another hash would need every row rewritten; another tenant has other terms."""
    assert search_terms(1, {"userName": "ada", "emails": [{"value": "a@x"}]}) == [7214979870, 7742237999]
    assert {term >> 32 for term in search_terms(0x1_0000_0007, DOCUMENT)} == {7}
    assert search_term(2**31 - 1, "userName", "ada") < 2**63


# --- comparison


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Ada", "ADA", True),
        ("Straße", "STRASSE", True),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ", True),
        ("Zoë", "ZOE\u0308", True),
        ("I", "ı", False),
        ("i", "İ", False),
        ("a", "á", False),
        ("\u212a", "k", True),
        ("ﬁ", "FI", True),
        ("a ", "a", False),
    ],
)
def test_caseless_is_full_unicode_in_no_locale(one: str, other: str, equal: bool) -> None:
    """IN-06, IN-07."""
    assert (fold(one) == fold(other)) is equal
    assert (name_key(one) == name_key(other)) is equal


def test_user_names_are_compared_without_width() -> None:
    """IN-01: IN-02; elsewhere width stays."""
    assert prepare_user_name("ＡＤＡ＠ｘ") == "ada@x"
    assert prepare_user_name("ｱ\u3000") == "ア "
    assert fold("Ａ") == "ａ"
    assert exact("e\u0301") == "é" != exact("É")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=8))
def test_prepared_values_stay_what_they_are(text: str) -> None:
    for prepare in (fold, exact, prepare_user_name, binary):
        once = prepare(text)
        assert prepare(once) == once
    assert prepare_user_name(fold(text)) == prepare_user_name(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2021-04-01T02:00:00+02:00", "2021-04-01T00:00:00Z"),
        ("2021-04-01T00:00:00", "2021-04-01T00:00:00Z"),
        ("2021-04-01T00:00:00.000000Z", "2021-04-01T00:00:00-00:00"),
        ("2021-03-31T24:00:00Z", "2021-04-01T00:00:00Z"),
        ("2020-02-29T10:00:00.5Z", "2020-02-29T10:00:00.500000999Z"),
        ("2021-04-01T14:00:00+14:00", "2021-03-31T10:00:00-14:00"),
    ],
)
def test_times_are_instants(one: str, other: str) -> None:
    """FI-17."""
    assert microseconds(one) == microseconds(other)
    assert microseconds("1970-01-01T00:00:00.000001Z") == 1
    assert microseconds("1969-12-31T23:59:59Z") == -1_000_000


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2021-04-01", "2021-04-01T00:00Z", "20210401T000000Z", "2021-04-01 00:00:00Z"),
        *("2021-02-29T00:00:00Z", "2021-13-01T00:00:00Z", "2021-04-01T25:00:00Z", "2021-04-01T24:00:01Z"),
        *("2021-04-01T00:60:00Z", "2021-04-01T00:00:60Z", "2021-04-01T00:00:00.Z", "2021-04-01T00:00:00+15:00"),
        *("2021-04-01T00:00:00+01:60", "2021-04-01T00:00:00+1", "2021-04-01T00:00:00z", "0000-01-01T00:00:00Z"),
        *("２０２１-04-01T00:00:00Z", "2021-04-01T00:00:00Z\n", "-2021-04-01T00:00:00Z"),
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        microseconds(text)


def test_numbers_compare_by_value() -> None:
    """FI-19."""
    assert (number(1.0), number(1.5), number(2**62)) == (1, 1.5, 2**62)
    assert str(number(1.0)) == "1", "terms are made of it"
