"""Reports on a few entries that somebody could misread: what a row and a figure say of them."""

import io
from typing import Any

import pytest
from reporting import Listed, listed

from projections.log import read_log
from projections.reports import bursts
from projections.reports.catalog import REPORTS
from projections.reports.frame import Asked, Scope
from projections.rhythm import read_runs
from tests.projections.telling import ADA, BOB, EVE, changed, deleted, reactivated
from tests.projections.whying import Ask, Told

LEFT, NEW = "1ef70000-0000-4000-8000-000000000004", "4e400000-0000-4000-8000-000000000005"
OCTOBER, NOVEMBER = "2026-10-01T00:00:00+00:00", "2026-11-02T09:00:00+00:00"


def made(ask: Ask, told: Told, name: str, *, file: str = "", since: int | None = None, **parameters: str) -> Listed:
    """A report of everything, or since a position; beside a file's lines."""
    reader = ask.written(told)
    asked = Asked(since=since, until=reader.size() - 1, file=io.BytesIO(file.encode()) if file else None)
    return listed(reader, name, asked, **parameters)


def column(found: Listed, *names: str) -> list[tuple[Any, ...]]:
    """What the rows have in some columns."""
    return [tuple(row[name] for name in names) for row in found.rows]


@pytest.fixture
def leaving() -> Told:
    """Positions 2 to 5: Ada, Bob, Eve and a fourth come in October. 6 to 9: all of them end on 2 November."""
    told = Told()
    told.at(OCTOBER)
    people = {ADA: "ada", BOB: "bob", EVE: "eve", LEFT: "left"}
    for user_id, name in people.items():
        told.hired(user_id, name)
    told.at(NOVEMBER)
    for user_id in people:
        told.disabled(user_id)
    return told


def test_who_is_in_the_file_with_another_time_is_not_said_to_be_missing(ask: Ask, leaving: Told) -> None:
    """A date counts as that day's end, so today's leavers lie outside a report that is made today."""
    file = "user_name,terminated_at\nada,2026-11-02\nada,2027-03-31\nbob,2026-09-30\neve,2026-11-02T08:00:00Z\n"
    found = made(ask, leaving, "leavers", file=file, since=5)
    outside = "in the file, with a termination outside the period: "
    assert column(found, "userName", "exception", "line") == [
        ("eve", "", "line 5"), ("ada", f"{outside}2026-11-03T00:00:00.000Z", "line 2"),
        ("bob", f"{outside}2026-10-01T00:00:00.000Z", "line 4"), ("left", "not in the file", None),
    ]  # fmt: skip
    assert found.value("Accounts ended and in the file with a termination outside the period") == 2
    assert found.value("Accounts ended and not in the file") == 1
    assert found.value("Terminations outside the period, not compared") == 3


def test_an_earlier_account_of_somebody_in_the_file_is_not_said_to_be_missing(ask: Ask) -> None:
    """The termination is about the account that was there then; the other one ended before."""
    told = Told()
    told.hired().request("DELETE", f"/Users/{ADA}", deleted(ADA))
    told.hired(BOB, "ada").disabled(BOB)
    found = made(ask, told, "leavers", file="user_name,terminated_at\nada,2026-11-02T09:00:02Z\n")
    assert column(found, "id", "exception") == [
        (BOB, ""), (ADA, "in the file, with a termination of another account by these names"),
    ]  # fmt: skip
    assert found.value("Accounts ended and not in the file") == 0


def test_a_name_taken_again_and_again_is_a_row_for_each_new_account(ask: Ask) -> None:
    """With the account that had it just before, whoever else had it earlier; also over the ends of pages."""
    told = Told()
    ids = [f"ada00000-0000-4000-8000-{number:012}" for number in range(1_100)]
    for user_id in ids:
        told.hired(user_id).request("DELETE", f"/Users/{user_id}", deleted(user_id))
    found = made(ask, told, "reactivations")
    assert column(found, "id", "earlier_id") == [(ids[at], ids[at - 1]) for at in range(1, len(ids))]
    assert found.value("New accounts under an earlier account's name") == len(ids) - 1 == found.matched
    part = made(ask, told, "reactivations", since=found.rows[500]["position"] - 1)
    assert part.rows == found.rows[500:]


def test_a_new_account_with_two_earlier_ones_names_is_one_row(ask: Ask) -> None:
    """Its predecessor is who took a name last; the rule names the other one."""
    told = Told().hired(externalId="e1").hired(BOB, "bob", externalId="e2")
    for user_id in (ADA, BOB):
        told.request("DELETE", f"/Users/{user_id}", deleted(user_id))
    told.hired(EVE, "ada", externalId="e2")
    told.request("DELETE", f"/Users/{EVE}", deleted(EVE))
    told.hired(NEW, "ada", externalId="e2")
    assert column(made(ask, told, "reactivations"), "id", "earlier_id", "rule") == [
        (EVE, BOB, f"R7: same externalId within 24 hours; same userName as {ADA}"),
        (NEW, EVE, "R7: same userName and externalId within 24 hours"),
    ]


def test_the_header_describes_leavers_who_came_within_the_period_too(ask: Ask) -> None:
    """Who came and left within it is listed: none of them was active when it began."""
    told = Told().hired().disabled()
    reader = ask.written(told)
    scope = Scope(reader, REPORTS["leavers"], Asked(since=1, until=reader.size() - 1))
    assert [row[4] for row in REPORTS["leavers"].begin(scope)] == [ADA]
    assert scope.filters[0] == (
        "accounts that stopped being active within the period and are not active at its end, those made within it "
        "included"
    )


@pytest.fixture
def staged() -> Told:
    """Ada is made disabled and deleted, Bob made disabled; Eve is made disabled, let in and disabled again; a fourth is
    made active, disabled and deleted."""
    told = Told().hired(active=False)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA))
    told.hired(BOB, "bob", active=False).hired(EVE, "eve", active=False)
    told.request("PATCH", f"/Users/{EVE}", reactivated(EVE))
    told.disabled(EVE).hired(LEFT, "left").disabled(LEFT)
    told.request("DELETE", f"/Users/{LEFT}", deleted(LEFT))
    return told


def test_who_was_never_active_did_not_leave(ask: Ask, staged: Told) -> None:
    """And is counted apart, as *movement* counts who was created and deleted while disabled."""
    found, moved = made(ask, staged, "leavers"), made(ask, staged, "movement").rows[-1]
    assert column(found, "id", "channel") == [(EVE, "disabled by PATCH"), (LEFT, "disabled by PATCH")]
    assert found.value("Accounts that ended by being disabled") == 2 and not found.contradictions
    created = found.value("Accounts created disabled")
    assert created == f"2 never active, no leavers + 1 active since = {moved['created_disabled']}"
    gone = found.value("Accounts deleted while disabled")
    assert gone == f"1 never active + 1 disabled before = {moved['deleted_disabled']}"
    assert made(ask, staged, "leavers", since=8).value("Accounts that ended by being disabled") == 1


def test_a_termination_of_who_was_never_active_says_so(ask: Ask, staged: Told) -> None:
    """Nothing was disabled in time, for there was nothing to disable."""
    found = made(ask, staged, "leavers", file="user_name,terminated_at\nbob,2026-11-02T09:00:05Z\n")
    assert column(found, "id", "exception", "in_time", "ended_at")[0] == (
        BOB, "the account was never active", None, None,
    )  # fmt: skip
    assert column(found, "id", "exception")[1:] == [(EVE, "not in the file"), (LEFT, "not in the file")]
    assert found.value("Accounts in the file and never active") == 1
    assert found.value("Accounts disabled in time") == 0


def test_taking_active_away_is_one_reactivation_everywhere(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry is an AttributeChanged: movement, reactivations, actors, bursts, runs and the log say the same."""
    monkeypatch.setattr(bursts, "USERS_MIN", 1)
    told = Told().hired().disabled()
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", False, None))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", None, True))
    moved, (actor,) = made(ask, told, "movement").rows[-1], made(ask, told, "actors").rows
    assert (moved["reactivated"], actor["disables"], actor["enables"], actor["updates"]) == (1, 1, 1, 1)
    assert column(made(ask, told, "reactivations"), "what", "position") == [("reactivated", 4)]
    (burst,) = made(ask, told, "bursts").rows
    assert (burst["reactivated_since"], burst["last_reactivated_at"]) == (1, told.entries[4].recorded_at)
    reader = ask.reader
    run = read_runs(reader.connection, reader.tenant, reader.size()).runs[0]
    assert (run.users_deactivated, run.users_reactivated, run.active_after) == (1, 1, 1)
    for action, position in (("disable", 3), ("enable", 4), ("update", 5)):
        found = read_log(reader.connection, reader.tenant, reader.size(), action=action)
        assert [record.first_position for record in found.records] == [position]


def test_deleting_who_was_disabled_already_is_no_burst(ask: Ask) -> None:
    """Nobody lost access by it; and who is disabled and then deleted in one run lost it once."""
    told, people = Told(), [f"ada00000-0000-4000-8000-{number:012}" for number in range(36)]
    for number, user_id in enumerate(people):
        told.hired(user_id, f"u{number}")
    before, both, active = people[:12], people[12:24], people[24:]
    for user_id in before:
        told.disabled(user_id).later(minutes=10)
    for user_id in before:
        told.request("DELETE", f"/Users/{user_id}", deleted(user_id))
    told.later(hours=1)
    for user_id in both:
        told.disabled(user_id)
    for user_id in (*both, *active):
        told.request("DELETE", f"/Users/{user_id}", deleted(user_id))
    found = made(ask, told, "bursts")
    assert column(found, "deactivated", "deleted", "deleted_disabled", "share_percent") == [(12, 12, 12, 100.0)]
    assert found.value("Active users deactivated or deleted in them, each time") == 24
    assert found.value("Users deleted in them who were disabled already, not counted") == 12
