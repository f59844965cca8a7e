"""What the identity provider says: rows of Entra's provisioning log, as imported, and which request each is about.

A row says what no SCIM request can: in which cycle, by whose hand, and why somebody was skipped. What is kept was
exported by somebody and not recorded by us; the entry of the import holds the files' SHA-256.
Source: facts on the Entra client, §5 (Graph's provisioningObjectSummary).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from msgspec import Struct, convert

from ledger.entry import Tenant

TOLD_MAX = 1_000


class EntraProperty(Struct, frozen=True, omit_defaults=True):
    """A modified property as Entra tells it: all values are texts."""

    name: str
    before: str | None = None
    after: str | None = None


class EntraStep(Struct, frozen=True, omit_defaults=True):
    """A step as Entra tells it. type: import, scoping, matching, processing, referenceResolution, export."""

    name: str
    type: str = ""
    status: str = ""
    description: str = ""
    details: dict[str, Any] = {}


class EntraRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One row of Entra's provisioning log. Texts are empty where the export had none.

    at: by Entra's clock. action: create, update, disable, delete, stageddelete, other.
    status: success, failure, skipped, warning. initiator_type: system (a cycle), user (on demand), application.
    source_id: of the object in Entra. target_id: of the resource here. details: whatever else the export had.
    import_id: of the first import that had the row. first_position: of the request here, once that is found.
    """

    row_id: str
    at: datetime
    action: str
    status: str
    cycle_id: str = ""
    change_id: str = ""
    job_id: str = ""
    initiated_by: str = ""
    initiator_type: str = ""
    duration_ms: int = 0
    source_id: str = ""
    source_name: str = ""
    source_type: str = ""
    target_id: str = ""
    target_type: str = ""
    service_principal: str = ""
    error_code: str = ""
    error_reason: str = ""
    modified: list[EntraProperty] = []
    steps: list[EntraStep] = []
    details: dict[str, Any] = {}
    import_id: str = ""
    first_position: int | None = None

    @property
    def skip_reason(self) -> str:
        """Why nothing was sent, such as NotEffectivelyEntitled; empty when it was."""
        return next((str(step.details["SkipReason"]) for step in self.steps if "SkipReason" in step.details), "")

    @property
    def scoping(self) -> dict[str, str]:
        """What Entra decided about its scope, such as `Assigned to the application: False`; empty when untold."""
        return {name: str(told) for step in self.steps if step.type == "scoping" for name, told in step.details.items()}


COLUMNS = EntraRow.__struct_fields__
_SELECTED = ", ".join(f"r.{name}::text" if name == "import_id" else f"r.{name}" for name in COLUMNS)

# Rows that name one of the ids; rows without any id that hold a name of theirs, while it was theirs or before; and
# every other row about the same object in Entra. Each is one index's answer.
_TOLD = f"""
with own as (
    select row_id, source_id
      from entra_rows
     where tenant_id = %(tenant)s
       and target_id = any(%(ids)s::text[])
     union
    select r.row_id, r.source_id
      from names n
      join entra_names e on e.tenant_id = n.tenant_id and e.key = n.key
      join entra_rows r on r.tenant_id = e.tenant_id and r.row_id = e.row_id
      left join entries x on x.tenant_id = n.tenant_id and x.position = n.to_position
     where n.tenant_id = %(tenant)s
       and n.id = any(%(ids)s::uuid[])
       and r.at <= coalesce(x.recorded_at, r.at) + interval '1 minute'
), meant as (
    select row_id from own
     union
    select r.row_id
      from entra_rows r
     where r.tenant_id = %(tenant)s
       and r.source_id in (select source_id from own where source_id <> '')
       and r.target_id = ''
       and r.source_id <> ''
)
select {_SELECTED}
  from meant m
  join entra_rows r on r.tenant_id = %(tenant)s and r.row_id = m.row_id
 where (%(since)s::timestamptz is null or r.at >= %(since)s)
   and (%(until)s::timestamptz is null or r.at <= %(until)s)
 order by r.at desc, r.row_id
 limit %(count)s
"""  # noqa: S608  # Columns of ours.


def entra_told(
    connection: psycopg.Connection[Any], tenant: Tenant, subject_ids: Sequence[str], since: datetime | None,
    until: datetime | None, *, count: int = TOLD_MAX,
) -> list[EntraRow]:  # fmt: skip
    """Return what Entra's log says about users or groups in a time, oldest first; of too many rows the newest.

    subject_ids: ids we issued. since, until: by Entra's clock, both included; None for no bound.
    """
    parameters = {
        "tenant": tenant.tenant_id,
        "ids": list(subject_ids),
        "since": since,
        "until": until,
        "count": max(0, min(count, TOLD_MAX)),
    }
    with psycopg.Cursor(connection) as cursor:
        rows = cursor.execute(_TOLD.encode(), parameters).fetchall()
    return [row_of(row) for row in reversed(rows)]


def row_of(stored: Sequence[Any]) -> EntraRow:
    """Return a row as it is stored, in the order of COLUMNS."""
    return convert(dict(zip(COLUMNS, stored, strict=True)), EntraRow)
