"""The provisioning log, read: newest first, by subject, action or status.

Pages are cut by position; on each, repetitions of a refusal stand where they happened.
"""

from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct
from msgspec.structs import replace

from domain.attributes import ResourceType
from domain.declarations import resource_types
from ledger.declarations import present_declarations
from ledger.entry import Tenant
from projections.trail import HAPPENED_AT

COUNT_MAX = 1_000
ACTIONS = ("create", "update", "disable", "enable", "delete", "other")
STATUSES = ("success", "failure", "skipped")

# Newest first. One index scan of the primary key, trail_by_action or trail_of_trouble; test_log.py checks the plan.
_LOG = f"""
select first_position, last_position, request_id::text, recorded_at,
       {HAPPENED_AT} as at,
       action, status, resource_type, target_id::text, method, path, http_status, scim_type, detail, token_id,
       token_label, profile, client_address, user_agent, correlation, operations, quirks, ignored, duration_us,
       entry_count, repetitions, modified,
       bulk_request_id::text, bulk_operation,
       (select r.first_position
          from runs r
         where r.tenant_id = t.tenant_id and r.client_id = t.token_id and r.first_position <= t.first_position
         order by r.first_position desc
         limit 1) as run,
       (select jsonb_build_object('cycle_id', e.cycle_id, 'change_id', e.change_id, 'job_id', e.job_id,
                                  'initiated_by', e.initiated_by, 'initiator_type', e.initiator_type)
          from entra_rows e
         where e.tenant_id = t.tenant_id and e.first_position = t.first_position
         limit 1) as entra
  from trail t
 where tenant_id = %(tenant)s
   and first_position < %(before)s
   and first_position >= %(since)s
   and (%(client)s::text is null or token_id = %(client)s)
   and (%(action)s::text is null or action = %(action)s)
   and (%(status)s::text is null or status = %(status)s)
   and (%(subjects)s::uuid[] is null or exists (
           select from trail_subjects s
            where s.tenant_id = t.tenant_id and s.first_position = t.first_position
              and s.subject_id = any(%(subjects)s::uuid[])))
 order by t.first_position desc
 limit %(count)s
"""  # noqa: S608  # Columns of ours.


# The trail keeps the kind of the streams where a type is the tenant's own.
_KNOWN = ("User", "Group", "Token", "Client", "Tenant", "Import", "Report", "")
_RUN = "select client_id, first_position, last_position from runs where tenant_id = %s and first_position = %s"


class NoSuchRun(Exception):
    """No run of the tenant begins at that position."""


class FromEntra(Struct, frozen=True):
    """Which row of Entra's own log a request was found to be: its cycle, change and job, and who set it off."""

    cycle_id: str
    change_id: str
    job_id: str
    initiated_by: str
    initiator_type: str


class Record(Struct, frozen=True):
    """One request in the provisioning log.

    at: when it happened, which is when it was recorded, but for repetitions. repetitions: how many repetitions of an
    earlier refusal the record stands for, of which it shows the last; 0 for all others, which are one request.
    action: create, update, disable, enable, delete, other. status: success, failure, skipped.
    duration_us: from receipt to append. bulk_request_id, bulk_operation: of an operation of a bulk request, whose
    request_id is that one's but for the last four digits.
    run: which one it belongs to. entra: as far as Entra's log was imported.
    """

    first_position: int
    last_position: int
    request_id: str
    recorded_at: datetime
    at: datetime
    action: str
    status: str
    resource_type: str
    target_id: str | None
    method: str
    path: str
    http_status: int | None
    scim_type: str
    detail: str
    token_id: str
    token_label: str
    profile: str
    client_address: str
    user_agent: str
    correlation: dict[str, str]
    operations: list[str]
    quirks: list[str]
    ignored: list[str]
    duration_us: int
    entry_count: int
    repetitions: int
    modified: list[Any]
    bulk_request_id: str | None
    bulk_operation: int | None
    run: int | None
    entra: FromEntra | None


class Log(Struct, frozen=True):
    """A page of the provisioning log. size: how many entries it has read; next_before: where the next page begins."""

    size: int
    records: list[Record]
    next_before: int | None


def read_log(
    connection: psycopg.Connection[Any], tenant: Tenant, size: int, *, count: int = 50, before: int | None = None,
    subjects: list[str] | None = None, action: str | None = None, status: str | None = None, run: int | None = None,
) -> Log:  # fmt: skip
    """Return up to `count` records, newest first, those that begin before a position.

    run: only those of one run. Raises NoSuchRun.
    """
    count = max(0, min(count, COUNT_MAX))
    client, since, until = (None, 0, size) if run is None else _within(connection, tenant, run)
    parameters = {
        "tenant": tenant.tenant_id,
        "client": client,
        "since": since,
        "before": until if before is None else min(before, until),
        "action": action,
        "status": status,
        "subjects": subjects,
        "count": count,
    }
    with psycopg.Cursor(connection) as cursor:
        rows = cursor.execute(_LOG, parameters).fetchall()
    records = [Record(*(*row[:-1], row[-1] and FromEntra(**row[-1]))) for row in rows]
    if any(record.resource_type not in _KNOWN for record in records):
        types = resource_types(present_declarations(connection, tenant.tenant_id)).by_stream
        records = [_named(record, types) for record in records]
    next_before = records[-1].first_position if len(records) == count and records else None
    return Log(size, sorted(records, key=lambda record: (record.at, record.first_position), reverse=True), next_before)


def _named(record: Record, types: dict[str, ResourceType]) -> Record:
    if record.resource_type in _KNOWN:
        return record
    found = types.get(record.resource_type)
    return replace(record, resource_type=found.name if found else "")


def _within(connection: psycopg.Connection[Any], tenant: Tenant, run: int) -> tuple[str, int, int]:
    """Whose run it is, and between which positions its requests are."""
    found = connection.execute(_RUN, (tenant.tenant_id, run)).fetchone()
    if found is None:
        raise NoSuchRun(f"tenant {tenant.slug} has no run {run}; a run is named by the position it begins at")
    return found[0], found[1], found[2] + 1
