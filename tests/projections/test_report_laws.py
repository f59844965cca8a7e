"""Reports on three simulated years: what they count is what the story says, and it adds up."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from reporting import listed

from bench.simulator.simulation import Simulated
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.reports import changes
from projections.reports.frame import Asked
from tests.conftest import Database


@pytest.fixture(scope="module")
def reader(postgres: Database, keys: Keys, simulated: Simulated) -> Iterator[Reader]:
    """The simulated ledger, for reading."""
    with psycopg.connect(postgres.app_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield Reader(connection, simulated.tenant, Vault.load(connection, simulated.tenant.tenant_id, keys))


@pytest.mark.parametrize("month", [3, 17, -1])
def test_a_population_is_everybody_who_was_there(reader: Reader, simulated: Simulated, month: int) -> None:
    truth = simulated.truth.counts[month]
    found = listed(reader, "population", Asked(as_of=truth.size - 1))
    assert not found.contradictions
    assert (found.value("Accounts that are active"), found.value("Accounts that are disabled")) == (
        truth.active, truth.inactive,
    )  # fmt: skip
    assert len(found.rows) == found.matched == truth.active + truth.inactive
    assert found.value("Accounts created, by entries") == truth.events["UserCreated"] == found.scanned
    assert len({row["id"] for row in found.rows}) == len(found.rows)
    assert sum(row["groups"] for row in found.rows) == truth.memberships
    assert {row["created_by"] for row in found.rows} <= {token.label for token in simulated.truth.tokens}
    assert len(listed(reader, "population", Asked(as_of=truth.size - 1), state="disabled").rows) == truth.inactive


def test_what_happened_in_a_month_adds_up_to_what_the_story_says(reader: Reader, simulated: Simulated) -> None:
    """Month by month: from what the directory held at its beginning to what it held at its end."""
    for before, after in pairwise(simulated.truth.counts):
        moved = listed(reader, "movement", Asked(since=before.size - 1, until=after.size - 1))
        assert not moved.contradictions
        whole = moved.rows[-1]
        assert (whole["opening"], whole["closing"], whole["closing_disabled"]) == (
            before.active, after.active, after.inactive,
        )  # fmt: skip
        for column, event in (("deactivated", "Deactivated"), ("reactivated", "Reactivated")):
            assert whole[column] == after.events.get(event, 0) - before.events.get(event, 0)
        deleted = after.events.get("UserDeleted", 0) - before.events.get("UserDeleted", 0)
        assert whole["deleted"] + whole["deleted_disabled"] == deleted


def test_the_months_of_a_period_follow_from_each_other(reader: Reader, simulated: Simulated) -> None:
    rows = listed(reader, "movement", Asked(until=simulated.size - 1)).rows
    assert [row["month"] for row in rows] == [
        f"{year}-{month:02}" for year in (2023, 2024, 2025) for month in range(1, 13)
    ] + ["whole period"]
    for earlier, later in pairwise(rows[:-1]):
        assert later["opening"] == earlier["closing"]
        assert later["first_position"] == earlier["last_position"] + 1
    assert rows[-1]["opening"] == 0 and rows[-1]["closing"] == rows[-2]["closing"]
    assert rows[-1]["deactivated"] == sum(row["deactivated"] for row in rows[:-1])


def test_every_membership_is_listed(reader: Reader, simulated: Simulated) -> None:
    truth = simulated.truth.counts[20]
    found = listed(reader, "group-membership", Asked(as_of=truth.size - 1))
    assert not found.contradictions
    assert (found.value("Groups"), found.value("Direct memberships")) == (truth.groups, truth.memberships)
    one = listed(reader, "group-membership", Asked(as_of=truth.size - 1), group="domain admins")
    assert not one.contradictions and one.rows
    assert one.rows == [row for row in found.rows if row["group"] == "Domain Admins"]


def test_leavers_are_as_late_as_the_story_says(reader: Reader, simulated: Simulated, personnel: Path) -> None:
    """Each of Personnel's lines; who is still active, who never was here, who is missing in the file."""
    with personnel.open("rb") as file:
        found = listed(reader, "leavers", Asked(file=file))
    assert not found.contradictions
    by_line = {row["employee_id"]: row for row in found.rows if row["terminated_at"] is not None}
    truth = {simulated.company.person(each.who).employee_id: each for each in simulated.truth.leavers()}
    assert set(by_line) == {row.employee_id for row in simulated.personnel.rows}
    for line in simulated.personnel.rows:
        row = by_line[line.employee_id]
        if not line.kind:
            assert (row["exception"], row["id"], row["in_time"]) == ("no account by these names", "", None)
            continue
        situation = truth[line.employee_id]
        gone = [step for step in situation.steps if {"Deactivated", "UserDeleted"} & set(step.events)]
        assert row["terminated_at"] == line.terminated_at and row["id"] in simulated.truth.ids[situation.who]
        if line.kind == "terminated_active":
            assert (row["exception"], row["state"], row["in_time"]) == ("still active", "active", False)
            continue
        assert row["ended_at"] == gone[0].at
        assert row["hours"] == round((gone[0].at - line.terminated_at).total_seconds() / 3_600, 2)
        assert row["exception"] == ("disabled late" if line.kind == "disabled_late" else ""), line.kind
        assert row["in_time"] is (line.kind != "disabled_late") and row["request_id"] == gone[0].request_id
    missing = {row["id"] for row in found.rows if row["exception"] == "not in the file"}
    assert {simulated.truth.ids[each.who][-1] for each in simulated.personnel.left_out} <= missing
    assert not missing & {row["id"] for row in by_line.values()}


def test_leavers_without_a_file_are_those_who_are_gone(reader: Reader, simulated: Simulated) -> None:
    found = listed(reader, "leavers")
    assert not found.contradictions
    last = simulated.truth.counts[-1]
    assert len(found.rows) == last.inactive + last.events["UserDeleted"]
    assert {row["state"] for row in found.rows} == {"disabled", "deleted"}
    since = simulated.truth.counts[23]
    year = listed(reader, "leavers", Asked(since=since.size - 1))
    assert year.rows == [row for row in found.rows if row["position"] >= since.size]


def test_joiners_are_whoever_was_created(reader: Reader, simulated: Simulated) -> None:
    before, after = simulated.truth.counts[4], simulated.truth.counts[7]
    found = listed(reader, "joiners", Asked(since=before.size - 1, until=after.size - 1))
    assert not found.contradictions
    assert len(found.rows) == after.events["UserCreated"] - before.events["UserCreated"] > 0
    assert all(row["hours_to_first_group"] is None or row["hours_to_first_group"] >= 0 for row in found.rows)


def test_those_who_came_back_are_told(reader: Reader, simulated: Simulated) -> None:
    """The mistake's victims, the re-hired, who flapped; and new records under an old name, by the rule."""
    found = listed(reader, "reactivations")
    assert not found.contradictions
    again = [row for row in found.rows if row["what"] == "reactivated"]
    assert len(again) == simulated.truth.counts[-1].events["Reactivated"]
    for situation in simulated.truth.of_kind("rehired"):
        disabled, enabled = situation.first("disable"), situation.first("enable")
        (row,) = [row for row in again if row["id"] == enabled.subject_id and row["request_id"] == enabled.request_id]
        assert (row["ended_at"], row["back_at"]) == (disabled.at, enabled.at)
        assert row["groups_before"] >= 3 and row["groups_after"] == 0
    for kind, name in (("recreated_external_id", "externalId"), ("recreated_user_name", "userName")):
        for situation in simulated.truth.of_kind(kind):
            old, new = simulated.truth.ids[situation.who]
            (row,) = [row for row in found.rows if row["id"] == new and row["what"] == "re-created"]
            assert (row["earlier_id"], row["rule"]) == (old, f"R7: same {name} within 24 hours")


def test_candidates_are_those_that_were_planted(reader: Reader, simulated: Simulated) -> None:
    found = listed(reader, "orphans", days="1000")
    assert not found.contradictions
    by: dict[str, set[str]] = {}
    for row in found.rows:
        by.setdefault(row["finding"], set()).add(row["id"])
    orphans = {situation.steps[0].subject_id for situation in simulated.truth.of_kind("orphan")}
    assert orphans <= by["no externalId"] and orphans <= by["in no group"]
    assert {simulated.truth.ids[each.who][-1] for each in simulated.truth.of_kind("groupless")} <= by["in no group"]
    for situation in simulated.truth.of_kind("duplicate"):
        pair = {simulated.truth.ids[situation.who][0], situation.first("create").subject_id}
        assert pair <= by["same mail as another account"]
    assert found.scanned == simulated.truth.counts[-1].active + simulated.truth.counts[-1].inactive


def test_the_mistake_is_a_burst_that_was_repaired(reader: Reader, simulated: Simulated) -> None:
    (mistake,) = simulated.truth.of_kind("mass_mistake")
    bursts = [row for row in listed(reader, "bursts").rows if row["deactivated"]]
    assert [row["run"] for row in bursts] == [mistake.all("disable")[0].position]
    (burst,) = bursts
    assert burst["deactivated"] == len(mistake.all("disable")) and burst["suspected_cause"].startswith("R5")
    assert burst["reactivated_since"] >= len(mistake.all("enable"))


def test_failures_are_counted_once_and_followed_to_their_end(reader: Reader, simulated: Simulated) -> None:
    found = listed(reader, "failures")
    assert not found.contradictions
    for situation in simulated.truth.of_kind("name_taken"):
        tries = situation.all("change")
        rows = [row for row in found.rows if row["target_id"] == tries[0].subject_id and row["status"] == 409]
        assert sum(row["requests"] for row in rows) == len(tries) - 1
        assert {row["still_failing"] for row in rows} == {"no"} and rows[-1]["later_success_at"] <= tries[-1].at


def test_everybody_who_acted_is_told(reader: Reader, simulated: Simulated) -> None:
    found = listed(reader, "actors")
    assert not found.contradictions
    told = {row["label"]: row for row in found.rows}
    assert set(told) == {*(token.label for token in simulated.truth.tokens), "operator (command line)"}
    for token in simulated.truth.tokens:
        row = told[token.label]
        assert (row["id"], row["created_at"], row["revoked_at"]) == (token.token_id, token.issued_at, token.revoked_at)
    assert simulated.truth.new_address in told["Help desk"]["addresses"]


def test_one_users_history_and_all_groups_changes_are_complete(reader: Reader, simulated: Simulated) -> None:
    (renamed, *_) = simulated.truth.of_kind("renamed")
    user_id = simulated.truth.ids[renamed.who][-1]
    mine = listed(reader, "changes", subject=user_id)
    assert not mine.contradictions and mine.rows[0]["event"] == "UserCreated"
    assert any(row["attribute"] == "userName" and row["before"] for row in mine.rows)
    (refused, *_) = simulated.truth.of_kind("name_taken")
    theirs = listed(reader, "changes", subject=refused.all("change")[0].subject_id)
    assert not theirs.contradictions
    assert "RequestRefused" in {row["event"] for row in theirs.rows}
    events = simulated.truth.counts[-1].events
    groups = listed(reader, "group-changes")
    assert not groups.contradictions
    for change, event in (("member added", "MembershipAdded"), ("member removed", "MembershipRemoved")):
        assert groups.value(f"Groups and memberships: {change}") == events[event]
    privileged = listed(reader, "group-changes", group="domain admins")
    assert not privileged.contradictions
    assert privileged.rows == [row for row in groups.rows if row["group"] == "Domain Admins"]


def test_a_history_is_the_same_in_pages_of_any_size(
    reader: Reader, simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = simulated.truth.of_kind("name_taken")[0].all("change")[0].subject_id
    whole = listed(reader, "changes", subject=user_id)
    monkeypatch.setattr(changes, "PAGE", 7)
    assert listed(reader, "changes", subject=user_id) == whole and len(whole.rows) > 7


def test_every_statement_about_the_ledger_holds(reader: Reader, simulated: Simulated) -> None:
    found = listed(reader, "integrity", Asked(as_of=simulated.size - 1))
    assert not found.contradictions
    assert {row["result"] for row in found.rows} == {"holds", "counted", "not covered"}
