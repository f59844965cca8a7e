"""Entra's own provisioning log of the story, as its portal exports it: JSON in Graph's shape, and three CSV files.

Only some weeks of it, because Entra keeps 30 days, and partly incomplete on purpose: an export never has all that
the service was sent, and has rows about what was never sent.
Source: facts on Entra's provisioning logs, provisioningObjectSummary and the export. Microsoft documents no header
lines of the CSV files; ours are the names of the fields.
"""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.simulator.company import END, MISTAKE, Company, object_id, uuid_text
from bench.simulator.happenings import Happening
from bench.simulator.service import Answer
from domain.events import AttributeChanged, Deactivated, MembershipAdded, MembershipRemoved, Reactivated, UserCreated
from domain.schemas import CORE_GROUP, CORE_USER

EXPORTED = ((MISTAKE - timedelta(days=2), MISTAKE + timedelta(days=3)), (END - timedelta(days=30), END))
LEFT_OUT_SHARE = 0.04  # Rows that the export lacks though the request was sent.
NEVER_SENT_SHARE = 0.1  # Further rows, about people whom Entra skipped.

_ACTIONS = {
    "hire": "create",
    "make_group": "create",
    "disable": "disable",
    "delete": "delete",
    "delete_group": "delete",
}
_EXPORT_STEPS = {"create": "EntryExportAdd", "disable": "EntryExportUpdateSoftDelete", "delete": "EntryExportDelete"}
_ERRORS = {409: "EntryConflict", 400: "SystemForCrossDomainIdentityManagementServiceIncompatible", 404: "InvalidAnchor"}

Document = dict[str, Any]


class LogRow(Struct, frozen=True):
    """A row of the log. request_id: of ours that it tells of; empty when Entra skipped it. left_out: not exported."""

    at: datetime
    document: Document
    request_id: str
    left_out: bool = False


class ProvisioningLog:
    """Takes down what Entra does, in the weeks that are exported."""

    def __init__(self, company: Company) -> None:
        self.rows: list[LogRow] = []
        self._company, self._seed = company, company.seed
        self._chance = random.Random(f"{company.seed} log")
        self._cycle_id = ""

    def begin_cycle(self, at: datetime) -> None:
        """Begin a cycle: what follows has its id."""
        if _is_exported(at):
            self._cycle_id = self._id()

    def record(self, happening: Happening, answer: Answer, activity_id: str) -> None:
        """Take down one request, and now and then somebody whom Entra skipped."""
        if not _is_exported(answer.at):
            return
        action = _ACTIONS.get(happening.act, "update")
        status = "failure" if answer.status >= 400 else "success"
        row = self._document(happening, answer.at, action, status)
        row["changeId"] = activity_id
        row["targetIdentity"]["id"] = answer.resource_id
        row["modifiedProperties"] = [_property(*change) for event in answer.events for change in _changes(event)]
        row["provisioningSteps"] = _steps(row, action, status)
        if status == "failure":
            row["provisioningStatusInfo"]["errorInformation"] = _error(answer.status)
        self.rows.append(LogRow(answer.at, row, answer.request_id, self._chance.random() < LEFT_OUT_SHARE))
        if self._chance.random() < NEVER_SENT_SHARE:
            self.rows.append(LogRow(answer.at, self._skipped(happening, answer.at), ""))

    def exported(self, since: datetime, until: datetime) -> list[LogRow]:
        """Return the rows of an export of some days, newest first as the portal gives them."""
        return [row for row in reversed(self.rows) if since <= row.at < until and not row.left_out]

    def _id(self) -> str:
        return uuid_text(self._chance)

    def _skipped(self, happening: Happening, at: datetime) -> Document:
        row = self._document(happening, at, "other", "skipped")
        skip = _step("EntrySynchronizationSkip", "export", "skipped", {"SkipReason": "NotEffectivelyEntitled"})
        row["provisioningSteps"] = [*_steps(row, "other", "success")[:1], skip]
        return row

    def _document(self, happening: Happening, at: datetime, action: str, status: str) -> Document:
        late = at + timedelta(seconds=self._chance.uniform(-1.5, 3.0))
        is_group = bool(happening.group)
        if is_group:
            source_id, name = object_id(self._seed, happening.group), happening.group
        else:
            source_id = object_id(self._seed, f"user {happening.who}")
            name = self._company.person(happening.who).name
        return {
            "id": self._id(),
            "activityDateTime": late.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "tenantId": object_id(self._seed, "directory"),
            "jobId": f"scim.{object_id(self._seed, 'directory').replace('-', '')}.{object_id(self._seed, 'job')}",
            "cycleId": self._cycle_id,
            "changeId": self._id(),
            "provisioningAction": action,
            "durationInMilliseconds": 200 + self._chance.randrange(900),
            "initiatedBy": {"id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"},
            "servicePrincipal": {"id": object_id(self._seed, "principal"), "displayName": "scim-ledger"},
            "sourceSystem": {"id": object_id(self._seed, "source"), "displayName": "Microsoft Entra ID", "details": {}},
            "targetSystem": {"id": object_id(self._seed, "target"), "displayName": "customappsso", "details": {}},
            "sourceIdentity": {
                "id": source_id, "displayName": name, "identityType": "Group" if is_group else "User", "details": {},
            },
            "targetIdentity": {
                "id": "", "displayName": "", "identityType": CORE_GROUP if is_group else CORE_USER, "details": {},
            },
            "modifiedProperties": [],
            "provisioningSteps": [],
            "provisioningStatusInfo": {"status": status, "errorInformation": None},
        }  # fmt: skip


def _is_exported(at: datetime) -> bool:
    return any(start <= at < end for start, end in EXPORTED)


def _changes(event: object) -> Iterator[tuple[str, Any, Any]]:
    match event:
        case UserCreated(resource=resource):
            yield from ((name, None, value) for name, value in resource.items() if isinstance(value, str | bool))
        case AttributeChanged(attribute, before, after):
            yield attribute, before, after
        case Deactivated():
            yield "active", True, False
        case Reactivated():
            yield "active", False, True
        case MembershipAdded(member_id=member_id):
            yield "members", None, member_id
        case MembershipRemoved(member_id=member_id):
            yield "members", member_id, None


def _property(name: str, before: Any, after: Any) -> Document:
    return {"displayName": name, "oldValue": _shown(before), "newValue": _shown(after)}


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, bool) else json.dumps(value)


def _steps(row: Document, action: str, status: str) -> list[Document]:
    source = row["sourceIdentity"]
    kind = "Add" if action == "create" else "Update"
    assigned = {"Active in the source system": str(action not in ("disable", "delete")), "ScopeEvaluationResult": "{}"}
    export = _EXPORT_STEPS.get(action, "EntryExportUpdate")
    return [
        _step(f"EntryImport{kind}", "import", "success", {"objectId": source["id"]}),
        _step("EntrySynchronizationScoping", "scoping", "success", assigned),
        _step(export, "export", status, {"ReportableIdentifier": source["id"]}),
    ]


def _step(name: str, kind: str, status: str, details: dict[str, str]) -> Document:
    return {"name": name, "provisioningStepType": kind, "status": status, "description": "", "details": details}


def _error(status: int) -> Document:
    return {
        "errorCode": _ERRORS.get(status, "SystemForCrossDomainIdentityManagementBadResponse"),
        "errorCategory": "failure",
        "reason": f"The application answered {status}.",
        "additionalDetails": None,
        "recommendedAction": None,
    }


def write_json(rows: Sequence[LogRow], path: Path) -> None:
    """Write the export's JSON: one file, minified."""
    path.write_text(json.dumps([row.document for row in rows], separators=(",", ":")))


def write_csv(rows: Sequence[LogRow], folder: Path) -> None:
    """Write the export's three CSV files, joined by the change id."""
    documents = [row.document for row in rows]
    _write(folder / "ProvisioningLogs.csv", map(_summary, documents))
    steps = ({"changeId": each["changeId"], **_flat(step)} for each in documents for step in each["provisioningSteps"])
    _write(folder / "ProvisioningLogs_ProvisioningSteps.csv", steps)
    changes = ({"changeId": each["changeId"], **one} for each in documents for one in each["modifiedProperties"])
    _write(folder / "ProvisioningLogs_ModifiedProperties.csv", changes)


def _summary(document: Document) -> Document:
    lists = ("provisioningSteps", "modifiedProperties")
    return _flat({name: value for name, value in document.items() if name not in lists})


def _flat(document: Document, prefix: str = "") -> Document:
    flat: Document = {}
    for name, value in document.items():
        if name == "details":
            flat[prefix + name] = json.dumps(value)
        elif isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _write(path: Path, lines: Iterator[Document]) -> None:
    """Write lines below a header that names every field any of them has."""
    told = list(lines)
    fields = dict.fromkeys(name for line in told for name in line)
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(told)
