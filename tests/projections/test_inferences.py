"""Every rule fires on the case it is for, rests on the right entries, and does not fire a moment beside it."""

from datetime import timedelta
from uuid import UUID

import pytest

from projections.asking import Asked
from projections.evidence import Burst
from projections.gathering import BURST_MAX
from projections.inferences import beat_of, fits, is_burst
from tests.projections.peopling import Directory, Made
from tests.projections.telling import (
    ADA,
    BOB,
    EVERYONE,
    FINANCE,
    changed,
    created,
    deleted,
    group_deleted,
    left,
    reactivated,
)
from tests.projections.whying import OPERATOR, SCRIPT, Ask, Told


def person(number: int) -> str:
    return str(UUID(int=(0xA << 124) + (4 << 76) + (8 << 60) + number))


def test_r1_somebody_disabled_alone_was_meant(ask: Ask) -> None:
    told = Told().hired().joins(FINANCE).later(days=40).disabled()
    found = ask.rules(told)
    assert set(found) == {"R1"}
    assert found["R1"].confidence == "medium"
    assert found["R1"].positions == [4]
    assert "nobody else" in found["R1"].statement


def test_r1_counts_the_few_others(ask: Ask) -> None:
    told = Told().hired().hired(BOB, "bob").later(days=40).disabled(BOB).disabled()
    assert "1 other person " in ask.rules(told)["R1"].statement


@pytest.mark.parametrize(("minutes", "fires"), [(14.9, True), (15, True), (15.1, False)])
def test_r3_a_group_lost_up_to_15_minutes_before_may_be_why(ask: Ask, minutes: float, fires: bool) -> None:
    told = Told().hired().joins(FINANCE, EVERYONE).later(days=9)
    told.request("PATCH", f"/Groups/{FINANCE}", left(FINANCE, ADA))
    told.later(minutes=minutes, seconds=-1).disabled()
    found = ask.rules(told)
    assert ("R3" in found, "R1" in found) == (fires, not fires)
    if fires:
        assert found["R3"].positions == [5, 6]
        assert '"Finance"' in found["R3"].statement


def test_r3_another_clients_doing_is_not_the_cause(ask: Ask) -> None:
    told = Told().hired().joins(FINANCE).later(days=9)
    told.request("PATCH", f"/Groups/{FINANCE}", left(FINANCE, ADA), **SCRIPT)
    assert "R3" not in ask.rules(told.disabled())


def test_r2_what_a_list_left_out_is_our_reading(ask: Ask) -> None:
    """And R10: it was about the group."""
    told = Told().hired().joins(FINANCE).later(days=9)
    told.request("PUT", f"/Groups/{FINANCE}", left(FINANCE, ADA, explicit=False))
    found = ask.rules(told.later(minutes=30).disabled())
    assert found["R2"].confidence == "fact" and found["R2"].positions == [4]
    assert found["R2"].refuted_by == ""
    assert found["R10"].confidence == "high" and found["R10"].positions == [4]


def test_r10_a_deleted_group_takes_everybody_along(ask: Ask) -> None:
    told = Told().hired().joins(FINANCE, EVERYONE).later(days=9)
    told.request("DELETE", f"/Groups/{FINANCE}", group_deleted(FINANCE))
    found = ask.rules(told.later(minutes=30).disabled())
    assert found["R10"].positions == [5]
    assert "the group was deleted" in found["R10"].statement
    assert "R2" not in found


def test_r2_and_r10_do_not_speak_of_what_a_users_own_deletion_ends(ask: Ask) -> None:
    told = Told().hired().joins(FINANCE).later(days=9)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA), left(FINANCE, ADA, explicit=False))
    assert not {"R2", "R10"} & set(ask.rules(told))


@pytest.mark.parametrize(("days", "fires"), [(28.9, False), (29, True), (30, True), (31, True), (31.1, False)])
def test_r4_delete_after_30_days_is_a_hard_delete(ask: Ask, days: float, fires: bool) -> None:
    told = Told().hired().later(days=9).disabled().later(days=days, seconds=-1)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA))
    found = ask.rules(told)
    assert ("R4" in found) is fires
    if fires:
        assert found["R4"].confidence == "high" and found["R4"].positions == [3, 4]


def test_r4_is_about_entra(ask: Ask) -> None:
    told = Told().hired().later(days=9).disabled().later(days=30)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA), user_agent="Okta SCIM Client 1.0.0")
    assert "R4" not in ask.rules(told)


def burst(ask: Ask, people: int, leavers: int, *, minutes: float = 30) -> Told:
    """So many people are there, and so many of them are disabled within some minutes, Ada as the last."""
    told = Told().hired()
    told.later(days=9)
    for number in range(1, people):
        told.request("POST", "/Users", created(person(number), userName=f"u{number}", active=True))
    told.later(days=9)
    for number in range(1, leavers):
        told.disabled(person(number)).later(minutes=minutes / leavers, seconds=-1)
    told.disabled()
    back = [Made(person(1), {"userName": "u1", "active": True})]
    Directory(ask.recording.tenant.tenant_id, back).put(ask.recording.connection)
    return told


@pytest.mark.parametrize(("people", "fires"), [(239, True), (240, True), (241, False)])
def test_r5_a_burst_takes_five_percent(ask: Ask, people: int, fires: bool) -> None:
    told = burst(ask, people, 12)
    found = ask.rules(told)
    assert ("R5" in found, "R1" in found) == (fires, not fires)
    if fires:
        assert f"12 users within the hour (5.0 % of the {people} active users)" in found["R5"].statement
        assert told.entries[found["R5"].positions[0]].event_type == "Deactivated"
        assert found["R5"].positions[-1] == len(told.entries) - 1


@pytest.mark.parametrize(
    ("leavers", "minutes", "fires"), [(10, 30, True), (9, 30, False), (12, 61, True), (12, 90, False)]
)
def test_r5_a_burst_is_ten_within_an_hour(ask: Ask, leavers: int, minutes: float, fires: bool) -> None:
    assert ("R5" in ask.rules(burst(ask, 40, leavers, minutes=minutes))) is fires


@pytest.mark.parametrize(("count", "population", "fires"), [(499, 10_000, False), (500, 0, True), (9, 10, False)])
def test_r5_five_hundred_are_a_burst_in_any_tenant(count: int, population: int, fires: bool) -> None:
    """Nobody counts a million users for that."""
    now = Told().now
    assert is_burst(Burst(count, now, now, (1, 2), population)) is fires


def test_r5_the_others_are_named_only_when_asked(ask: Ask) -> None:
    told = burst(ask, 40, 12)
    silent = ask(told, ADA)
    assert not silent.others and person(3) not in str(silent)
    spoken = ask(told, ADA, Asked(others=True))
    assert len(spoken.others) == 11 and person(3) in {each.id for each in spoken.others}


def test_r5_whoever_asks_for_the_others_is_given_all_of_them(ask: Ask) -> None:
    """Else no more are read than say that it was a mass change."""
    many = BURST_MAX + 200
    told = burst(ask, many + 100, many)
    (silent,) = ask(told, ADA).explanations
    assert any(f"at least {BURST_MAX + 1:,} users" in each.statement for each in silent.inferences)
    spoken = ask(told, ADA, Asked(others=True))
    assert len(spoken.others) == many - 1
    assert any(f"deleted {many:,} users" in each.statement for each in spoken.explanations[0].inferences)


@pytest.mark.parametrize(("days", "fires"), [(31.9, False), (32.1, True)])
def test_r6_without_a_delete_it_was_no_deletion(ask: Ask, days: float, fires: bool) -> None:
    found = ask.rules(Told().hired().later(days=9).disabled(), after=days)
    assert ("R6" in found) is fires
    if fires:
        assert found["R6"].confidence == "low" and found["R6"].positions == [3]


def again(name: str, hours: float, **attributes: object) -> Told:
    told = Told().hired(externalId="E1", emails=[{"value": "ada@x.example"}]).later(days=9).disabled()
    return told.later(hours=hours, seconds=-1).hired(BOB, name, **attributes)


@pytest.mark.parametrize(("hours", "fires"), [(23.9, True), (24, True), (24.1, False)])
@pytest.mark.parametrize("subject", [ADA, BOB])
def test_r7_the_same_name_on_a_new_record_within_a_day(ask: Ask, hours: float, fires: bool, subject: str) -> None:
    """Whichever of the two is asked about."""
    told = again("ada.new", hours, externalId="E1")
    assert ("R7" in ask.rules(told, subject)) is fires
    whole = ask(told, subject)
    assert {each.id for each in whole.explanations} == ({ADA, BOB} if fires else {subject})
    assert [(link.older, link.newer) for link in whole.links] == ([(ADA, BOB)] if fires else [])


@pytest.mark.parametrize(
    ("attributes", "kinds", "confidence"),
    [
        ({"externalId": "E1"}, ["externalId"], "high"),
        ({"emails": [{"value": "ADA@x.example", "primary": True}]}, ["mail"], "medium"),
        ({"emails": [{"value": "ada@x.example"}], "externalId": "E1"}, ["externalId", "mail"], "high"),
        ({"externalId": "e1"}, [], ""),
        ({"emails": [{"value": "other@x.example"}]}, [], ""),
    ],
)
def test_r7_says_which_names_are_the_same(
    ask: Ask, attributes: dict[str, object], kinds: list[str], confidence: str
) -> None:
    links = ask(again("ada.new", 2, **attributes), BOB).links
    assert [each.kinds for each in links] == ([kinds] if kinds else [])
    assert [each.confidence for each in links] == ([confidence] if kinds else [])


def test_r7_a_record_made_shortly_before_the_old_one_ended(ask: Ask) -> None:
    told = Told().hired(externalId="E1").later(days=9).hired(BOB, "ada.new", externalId="E1").later(hours=2).disabled()
    (link,) = ask(told, "ada").links
    assert link.gap < timedelta()


def test_r7_two_active_people_with_one_mail_are_two(ask: Ask) -> None:
    shared = [{"value": "team@x.example"}]
    told = Told().hired(emails=shared).hired(BOB, "bob", emails=shared)
    assert "R7" not in ask.rules(told)


def cycles(told: Told, count: int, beat_minutes: float = 40) -> Told:
    """Entra comes every 40 minutes, sometimes in vain, and changes two people each time."""
    for number in range(count):
        told.request("PATCH", f"/Users/{BOB}", changed(BOB, "title", None, str(number)))
        told.request("PATCH", f"/Users/{person(1)}", changed(person(1), "title", None, str(number)))
        told.later(minutes=beat_minutes * (2 if number % 3 == 1 else 1), seconds=-2)
    return told


@pytest.mark.parametrize(("minutes", "fires"), [(0, False), (-12, True), (-4, False)])
def test_r8_outside_the_rhythm_is_by_hand(ask: Ask, minutes: float, fires: bool) -> None:
    told = Told().hired().hired(BOB, "bob").hired(person(1), "carol").later(days=9)
    told = cycles(told, 12).later(minutes=minutes).disabled()
    assert ("R8" in ask.rules(told)) is fires


def test_r8_is_about_one_person_alone(ask: Ask) -> None:
    told = Told().hired().hired(BOB, "bob").hired(person(1), "carol").later(days=9)
    told = cycles(told, 12).later(minutes=-12).disabled()
    told.request("PATCH", f"/Users/{BOB}", changed(BOB, "title", None, "x"))
    assert "R8" not in ask.rules(told)


def test_r8_a_client_without_rhythm_is_never_outside_it() -> None:
    start = Told().now
    irregular = [start + timedelta(minutes=minutes) for minutes in (0, 7, 50, 53, 170, 400, 408, 500)]
    assert beat_of(irregular) is None
    assert beat_of([start, start + timedelta(minutes=40)]) is None
    assert fits(timedelta(minutes=121), timedelta(minutes=40))
    assert not fits(timedelta(minutes=60), timedelta(minutes=40))


@pytest.mark.parametrize(("days", "fires"), [(6.9, True), (7, True), (7.1, False)])
def test_r9_on_and_off_within_a_week(ask: Ask, days: float, fires: bool) -> None:
    told = Told().hired().later(days=9).disabled().later(hours=1, seconds=-1)
    told.request("PATCH", f"/Users/{ADA}", reactivated(ADA))
    told.later(days=days, hours=-1, seconds=-1).disabled()
    found = ask.rules(told)
    assert ("R9" in found) is fires
    if fires:
        assert found["R9"].positions == [3, 4, 5]


@pytest.mark.parametrize(("hours", "fires"), [(23.9, True), (24, False), (30, False)])
def test_r11_a_credential_first_seen_the_day_before(ask: Ask, hours: float, fires: bool) -> None:
    told = Told().hired().hired(BOB, "bob").later(days=9)
    told.request("PATCH", f"/Users/{BOB}", changed(BOB, "title", None, "x"), **SCRIPT)
    told.later(hours=hours, seconds=-1).disabled(**SCRIPT)
    assert ("R11" in ask.rules(told)) is fires


@pytest.mark.parametrize("new", [{"client_address": "203.0.113.66"}, {"user_agent": "python-requests/2.31"}])
def test_r11_an_address_or_software_first_seen(ask: Ask, new: dict[str, str]) -> None:
    told = Told().hired().later(days=9).disabled(**new)
    assert next(iter(new.values())) in ask.rules(told)["R11"].statement


def test_r11_says_nothing_of_a_client_with_many_addresses_or_of_a_new_ledger(ask: Ask) -> None:
    told = Told().hired().hired(BOB, "bob")
    for number in range(6):
        told.request("PATCH", "/Users", changed(BOB, "title", None, str(number)), client_address=f"20.1.2.{number}")
    assert "R11" not in ask.rules(told.later(days=9).disabled(client_address="20.9.9.9"))


def test_r12_a_person_at_the_command_line_did_it_here(ask: Ask) -> None:
    found = ask.rules(Told().hired().later(days=9).disabled(**OPERATOR))
    assert set(found) == {"R12"}
    assert found["R12"].confidence == "fact"


@pytest.mark.parametrize(("minutes", "count"), [(179, 4), (180, 4), (180.01, 3), (181, 0)])
def test_r13_refused_just_before(ask: Ask, minutes: float, count: int) -> None:
    """Repetitions count; what lies more than three hours back does not."""
    told = Told().hired().later(days=9)
    refusal = {"status": 400, "scim_type": "invalidValue", "detail": "title is a text"}
    told.refused("PATCH", f"/Users/{ADA}", ADA, operations=["replace title"], **refusal)
    told.refused("PATCH", f"/Users/{ADA}", ADA, repetitions=3, operations=["replace title"], **refusal)
    told.later(minutes=minutes, seconds=-2).disabled()
    found = ask.rules(told)
    assert ("R13" in found) is (count > 0)
    if count:
        assert f"{count} requests" in found["R13"].statement


def test_nothing_is_inferred_about_somebody_who_is_simply_active(ask: Ask) -> None:
    assert ask.rules(Told().hired().joins(FINANCE), after=400) == {}
