"""The ledger as the eventsourcing library sees it: the library's own tests of recorders, and ours."""

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import eventsourcing.cryptography
import psycopg
import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    MapperDeserialisationError,
    NotSupportedError,
    StoredEvent,
    Tracking,
)

from domain import groups, upcasts, users
from domain.events import EVENT_BY_NAME, RequestUnchanged, UserCreated
from ledger.codec import encode_cause, encode_payload, open_payload, seal_payload
from ledger.connections import Pool
from ledger.entry import Cause, Erased, Stream, Tenant, TenantId, Version
from ledger.jobs import Job, NewEntry
from ledger.reader import Reader
from ledger.recorder import EntryMapper, Ledger, Reading, StoredEntry, StreamRecorder, TenantRecorder
from ledger.tenants import create_tenant
from ledger.vault import Keys, Vault, commit
from ledger.writer import Writer
from tests.conftest import Database
from tests.projections.recording import Recording
from tests.projections.telling import (
    ADA,
    BOB,
    FINANCE,
    Telling,
    changed,
    created,
    deactivated,
    deleted,
    group_created,
    group_renamed,
    joined,
)

GOLDEN_EVENTS = sorted((Path(__file__).resolve().parents[1] / "golden" / "events").iterdir())

# The library has this cipher twice, once over a package that nothing here needs; its test cases import that one.
sys.modules.setdefault("eventsourcing.cipher", eventsourcing.cryptography)
from eventsourcing.tests import persistence as library  # noqa: E402


@contextmanager
def reading_of(url: str, tenant: Tenant, keys: Keys) -> Iterator[Reading]:
    """A tenant's readers, each on a connection of a pool: the library's tests come with a dozen threads."""
    pool = Pool(url, "scim-ledger test", 12)
    pool.open()

    @contextmanager
    def reading() -> Iterator[Reader]:
        with pool.connection() as connection:
            yield Reader(connection, tenant, Vault.load(connection, tenant.tenant_id, keys))

    yield reading
    pool.close()


@pytest.fixture
def reading(postgres: Database, tenant: Tenant, keys: Keys) -> Iterator[Reading]:
    with reading_of(postgres.app_url, tenant, keys) as found:
        yield found


@pytest.fixture
def recorder(reading: Reading) -> TenantRecorder:
    return TenantRecorder(reading)


@pytest.fixture
def recording(postgres: Database, tenant: Tenant, keys: Keys) -> Iterator[Recording]:
    """The tenant's ledger, written as requests write it."""
    with psycopg.connect(postgres.app_url, autocommit=True) as connection:
        yield Recording(connection, tenant, keys)


# The library's own test cases. An originator id here is the name of a stream, and `new_originator_id` is the place
# the library has for ids of another kind; no test of theirs is changed or left out.


def a_stream() -> str:
    return f"notes/{uuid4()}"


class OnOurTables:
    """What the library's test cases run on."""

    @pytest.fixture(autouse=True)
    def _recorders(self, reading: Reading) -> None:
        self.reading = reading

    def new_originator_id(self) -> str:
        return a_stream()

    def create_recorder(self) -> TenantRecorder:
        return TenantRecorder(self.reading)


class TestAsAggregateRecorder(OnOurTables, library.AggregateRecorderTestCase):
    def create_recorder(self) -> StreamRecorder:
        return StreamRecorder(self.reading)


class TestAsApplicationRecorder(OnOurTables, library.ApplicationRecorderTestCase):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestAsTrackingRecorder(OnOurTables, library.TrackingRecorderTestCase):
    pass


class TestAsProcessRecorder(OnOurTables, library.ProcessRecorderTestCase):
    pass


class TestNotificationIds(OnOurTables, library.NonInterleavingNotificationIDsBaseCase):
    pass


# Entries and stored events.


def stored(topic: str, state: bytes, version: int = 1) -> StoredEntry:
    now = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
    return StoredEntry(f"users/{ADA}", version, topic, state, 8, TenantId(1), ADA, str(uuid4()), now)


def event_of(topic: str, state: bytes) -> object:
    mapper: EntryMapper = EntryMapper(None)  # type: ignore[arg-type]  # It transcodes nothing.
    return mapper.to_domain_event(stored(topic, state)).event


@pytest.mark.parametrize("golden", GOLDEN_EVENTS, ids=lambda path: path.stem)
def test_every_event_comes_back_through_the_mapper(golden: Path, recorder: TenantRecorder) -> None:
    """What was ever written is read, and what is written today is written again byte for byte."""
    name, _, revision = golden.stem.rpartition("-")
    mapper = Ledger(recorder._reading).mapper
    before = stored(name, golden.read_bytes())
    entry = mapper.to_domain_event(before)
    assert (entry.originator_id, entry.originator_version) == (before.originator_id, 1)
    assert isinstance(entry.event, EVENT_BY_NAME[name]) and entry.position == before.id - 1
    if int(revision) == EVENT_BY_NAME[name].revision:
        assert mapper.to_stored_event(entry) == before


def test_an_old_revision_is_read_as_todays(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same steps as everywhere."""
    monkeypatch.setattr(UserCreated, "revision", 2)
    monkeypatch.setitem(
        upcasts._STEPS,
        ("UserCreated", 1),
        lambda body: {"user_id": body["user_id"], "resource": {"userName": body["user_name"]}},
    )
    body = {"type": "UserCreated", "revision": 1, "event": {"user_id": ADA, "user_name": "ada"}, "cause": {}}
    body["cause"] = {"request_id": "r"}
    assert event_of("UserCreated", json.dumps(body).encode()) == UserCreated(ADA, {"userName": "ada"})


def test_an_event_nobody_knows_is_the_librarys_error() -> None:
    body = b'{"type":"UserPromoted","revision":1,"event":{},"cause":{"request_id":"r"}}'
    for state in (body, b"state1"):
        with pytest.raises(MapperDeserialisationError, match="the entry at 7"):
            event_of("UserPromoted", state)


def test_what_was_erased_is_read_as_erased() -> None:
    """The recorder hands over an empty state where the key is gone."""
    assert event_of("UserCreated", b"") == Erased("UserCreated")


# The recorder on the ledger.


def note(stream: str, version: int = 1, state: bytes = b"state") -> StoredEvent:
    return StoredEvent(stream, version, "NoteTaken", state)


def positions(reading: Reading) -> list[int]:
    with reading() as reader:
        query = "select position from entries where tenant_id = %s order by position"
        return [row[0] for row in reader.connection.execute(query, (reader.tenant.tenant_id,))]


def test_recorder_and_writer_share_one_order(postgres: Database, reading: Reading, recorder: TenantRecorder) -> None:
    """Two ways in, one function: positions have no gap and no two writes the same one."""
    with reading() as reader:
        tenant, key = reader.tenant, reader.vault.tenant_key

    def job() -> Job:
        made = Job(tenant.tenant_id, str(uuid4()), "operator")
        stream = f"requests/{made.request_id}"
        payload = encode_payload(RequestUnchanged(), encode_cause(Cause(made.request_id)))
        commitment, sealed = seal_payload(payload, key, tenant.origin, stream)
        made.entries.append(NewEntry(stream, 1, RequestUnchanged(), made.request_id, commitment, sealed, key.key_id))
        return made

    async def write() -> list[int]:
        writer = Writer(postgres.app_url)
        try:
            appended = await asyncio.gather(*(writer.append(job()) for _ in range(200)))
        finally:
            await writer.close()
        return [each.position for each in appended]

    def record(_: int) -> list[int]:
        stream = a_stream()
        ids = recorder.insert_events([note(stream, 1), note(stream, 2)])
        assert ids
        return [each - 1 for each in ids]

    with ThreadPoolExecutor(4) as threads:
        recorded = threads.map(record, range(50))
        written = asyncio.run(write())
        taken = written + [position for pair in recorded for position in pair]
    assert sorted(taken) == positions(reading) == list(range(300))
    assert [each.id for each in recorder.select_notifications(None, 1_000)] == list(range(1, 301))


def test_a_version_conflict_writes_nothing(reading: Reading, recorder: TenantRecorder) -> None:
    """Neither the events that would have fitted nor the tracking position that came with them."""
    taken, free = a_stream(), a_stream()
    recorder.insert_events([note(taken)])
    for wrong in ([note(taken)], [note(taken, 3)], [note(free), note(taken)], [note(free), note(free, 3)]):
        with pytest.raises(IntegrityError):
            recorder.insert_events(wrong, tracking=Tracking("upstream", 1))
    assert positions(reading) == [0]
    assert recorder.select_events(free) == [] and recorder.max_tracking_id("upstream") is None


def test_a_tracking_position_that_stays_behind_writes_no_event(reading: Reading, recorder: TenantRecorder) -> None:
    recorder.insert_events([note(a_stream())], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError, match="has read 5 already"):
        recorder.insert_events([note(a_stream())], tracking=Tracking("upstream", 5))
    assert positions(reading) == [0]


def test_nobody_moves_a_projection_of_ours(reading: Reading, recorder: TenantRecorder) -> None:
    """Its position can be asked for like any consumer's, and is the runner's alone to move."""
    with reading() as reader:
        reader.connection.execute("insert into tracking values (%s, 'trail', 1, 7)", (reader.tenant.tenant_id,))
    assert recorder.max_tracking_id("trail") == 7
    with pytest.raises(IntegrityError):
        recorder.insert_tracking(Tracking("trail", 8))


def test_another_tenants_entries_are_invisible(
    postgres: Database, keys: Keys, reading: Reading, recorder: TenantRecorder
) -> None:
    """Also under the same stream, and its consumers' positions too."""
    stream = a_stream()
    recorder.insert_events([note(stream, state=b"ours")], tracking=Tracking("upstream", 3))
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        slug = f"t-{uuid4().hex[:12]}"
        other_tenant = create_tenant(connection, slug, authority="scim.example.com", keys=keys)
    with reading_of(postgres.app_url, other_tenant, keys) as other_reading:
        other = TenantRecorder(other_reading)
        assert other.max_notification_id() is None and other.max_tracking_id("upstream") is None
        assert other.select_events(stream) == [] and other.select_notifications(None, 10) == []
        assert other.insert_events([note(stream, state=b"theirs")], tracking=Tracking("upstream", 1)) == [1]
        assert [event.state for event in other.select_events(stream)] == [b"theirs"]
    assert [event.state for event in recorder.select_events(stream)] == [b"ours"]
    assert recorder.max_tracking_id("upstream") == 3


def test_a_state_is_sealed_and_committed_to_like_any_payload(reading: Reading, recorder: TenantRecorder) -> None:
    stream = a_stream()
    recorder.insert_events([note(stream, state=b"a secret state")])
    with reading() as reader:
        query = "select leaf, payload from entries where tenant_id = %s and stream = %s"
        row = reader.connection.execute(query, (reader.tenant.tenant_id, stream)).fetchone()
        assert row
        leaf, payload = json.loads(row[0]), bytes(row[1])
        salt, state = open_payload(payload, reader.vault.tenant_key, reader.tenant.origin, stream)
    assert b"secret" not in payload
    assert state == b"a secret state" and leaf["pc"] == b64encode(commit(salt, state)).decode()
    assert (leaf["seq"], leaf["sv"], leaf["typ"], leaf["sub"]) == (0, 1, "NoteTaken", stream.capitalize())


@pytest.mark.parametrize("stream", [f"users/{ADA}", f"groups/{FINANCE}", f"tokens/{ADA}"])
def test_what_has_rows_beside_its_entries_is_not_recorded_without_them(recorder: TenantRecorder, stream: str) -> None:
    """A user without its directory row would be a lie until the next repair."""
    with pytest.raises(NotSupportedError, match="together with its rows"):
        recorder.insert_events([note(stream)])


@pytest.mark.parametrize(
    "wrong",
    [
        StoredEvent(uuid4(), 1, "NoteTaken", b""),
        StoredEvent('notes/"', 1, "NoteTaken", b""),
        StoredEvent("tenant", 1, "NoteTaken", b""),
        StoredEvent(f"notes/{ADA}", 1, 'Note","seq":0,"typ":"', b""),
        StoredEvent(f"notes/{ADA}", 1, "", b""),
        StoredEvent(f"notes/{ADA}", -1, "NoteTaken", b""),
        StoredEvent(f"notes/{ADA}", 2**31, "NoteTaken", b""),
    ],
)
def test_what_no_entry_can_hold_is_refused(reading: Reading, recorder: TenantRecorder, wrong: StoredEvent) -> None:
    """A leaf is built of these texts as they are: a quotation mark would let one entry speak as another."""
    with pytest.raises(DataError):
        recorder.insert_events([note(a_stream()), wrong])
    assert positions(reading) == []


def test_an_entry_saved_through_the_application_is_one_of_ours(reading: Reading) -> None:
    """Its cause's request is the entry's, so that readers put the request together again."""
    ledger, request_id = Ledger(reading), str(uuid4())
    stream = Stream(f"requests/{request_id}")
    state = encode_payload(RequestUnchanged(), encode_cause(Cause(request_id, detail="seen")))
    told = StoredEntry(stream, 1, "RequestUnchanged", state, 1, TenantId(0), "", request_id, datetime.now(UTC))
    (recorded,) = ledger.save(ledger.mapper.to_domain_event(told), request_id=request_id)
    assert recorded.notification.id == 1
    with reading() as reader:
        (entry,) = reader.entries_after(0)
    assert (entry.stream, entry.request_id, entry.event) == (stream, request_id, RequestUnchanged())
    assert entry.cause == Cause(request_id, detail="seen")


# History and time travel.


def test_a_stream_is_read_and_folded_up_to_a_version(recording: Recording) -> None:
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada", active=True))
    telling.request("PATCH", "/Users", changed(ADA, "title", None, "Analyst"), deactivated(ADA))
    telling.request("DELETE", "/Users", deleted(ADA))
    recording.write(telling.entries)
    ledger, stream = Ledger.of(recording.reader()), Stream(f"users/{ADA}")

    def folded(state, entries):
        for entry in entries:
            state = users.evolve(state, entry.event)
        return state

    assert ledger.state_at(stream, Version(2), folded).resource == {
        "userName": "ada", "active": True, "title": "Analyst",
    }  # fmt: skip
    assert ledger.state_at(stream, Version(3), folded).active is False
    assert ledger.state_at(stream, Version(4), folded) is None  # Deleted.
    assert ledger.state_at(stream, Version(0), folded) is None  # Not there yet.
    assert [entry.event_type for entry in ledger.events.get(stream, gt=1, lte=3)] == [
        "AttributeChanged", "Deactivated",
    ]  # fmt: skip
    assert [entry.version for entry in ledger.events.get(stream, desc=True, limit=2)] == [4, 3]


def test_a_groups_state_costs_nothing_for_its_members(recording: Recording, postgres: Database) -> None:
    """Its entries are found through the group as their subject: the plan reads no membership."""
    telling = Telling()
    members = [str(uuid4()) for _ in range(400)]
    telling.request("POST", "/Groups", group_created(FINANCE, "Finance"))
    telling.request("PATCH", "/Groups", *(joined(FINANCE, member) for member in members))
    telling.request("PATCH", "/Groups", group_renamed(FINANCE, "Finance", "Money"), joined(FINANCE, BOB))
    recording.write(telling.entries)
    reader, stream = recording.reader(), Stream(f"groups/{FINANCE}")
    statements = []
    opened = reader.opened
    reader.opened = lambda where, *parameters: statements.append((where, parameters)) or opened(where, *parameters)
    ledger = Ledger.of(reader)
    assert [entry.event_type for entry in ledger.events.get(stream)] == ["GroupCreated", "AttributeChanged"]
    assert [entry.version for entry in ledger.events.get(stream, desc=True, limit=1)] == [402]
    assert list(ledger.events.get(stream, gt=1, lte=401)) == []
    with psycopg.connect(postgres.owner_url, autocommit=True) as owner:
        owner.execute("analyze entries")  # Without statistics every index of an unknown tenant costs the same.
    explain = f"explain (format json) select * from entries where {statements[0][0]}"
    plan = str(reader.connection.execute(explain, (reader.tenant.tenant_id, *statements[0][1])).fetchone())
    assert "entries_by_subject" in plan
    fold = lambda state, entries: [state := groups.evolve(state, entry.event) for entry in entries][-1]  # noqa: E731
    assert ledger.state_at(stream, Version(403), fold).resource == {"displayName": "Money"}


def test_versions_before_a_position(recording: Recording) -> None:
    """Of every position, also those of other streams between, before the first and after the last."""
    telling = Telling()
    for number in range(9):
        event = created(ADA, userName="ada") if number == 0 else changed(ADA, "title", number - 1, number)
        telling.request("PATCH", "/Users", *([joined(FINANCE, BOB)] * (number % 3)), event)
    recording.write(telling.entries)
    reader, stream = recording.reader(), Stream(f"users/{ADA}")
    entries = reader.entries_after(0)
    for until in range(len(entries) + 2):
        own = [entry for entry in entries[:until] if entry.stream == stream]
        expected = (own[-1].version, own[-1].recorded_at) if own else None
        assert reader.version_at(stream, until) == expected
    assert reader.version_at(Stream(f"users/{BOB}"), 5) is None


def test_an_erased_person_is_read_as_erased(recording: Recording) -> None:
    """Without the key the events say nothing any more; that they happened, and when, stays."""
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada"), deactivated(ADA))
    recording.write(telling.entries)
    reader = recording.reader()
    reader.connection.execute(
        "delete from subject_keys where tenant_id = %s and subject_id = %s", (reader.tenant.tenant_id, ADA)
    )
    read = list(Ledger.of(reader).events.get(Stream(f"users/{ADA}")))
    assert [entry.event for entry in read] == [Erased("UserCreated"), Erased("Deactivated")]
    assert [entry.version for entry in read] == [1, 2] and read[0].cause is None
