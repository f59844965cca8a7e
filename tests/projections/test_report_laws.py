"""Reports on three simulated years: what they count is what the story says, and it adds up."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from reporting import listed

from bench.simulator.personnel import write_personnel_csv
from bench.simulator.simulation import Simulated
from ledger.reader import Reader
from ledger.vault import Keys, Vault
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


def test_the_months_of_a_period_follow_from_each_other(reader: Reader) -> None:
    rows = listed(reader, "movement").rows
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


@pytest.fixture(scope="module")
def personnel(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that Personnel exports."""
    path = tmp_path_factory.mktemp("personnel") / "terminations.csv"
    write_personnel_csv(simulated.personnel.rows, path)
    return path


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
