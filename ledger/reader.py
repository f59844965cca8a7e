"""Entries, read back: a stream's history, what is about somebody, everything after a position."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from cryptography.exceptions import InvalidTag

from ledger.codec import Tampered, open_event
from ledger.entry import Entry, Position, Stream, Tenant, Version
from ledger.vault import KeyDestroyed, Sealer, Vault, open_received

PAGE_ENTRIES = 5_000
_KEYS_KEPT = 20_000
_COLUMNS = (
    "position, stream, stream_version, event_type, subject_id::text, request_id::text, recorded_at, payload, "
    "key_id::text"
)

StoredRow = tuple[int, str, int, str, str, str, datetime, bytes, str]


class Reader:
    """One tenant's ledger, for reading. Every statement is bound to the tenant."""

    def __init__(self, connection: psycopg.Connection[Any], tenant: Tenant, vault: Vault) -> None:
        self.connection = connection
        self.tenant = tenant
        self._vault = vault
        self._sealers: OrderedDict[str, Sealer] = OrderedDict({vault.tenant_key.key_id: vault.tenant_key})

    def size(self) -> int:
        """Return how many entries there are: the next position."""
        row = self._rows("select position from entries where tenant_id = %s order by position desc limit 1")
        return int(row[0][0]) + 1 if row else 0

    def entries_after(self, position: int, count: int = PAGE_ENTRIES, *, until: int | None = None) -> list[Entry]:
        """Return up to `count` entries from `position` on, in order; none at or after `until`."""
        return self._entries(
            "tenant_id = %s and position >= %s and position < %s order by position limit %s",
            position, position + count if until is None else until, count,
        )  # fmt: skip

    def history(self, stream: Stream, *, until: Position | None = None) -> list[Entry]:
        """Return a stream's entries in order, those before position `until` only."""
        return self._entries(
            "tenant_id = %s and stream = %s and (%s::bigint is null or position < %s) order by stream_version",
            stream, until, until,
        )  # fmt: skip

    def about(self, subject_id: str, *, until: Position | None = None, since: datetime | None = None) -> list[Entry]:
        """Return the entries about a person or group in order, before position `until`, from `since` on."""
        return self._entries(
            "tenant_id = %s and subject_id = %s and (%s::bigint is null or position < %s) "
            "and (%s::timestamptz is null or recorded_at >= %s) order by position",
            subject_id, until, until, since, since,
        )  # fmt: skip

    def at(self, positions: Iterable[int]) -> list[Entry]:
        """Return the entries at some positions, in order."""
        return self._entries("tenant_id = %s and position = any(%s::bigint[]) order by position", list(positions))

    def position_at(self, time: datetime) -> Position:
        """Return how many entries were recorded at or before `time`: the size of the ledger as of then."""
        low, high = 0, self.size()
        while low < high:  # Times never decrease with positions, so a search by halves needs no index of times.
            middle = (low + high) // 2
            row = self._rows("select recorded_at from entries where tenant_id = %s and position = %s", middle)
            if row[0][0] <= time:
                low = middle + 1
            else:
                high = middle
        return Position(low)

    def received(self, request_id: str) -> bytes | None:
        """Return a request's body as received (passwords struck out); None when not kept, or erased."""
        rows = self._rows(
            "select k.wrapped, r.sealed from received_requests r "
            "join request_keys k on k.tenant_id = r.tenant_id and k.request_id = r.request_id "
            "where r.tenant_id = %s and r.request_id = %s",
            request_id,
        )
        if not rows:
            return None
        try:
            sealer = self._vault.unwrap(request_id, request_id, bytes(rows[0][0]))
            return open_received(bytes(rows[0][1]), sealer, request_id)[1]
        except InvalidTag:
            raise Tampered(f"the received request {request_id} does not open with its key") from None

    def _entries(self, where: str, *parameters: object) -> list[Entry]:
        rows = self._rows(f"select {_COLUMNS} from entries where {where}", *parameters)  # noqa: S608
        self._load_keys(rows)
        return [self._entry(row) for row in rows]

    def _rows(self, query: str, *parameters: object) -> list[Any]:
        with psycopg.Cursor(self.connection) as cursor:
            return cursor.execute(query, (self.tenant.tenant_id, *parameters), binary=True).fetchall()

    def _load_keys(self, rows: Sequence[StoredRow]) -> None:
        """Have the keys of everybody on a page at hand; fetch those that are not with one statement."""
        wanted: dict[str, str] = {}
        for row in rows:
            if row[8] in self._sealers:
                self._sealers.move_to_end(row[8])
            else:
                wanted[row[8]] = row[4]
        if not wanted:
            return
        found = self._rows(
            "select subject_id::text, key_id::text, wrapped from subject_keys "
            "where tenant_id = %s and subject_id = any(%s::uuid[])",
            list(set(wanted.values())),
        )
        for subject_id, key_id, wrapped in found:
            self._sealers[key_id] = self._vault.unwrap(subject_id, key_id, bytes(wrapped))
        self._sealers.move_to_end(self._vault.tenant_key.key_id)
        while len(self._sealers) > max(_KEYS_KEPT, len(rows) + 1):  # None that this page needs goes.
            self._sealers.popitem(last=False)

    def _entry(self, row: StoredRow) -> Entry:
        position, stream, version, event_type, subject_id, request_id, recorded_at, payload, key_id = row
        event, cause = open_event(
            bytes(payload), event_type=event_type, subject_id=subject_id, key_id=key_id,
            origin=self.tenant.origin, stream=Stream(stream), sealer_of=self._sealer,
        )  # fmt: skip
        return Entry(
            self.tenant.tenant_id, Position(position), Stream(stream), Version(version), event_type, subject_id,
            request_id, recorded_at, event, cause,
        )  # fmt: skip

    def _sealer(self, subject_id: str, key_id: str) -> Sealer:
        try:
            return self._sealers[key_id]
        except KeyError:
            raise KeyDestroyed(subject_id) from None
