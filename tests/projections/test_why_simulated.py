"""Three years of a company, and *why* of everybody in it: what was planted is what is answered."""

from collections.abc import Iterator

import psycopg
import pytest

from bench.simulator.company import END
from bench.simulator.simulation import Simulated
from bench.simulator.truth import Situation
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.answers import history
from projections.asking import Asked, why
from projections.why import Explanation
from tests.conftest import Database

# Per fate: the verdicts that are right at the end, and the rules of which one has to be among the inferences.
EXPECTED: dict[str, tuple[set[str], set[str]]] = {
    "unassigned": ({"deactivated"}, {"R1", "R5"}),
    "directory_delete": ({"deactivated, then deleted"}, {"R4"}),
    "deleted_at_once": ({"deleted"}, set()),
    "disabled_by_put": ({"deactivated"}, {"R1", "R5"}),
    "lost_group_before": ({"deactivated"}, {"R3"}),
    "terminated_active": ({"active", "reactivated"}, set()),
    "disabled_late": ({"deactivated"}, {"R1", "R5"}),
    "refused_before": ({"deactivated"}, {"R13"}),
    "on_demand": ({"deactivated"}, {"R8"}),
    "rehired": ({"reactivated"}, set()),
    "recreated_external_id": ({"active", "reactivated"}, {"R7"}),
    "recreated_user_name": ({"active", "reactivated"}, {"R7"}),
    "flapping": ({"reactivated"}, {"R9"}),
    "put_without_active": ({"active", "reactivated"}, {"R2"}),
}


@pytest.fixture(scope="module")
def reader(postgres: Database, keys: Keys, simulated: Simulated) -> Iterator[Reader]:
    """The simulated ledger, for reading."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        yield Reader(connection, simulated.tenant, Vault.load(connection, simulated.tenant.tenant_id, keys))


def explained(reader: Reader, user_id: str) -> Explanation:
    (only,) = why(reader, user_id, Asked(record=user_id), now=END).explanations
    return only


def last_id(simulated: Simulated, situation: Situation) -> str:
    return simulated.truth.ids[situation.who][-1]


@pytest.mark.parametrize("fate", EXPECTED)
def test_what_was_planted_is_answered(reader: Reader, simulated: Simulated, fate: str) -> None:
    verdicts, rules = EXPECTED[fate]
    situations = simulated.truth.of_kind(fate)
    wrong = []
    for situation in situations:
        told = explained(reader, last_id(simulated, situation))
        found = {each.rule for each in told.inferences}
        if told.verdict not in verdicts or (rules and not rules & found):
            wrong.append((situation.who, told.verdict, sorted(found)))
    # A moment outside the rhythm lies within it by chance in three of ten.
    allowed = len(situations) // 2 if fate == "on_demand" else 0
    assert situations and len(wrong) <= allowed, f"{len(wrong)} of {len(situations)}: {wrong[:5]}"


def test_the_mass_mistake_is_one(reader: Reader, simulated: Simulated) -> None:
    """R5 for everybody it took, and for nobody else's disable."""
    (mistake,) = simulated.truth.of_kind("mass_mistake")
    taken = {step.subject_id for step in mistake.steps if "Deactivated" in step.events}
    inferred = {
        user_id: {each.rule for each in explained(reader, user_id).inferences} for user_id in sorted(taken)[:40]
    }
    assert len(taken) >= 10
    assert sum("R5" in rules for rules in inferred.values()) >= 0.8 * len(inferred)
    alone = [explained(reader, last_id(simulated, each)) for each in simulated.truth.of_kind("unassigned")]
    assert sum("R5" in {each.rule for each in told.inferences} for told in alone) <= 0.1 * len(alone)


def test_a_new_address_is_noticed(reader: Reader, simulated: Simulated) -> None:
    (situation,) = simulated.truth.of_kind("new_address")
    (step,) = [step for step in situation.steps if "Deactivated" in step.events]
    found = {each.rule: each for each in explained(reader, step.subject_id).inferences}
    assert simulated.truth.new_address in found["R11"].statement


def test_records_of_one_person_are_one_story(reader: Reader, simulated: Simulated) -> None:
    for kind in ("recreated_external_id", "recreated_user_name"):
        for situation in simulated.truth.of_kind(kind):
            older, newer = simulated.truth.ids[situation.who][-2:]
            for asked in (older, newer):
                told = why(reader, asked, now=END)
                assert (older, newer) in {(link.older, link.newer) for link in told.links}, kind
                assert {each.id for each in told.explanations} >= {older, newer}


def test_an_update_that_kept_failing_says_who_had_the_name(reader: Reader, simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("name_taken"):
        refused = [step for step in situation.steps if step.status == 409]
        (trouble,) = [each for each in explained(reader, last_id(simulated, situation)).troubles if each.status == 409]
        assert trouble.count == len(refused)
        assert trouble.since == refused[0].at and trouble.last.request_id == refused[-1].request_id


def test_who_was_never_provisioned_was_refused(reader: Reader, simulated: Simulated) -> None:
    """Under the externalId that nobody else has: the userName is its holder's."""
    for situation in simulated.truth.of_kind("not_provisioned"):
        external_id = simulated.company.person(situation.who).alias
        told = why(reader, external_id, now=END)
        assert told.absent is not None
        assert told.absent.troubles[0].count == len([step for step in situation.steps if step.status == 409])


def test_what_was_overwritten_is_marked(reader: Reader, simulated: Simulated) -> None:
    for situation in simulated.truth.of_kind("overwritten"):
        (told,) = history(reader, last_id(simulated, situation)).histories
        marks = [change for change in told.changes if change.overwrote is not None]
        assert {step.request_id for step in situation.steps} & {change.request_id for change in marks}


def test_who_took_the_group_away(reader: Reader, simulated: Simulated) -> None:
    """A list that was shortened, by whom; and it is our reading that this removes."""
    (situation,) = simulated.truth.of_kind("list_shortened")
    (step,) = [each for each in situation.steps if "MembershipRemoved" in each.events][:1]
    entries = reader.at([step.position_of("MembershipRemoved")])
    member, group_id = entries[0].subject_id, entries[0].stream.partition("/")[2]
    (about,) = why(reader, member, Asked(group=group_id), now=END).pointed
    assert step.request_id in {spell.held.ended_in for spell in about.spells}
