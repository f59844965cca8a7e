"""Point reads stay point reads: what they touch does not grow with the directory, whatever the planner knows of it."""

from collections.abc import Iterable, Iterator
from hashlib import md5, sha256

import psycopg
import pytest

from ledger.connections import KEPT_SETTINGS
from ledger.lookups import QUERIES
from tests.conftest import Database
from tests.ledger.desk import Connection
from tests.plans import told, touched

USERS = 3_000
GROUPS = 60
HELD = 3  # Groups that each user is in.
KEYS = 4

CROWD = f"""
insert into users (tenant_id, id, version, position, created_position, created_at, modified_at, user_name_key,
                   external_id_key, active, document, search, search_terms)
select 7, md5('u' || n)::uuid, 1, n, n, now(), now(), sha256(('u' || n)::bytea), sha256(('x' || n)::bytea), true,
       '{{}}', jsonb_build_object('userName', 'u' || n), '{{}}'
  from generate_series(1, {USERS}) n;
insert into subject_keys (tenant_id, subject_id, key_id, wrapped)
select 7, md5('u' || n)::uuid, gen_random_uuid(), 'x' from generate_series(1, {USERS}) n;
insert into groups (tenant_id, id, version, attribute_version, member_count, position, created_position, created_at,
                    modified_at, name_key, unique_name_key, external_id_key, document, search, search_terms)
select 7, md5('g' || n)::uuid, 1, 1, 0, n, n, now(), now(), sha256(('g' || n)::bytea), sha256(('g' || n)::bytea),
       sha256(('y' || n)::bytea), '{{}}', '{{}}', '{{}}'
  from generate_series(1, {GROUPS}) n;
insert into memberships (tenant_id, group_id, member_id, member_type, from_position)
select 7, md5('g' || (n + k) % {GROUPS} + 1)::uuid, md5('u' || n)::uuid, 'User', n
  from generate_series(1, {USERS}) n, generate_series(1, {HELD}) k;
"""  # Numbers of ours.

TENANTS = f"array_fill(7, array[{KEYS}])"


def ids(letter: str) -> str:
    """The ids of the first few, as an array."""
    return _array((md5(f"{letter}{n}".encode()).hexdigest() for n in range(1, KEYS + 1)), "uuid")


def hashes(letter: str) -> str:
    """The keys of the first few's names, as an array."""
    return _array((rf"\x{sha256(f'{letter}{n}'.encode()).hexdigest()}" for n in range(1, KEYS + 1)), "bytea")


def _array(values: Iterable[str], kind: str) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"array[{quoted}]::{kind}[]"


# What is asked, and how many rows of the directory may be touched for each key.
ASKED = {
    "user": ((TENANTS, ids("u")), 4 * HELD + 2),
    "user_to_change": ((TENANTS, ids("u")), 4 * HELD + 3),
    "user_by_name": ((TENANTS, hashes("u")), 4 * HELD + 2),
    "user_by_external_id": ((TENANTS, hashes("x")), 4 * HELD + 2),
    "group": ((TENANTS, ids("g")), 2),
    "group_by_name": ((TENANTS, hashes("g")), 2),
    "group_by_external_id": ((TENANTS, hashes("y")), 2),
    "whole_group": ((TENANTS, ids("g")), 2 * HELD * USERS // GROUPS + 2),
    "edge": ((TENANTS, ids("g"), ids("u")), 4),
    "group_with_edge": ((TENANTS, ids("g"), ids("u")), 6),
    "members": ((TENANTS, ids("g")), 2 * HELD * USERS // GROUPS),
    "held": ((TENANTS, ids("u")), 2 * HELD),
    "groups_of": ((TENANTS, ids("u")), 4 * HELD),
}
KNOWN = ("nothing", "what was there when it was new", "what is there")


@pytest.fixture(params=KNOWN)
def crowd(request: pytest.FixtureRequest, fresh_database: Database) -> Iterator[Connection]:
    """One large tenant in a new database, and what the planner was shown of it."""
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        if request.param == "what was there when it was new":
            connection.execute("vacuum analyze")
        connection.execute("begin; " + CROWD + "commit")
        if request.param == "what is there":
            connection.execute("analyze")
        connection.execute(KEPT_SETTINGS)
        yield connection


def test_a_look_up_touches_its_own_rows_only(crowd: Connection) -> None:
    for name, (arguments, rows_a_key) in ASKED.items():
        statement = QUERIES[name][0]
        crowd.execute(f"prepare asked_{name} as {statement}")
        explain = f"explain (analyze, format json) execute asked_{name}({', '.join(arguments)})"
        (plan,) = crowd.execute(explain).fetchone() or ()
        rows = touched(plan[0]["Plan"])
        assert rows <= KEYS * rows_a_key, f"{name} touches {rows:.0f} rows: {told(plan[0]['Plan'])}"
