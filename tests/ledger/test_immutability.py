"""Nobody changes the past: tried as every role there is, and as the role that `serve` really uses."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from ledger.entry import Tenant
from ledger.health import excess_privileges
from ledger.migrations import migrate
from ledger.tenants import create_tenant, issue_token
from ledger.vault import Keys, Vault
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, user
from tests.running import Service

TABLES = ("entries", "received_requests")
CHANGES = {
    "update": "update {} set tenant_id = tenant_id where tenant_id = %(tenant)s",
    "update-key": "update {} set request_id = gen_random_uuid() where tenant_id = %(tenant)s",
    "delete": "delete from {} where tenant_id = %(tenant)s",
    "truncate": "truncate {}",
    "truncate-cascade": "truncate {} cascade",
    "upsert": "insert into {0} select * from {0} where tenant_id = %(tenant)s "
    "on conflict (tenant_id, {1}) do update set request_id = gen_random_uuid()",
    "merge": "merge into {0} t using {0} s on t.tenant_id = s.tenant_id and t.{1} = s.{1} "
    "when matched then update set request_id = gen_random_uuid()",
}
STRUCTURE = (
    "alter table {} disable trigger all",
    "alter table {} disable trigger {}_stay",
    "alter table {} enable replica trigger {}_stay",
    "drop trigger {}_stay on {}",
    "alter table {} add column note text",
    "alter table {} owner to scim_ledger_app",
    "create trigger mine before insert on {} for each row execute function refuse_change_of_the_past()",
    "create rule mine as on insert to {} do instead nothing",
    "drop table {}",
    "do 'begin lock table {} in exclusive mode; end'",
    "create index mine on {} (request_id)",
)


@contextmanager
def as_role(url: str, role: str | None = None, **settings: str) -> Iterator[Connection]:
    """A connection, as another role and with other settings where they are given."""
    with psycopg.connect(url, autocommit=True) as connection:
        if role is not None:
            connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        for name, value in settings.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        yield connection


def refused(connection: Connection, statement: str, table: str, tenant: Tenant) -> str:
    """Run a statement that has to be refused for lack of a right; return what Postgres said."""
    key = "position" if table == "entries" else "request_id"
    text = statement.replace("{}_stay", f"{table}_stay").replace("{0}", table).replace("{1}", key).replace("{}", table)
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as found:
        connection.execute(text.encode(), {"tenant": tenant.tenant_id})
    return str(found.value)


async def test_the_services_role_may_add_and_read_and_nothing_else(
    desk: Desk, database: Database, auditor: Connection
) -> None:
    await desk.made("/Users", user("ada"))
    before = contents(auditor, desk.tenant)
    assert all(before)
    with as_role(database.app_url) as connection:
        assert connection.info.user == "scim_ledger_app"
        for table in TABLES:
            for statement in (*CHANGES.values(), *STRUCTURE):
                refused(connection, statement, table, desk.tenant)
        for statement in (
            "drop function refuse_change_of_the_past() cascade",
            "create or replace function refuse_change_of_the_past() returns trigger language plpgsql "
            "as 'begin return new; end'",
            "drop function ledger_append",
            "create table mine (n integer)",
            "set session_replication_role = replica",
            "set role scim_ledger_owner",
        ):
            refused(connection, statement, "entries", desk.tenant)
    assert contents(auditor, desk.tenant) == before


@pytest.mark.parametrize("settings", [{}, {"session_replication_role": "replica"}], ids=["", "replica"])
@pytest.mark.parametrize("table", TABLES)
async def test_not_even_the_superuser_changes_entries_by_mistake(
    table: str, settings: dict[str, str], desk: Desk, database: Database, auditor: Connection
) -> None:
    """ALWAYS: a plain trigger would be skipped while the session calls itself a replica."""
    await desk.made("/Users", user("ada"))
    before = contents(auditor, desk.tenant)
    with as_role(database.superuser_url, **settings) as connection:
        for statement in CHANGES.values():
            said = refused(connection, statement, table, desk.tenant)
            assert f"of {table}: entries are never changed or removed" in said
    assert contents(auditor, desk.tenant) == before


def contents(connection: Connection, tenant: Tenant) -> list[list[str]]:
    """All that is recorded of a tenant, as text."""
    return [
        [
            row[0]
            for row in connection.execute(
                f"select t::text from {table} t where tenant_id = %s order by 1".encode(), (tenant.tenant_id,)
            ).fetchall()
        ]
        for table in TABLES
    ]


def test_an_owner_who_is_no_superuser_does_not_either(empty_database: Database, keys: Keys) -> None:
    """A managed Postgres gives nobody more than that; what the service would then be able to do, it says."""
    with psycopg.connect(empty_database.superuser_url, autocommit=True) as connection:
        connection.execute("create role ledger_tests_owner login")
        connection.execute(f"alter database {empty_database.name} owner to ledger_tests_owner".encode())
    try:
        url = psycopg.conninfo.make_conninfo(empty_database.superuser_url, user="ledger_tests_owner")
        migrate(url)
        with as_role(url) as connection:
            tenant = create_tenant(connection, "owned", authority="scim.example.com", keys=keys)
            vault = Vault.load(connection, tenant.tenant_id, keys)
            issue_token(connection, tenant, vault, label="first", scopes=["scim"])
            for table in TABLES:
                for statement in CHANGES.values():
                    if table == "entries" or "truncate" in statement:  # Row triggers need a row.
                        assert "never changed" in refused(connection, statement, table, tenant)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("set session_replication_role = replica")
            (warning,) = excess_privileges(connection)
            assert "ledger_tests_owner may change what is recorded" in warning
    finally:
        with psycopg.connect(empty_database.superuser_url, autocommit=True) as connection:
            connection.execute("drop owned by ledger_tests_owner cascade")
            connection.execute(f"alter database {empty_database.name} owner to current_user".encode())
            connection.execute("drop role ledger_tests_owner")


READABLE = ("tenants", "entries", "users", "groups", "memberships", "tracking", "trail", "trail_subjects", "names")
SECRET = ("tenant_keys", "subject_keys", "request_keys", "received_requests", "tokens")


async def test_the_readers_role_reads_entries_but_neither_keys_nor_tokens(desk: Desk, database: Database) -> None:
    """Without a key what it reads of a person stays sealed."""
    await desk.made("/Users", user("ada"))
    with as_role(database.superuser_url, "scim_ledger_read") as connection:
        for table in READABLE:
            connection.execute(f"select * from {table} limit 1".encode()).fetchall()
        for table in SECRET:
            refused(connection, f"select from {table} limit 1", "", desk.tenant)
        for table in READABLE:
            refused(connection, f"insert into {table} default values", "", desk.tenant)
            refused(connection, f"delete from {table}", "", desk.tenant)
        refused(connection, "select from tenants for update", "", desk.tenant)


def test_no_table_of_keys_or_tokens_is_readable_for_the_readers(database: Database) -> None:
    """Nor one that a later migration brings."""
    with as_role(database.owner_url) as connection:
        rows = connection.execute(
            "select relname, has_table_privilege('scim_ledger_read', oid, 'select') from pg_class "
            "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
        ).fetchall()
    assert {name for name, _ in rows} >= {*READABLE, *SECRET}
    assert not [name for name, readable in rows if readable and re.search("key|token|secret", name)]


def test_serve_connects_as_the_role_that_may_only_add(service: Service) -> None:
    """Every connection of the running service, on the embedded server."""
    client = service.new_tenant()
    assert client.scim.post("/Users", json=user("ada")).status_code == 201
    with service.database() as server, psycopg.connect(server.superuser_url) as connection:
        rows = connection.execute(
            "select usename, application_name from pg_stat_activity "
            "where application_name like 'scim-ledger %' and datname = current_database()"
        ).fetchall()
    assert {role for role, _ in rows} == {"scim_ledger_app"}
    assert {"scim-ledger writer 1", "scim-ledger projections"} <= {name for _, name in rows}
