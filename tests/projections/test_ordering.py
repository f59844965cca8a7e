"""The order that SQL gives is the one that `sortBy` means, whole and page by page, and comes from indexes."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peopling import BASE, Directory, Json, Made

from domain.attributes import Attribute, ResourceType, Schema
from domain.errors import InvalidValue, TooMany
from domain.filters import parse_filter
from domain.schemas import COMMON, ENTERPRISE_USER, GROUP, USER, USER_SCHEMA
from domain.search import search_document
from domain.sorting import SORTED_CHARACTERS, in_order, read_sort
from projections.ordering import Mark
from projections.queries import Queries, Question, select_page
from tests.plans import nodes

BOTH = (USER, GROUP)


@pytest.fixture
def owner(database: Any) -> Iterator[psycopg.Connection[Any]]:
    """Whoever may write rows; what a test writes is gone after it."""
    with psycopg.connect(database.owner_url, options="-c timezone=UTC") as connection:
        yield connection
        connection.rollback()


# --- asking


def question(tenant_id: int, sort_by: str | None, sort_order: str = "ascending", *types: ResourceType) -> Question:
    sort = None if sort_by is None else read_sort(sort_by, sort_order, types or (USER,))
    return Question(tenant_id, types or (USER,), None, sort, BASE)


def rows(
    connection: psycopg.Connection[Any], asked: Question, after: Mark | None = None, *, offset: int = 0, count: int = 99
) -> list[Any]:
    return connection.execute(*select_page(asked, after, offset=offset, count=count)).fetchall()


def walked(connection: psycopg.Connection[Any], asked: Question, count: int) -> list[str]:
    """The ids, page by page, each page behind the last one's mark."""
    found: list[str] = []
    mark: Mark | None = None
    while page := rows(connection, asked, mark, count=count):
        found += [row[1] for row in page]
        *_, key, position = page[-1]
        mark = Mark(None if key is None else str(key), position)
    return found


def shown(directory: Directory, types: Sequence[ResourceType]) -> list[Json]:
    """Every resource of these types as SCIM shows it, in creation order; groups of users too."""
    rank = {group.id: number for number, group in enumerate(directory.groups)}
    found = [resource for kind, resource in directory.shown() if kind in types]
    for resource in found:
        resource.get("groups", []).sort(key=lambda group: rank[group["value"]])
    return found


# --- the law

# Few values, so that there are ties; with case, width and marks among them, and texts that differ late or too late.
LONG = "x" * SORTED_CHARACTERS
TEXTS = st.sampled_from(
    ["a", "A", "b", "B", "", "é", "e\u0301", "É", "ß", "SS", "σ", "ς", "Ａ", "🦊", "\uffff", "10", "9"]
) | st.sampled_from([LONG[1:], LONG, LONG + "b", LONG + "a"])
ELEMENT = st.fixed_dictionaries({"type": TEXTS}, optional={"value": TEXTS, "primary": st.booleans()})
PERSON = st.fixed_dictionaries(
    {"userName": TEXTS},
    optional={
        "externalId": TEXTS,
        "title": TEXTS,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({}, optional={"familyName": TEXTS}),
        "emails": st.lists(ELEMENT, min_size=1, max_size=3),
        "addresses": st.lists(st.fixed_dictionaries({"country": TEXTS}), min_size=1, max_size=2),
        "displayName": TEXTS,
        ENTERPRISE_USER: st.fixed_dictionaries({"manager": st.fixed_dictionaries({"value": TEXTS})}),
    },
)
PEOPLE = st.lists(PERSON, max_size=8)
TEAMS = st.lists(st.tuples(TEXTS, st.lists(st.integers(0, 7), max_size=3)), max_size=3)
USERS_BY = [
    *("userName", "externalId", "title", "active", "name.familyName", "emails", "emails.type", "emails.primary"),
    *("addresses.country", "displayName", f"{ENTERPRISE_USER}:manager", "manager.value", "groups", "groups.display"),
    *("groups.type", "groups.$ref", "id", "schemas", "meta.created", "meta.lastModified", "meta.version"),
    *("meta.location", "meta.resourceType", "urn:ietf:params:scim:schemas:core:2.0:User:title"),
]
GROUPS_BY = ["displayName", "members", "members.type", "members.$ref", "members.display", "externalId", "id"]
BOTH_BY = ["displayName", "title", "userName", "members", "groups", "meta.resourceType", "meta.lastModified", "id"]


def uuid_of(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def directory_of(tenant_id: int, people: list[Json], teams: list[tuple[str, list[int]]]) -> Directory:
    """People whose names differ at the end only, and teams of some of them; a team is in the one before it too."""
    users = [
        Made(uuid_of(f"user {n}"), person | {"userName": f"{person['userName']}{n}"}) for n, person in enumerate(people)
    ]
    groups = []
    for number, (name, numbers) in enumerate(teams):
        members = [(users[n].id, "User") for n in sorted(set(numbers)) if n < len(users)]
        if number + 1 < len(teams):
            members.append((uuid_of(f"group {number + 1}"), "Group"))
        groups.append(Made(uuid_of(f"group {number}"), {"displayName": name}, members=tuple(members)))
    return Directory(tenant_id, users, groups)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(people=PEOPLE, teams=TEAMS, descending=st.booleans(), count=st.integers(1, 4))
def test_sql_and_memory_agree_on_every_order(
    owner: psycopg.Connection[Any], people: list[Json], teams: list[tuple[str, list[int]]], descending: bool, count: int
) -> None:
    """SO-01 to SO-06, SO-09, CU-16: whole, by offset, and by cursor."""
    order = "descending" if descending else "ascending"
    with owner.transaction(force_rollback=True):
        directory = directory_of(900_011, people, teams).put(owner)
        _number_memberships(owner, directory)
        for types, names in (((USER,), USERS_BY), ((GROUP,), GROUPS_BY), (BOTH, BOTH_BY)):
            for name in names:
                asked = question(directory.tenant_id, name, order, *types)
                assert asked.sort is not None
                expected = [resource["id"] for resource in in_order(shown(directory, types), asked.sort)]
                assert [row[1] for row in rows(owner, asked)] == expected, name
                assert [row[1] for row in rows(owner, asked, offset=1, count=2)] == expected[1:3], name
                assert walked(owner, asked, count) == expected, name


def _number_memberships(connection: psycopg.Connection[Any], directory: Directory) -> None:
    """Let members have come in the order in which they are listed."""
    listed = [(member, group.id) for group in directory.groups for member, _ in group.members]
    for position, (member, group) in enumerate(listed):
        connection.execute(
            "update memberships set from_position = %s where tenant_id = %s and member_id = %s and group_id = %s",
            (position, directory.tenant_id, member, group),
        )


TYPED = Schema(
    "urn:example:sorted:1.0:User",
    "Sorted",
    "Numbers and times, single and several.",
    (
        Attribute(name="level", type="integer"),
        Attribute(name="ratio", type="decimal"),
        Attribute(name="since", type="dateTime"),
        Attribute(name="scores", type="decimal", multi_valued=True),
        Attribute(name="badge", case_exact=True),
    ),
)
TYPED_USER = ResourceType("User", "/Users", "", USER_SCHEMA, ((TYPED, False),), COMMON)
TYPED_VALUES: list[Json] = [
    {"level": 10, "ratio": 1e22, "since": "2024-02-29T13:00:00+01:00", "scores": [9, 1], "badge": "b"},
    {},
    {"level": 9, "ratio": 0.1, "since": "2024-02-29T12:00:00.000001Z", "scores": [10], "badge": "A"},
    {"level": -7, "ratio": -0.5, "since": "1969-12-31T23:59:59Z", "scores": [], "badge": "a"},
    {"level": 2**63 - 1, "ratio": 0.1 + 0.2, "since": "2024-02-29T12:00:00Z", "scores": [0.5], "badge": "B"},
    {"level": 2**53 + 1, "ratio": 0.3},
    {"level": 2**53, "ratio": 1},
]


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("name", ["level", "ratio", "since", "scores", "badge"])
def test_numbers_and_times_sort_by_value(owner: psycopg.Connection[Any], name: str, order: str) -> None:
    """SO-03: 9 before 10, instants whatever their offset, to the last digit; case-exact texts by case."""
    people = [Made(uuid_of(f"typed {n}"), {"userName": f"typed {n}"}) for n in range(len(TYPED_VALUES))]
    directory = Directory(900_012, people).put(owner)
    resources = []
    for person, values in zip(people, TYPED_VALUES, strict=True):
        resource = {**person.resource, **({TYPED.id: values} if values else {})}
        resources.append({"id": person.id, "meta": {"resourceType": "User"}, **resource})
        owner.execute(
            "update users set search = %s where tenant_id = %s and id = %s",
            (json.dumps(search_document(resource, TYPED_USER)), directory.tenant_id, person.id),
        )
    asked = question(directory.tenant_id, name, order, TYPED_USER)
    assert asked.sort is not None
    expected = [resource["id"] for resource in in_order(resources, asked.sort)]
    assert [row[1] for row in rows(owner, asked)] == expected
    assert walked(owner, asked, 2) == expected


def test_a_number_here_and_a_text_there_have_no_order() -> None:
    """SO-01 over several types: refused instead of guessed."""
    schema = Schema("urn:example:2.0:Thing", "Thing", "", (Attribute(name="displayName", type="integer"),))
    thing = ResourceType("Thing", "/Things", "", schema, (), COMMON)
    with pytest.raises(InvalidValue):
        read_sort("displayName", None, (USER, thing))


# --- what it costs


@pytest.fixture(scope="module")
def crowd(database: Any) -> Iterator[psycopg.Connection[Any]]:
    """Twenty thousand users, statistics taken; tenant 900013."""
    with psycopg.connect(database.owner_url, options="-c timezone=UTC") as connection:
        connection.execute(
            "insert into users (tenant_id, id, version, position, created_position, created_at, modified_at, "
            "user_name_key, document, search, search_terms) select 900013, gen_random_uuid(), 1, n, n, now(), now(), "
            "sha256(n::text::bytea), '{}', jsonb_build_object('userName', md5(n::text)), '{}' "
            "from generate_series(1, 20000) n"
        )
        connection.execute("analyze users")
        yield connection
        connection.rollback()


PLANS = {
    "as-created": (None, "ascending", None, "users_in_order"),
    "as-created-deep": (None, "ascending", Mark(None, 15_000), "users_in_order"),
    "created": ("meta.created", "descending", Mark(None, 15_000), "users_in_order"),
    "user-name": ("userName", "ascending", None, "users_by_name_sorted"),
    "user-name-deep": ("userName", "ascending", Mark("f", 7), "users_by_name_sorted"),
    "user-name-backwards": ("userName", "descending", Mark("8", 7), "users_by_name_sorted"),
}


@pytest.mark.parametrize(("sort_by", "order", "after", "index"), PLANS.values(), ids=PLANS)
def test_a_page_reads_its_own_rows_only(
    crowd: psycopg.Connection[Any], sort_by: str | None, order: str, after: Mark | None, index: str
) -> None:
    """CU-15: from an index in its order, without sorting, beginning behind the mark; however deep."""
    statement, parameters = select_page(question(900_013, sort_by, order), after, offset=0, count=101)
    (plan,) = crowd.execute(f"explain (analyze, format json, timing off) {statement}", parameters).fetchone() or ()
    read = list(nodes(plan[0]["Plan"]))
    (scan,) = [node for node in read if node.get("Relation Name") == "users"]
    assert scan["Index Name"] == index
    assert scan["Actual Rows"] == 101
    assert scan.get("Rows Removed by Filter", 0) == 0
    assert not any(node["Node Type"].endswith("Sort") and node["Actual Rows"] > 101 for node in read)


def test_names_that_begin_so_come_from_an_index(crowd: psycopg.Connection[Any]) -> None:
    """LQ-07: `sw` on userName reads the names that begin so, and no others; also beside another condition."""
    for text in ('userName sw "ABC"', 'userName sw "abc" and not (title pr)'):
        asked = Question(900_013, (USER,), parse_filter(text, (USER,)), None, "")
        statement, parameters = select_page(asked, None, offset=0, count=101)
        (plan,) = crowd.execute(f"explain (analyze, format json, timing off) {statement}", parameters).fetchone() or ()
        (scan,) = [node for node in nodes(plan[0]["Plan"]) if node.get("Relation Name") == "users"]
        assert scan["Index Name"] == "users_by_name_sorted"
        assert 0 < scan["Actual Rows"] < 30 and scan.get("Rows Removed by Filter", 0) == 0


def test_a_list_that_takes_too_long_is_refused(fresh_database: Any) -> None:
    """LQ-07: 400 tooMany, whether it is counted, paged or walked."""

    async def ask() -> None:
        queries = Queries(fresh_database.app_url, timeout_ms=20)
        await queries.open()
        asked = question(1, "title")
        for asking in (queries.count(asked), queries.page(asked, offset=0, count=1), queries.walk(asked, None, 1)):
            with pytest.raises(TooMany):
                await asking
        await queries.close()

    with psycopg.connect(fresh_database.owner_url) as blocking:
        blocking.execute("lock table users in access exclusive mode")
        asyncio.run(ask())
