"""The story the demo plays: who works at Northwind, and what happens to them in three cycles. Pure data.

The same seed gives the same people, groups and changes. Ids come from the service and are not in the story.
"""

import random
import unicodedata
from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID

from msgspec import Struct

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DEPARTMENT = f"{ENTERPRISE}:department"
MANAGER = f"{ENTERPRISE}:manager"
WORK_EMAIL = 'emails[type eq "work"].value'
DOMAIN = "northwind.example"
PEOPLE_COUNT = 500
ROLE_GROUP_MEMBERS = 20

DEPARTMENTS = (
    "Engineering",
    "Sales",
    "Finance",
    "Human Resources",
    "Legal",
    "Marketing",
    "Support",
    "Operations",
    "Purchasing",
    "Research",
    "Quality",
    "Logistics",
)
ROLE_GROUPS = (
    "VPN Users",
    "Building Berlin",
    "Payroll Approvers",
    "Source Code",
    "On Call",
    "First Aiders",
    "Works Council",
    "Travel Bookers",
)
GIVEN_NAMES = """
    Aisha Amélie Anders Bruno Carla Chidi Daniel Dilara Elena Emil Fatima Felix Gabriel Hana Hugo Ines Ivan
    Jana Jonas Kofi Laura Leon Lucía Mads Malik Marta Nadia Noah Olga Omar Petra Priya Rafael Rosa Samir Sofia
    Tara Viktor Wei Yara
""".split()  # noqa: SIM905  A list of names reads better as text.
FAMILY_NAMES = """
    Abebe Andersson Bauer Becker Costa Dąbrowski Diallo Fischer García Haddad Hansen Ito Jansen Kaya Keller
    Kim Kumar Larsen Martin Meyer Moreau Müller Nguyen Novak Oliveira Petrov Rahman Rossi Schmidt Silva Singh
    Suzuki Torres Tremblay Vargas Virtanen Weber Wong Yilmaz Zhang
""".split()  # noqa: SIM905
TITLES = ("Analyst", "Specialist", "Coordinator", "Engineer", "Consultant", "Advisor")


class Person(Struct, frozen=True):
    """Somebody at Northwind. key: their first userName, by which the story speaks of them."""

    key: str
    given: str
    family: str
    department: str
    title: str
    manager: str | None

    @property
    def name(self) -> str:
        """Given name and family name."""
        return f"{self.given} {self.family}"


class Team(Struct, frozen=True):
    """A group in Entra, with its members by key. number: its externalId is made from it."""

    name: str
    number: int
    members: tuple[str, ...]

    @property
    def external_id(self) -> str:
        """Return the object id that Entra sends as the group's externalId."""
        bits = random.Random(self.number).getrandbits(128)  # noqa: S311
        return str(UUID(int=bits, version=4))


class Reference(Struct, frozen=True):
    """Stands for the id that the service gave this person."""

    key: str


class Change(Struct, frozen=True):
    """One PATCH of a user: values by path. refused: Entra gets 409, and nothing changes."""

    who: str
    told: str
    values: dict[str, Any]
    refused: bool = False


class Leaving(Struct, frozen=True):
    """The user is disabled; `values` change in the same request."""

    who: str
    told: str
    values: dict[str, Any] = {}


class Returning(Struct, frozen=True):
    """A disabled user is enabled again; `values` change in the same request."""

    who: str
    told: str
    values: dict[str, Any] = {}


class Joining(Struct, frozen=True):
    """A user becomes a member of a group."""

    who: str
    told: str
    group: str


class Quitting(Struct, frozen=True):
    """A user leaves a group."""

    who: str
    told: str
    group: str


Step = Change | Leaving | Returning | Joining | Quitting


class Story(Struct, frozen=True):
    """Everything that will happen. asked_about: the leaver whose story the demo asks for at the end."""

    seed: int
    people: tuple[Person, ...]
    teams: tuple[Team, ...]
    first_cycle: tuple[Step, ...]
    second_cycle: tuple[Step, ...]
    asked_about: str


def user_name(given: str, family: str) -> str:
    """Return first.last@domain in ASCII letters, as most companies build it."""
    plain = unicodedata.normalize("NFKD", f"{given}.{family}".lower().translate({0xF8: "o", 0x142: "l"}))
    return plain.encode("ascii", "ignore").decode().replace(" ", "-") + "@" + DOMAIN


# The people something happens to. The others are there so that they have colleagues.
ANA = user_name("Ana", "Ruiz")
MEI = user_name("Mei", "Chen")
GRACE = user_name("Grace", "Okafor")
TOMAS = user_name("Tomás", "Herrera")
INGRID = user_name("Ingrid", "Sørensen")
MARIA_LOPES = user_name("Maria", "Lopes")
MARIA_LOPEZ = user_name("María", "López")
HENRIK = user_name("Henrik", "Lund")
SAMUEL = user_name("Samuel", "Adeyemi")
LEILA = user_name("Leila", "Farahani")

CAST = (
    ("Ana", "Ruiz", "Marketing", "Brand Specialist"),
    ("Mei", "Chen", "Research", "Chemist"),
    ("Grace", "Okafor", "Engineering", "Platform Engineer"),
    ("Tomás", "Herrera", "Sales", "Account Executive"),
    ("Ingrid", "Sørensen", "Finance", "Controller"),
    ("Maria", "Lopes", "Support", "Support Specialist"),
    ("María", "López", "Legal", "Counsel"),
    ("Henrik", "Lund", "Purchasing", "Buyer"),
    ("Samuel", "Adeyemi", "Logistics", "Dispatcher"),
    ("Leila", "Farahani", "Quality", "Auditor"),
)


def tell(seed: int = 2026) -> Story:
    """Return the story of this seed."""
    chance = random.Random(seed)  # noqa: S311  A story, not a secret.
    people = tuple(_people(chance))
    return Story(
        seed=seed,
        people=people,
        teams=tuple(_teams(chance, people)),
        first_cycle=tuple(_first_cycle(people)),
        second_cycle=tuple(_second_cycle(people)),
        asked_about=GRACE,
    )


def _people(chance: random.Random) -> Iterator[Person]:
    """A chief, a head for each department who reports to her, the cast, and everybody else."""
    chief = user_name("Ruth", "Calder")
    yield Person(chief, "Ruth", "Calder", "Operations", "Chief Executive Officer", None)
    names = list(product(GIVEN_NAMES, FAMILY_NAMES))
    chance.shuffle(names)
    heads: dict[str, str] = {}
    for department, (given, family) in zip(DEPARTMENTS, names, strict=False):
        heads[department] = user_name(given, family)
        yield Person(heads[department], given, family, department, f"Head of {department}", chief)
    for given, family, department, title in CAST:
        yield Person(user_name(given, family), given, family, department, title, heads[department])
    rest = PEOPLE_COUNT - 1 - len(DEPARTMENTS) - len(CAST)
    for number, (given, family) in enumerate(names[len(DEPARTMENTS) : len(DEPARTMENTS) + rest]):
        department, title = DEPARTMENTS[number % len(DEPARTMENTS)], chance.choice(TITLES)
        yield Person(user_name(given, family), given, family, department, title, heads[department])


def _teams(chance: random.Random, people: tuple[Person, ...]) -> Iterator[Team]:
    """A group for each department, and groups that cut across; Grace is in three of these."""
    for number, department in enumerate(DEPARTMENTS):
        members = tuple(each.key for each in people if each.department == department)
        yield Team(f"All {department}", number, members)
    keys = [each.key for each in people if each.key != GRACE]
    for number, name in enumerate(ROLE_GROUPS, len(DEPARTMENTS)):
        members = tuple(chance.sample(keys, ROLE_GROUP_MEMBERS))
        if name in ("VPN Users", "Source Code", "On Call"):
            members = (*members[1:], GRACE)
        yield Team(name, number, members)


def _head(people: tuple[Person, ...], department: str) -> str:
    return next(each.key for each in people if each.title == f"Head of {department}")


def _renamed(given: str, family: str) -> dict[str, Any]:
    """Return what Entra sends when somebody's name changes."""
    name = user_name(given, family)
    return {
        "userName": name,
        "displayName": f"{given} {family}",
        "name.familyName": family,
        "name.formatted": f"{given} {family}",
        WORK_EMAIL: name,
    }


def _moved(people: tuple[Person, ...], department: str) -> dict[str, Any]:
    """Return what Entra sends when somebody changes to another department."""
    return {DEPARTMENT: department, MANAGER: Reference(_head(people, department))}


def _move(people: tuple[Person, ...], who: str, told: str, old: str, new: str) -> Iterator[Step]:
    """A department move is three changes: the user, the old group, the new one."""
    yield Change(who, told, _moved(people, new))
    yield Quitting(who, "", f"All {old}")
    yield Joining(who, "", f"All {new}")


def _first_cycle(people: tuple[Person, ...]) -> Iterator[Step]:
    yield Change(ANA, "Ana Ruiz marries and is Ana Ruiz Soto now.", _renamed("Ana", "Ruiz Soto"))
    grace = "Grace Okafor becomes Grace Okafor-Lindqvist."
    yield Change(GRACE, grace, _renamed("Grace", "Okafor-Lindqvist"))
    yield from _move(people, HENRIK, "Henrik Lund moves from Purchasing to Finance.", "Purchasing", "Finance")
    heads = [each for each in people if each.department == "Legal" and not each.title.startswith("Head")][:6]
    boss, team = heads[0], heads[1:]
    told = f"{boss.name} takes over a team in Legal: five people get a new manager."
    for member in team:
        yield Change(member.key, told if member is team[0] else "", {MANAGER: Reference(boss.key)})
    yield Leaving(TOMAS, 'Tomás Herrera leaves: Entra switches his account off with "False", a text.')
    clash = "Maria Lopes shall get the userName of María López: refused with 409, nothing changes."
    yield Change(MARIA_LOPES, clash, {"userName": MARIA_LOPEZ}, refused=True)
    same = "Leila Farahani gets the title she already has: answered 200, recorded as seen, no change."
    yield Change(LEILA, same, {"title": "Auditor"})


def _second_cycle(people: tuple[Person, ...]) -> Iterator[Step]:
    yield Change(MEI, "Mei Chen is Mei Tanaka now.", _renamed("Mei", "Tanaka"))
    moves = "Samuel Adeyemi moves from Logistics to Operations."
    yield from _move(people, SAMUEL, moves, "Logistics", "Operations")
    yield Change(LEILA, "Leila Farahani reports to Henrik Lund.", {MANAGER: Reference(HENRIK)})
    yield Leaving(INGRID, "Ingrid Sørensen leaves: in this dialect it is a real false.")
    yield Quitting(GRACE, "Grace Okafor-Lindqvist loses On Call and Source Code, ...", "On Call")
    yield Quitting(GRACE, "", "Source Code")
    title = {"title": "Platform Engineer (left)"}
    yield Leaving(GRACE, "... and then she is disabled, her title changed in the same request.", title)
    back = {"title": "Senior Account Executive", **_moved(people, "Sales")}
    yield Returning(TOMAS, "Tomás Herrera is hired again, with another title.", back)
    fixed = "Maria Lopes gets a userName of her own this time."
    yield Change(MARIA_LOPES, fixed, _renamed("Maria", "Lopes-Duarte"))
