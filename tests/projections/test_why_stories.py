"""The answer to *why* as people read it: one golden text a story, in tests/golden/why.

Times and ids are those of the tellings. A text that is meant to change is written anew by removing its file.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from projections.asking import Asked
from projections.whole import story
from tests.projections.telling import (
    ADA,
    BOB,
    EVERYONE,
    FINANCE,
    changed,
    created,
    deactivated,
    deleted,
    group_deleted,
    group_renamed,
    left,
    reactivated,
)
from tests.projections.test_inferences import burst
from tests.projections.whying import OPERATOR, SCRIPT, Ask, Told

GOLDEN = Path(__file__).parent.parent / "golden" / "why"
ACTIVITY = {"correlation": {"adscimversion": "Date:2026-11-24, ActivityId:a3f2b676-0000-4111-8222-000000000001"}}
MAILS = [{"value": "ada@x.example", "type": "work", "primary": True}]


def lost_group(ask: Ask) -> Told:
    """A leaver, as Entra sends one: groups first, then the account."""
    told = Told().hired(externalId="E1").joins(FINANCE, EVERYONE).later(days=22)
    told.request("PATCH", f"/Groups/{FINANCE}", left(FINANCE, ADA), operations=["remove members"])
    told.request(
        "PATCH", f"/Users/{ADA}", changed(ADA, "title", "Analyst", "Analyst (left)"), deactivated(ADA),
        operations=["replace active", "replace title"], quirks=["boolean_strings"], **ACTIVITY,
    )  # fmt: skip
    return told


def hard_deleted(ask: Ask) -> Told:
    told = Told().hired().joins(FINANCE).later(days=9).disabled().later(days=30)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA), left(FINANCE, ADA, explicit=False), **ACTIVITY)
    return told


def mass_change(ask: Ask) -> Told:
    return burst(ask, 120, 14)


def recreated(ask: Ask) -> Told:
    told = Told().hired(externalId="E1", emails=MAILS).joins(FINANCE).later(days=9).disabled().later(hours=3)
    return told.hired(BOB, "ada.new", externalId="E1", emails=MAILS)


def one_after_the_other(ask: Ask) -> Told:
    told = Told().hired(externalId="E1").later(days=9)
    told.request("DELETE", f"/Users/{ADA}", deleted(ADA))
    return told.later(days=300).hired(BOB, "ada", externalId="E2")


def still_active(ask: Ask) -> Told:
    """Somebody who left, but whom every attempt to disable failed."""
    told = Told().hired().joins(FINANCE).later(days=9)
    refusal = {"status": 400, "scim_type": "invalidValue", "detail": "active is a boolean", **ACTIVITY}
    told.refused("PATCH", f"/Users/{ADA}", ADA, operations=["replace active"], **refusal)
    told.refused("PATCH", f"/Users/{ADA}", ADA, operations=["replace active"], repetitions=4, **refusal)
    told.later(minutes=40).refused("PATCH", f"/Users/{ADA}", ADA, operations=["replace active"], **refusal)
    return told


def returned(ask: Ask) -> Told:
    """Re-enabled, with a group lost meanwhile."""
    told = Told().hired().joins(FINANCE, EVERYONE).later(days=9).disabled().later(days=2)
    told.request("DELETE", f"/Groups/{FINANCE}", group_deleted(FINANCE), **SCRIPT)
    told.later(days=2).request("PATCH", f"/Users/{ADA}", reactivated(ADA), operations=["replace active"])
    return told


def by_hand(ask: Ask) -> Told:
    return Told().hired().later(days=9).disabled(**OPERATOR)


def a_group(ask: Ask) -> Told:
    told = Told().hired().joins(FINANCE).later(days=9)
    told.request("PATCH", f"/Groups/{FINANCE}", group_renamed(FINANCE, "Finance", "Money"))
    told.request("DELETE", f"/Groups/{FINANCE}", group_deleted(FINANCE))
    return told


def erased(ask: Ask) -> Told:
    told = lost_group(ask)
    ask.written(told).connection.execute(
        "delete from subject_keys where tenant_id = %s and subject_id = %s", (ask.recording.tenant.tenant_id, ADA)
    )
    return told


STORIES: dict[str, tuple[Callable[[Ask], Told], str, Asked, float]] = {
    "lost_group": (lost_group, "ada", Asked(), 0),
    "hard_deleted": (hard_deleted, "ada", Asked(), 0),
    "mass_change": (mass_change, ADA, Asked(), 0),
    "mass_change_others": (mass_change, ADA, Asked(others=True), 0),
    "recreated": (recreated, "ada", Asked(), 60),
    "recreated_one_record": (recreated, "ada", Asked(record=ADA), 60),
    "one_after_the_other": (one_after_the_other, "ada", Asked(), 0),
    "still_active": (still_active, "ada", Asked(), 0),
    "returned": (returned, "ada", Asked(), 0),
    "by_hand": (by_hand, "ada", Asked(), 0),
    "a_group": (a_group, "Finance", Asked(), 0),
    "erased": (erased, ADA, Asked(), 0),
}


def test_a_group_is_not_spoken_of_as_a_person(ask: Ask) -> None:
    """Neither one that is there, nor what was refused about it; and no group is counted that it is not in."""
    told = Told().later(days=9)
    told.refused("PATCH", f"/Groups/{FINANCE}", FINANCE, status=400, scim_type="invalidValue", detail="no")
    told.request("DELETE", f"/Groups/{FINANCE}", group_deleted(FINANCE))
    said = story(ask(told, "Everyone", Asked()))
    assert "Whether the identity provider ever meant to delete this group:" in said
    assert "Who read the group:" in said and "What is meant" in said
    assert said.rstrip().splitlines()[-1].startswith("  there since 2 Nov 2023 09:00:01 UTC; read up to entry ")
    said += story(ask(told, "Finance", Asked()))
    assert "of the same client about this group was refused" in " ".join(said.split())
    assert not re.search(r"\bthis person\b|the person's|account\b|0 groups|active", said)


def text(ask: Ask, name: str) -> str:
    tell, subject, asked, after = STORIES[name]
    return story(ask(tell(ask), subject, asked, after=after)).replace(ask.recording.tenant.slug, "acme")


@pytest.mark.parametrize("name", STORIES)
def test_a_story_reads_as_it_did(ask: Ask, name: str) -> None:
    golden = GOLDEN / f"{name}.txt"
    told = text(ask, name)
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(told)
        pytest.fail(f"{golden.name} is new: read it, then keep it")
    assert told == golden.read_text()


@pytest.mark.parametrize("name", STORIES)
def test_lines_fit_a_terminal_and_nothing_names_the_product(ask: Ask, name: str) -> None:
    told = text(ask, name)
    assert max(len(line) for line in told.splitlines()) <= 110
    assert "scim-ledger" not in told.replace("./scim-ledger", "")


def membership_story() -> Told:
    told = Told().hired().joins(FINANCE).later(days=2)
    told.request("PATCH", f"/Groups/{FINANCE}", left(FINANCE, ADA), **SCRIPT)
    return told.later(days=1).joins(FINANCE)


def test_who_removed_her_from_the_group(ask: Ask) -> None:
    """Every time in it, by whom, and that another client took her out than put her in."""
    (told,) = ask(membership_story(), "ada", Asked(group="finance")).pointed
    assert [spell.held.to_position for spell in told.spells] == [4, None]
    assert told.requests[told.spells[0].held.ended_in].token_label == "HR script"
    said = story(ask(membership_story(), "ada", Asked(group="finance")))
    assert 'left it on 4 Nov 2026 09:00:02 UTC (position 4) by the client "HR script"' in " ".join(said.split())
    assert "Another client put the person in than took the person out." in said
    assert said.rstrip().endswith("and is in it still")


def test_whose_value_a_sync_overwrote(ask: Ask) -> None:
    """And by its short name, in whatever case."""
    told = Told().hired(title="Clerk")
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "title", "Clerk", "Boss"), **SCRIPT)
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "title", "Boss", "Clerk"))
    (about,) = ask(told, "ada", Asked(attribute="TITLE")).pointed
    assert [(each.after, each.overwrote and each.overwrote.token_label) for each in about.changes] == [
        ("Boss", "Entra"),
        ("Clerk", "HR script"),
    ]
    assert 'overwrites "Boss", which the client "HR script" set at position 3' in story(
        ask(told, "ada", Asked(attribute="title"))
    )


def test_one_clients_own_changes_overwrite_nobody(ask: Ask) -> None:
    told = Told().hired(title="Clerk")
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "title", "Clerk", "Boss"))
    (about,) = ask(told, "ada", Asked(attribute="title")).pointed
    assert [each.overwrote for each in about.changes] == [None]
    (never,) = ask(told, "ada", Asked(attribute="nickName")).pointed
    assert never.changes == []


def test_created_inactive_is_not_disabled(ask: Ask) -> None:
    told = Told()
    told.request("POST", "/Users", created(ADA, userName="ada", active=False))
    (only,) = ask(told, "ada", after=40).explanations
    assert (only.verdict, only.inferences) == ("created inactive", [])
