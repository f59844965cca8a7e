"""What happens to one person, from their first day on: everyday life, and the one fate that is planted. Pure data."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from bench.simulator.company import (
    END,
    EVERYBODY,
    HIRED_LATER,
    MISTAKE_REPAIRED,
    ROLE_GROUPS,
    START,
    TEAM_SIZE,
    Company,
    Person,
    at_work,
    is_disturbed,
)
from bench.simulator.fates import LEAVERS, ORDINARY
from bench.simulator.happenings import Act, By, Happening, Reference
from cli.demo_story import DEPARTMENT, MANAGER, TITLES, WORK_EMAIL, user_name

BETWEEN_CHANGES_DAYS = 140.0  # Of one person, on average.
SERVICE_LEVEL = timedelta(hours=24)  # From termination to disable.
DELETED_AFTER = timedelta(days=30)

# Entra takes these for active: the mistake would disable them, and its repair enable them whoever disabled them.
UNTOUCHED_BY_THE_MISTAKE = ("terminated_active", "put_without_active", "disabled_by_put")

Told = Iterator[Happening]


class Career:
    """A person's life as it is told. Every method yields happenings in the order of their time."""

    def __init__(self, company: Company, person: Person) -> None:
        self.company, self.person, self.chance = company, person, company.chance
        self.team = person.number // TEAM_SIZE
        self.roles: list[str] = []
        self.plot = "" if person.fate == ORDINARY else f"{person.fate} {person.number}"
        self.now = START
        if person.number % TEAM_SIZE and self.chance.random() < HIRED_LATER and not self._needs_time:
            self.now = self._workday(START + timedelta(days=20), END - timedelta(days=40))

    @property
    def _needs_time(self) -> bool:
        return self.person.fate not in (ORDINARY, "groupless", "not_provisioned")

    def told(self) -> Told:
        """Tell all of it."""
        yield from self._hired()
        ending = ENDINGS.get(self.person.fate)
        if ending is not None:
            at = self._turn()
            yield from self._life(at - timedelta(days=3))
            self.now = at
            yield from ending(self)
        if self.person.fate not in (*LEAVERS, "not_provisioned"):
            yield from self._life(END - timedelta(days=2))

    def say(self, act: Act, by: By = "Entra", group: str = "", **values: Any) -> Happening:
        """Return a happening of the planted situation, now."""
        return self._happening(act, by, values, group, self.plot)

    def wait(self, **time: float) -> datetime:
        """Let time pass."""
        self.now += timedelta(**time)
        return self.now

    def _happening(self, act: Act, by: By, values: dict[str, Any], group: str = "", plot: str = "") -> Happening:
        return Happening(self.now, act, self.person.number, by, values, group, plot)

    def _turn(self) -> datetime:
        """When the fate comes: nothing else disturbs its weeks, and there is time for what follows."""
        first = MISTAKE_REPAIRED if self.person.fate in UNTOUCHED_BY_THE_MISTAKE else self.now
        return self._workday(first + timedelta(days=45), END - timedelta(days=150))

    def _workday(self, first: datetime, last: datetime) -> datetime:
        while True:
            at = at_work(first + (last - first) * self.chance.random(), self.chance)
            if not is_disturbed(at):
                return at

    def _hired(self) -> Told:
        plot = self.plot if self.person.fate in ("not_provisioned", "groupless") else ""
        leader = self.team * TEAM_SIZE
        values: dict[str, Any] = {} if leader == self.person.number else {MANAGER: Reference(leader)}
        values[DEPARTMENT] = self.company.department_of(self.team)
        yield self._happening("hire", "Entra", values, plot=plot)
        if self.person.fate == "groupless":
            return
        if self.chance.random() < 0.6:
            self.roles.append(self.chance.choice(ROLE_GROUPS))
        for group in self.groups():
            yield self._happening("join", "Entra", {}, group)

    def groups(self) -> list[str]:
        """Return the groups that the person is meant to be in now."""
        if self.person.fate == "groupless":
            return []
        return [
            EVERYBODY,
            f"All {self.company.department_of(self.team)}",
            self.company.team_name(self.team),
            *self.roles,
        ]

    def _life(self, until: datetime) -> Told:
        """Everyday life: now and then something changes."""
        while True:
            self.now = at_work(self.now + timedelta(days=1 + self._pause()), self.chance)
            if self.now >= until:
                return
            draw = self.chance.random()
            if draw < 0.15 and self.person.number % TEAM_SIZE:
                yield from self._moved()
            elif draw < 0.45 and self.person.fate != "groupless":
                yield self._role()
            else:
                yield self._happening("change", "Entra", self._profile())

    def _pause(self) -> float:
        return self.chance.expovariate(1 / BETWEEN_CHANGES_DAYS)

    def _profile(self) -> dict[str, Any]:
        draw = self.chance.randrange(3)
        if draw == 0:
            return {"title": f"{self.chance.choice(('Senior', 'Lead', 'Junior'))} {self.chance.choice(TITLES)}"}
        if draw == 1:
            return {'phoneNumbers[type eq "mobile"].value': f"+49 30 555{self.chance.randrange(10_000):04d}"}
        return {"preferredLanguage": self.chance.choice(("de-DE", "en-GB", "fr-FR", "es-ES"))}

    def _role(self) -> Happening:
        free = [group for group in ROLE_GROUPS if group not in self.roles]
        if self.roles and (not free or self.chance.random() < 0.5):
            return self._happening("quit", "Entra", {}, self.roles.pop())
        self.roles.append(self.chance.choice(free))
        return self._happening("join", "Entra", {}, self.roles[-1])

    def _moved(self) -> Told:
        """To another team: the user changes, two or four groups change."""
        before, team = self.groups(), self.chance.randrange(self.company.team_count)
        if team == self.team:
            return
        self.team = team
        values = {DEPARTMENT: self.company.department_of(team), MANAGER: Reference(team * TEAM_SIZE)}
        yield self._happening("change", "Entra", values)
        after = self.groups()
        if self.person.fate != "groupless":
            for group in before:
                if group not in after:
                    yield self._happening("quit", "Entra", {}, group)
            for group in after:
                if group not in before:
                    yield self._happening("join", "Entra", {}, group)


def _terminated(career: Career) -> Happening:
    return career.say("terminate", "Personnel")


def _disabled_in_time(career: Career) -> Told:
    yield _terminated(career)
    career.wait(hours=career.chance.uniform(0.1, 12))
    yield career.say("disable")


def _directory_delete(career: Career) -> Told:
    yield from _disabled_in_time(career)
    career.now += DELETED_AFTER
    yield career.say("delete")


def _deleted_at_once(career: Career) -> Told:
    yield _terminated(career)
    career.wait(hours=2)
    yield career.say("delete")


def _disabled_by_put(career: Career) -> Told:
    yield _terminated(career)
    career.wait(hours=3)
    yield career.say("put", "Help desk", active=False)


def _put_without_active(career: Career) -> Told:
    yield career.say("put", "Help desk")


def _lost_group_before(career: Career) -> Told:
    yield _terminated(career)
    career.wait(hours=1)
    yield career.say("quit", group=career.company.team_name(career.team))
    yield career.say("disable")


def _terminated_active(career: Career) -> Told:
    yield _terminated(career)


def _disabled_late(career: Career) -> Told:
    yield _terminated(career)
    career.now += SERVICE_LEVEL
    career.wait(days=career.chance.uniform(2, 12))
    yield career.say("disable")


def _refused_before(career: Career) -> Told:
    yield _terminated(career)
    career.wait(minutes=5)
    yield career.say("change", preferredLanguage=1033)  # A number where SCIM wants a text.
    career.wait(hours=2.5)
    yield career.say("disable")


def _on_demand(career: Career) -> Told:
    yield _terminated(career)
    career.wait(minutes=33)
    yield career.say("disable", "Entra on demand")


def _rehired(career: Career) -> Told:
    yield from _disabled_in_time(career)
    for group in career.groups():
        career.wait(minutes=1)
        yield career.say("quit", group=group)
    career.roles.clear()
    career.now = at_work(career.wait(days=career.chance.uniform(60, 110)), career.chance)
    yield career.say("enable", title="Consultant")


def _recreated(career: Career, **values: Any) -> Told:
    yield career.say("disable")
    career.wait(hours=2)
    yield career.say("delete")
    career.wait(hours=6)
    yield career.say("hire", **values)
    yield from (career.say("join", group=group) for group in career.groups())


def _recreated_external_id(career: Career) -> Told:
    local, _, domain = career.person.user_name.partition("@")
    return _recreated(career, userName=f"{local}.new@{domain}")


def _recreated_user_name(career: Career) -> Told:
    return _recreated(career, externalId=f"{career.person.alias}.2")


def _flapping(career: Career) -> Told:
    for _ in range(3):
        yield career.say("disable")
        career.wait(hours=career.chance.uniform(5, 20))
        yield career.say("enable")
        career.wait(hours=career.chance.uniform(20, 32))


def _renamed(career: Career) -> Told:
    yield career.say("change", **_married(career.person))


def _married(person: Person) -> dict[str, Any]:
    family = f"{person.family}-Lindqvist"
    name = user_name(person.given, f"{family}{person.number}")
    formatted = f"{person.given} {family}"
    return {"userName": name, "displayName": formatted, "name.familyName": family, WORK_EMAIL: name}


def _name_taken(career: Career) -> Told:
    values = _married(career.person)
    yield career.say("create", "Help desk", userName=values["userName"], displayName="Shared mailbox")
    career.wait(days=9)
    yield career.say("change", **values)
    career.wait(days=career.chance.uniform(16, 24))
    yield career.say("delete", "Help desk", userName=values["userName"])
    career.wait(days=8)


def _overwritten(career: Career) -> Told:
    yield career.say("change", "Help desk", title="Head of Everything")
    career.wait(days=4)
    yield career.say("change", title="Specialist")


def _duplicate(career: Career) -> Told:
    person = career.person
    yield career.say(
        "create", "Help desk", userName=f"adm.{person.user_name}", displayName=f"{person.name} (admin)",
        externalId=f"adm-{person.alias}", emails=[{"value": person.user_name, "type": "work", "primary": True}],
    )  # fmt: skip


def _stuck(career: Career) -> Told:
    """Entra's mapping and its reading of the answer disagree: it sends what is there already, every cycle."""
    yield career.say("stuck")
    career.wait(days=career.chance.uniform(3, 9))
    yield career.say("unstuck")


ENDINGS: dict[str, Callable[[Career], Told]] = {
    "unassigned": _disabled_in_time,
    "directory_delete": _directory_delete,
    "deleted_at_once": _deleted_at_once,
    "disabled_by_put": _disabled_by_put,
    "lost_group_before": _lost_group_before,
    "terminated_active": _terminated_active,
    "disabled_late": _disabled_late,
    "refused_before": _refused_before,
    "on_demand": _on_demand,
    "rehired": _rehired,
    "recreated_external_id": _recreated_external_id,
    "recreated_user_name": _recreated_user_name,
    "flapping": _flapping,
    "put_without_active": _put_without_active,
    "renamed": _renamed,
    "name_taken": _name_taken,
    "overwritten": _overwritten,
    "duplicate": _duplicate,
    "stuck": _stuck,
}
