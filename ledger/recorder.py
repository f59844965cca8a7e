"""The same ledger seen through the eventsourcing library: a recorder bound to one tenant, a mapper, an application.

History and time travel are read this way: `Ledger.of(reader).repository` folds a stream up to a version, `.events`
returns its entries. What the library calls an aggregate is a stream here, its id the stream's name, a topic an
event's short name, and a notification id an entry's position plus one. The recorder writes through the one function
that writes, `ledger_append`. Of the library's own persistence nothing is used: its recorder takes a table lock and a
global sequence (DECISIONS.md).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from threading import Event as Signal
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    AggregateRecorder,
    DataError,
    EventStore,
    InfrastructureFactory,
    IntegrityError,
    Mapper,
    MapperDeserialisationError,
    Notification,
    NotSupportedError,
    ProcessRecorder,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import Environment

from domain.events import Event
from ledger.codec import encode_cause, encode_payload, read_payload, seal_payload
from ledger.entry import Entry, Erased, Position, Stream, TenantId, Version
from ledger.jobs import Job, NewEntry
from ledger.randomness import random_id
from ledger.reader import ELSEWHERE, Reader, StoredRow
from ledger.single import append
from ledger.tenants import OPERATOR
from ledger.writer import Conflict

POLL_S = 0.1
_PAGE_NOTIFICATIONS = 500
_VERSION_MAX = 2**31 - 1
_POSITION_MAX = 2**62
_STREAM = re.compile(r"[a-z]+/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_TOPIC = re.compile(r"[\w.:-]{1,200}", re.ASCII)
# Whose entries are written together with rows of other tables, and some under a person's own key.
_WITH_ROWS = ("users/", "groups/", "tokens/")
_GROUPS = "groups/"

# Opens the tenant's reader on a connection, for one call: of a pool's, or always the same.
Reading = Callable[[], AbstractContextManager[Reader]]


class RecordedEntry(Entry, frozen=True):
    """An entry as the library wants its domain events: it asks for the stream and version by other names."""

    @property
    def originator_id(self) -> str:
        """The stream."""
        return self.stream

    @property
    def originator_version(self) -> int:
        """The stream's version."""
        return self.version


@dataclass(frozen=True, eq=False)
class StoredEntry(Notification):
    """A stored event with what else the ledger knows of it; `state` is the opened payload, empty when erased.

    To the library an event is what its first four fields say, so that it is equal to the one that was handed in.
    """

    tenant_id: TenantId
    subject_id: str
    request_id: str
    recorded_at: datetime

    @classmethod
    def of(cls, tenant_id: TenantId, row: StoredRow, payload: bytes) -> "StoredEntry":
        """Make it of a row and its payload."""
        position, stream, version, event_type, subject_id, request_id, recorded_at, _, _ = row
        return cls(
            stream, version, event_type, payload, position + 1, tenant_id, subject_id, request_id, recorded_at,
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredEvent) and _said(self) == _said(other)

    def __hash__(self) -> int:
        return hash(_said(self))


def _said(event: StoredEvent) -> tuple[UUID | str, int, str, bytes]:
    return event.originator_id, event.originator_version, event.topic, event.state


class EntryMapper(Mapper[str]):
    """Entry ⇄ stored event, by way of the payload that every entry has: short names, revisions, upcasts.

    Keys are the recorder's business: the leaf commits to the payload and not to what it was sealed into, and a
    page's keys are fetched with one statement.
    """

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Write an entry's event and cause as its payload; an erased one has none."""
        entry = domain_event
        assert isinstance(entry, RecordedEntry)
        event, cause = entry.event, entry.cause
        state = b"" if isinstance(event, Erased) or cause is None else encode_payload(event, encode_cause(cause))
        return StoredEvent(entry.stream, entry.version, entry.event_type, state)

    def to_domain_event(self, stored_event: StoredEvent) -> RecordedEntry:
        """Read an entry, its event at today's revision, or `Erased`.

        Raises MapperDeserialisationError for an event that this code does not know.
        """
        stored = stored_event
        assert isinstance(stored, StoredEntry)
        try:
            event, cause = read_payload(stored.topic, stored.state)
        except (KeyError, ValueError) as error:
            raise MapperDeserialisationError(f"the entry at {stored.id - 1} is not an event known here") from error
        return RecordedEntry(
            stored.tenant_id, Position(stored.id - 1), Stream(str(stored.originator_id)),
            Version(stored.originator_version), stored.topic, stored.subject_id, stored.request_id,
            stored.recorded_at, event, cause,
        )  # fmt: skip


class StreamRecorder(AggregateRecorder):
    """Streams of one tenant, recorded and read."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Record events; see `_insert`."""
        with self._reading() as reader:
            _insert(reader, stored_events, **kwargs)
        return None

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, desc: bool = False,
        limit: int | None = None, subject_id: str | None = None,
    ) -> Sequence[StoredEvent]:  # fmt: skip
        """Return a stream's events with versions in (gt, lte], in order; the last ones first if `desc`.

        subject_id: only what is about this one.
        """
        stream = str(originator_id)
        versions = (-1 if gt is None else gt, _VERSION_MAX if lte is None else lte)
        with self._reading() as reader:
            if subject_id is not None:
                return _stored(reader, _ABOUT_BACKWARDS if desc else _ABOUT, subject_id, stream, *versions, limit)
            return _stored(reader, _BACKWARDS if desc else _FORWARDS, stream, *versions, limit)


class TenantRecorder(StreamRecorder, ProcessRecorder):
    """One tenant's whole ledger: its streams, its order as notifications, and how far consumers of it have come."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Record events and return their notification ids; see `_insert`."""
        with self._reading() as reader:
            return _insert(reader, stored_events, **kwargs)

    def select_notifications(
        self, start: int | None, limit: int, stop: int | None = None, topics: Sequence[str] = (), *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:  # fmt: skip
        """Return up to `limit` notifications in order, with ids from `start` (or after it) to `stop`."""
        first = 0 if start is None else start - 1 if inclusive_of_start else start
        last = _POSITION_MAX if stop is None else stop - 1
        with self._reading() as reader:
            if topics:
                return _stored(reader, _NOTIFICATIONS_OF, first, last, list(topics), limit)
            return _stored(reader, _NOTIFICATIONS, first, last, limit)

    def max_notification_id(self) -> int | None:
        """Return the newest entry's notification id."""
        with self._reading() as reader:
            return reader.size() or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ProcessRecorder]:
        """Follow the ledger from after a notification id."""
        return PollingSubscription(self, gt, topics)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move a consumer's tracking position. Raises IntegrityError when it would not move forward."""
        self.insert_events((), tracking=tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the id of the last notification that a consumer or a projection of ours has read."""
        with self._reading() as reader:
            rows = reader.connection.execute(_TRACKED, (reader.tenant.tenant_id, application_name)).fetchall()
        return rows[0][0] if rows else None


class PollingSubscription(Subscription[ProcessRecorder]):
    """Yields notifications as they come. Asks again and again: a LISTEN would tell one database node's news only."""

    def __init__(self, recorder: ProcessRecorder, gt: int | None = None, topics: Sequence[str] = ()) -> None:
        super().__init__(recorder, gt, topics)
        self._page: Iterator[Notification] = iter(())
        self._stopped = Signal()

    def stop(self) -> None:
        """End the iteration, also one that waits."""
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        while not self._has_been_stopped:
            for notification in self._page:
                self._last_notification_id = notification.id
                return notification
            self._next_page()
        raise StopIteration

    def _next_page(self) -> None:
        page = self._recorder.select_notifications(
            self._last_notification_id, _PAGE_NOTIFICATIONS, topics=self._topics, inclusive_of_start=False
        )
        self._page = iter(page)
        if not page:
            self._stopped.wait(POLL_S)


_FORWARDS = (
    "tenant_id = %s and stream = %s and stream_version > %s and stream_version <= %s order by stream_version limit %s"
)
_BACKWARDS = _FORWARDS.replace("order by stream_version", "order by stream_version desc")
# The empty text keeps the stream's own index out of it, the zero the one of positions: a group's stream holds all its
# members, a tenant's positions everybody, and what is about the group itself stands together in the index of subjects.
_ABOUT = (
    f"tenant_id = %s and subject_id = %s and {ELSEWHERE} and stream || '' = %s "
    "and stream_version > %s and stream_version <= %s order by position + 0 limit %s"
)
_ABOUT_BACKWARDS = _ABOUT.replace("position + 0", "position + 0 desc")
_NOTIFICATIONS = "tenant_id = %s and position >= %s and position <= %s order by position limit %s"
_NOTIFICATIONS_OF = _NOTIFICATIONS.replace("order by", "and event_type = any(%s) order by")

_TRACKED = "select position from tracking where tenant_id = %s and projection = %s"
# A tracking position is that of the next entry wanted, so it is the id of the last notification read. Revision 0:
# our own projections count from 1, and nobody else moves them.
_TRACK = """
insert into tracking as t (tenant_id, projection, revision, position)
values (%s, %s, 0, %s)
    on conflict (tenant_id, projection) do update
   set position = excluded.position
 where t.revision = 0
   and t.position < excluded.position
"""


def _stored(reader: Reader, where: str, *parameters: object) -> list[StoredEntry]:
    tenant_id = reader.tenant.tenant_id
    return [StoredEntry.of(tenant_id, row, payload) for row, payload in reader.opened(where, *parameters)]


class _Given(NewEntry):
    """An entry of which nothing is known but its topic and its state."""

    topic: str = ""

    @property
    def event_type(self) -> str:
        return self.topic


def _insert(
    reader: Reader, stored_events: Sequence[StoredEvent], *, tracking: Tracking | None = None,
    request_id: str | None = None,
) -> list[int]:  # fmt: skip
    """Record events as one request's entries, and move a tracking position with them; all or nothing.

    request_id: random unless given; the one in the causes, where the states are payloads of ours.
    Raises IntegrityError when a version is taken or would leave a gap, or the tracking position would not move
    forward; DataError for what no entry can hold; NotSupportedError for what is only written with its rows.
    """
    job = _job(reader, stored_events, request_id or random_id())
    try:
        if tracking is None:
            return _append(reader, job)  # Outside a transaction, as requests do.
        with reader.connection.transaction():
            _track(reader, tracking)
            return _append(reader, job)
    except (Conflict, psycopg.errors.UniqueViolation):
        raise IntegrityError("a stream is not at the version that an event is to follow") from None


def _append(reader: Reader, job: Job) -> list[int]:
    if not job.entries:
        return []
    first = append(reader.connection, job).position + 1
    return list(range(first, first + len(job.entries)))


def _track(reader: Reader, tracking: Tracking) -> None:
    parameters = (reader.tenant.tenant_id, tracking.application_name, tracking.notification_id)
    if reader.connection.execute(_TRACK, parameters).rowcount != 1:
        raise IntegrityError(f"{tracking.application_name} has read {tracking.notification_id} already")


def _job(reader: Reader, stored_events: Sequence[StoredEvent], request_id: str) -> Job:
    """Seal states under the tenant's key; claim that each stream is at the version before its first event."""
    job, key = Job(reader.tenant.tenant_id, request_id, OPERATOR), reader.vault.tenant_key
    versions: dict[str, int] = {}
    for event in stored_events:
        stream, version = _checked(event), event.originator_version
        if stream not in versions:
            job.streams_at.append((stream, max(version - 1, 0)))  # The library's own tests begin at 0.
        elif version != versions[stream] + 1:
            raise IntegrityError(f"the events of {stream} do not follow each other")
        versions[stream] = version
        commitment, sealed = seal_payload(event.state, key, reader.tenant.origin, stream)
        subject_id = stream.partition("/")[2]
        entry = _Given(stream, version, Event(), subject_id, commitment, sealed, key.key_id, topic=event.topic)
        job.entries.append(entry)
    return job


def _checked(event: StoredEvent) -> str:
    """The stream of an event that can be an entry: its leaf is made of these texts as they are."""
    stream = str(event.originator_id)
    if stream.startswith(_WITH_ROWS):
        raise NotSupportedError(f"{stream} is written together with its rows, by the job of a request")
    if not _STREAM.fullmatch(stream):
        raise DataError("an originator id here is the name of a stream: kind, slash and a lower-case UUID")
    if not _TOPIC.fullmatch(event.topic):
        raise DataError("a topic here is 1 to 200 letters, digits and any of _ . : -")
    if not 0 <= event.originator_version <= _VERSION_MAX:
        raise DataError(f"{event.originator_version} cannot be the version of a stream")
    return stream


class Entries(EventStore[str]):
    """Streams as entries. Of a group's stream what is about the group: its members are not its state."""

    mapper: EntryMapper
    recorder: StreamRecorder

    def get(
        self, originator_id: str, *, gt: int | None = None, lte: int | None = None, desc: bool = False,
        limit: int | None = None,
    ) -> Iterator[RecordedEntry]:  # fmt: skip
        """Return a stream's entries with versions in (gt, lte], in order."""
        subject_id = originator_id.removeprefix(_GROUPS) if originator_id.startswith(_GROUPS) else None
        stored = self.recorder.select_events(
            originator_id, gt=gt, lte=lte, desc=desc, limit=limit, subject_id=subject_id
        )
        return map(self.mapper.to_domain_event, stored)


class _Factory(InfrastructureFactory):
    """What the library makes its infrastructure with: of a ledger there is one recorder, and no snapshots."""

    def __init__(self, env: Environment, reading: Reading) -> None:
        super().__init__(env)
        self._reading = reading

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose != "events":
            raise NotSupportedError("a ledger keeps no snapshots: its resources are read whole or from the directory")
        return StreamRecorder(self._reading)

    def application_recorder(self) -> TenantRecorder:
        return TenantRecorder(self._reading)

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TenantRecorder:
        return TenantRecorder(self._reading)

    def process_recorder(self) -> TenantRecorder:
        return TenantRecorder(self._reading)


class Ledger(Application[str]):
    """One tenant's ledger as an application of the library: `events`, `repository`, `notification_log`."""

    events: Entries

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        super().__init__()

    @classmethod
    def of(cls, reader: Reader) -> "Ledger":
        """Make it over one reader and its connection."""
        return cls(lambda: nullcontext(reader))

    def state_at(
        self, stream: Stream, version: Version, fold: Callable[[Any, Iterable[RecordedEntry]], Any]
    ) -> Any:  # fmt: skip
        """Return what a stream's entries up to a version add up to; None where nothing is there, yet or any more."""
        try:
            state: Any = self.repository.get(stream, version=version, projector_func=fold)
        except AggregateNotFoundError:
            return None
        return state

    def construct_env(self, name: str, env: Any = None) -> Environment:
        """Return an empty environment: the process's says nothing about a ledger."""
        return Environment(name, {})

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        """Return what makes recorders bound to this tenant."""
        return _Factory(env, self._reading)

    def construct_mapper(self) -> Mapper[str]:
        """Return the mapper of entries."""
        return self.factory.mapper(mapper_class=EntryMapper)

    def construct_event_store(self) -> EventStore[str]:
        """Return the store that yields entries."""
        return Entries(self.mapper, self.recorder)
