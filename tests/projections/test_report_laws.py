"""Reports on three simulated years: what they count is what the story says, and it adds up."""

from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest
from reporting import listed

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
