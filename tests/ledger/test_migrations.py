"""The migration runner, over small folders of the tests' own, on a real Postgres."""

import threading
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ledger.migrations import (
    DatabaseNewer,
    EditedMigration,
    Migrated,
    MigrationError,
    MigrationFailed,
    MigrationOutOfOrder,
    MissingMigration,
    OwnerNeeded,
    migrate,
    pending,
    read_migrations,
    statements,
)
from tests.conftest import Database

PEOPLE = {"0001_people": "create table people (n integer);\ninsert into people values (1);"}


def write(folder: Path, files: dict[str, str], append: str | None = None) -> dict[str, Path | None]:
    """Make a folder of migrations, and return what `migrate` is called with."""
    where = folder / "migrations"
    where.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (where / f"{name}.sql").write_text(text)
    code = None
    if append is not None:
        code = folder / "append.sql"
        code.write_text(append)
    return {"folder": where, "append": code}


def ask(url: str, query: str) -> Sequence[object]:
    """Run one query and return its rows' first values."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(query.encode())]


def refusal(url: str, options: dict[str, Path | None], kind: type[MigrationError]) -> str:
    """Migrate, expecting a refusal, and return its sentence, which is one line."""
    with pytest.raises(kind) as refused:
        migrate(url, **options)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    return str(refused.value)


def apply(url: str, options: dict[str, Path | None]) -> Migrated:
    """Migrate."""
    return migrate(url, **options)  # type: ignore[arg-type]


def test_files_are_applied_once_in_their_order(empty_database: Database, tmp_path: Path) -> None:
    """The second time nothing is pending, also for a role that may create nothing."""
    url = empty_database.owner_url
    options = write(tmp_path, PEOPLE | {"0002_more": "insert into people select n + 1 from people"})
    assert pending(url, **options) == ("0001_people", "0002_more")  # type: ignore[arg-type]
    assert apply(url, options).applied == ("0001_people", "0002_more")
    assert apply(url, options).applied == ()
    assert ask(url, "select n from people order by n") == [1, 2]
    assert ask(url, "select name from schema_migrations order by version") == ["0001_people", "0002_more"]
    with psycopg.connect(empty_database.superuser_url, autocommit=True) as connection:
        connection.execute("do $$ begin create role nobody_special login; exception when others then null; end $$")
    assert apply(empty_database.superuser_url.replace("//scim_ledger@", "//nobody_special@"), options).applied == ()


def test_a_failing_file_leaves_no_trace(empty_database: Database, tmp_path: Path) -> None:
    """Those before it stay, and it is applied once it is mended."""
    url = empty_database.owner_url
    broken = {"0002_broken": "create table half (n integer); select 1 / 0;", "0003_later": "select 1"}
    assert refusal(url, write(tmp_path, PEOPLE | broken), MigrationFailed) == "0002_broken failed: division by zero"
    assert ask(url, "select to_regclass('half')::text") == [None]
    assert apply(url, write(tmp_path, {"0002_broken": "select 1"})).applied == ("0002_broken", "0003_later")


def test_an_edited_file_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """Also by a comment: what was applied stays readable as it was."""
    url = empty_database.owner_url
    apply(url, write(tmp_path, PEOPLE))
    options = write(tmp_path, {"0001_people": PEOPLE["0001_people"] + " -- better"})
    assert refusal(url, options, EditedMigration) == "0001_people was edited after it was applied to this database"


def test_a_missing_file_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """A database cannot be trusted to be what nobody can read any more."""
    url = empty_database.owner_url
    options = write(tmp_path, PEOPLE | {"0002_more": "select 2"})
    apply(url, options)
    (tmp_path / "migrations" / "0001_people.sql").unlink()
    assert refusal(url, options, MissingMigration).startswith("0001_people was applied")


def test_a_late_file_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """Two branches that met: the later one was written for another database than it would find."""
    url = empty_database.owner_url
    apply(url, write(tmp_path, PEOPLE | {"0003_more": "select 3"}))
    options = write(tmp_path, {"0002_late": "select 2"})
    assert refusal(url, options, MigrationOutOfOrder).startswith("0002_late is not applied")


def test_a_database_newer_than_the_code_is_refused(empty_database: Database, tmp_path: Path) -> None:
    """Old code would write what the new one no longer understands."""
    url = empty_database.owner_url
    options = write(tmp_path, PEOPLE | {"0002_more": "select 2"})
    apply(url, options)
    (tmp_path / "migrations" / "0002_more.sql").unlink()
    assert refusal(url, options, DatabaseNewer).startswith("the database is newer than this code: 0002_more was")


def test_starters_at_once_apply_each_file_once(empty_database: Database, tmp_path: Path) -> None:
    """One works, the others wait and find nothing left."""
    url = empty_database.owner_url
    options = write(tmp_path, {"0001_slow": "create table once (n integer); select pg_sleep(0.3);"}, "select 1")
    applied: list[tuple[str, ...]] = []
    starters = [threading.Thread(target=lambda: applied.append(apply(url, options).applied)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(30)
    assert sorted(applied) == [(), (), (), ("0001_slow", "append.sql")]


def test_append_sql_is_installed_whenever_its_text_changed(empty_database: Database, tmp_path: Path) -> None:
    """After the files, and not again while it stays the same."""
    url = empty_database.owner_url
    function = "create or replace function answer() returns integer language sql return {}"
    options = write(tmp_path, PEOPLE, function.format(41))
    assert apply(url, options).applied == ("0001_people", "append.sql")
    assert apply(url, options).applied == ()
    assert apply(url, write(tmp_path, {}, function.format(42))).applied == ("append.sql",)
    assert ask(url, "select answer()") == [42]


def test_a_file_outside_transactions_runs_statement_by_statement(empty_database: Database, tmp_path: Path) -> None:
    """As an index that is built beside running writes wants it."""
    url = empty_database.owner_url
    index = "-- no-transaction\n-- Beside writes; so twice is no error.\n"
    index += "create index concurrently if not exists a on people (n);\ncreate index concurrently b on people (n);\n"
    apply(url, write(tmp_path, PEOPLE | {"0002_index": index}))
    assert ask(url, "select indexname::text from pg_indexes where tablename = 'people' order by 1") == [
        "a",
        "b",
    ]


def test_a_file_does_not_wait_for_ever_for_a_table(empty_database: Database, tmp_path: Path) -> None:
    """While it waited, everybody behind it would wait too."""
    url = empty_database.owner_url
    apply(url, write(tmp_path, PEOPLE))
    options = write(tmp_path, {"0002_wait": "set local lock_timeout = '50ms'; alter table people add m integer;"})
    with psycopg.connect(url) as other:
        other.execute("lock people in access share mode")
        assert "0002_wait waited" in refusal(url, options, MigrationFailed)
    assert apply(url, options).applied == ("0002_wait",)


def test_a_role_that_may_not_create_is_told_who_may(empty_database: Database, tmp_path: Path) -> None:
    """Before anything is tried, on an empty database and on one that is behind."""
    with psycopg.connect(empty_database.superuser_url, autocommit=True) as connection:
        connection.execute("do $$ begin create role only_app login; exception when others then null; end $$")
        connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(empty_database.name)))
        connection.execute(
            sql.SQL("grant connect on database {} to only_app").format(sql.Identifier(empty_database.name))
        )
    app = empty_database.superuser_url.replace("//scim_ledger@", "//only_app@")
    sentence = (
        "migrations are pending and the role only_app may not apply them: run ./scim-ledger migrate with the"
        " owner's database URL"
    )
    assert refusal(app, write(tmp_path, PEOPLE), OwnerNeeded) == sentence
    apply(empty_database.owner_url, write(tmp_path, PEOPLE))
    options = write(tmp_path, {"0002_more": "select 2"})
    assert refusal(app, options, OwnerNeeded) == sentence
    assert ask(app, "select count(*) from schema_migrations") == [1]


def test_a_warning_of_the_database_is_passed_on(empty_database: Database, tmp_path: Path) -> None:
    """Such as: roles could not be made."""
    options = write(tmp_path, {"0001_warn": "do $$ begin raise warning 'no roles'; raise notice 'x'; end $$"})
    assert apply(empty_database.owner_url, options) == Migrated(("0001_warn",), ("no roles",))


def test_names_that_say_no_order_are_refused(tmp_path: Path) -> None:
    """Two with one number, or none."""
    where = write(tmp_path, {"0001_a": "", "0001_b": ""})["folder"]
    assert where is not None
    with pytest.raises(MigrationError, match="0001_a and 0001_b have the same number"):
        read_migrations(where)
    with pytest.raises(MigrationError, match=r"later\.sql in migrations is not named NNNN_name\.sql"):
        read_migrations(write(tmp_path / "other", {"later": ""})["folder"] or where)


def test_statements_end_at_semicolons_outside_of_anything_quoted() -> None:
    """As Postgres reads them."""
    text = """
    -- a; comment
    select ';', "a;b", 'it''s;' /* ; */ ;
    do $body$ begin; perform $$;$$; end $body$;
    select 1 - 2 / 3, $1;
    ;
    -- the end;
    """
    found = statements(text)
    assert [statement.split("\n")[-1].strip()[:22] for statement in found] == [
        "select ';', \"a;b\", 'it",
        "do $body$ begin; perfo",
        "select 1 - 2 / 3, $1",
    ]


def test_our_own_files_apply_to_an_empty_database(empty_database: Database) -> None:
    """What `serve` does on its first start, and nothing is left for the second."""
    assert migrate(empty_database.owner_url).applied[-1] == "append.sql"
    assert migrate(empty_database.app_url).applied == ()
