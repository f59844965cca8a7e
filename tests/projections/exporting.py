"""Entra's provisioning log as its portal and Graph export it: the documented shape, made-up people."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Json = dict[str, Any]

NOON = datetime(2026, 7, 17, 12, tzinfo=UTC)
CYCLE = "b85c7c8e-c3c5-49e0-a57e-000000000003"
JOB = "scim.4b8c18bd2f9f4227af55000000000001.4ba261ce-287a-459c-93eb-000000000002"


def identifier(*of: object) -> str:
    """A stable GUID."""
    return str(uuid5(NAMESPACE_URL, " ".join(map(str, of))))


def record(
    action: str, target_id: str = "", *, at: datetime = NOON, status: str = "success", who: str = "Ana Ruiz",
    row: object = None, cycle: str = CYCLE, properties: dict[str, tuple[str | None, str | None]] | None = None,
    skip: str = "", error: str = "", kind: str = "User",
) -> Json:  # fmt: skip
    """One record in Graph's shape (provisioningObjectSummary). properties: name → (old, new)."""
    row = (action, target_id, at.isoformat(), who) if row is None else row
    source_id = identifier("source", who)
    steps: list[Json] = [
        {"name": "EntryImportUpdate", "provisioningStepType": "import", "status": "success",
         "description": f"Received {kind} '{who}' change of type (Update) from Microsoft Entra ID",
         "details": {"objectId": source_id}},
        {"name": "EntrySynchronizationScoping", "provisioningStepType": "scoping", "status": "success",
         "description": f"Determine if {kind} in scope by evaluating against each scoping filter",
         "details": {"Active in the source system": "True", "Assigned to the application": str(not skip)}},
    ]  # fmt: skip
    if skip:
        steps.append(
            {"name": "EntrySynchronizationSkip", "provisioningStepType": "export", "status": "skipped",
             "description": "…", "details": {"ReportableIdentifier": source_id, "SkipReason": skip}}
        )  # fmt: skip
    return {
        "id": identifier("row", row),
        "activityDateTime": at.isoformat().replace("+00:00", "Z"),
        "tenantId": "4b8c18bd-2f9f-4227-af55-000000000001",
        "jobId": JOB,
        "cycleId": cycle,
        "changeId": identifier("change", row),
        "provisioningAction": action,
        "durationInMilliseconds": 630,
        "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
        "servicePrincipal": {"id": identifier("principal"), "displayName": "Contoso HR SCIM"},
        "sourceSystem": {"id": identifier("system"), "displayName": "Microsoft Entra ID", "details": {}},
        "targetSystem": {"id": identifier("target"), "displayName": "customappsso",
                         "details": {"ApplicationId": "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"}},
        "sourceIdentity": {"id": source_id, "displayName": who, "identityType": kind, "details": {"odatatype": kind}},
        "targetIdentity": {"id": target_id, "displayName": "",
                           "identityType": f"urn:ietf:params:scim:schemas:core:2.0:{kind}", "details": {}},
        "modifiedProperties": [
            {"displayName": name, "oldValue": old, "newValue": new} for name, (old, new) in (properties or {}).items()
        ],
        "provisioningSteps": steps,
        "provisioningStatusInfo": {
            "status": status,
            "errorInformation": {"errorCode": error, "reason": f"It failed: {error}"} if error else None,
        },
    }  # fmt: skip


def array(records: Sequence[Json]) -> io.BytesIO:
    """The portal's JSON: one minified array."""
    return io.BytesIO(json.dumps(records, separators=(",", ":")).encode())


def pages(records: Sequence[Json], size: int = 2) -> io.BytesIO:
    """Graph's answers, page after page."""
    texts = [
        json.dumps({
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#auditLogs/provisioning",
            "value": records[start : start + size],
            "@odata.nextLink": f"https://graph.microsoft.com/v1.0/auditLogs/provisioning?$skiptoken={start}",
        }, indent=1)
        for start in range(0, len(records), size)
    ]  # fmt: skip
    return io.BytesIO("\n".join(texts).encode())


def lines(records: Sequence[Json]) -> io.BytesIO:
    """JSON Lines, with a byte order mark."""
    return io.BytesIO("\n".join(map(json.dumps, records)).encode("utf-8-sig"))


def three_files(records: Sequence[Json], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[io.BytesIO]:
    """The portal's CSV: rows, steps and modified properties, joined by change id."""
    rows = [
        {
            "Id": each["id"], "Activity Date Time": each["activityDateTime"], "Job Id": each["jobId"],
            "Cycle Id": each["cycleId"], "Change Id": each["changeId"],
            "Provisioning Action": each["provisioningAction"],
            "Duration In Milliseconds": each["durationInMilliseconds"],
            "Initiated By Name": each["initiatedBy"]["displayName"],
            "Initiated By Type": each["initiatedBy"]["initiatorType"],
            "Service Principal Name": each["servicePrincipal"]["displayName"],
            "Source Identity Id": each["sourceIdentity"]["id"],
            "Source Identity Name": each["sourceIdentity"]["displayName"],
            "Source Identity Type": each["sourceIdentity"]["identityType"],
            "Target Identity Id": each["targetIdentity"]["id"],
            "Target Identity Type": each["targetIdentity"]["identityType"],
            "Status": each["provisioningStatusInfo"]["status"],
            "Error Code": (each["provisioningStatusInfo"]["errorInformation"] or {}).get("errorCode", ""),
            "Reason": (each["provisioningStatusInfo"]["errorInformation"] or {}).get("reason", ""),
            "A Column Of Tomorrow": "kept",
        }
        for each in records
    ]  # fmt: skip
    steps = [
        {"Change Id": each["changeId"], "Name": step["name"], "Provisioning Step Type": step["provisioningStepType"],
         "Status": step["status"], "Description": step["description"], "Details": json.dumps(step["details"])}
        for each in records for step in each["provisioningSteps"]
    ]  # fmt: skip
    properties = [
        {"CHANGEID": each["changeId"], "Display Name": one["displayName"], "Old Value": one["oldValue"],
         "New Value": one["newValue"]}
        for each in records for one in each["modifiedProperties"]
    ]  # fmt: skip
    return [_file(table, delimiter, encoding) for table in (rows, steps, properties) if table]


def _file(table: Sequence[Json], delimiter: str, encoding: str) -> io.BytesIO:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return io.BytesIO(text.getvalue().encode(encoding))


def cycle_of(*target_ids: str, at: datetime = NOON) -> list[Json]:
    """An incremental cycle: an update of each, a second apart."""
    return [
        record("update", target, at=at + timedelta(seconds=number), who=f"Person {number}")
        for number, target in enumerate(target_ids)
    ]
