"""The questions that admins and auditors were seen asking, each answered by one command.

The ledger is the simulated one. What has to be in an answer is taken from the story that was played, never from the
ledger.
"""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from msgspec import Struct

from bench.simulator.company import SHORTENED
from bench.simulator.personnel import write_personnel_csv
from bench.simulator.simulation import Simulated
from bench.simulator.truth import Situation, Step
from cli.main import run
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.words import when
from tests.conftest import Database

PERSONNEL = "{personnel}"  # In a command line: the file that Personnel exports.


class Asked(Struct, frozen=True):
    """A command line, without the tenant; and what its answer has to say."""

    command: tuple[str, ...]
    says: list[str]


def mistake(simulated: Simulated) -> list[str]:
    """Whom the mass mistake took, in order."""
    (situation,) = simulated.truth.of_kind("mass_mistake")
    return list(dict.fromkeys(step.subject_id for step in situation.all("disable")))


def planted(simulated: Simulated, kind: str) -> tuple[Situation, str]:
    """A situation of a kind, and the last id of the person it is about, to whom nothing else happened."""
    taken = {*mistake(simulated), *simulated.truth.of_kind("new_address")[0].subject_ids}
    found = ((each, simulated.truth.ids[each.who]) for each in simulated.truth.of_kind(kind))
    return next((situation, ids[-1]) for situation, ids in found if not taken & set(ids))


def disabling(situation: Situation) -> Step:
    """The request that took the access away."""
    return next(step for step in situation.steps if "Deactivated" in step.events)


def by_request(step: Step, event: str) -> list[str]:
    """When, by which request, and which entry."""
    return [when(step.at), step.request_id, f"position {step.position_of(event)}"]


def who_deactivated_this_user(simulated: Simulated, reader: Reader) -> Asked:
    situation, _ = planted(simulated, "unassigned")
    name = simulated.company.person(situation.who).user_name
    told = by_request(disabling(situation), "Deactivated")
    return Asked(
        ("why", name), [f"{name} is deprovisioned", 'the client "Entra', "set active to false, explicitly", *told]
    )


def why_were_many_deprovisioned_at_once(simulated: Simulated, reader: Reader) -> Asked:
    taken = mistake(simulated)
    other = {
        user_id
        for each in simulated.truth.situations.values()
        if each.kind != "mass_mistake"
        for user_id in each.subject_ids
    }
    asked = next(user_id for user_id in taken if user_id not in other)
    others = f"The others of the mass change ({len(taken) - 1:,})"
    return Asked(
        ("why", asked, "--others"),
        ["part of a mass change", f"disabled or deleted {len(taken):,} users within the hour", others, *taken],
    )


def was_it_us_the_identity_provider_or_the_application(simulated: Simulated, reader: Reader) -> Asked:
    (situation,) = simulated.truth.of_kind("new_address")
    step = disabling(situation)
    told = ['the client "Help desk"', f"from {simulated.truth.new_address}", "seen for the first time"]
    return Asked(("why", step.subject_id), [*told, *by_request(step, "Deactivated")])


def which_group_removal_caused_it(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "lost_group_before")
    quits = situation.first("quit")
    told = [quits.subject_id, "lost the group that gave access", *by_request(quits, "MembershipRemoved")]
    return Asked(("why", user_id), told)


def why_is_a_terminated_user_still_active(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "terminated_active")
    name = simulated.company.person(situation.who).user_name
    return Asked(
        ("why", name),
        [f"{name} is not deprovisioned: active", "what it does not send is not here", "To close it at once", user_id],
    )


def why_did_delete_never_arrive(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "unassigned")
    told = ["deactivated, not deleted", "No DELETE came in", "Entra sends no DELETE for somebody it no longer manages"]
    return Asked(("why", user_id), [*told, *by_request(disabling(situation), "Deactivated")])


def how_long_from_termination_to_disable(simulated: Simulated, reader: Reader) -> Asked:
    (line, *_) = [row for row in simulated.personnel.rows if row.kind == "disabled_late"]
    (situation,) = [each for each in simulated.truth.leavers() if employee_of(simulated, each) == line.employee_id]
    gone = disabling(situation)
    hours = round((gone.at - line.terminated_at).total_seconds() / 3_600, 2)
    told = [line.employee_id, f",{hours},", "disabled late", gone.request_id]
    return Asked(("report", "leavers", "--hr-file", PERSONNEL), told)


def employee_of(simulated: Simulated, situation: Situation) -> str:
    """The number under which Personnel knows whom a situation is about."""
    return simulated.company.person(situation.who).employee_id


def why_was_the_user_recreated(simulated: Simulated, reader: Reader) -> Asked:
    situation, _ = planted(simulated, "recreated_external_id")
    person = simulated.company.person(situation.who)
    older, newer = simulated.truth.ids[situation.who]
    hired = situation.first("hire")
    told = [older, newer, "one person, several records", "both have the same externalId", person.alias]
    return Asked(("why", person.user_name), [*told, *by_request(hired, "UserCreated")])


def why_does_an_update_keep_failing_with_409(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "name_taken")
    refused = [step for step in situation.all("change") if step.status == 409]
    told = [f"{len(refused)} times since {when(refused[0].at)}", "409 uniqueness: userName is already in use"]
    return Asked(("why", user_id), [*told, f"last on {when(refused[-1].at)}", refused[-1].request_id])


def why_did_a_reenabled_user_lose_groups(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "rehired")
    lost = [
        fact for step in situation.all("quit") for fact in (step.subject_id, *by_request(step, "MembershipRemoved"))
    ]
    told = ["lost after it, until the return", "do not come back by themselves", *lost]
    return Asked(("why", user_id), [*told, *by_request(situation.first("enable"), "Reactivated")])


def who_removed_her_from_the_group(simulated: Simulated, reader: Reader) -> Asked:
    (situation,) = simulated.truth.of_kind("list_shortened")
    step = situation.steps[0]
    (ended,) = reader.at([step.position])  # Who it was, the story does not say.
    told = ['the client "Help desk"', "implied, not named in the request", *by_request(step, "MembershipRemoved")]
    return Asked(("why", ended.subject_id, "--group", SHORTENED), told)


def what_exactly_was_sent_and_answered(simulated: Simulated, reader: Reader) -> Asked:
    (situation,) = simulated.truth.of_kind("new_address")
    step = disabling(situation)
    told = [
        f"PATCH /scim/{simulated.tenant.slug}/v2/Users/{step.subject_id}",
        f"from {simulated.truth.new_address}",
        str(step.status),
    ]
    return Asked(("request", step.request_id), [*told, '"op": "replace", "path": "active", "value": false'])


def what_did_a_missing_active_do(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "put_without_active")
    step = situation.first("put")
    put = f"The PUT at position {step.position} did not name `active`"
    return Asked(("why", user_id), [put, "it neither disables nor enables anybody", "is not deprovisioned: active"])


def did_a_sync_overwrite_manual_changes(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "overwritten")
    manual, sync = situation.steps
    told = ['"Head of Everything" → "Specialist"', "Help desk", manual.request_id, sync.request_id]
    return Asked(("why", user_id, "--attribute", "title"), [*told, f"position {manual.position}"])


def which_names_did_this_account_have_before(simulated: Simulated, reader: Reader) -> Asked:
    situation, user_id = planted(simulated, "renamed")
    person, step = simulated.company.person(situation.who), situation.first("change")
    return Asked(("why", user_id), [person.user_name, person.alias, "-lindqvist", f"until {when(step.at)}"])


QUESTIONS: list[Callable[[Simulated, Reader], Asked]] = [
    who_deactivated_this_user,
    why_were_many_deprovisioned_at_once,
    was_it_us_the_identity_provider_or_the_application,
    which_group_removal_caused_it,
    why_is_a_terminated_user_still_active,
    why_did_delete_never_arrive,
    how_long_from_termination_to_disable,
    why_was_the_user_recreated,
    why_does_an_update_keep_failing_with_409,
    why_did_a_reenabled_user_lose_groups,
    who_removed_her_from_the_group,
    what_exactly_was_sent_and_answered,
    what_did_a_missing_active_do,
    did_a_sync_overwrite_manual_changes,
    which_names_did_this_account_have_before,
]


MILLION = pytest.param("large", marks=[pytest.mark.slow, pytest.mark.timeout(3_600)], id="a million entries")


@pytest.fixture(params=[pytest.param("simulated", id="20,000 entries"), MILLION])
def company(request: pytest.FixtureRequest) -> Simulated:
    """The simulated ledger; with --slow the large one as well."""
    found: Simulated = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_one_command_answers(
    question: Callable[[Simulated, Reader], Asked],
    company: Simulated,
    tmp_path: Path,
    postgres: Database,
    keys: Keys,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with psycopg.connect(postgres.app_url, autocommit=True) as connection:
        vault = Vault.load(connection, company.tenant.tenant_id, keys)
        asked = question(company, Reader(connection, company.tenant, vault))
    personnel = tmp_path / "terminations.csv"
    write_personnel_csv(company.personnel.rows, personnel)
    verb, *rest = (str(personnel) if part == PERSONNEL else part for part in asked.command)
    where = ("--database-url", postgres.app_url, "--keys", str(keys.folder))
    assert run([verb, company.tenant.slug, *rest, *where]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert [fact for fact in asked.says if fact not in told] == []
