"""The company of the simulation: its people, teams and groups, and the calendar of its three years. Pure data.

Everything follows from a seed and a size. Nobody is stored: person 4711 is worked out whenever somebody asks.
"""

import random
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from bench.simulator.fates import FATES, ORDINARY
from cli.demo_story import DEPARTMENTS, FAMILY_NAMES, GIVEN_NAMES, TITLES, user_name

START = datetime(2023, 1, 2, 6, tzinfo=UTC)  # A Monday.
END = datetime(2025, 12, 31, 20, tzinfo=UTC)
MISTAKE = datetime(2024, 4, 16, 9, 10, tzinfo=UTC)
MISTAKE_REPAIRED = datetime(2024, 4, 17, 8, 5, tzinfo=UTC)
OUTAGE = (datetime(2024, 11, 12, 7, tzinfo=UTC), datetime(2024, 11, 14, 9, tzinfo=UTC))
DISTURBED = (
    (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 23, tzinfo=UTC)),
    (datetime(2024, 9, 28, tzinfo=UTC), datetime(2024, 11, 19, tzinfo=UTC)),
)  # No fate begins in these weeks, which end with the mistake and the outage: each shall have one explanation.

MISTAKEN_DEPARTMENTS = ("Finance", "Support")
TEAM_SIZE = 25
EVERYBODY = "All Employees"
ROLE_GROUPS = (
    "VPN Users", "Payroll Approvers", "Source Code", "On Call", "First Aiders", "Travel Bookers", "Domain Admins",
)  # fmt: skip
PRIVILEGED = "Domain Admins"
SHORTENED = "On Call"  # Its list is replaced by a shorter one.
DELETED = "Travel Bookers"
HIRED_LATER = 0.3


class Person(Struct, frozen=True):
    """Somebody at the company. number: from 0; 25 neighbours are a team, the first of them leads it.

    alias: what Entra sends as externalId. fate: what is going to happen to them.
    """

    number: int
    given: str
    family: str
    user_name: str
    alias: str
    title: str
    fate: str

    @property
    def employee_id(self) -> str:
        """As Personnel knows them."""
        return f"E{self.number:06d}"

    @property
    def name(self) -> str:
        """Given name and family name."""
        return f"{self.given} {self.family}"


class Company:
    """All of it. chance: draws what happens, in the order in which it is told."""

    def __init__(self, seed: int, people_count: int) -> None:
        self.seed = seed
        self.people_count = people_count
        self.team_count = -(-people_count // TEAM_SIZE)
        self.chance = random.Random(seed)
        self._shift = self.chance.randrange(len(GIVEN_NAMES) * len(FAMILY_NAMES))
        self._fates = self._deal()

    def _deal(self) -> list[str]:
        """Give fates out among those who lead no team: of each kind at least two."""
        others = [number for number in range(self.people_count) if number % TEAM_SIZE]
        self.chance.shuffle(others)
        fates = [ORDINARY] * self.people_count
        for fate, share in FATES.items():
            for _ in range(max(2, round(share * self.people_count))):
                fates[others.pop()] = fate
        return fates

    def person(self, number: int) -> Person:
        """Work out who somebody is."""
        place = number + self._shift
        given = GIVEN_NAMES[place % len(GIVEN_NAMES)]
        family = FAMILY_NAMES[place // len(GIVEN_NAMES) % len(FAMILY_NAMES)]
        local, _, domain = user_name(given, family).partition("@")
        turn = number // (len(GIVEN_NAMES) * len(FAMILY_NAMES))
        alias = f"{local}{turn + 1}" if turn else local
        return Person(
            number,
            given,
            family,
            f"{alias}@{domain}",
            alias,
            "Team Lead" if number % TEAM_SIZE == 0 else TITLES[number % len(TITLES)],
            self.fate(number),
        )

    def fate(self, number: int) -> str:
        """Return what is going to happen to somebody."""
        return self._fates[number]

    def department_of(self, team: int) -> str:
        """Return a team's department."""
        return DEPARTMENTS[team % len(DEPARTMENTS)]

    def team_name(self, team: int) -> str:
        """Return what a team's group is called."""
        return f"{self.department_of(team)} Team {team // len(DEPARTMENTS) + 1}"

    def group_names(self) -> list[str]:
        """Return every group's name."""
        departments = [f"All {department}" for department in DEPARTMENTS]
        return [EVERYBODY, *departments, *map(self.team_name, range(self.team_count)), *ROLE_GROUPS]


def object_id(seed: int, name: str) -> str:
    """Return the id that Entra knows something by."""
    return uuid_text(random.Random(f"{seed} {name}"))


def uuid_text(chance: random.Random) -> str:
    """Draw a UUID of version 4, in the form in which ids are written."""
    digits = f"{chance.getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_disturbed(at: datetime) -> bool:
    """Whether what begins at a moment could meet the mistake or the outage."""
    return any(start <= at < end for start, end in DISTURBED)


def at_work(at: datetime, chance: random.Random) -> datetime:
    """Return a moment of a working day: at `at`'s day, or the Monday after a weekend, from 7:00 to 17:00 UTC."""
    day = at.replace(hour=7, minute=0, second=0, microsecond=0)
    day += timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)
    return day + timedelta(seconds=int(chance.random() * 36_000))
