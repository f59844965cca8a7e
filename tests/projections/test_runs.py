"""Runs: one client's requests without a pause, the same however they are read; and who comes no more."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from telling import (
    ADA,
    BOB,
    EVE,
    FINANCE,
    TOKEN,
    Telling,
    changed,
    created,
    deactivated,
    deleted,
    group_created,
    joined,
    left,
    reactivated,
)

from domain.events import Deactivated
from ledger.entry import Entry
from projections.rhythm import RunTold, seen, silent_since, usual_interval
from projections.runs import Run, Standing, visits

OTHER = "70ce0000-0000-4000-8000-0000000000aa"
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def folded(*pages: list[Entry]) -> list[Run]:
    """The runs that entries come to, read page by page."""
    standing = Standing({}, {}, set(), 0)
    runs: dict[int, Run] = {}
    for page in pages:
        runs |= standing.fold(visits(page))
    return [runs[first] for first in sorted(runs)]


def only(telling: Telling) -> Run:
    (run,) = folded(telling.entries)
    return run


def test_a_run_ends_with_a_pause_of_more_than_five_minutes() -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.later(minutes=4, seconds=59).request("POST", "/Users", created(BOB, userName="bob"))  # Five minutes later.
    telling.later(minutes=5).request("POST", "/Users", created(EVE, userName="eve"))
    first, second = folded(telling.entries)
    assert (first.first_position, first.last_position, first.requests) == (0, 1, 2)
    assert first.ended - first.started == timedelta(minutes=5)
    assert (second.first_position, second.requests, second.active_before, second.active_after) == (2, 1, 2, 3)


def test_a_run_ends_with_the_last_request_and_not_when_its_repetitions_are_recorded() -> None:
    """Recorded after the minute, or later while the database is away, they neither stretch a run nor begin one."""
    telling = Telling()
    telling.refused("POST", "/Users", status=409)
    telling.later(seconds=1).request("POST", "/Users", created(ADA, userName="ada"))
    told = {"status": 409, "repetitions": 2, "received_at": "2026-11-02T09:00:01+00:00"}
    telling.later(minutes=7).refused("POST", "/Users", **told)
    run = only(telling)
    assert run.ended - run.started == timedelta(seconds=2)
    assert (run.first_position, run.last_position) == (0, 2)
    (cut, grown) = folded(telling.entries[:2]), folded(telling.entries[:2], telling.entries[2:])
    assert (cut[0].ended, grown) == (run.ended, [run])


def test_clients_have_runs_of_their_own_at_the_same_time() -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.request("POST", "/Users", created(BOB, userName="bob"), token_id=OTHER, token_label="Script")
    telling.request("PATCH", f"/Users/{ADA}", deactivated(ADA))
    entra, script = folded(telling.entries)
    assert (entra.client_id, entra.client_label, entra.last_position) == (TOKEN, "Entra", 2)
    assert (script.client_id, script.client_label, script.requests) == (OTHER, "Script", 1)
    assert (entra.active_before, entra.active_after) == (0, 1), "of the tenant, whoever changed it"


def test_requests_are_counted_by_action_and_result() -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.refused("POST", "/Users", status=409)
    telling.refused("POST", "/Users", status=409, repetitions=7)
    telling.unchanged("PATCH", f"/Users/{ADA}", ADA)
    run = only(telling)
    assert run.counts == {"create": {"success": 1, "failure": 8}, "other": {"skipped": 1}}
    assert (run.requests, run.entries, run.repetitions) == (10, 4, 7), "the entry of the seven is no request besides"
    assert (run.users_touched, run.groups_touched) == (1, 0), "a refused creation is about nobody"


def test_a_run_tells_what_it_did_to_the_population() -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.request("POST", "/Users", created(BOB, userName="bob", active=False))
    telling.request("POST", "/Groups", group_created(FINANCE, "Finance"), joined(FINANCE, ADA), joined(FINANCE, BOB))
    telling.request("PATCH", f"/Users/{ADA}", deactivated(ADA))
    telling.request("PATCH", f"/Users/{BOB}", reactivated(BOB))
    telling.request("DELETE", f"/Users/{ADA}", left(FINANCE, ADA, explicit=False), deleted(ADA))
    telling.request("DELETE", f"/Users/{BOB}", left(FINANCE, BOB, explicit=False), deleted(BOB))
    run = only(telling)
    assert (run.users_created, run.users_deactivated, run.users_reactivated, run.users_deleted) == (2, 1, 1, 2)
    assert (run.groups_created, run.groups_deleted) == (1, 0)
    assert (run.memberships_added, run.memberships_removed) == (2, 2)
    assert (run.active_before, run.active_after) == (0, 0)
    assert (run.users_touched, run.groups_touched) == (2, 1)


@pytest.mark.parametrize(
    ("happening", "active"),
    [
        (deactivated(ADA), 0),
        (deactivated(ADA, None), 0),
        (deleted(ADA), 0),
        (changed(ADA, "active", True, None), 1),
    ],
)
def test_who_is_active_is_counted_whatever_said_so(happening: Any, active: int) -> None:
    """A user whose `active` nobody assigned is active, as `why` has it."""
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.request("PATCH", f"/Users/{ADA}", happening)
    assert only(telling).active_after == active


def test_a_user_whose_inactive_state_is_unassigned_is_active_again() -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada", active=False))
    telling.request("PUT", f"/Users/{ADA}", changed(ADA, "active", False, None))
    telling.request("DELETE", f"/Users/{ADA}", deleted(ADA))
    assert only(telling).active_after == 0
    assert folded(telling.entries[:2])[0].active_after == 1


def test_what_is_no_user_does_not_count_as_one() -> None:
    """Resources of a tenant's own types can be active as well."""
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"))
    telling.request("PATCH", f"/Devices/{BOB}", (f"devices/{BOB}", BOB, Deactivated()))
    run = only(telling)
    assert (run.users_deactivated, run.users_touched, run.active_after) == (0, 1, 1)


def test_an_activity_id_is_told_when_all_requests_had_the_same() -> None:
    one, two = (f"1d3b6a4e-0000-4000-8000-00000000000{n}" for n in (1, 2))
    same, different = Telling(), Telling()
    for telling, ids in ((same, (one, one)), (different, (one, two))):
        for each in ids:
            told = {"adscimversion": f"Date:2026, ActivityId:{each}"}
            telling.unchanged("PATCH", f"/Users/{ADA}", ADA, correlation=told)
    assert (only(same).activity_id, only(different).activity_id) == (one, "")


HAPPENINGS = st.sampled_from(["create", "disable", "enable", "delete", "join", "refuse", "nothing"])


@st.composite
def lives(draw: st.DrawFn) -> list[Entry]:
    """A ledger of three people, two clients and pauses around the gap."""
    telling, alive = Telling(), dict[str, bool]()
    for what in draw(st.lists(HAPPENINGS, min_size=1, max_size=25)):
        person, path = draw(st.sampled_from([ADA, BOB, EVE])), "/Users/x"
        by = draw(st.sampled_from([TOKEN, OTHER]))
        telling.later(seconds=draw(st.sampled_from([0, 30, 298, 299, 300, 900])))
        cause = {"token_id": by, "token_label": by[-2:], "client_address": draw(st.sampled_from(["a", "b"]))}
        if what == "create" and person not in alive:
            alive[person] = draw(st.booleans())
            telling.request("POST", "/Users", created(person, userName="x", active=alive[person]), **cause)
        elif what in ("disable", "enable") and alive.get(person) is (what == "disable"):
            alive[person] = not alive[person]
            happening = reactivated(person) if alive[person] else deactivated(person)
            telling.request("PATCH", path, happening, **cause)
        elif what == "delete" and person in alive:
            del alive[person]
            telling.request("DELETE", path, deleted(person), **cause)
        elif what == "join":
            telling.request("PATCH", path, joined(FINANCE, person), **cause)
        elif what == "refuse":
            telling.refused("POST", "/Users", **cause)
        else:
            telling.unchanged("PATCH", f"/Users/{person}", person, **cause)
    return telling.entries


@given(lives(), st.data())
def test_runs_are_the_same_for_every_size_of_page(entries: list[Entry], data: st.DataObject) -> None:
    """The runner may stop and go on wherever it likes."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(entries)))))
    pages = [entries[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
    assert folded(*pages) == folded(entries)


@given(lives())
def test_every_request_is_in_one_run_and_the_population_adds_up(entries: list[Entry]) -> None:
    runs = folded(entries)
    assert sum(run.requests for run in runs) == len(list(visits(entries)))
    inactive: dict[str, bool] = {}
    for visit in visits(entries):
        for user_id, turn in visit.turns:
            inactive[user_id] = turn in ("created inactive", "deactivated", "deleted")
    assert max(runs, key=lambda run: run.last_position).active_after == list(inactive.values()).count(False)


@given(lives())
def test_the_numbers_of_a_run_follow_unless_another_client_came_in_between(entries: list[Entry]) -> None:
    runs = folded(entries)
    for run in runs:
        others = [each for each in runs if each.client_id != run.client_id]
        alone = all(
            each.last_position < run.first_position or run.last_position < each.first_position for each in others
        )
        assert RunTold(*astuple(run)).follows or not alone


def starts(*minutes: float) -> list[datetime]:
    return [NOON + timedelta(minutes=minute) for minute in minutes]


@pytest.mark.parametrize(
    ("minutes", "usual"),
    [
        ((0, 40, 80, 121, 160), 40),
        ((0, 40, 80, 700, 740, 780, 820), 40),  # One night without changes.
        ((0, 40, 80), None),
        ((0, 3_000, 3_001, 9_000, 9_030, 50_000), None),
        ((), None),
    ],
)
def test_a_regular_client_has_a_usual_interval(minutes: tuple[float, ...], usual: float | None) -> None:
    found = usual_interval(starts(*minutes))
    assert found == (None if usual is None else timedelta(minutes=usual))


def test_silence_is_two_hours_and_three_intervals() -> None:
    every40, daily = timedelta(minutes=40), timedelta(days=1)
    assert silent_since(every40, NOON, NOON + timedelta(hours=2)) is None
    assert silent_since(every40, NOON, NOON + timedelta(hours=2, seconds=1)) == NOON
    assert silent_since(timedelta(minutes=1), NOON, NOON + timedelta(hours=2)) is None
    assert silent_since(daily, NOON, NOON + timedelta(days=3)) is None
    assert silent_since(daily, NOON, NOON + timedelta(days=3, seconds=1)) == NOON
    assert silent_since(None, NOON, NOON + timedelta(days=300)) is None


def test_a_client_that_only_reads_is_not_silent() -> None:
    """A cycle that finds nothing to change leaves no entry, but its token was used."""
    runs = [(start, start + timedelta(minutes=1)) for start in starts(0, 40, 80, 120)]
    now = NOON + timedelta(hours=9)
    silent = seen("c", "Entra", NOON, runs, now)
    assert (silent.last_seen, silent.silent_since) == (runs[-1][1], runs[-1][1])
    assert (silent.usual_interval_s, seen("c", "Entra", now, runs, now).silent_since) == (2_400, None)
    assert seen("c", "Entra", None, [], now).last_seen is None
