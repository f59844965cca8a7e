"""Reports beside a running service: on the command line and over HTTP, whole files, and what cannot be asked for."""

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import httpx
import openpyxl
import pytest
from test_past import changed, made
from test_verbs import GROUP, USER, Say, say

from domain.events import ReportMade
from ledger.reader import Reader
from ledger.tenants import operator_cause
from projections.reports.catalog import REPORTS
from projections.reports.formats import Csv
from projections.reports.frame import Asked
from projections.reports.making import Making
from tests.running import Client, Service

__all__ = ["say"]


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    """Positions 0 and 1 are the tokens'. 2: Ada. 3: Bob, whose name is a formula. 4 to 6: Finance with both. 7: Ada is
    disabled. 8, 9: Bob is gone. 10: Eve, disabled from the beginning. 11: Ada is back."""
    client = service.new_tenant()
    ada = made(client, "/Users", {"schemas": [USER], "userName": "ada", "externalId": "e1", "active": True})
    bob = made(client, "/Users", {"schemas": [USER], "userName": "=cmd()", "displayName": "'\u202eBob\n"})
    made(client, "/Groups", {"schemas": [GROUP], "displayName": "Finance", "members": [{"value": ada}, {"value": bob}]})
    changed(client, f"/Users/{ada}", {"op": "replace", "path": "active", "value": False})
    assert client.scim.delete(f"/Users/{bob}").status_code == 204
    made(client, "/Users", {"schemas": [USER], "userName": "eve", "active": False})
    changed(client, f"/Users/{ada}", {"op": "replace", "path": "active", "value": True})
    return client


def parts(text: str) -> tuple[dict[str, str], list[dict[str, str]], dict[str, str]]:
    """Header, rows and footer of a CSV report."""
    head, rows, foot = map(io.StringIO, text.split("\r\n\r\n"))
    return dict(map(tuple, csv.reader(head))), list(csv.DictReader(rows)), dict(map(tuple, csv.reader(foot)))


def lines_of(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The same of JSON Lines."""
    head, *rows, foot = map(json.loads, text.splitlines())
    return head["header"], rows, foot["footer"]


def test_a_report_says_what_it_is_of_and_adds_up(say: Say, client: Client) -> None:
    """Its header and footer answer what an auditor asks of a list: from where, complete, filtered, unchanged."""
    said = say("report", client.slug, "population", "--as-of", "6")
    assert (said.status, said.err) == (0, "")
    header, rows, footer = parts(said.out)
    assert header["Tenant"] == client.slug and header["Ledger"].startswith("scim.example.com/t/")
    assert header["Made by"] == "operator (command line)"
    assert header["Entries that count"].startswith("positions 0 to 6, recorded ")
    assert header["Entries that count"].endswith("; 7 counted, no gaps")
    assert header["Filter"] == "only accounts that are active or disabled or erased"
    assert header["Ask again"] == "asOf=6" and header["Signed checkpoint"].startswith("none yet")
    assert [(row["userName"], row["state"], row["groups"], row["created_by"]) for row in rows] == [
        ("ada", "active", "1", "tests"), ("'=cmd()", "active", "1", "tests"),
    ]  # fmt: skip
    assert rows[1]["displayName"] == "''\\u202eBob\\n"
    assert (footer["Rows scanned"], footer["Rows matched"], footer["Rows output"]) == ("2", "2", "2")
    assert footer["Accounts created, by entries"] == "2 (agrees)" and footer["Reconciles"] == "yes"
    assert footer["End of report"] == header["Report id"]


def test_the_hash_is_that_of_the_rows_alone(say: Say, client: Client) -> None:
    """Whoever asks again as of the same position is given the same bytes, with or without header."""
    whole = say("report", client.slug, "population", "--as-of", "11", "--state", "any").out
    bare = say("report", client.slug, "population", "--as-of", "11", "--state", "any", "--rows-only").out
    assert whole.split("\r\n\r\n")[1] + "\r\n" == bare
    assert parts(whole)[2]["SHA-256 of the rows"] == hashlib.sha256(bare.encode()).hexdigest()
    bare = say("report", client.slug, "population", "--as-of", "11", "--rows-only", "--format", "jsonl").out
    told = say("report", client.slug, "population", "--as-of", "11", "--format", "jsonl").out
    assert lines_of(told)[2]["sha256"] == hashlib.sha256(bare.encode()).hexdigest()
    assert [row["state"] for row in lines_of(told)[1]] == ["active", "disabled"]


def test_json_lines_hold_every_value_exactly(client: Client) -> None:
    answer = client.api.get("/reports/population", params={"asOf": "11", "state": "deleted", "format": "jsonl"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    header, (bob,), footer = lines_of(answer.text)
    assert (bob["userName"], bob["displayName"], bob["groups"]) == ("=cmd()", "'\u202eBob\n", 0)
    assert header["made_by"].startswith('the token "audit" (') and header["parameters"] == {
        "asOf": "11",
        "state": ["deleted"],
    }
    assert (footer["rows_scanned"], footer["rows_matched"]) == (3, 1)


def test_a_workbook_is_a_file(say: Say, client: Client, tmp_path: Path) -> None:
    """The same rows, with the same hash, as the CSV."""
    path = tmp_path / "population.xlsx"
    asked = ("report", client.slug, "population", "--as-of", "11")
    told = json.loads(say(*asked, "--format", "xlsx", "--output", str(path), "--json").out)
    assert told["sha256"] == parts(say(*asked).out)[2]["SHA-256 of the rows"]
    assert [row[1].value for row in openpyxl.load_workbook(path)["Rows"]] == ["userName", "ada", "eve"]
    assert say(*asked, "--format", "xlsx").refusal == "xlsx is no text to print: name a file with --output"
    answer = client.api.get("/reports/population", params={"asOf": "11", "format": "xlsx"})
    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    about = openpyxl.load_workbook(io.BytesIO(answer.content))["About"]
    assert ("SHA-256 of the rows", told["sha256"]) in [(name.value, value.value) for name, value in about]


def test_making_one_is_an_entry_that_the_report_names(client: Client) -> None:
    """With what was asked for, what came of it, and who has it."""
    answer = client.api.get("/reports/movement", params={"from": "2", "to": "11"})
    assert answer.headers["content-disposition"] == f'attachment; filename="{client.slug}-movement.csv"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    _, rows, footer = parts(answer.text)
    record = client.api.get("/log", params={"count": 1}).json()["records"][0]
    assert record["first_position"] == int(footer["Recorded at position"])
    assert (record["resource_type"], record["target_id"]) == ("Report", footer["End of report"])
    assert (record["method"], record["path"]) == ("GET", f"/api/{client.slug}/reports/movement")
    assert record["token_label"] == "audit" and record["http_status"] == 200
    whole = rows[-1]
    assert (whole["month"], whole["opening"], whole["closing"], whole["closing_disabled"]) == (
        "whole period",
        "1",
        "1",
        "1",
    )
    assert footer["Active accounts, by what happened"] == (
        "1 + 1 created + 1 reactivated - 1 deactivated - 1 deleted = 1 (agrees)"
    )


def test_a_review_has_columns_for_the_reviewer(say: Say, client: Client) -> None:
    _, rows, footer = parts(say("report", client.slug, "group-membership", "--as-of", "6", "--group", "finance").out)
    assert {row["member"] for row in rows} == {"ada", "'=cmd()"}
    assert all(
        (row["group"], row["active"], row["decision"], row["reviewer"]) == ("Finance", "yes", "", "") for row in rows
    )
    assert footer["Direct memberships, by entries"] == "2 added - 0 removed - 0 ended with their group = 2 (agrees)"


def test_a_review_follows_groups_within_groups(service: Service) -> None:
    """Whoever is in by way of another group has a row that says by which; circles end, and direct rows stay."""
    client = service.new_tenant()
    ada, bob = (made(client, "/Users", {"schemas": [USER], "userName": name}) for name in ("ada", "bob"))
    inner = made(client, "/Groups", {"schemas": [GROUP], "displayName": "inner", "members": [{"value": ada}]})
    middle = made(client, "/Groups", {"schemas": [GROUP], "displayName": "middle", "members": [{"value": inner}]})
    members = [{"value": middle}, {"value": bob}]
    outer = made(client, "/Groups", {"schemas": [GROUP], "displayName": "outer", "members": members})
    changed(client, f"/Groups/{inner}", {"op": "add", "path": "members", "value": [{"value": outer}]})
    answer = client.api.get("/reports/group-membership", params={"group": "outer", "format": "jsonl"})
    _, rows, footer = lines_of(answer.text)
    told = {(row["member"], row["member_type"], row["nested_via"]) for row in rows}
    assert told == {("bob", "User", ""), ("middle", "Group", ""), ("ada", "User", "middle > inner")}
    assert len(rows) == 3 and footer["reconciled"]
    figures = {figure["says"]: figure["value"] for figure in footer["figures"]}
    assert (figures["Direct memberships"], figures["Memberships through groups within groups"]) == (2, 1)


def test_a_file_is_there_when_all_of_it_is(say: Say, client: Client, tmp_path: Path) -> None:
    """And says what it came to; what is there already is left alone."""
    path = tmp_path / "population.csv"
    said = say("report", client.slug, "population", "--as-of", "11", "--output", str(path), "--json")
    told = json.loads(said.out)
    assert (told["rows_output"], told["reconciled"]) == (2, True)
    assert parts(path.read_bytes().decode())[2]["SHA-256 of the rows"] == told["sha256"]
    again = say("report", client.slug, "population", "--output", str(path))
    assert (again.status, again.refusal) == (
        2, f"{path} is there already: name a new file, or remove that one first",
    )  # fmt: skip
    assert say("report", client.slug, "population", "--output", str(tmp_path / "no" / "where.csv")).status == 1
    assert [each.name for each in tmp_path.iterdir()] == ["population.csv"]


def test_all_reports_are_listed(say: Say, client: Client) -> None:
    named = [each["name"] for each in client.api.get("/reports").json()]
    assert [line.split()[0] for line in say("report", client.slug).out.splitlines()] == named
    assert [each["name"] for each in json.loads(say("report", client.slug, "--json").out)] == named


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("everything",), 2, "there is no report 'everything'; there are population, "),
        (("population", "--as-of", "yesterday"), 2, "--as-of is an RFC 3339 time"),
        (("population", "--as-of", "2999-01-01"), 2, "in the future"),
        (("population", "--as-of", "1000000"), 2, "no position 1000000 yet"),
        (("population", "--from", "1"), 2, "population is about a moment: say as of, not from and to"),
        (("movement", "--as-of", "1"), 2, "movement is about a period: say from and to, not as of"),
        (("movement", "--from", "7", "--to", "3"), 2, "begins at position 7, after its end at position 3"),
        (("movement", "--state", "active"), 2, "movement knows no state"),
        (("population", "--state", "asleep"), 2, "state is one of present, any, "),
        (("population", "--format", "pdf"), 2, "--format is one of csv, jsonl"),
        (("population", "--json"), 2, "--json tells what was written with --output"),
        (("group-membership", "--group", "nobody"), 3, "was called 'nobody'"),
        (("changes", "--subject", "nobody"), 3, "was called 'nobody'"),
        (("changes", "--subject", "finance"), 3, "'finance' is or was a group: the report group-changes tells of"),
        (("group-membership", "--group", ""), 2, "group is a displayName, externalId or id"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_is_refused(
    say: Say, client: Client, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    said = say("report", client.slug, *arguments)
    assert said.status == status
    assert sentence in said.refusal


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("everything", 404, "there is no report 'everything'"),
        ("population?asOf=yesterday", 400, "asOf is an RFC 3339 time"),
        ("population?format=pdf", 400, "format is one of csv, jsonl"),
        ("population?rowsOnly=perhaps", 400, "rowsOnly is true or false"),
        ("population?state=active&state=disabled", 400, "state may be given once"),
        ("population?colour=red", 400, "population knows no colour; it takes state"),
        ("movement?from=7&to=3", 400, "after its end"),
        ("group-membership?group=nobody", 404, "was called 'nobody'"),
        ("changes?subject=Finance", 404, "'Finance' is or was a group: the report group-changes tells of groups"),
        ("group-membership?group=%00", 400, "group is a displayName"),
    ],
)  # fmt: skip
def test_what_cannot_be_reported_over_http_is_refused(client: Client, path: str, status: int, sentence: str) -> None:
    """In one sentence, and without an entry."""
    before = client.api.get("/log", params={"count": 1}).json()["size"]
    answer = client.api.get(f"/reports/{path}")
    assert answer.status_code == status and sentence in answer.json()["error"]
    assert client.api.get("/log", params={"count": 1}).json()["size"] == before


def test_only_auditors_are_given_reports(client: Client) -> None:
    assert client.api.post("/reports/population", content=b"x").status_code == 400
    url = f"{client.api.base_url}reports/population"
    assert httpx.get(url, headers={"Authorization": f"Bearer {client.token}"}).status_code == 403
    assert httpx.get(url).status_code == 401


def test_leavers_are_laid_beside_personnels_file(say: Say, client: Client, tmp_path: Path) -> None:
    """In any spelling, separator and encoding; a line that is there twice, and somebody nobody knows, are told."""
    path = tmp_path / "leavers.csv"
    lines = (
        "Employee ID;E-Mail;Termination Date\r\n1;ADA;2020-01-31\r\n1;ada;2020-01-31\r\n2;'x';2020-02-01T10:00:00Z\r\n"
    )
    path.write_bytes(lines.encode("utf-16"))
    said = say(
        "report", client.slug, "leavers", "--to", "11", "--hr-file", str(path), "--hours", "48", "--format", "jsonl"
    )
    header, rows, footer = lines_of(said.out)
    assert header["parameters"] == {
        "to": "11", "hours": ["48"], "hr_file_sha256": [hashlib.sha256(path.read_bytes()).hexdigest()],
    }  # fmt: skip
    ada, again, nobody, *others = rows
    assert (ada["userName"], ada["terminated_at"]) == ("ada", "2020-02-01T00:00:00.000Z")
    assert (ada["exception"], ada["line"]) == ("the account was made after the termination", "line 2")
    assert again["exception"] == "the file has it already"
    assert (nobody["exception"], nobody["id"], nobody["in_time"]) == ("no account by these names", "", None)
    assert [(row["userName"], row["exception"], row["channel"]) for row in others] == [
        ("=cmd()", "not in the file", "deleted by DELETE"),
    ]  # fmt: skip
    assert footer["rows_scanned"] == 3 + 3 and footer["reconciled"]


def test_leavers_over_http_take_the_file_as_the_body(client: Client) -> None:
    body = b"user_name,terminated_at\nada,2020-01-31\n"
    answer = client.api.post("/reports/leavers", params={"to": "11", "rowsOnly": "true"}, content=body)
    assert answer.status_code == 200 and answer.text.count("\r\n") == 1 + 1 + 1
    record = client.api.get("/log", params={"count": 1}).json()["records"][0]
    assert (record["method"], record["resource_type"]) == ("POST", "Report")


def test_joiners_are_laid_beside_approvals(say: Say, client: Client, tmp_path: Path) -> None:
    """By any name that the account ever had; too late, missing and superfluous approvals are told."""
    path = tmp_path / "approvals.csv"
    lines = "UPN,Ticket,Approved at\nADA,CHG-1,2020-01-31\nada,CHG-2,\neve,CHG-3,9990-01-01\nnobody,CHG-4,2020-01-31\n"
    path.write_text(lines)
    said = say("report", client.slug, "joiners", "--to", "11", "--approvals", str(path), "--format", "jsonl")
    header, rows, footer = lines_of(said.out)
    assert header["parameters"] == {
        "to": "11", "approvals_sha256": [hashlib.sha256(path.read_bytes()).hexdigest()],
    }  # fmt: skip
    told = {row["userName"]: (row["approval_reference"], row["approved_at"], row["exception"]) for row in rows}
    assert told.pop("ada") == ("CHG-1; CHG-2", "2020-01-31T00:00:00.000Z", "")
    assert told.pop("eve") == ("CHG-3", "9990-01-01T00:00:00.000Z", "approved after the account was made")
    assert told and set(told.values()) == {(None, None, "no approval in the file")}
    figures = {figure["says"]: figure["value"] for figure in footer["figures"]}
    assert (
        figures["Accounts approved in time, as far as the file has times"]
        == 1
        == figures["Accounts approved afterwards"]
    )
    assert figures["Approvals of accounts made in the period"] == 3
    assert figures["Other approvals in the file"] == 1 and footer["reconciled"]


def test_joiners_without_approvals_leave_the_columns_blank(say: Say, client: Client) -> None:
    _, rows, footer = lines_of(say("report", client.slug, "joiners", "--to", "11", "--format", "jsonl").out)
    assert {(row["approval_reference"], row["approved_at"], row["exception"]) for row in rows} == {(None, None, None)}
    assert not [figure for figure in footer["figures"] if "pprov" in figure["says"]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"user_name,approved_at\nada,2020-01-31", "names no column of the approval's reference"),
        (b"ticket\nCHG-1", "names no column of who it was"),
        (b"user_name,ticket,approved\nada,CHG-1,yes", "line 2 has no time that can be meant in one way only"),
        (b"user_name,ticket\nada,CHG\0", "line 2 has a character that no name can have"),
    ],
)
def test_approvals_that_cannot_be_read_are_refused(client: Client, content: bytes, sentence: str) -> None:
    answer = client.api.post("/reports/joiners", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the file of approvals: ") and sentence in answer.json()["error"]


def test_a_file_for_another_report_is_refused(say: Say, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("user_name,ticket\nada,CHG-1\n")
    said = say("report", client.slug, "leavers", "--approvals", str(path))
    assert said.status == 2 and said.refusal == "--approvals is for joiners, not for leavers"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"\r\n \n", "the file is empty"),
        (b"\x00\x01\x02\xff\xfe" * 50, "the file is not UTF-8 text"),
        ("name,ende\nZo\u00eb,2020".encode("latin-1"), "the file is not UTF-8 text"),
        (b"%PDF-1.7 nothing here", "names no column of when the employment ended"),
        (b"terminated_at\n2020-01-31", "names no column of who it was"),
        (b"user_name,terminated_at\nada,31.01.2020", "line 2 has no time that can be meant in one way only"),
        (b"user_name,terminated_at\nada,", "line 2 has no time that can be meant in one way only"),
        (b"user_name,terminated_at\n ,2020-01-31", "line 2 names nobody"),
        (b"user_name,terminated_at\na\0b,2020-01-31", "line 2 has a character that no name can have"),
        (b"user_name,terminated_at\nada,9999-12-31", "line 2 lies at the end of all time"),
        (b'user_name,terminated_at\n"ada,2020-01-31', "line 2 is no CSV"),
        (b"user_name,terminated_at\nada,2020-01-31,x", "line 2 has more fields than the first line has names"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_to_its_end_is_refused(client: Client, content: bytes, sentence: str) -> None:
    """In one sentence with the line; nothing is compared in part, and nothing of the file is quoted."""
    answer = client.api.post("/reports/leavers", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Personnel's file: ") and sentence in answer.json()["error"]


def test_a_file_beyond_the_limit_is_refused(client: Client) -> None:
    answer = client.api.post("/reports/leavers", content=(bytes(1 << 20) for _ in range(65)))
    assert (answer.status_code, answer.json()["error"]) == (413, "the file may have 67108864 bytes at most")


def test_who_breaks_off_leaves_an_entry_too(service: Service, client: Client) -> None:
    """With what was made until then: it was given out."""
    with service.opened(client.slug) as (connection, tenant, vault):
        reader = Reader(connection, tenant, vault)
        making = Making(reader, REPORTS["population"], Asked(), Csv(), operator_cause)
        pieces = making.pieces()
        for _ in range(4):
            next(pieces)
        pieces.close()
        (entry,) = reader.entries_after(reader.size() - 1)
        assert isinstance(entry.event, ReportMade)
        assert (entry.event.complete, entry.event.rows_output, entry.event.last_position) == (
            False,
            2,
            entry.position - 1,
        )


def test_a_history_is_asked_for_by_name_and_recorded_by_id(say: Say, client: Client) -> None:
    header, rows, footer = lines_of(
        say("report", client.slug, "changes", "--to", "11", "--subject", "ada", "--format", "jsonl").out
    )
    (ada,) = header["parameters"]["subject"]
    assert {row["id"] for row in rows} == {ada} and footer["reconciled"]
    assert [row["event"] for row in rows][-1] == "Reactivated"
    assert say("report", client.slug, "changes").refusal.startswith("say whom you mean")
    assert say("report", client.slug, "changes", "--subject", "finance").status == 3


def test_a_history_adds_up_with_requests_that_changed_nothing(say: Say, service: Service) -> None:
    """Repeated, refused, more than a page of a history has, deleted: only the user's own versions have to add up."""
    client = service.new_tenant()
    ada = made(client, "/Users", {"schemas": [USER], "userName": "ada"})
    for number in range(101):
        changed(client, f"/Users/{ada}", {"op": "replace", "path": "title", "value": str(number)})
    changed(client, f"/Users/{ada}", {"op": "replace", "path": "title", "value": "100"})
    assert client.scim.put(f"/Users/{ada}", json={"schemas": [USER]}).status_code == 400
    assert client.scim.delete(f"/Users/{ada}").status_code == 204
    last = str(client.api.get("/log", params={"count": 1}).json()["size"] - 1)
    whole = say("report", client.slug, "changes", "--to", last, "--subject", "ada", "--format", "jsonl")
    assert (whole.status, whole.err) == (0, "")
    _, rows, footer = lines_of(whole.out)
    assert [row["event"] for row in rows[-3:]] == ["RequestUnchanged", "RequestRefused", "UserDeleted"]
    assert (len(rows), footer["rows_scanned"], footer["figures"][0]["value"]) == (105, 105, 103)
    part = say("report", client.slug, "changes", "--from", "4", "--to", "6", "--subject", "ada", "--format", "jsonl")
    assert part.status == 0 and lines_of(part.out)[1] == rows[3:5]


@pytest.mark.parametrize("name", [name for name in REPORTS if name != "changes"])
def test_every_report_can_be_made_of_a_small_ledger(client: Client, name: str) -> None:
    """And of one in which nothing happened yet; all of them add up."""
    about = {"to": "11"} if REPORTS[name].of_period else {"asOf": "11"}
    for params in (about, {"to": "0"} if REPORTS[name].of_period else {"asOf": "0"}):
        answer = client.api.get(f"/reports/{name}", params={**params, "format": "jsonl"})
        header, rows, footer = lines_of(answer.text)
        assert footer["reconciled"], footer["figures"]
        assert footer["rows_output"] == len(rows) and header["without_gaps"]
        assert {tuple(row) for row in rows} <= {REPORTS[name].columns}
