"""States as intervals: how they are read, what an erasure leaves of them, and a company's three years of them."""

from collections.abc import Iterator
from hashlib import md5
from typing import Any
from uuid import UUID

import psycopg
import pytest
from living import added_up
from peopling import BASE, Directory, Made

from bench.simulator.simulation import Simulated
from domain.filters import parse_filter
from domain.schemas import GROUP, STANDARD, USER
from ledger.entry import Tenant
from ledger.reader import Reader
from ledger.vault import Keys, Vault
from projections.asof import last_position, population
from projections.directory import resource_of
from projections.ordering import Mark
from projections.queries import Question, select_edges, select_page
from projections.runner import BY_KEY, catch_up
from projections.versions import TAKE_OVER, Versions, own, rows
from tests.conftest import Database
from tests.ledger.test_lookups import CROWD
from tests.plans import nodes, touched
from tests.projections.recording import Recording
from tests.projections.telling import ADA, BOB, Telling, changed, created, deleted

# --- rows


def test_every_entry_of_a_resource_makes_a_state_and_a_deletion_makes_none() -> None:
    """From the first entry, or from what was there before the entries."""
    told = Telling()
    told.request("POST", "/Users", created(ADA, userName="ada"))  # 0
    told.request("PATCH", "/Users", changed(ADA, "title", None, "A"), changed(ADA, "nickName", None, "N"))  # 1, 2
    told.request("POST", "/Users", created(BOB, userName="bob"))  # 3
    told.request("DELETE", "/Users", deleted(ADA))  # 4
    whole = rows(own(told.entries, STANDARD), {}, STANDARD)
    assert [(each.id, each.from_position, each.version, each.resource and sorted(each.resource)) for each in whole] == [
        (ADA, 0, 1, ["userName"]),
        (ADA, 1, 2, ["title", "userName"]),
        (ADA, 2, 3, ["nickName", "title", "userName"]),
        (BOB, 3, 1, ["userName"]),
        (ADA, 4, 4, None),
    ]
    assert rows(own(told.entries[2:], STANDARD), {ADA: whole[1]}, STANDARD) == whole[2:]


def test_what_still_holds_is_taken_from_the_directory_and_all_else_added_up(
    database: Database, tenant: Tenant, keys: Keys
) -> None:
    """A page that is read late finds the directory further on; its states are the same."""
    told = Telling()
    told.request("POST", "/Users", created(ADA, userName="ada"))  # 0
    told.request("PATCH", "/Users", changed(ADA, "title", None, "A"), changed(ADA, "nickName", None, "N"))  # 1, 2
    here = Made(ADA, {"userName": "ada", "title": "as its row has it"}, 3)
    with psycopg.connect(database.owner_url, autocommit=True) as connection, psycopg.Cursor(connection) as cursor:
        Recording(connection, tenant, keys).write(told.entries)
        Directory(tenant.tenant_id, [here]).put(connection)
        Versions().write(cursor, tenant.tenant_id, told.entries)
        kept = connection.execute(
            "select from_position, version, document from resource_versions where tenant_id = %s order by 1",
            (tenant.tenant_id,),
        ).fetchall()
    assert [(*at, resource_of(stored)) for *at, stored in kept] == [
        (0, 1, {"userName": "ada"}),
        (1, 2, {"userName": "ada", "title": "A"}),
        (2, 3, here.resource),
    ]


# --- erasure


def test_of_an_erased_person_it_stays_known_between_which_positions_she_was_there(
    postgres: Database, tenant: Tenant, keys: Keys
) -> None:
    """Made again from entries that no longer open, a state has its interval and nothing else."""
    told = Telling()
    told.request("POST", "/Users", created(ADA, userName="ada", active=True))
    told.request("PATCH", "/Users", changed(ADA, "title", None, "Analyst"))
    told.request("DELETE", "/Users", deleted(ADA))
    with psycopg.connect(postgres.app_url, autocommit=True) as connection:
        recording = Recording(connection, tenant, keys)
        recording.write(told.entries)
        connection.execute("delete from subject_keys where tenant_id = %s", (tenant.tenant_id,))
        reader = recording.reader()
        catch_up(reader)
        kept = connection.execute(
            "select from_position, active, search, document from resource_versions where tenant_id = %s order by 1",
            (tenant.tenant_id,),
        ).fetchall()
        assert [(*each[:3], each[3] and resource_of(each[3])) for each in kept] == [
            (0, None, {}, {}),
            (1, None, {}, {}),
            (2, None, None, None),
        ]
        assert [stored.id for _, stored, _ in population(reader, question(tenant.tenant_id, 1))] == [ADA]


def question(tenant_id: int, at: int, text: str | None = None, kind: Any = USER) -> Question:
    asked = None if text is None else parse_filter(text, (kind,))
    return Question(tenant_id, (kind,), asked, None, BASE, at)


# --- three years


@pytest.fixture(scope="module")
def company(postgres: Database, simulated: Simulated, keys: Keys) -> Iterator[Reader]:
    """The simulated ledger, read to its end."""
    with psycopg.connect(postgres.owner_url, autocommit=True) as connection:
        reader = Reader(connection, simulated.tenant, Vault.load(connection, simulated.tenant.tenant_id, keys))
        catch_up(reader)
        connection.execute("vacuum analyze resource_versions")
        connection.execute("vacuum analyze memberships")
        connection.execute("vacuum analyze names")
        yield reader


@pytest.mark.parametrize("part", [0.02, 0.35, 0.8, 1.0])
def test_the_population_of_a_company_at_any_time_is_what_its_entries_add_up_to(company: Reader, part: float) -> None:
    """A thousand people: documents, versions, times, members."""
    moment = company.at([int((company.size() - 1) * part)])[0].recorded_at
    at = last_position(company, moment)
    directory = added_up(company.tenant.tenant_id, company.entries_after(0, at + 1))
    for kind, made in ((USER, directory.users), (GROUP, directory.groups)):
        found = list(population(company, question(company.tenant.tenant_id, at, kind=kind)))
        assert [(each.id, each.version, each.created_at, each.modified_at) for _, each, _ in found] == [
            (each.id, each.version, each.created, each.modified) for each in made
        ]
        assert [resource_of(each.document) for _, each, _ in found] == [each.resource for each in made]
    members = [[tuple(edge) for edge in edges] for _, _, edges in found]
    assert members == [list(each.members) for each in directory.groups]


def test_states_are_intervals_without_gaps_from_creation_to_deletion(company: Reader) -> None:
    """The view says of every state what the table's rows say together."""
    rows = company.connection.execute(
        "select id, from_position, version, recorded_at, document is null from resource_versions "
        "where tenant_id = %s order by id, from_position",
        (company.tenant.tenant_id,),
    ).fetchall()
    expected, first = [], rows[0]
    for row, following in zip(rows, [*rows[1:], (None,) * 5], strict=True):
        first = row if row[2] == 1 else first
        if not row[4]:
            ends = following[1] if following[0] == row[0] else 2**63 - 1
            expected.append((row[0], row[1], ends, row[2], first[1], first[3], row[3]))
    told = company.connection.execute(
        "select id, from_position, to_position, version, created_position, created_at, modified_at "
        "from resource_states where tenant_id = %s order by id, from_position",
        (company.tenant.tenant_id,),
    ).fetchall()
    assert told == expected


# --- plans


PLANS = {
    "a page": (None, None, "resource_versions_in_order"),
    "a page behind a mark": (None, Mark(None, 900), "resource_versions_in_order"),
    "by userName": ('userName eq "nobody"', None, "names_pkey"),
    "by externalId": ('externalId eq "nobody"', None, "names_pkey"),
    "by id": (f'id eq "{ADA}"', None, "resource_versions_pkey"),
}


@pytest.mark.parametrize(("text", "after", "index"), PLANS.values(), ids=PLANS)
def test_the_past_is_read_from_indexes(company: Reader, text: str | None, after: Mark | None, index: str) -> None:
    """No more than the page needs: of each resource the row of its coming, and the state that held."""
    asked = question(company.tenant.tenant_id, company.size() // 2, text)
    scans = list(nodes_of(company, *select_page(asked, after, offset=0, count=50)))
    read = [each for each in scans if each.get("Relation Name") == "resource_versions"]
    assert index in {each.get("Index Name") for each in scans}
    assert len(read) == 2
    for scan in read:
        assert scan["Node Type"] != "Seq Scan"
        assert scan["Actual Rows"] * scan["Actual Loops"] <= 60  # Some who came by then have gone again.
        assert scan.get("Rows Removed by Filter", 0) * scan["Actual Loops"] <= 10


def test_edges_of_the_past_are_read_from_indexes(company: Reader) -> None:
    """Memberships that lasted and those that ended, of the asked people alone."""
    at, tenant_id = company.size() // 2, company.tenant.tenant_id
    used: set[Any] = set()
    with company.connection.transaction():
        company.connection.execute("set local enable_seqscan = off")  # A thousand people are few enough to read all.
        for kind in (USER, GROUP):
            found = [(kind, stored) for kind, stored, _ in population(company, question(tenant_id, at, kind=kind))][:2]
            for asked in select_edges(question(tenant_id, at), found):
                used |= {each.get("Index Name") for each in nodes_of(company, *asked)}
    assert used >= {"memberships_of_member", "memberships_ended", "memberships_pkey"}


@pytest.mark.parametrize(("then", "now"), [("user", "users"), ("group", "groups"), ("membership", "memberships")])
def test_the_tables_as_they_were_have_the_columns_of_the_tables(company: Reader, then: str, now: str) -> None:
    """By name, type and collation; or a filter would mean something else there."""
    columns = (
        "select attname, atttypid, attcollation from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and not attisdropped"
    )
    past, present = (set(company.connection.execute(columns, (name,))) for name in (f"{then}_then", now))
    assert past <= present


def nodes_of(reader: Reader, statement: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a statement's plan."""
    explain = f"explain (analyze, format json, timing off) {statement}"
    (plan,) = reader.connection.execute(explain, parameters).fetchone() or ()
    yield from nodes(plan[0]["Plan"])


def test_a_page_is_taken_over_by_key_also_of_a_tenant_nobody_counted(fresh_database: Database) -> None:
    """Statistics that know of other tenants only make every index of a new one look as good as the key."""
    ids = [str(UUID(bytes=md5(f"u{n}".encode()).digest())) for n in range(1, 101)]
    columns = {"tenants": ["8"] * 100, "ids": ids, "versions": ["1"] * 100, "positions": [str(n) for n in range(100)],
               "times": ["2026-01-01T00:00:00Z"] * 100}  # fmt: skip
    parameters = {name: f"{{{','.join(values)}}}" for name, values in columns.items()}
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        connection.execute("begin; " + CROWD + "commit")
        connection.execute("analyze")
        connection.execute("begin; " + CROWD.replace("select 7,", "select 8,") + "commit")
        with connection.transaction():
            connection.execute(BY_KEY)
            explain = f"explain (analyze, format json) {TAKE_OVER}"
            (plan,) = psycopg.ClientCursor(connection).execute(explain, parameters).fetchone() or ()
    assert 100 <= touched(plan[0]["Plan"]) <= 300
