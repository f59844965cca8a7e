"""*Why* reads little, whatever has piled up: each statement comes from an index, and what it touches stays small."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.tenants import create_tenant
from ledger.vault import Keys
from projections.answers import history, runs
from projections.asking import Asked, why
from tests.conftest import Database
from tests.plans import nodes
from tests.projections.telling import ADA, BOB, EVERYONE, FINANCE, changed, group_created, group_deleted, joined, left
from tests.projections.test_inferences import person
from tests.projections.whying import Ask, Told

REPEATS = 10_000
PEOPLE = 400
PASSING = "9a550000-0000-4000-8000-00000000000c"  # A group that everybody was in, and that is deleted.
SMALL = {"tenants", "tracking", "subject_keys"}  # A row a tenant or person, read by key.


def crowded(repeats: int) -> Told:
    """Ada is one of many: Entra repeats a request about her for ever, and others come and go."""
    told = Told().hired(externalId="E1").joins(FINANCE, EVERYONE)
    for number in range(PEOPLE):
        told.hired(person(number), f"u{number}", externalId=f"X{number}").joins(EVERYONE, user_id=person(number))
    told.later(days=9)
    told.request("PATCH", f"/Groups/{FINANCE}", left(FINANCE, ADA))
    told.disabled()
    for _ in range(repeats):
        told.unchanged("PATCH", f"/Users/{ADA}", ADA)
    told.later(days=1)
    for number in range(PEOPLE):
        told.request("PATCH", f"/Users/{person(number)}", changed(person(number), "title", None, "x"))
        told.refused("PATCH", f"/Users/{person(number)}", person(number), status=409, scim_type="uniqueness")
    members = [ADA, *map(person, range(PEOPLE))]
    told.later(days=1).request("POST", "/Groups", group_created(PASSING, "Passing"))
    told.request("PATCH", f"/Groups/{PASSING}", *(joined(PASSING, member) for member in members))
    told.request("DELETE", f"/Groups/{PASSING}", group_deleted(PASSING))
    told.unchanged("PATCH", f"/Users/{ADA}", ADA)
    return told


@pytest.fixture(scope="module")
def ask(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """One crowded tenant for all tests of this file."""
    database: Database = request.getfixturevalue("postgres")
    keys: Keys = request.getfixturevalue("keys")
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        tenant: Tenant = create_tenant(connection, "crowded", authority="scim.example.com", keys=keys)
        found = Ask(connection, tenant, keys)
        found.written(crowded(REPEATS))
        connection.execute("analyze entries, trail, names, memberships")
        yield found


class Watched:
    """The statements that a question sends, and the entries it opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[tuple[Any, Any]] = []
        self.opened = 0
        execute, payload = psycopg.Cursor.execute, Reader._payload

        def executing(cursor: Any, query: Any, parameters: Any = None, **options: Any) -> Any:
            self.statements.append((query, parameters))
            return execute(cursor, query, parameters, **options)

        def opening(reader: Reader, row: Any) -> bytes:
            self.opened += 1
            return payload(reader, row)

        monkeypatch.setattr(psycopg.Cursor, "execute", executing)
        monkeypatch.setattr(Reader, "_payload", opening)


QUESTIONS = {
    "somebody disabled": ("ada", Asked()),
    "by id": (ADA, Asked()),
    "a group": ("Everyone", Asked()),
    "somebody refused": (person(7), Asked()),
    "nobody": ("nobody", Asked()),
    "one group": ("ada", Asked(group="Finance")),
    "one attribute": ("ada", Asked(attribute="title")),
}


@pytest.mark.parametrize(("subject", "asked"), QUESTIONS.values(), ids=QUESTIONS)
def test_every_statement_reads_an_index_and_little_of_it(
    ask: Ask, subject: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        watched = Watched(patched)
        why(ask.reader, subject, asked)
    assert watched.opened < 150
    reads_little(ask, watched)


def test_a_history_and_runs_read_little_too(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of whoever lost a group with four hundred others."""
    with monkeypatch.context() as patched:
        watched = Watched(patched)
        history(ask.reader, "ada")
        runs(ask.reader, count=20, before=None, client=None, since=None, until=None)
    assert watched.opened < 400
    reads_little(ask, watched)


def reads_little(ask: Ask, watched: Watched) -> None:
    connection = ask.recording.connection
    connection.execute("set enable_seqscan = off")
    for query, parameters in watched.statements:
        text = query.decode() if isinstance(query, bytes) else query
        (plan,) = connection.execute(f"explain (analyze, format json, timing off) {text}", parameters).fetchone()
        for node in nodes(plan[0]["Plan"]):
            if node.get("Relation Name") in SMALL:
                continue
            assert node["Node Type"] != "Seq Scan", text
            read = node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
            assert read <= 1_200, f"{read} rows: {text}\n{json.dumps(node)[:400]}"


def test_how_often_a_request_was_repeated_changes_nothing(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand repeats are not opened; one, the last, is told of."""
    watched = Watched(monkeypatch)
    (told,) = why(ask.reader, "ada").explanations
    assert watched.opened < 20
    assert told.last is not None and told.last.event == "RequestUnchanged"
    assert [each.group_name for each in told.lost_before] == ["Finance"]
    assert told.held_count == 1
    assert BOB not in str(told)
