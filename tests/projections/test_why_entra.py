"""What Entra's own log says is told among the facts, once it is imported: also of somebody who never came."""

from exporting import CYCLE, array, record

from ledger.entry import Cause
from ledger.randomness import random_id
from projections.asking import Why, why
from projections.entra_import import import_export
from projections.whole import story
from tests.projections.telling import ADA
from tests.projections.whying import Ask, Told


def past() -> Told:
    """A telling that is over: the import is recorded at the time that it is."""
    told = Told()
    told.at("2024-03-04T09:00:00+00:00")
    return told


def asked(ask: Ask, told: Told, *records: object, subject: str) -> Why:
    reader = ask.written(told)
    import_export(reader, [("export", array(records))], lambda: Cause(random_id(), token_id="operator"))
    return why(reader, subject, now=told.now)


def test_cycle_initiator_and_scoping_are_facts_of_the_disable(ask: Ask) -> None:
    told = past().hired().later(days=9).disabled()
    at = told.entries[-1].recorded_at
    mine = record("disable", ADA, at=at, properties={"active": ("True", "False")})
    other = record("update", ADA, at=told.entries[2].recorded_at, row="long before")
    answer = asked(ask, told, mine, other, subject="ada")
    (row,) = answer.explanations[0].entra
    assert (row.cycle_id, row.action, row.initiator_type) == (CYCLE, "disable", "system")
    said = " ".join(story(answer).split())
    assert "What Entra's own log says" in said
    assert "disable, success by Azure AD Provisioning Service (system)" in said
    assert "Assigned to the application: True" in said and f"cycle: {CYCLE}" in said


def test_why_entra_skipped_somebody_who_never_came(ask: Ask) -> None:
    """Found by the name it would have given: an answer, though no request of it ever came."""
    told = past().hired()
    named = {"userName": (None, "cy@x.example")}
    skip = record("other", "", at=told.now, who="Cy", status="skipped", skip="NotEffectivelyEntitled", properties=named)
    answer = asked(ask, told, skip, subject="cy@x.example")
    assert answer.absent is not None and answer.absent.is_told_of
    assert [row.skip_reason for row in answer.absent.entra] == ["NotEffectivelyEntitled"]
    assert "skipped because: NotEffectivelyEntitled" in " ".join(story(answer).split())
