"""Every form in which Entra's log is exported is read alike; what is no export is refused with the row or line."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from exporting import CYCLE, JOB, NOON, array, identifier, lines, pages, record, three_files

from projections.entra import EntraProperty, EntraRow
from projections.entra_files import PropertyPart, StepPart, read_export
from projections.files import BadFile

ADA = "ada00000-0000-4000-8000-000000000001"
RECORDS = [
    record("create", ADA, who="Ada", properties={"userName": (None, "ada@contoso.example"), "active": (None, "True")}),
    record("disable", ADA, who="Ada", at=NOON + timedelta(minutes=40), properties={"active": ("True", "False")}),
    record("other", "", who="Bo", status="skipped", skip="NotEffectivelyEntitled"),
    record("create", "", who="Żółć 🦊", status="failure", error="EntryConflict"),
    record("update", "g-0017", who="Sales, EMEA", kind="Group"),
]  # fmt: skip


def rows(file: io.BytesIO) -> list[EntraRow]:
    return [piece for piece in read_export(file) if isinstance(piece, EntraRow)]


@pytest.mark.parametrize("form", [array, pages, lines, lambda records: pages(records, 100)])
def test_every_form_of_json_is_read_alike(form: Callable[[Any], io.BytesIO]) -> None:
    assert rows(form(RECORDS)) == rows(array(RECORDS))
    assert len(rows(form(RECORDS))) == len(RECORDS)


def test_a_row_says_what_no_scim_request_can() -> None:
    created, disabled, skipped, failed, group = rows(array(RECORDS))
    assert (created.row_id, created.change_id) == (RECORDS[0]["id"], RECORDS[0]["changeId"])
    assert (created.cycle_id, created.job_id, created.target_id, created.at) == (CYCLE, JOB, ADA, NOON)
    assert (created.initiated_by, created.initiator_type) == ("Azure AD Provisioning Service", "system")
    assert (created.source_name, created.source_id) == ("Ada", identifier("source", "Ada"))
    assert (created.duration_ms, created.service_principal) == (630, "Contoso HR SCIM")
    assert disabled.modified == [EntraProperty("active", "True", "False")]
    assert (skipped.status, skipped.skip_reason) == ("skipped", "NotEffectivelyEntitled")
    assert skipped.scoping == {"Active in the source system": "True", "Assigned to the application": "False"}
    assert (failed.error_code, failed.error_reason) == ("EntryConflict", "It failed: EntryConflict")
    assert (group.source_type, group.source_name) == ("Group", "Sales, EMEA")
    assert created.details["targetSystem.displayName"] == "customappsso", "what nobody asks for is kept"


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16"), (",", "utf-8")]
)
def test_three_csv_files_say_what_the_json_says(delimiter: str, encoding: str) -> None:
    main, steps, properties = three_files(RECORDS, delimiter=delimiter, encoding=encoding)
    alike = rows(array(RECORDS))
    assert [(r.row_id, r.at, r.action, r.status, r.target_id, r.error_code, r.source_name) for r in rows(main)] == [
        (r.row_id, r.at, r.action, r.status, r.target_id, r.error_code, r.source_name) for r in alike
    ]
    main.seek(0)
    assert rows(main)[0].details["A Column Of Tomorrow"] == "kept"
    told = [piece for piece in read_export(steps) if isinstance(piece, StepPart)]
    assert [piece.part for piece in told] == [step for row in alike for step in row.steps]
    changed = [piece for piece in read_export(properties) if isinstance(piece, PropertyPart)]
    assert [(p.change_id, p.part.name, p.part.after) for p in changed] == [
        (row.change_id, each.name, each.after) for row in alike for each in row.modified
    ]


@pytest.mark.parametrize(
    "head",
    [
        "id,activityDateTime,provisioningAction,provisioningStatusInfo.status,targetIdentity.id,changeId",
        "ID;Activity_DateTime;PROVISIONING ACTION;Status;Target ID;Change ID",
        '"Id"\t"Date (UTC)"\t"Action"\t"Status"\t"Target Identity Id"\t"Change Id"',
        "sep=,\r\nId,Date,Action,Result,TargetIdentityId,ChangeId",
    ],
)
def test_column_names_are_taken_in_every_spelling(head: str) -> None:
    delimiter = next(each for each in ";\t," if each in head)
    values = delimiter.join(("r1", "2026-07-17T12:00:00Z", "Disable", "Success", ADA.upper(), "c1"))
    (row,) = rows(io.BytesIO(f"{head}\r\n{values}\r\n".encode()))
    assert (row.row_id, row.at, row.action, row.status) == ("r1", NOON, "disable", "success")
    assert (row.target_id, row.change_id) == (ADA, "c1")


def test_log_analytics_has_json_within_its_columns() -> None:
    """AADProvisioningLogs, exported as CSV."""
    head = "TimeGenerated,Id,ChangeId,ProvisioningAction,ResultType,SourceIdentity,TargetIdentity,ModifiedProperties"
    values = [
        "2026-07-17 12:00:00.1234567+00:00", "r1", "c1", "update", "Success", json.dumps({"Id": "s1", "Name": "Ada"}),
        json.dumps({"Id": ADA}), json.dumps([{"DisplayName": "title", "OldValue": None, "NewValue": "Head"}]),
    ]  # fmt: skip
    quoted = ",".join('"' + value.replace('"', '""') + '"' for value in values)
    (row,) = rows(io.BytesIO(f"{head}\n{quoted}\n".encode()))
    assert (row.source_id, row.source_name, row.target_id) == ("s1", "Ada", ADA)
    assert row.modified == [EntraProperty("title", None, "Head")]


def test_nothing_that_a_database_cannot_hold_comes_through() -> None:
    odd = record("update", ADA, properties={"title": ("\ud800", "z" * 10_000)})
    odd["sourceIdentity"]["displayName"] = "x\ud800y"
    odd["extra"] = {"deep": [1e400, 10**30, "\ud800"]}
    (row,) = rows(io.BytesIO(json.dumps([odd]).replace("Infinity", "1e400").encode()))
    assert row.source_name == "x?y"
    assert (row.modified[0].before, len(row.modified[0].after or "")) == ("?", 4_096)
    assert row.details["extra"] == {"deep": [None, str(10**30), "?"]}


WHOLE = array(RECORDS).getvalue().decode()
NO_TIME = [{**RECORDS[0], "activityDateTime": "17/07/2026"}]
MALFORMED = [
    (b"", "the file is empty"),
    (b" \n", "the file is empty"),
    (b"hello", "the first line names no columns"),
    (b"\x00\x01\xff", "the file is not UTF-8 text"),
    (b'[{"id": "\xff"}]', "the file is not UTF-8 text"),
    (WHOLE[:-1].encode(), "after row 5 the JSON is broken off or wrong"),
    (WHOLE[:-40].encode(), "row 5 is no whole JSON, or too long"),
    (WHOLE.replace("},{", "} {").encode(), "row 1 is no whole JSON"),
    ((WHOLE + "x").encode(), "behind the last row comes something"),
    (b"[1, 2]", "row 1 is no JSON object"),
    (b"[NaN]", "row 1 is no whole JSON"),
    (b"[" * 100_000, "row 1 is no whole JSON"),
    (b'[{"a": "' + b"x" * (3 << 20), "row 1 is no whole JSON, or too long"),
    (b'[{"activityDateTime": "2026-07-17T12:00:00Z"}]', "row 1 has neither an id nor a change id"),
    (json.dumps(NO_TIME).encode(), "row 1 has no time that can be meant in one way only"),
    (('{"value": ' + WHOLE[:-1]).encode(), "after row 5 the JSON is broken off"),
    (('{"value": ' + WHOLE).encode(), "after row 5 the JSON is broken off"),
    (json.dumps([{**RECORDS[0], "modifiedProperties": "many"}]).encode(), "row 1 has modified properties or steps"),
    (b"Id,Date,Action\n1,2026-07-17,create\n2,soon,create\n", "line 3 has no time"),
    (b"Id,Date,Action\n1,2026-07-17,create,4\n", "line 2 has more fields than the first line has names"),
    (b'Id,Date,Action\n1,2026-07-17,"create\n', "line 2 is no CSV: a quote is not closed"),
    (b"Change Id,Old Value,New Value\n,a,b\n", "line 2 has no change id"),
]


@pytest.mark.parametrize(("content", "sentence"), MALFORMED, ids=[each[1][:40] for each in MALFORMED])
def test_what_is_no_export_is_refused_with_the_row_or_line(content: bytes, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence) as refused:
        list(read_export(io.BytesIO(content)))
    assert "\n" not in str(refused.value)
