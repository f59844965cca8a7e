"""The where clause finds what the filter means: every vector and random people, tenants apart, indexes used."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from peopling import BASE, Directory, Json, Made, ids, query

from domain.attributes import Attribute, ResourceType, Schema
from domain.comparison import display_name_key, name_key
from domain.errors import InvalidFilter
from domain.filters import DEPTH_MAX, parse_filter
from domain.matching import matches
from domain.schemas import COMMON, ENTERPRISE_USER, GROUP, RESOURCE_TYPES, USER, USER_SCHEMA
from domain.search import search_document, search_terms
from ledger.entry import Tenant
from projections.where import point, where

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
ASKED = {"User": (USER,), "Group": (GROUP,), "*": RESOURCE_TYPES}
NOT_STORED = ("schemas", "id", "meta", "groups", "members")


@pytest.fixture
def owner(database: Any) -> Iterator[psycopg.Connection[Any]]:
    """Whoever may write rows; what a test writes is gone after it."""
    with psycopg.connect(database.owner_url, options="-c timezone=UTC") as connection:
        yield connection
        connection.rollback()


# --- vectors


def uuid_of(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def with_ids(text: str) -> str:
    """The text with the fixture's short ids as uuids, wherever they stand quoted or end a URI."""
    text = re.sub(r'(?<=["/])([ug]\d\d)(?=\\?")', lambda found: uuid_of(found[0]), text)
    return re.sub(r'(?<=["/])([UG]\d\d)(?=\\?")', lambda found: uuid_of(found[0].lower()).upper(), text)


def made(shown: Json) -> Made:
    meta = shown["meta"]
    return Made(
        shown["id"],
        {name: value for name, value in shown.items() if name not in NOT_STORED},
        int(re.sub(r"\D", "", meta["version"])),
        datetime.fromisoformat(meta["created"]),
        datetime.fromisoformat(meta["lastModified"]),
        tuple((member["value"], member["type"]) for member in shown.get("members", ())),
    )


def fixture(tenant_id: int) -> Directory:
    """The vectors' twelve users and four groups."""
    read = json.loads(with_ids((GOLDEN / "fixture-users.json").read_text()))
    return Directory(tenant_id, list(map(made, read["Users"])), list(map(made, read["Groups"])))


VECTORS = [json.loads(line) for line in (GOLDEN / "filters.jsonl").read_text().splitlines()]
ANSWERED = [vector for vector in VECTORS if not vector["error"]]


@pytest.fixture(scope="module")
def written(database: Any) -> Iterator[tuple[psycopg.Connection[Any], Directory]]:
    """The fixture in a tenant, and in the next one once more, with the same ids."""
    with psycopg.connect(database.owner_url, options="-c timezone=UTC") as connection:
        fixture(900_002).put(connection)
        yield connection, fixture(900_001).put(connection)
        connection.rollback()


@pytest.mark.parametrize("vector", ANSWERED, ids=[vector["id"] for vector in ANSWERED])
def test_a_filter_finds_what_its_vector_says(written: tuple[psycopg.Connection[Any], Directory], vector: Json) -> None:
    """Each once, in creation order, though another tenant holds the very same people."""
    connection, directory = written
    found = directory.found(connection, with_ids(vector["filter"]), ASKED[vector["type"]])
    assert sorted(found) == sorted(map(uuid_of, vector["resources"]))
    assert found == directory.matching(with_ids(vector["filter"]), ASKED[vector["type"]])


def test_the_fixture_is_shown_as_its_file_says() -> None:
    """What `Directory` derives, groups through groups above all, is what the facts state."""
    read = json.loads(with_ids((GOLDEN / "fixture-users.json").read_text()))
    shown = {resource["id"]: resource for _, resource in fixture(1).shown()}
    for stated in read["Users"] + read["Groups"]:
        for name in ("groups", "members"):
            by_value = [sorted(r.get(name, ()), key=lambda e: e["value"]) for r in (stated, shown[stated["id"]])]
            assert by_value[0] == by_value[1]


# --- numbers and dates, which no attribute of ours in the search document has yet

TYPED = Schema(
    "urn:example:typed:1.0:User",
    "Typed",
    "One attribute of every type that is not text.",
    (
        Attribute(name="level", type="integer"),
        Attribute(name="ratio", type="decimal"),
        Attribute(name="since", type="dateTime"),
        Attribute(name="remote", type="boolean"),
        Attribute(name="badge", type="binary", case_exact=True),
        Attribute(name="scores", type="decimal", multi_valued=True),
    ),
)
TYPED_USER = ResourceType("User", "/Users", "", USER_SCHEMA, ((TYPED, False),), COMMON)
TYPED_VALUES: list[Json] = [
    {},
    {"level": 0, "ratio": 0.1, "since": "2024-02-29T12:00:00Z", "remote": False, "badge": "YQ==", "scores": [1, 2.5]},
    {"level": -7, "ratio": 1.0, "since": "2024-02-29T13:00:00+01:00", "remote": True, "badge": "YQ"},
    {"level": 2**63 - 1, "ratio": 1e22, "since": "1969-12-31T23:59:59.999999Z", "scores": [1e-9]},
    {"level": 9007199254740993, "ratio": 0.1 + 0.2, "since": "2024-02-29T12:00:00.000001", "scores": [-0.5, 0.0]},
]
TYPED_FILTERS = [
    f"{name} {operator} {literal}"
    for name, operators, literals in (
        ("level", "eq ne gt ge lt le",
         ("0", "-7", "9007199254740992", "9007199254740993", "9223372036854775807", "0.5")),
        ("ratio", "eq ne gt ge lt le", ("0.1", "1", "1.0", "0.3", "0.30000000000000004", "1e22", "1E+22")),
        ("scores", "eq ne gt ge lt le", ("1", "2.5", "0", "-0.0", "1e-9")),
        (
            "since", "eq ne gt ge lt le",
            ('"2024-02-29T12:00:00Z"', '"2024-02-29T12:00:00.000001Z"', '"1970-01-01T00:00:00Z"'),
        ),
        ("remote", "eq ne", ("true", "false", '"False"')),
        ("badge", "eq ne", ('"YQ"', '"YQ=="', '"yq"')),
    )
    for operator in operators.split()
    for literal in (*literals, "null")
    if literal != "null" or operator in ("eq", "ne")
]  # fmt: skip


def test_numbers_dates_and_booleans_compare_by_value(owner: psycopg.Connection[Any]) -> None:
    """FI-19: To the last digit: 2⁵³ + 1 is not 2⁵³."""
    people = [Made(uuid_of(f"typed {n}"), {"userName": f"typed {n}"}) for n in range(len(TYPED_VALUES))]
    directory = Directory(900_003, people).put(owner)
    for person, values in zip(people, TYPED_VALUES, strict=True):
        search = search_document({**person.resource, **({TYPED.id: values} if values else {})}, TYPED_USER)
        owner.execute(
            "update users set search = %s, search_terms = %s where tenant_id = %s and id = %s",
            (json.dumps(search), search_terms(directory.tenant_id, search), directory.tenant_id, person.id),
        )
    names = [attribute.name for attribute in TYPED.attributes]
    for text in [*TYPED_FILTERS, *(f"{name} pr" for name in names), f'schemas eq "{TYPED.id}"']:
        asked = parse_filter(text, (TYPED_USER,))
        expected = [
            person.id
            for person, values in zip(people, TYPED_VALUES, strict=True)
            if matches(asked, {"schemas": [USER_SCHEMA.id, *[TYPED.id] * bool(values)], TYPED.id: values})
        ]
        assert list(ids(owner, directory.tenant_id, asked, TYPED_USER)) == expected, text


# --- strangers' texts

NASTY = (
    "'; drop table users; --", "' or '1'='1", "\\", "\\'", "%", "_", "%s", "%(tenant)s", "{value}", "$1", "%%",
    "}", "''",
    '"', "\u2028", "\x7f", "\x01", "e.value", "*/", "/*", "😀", "\ufeff", "null", "{}", "[]", '{"a":1}', "::text",
)  # fmt: skip


@pytest.mark.parametrize("operator", ["eq", "co", "sw", "ew", "ge"])
@pytest.mark.parametrize(
    "path", ["nickName", "emails.value", "externalId", "department", "emails[value {} and type pr]"]
)
def test_whatever_a_client_writes_is_only_a_value(
    owner: psycopg.Connection[Any], tenant: Tenant, path: str, operator: str
) -> None:
    """Each nasty text finds whoever has it, as in memory, and nobody's table is worse for it."""
    people = [
        Made(
            uuid_of(text),
            {
                "userName": f"nasty {number}",
                "externalId": text,
                "nickName": text,
                "emails": [{"value": text, "type": "work"}],
                ENTERPRISE_USER: {"department": text},
            },
        )
        for number, text in enumerate(NASTY)
    ]
    directory = Directory(tenant.tenant_id, people).put(owner)
    for text in NASTY:
        condition = f"{operator} {json.dumps(text)}"
        asked = path.format(condition) if "{}" in path else f"{path} {condition}"
        found = directory.found(owner, asked, (USER,))
        assert found == directory.matching(asked, (USER,))
        assert uuid_of(text) in found


def test_no_text_of_a_client_gets_into_the_statement() -> None:
    """Neither literals nor names: what the clause says is ours alone."""
    clauses = {
        where(
            parse_filter(f'emails[value eq "{text}"] or nickName co "{text}"', (USER,)), USER, 1, location_base=text
        ).clause
        for text in ("harmless", "drop", "'x'")
    }
    assert len(clauses) == 1
    assert "emails" not in clauses.pop()


# --- point look-ups


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('userName eq "Ada"', USER, ("userName", name_key("ada"))),
        ('USERNAME EQ "ａｄａ"', USER, ("userName", name_key("ada"))),
        (f'id eq "{uuid_of("ada")}"', USER, ("id", uuid_of("ada"))),
        ('id eq "ada"', USER, None),
        ('displayName eq "Élan"', GROUP, ("displayName", display_name_key("élan"))),
        ('displayName eq "Ada"', USER, None),
        ("externalId eq null", USER, None),
        ('externalId ne "7"', USER, None),
        ('not (userName eq "ada")', USER, None),
        ('userName eq "ada" and active eq true', USER, None),
        ('meta.location eq "x"', USER, None),
        ('nickName eq "ada"', USER, None),
    ],
)
def test_a_look_up_of_one_key_is_recognised(
    text: str, kind: ResourceType, expected: tuple[str, str | bytes] | None
) -> None:
    assert point(parse_filter(text, (kind,))) == expected


def test_a_question_to_several_types_is_no_look_up() -> None:
    assert point(parse_filter('externalId eq "7"', RESOURCE_TYPES)) is None


# --- size


@pytest.mark.parametrize("depth", [32, DEPTH_MAX])
def test_a_deep_filter_runs(owner: psycopg.Connection[Any], tenant: Tenant, depth: int) -> None:
    """`not`, `and` and `or` nested in turn, as deep as filters go."""
    directory = fixture(tenant.tenant_id).put(owner)
    text = 'userName sw "b"'
    for level in range(depth):
        text = (f"not ({text})", f"(active eq true and {text})", f'({text} or groups.value eq "{uuid_of("g02")}")')[
            level % 3
        ]
    assert directory.found(owner, text, (USER,)) == directory.matching(text, (USER,))


def test_a_filter_too_deep_is_refused() -> None:
    with pytest.raises(InvalidFilter):
        parse_filter("(" * (DEPTH_MAX + 1) + 'userName eq "a"' + ")" * (DEPTH_MAX + 1), (USER,))


@pytest.mark.parametrize(
    "term",
    [
        'userName eq "{}"', 'id eq "{}"', 'emails.value eq "{}"', 'emails[type eq "work" and value eq "{}"]',
        'title co "{}"',
        'groups.value eq "{}"', 'externalId eq "{}" or groups.display eq "{}"',
    ],
)  # fmt: skip
def test_hundreds_of_terms_run(owner: psycopg.Connection[Any], tenant: Tenant, term: str) -> None:
    directory = fixture(tenant.tenant_id).put(owner)
    known = ["bjensen@example.com", "Engineering", uuid_of("u03"), uuid_of("g02")]
    count = 600 // term.count("{}")
    values = [*known, *(uuid_of(str(n)) for n in range(count - len(known)))]
    text = " or ".join(term.replace("{}", value) for value in values)
    assert directory.found(owner, text, (USER,)) == directory.matching(text, (USER,))
    assert directory.found(owner, f"not ({text})", (USER,)) == directory.matching(f"not ({text})", (USER,))


# --- tenants


def test_no_filter_reaches_another_tenant(written: tuple[psycopg.Connection[Any], Directory]) -> None:
    """VT-05: whether it holds for everything, for nothing, or by way of memberships, whose ids tenants may share."""
    connection, directory = written
    connection.execute(
        "insert into memberships values (900002, %s, %s, 'User', 9, null)", (uuid_of("g04"), uuid_of("u12"))
    )
    for text in (
        "id pr", "not (id pr)", 'id pr or userName eq "x"', f'groups.value eq "{uuid_of("g04")}"',
        f'groups.value eq "{uuid_of("g04")}" or userName eq "zz"', "members pr", 'groups[display co "vide"]',
        f'members.value eq "{uuid_of("u12")}" or displayName eq "y"', f'members[value eq "{uuid_of("u12")}"]',
    ):  # fmt: skip
        types = (GROUP,) if text.startswith("members") else (USER,)
        assert directory.found(connection, text, types) == directory.matching(text, types), text
        nobody = [ids(connection, 900_009, parse_filter(text, types), kind) for kind in types]
        assert nobody == [[]]


def test_a_membership_that_ended_is_none(owner: psycopg.Connection[Any], tenant: Tenant) -> None:
    directory = fixture(tenant.tenant_id).put(owner)
    owner.execute("update memberships set to_position = 9 where tenant_id = %s", (tenant.tenant_id,))
    for text, kind in (("groups pr", USER), (f'groups.value eq "{uuid_of("g02")}"', USER), ("members pr", GROUP)):
        assert directory.found(owner, text, (kind,)) == []
    assert query(tenant.tenant_id, None, USER)[1] == {"tenant": tenant.tenant_id}
    assert BASE
