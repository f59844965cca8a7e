"""A telling written into a real tenant: sealed and appended as the service does it, without directory rows."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from ledger import arrays
from ledger.batch import CALL, Batch
from ledger.codec import encode_cause, encode_payload, seal_payload
from ledger.entry import Cause, Entry, Tenant
from ledger.jobs import Job, NewEntry, SubjectKey
from ledger.reader import Reader
from ledger.vault import Keys, Sealer, Vault
from projections.requests import requests


class Recording:
    """One tenant's ledger, being written. People's events are sealed under their own keys."""

    def __init__(self, connection: psycopg.Connection[Any], tenant: Tenant, keys: Keys) -> None:
        self.connection = connection
        self.tenant = tenant
        self.vault = Vault.load(connection, tenant.tenant_id, keys)
        self._sealers: dict[str, Sealer] = {}
        arrays.register(connection.adapters)

    def reader(self, connection: psycopg.Connection[Any] | None = None) -> Reader:
        return Reader(connection or self.connection, self.tenant, self.vault)

    def write(self, entries: Sequence[Entry], *, requests_a_call: int = 500) -> None:
        """Append entries in their order, a job for each request."""
        jobs = [self._job(request) for request in requests(entries)]
        for start in range(0, len(jobs), requests_a_call):
            batch = Batch(jobs[start : start + requests_a_call])
            with psycopg.RawCursor(self.connection) as cursor:
                cursor.execute(CALL, batch.arguments(datetime.now(UTC)), binary=True)

    def place(self, entries: Sequence[Entry]) -> None:
        """Write entries with their own times, which an append would not take, and the memberships they add up to."""
        jobs = [self._job(request) for request in requests(entries)]
        made = [new for job in jobs for new in job.entries]
        rows = [
            (self.tenant.tenant_id, at, new.stream, new.version, entry.event_type, new.subject_id, entry.request_id,
             entry.recorded_at, b"not hashed here", new.payload, new.key_id)
            for at, (entry, new) in enumerate(zip(entries, made, strict=True), entries[0].position)
        ]  # fmt: skip
        keys = [(self.tenant.tenant_id, k.subject_id, k.key_id, k.wrapped) for job in jobs for k in job.subject_keys]
        with self.connection.transaction(), self.connection.cursor() as cursor:
            for table, lines in (("entries", rows), ("subject_keys", keys)):
                with cursor.copy(SQL("copy {} from stdin").format(Identifier(table))) as copy:
                    for line in lines:
                        copy.write_row(line)
            for entry in entries:
                self._place_membership(cursor, entry)

    def _place_membership(self, cursor: psycopg.Cursor[Any], entry: Entry) -> None:
        group_id, member = entry.stream.partition("/")[2], entry.subject_id
        if entry.event_type == "MembershipAdded":
            row = (self.tenant.tenant_id, group_id, member, "User", entry.position, None)
            cursor.execute("insert into memberships values (%s, %s, %s, %s, %s, %s)", row)
        elif entry.event_type in ("MembershipRemoved", "GroupDeleted"):
            cursor.execute(
                "update memberships set to_position = %s where tenant_id = %s and group_id = %s "
                "and to_position is null and (%s or member_id = %s)",
                (entry.position, self.tenant.tenant_id, group_id, entry.event_type == "GroupDeleted", member),
            )

    def _job(self, request: Sequence[Entry]) -> Job:
        job = Job(self.tenant.tenant_id, request[0].request_id, "operator")
        for entry in request:
            sealer = self._sealer(job, entry)
            payload = encode_payload(entry.event, encode_cause(entry.cause or Cause(entry.request_id)))
            commitment, sealed = seal_payload(payload, sealer, self.tenant.origin, entry.stream)
            job.entries.append(
                NewEntry(
                    entry.stream, entry.version, entry.event, entry.subject_id,
                    commitment, sealed, sealer.key_id,
                )
            )  # fmt: skip
        return job

    def _sealer(self, job: Job, entry: Entry) -> Sealer:
        about_a_person = entry.stream.startswith("users/") or entry.event_type.startswith("Membership")
        if not about_a_person:
            return self.vault.tenant_key
        if entry.subject_id not in self._sealers:
            sealer, wrapped = self.vault.new_key(entry.subject_id)
            job.subject_keys.append(SubjectKey(entry.subject_id, sealer.key_id, wrapped))
            self._sealers[entry.subject_id] = sealer
        return self._sealers[entry.subject_id]
