"""How the tests speak bulk: operations put together, responses checked on arrival, the ledger compared."""

from collections.abc import Sequence
from typing import Any

import httpx
from speaking import Json, Speaker, checked

from ledger.reader import Reader
from projections.replay import replay

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def post(path: str, bulk_id: str, data: Any) -> Json:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": data}


def put(path: str, data: Any, **more: Any) -> Json:
    return {"method": "PUT", "path": path, "data": data} | more


def patch(path: str, *operations: Json, **more: Any) -> Json:
    data = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}
    return {"method": "PATCH", "path": path, "data": data} | more


def delete(path: str, **more: Any) -> Json:
    return {"method": "DELETE", "path": path} | more


def bulk_body(*operations: Json, **more: Any) -> Json:
    return {"schemas": [BULK_REQUEST], "Operations": list(operations)} | more


def bulk(speaker: Speaker, *operations: Json, **more: Any) -> list[Json]:
    """Send a bulk request that must be answered 200; return what became of the operations."""
    return results_of(speaker.send("POST", "/Bulk", bulk_body(*operations, **more)), speaker)


def results_of(response: httpx.Response, speaker: Speaker) -> list[Json]:
    """Check what rows BU-05 to BU-07 ask of every bulk response."""
    assert response.status_code == 200, response.text
    body = checked(response).json()
    assert body["schemas"] == [BULK_RESPONSE]
    for result in body["Operations"]:
        _check(result, speaker)
    operations: list[Json] = body["Operations"]
    return operations


def _check(result: Json, speaker: Speaker) -> None:
    assert set(result) <= {"method", "bulkId", "location", "version", "status", "response"}, result
    assert isinstance(result["status"], str) and result["status"].isdecimal(), result
    if result["status"].startswith("2"):
        assert "response" not in result, result
        assert result["location"].startswith(speaker.service.base_url + speaker.base), result
        assert ("version" in result) is (result["method"] != "DELETE"), result
    else:
        error = result["response"]
        assert error["schemas"] == [ERROR] and error["status"] == result["status"] and error["detail"], result
        assert result.get("method") != "POST" or "/Users/" not in result.get("location", ""), result


def statuses(results: Sequence[Json]) -> list[str]:
    return [result["status"] for result in results]


def id_of(result: Json) -> str:
    return str(result["location"].rpartition("/")[2])


def differences(speaker: Speaker) -> list[Any]:
    """What a replay of the tenant's entries finds different in its live rows: nothing, that is."""
    with speaker.service.opened(speaker.slug) as (connection, tenant, vault):
        return list(replay(Reader(connection, tenant, vault)).differences)
