"""Runs and Entra's own log, on the command line and over HTTP, beside a running service."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from test_verbs import USER, Say, say

from tests.projections.exporting import array, record, three_files
from tests.running import Client, Service

__all__ = ["say"]

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture
def client(service: Service) -> Client:
    """A new tenant's identity provider and auditor."""
    return service.new_tenant()


def lived(client: Client) -> str:
    """A little past; returns Ada's id."""
    made = client.scim.post("/Users", json={"schemas": [USER], "userName": "ada@contoso.example"})
    assert made.status_code == 201
    ada = str(made.json()["id"])
    disable = {"schemas": [PATCH_OP], "Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
    assert client.scim.patch(f"/Users/{ada}", json=disable).status_code == 200
    return ada


def exported(ada: str) -> list[dict[str, Any]]:
    """What Entra says of it, and of somebody whom it skipped."""
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        record("create", ada, at=now, who="Ada"),
        record("disable", ada, at=now, who="Ada", properties={"active": ("True", "False")}),
        record("other", "", at=now - timedelta(minutes=1), who="Bo", status="skipped", skip="NotEffectivelyEntitled"),
    ]


def test_a_run_is_listed_and_its_requests_are_shown(say: Say, client: Client) -> None:
    lived(client)
    told = json.loads(say("runs", client.slug, "--json").out)
    run = next(each for each in told["runs"] if each["client_id"] != "operator")
    assert (run["requests"], run["users_created"], run["users_deactivated"], run["single_object"]) == (2, 1, 1, True)
    assert (run["active_before"], run["active_after"]) == (0, 0)
    seen = next(each for each in told["clients"] if each["client_id"] == run["client_id"])
    assert seen["last_seen"]
    name = str(run["first_position"])
    shown = say("runs", client.slug, "--client", run["client_label"]).out
    assert f"Run {name}  " in shown and "2 requests (1 create success, 1 disable success)" in shown
    logged = json.loads(say("log", client.slug, "--run", name, "--json").out)["records"]
    assert [each["run"] for each in logged] == [run["first_position"]] * 2
    assert say("log", client.slug, "--run", "999999").refusal.startswith(f"tenant {client.slug} has no run 999999")
    over_http = client.api.get("/runs", params={"client": run["client_id"], "since": name}).json()
    assert over_http["runs"] == [run]
    assert (
        client.api.get("/runs", params={"until": run["first_position"] - 1, "client": run["client_id"]}).json()["runs"]
        == []
    )
    assert client.api.get("/log", params={"run": 999_999}).status_code == 404
    assert client.api.get("/runs", params={"since": "soon"}).json() == {
        "error": "since is an RFC 3339 time, such as 2026-11-24T09:00:00Z, or a position"
    }


def test_metrics_tell_how_long_a_client_is_silent(service: Service, client: Client) -> None:
    lived(client)
    page = httpx.get(f"{service.base_url}/metrics", timeout=30).text
    assert "# TYPE scim_ledger_client_silence_seconds gauge" in page


def test_an_export_is_taken_in_and_compared(say: Say, client: Client, tmp_path: Path) -> None:
    ada = lived(client)
    paths = []
    for name, file in zip(("rows", "steps", "properties"), three_files(exported(ada)), strict=True):
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_bytes(file.getvalue())
    said = say("entra-log", "import", client.slug, *map(str, paths))
    assert "3 rows" in said.out and "2 of them are about requests recorded here" in said.out
    told = json.loads(say("entra-log", "import", client.slug, str(paths[0]), "--json").out)
    assert (told["rows"], told["rows_new"], told["rows_joined"]) == (3, 0, 2)
    for verb in ("why", "history", "show"):  # An import is an entry, and nobody.
        assert say(verb, client.slug, told["import_id"]).status == 3
    compared = say("entra-log", "unmatched", client.slug)
    assert "1 skipped there" in compared.out and "NotEffectivelyEntitled" in compared.out
    assert json.loads(say("entra-log", "unmatched", client.slug, "--json").out)["joined"] == 2
    assert "Entra's log: cycle " in say("log", client.slug).out


def test_a_file_that_is_no_export_is_one_sentence(say: Say, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('[{"id": "1"}]')
    said = say("entra-log", "import", client.slug, str(path))
    assert (said.status, said.refusal) == (2, f"{path}: row 1 has no time that can be meant in one way only: "
                                              "write 2026-11-24T09:00:00Z")  # fmt: skip
    for arguments in ([], [str(tmp_path / "nowhere")], [str(tmp_path)]):
        said = say("entra-log", "import", client.slug, *arguments)
        assert said.status == 2 and said.refusal


def test_an_export_comes_over_http_to_who_may_bring_it(
    service: Service, say: Say, client: Client
) -> None:  # fmt: skip
    """As JSON or as several files; whatever was sent leaves an entry."""
    ada = lived(client)
    records = exported(ada)
    secret = say("token", "create", "--tenant", client.slug, "--label", "import", "--scope", "admin").out.strip()
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"{service.base_url}/api/{client.slug}/entra-log"
    first = httpx.post(url, content=array(records).getvalue(), headers=headers, timeout=30)
    assert (first.status_code, first.json()["rows_new"], first.json()["rows_joined"]) == (200, 3, 2)
    files = [("file", (f"{n}.csv", file.getvalue())) for n, file in enumerate(three_files(records))]
    again = httpx.post(url, files=files, headers=headers, timeout=30)
    assert (again.status_code, again.json()["rows"]) == (200, 3)

    form = headers | {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="\xc3"; filename="x"\r\n\r\n[]\r\n--b--\r\n'
    refused = [
        (400, {"content": part, "headers": form}, "no multipart/form-data that can be read"),
        (400, {"content": b"[1]", "headers": headers}, "file 1: row 1 is no JSON object"),
        (400, {"data": {"a": "b"}, "files": files, "headers": headers}, "send 1 to 8 files, and nothing besides them"),
        (403, {"content": b"[]", "headers": {"Authorization": f"Bearer {client.audit_token}"}}, "scope admin"),
    ]
    for status, sent, sentence in refused:
        answer = httpx.post(url, timeout=30, **sent)  # type: ignore[arg-type]
        assert answer.status_code == status and sentence in answer.json()["error"]
    assert httpx.post(url, content=b"[]", timeout=30).status_code == 401
    log = client.api.get("/log", params={"count": 6}).json()["records"][::-1]
    assert [each["status"] for each in log] == ["success"] * 2 + ["failure"] * 4
    assert [each["http_status"] for each in log] == [200, 200, 400, 400, 400, 403]
    assert {each["path"] for each in log} == {f"/api/{client.slug}/entra-log"}

    told = client.api.get("/entra-log", params={"subject": "ada@contoso.example"}).json()
    assert {each["action"] for each in told} == {"create", "disable"} and len(told) == 2
    late = {"subject": ada, "since": "2099-01-01T00:00:00Z"}
    assert client.api.get("/entra-log", params=late).json() == []
    assert client.api.get("/entra-log", params={"subject": ada, "since": "7"}).status_code == 400
    assert client.api.get("/entra-log/unmatched").json()["theirs"] == {"skipped there": 1}
