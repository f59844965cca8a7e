"""Entries with times of their own, written into an empty tenant by the database's owner, all at once.

`ledger_append` takes the database's clock; three years cannot be waited for. So entries are sealed here with the
service's own codec, their leaves built as the append builds them, and copied in one transaction with the directory
that they add up to: a tenant is filled wholly or not at all, and a running service sees it from one moment to the
next. The directory's rows come from the code that replay compares with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from msgspec import Struct
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from domain.events import Event
from ledger.codec import encode_cause, encode_payload, seal_payload, text_of
from ledger.entry import Cause, Entry, Erased, Position, Received, Settings, Stream, Tenant, Version
from ledger.leaf import leaf_bytes
from ledger.randomness import random_bytes
from ledger.tenants import SECRET_PREFIX, lock_tenant, new_secret
from ledger.vault import SALT_BYTES, Sealer, Vault, commit, receive
from projections.folding import DIRECTORY, Folding
from projections.tables import NULL, Table, byte_string, copy_lines, text, texts

Connection = psycopg.Connection[Any]

ENTRIES = Table(
    "entries",
    ("tenant_id", "position"),
    (
        "tenant_id", "position", "stream", "stream_version", "event_type", "subject_id", "request_id", "recorded_at",
        "leaf", "payload", "key_id",
    ),
)  # fmt: skip
SUBJECT_KEYS = Table(
    "subject_keys", ("tenant_id", "subject_id"), ("tenant_id", "subject_id", "key_id", "wrapped")
)  # fmt: skip
REQUEST_KEYS = Table(
    "request_keys", ("tenant_id", "request_id"), ("tenant_id", "request_id", "wrapped", "subjects")
)  # fmt: skip
RECEIVED_REQUESTS = Table(
    "received_requests", ("tenant_id", "request_id"), ("tenant_id", "request_id", "sealed")
)  # fmt: skip
TOKENS = Table(
    "tokens",
    ("tenant_id", "token_id"),
    (
        "tenant_id", "token_id", "secret_hash", "label", "scopes", "profile", "created_at", "expires_at", "revoked_at",
        "last_used_at",
    ),
)  # fmt: skip
_WRITTEN_LAST = (SUBJECT_KEYS, REQUEST_KEYS, RECEIVED_REQUESTS)
_LINES_AT_ONCE = 500


class TenantNotEmpty(Exception):
    """Entries with times of their own can only be the first of a tenant."""


class Happened(Struct):
    """One event of a request. sealer: of the person it is about, None for the tenant's."""

    event: Event
    stream: str
    version: int
    subject_id: str
    sealer: Sealer | None = None


class IssuedToken(Struct):
    """A token's row, kept until the end. Its secret is nobody's: only the hash of a random one is written."""

    token_id: str
    label: str
    created_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class Filling:
    """The entries of one tenant on their way. position: of the next one."""

    def __init__(self, tenant: Tenant, vault: Vault, copy: psycopg.Copy) -> None:
        self.tenant, self.vault = tenant, vault
        self.position = 0
        self.tokens: dict[str, IssuedToken] = {}
        self.settings = Settings()
        self._copy = copy
        self._folding = Folding(tenant.tenant_id)
        self._lines: list[str] = []
        self._rest: dict[Table, list[str]] = {table: [] for table in _WRITTEN_LAST}

    def new_subject(self, subject_id: str) -> Sealer:
        """Make the key of a new person."""
        sealer, wrapped = self.vault.new_key(subject_id)
        self._rest[SUBJECT_KEYS].append(
            f"{self.tenant.tenant_id}\t{subject_id}\t{sealer.key_id}\t{byte_string(wrapped)}"
        )
        return sealer

    def receive(self, request_id: str, body: bytes, subjects: list[str], *, kept: bool) -> Received:
        """Commit to a request's body, and keep it sealed under a key of its own if it is to be kept."""
        if not kept:
            return Received(len(body), text_of(commit(random_bytes(SALT_BYTES), body)))
        sealer, wrapped = self.vault.request_key(request_id)
        commitment, sealed = receive(body, sealer, request_id)
        start = f"{self.tenant.tenant_id}\t{request_id}"
        self._rest[REQUEST_KEYS].append(f"{start}\t{byte_string(wrapped)}\t{texts(dict.fromkeys(subjects))}")
        self._rest[RECEIVED_REQUESTS].append(f"{start}\t{byte_string(sealed)}")
        return Received(len(body), commitment, kept)

    def add(self, actor: str, at: datetime, cause: Cause, happened: list[Happened]) -> int:
        """Add the entries of one request; returns the position of the first.

        at: whole milliseconds, never before the last one. cause: the full one, of the first entry.
        """
        first, count = self.position, len(happened)
        entries = []
        for index, each in enumerate(happened):
            own = cause if not index else Cause(cause.request_id, index, count)
            entry = Entry(
                self.tenant.tenant_id, Position(first + index), Stream(each.stream), Version(each.version),
                type(each.event).__name__, each.subject_id, cause.request_id, at, each.event, own,
            )  # fmt: skip
            entries.append(entry)
            self._lines.append(self._line(actor, entry, each.sealer or self.vault.tenant_key))
        self.position += count
        self._folding.feed(entries)
        if len(self._lines) >= _LINES_AT_ONCE:
            self.flush()
        return first

    def _line(self, actor: str, entry: Entry, sealer: Sealer) -> str:
        origin, cause = self.tenant.origin, entry.cause
        assert cause is not None and not isinstance(entry.event, Erased)
        payload = encode_payload(entry.event, encode_cause(cause))
        commitment, sealed = seal_payload(payload, sealer, origin, entry.stream)
        leaf = leaf_bytes(
            origin=origin, position=entry.position, recorded_at=entry.recorded_at, stream=entry.stream,
            version=entry.version, event_type=entry.event_type, actor=actor, commitment=commitment,
        )  # fmt: skip
        return (
            f"{entry.tenant_id}\t{entry.position}\t{entry.stream}\t{entry.version}\t{entry.event_type}\t"
            f"{entry.subject_id}\t{entry.request_id}\t{entry.recorded_at.isoformat()}\t{byte_string(leaf)}\t"
            f"{byte_string(sealed)}\t{sealer.key_id}\n"
        )

    def flush(self) -> None:
        """Send what is waiting."""
        self._copy.write("".join(self._lines))
        self._lines.clear()

    def write_rest(self, cursor: psycopg.Cursor[Any]) -> None:
        """Write the directory, keys, received requests, tokens and settings."""
        for table in DIRECTORY:
            copy_lines(cursor, table, list(self._folding.lines(table)))
        for table, lines in self._rest.items():
            copy_lines(cursor, table, lines)
        copy_lines(cursor, TOKENS, [self._token_line(token) for token in self.tokens.values()])
        settings = msgspec.to_builtins(self.settings)
        cursor.execute(
            "update tenants set settings = %s where tenant_id = %s", (Jsonb(settings), self.tenant.tenant_id)
        )

    def _token_line(self, token: IssuedToken) -> str:
        _, secret_hash = new_secret(SECRET_PREFIX)
        times = (token.created_at, None, token.revoked_at, token.last_used_at)
        written = "\t".join(at.isoformat() if at else NULL for at in times)
        return (
            f"{self.tenant.tenant_id}\t{token.token_id}\t{byte_string(secret_hash)}\t{text(token.label)}\t"
            f"{{scim}}\tlenient\t{written}"
        )


@contextmanager
def filling(connection: Connection, tenant: Tenant, vault: Vault) -> Iterator[Filling]:
    """Fill an empty tenant; nothing is there unless the whole block succeeds.

    connection: the owner's, in autocommit. Raises TenantNotEmpty.
    """
    with connection.transaction(), psycopg.Cursor(connection) as cursor:
        lock_tenant(connection, tenant)
        cursor.execute("select from entries where tenant_id = %s limit 1", (tenant.tenant_id,))
        if cursor.fetchone() is not None:
            raise TenantNotEmpty(f"tenant {tenant.slug} has entries already")
        columns = SQL(", ").join(map(Identifier, ENTRIES.columns))
        with cursor.copy(SQL("copy entries ({}) from stdin").format(columns)) as copy:
            filled = Filling(tenant, vault, copy)
            yield filled
            filled.flush()
        filled.write_rest(cursor)
    for table in (ENTRIES, *DIRECTORY, *_WRITTEN_LAST):
        connection.execute(SQL("analyze {}").format(Identifier(table.name)))
