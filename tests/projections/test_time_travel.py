"""History and past states, read from a real ledger through the eventsourcing library's view of it."""

from collections.abc import Iterator

import psycopg
import pytest

from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.recorder import TenantRecorder
from ledger.vault import Keys
from projections.answers import Shown, as_of, history
from projections.runner import catch_up
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
    left,
)
from tests.projections.whying import Ask, Told


@pytest.fixture
def reader(postgres: Database, tenant: Tenant, keys: Keys) -> Iterator[Reader]:
    """Eleven entries: Ada and Bob come, join Finance, Ada is disabled and deleted, Finance is renamed."""
    told = Telling()
    told.request("POST", "/Users", created(ADA, userName="ada", active=True))  # 0
    told.request("POST", "/Users", created(BOB, userName="bob"))  # 1
    told.request("POST", "/Groups", group_created(FINANCE, "Finance"))  # 2
    told.request("PATCH", "/Groups", joined(FINANCE, ADA), joined(FINANCE, BOB))  # 3, 4
    told.unchanged("PATCH", "/Users", ADA)  # 5
    told.request("PATCH", "/Users", changed(ADA, "title", None, "Analyst"), deactivated(ADA))  # 6, 7
    told.request("DELETE", "/Users", left(FINANCE, ADA, explicit=False), deleted(ADA))  # 8, 9
    told.request("PATCH", "/Groups", group_renamed(FINANCE, "Finance", "Money"))  # 10
    with psycopg.connect(postgres.app_url, autocommit=True) as connection:
        recording = Recording(connection, tenant, keys)
        recording.place(told.entries)
        found = recording.reader()
        catch_up(found)
        yield found


def shown(reader: Reader, subject: str, position: int | None = None) -> Shown:
    (only,) = as_of(reader, subject, position).resources
    return only


def test_a_user_is_shown_as_it_was_after_every_entry(reader: Reader) -> None:
    ada = {position: shown(reader, "ada", position) for position in range(11)}
    assert [ada[position].version for position in range(11)] == [1, 1, 1, 1, 1, 1, 2, 3, 3, 4, 4]
    assert [ada[position].exists for position in (0, 8, 9, 10)] == [True, True, False, False]
    title = [(ada[position].resource or {}).get("title") for position in (5, 6, 9)]
    assert title == [None, "Analyst", None]
    assert [(ada[position].resource or {}).get("active") for position in (0, 6, 7)] == [True, True, False]
    assert [len(ada[position].groups) for position in range(11)] == [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert not shown(reader, "bob", 0).exists and shown(reader, "bob", 0).version == 0


def test_a_groups_version_counts_its_memberships(reader: Reader) -> None:
    """As its ETag does."""
    finance = {position: shown(reader, "Finance", position) for position in range(2, 11)}
    assert [finance[position].version for position in range(2, 11)] == [1, 2, 3, 3, 3, 3, 4, 4, 5]
    assert [finance[position].resource["displayName"] for position in (9, 10)] == ["Finance", "Money"]
    moved = [entry.recorded_at for entry in reader.at([4, 8])]
    assert [finance[position].changed_at for position in (7, 9)] == moved


def test_history_joins_the_stream_with_what_others_say(reader: Reader) -> None:
    """Changes from her stream, memberships from the group's, requests without effect from their own."""
    (ada,) = history(reader, "ada").histories
    assert [change.position for change in ada.changes] == [0, 3, 5, 6, 7, 8, 9]
    assert [change.event for change in ada.changes if change.group_id] == ["MembershipAdded", "MembershipRemoved"]
    assert {change.group_name for change in ada.changes if change.group_id} == {"Finance"}
    (finance,) = history(reader, "Money").histories
    assert [change.event for change in finance.changes] == ["GroupCreated", "AttributeChanged"]


def test_of_an_erased_person_it_stays_known_that_she_was_there(reader: Reader) -> None:
    reader.connection.execute(
        "delete from subject_keys where tenant_id = %s and subject_id = %s", (reader.tenant.tenant_id, ADA)
    )
    forgotten = Reader(reader.connection, reader.tenant, reader.vault)
    then = shown(forgotten, ADA, 7)
    assert then.exists and then.version == 3 and then.resource == {"schemas": then.resource["schemas"], "id": ADA}
    assert not shown(forgotten, ADA, 9).exists
    (ada,) = history(forgotten, ADA).histories
    assert all(change.erased for change in ada.changes if not change.group_id and change.event != "RequestUnchanged")


def test_history_and_show_read_through_the_recorder(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that the library's own test cases run on."""
    read = []
    select = TenantRecorder.select_events

    def select_events(self, originator_id, **rest):
        read.append((originator_id, rest["lte"]))
        return select(self, originator_id, **rest)

    monkeypatch.setattr(TenantRecorder, "select_events", select_events)
    history(reader, "ada")
    shown(reader, "ada", 6)
    assert read == [(f"users/{ADA}", 4), (f"users/{ADA}", 2)]


def test_history_is_read_in_pages_from_the_newest_on(reader: Reader) -> None:
    """Each in order; all of them are the whole; names and requests are told of with every page."""
    (whole,) = history(reader, "ada").histories
    assert whole.next_before is None
    pages, before = [], None
    while True:
        (page,) = history(reader, "ada", count=2, before=before).histories
        assert page.names == whole.names
        assert set(page.requests) == {change.request_id for change in page.changes}
        pages, before = [page.changes, *pages], page.next_before
        if before is None:
            break
    assert [len(each) for each in pages] == [1, 2, 2, 2]
    assert [change for page in pages for change in page] == whole.changes


def test_history_opens_what_a_page_needs(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a client has repeated a request about somebody, or about a group of theirs."""
    told = Told().hired().joins(FINANCE)
    for _ in range(2_000):
        told.unchanged("PATCH", f"/Users/{ADA}", ADA)
        told.unchanged("PATCH", f"/Groups/{FINANCE}", FINANCE)
    reader = ask.written(told)
    opened, asked = [], []
    payload, execute = Reader._payload, psycopg.Cursor.execute
    monkeypatch.setattr(Reader, "_payload", lambda self, row: opened.append(row) or payload(self, row))
    monkeypatch.setattr(psycopg.Cursor, "execute", lambda self, *a, **b: asked.append(a) or execute(self, *a, **b))
    (ada,) = history(reader, "ada", count=10).histories
    assert len(ada.changes) == 10 and ada.next_before == ada.changes[0].position
    assert ada.names[0].value == "ada"
    (now,) = as_of(reader, "ada", None).resources
    assert [held.group_name for held in now.groups] == ["Finance"]
    assert len(opened) < 500 and len(asked) < 60
