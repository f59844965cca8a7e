"""Tenants' schemas and resource types: declared, and read back. Each declaration is an entry of the tenant's ledger."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from msgspec import Struct
from psycopg.types.json import Jsonb

from domain.declarations import Declarations, document_of, name_of, read_declarations
from domain.events import Declared
from ledger.entry import Tenant
from ledger.jobs import Job
from ledger.single import append
from ledger.tenants import opaque_id, operator_job
from ledger.vault import Vault

Connection = psycopg.Connection[Any]
STREAM = "schemas"  # Its version is the revision of everything a tenant has declared.

_STORE = """
insert into schema_declarations (tenant_id, kind, name, since, revision, position, document)
values (%(tenant_id)s, %(kind)s, %(name)s, %(revision)s, %(revision)s, %(position)s, %(document)s)
    on conflict (tenant_id, kind, name) do update
   set revision = excluded.revision, position = excluded.position, document = excluded.document
"""


class Revised(Struct, frozen=True):
    """What declaring came to.

    revision: of the tenant's declarations afterwards. declared: URNs and names of what is new or has changed.
    """

    revision: int
    declared: list[str]


def present_declarations(connection: Connection, tenant_id: int) -> Declarations:
    """Return what a tenant has declared."""
    rows = connection.execute(
        "select kind, document from schema_declarations where tenant_id = %s order by since", (tenant_id,)
    )
    return read_declarations(rows.fetchall())


def declare(
    connection: Connection, tenant: Tenant, decide: Callable[[Declarations], Sequence[Declared]],
    job_of: Callable[[int, Sequence[Declared]], Job | None],
) -> Revised:  # fmt: skip
    """Declare what the decision makes of the present declarations: all of it, or nothing.

    decide: pure; what it raises, such as InvalidValue and Conflict, passes through.
    job_of: makes the job that records it, from the revision before and the events, which may be none.
    """
    with connection.transaction():
        row = connection.execute(
            "select schema_revision from tenants where tenant_id = %s for no key update", (tenant.tenant_id,)
        ).fetchone()
        assert row is not None, "the tenant was found before"
        events = decide(present_declarations(connection, tenant.tenant_id))
        job = job_of(row[0], events)
        if job is not None:
            appended = append(connection, job)
            if events:
                _store(connection, tenant, row[0], appended.position, events)
    return Revised(row[0] + len(events), [name_of(event)[1] for event in events])


def operators_job(tenant: Tenant, vault: Vault) -> Callable[[int, Sequence[Declared]], Job | None]:
    """What `declare` asks for when an operator declares on the command line."""

    def job_of(revision: int, events: Sequence[Declared]) -> Job | None:
        return operator_job(tenant, vault, STREAM, revision + 1, opaque_id(tenant), *events) if events else None

    return job_of


def _store(connection: Connection, tenant: Tenant, revision: int, position: int, events: Sequence[Declared]) -> None:
    for index, event in enumerate(events):
        kind, name = name_of(event)
        row = {"tenant_id": tenant.tenant_id, "kind": kind, "name": name, "revision": revision + index + 1}
        connection.execute(_STORE, {**row, "position": position + index, "document": Jsonb(document_of(event))})
    connection.execute(
        "update tenants set schema_revision = %s where tenant_id = %s", (revision + len(events), tenant.tenant_id)
    )
