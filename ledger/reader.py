"""Entries, read back: a stream's history, what is about somebody, everything after a position."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from cryptography.exceptions import InvalidTag

from ledger.arrays import literal
from ledger.codec import Tampered, open_payload, read_payload
from ledger.entry import Entry, Position, Stream, Tenant, Version
from ledger.vault import Sealer, Vault, open_received

PAGE_ENTRIES = 5_000
PEOPLE = "users/"
# Of a person's own stream every entry is about that person, and its name finds them. An index by subjects holds all
# others, in these words: two at every random place would be half of what an append writes among a million users.
ELSEWHERE = f"left(stream, {len(PEOPLE)}) <> '{PEOPLE}'"
_KEYS_KEPT = 20_000
_VERSION_MAX = 2**31 - 1
_POSITION_MAX = 2**63 - 1
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
        self.vault = vault
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

    def about(self, *subject_ids: str, since: int = 0, until: int = _POSITION_MAX, kind: str = "") -> list[Entry]:
        """Return the entries about people or groups in order, from position `since` on and before `until`.

        kind: with a slash, of the streams that are wanted.
        """
        wanted = "and position >= %s and position < %s and starts_with(stream, %s)"
        own = [f"{PEOPLE}{subject_id}" for subject_id in subject_ids]
        of_people = self._entries(f"tenant_id = %s and stream = any(%s::text[]) {wanted}", own, since, until, kind)
        elsewhere = self._entries(
            f"tenant_id = %s and subject_id = any(%s::uuid[]) and {ELSEWHERE} {wanted}",
            list(subject_ids), since, until, kind,
        )  # fmt: skip
        return sorted([*of_people, *elsewhere], key=lambda entry: entry.position)

    def in_streams(self, kind: str) -> list[Entry]:
        """Return the entries of all streams of a kind, in order. kind: with its slash; one whose streams are few."""
        return self._entries(
            "tenant_id = %s and stream >= %s and stream < %s order by position", kind, kind[:-1] + chr(ord("/") + 1)
        )

    def of_groups(
        self, after: int, until: int, count: int = PAGE_ENTRIES, *, streams: Sequence[str] | None = None
    ) -> list[Entry]:
        """Return up to `count` entries of groups' streams behind a position, in order; none after `until`.

        streams: only of these.
        """
        return self._entries(
            "tenant_id = %s and position > %s and position <= %s and starts_with(stream, 'groups/') "
            "and (%s::text[] is null or stream = any(%s::text[])) order by position limit %s",
            after, until, streams, streams, count,
        )  # fmt: skip

    def at(self, positions: Iterable[int]) -> list[Entry]:
        """Return the entries at some positions, in order."""
        return self._entries("tenant_id = %s and position = any(%s::bigint[]) order by position", list(positions))

    def position_at(self, time: datetime, *, included: bool = True) -> Position:
        """Return how many entries were recorded at or before `time`: the size of the ledger as of then.

        included: whether those of the very time count.
        """

        def recorded_at(position: int) -> datetime:
            query = "select recorded_at from entries where tenant_id = %s and position = %s"
            found: datetime = self._rows(query, position)[0][0]
            return found

        # Times never decrease with positions, so a search by halves needs no index of times.
        search = bisect_right if included else bisect_left
        return Position(search(range(self.size()), time, key=recorded_at))

    def version_at(self, stream: Stream, position: Position) -> tuple[Version, datetime] | None:
        """Return the version that a stream had before a position, and when it came to it; None when it had none."""
        standing = (
            "select stream_version, recorded_at, position from entries where tenant_id = %s and stream = %s "
            "and stream_version <= %s order by stream_version desc limit 1"
        )

        def place(version: int) -> int:
            return int(self._rows(standing, stream, version)[0][2])

        newest = self._rows(standing, stream, _VERSION_MAX)
        if newest and newest[0][2] >= position:
            # By halves again: a large group has had a hundred thousand versions since.
            before = bisect_left(range(1, newest[0][0]), int(position), key=place)
            newest = self._rows(standing, stream, before)
        return (Version(newest[0][0]), newest[0][1]) if newest else None

    def opened(self, where: str, *parameters: object) -> list[tuple[StoredRow, bytes]]:
        """Return entries as stored, each with its payload opened; empty where the key was destroyed.

        where: from the tenant's condition on to the order, as in this file's own statements.
        """
        rows = self._rows(f"select {_COLUMNS} from entries where {where}", *parameters)  # noqa: S608
        self._load_keys(rows)
        return [(row, self._payload(row)) for row in rows]

    def selected(self, where: str, *parameters: object) -> list[Entry]:
        """Return the entries that a condition selects. where: as for `opened`; the tenant is its first parameter."""
        return self._entries(where, *parameters)

    def found(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return what a projection's statement finds. query: with this tenant's id as its parameter `tenant`."""
        with psycopg.Cursor(self.connection) as cursor:
            return cursor.execute(query.encode(), {"tenant": self.tenant.tenant_id, **parameters}).fetchall()

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
            sealer = self.vault.unwrap(request_id, request_id, bytes(rows[0][0]))
            return open_received(bytes(rows[0][1]), sealer, request_id)[1]
        except InvalidTag:
            raise Tampered(f"the received request {request_id} does not open with its key") from None

    def _entries(self, where: str, *parameters: object) -> list[Entry]:
        return [self._entry(row, payload) for row, payload in self.opened(where, *parameters)]

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
            literal(set(wanted.values())),
        )
        for subject_id, key_id, wrapped in found:
            try:
                self._sealers[key_id] = self.vault.unwrap(subject_id, key_id, bytes(wrapped))
            except InvalidTag:
                raise Tampered(f"the key of {subject_id} does not open with the tenant's") from None
        self._sealers.move_to_end(self.vault.tenant_key.key_id)
        while len(self._sealers) > max(_KEYS_KEPT, len(rows) + 1):  # None that this page needs goes.
            self._sealers.popitem(last=False)

    def _payload(self, row: StoredRow) -> bytes:
        sealer = self._sealers.get(row[8])
        return b"" if sealer is None else open_payload(bytes(row[7]), sealer, self.tenant.origin, row[1])[1]

    def _entry(self, row: StoredRow, payload: bytes) -> Entry:
        position, stream, version, event_type, subject_id, request_id, recorded_at, _, _ = row
        event, cause = read_payload(event_type, payload)
        return Entry(
            self.tenant.tenant_id, Position(position), Stream(stream), Version(version), event_type, subject_id,
            request_id, recorded_at, event, cause,
        )  # fmt: skip
