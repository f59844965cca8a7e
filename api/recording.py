"""From what was decided to the job that records it: entries with cause, sealed payloads, the request as received."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from api.caller import Caller
from api.exchange import Exchange
from domain.bodies import strike_out
from domain.errors import ScimError
from domain.events import Event, RequestRefused, RequestUnchanged
from domain.ids import is_id
from domain.registry import ResourceTypes
from ledger.codec import encode_cause, encode_payload, seal_payload
from ledger.entry import Cause, Received
from ledger.jobs import Job, NewEntry, ReceivedRequest, SubjectKey
from ledger.vault import Sealer, receive
from projections.wanted import name_ids

KEPT_BYTES_MAX = 64 * 1024
KEPT_BYTES_MAX_REFUSED = 4 * 1024
_SUBJECTS_MAX = 2_000
_DETAIL_CHARACTERS = 500
_PATH_CHARACTERS = 256


class Recording:
    """Collects the entries of one request; `finish` seals them, when their number is known."""

    def __init__(self, exchange: Exchange, status: int, state_version: int = 0, elapsed_us: int | None = None) -> None:
        """elapsed_us: how long the request took, when it was answered long before it is recorded."""
        assert exchange.caller is not None
        self.exchange = exchange
        self.caller: Caller = exchange.caller
        self.job = Job(self.caller.tenant.tenant_id, exchange.request_id, self.caller.token_id)
        self.job.status = status
        self._state_version = state_version
        self._elapsed_us = elapsed_us
        self._sealers: list[Sealer] = []

    def add(
        self, event: Event, stream: str, version: int, subject_id: str, sealer: Sealer | None = None,
        *, bumps: bool = False,
    ) -> int:  # fmt: skip
        """Add an entry; returns its index. `sealer` is the person's; without one the tenant's key seals."""
        sealer = sealer or self.caller.vault.tenant_key
        self.job.entries.append(NewEntry(stream, version, event, subject_id, b"", b"", sealer.key_id, bumps))
        self._sealers.append(sealer)
        return len(self._sealers) - 1

    def new_subject(self, subject_id: str) -> Sealer:
        """Make the key of a new person."""
        sealer, wrapped = self.caller.vault.new_key(subject_id)
        self.job.subject_keys.append(SubjectKey(subject_id, sealer.key_id, wrapped))
        return sealer

    def finish(self, error: ScimError | None = None) -> Job:
        """Seal the entries, the full cause in the first, and return the job."""
        entries = self.job.entries
        cause = self.cause(error, len(entries))
        origin = self.caller.tenant.origin
        for index, (entry, sealer) in enumerate(zip(entries, self._sealers, strict=True)):
            if index:
                cause = Cause(cause.request_id, index, len(entries))
            payload = encode_payload(entry.event, encode_cause(cause))
            entry.commitment, entry.payload = seal_payload(payload, sealer, origin, entry.stream)
        return self.job

    def cause(self, error: ScimError | None = None, count: int = 1) -> Cause:
        """Return the full cause, as it is now. count: of the request's entries."""
        exchange, caller = self.exchange, self.caller
        received_at = datetime.fromtimestamp(exchange.received_ns // 1_000 / 1_000_000, UTC)
        return Cause(
            request_id=exchange.request_id,
            count=count,
            token_id=caller.token_id,
            token_label=caller.label,
            profile=caller.profile.name,
            client_address=exchange.client_address,
            user_agent=exchange.header(b"user-agent"),
            correlation=exchange.correlation(),
            method=exchange.method,
            path=exchange.path[:_PATH_CHARACTERS],
            operations=exchange.operations,
            received_at=received_at.isoformat(),
            elapsed_us=exchange.elapsed_us() if self._elapsed_us is None else self._elapsed_us,
            status=self.job.status,
            scim_type=(error.scim_type or "") if error else "",
            detail=error.detail[:_DETAIL_CHARACTERS] if error else "",
            quirks=list(exchange.quirks),
            ignored=list(exchange.ignored),
            state_version=self._state_version,
            received=exchange.received or self._receive(KEPT_BYTES_MAX_REFUSED if error else KEPT_BYTES_MAX),
            bulk=exchange.bulk,
        )

    def _receive(self, kept_bytes_max: int) -> Received | None:
        if not self.exchange.body:
            return None
        received, kept = seal_body(self.exchange, self._subjects(), kept_bytes_max)
        if kept is not None:
            self.job.received = (kept,)
        return received

    def _subjects(self) -> list[str]:
        """Whom the request names besides those its entries are about: these are found by the entries."""
        told = {entry.subject_id for entry in self.job.entries}
        named = dict.fromkeys(self.exchange.subjects[:_SUBJECTS_MAX])
        return [subject for subject in named if subject not in told and is_id(subject)]


def seal_body(
    exchange: Exchange, subjects: list[str], kept_bytes_max: int = KEPT_BYTES_MAX
) -> tuple[Received, ReceivedRequest | None]:
    """Seal a body under a key of its own, passwords struck out; a long one leaves its size and hash.

    subjects: whom it names, for an index; those whom an entry of the same request is about may be missing.
    """
    body, caller = exchange.body, exchange.authenticated
    sealer, wrapped = caller.vault.request_key(exchange.request_id)
    commitment, sealed = receive(struck(body, caller.types), sealer, exchange.request_id)
    fits = len(body) <= kept_bytes_max
    kept = ReceivedRequest(exchange.request_id, wrapped, sealed, subjects) if fits else None
    return Received(len(body), commitment, fits), kept


def unchanged(exchange: Exchange, status: int, state_version: int) -> Job:
    """Return the job of a request that changed nothing: seen, and no change (L2)."""
    return _about_request(Recording(exchange, status, state_version), RequestUnchanged(), None)


def refused(exchange: Exchange, error: ScimError, repetitions: int = 0, elapsed_us: int | None = None) -> Job:
    """Return the job of a refused request. elapsed_us: what it took, when it was answered some time ago."""
    recording = Recording(exchange, error.status, elapsed_us=elapsed_us)
    if len(exchange.body) <= KEPT_BYTES_MAX_REFUSED:
        exchange.subjects = [*exchange.subjects, *name_ids(recording.caller.tenant.origin, exchange.body)]
    return _about_request(recording, RequestRefused(repetitions), error)


def _about_request(recording: Recording, event: Event, error: ScimError | None) -> Job:
    # A stream of its own: versions and ETags count changes only.
    exchange = recording.exchange
    subject_id = exchange.target[1] if exchange.target else exchange.request_id
    recording.add(event, f"requests/{exchange.request_id}", 1, subject_id)
    return recording.finish(error)


def struck(body: bytes, types: ResourceTypes) -> bytes:
    """Return a body without what may never be kept. One that cannot be read but may name such is not kept."""
    lowered = body.lower()
    if b"\\u" not in body and not any(name in lowered for name in types.secret_names):
        return body
    try:
        read: Any = msgspec.json.decode(body)
        return msgspec.json.encode(strike_out(read, types.never_returned))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"(not kept: it cannot be read and may hold a password)"
