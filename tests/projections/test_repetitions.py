"""Repetitions of a refusal are recorded up to a minute later: what is told of them is of when they came, each once."""

import asyncio

from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections import telling
from projections.answers import history, log, runs
from projections.asking import why
from projections.received import request, show_request
from projections.reports.frame import Asked
from projections.requests import happened_at, repetitions
from projections.rhythm import RunTold
from projections.story import Change
from tests.ledger.desk import Connection, Desk, Said, check_whole, patch, user
from tests.projections.reporting import listed

REPETITIONS = 2
TAKEN = patch({"op": "replace", "path": "userName", "value": "bob"})


def reader_of(desk: Desk, connection: Connection, keys: Keys) -> Reader:
    return Reader(connection, desk.tenant, Vault.load(connection, desk.tenant.tenant_id, keys))


async def refused(desk: Desk, ada: str) -> Said:
    """One more of the requests that are refused."""
    said = await desk.ask("PATCH", f"/Users/{ada}", TAKEN)
    assert said.status == 409
    return said


async def flushed(desk: Desk) -> None:
    """Let the minute be over."""
    await asyncio.sleep(0.4)
    await desk.refusals.sweep(everything=True)


async def lived(desk: Desk) -> str:
    """Let a renaming be refused three times and its user be deleted, before the minute is over; returns the id."""
    await desk.made("/Users", user("bob"))
    ada = await desk.made("/Users", user("ada"))
    for _ in range(1 + REPETITIONS):
        await refused(desk, ada)
    await asyncio.sleep(0.05)
    assert (await desk.ask("DELETE", f"/Users/{ada}")).status == 204
    await flushed(desk)
    return ada


def told_of(reader: Reader, subject: str) -> list[Change]:
    """The subject's history."""
    (told,) = history(reader, subject).histories
    return told.changes


def runs_told(reader: Reader) -> list[RunTold]:
    return runs(reader, count=10, before=None, client=None, since=None, until=None).runs


async def test_a_history_tells_repetitions_before_what_came_after_them(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """Their entry stands behind the deletion; they were sent before it. Pages are cut by position all the same."""
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    told = history(reader, ada)
    changes = told.histories[0].changes
    assert [change.event for change in changes] == ["UserCreated", "RequestRefused", "RequestRefused", "UserDeleted"]
    assert changes[1].at <= changes[2].at < changes[3].at and changes[2].position > changes[3].position
    text = telling.history(told)
    assert text.index("2 repetitions of a request that was refused") < text.index("deleted\n", 200)
    newest = history(reader, ada, count=2).histories[0]
    assert [change.event for change in newest.changes] == ["RequestRefused", "UserDeleted"]
    older = history(reader, ada, count=2, before=newest.next_before).histories[0]
    assert [change.event for change in older.changes] == ["UserCreated", "RequestRefused"]


async def test_the_log_tells_repetitions_where_they_happened_and_nothing_besides(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """Two records: the first refusal, and its two repetitions; the second does not count the first again."""
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    told = log(reader, count=50, before=None, subject=ada, action=None, status=None)
    assert [(each.action, each.repetitions) for each in told.records] == [
        ("delete", 0), ("update", REPETITIONS), ("update", 0), ("create", 0),
    ]  # fmt: skip
    deletion, repeated, first, _ = told.records
    assert first.at == first.recorded_at <= repeated.at < deletion.at < repeated.recorded_at
    assert telling.log(told).count("stands for 2 repetitions of an earlier refusal, recorded ") == 1
    page = log(reader, count=2, before=None, subject=ada, action=None, status=None)
    assert page.next_before == deletion.first_position < repeated.first_position
    shown = show_request(reader, repeated.request_id)
    assert shown.at == shown.changes[0].at == repeated.at and shown.told is not None and shown.told.at == repeated.at
    assert "2 repetitions of a request that was refused" in request(shown)


async def test_why_tells_when_refused_requests_came_last(desk: Desk, auditor: Connection, keys: Keys) -> None:
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    (explained,) = why(reader, ada).explanations
    (trouble,) = explained.troubles
    assert trouble.count == 1 + REPETITIONS and explained.deleted is not None and explained.last is not None
    assert trouble.since <= trouble.last.at < explained.deleted.at
    assert explained.last.event == "UserDeleted", "the last request about it, though not the last that was recorded"


async def test_every_refused_request_before_the_deletion_is_inferred_from(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """R13 counts the repetitions that were sent before, and not those that came after, wherever they are recorded."""
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    (explained,) = why(reader, ada).explanations
    (rule,) = [each for each in explained.inferences if each.rule == "R13"]
    assert "3 requests of the same client about this person were refused, the last with 409" in rule.statement
    assert rule.positions == [each.position for each in told_of(reader, ada) if each.event == "RequestRefused"]


async def test_who_was_asked_for_before_being_created_was_not_asked_for_after(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """A creation is refused for an attribute, twice, and then sent without it."""
    wrong = user("ada", active="perhaps")
    for _ in range(2):
        assert (await desk.ask("POST", "/Users", wrong)).status == 400
    await asyncio.sleep(0.05)
    ada = await desk.made("/Users", user("ada"))
    await flushed(desk)
    (explained,) = why(reader_of(desk, auditor, keys), ada).explanations
    (trouble,) = explained.troubles
    assert trouble.named and trouble.count == 2
    assert trouble.since <= trouble.last.at < explained.created.at


async def test_a_client_was_active_until_its_last_request(desk: Desk, auditor: Connection, keys: Keys) -> None:
    await desk.made("/Users", user("bob"))
    ada = await desk.made("/Users", user("ada"))
    for _ in range(1 + REPETITIONS):
        await refused(desk, ada)
    await flushed(desk)
    reader = reader_of(desk, auditor, keys)
    (run,) = [run for run in runs_told(reader) if run.client_label == "desk"]
    assert run.ended == told_of(reader, ada)[-1].at < reader.entries_after(0)[-1].recorded_at
    assert run.duration_s == (run.ended - run.started).total_seconds()


async def test_a_run_counts_every_request_once(desk: Desk, auditor: Connection, keys: Keys) -> None:
    """Two creations, three renamings that are refused, and a deletion, in JSON and in words."""
    await lived(desk)
    told = runs(reader_of(desk, auditor, keys), count=10, before=None, client="desk", since=None, until=None)
    (run,) = told.runs
    assert (run.requests, run.repetitions) == (2 + 1 + REPETITIONS + 1, REPETITIONS)
    assert run.counts["update"] == {"failure": 1 + REPETITIONS}
    assert "6 requests (2 create success, 1 delete success, 3 update failure)" in telling.runs(told)


async def test_a_success_between_repetitions_and_their_entry_is_a_later_success(
    desk: Desk, auditor: Connection, keys: Keys
) -> None:
    """Also for a period whose only entry about the refusals is that of the repetitions."""
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    (row,) = listed(reader, "failures").rows
    (_, first, repeated, deletion) = told_of(reader, ada)
    assert (row["requests"], row["entries"]) == (1 + REPETITIONS, 2)
    assert (row["first_at"], row["last_at"]) == (first.at, repeated.at)
    assert (row["still_failing"], row["later_success_at"]) == ("no", deletion.at)
    (row,) = listed(reader, "failures", Asked(since=first.position)).rows
    assert (row["requests"], row["still_failing"], row["later_position"]) == (REPETITIONS, "no", deletion.position)
    (row,) = listed(reader, "failures", Asked(until=first.position)).rows
    assert (row["requests"], row["still_failing"]) == (1, "yes")


async def test_what_is_refused_again_afterwards_is_still_failing(desk: Desk, auditor: Connection, keys: Keys) -> None:
    """The success came between two refusals, the latter a repetition."""
    await desk.made("/Users", user("bob"))
    ada = await desk.made("/Users", user("ada"))
    await refused(desk, ada)
    await desk.ask("PATCH", f"/Users/{ada}", patch({"op": "replace", "path": "title", "value": "Countess"}))
    await asyncio.sleep(0.05)
    await refused(desk, ada)
    await flushed(desk)
    (row,) = listed(reader_of(desk, auditor, keys), "failures").rows
    assert (row["requests"], row["still_failing"], row["later_success_at"]) == (2, "yes", None)


async def test_actors_are_told_with_every_request_once(desk: Desk, auditor: Connection, keys: Keys) -> None:
    ada, reader = await lived(desk), reader_of(desk, auditor, keys)
    found = listed(reader, "actors")
    (row,) = [row for row in found.rows if row["label"] == "desk"]
    assert (row["requests"], row["refused"], row["updates"]) == (2 + 1 + REPETITIONS + 1, 1 + REPETITIONS, 3)
    assert (row["creates"], row["deletes"]) == (2, 1)
    assert row["last_request_at"] == told_of(reader, ada)[-1].at
    assert not found.contradictions


async def test_entry_times_and_positions_stay_as_they_are(desk: Desk, auditor: Connection, keys: Keys) -> None:
    await lived(desk)
    entries = reader_of(desk, auditor, keys).entries_after(0)
    recorded = [entry.recorded_at for entry in entries]
    assert recorded == sorted(recorded)
    assert [happened_at(entry) == entry.recorded_at for entry in entries] == [not repetitions(e) for e in entries]
    check_whole(auditor, desk.tenant, keys)
