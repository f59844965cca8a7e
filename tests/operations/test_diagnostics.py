"""The diagnostic log and the database server's: JSON lines with ids, and nobody's name, body or secret."""

import json
import socket
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.running import Client, Service

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@pytest.fixture(scope="module")
def marks() -> dict[str, str]:
    """Personal data of nobody, recognisable wherever it turns up."""
    return {name: f"{name}{uuid4().hex[:10]}" for name in ("ada", "lovelace", "engine", "secret", "agent", "analytics")}


@pytest.fixture(scope="module")
def client(service: Service, marks: dict[str, str]) -> Client:
    """A tenant whose requests, right and wrong, are full of them."""
    client = service.new_tenant()
    scim, api = client.scim, client.api
    scim.headers["User-Agent"] = marks["agent"]
    name, family = f"{marks['ada']}@contoso.example", marks["lovelace"]
    body = {"schemas": [USER], "userName": name, "name": {"familyName": family}, "password": marks["secret"]}
    created = scim.post("/Users", json={**body, "emails": [{"value": name, "type": "work"}]})
    assert created.status_code == 201
    path = f"/Users/{created.json()['id']}"
    members = [{"value": created.json()["id"]}]
    assert scim.post("/Groups", json={"schemas": [GROUP], "displayName": marks["analytics"], "members": members})
    operations = [{"op": "replace", "path": "title", "value": marks["engine"]}]
    assert scim.patch(path, json={"schemas": [PATCH_OP], "Operations": operations}).status_code == 200
    assert scim.get("/Users", params={"filter": f'userName eq "{name}"'}).json()["totalResults"] == 1
    doubtful = [
        scim.post("/Users", json=body),
        scim.post("/Users", content=f'{{"userName": "{name}", broken'),
        scim.post("/Users", json={**body, "userName": 7, "nickName": [family]}),
        scim.patch(path, json={"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": family, "value": 1}]}),
        scim.get("/Users", params={"filter": f'{family} eq "{name}'}),
        scim.get(f"/Users/{name}"),
        scim.get(f"/{family}/{name}"),
        scim.get(path, headers={"Authorization": f"Bearer {marks['secret']}"}),
        scim.get(f"http://{service.base_url[7:]}/scim/{family}/v2/Users"),
        scim.post("/Users", json=body, headers={"Content-Type": f"text/{family}"}),
        scim.put(path, json=body, headers={"If-Match": f'W/"{family}"'}),
        api.get("/why", params={"subject": f"{family}-nobody"}),
        api.get(f"/users/{family}-nobody", params={"asOf": family}),
        api.get(f"/{family}"),
        api.get(f"http://{service.base_url[7:]}/{family}?{name}"),
    ]
    assert all(answer.status_code < 500 for answer in doubtful)
    assert sum(answer.status_code >= 400 for answer in doubtful) >= 12
    assert api.get("/why", params={"subject": name}).status_code == 200
    assert api.get(f"/users/{name}").status_code == 200
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(f"NONSENSE {name}\r\n\r\n".encode())
        raw.recv(1_000)
    assert scim.delete(path).status_code == 204
    time.sleep(0.5)  # Lines go out in pieces; projections follow.
    return client


def test_every_line_is_json_with_time_level_and_event(service: Service, client: Client) -> None:
    """Whoever wrote it; what `serve` prints for people is the only other text."""
    lines = service.log.read_text().splitlines()
    told = [line for line in lines if not line.startswith("{")]
    assert told[0] == "scim-ledger is ready."
    assert len(told) < 12, "\n".join(told[6:])
    for line in lines:
        if line.startswith("{"):
            assert {"event", "level", "timestamp"} <= json.loads(line).keys()


def test_a_request_s_line_names_ids_only(service: Service, client: Client) -> None:
    """Request, tenant, token, route, resource, status, duration."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith('{"event":"request"')]
    patched = [line for line in lines if line["method"] == "PATCH" and line["status"] == 200][-1]
    assert patched.keys() == {
        *("event", "level", "timestamp", "request_id", "tenant_id", "token_id"),
        *("method", "route", "target", "status", "duration_us"),
    }
    assert patched["route"] == "/Users/{id}"
    assert 0 < patched["duration_us"] < 30_000_000
    assert isinstance(patched["tenant_id"], int)
    why = [line for line in lines if line["route"] == "/api/{slug}/why"]
    assert {line["status"] for line in why} >= {200, 404}


@pytest.mark.parametrize("written", ["serve", "postgres"])
def test_no_log_holds_personal_data(service: Service, client: Client, marks: dict[str, str], written: str) -> None:
    """SX-01, SX-05, SX-06: no names, values, passwords, tokens; of requests that succeeded, failed, made no sense."""
    path: Path = service.log if written == "serve" else service.data / "postgres.log"
    text = path.read_text(errors="replace").lower()
    assert [line for line in text.splitlines() for mark in marks.values() if mark in line] == []
    assert client.token.lower() not in text
    assert client.slug not in text


def test_a_defect_is_logged_by_kind_and_place_without_its_message(capfd: Any) -> None:
    """An exception's message may quote what a client sent; so do the arguments of a library's message."""
    import logging

    import structlog

    from api.lines import configure_logging

    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logging()
        try:
            {}["ada@contoso.example"]
        except KeyError as error:
            structlog.get_logger().error("defect", exc_info=error)
            logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool", "ada@contoso.example")
            logging.getLogger("asyncio").error("Task failed\nfuture: ada@contoso.example", exc_info=error)
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    err = capfd.readouterr().err
    assert "ada@" not in err
    defect, pool, task = (json.loads(line) for line in err.splitlines())
    assert defect["error"] == "KeyError"
    assert defect["frames"][-1].startswith("tests/operations/test_diagnostics.py:")
    assert (pool["event"], pool["logger"], pool["told"]) == ("library", "psycopg.pool", "error connecting in %r: %s")
    assert (task["level"], task["told"], task["error"]) == ("error", "Task failed", "KeyError")
