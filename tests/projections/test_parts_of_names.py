"""A part of a userName: found the same with and without the index for it, which comes and goes as its owner says."""

import json
import random
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from peopling import Directory, Made, query

from cli.main import run
from domain.filters import parse_filter
from domain.schemas import USER
from ledger.migrations import OwnerNeeded
from ledger.trigrams import drop_parts_of_names, index_parts_of_names
from tests.conftest import Database
from tests.plans import nodes

pytestmark = pytest.mark.database
LONG = "x" * 199 + "ÿ.the-end_of%a\\name"  # Longer than what the index holds.
NAMES = [
    "ada@example.com",
    "a_a@example.com",
    "a%a@example.com",
    "a\\a@example.com",
    "Straße",
    "ＡＤＡ",
    "y",
    LONG,
    LONG[:200],
]
PARTS = [
    "a",
    "ad",
    "ADA",
    "da@ex",
    "_",
    "%",
    "\\",
    "_a",
    "%a\\",
    "a\\",
    "ss",
    "ſs",
    "the-end",
    "ÿ",
    "",
    "nobody",
    "x" * 150,
]


@pytest.fixture
def owner(fresh_database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("indexed", [False, True])
def test_a_part_of_a_name_is_found(fresh_database: Database, owner: psycopg.Connection[Any], indexed: bool) -> None:
    """As `domain.matching` finds it: any characters, any length, any case; also within a larger filter."""
    people = Directory(1, [Made(str(uuid4()), {"userName": name}) for name in NAMES]).put(owner)
    if indexed:
        assert index_parts_of_names(fresh_database.owner_url)
        owner.execute("set enable_seqscan = off; set enable_indexscan = off")
    for part in PARTS:
        for form in (
            "userName {}",
            "not (userName {})",
            'userName {} or nickName eq "x"',
            "(userName {}) and active pr",
        ):
            for operator in ("co", "ew", "sw"):
                asked = form.format(f"{operator} {json.dumps(part)}")
                assert people.found(owner, asked, (USER,)) == people.matching(asked, (USER,)), asked


def test_the_index_is_read_where_it_is(fresh_database: Database, owner: psycopg.Connection[Any]) -> None:
    """Among thousands; and before and after it everybody is."""
    seeded = random.Random(7)
    names = ["".join(seeded.choices("abcdefghij", k=12)) for _ in range(5_000)]
    Directory(1, [Made(str(uuid4()), {"userName": name}) for name in names]).put(owner)

    def indexes(asked: str) -> set[str]:
        owner.execute("analyze users")
        statement, parameters = query(1, parse_filter(asked, (USER,)), USER)
        (plan,) = owner.execute(f"explain (format json) select r.id {statement}", parameters).fetchone() or ()
        return {name for node in nodes(plan[0]["Plan"]) if (name := node.get("Index Name")) is not None}

    for asked in (f'userName co "{names[77][3:9]}"', f'userName ew "{names[77][3:]}"'):
        assert "users_by_part_of_name" not in indexes(asked)
    assert index_parts_of_names(fresh_database.owner_url)
    for asked in (f'userName co "{names[77][3:9]}"', f'userName ew "{names[77][3:]}"'):
        assert {"users_by_part_of_name", "users_of_long_name"} <= indexes(asked)
    assert drop_parts_of_names(fresh_database.owner_url)
    assert "users_by_part_of_name" not in indexes(asked)


def test_what_an_interrupted_attempt_left_is_made_anew(
    fresh_database: Database, owner: psycopg.Connection[Any]
) -> None:
    assert index_parts_of_names(fresh_database.owner_url)
    owner.execute("update pg_index set indisvalid = false where indexrelid = 'users_by_part_of_name'::regclass")
    assert index_parts_of_names(fresh_database.owner_url)
    assert owner.execute("select bool_and(indisvalid) from pg_index").fetchone() == (True,)
    assert not index_parts_of_names(fresh_database.owner_url)


def test_only_the_owner_may(fresh_database: Database) -> None:
    with pytest.raises(OwnerNeeded, match=r"^the role scim_ledger_app may not do this .*: run \./scim-ledger migrate"):
        index_parts_of_names(fresh_database.app_url)
    assert not drop_parts_of_names(fresh_database.app_url)


def test_migrate_makes_and_drops_it(fresh_database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what that means; nothing, when it is so already."""

    def told(*flags: str) -> str:
        assert run(["migrate", "--database-url", fresh_database.owner_url, *flags]) == 0
        return capsys.readouterr().out

    assert told("--trigrams") == "a part of a userName is now found by an index\n"
    assert told("--trigrams") == "the database is up to date\n"
    assert json.loads(told("--no-trigrams", "--json")) == {"applied": [], "warnings": [], "trigrams_changed": True}
    assert told("--no-trigrams") == told() == "the database is up to date\n"
