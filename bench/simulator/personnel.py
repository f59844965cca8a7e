"""Personnel's own file of whose employment ended when: what an auditor lays beside the ledger.

Partly incomplete on purpose: some who left are not in it, some in it never had an account, and not every row has
each identifier.
"""

import csv
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from bench.simulator.company import END, Company
from bench.simulator.truth import Situation, Truth

FIELDS = ("employee_id", "user_name", "external_id", "terminated_at")
LEFT_OUT_OF = 12  # One leaver in so many is not in the file,
WITHOUT_EXTERNAL_ID_OF = 7  # and one row in so many has no externalId.
NEVER_HERE = 3  # People in the file who never had an account.


class PersonnelRow(Struct, frozen=True):
    """A line of the file. kind: how they left, empty for somebody who never had an account. Not in the file."""

    employee_id: str
    user_name: str
    external_id: str
    terminated_at: datetime
    kind: str = ""


class PersonnelFile(Struct, frozen=True):
    """The file, and who is missing in it."""

    rows: list[PersonnelRow]
    left_out: list[Situation]


def personnel_file(company: Company, truth: Truth) -> PersonnelFile:
    """Return what Personnel exports of the story, by time of termination."""
    rows, left_out = [], []
    for turn, situation in enumerate(truth.leavers(), 1):
        if turn % LEFT_OUT_OF == 0 and situation.kind != "terminated_active":
            left_out.append(situation)
            continue
        person = company.person(situation.who)
        external_id = "" if turn % WITHOUT_EXTERNAL_ID_OF == 0 else person.alias
        assert situation.terminated_at is not None
        rows.append(
            PersonnelRow(person.employee_id, person.user_name, external_id, situation.terminated_at, situation.kind)
        )
    for turn in range(NEVER_HERE):
        at = END - timedelta(days=200 + turn)
        rows.append(PersonnelRow(f"X{turn:06d}", f"contractor{turn}@elsewhere.example", "", at))
    return PersonnelFile(sorted(rows, key=lambda row: row.terminated_at), left_out)


def write_personnel_csv(rows: list[PersonnelRow], path: Path) -> None:
    """Write the CSV file: employee id, userName, externalId, time of termination in UTC."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in rows:
            at = row.terminated_at.isoformat(timespec="seconds").replace("+00:00", "Z")
            writer.writerow((row.employee_id, row.user_name, row.external_id, at))
