"""What lies beside a simulated ledger: Personnel's file and Entra's provisioning log, incomplete as told."""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from bench.simulator.company import END, MISTAKE
from bench.simulator.fates import LEAVERS
from bench.simulator.personnel import FIELDS, write_personnel_csv
from bench.simulator.provisioning_log import EXPORTED, LogRow, write_csv, write_json
from bench.simulator.simulation import Simulated
from tests.conftest import Database


def read(path: Path) -> list[dict[str, str]]:
    """A CSV file's lines by their header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def rows(simulated: Simulated) -> list[LogRow]:
    """The log of the last 30 days."""
    return simulated.provisioning_log.exported(*EXPORTED[1])


def test_personnel_names_leavers_and_some_who_never_had_an_account(simulated: Simulated, tmp_path: Path) -> None:
    write_personnel_csv(simulated.personnel.rows, tmp_path / "leavers.csv")
    lines = read(tmp_path / "leavers.csv")
    assert tuple(lines[0]) == FIELDS
    times = [line["terminated_at"] for line in lines]
    assert times == sorted(times) and all(at.endswith("Z") for at in times)
    kinds = {row.kind for row in simulated.personnel.rows}
    assert kinds == {*LEAVERS, ""}
    assert any(not line["external_id"] for line in lines) and all(line["user_name"] for line in lines)
    listed = {row.employee_id for row in simulated.personnel.rows}
    missing = {simulated.company.person(situation.who).employee_id for situation in simulated.personnel.left_out}
    assert missing and not missing & listed


def test_every_exported_row_leads_to_the_request_it_tells_of(
    rows: list[LogRow], simulated: Simulated, database: Database
) -> None:
    """By the id of the target and the time, within seconds; rows of what was never sent lead nowhere."""
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute(
            "select request_id::text, recorded_at, target_id::text, correlation::text from trail where tenant_id = %s",
            (simulated.tenant.tenant_id,),
        ).fetchall()
    requests = {request_id: rest for request_id, *rest in found}
    assert rows
    for row in rows:
        document = row.document
        if not row.request_id:
            assert document["provisioningStatusInfo"]["status"] == "skipped" and not document["targetIdentity"]["id"]
            continue
        at, target_id, correlation = requests[row.request_id]
        assert abs(datetime.fromisoformat(document["activityDateTime"]) - at) < timedelta(seconds=5)
        assert document["targetIdentity"]["id"] == (target_id or "")
        assert document["changeId"] in correlation


def test_the_export_is_incomplete_on_purpose(simulated: Simulated) -> None:
    log = simulated.provisioning_log
    assert any(row.left_out for row in log.rows) and any(not row.request_id for row in log.rows)
    assert all(any(start <= row.at < end for start, end in EXPORTED) for row in log.rows)
    assert len(log.exported(*EXPORTED[0])) > 10
    cycles = {row.document["cycleId"] for row in log.rows if row.document["provisioningAction"] == "disable"}
    mistake = [row for row in log.rows if row.document["provisioningAction"] == "disable" and row.at > MISTAKE]
    assert len(cycles) < len(mistake)


def test_json_and_csv_hold_the_same_rows(rows: list[LogRow], tmp_path: Path) -> None:
    write_json(rows, tmp_path / "log.json")
    write_csv(rows, tmp_path)
    documents = json.loads((tmp_path / "log.json").read_text())
    assert documents == [row.document for row in rows]
    summary = read(tmp_path / "ProvisioningLogs.csv")
    assert [line["changeId"] for line in summary] == [document["changeId"] for document in documents]
    assert {line["targetIdentity.id"] for line in summary} == {each["targetIdentity"]["id"] for each in documents}
    steps = read(tmp_path / "ProvisioningLogs_ProvisioningSteps.csv")
    assert len(steps) == sum(len(document["provisioningSteps"]) for document in documents)
    changes = read(tmp_path / "ProvisioningLogs_ModifiedProperties.csv")
    assert len(changes) == sum(len(document["modifiedProperties"]) for document in documents)
    assert {line["changeId"] for line in (*steps, *changes)} <= {line["changeId"] for line in summary}
    assert END - timedelta(days=30) <= min(row.at for row in rows)
