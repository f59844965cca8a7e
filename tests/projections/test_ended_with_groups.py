"""A group's deletion ends every membership with one entry, which names nobody; each member is told of it."""

import pytest

from projections import answers, telling
from projections.reports import changes
from projections.whole import story
from tests.projections.reporting import listed
from tests.projections.telling import ADA, EVERYONE, FINANCE, group_deleted, joined, left
from tests.projections.test_inferences import person
from tests.projections.whying import SCRIPT, Ask, Told

OTHERS = 11
DELETED = 28


def ended() -> Told:
    """Positions 0, 1: two groups. 2 to 5: Ada joins both, and leaves Everyone. Eleven others join Finance, then it is
    deleted."""
    told = Told().hired().joins(FINANCE, EVERYONE)
    told.request("PATCH", f"/Groups/{EVERYONE}", left(EVERYONE, ADA))
    for number in range(OTHERS):
        told.hired(person(number), f"u{number}")
    told.request("PATCH", f"/Groups/{FINANCE}", *(joined(FINANCE, person(number)) for number in range(OTHERS)))
    told.later(days=9).request("DELETE", f"/Groups/{FINANCE}", group_deleted(FINANCE), **SCRIPT)
    assert told.entries[DELETED].event_type == "GroupDeleted"
    return told


def test_a_history_ends_with_the_group(ask: Ask) -> None:
    """At its position, by its request, as the end of this member's; and pages of it are whole."""
    reader = ask.written(ended())
    (told,) = answers.history(reader, "ada").histories
    assert [each.position for each in told.changes] == [2, 3, 4, 5, DELETED]
    last = told.changes[-1]
    assert (last.event, last.group_name, last.member_id, last.explicit) == ("GroupDeleted", "Finance", ADA, False)
    assert told.requests[last.request_id].token_label == "HR script"
    said = telling.history(answers.history(reader, "ada"))
    assert f'position {DELETED}: left the group "Finance" ({FINANCE}), which was deleted' in said
    (newest,) = answers.history(reader, "ada", count=1).histories
    assert [each.position for each in newest.changes] == [DELETED] and newest.next_before == DELETED
    (older,) = answers.history(reader, "ada", count=2, before=DELETED).histories
    assert [each.position for each in older.changes] == [4, 5]


def test_a_groups_own_history_has_its_deletion_once(ask: Ask) -> None:
    (told,) = answers.history(ask.written(ended()), "Finance").histories
    assert [each.position for each in told.changes] == [0, DELETED]
    assert (told.changes[-1].member_id, told.changes[-1].explicit) == ("", True)


def test_the_report_of_changes_has_it_in_pages_of_any_size(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ask.written(ended())
    whole = listed(reader, "changes", subject="ada")
    last = whole.rows[-1]
    assert (last["position"], last["event"], last["group"]) == (DELETED, "GroupDeleted", "Finance")
    assert (last["explicit"], last["by"], last["method"]) == (False, "HR script", "DELETE")
    assert not whole.contradictions
    monkeypatch.setattr(changes, "PAGE", 2)
    assert listed(reader, "changes", subject="ada") == whole


def test_why_names_the_group_that_somebody_active_lost(ask: Ask) -> None:
    told = ended()
    explained = ask.one(told, person(3))
    assert explained.verdict == "active" and explained.last is not None
    assert (explained.last.event, explained.last.position) == ("GroupDeleted", DELETED)
    assert [(each.group_name, each.ended_by) for each in explained.lost_active] == [("Finance", "GroupDeleted")]
    (r10,) = [each for each in explained.inferences if each.rule == "R10"]
    assert r10.statement.startswith('One group ("Finance") ended')
    said = " ".join(story(ask(told, "u3")).split())
    assert f'lost while active: "Finance" (position {DELETED}, the group was deleted) still held: no group' in said
    assert f'client "HR script": left the group "Finance" ({FINANCE}), which was deleted.' in said
    later = ask.one(told, person(3), after=400)
    assert later.lost_active == explained.lost_active and later.facts == explained.facts


def test_a_run_counts_the_memberships_that_ended_with_its_groups(ask: Ask) -> None:
    reader = ask.written(ended())
    found = answers.runs(reader, count=5, before=None, client=None, since=None, until=None)
    assert [(run.memberships_removed, run.memberships_ended, run.groups_deleted) for run in found.runs] == [
        (0, OTHERS + 1, 1), (1, 0, 0), (0, 0, 0),
    ]  # fmt: skip
    assert f"1 group deleted, {OTHERS + 1} memberships ended with their groups" in telling.runs(found)


def test_a_group_that_everybody_was_in_is_a_burst(ask: Ask) -> None:
    (burst,) = listed(ask.written(ended()), "bursts").rows
    assert (burst["run"], burst["client"], burst["memberships_removed"], burst["memberships_ended"]) == (
        DELETED, "HR script", 0, OTHERS + 1,
    )  # fmt: skip
    assert (burst["groups_deleted"], burst["suspected_cause"][:3]) == (1, "R10")
