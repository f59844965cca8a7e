"""The whole story: what concerns the company as such, merged with everybody's career. Pure data, in order of time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge

from bench.simulator.careers import Career, Told
from bench.simulator.company import (
    DELETED,
    MISTAKE,
    MISTAKE_REPAIRED,
    MISTAKEN_DEPARTMENTS,
    PRIVILEGED,
    SHORTENED,
    START,
    TEAM_SIZE,
    Company,
)
from bench.simulator.happenings import NOBODY, Act, By, Happening

ORPHANS_SHARE = 0.004
LIST_SHORTENED = datetime(2024, 8, 6, 13, 40, tzinfo=UTC)
GROUP_DELETED = datetime(2025, 2, 11, 10, 20, tzinfo=UTC)
CLIENT_MOVED = datetime(2025, 10, 21, 22, 47, tzinfo=UTC)
ANSWERS_SHORTENED = datetime(2023, 9, 5, 12, tzinfo=UTC)
ROTATIONS = (datetime(2024, 1, 9, 9, tzinfo=UTC), datetime(2025, 1, 14, 9, tzinfo=UTC))


def happenings(company: Company) -> Iterator[Happening]:
    """Tell everything, in the order of time; what happens at one moment in the order in which it is told."""
    careers = (Career(company, company.person(number)).told() for number in range(company.people_count))
    return merge(_company_life(company), *careers, key=_time)


def _time(happening: Happening) -> datetime:
    return happening.at


def _company_life(company: Company) -> Told:
    yield from _beginning(company)
    yield Happening(ANSWERS_SHORTENED, "change_setting", by="operator", values={"group_answer_members_max": 20})
    yield from _rotation(ROTATIONS[0], "Entra 2023", "Entra 2024")
    scope = {"departments": MISTAKEN_DEPARTMENTS}
    yield Happening(MISTAKE, "narrow_scope", values=scope, plot="mass_mistake")
    yield Happening(MISTAKE_REPAIRED, "widen_scope", values=scope, plot="mass_mistake")
    yield Happening(LIST_SHORTENED, "put_group", by="Help desk", group=SHORTENED, plot="list_shortened")
    yield from _rotation(ROTATIONS[1], "Entra 2024", "Entra 2025")
    yield Happening(GROUP_DELETED, "delete_group", group=DELETED, plot="group_deleted")
    yield from _new_address(company)


def _beginning(company: Company) -> Told:
    """Tokens, a migration that leaves accounts nobody owns, and the groups."""
    for label in ("Migration", "Help desk", "Entra 2023"):
        yield _token(START, "issue_token", label)
    for group in company.group_names():
        yield Happening(START, "make_group", group=group)
    at = START + timedelta(minutes=10)
    for name, plot in _left_by_the_migration(company):
        yield Happening(at, "create", by="Migration", values={"userName": name, "displayName": name}, plot=plot)
        at += timedelta(seconds=1)
    yield _token(START + timedelta(days=21), "revoke_token", "Migration")


def _left_by_the_migration(company: Company) -> Iterator[tuple[str, str]]:
    """Accounts without externalId and groups; some hold the userName of somebody who is to come."""
    for number in range(max(3, round(ORPHANS_SHARE * company.people_count))):
        yield f"svc-legacy-{number:03d}", f"orphan {number}"
    for number in range(company.people_count):
        if company.fate(number) == "not_provisioned":
            yield company.person(number).user_name, f"not_provisioned {number}"


def _rotation(at: datetime, old: str, new: str) -> Told:
    """Both tokens live for a week: no gap."""
    yield _token(at, "issue_token", new)
    yield _token(at + timedelta(days=1), "use_token", new, by="Entra")
    yield _token(at + timedelta(days=8), "revoke_token", old)


def _token(at: datetime, act: Act, label: str, by: By = "operator") -> Happening:
    return Happening(at, act, NOBODY, by, {"label": label})


def _new_address(company: Company) -> Told:
    """Somebody else seems to hold the help desk's secret: an address never seen, at night, and what it is used for."""
    first, second = TEAM_SIZE % company.people_count, 2 * TEAM_SIZE % company.people_count
    minutes = timedelta(minutes=1)
    yield Happening(CLIENT_MOVED, "move_client", by="Help desk")
    yield Happening(CLIENT_MOVED + 2 * minutes, "join", first, "Help desk", {}, PRIVILEGED, "new_address")
    yield Happening(CLIENT_MOVED + 5 * minutes, "disable", second, "Help desk", {}, "", "new_address")
