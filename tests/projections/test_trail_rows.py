"""One record per request: what it did, how it ended, what it changed."""

import pytest
from telling import (
    ADA,
    BOB,
    FINANCE,
    Telling,
    changed,
    created,
    deactivated,
    deleted,
    group_created,
    group_deleted,
    joined,
    left,
    reactivated,
)

from domain.events import SettingChanged, TokenIssued
from ledger.entry import Erased
from projections.requests import requests, whole_requests
from projections.trail import Property, TrailRow, rows


def only(telling: Telling) -> TrailRow:
    (row,) = rows(telling.entries)
    return row


@pytest.mark.parametrize(
    ("method", "happenings", "action"),
    [
        ("POST", [created(ADA, userName="ada")], "create"),
        ("POST", [group_created(FINANCE, "Finance"), joined(FINANCE, ADA)], "create"),
        ("PATCH", [changed(ADA, "title", None, "Analyst")], "update"),
        ("PATCH", [joined(FINANCE, ADA), left(FINANCE, BOB)], "update"),
        ("PATCH", [changed(ADA, "title", None, "Analyst"), deactivated(ADA)], "disable"),
        ("PUT", [reactivated(ADA), changed(ADA, "title", None, "Analyst")], "enable"),
        ("PUT", [changed(ADA, "active", False, None), changed(ADA, "title", None, "Analyst")], "enable"),
        ("PATCH", [changed(ADA, "active", None, True)], "update"),
        ("PATCH", [changed(ADA, "active", True, None)], "update"),
        ("DELETE", [left(FINANCE, ADA, explicit=False), deleted(ADA)], "delete"),
        ("DELETE", [group_deleted(FINANCE)], "delete"),
    ],
)
def test_the_weightiest_event_names_the_action(method, happenings, action):
    telling = Telling()
    telling.request(method, "/scim/contoso/v2/Users", *happenings)
    assert (only(telling).action, only(telling).status) == (action, "success")


def test_a_request_that_changes_nothing_is_skipped_and_names_whom_it_was_about():
    telling = Telling()
    telling.unchanged("PATCH", f"/scim/contoso/v2/Users/{ADA}", ADA, operations=["replace active"])
    row = only(telling)
    assert (row.action, row.status, row.resource_type, row.target_id) == ("other", "skipped", "User", ADA)
    assert row.subjects == {ADA}


def test_a_refusal_keeps_what_was_tried_and_why_it_failed():
    telling = Telling()
    telling.refused("POST", "/scim/contoso/v2/Users", status=409, scim_type="uniqueness", detail="userName is in use")
    row = only(telling)
    assert (row.action, row.status, row.resource_type, row.target_id) == ("create", "failure", "User", None)
    assert (row.http_status, row.scim_type, row.detail) == (409, "uniqueness", "userName is in use")
    assert row.subjects == frozenset()


def test_repetitions_of_a_refusal_are_a_row_of_their_own_even_right_behind_it():
    telling = Telling()
    request_id = telling.refused("POST", "/scim/contoso/v2/Users", status=409)
    first = telling.entries[0]
    telling.entries.append(
        type(first)(**{f: getattr(first, f) for f in first.__struct_fields__} | {"position": 1, "version": 2})
    )
    found = list(rows(telling.entries))
    assert [(row.request_id, row.first_position) for row in found] == [(request_id, 0), (request_id, 1)]


def test_properties_go_from_old_to_new_in_the_order_of_the_entries():
    telling = Telling()
    telling.request(
        "PATCH",
        f"/Users/{ADA}",
        changed(ADA, "title", "Analyst", None),
        deactivated(ADA),
        operations=["remove title", "replace active"],
    )
    assert only(telling).modified == [
        Property(0, "title", "Analyst", None),
        Property(1, "active", True, False),
    ]


def test_a_new_resource_shows_every_attribute_extensions_by_their_full_name():
    extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada", **{extension: {"department": "Finance"}}))
    assert only(telling).modified == [
        Property(0, "userName", None, "ada"),
        Property(0, f"{extension}:department", None, "Finance"),
    ]


def test_a_group_request_is_about_the_group_and_everybody_it_names():
    telling = Telling()
    telling.request("PATCH", f"/Groups/{FINANCE}", joined(FINANCE, ADA), left(FINANCE, BOB))
    row = only(telling)
    assert (row.resource_type, row.target_id, row.subjects) == ("Group", FINANCE, {FINANCE, ADA, BOB})
    assert row.modified == [Property(0, "members", None, ADA), Property(1, "members", BOB, None)]
    assert (row.entry_count, row.events) == (2, {"MembershipAdded": 1, "MembershipRemoved": 1})


def test_tokens_and_settings_are_in_the_log_too():
    telling = Telling()
    token = "70ce0000-0000-4000-8000-00000000000e"
    telling.request("", "", (f"tokens/{token}", token, TokenIssued(token, "Entra", ["scim"], "lenient")))
    telling.request("", "", ("tenant", token, SettingChanged("group_names_unique", True, False)))
    assert [(row.action, row.status, row.resource_type) for row in rows(telling.entries)] == [
        ("other", "success", "Token"),
        ("other", "success", "Tenant"),
    ]


def test_an_erased_person_leaves_the_row_but_none_of_its_words():
    telling = Telling()
    telling.request("PATCH", f"/Users/{ADA}", changed(ADA, "title", None, "Analyst"), deactivated(ADA))
    row = only(erased(telling))
    assert (row.action, row.status, row.target_id, row.modified) == ("disable", "success", ADA, [])
    assert (row.method, row.path, row.token_label) == ("", "", "")


def erased(telling: Telling) -> Telling:
    telling.entries = [
        type(e)(**{f: getattr(e, f) for f in e.__struct_fields__} | {"event": Erased(e.event_type), "cause": None})
        for e in telling.entries
    ]
    return telling


def two_requests() -> Telling:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.request("PATCH", f"/Groups/{FINANCE}", joined(FINANCE, ADA), joined(FINANCE, BOB))
    return telling


def test_a_full_page_stops_before_a_request_it_cuts():
    entries = two_requests().entries
    assert whole_requests(entries[:2], count_max=2) == entries[:1]
    assert whole_requests(entries[1:2], count_max=1) == []
    assert whole_requests(entries, count_max=3) == entries


def test_a_page_that_ends_with_the_ledger_holds_whole_requests_only():
    entries = erased(two_requests()).entries
    assert whole_requests(entries, count_max=5) == entries
    # Where a cause is erased nobody knows the count, and the last request waits for the next page.
    assert whole_requests(entries, count_max=3) == entries[:1]


def test_rows_of_two_halves_are_rows_of_the_whole():
    entries = two_requests().entries
    assert [*rows(entries[:1]), *rows(entries[1:])] == list(rows(entries))
    assert [len(request) for request in requests(entries)] == [1, 2]


def test_the_first_entry_carries_the_cause():
    row = list(rows(two_requests().entries))[1]
    assert (row.token_label, row.client_address, row.duration_us) == ("Entra", "20.1.2.3", 2_400)
