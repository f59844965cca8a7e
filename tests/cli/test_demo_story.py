"""The demo's story is the same every time, and its requests are those that Entra sends."""

from cli.demo_dialects import DEFAULT, FLAG
from cli.demo_story import (
    DEPARTMENT,
    MANAGER,
    WORK_EMAIL,
    Change,
    Joining,
    Leaving,
    Quitting,
    Reference,
    Returning,
    tell,
)

STORY = tell()
STEPS = (*STORY.first_cycle, *STORY.second_cycle)


def test_one_seed_tells_one_story() -> None:
    assert tell(7) == tell(7)
    assert tell(7).people != tell(8).people


def test_the_tenant_has_500_people_and_20_groups() -> None:
    assert len({person.key for person in STORY.people}) == 500
    assert len({team.name for team in STORY.teams}) == 20
    assert all(team.members for team in STORY.teams)


def test_every_manager_and_member_is_somebody() -> None:
    keys = {person.key for person in STORY.people}
    assert {person.manager for person in STORY.people} - {None} <= keys
    assert {member for team in STORY.teams for member in team.members} <= keys
    references = [v.key for step in STEPS if isinstance(step, Change) for v in step.values.values()
                  if isinstance(v, Reference)]  # fmt: skip
    assert references
    assert set(references) <= keys


def test_everything_that_is_promised_happens() -> None:
    """Renames, new managers, department moves, three leavers, a re-hire, a clash, a PATCH without effect."""
    changes = [step for step in STEPS if isinstance(step, Change)]
    assert sum(WORK_EMAIL in step.values for step in changes) >= 3
    assert sum(DEPARTMENT in step.values for step in changes) == 2
    assert sum(set(step.values) == {MANAGER} for step in changes) >= 5
    assert sum(step.refused for step in changes) == 1
    assert len([step for step in STEPS if isinstance(step, Leaving)]) == 3
    assert len([step for step in STEPS if isinstance(step, Returning)]) == 1
    titles = {person.key: person.title for person in STORY.people}
    assert any(step.values == {"title": titles[step.who]} for step in changes)


def test_one_leaver_loses_groups_in_the_hour_before_and_keeps_others() -> None:
    quits = {step.group for step in STEPS if isinstance(step, Quitting) and step.who == STORY.asked_about}
    held = {team.name for team in STORY.teams if STORY.asked_about in team.members}
    assert len(quits) == 2
    assert quits < held
    leaving = next(s for s in STEPS if isinstance(s, Leaving) and s.who == STORY.asked_about)
    assert leaving.values


def test_groups_are_left_and_joined_as_memberships_allow() -> None:
    members = {team.name: set(team.members) for team in STORY.teams}
    for step in STEPS:
        if isinstance(step, Quitting):
            members[step.group].remove(step.who)
        elif isinstance(step, Joining):
            assert step.who not in members[step.group]
            members[step.group].add(step.who)


def test_the_default_dialect_is_written_as_entra_writes_it() -> None:
    assert DEFAULT.active(False) == [{"op": "Replace", "path": "active", "value": "False"}]
    assert DEFAULT.replace({"title": "x", WORK_EMAIL: "y"}) == [
        {"op": "Replace", "path": "title", "value": "x"},
        {"op": "Replace", "path": WORK_EMAIL, "value": "y"},
    ]
    assert DEFAULT.add_member("u") == [{"op": "Add", "path": "members", "value": [{"$ref": None, "value": "u"}]}]
    assert DEFAULT.remove_member("u") == [{"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "u"}]}]


def test_the_flag_dialect_is_written_as_entra_writes_it() -> None:
    assert FLAG.active(False) == [{"op": "replace", "path": "active", "value": False}]
    assert FLAG.replace({"name.familyName": "x", DEPARTMENT: "d", WORK_EMAIL: "y"}) == [
        {"op": "replace", "path": WORK_EMAIL, "value": "y"},
        {"op": "replace", "value": {"name.familyName": "x", DEPARTMENT: "d"}},
    ]
    assert FLAG.add_member("u") == [{"op": "add", "path": "members", "value": [{"$ref": None, "value": "u"}]}]
    assert FLAG.remove_member("u") == [{"op": "remove", "path": 'members[value eq "u"]'}]
