"""Entra's log of the simulated story, taken in: each row finds the request that it tells of, and no other."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from bench.simulator.provisioning_log import EXPORTED, write_csv, write_json
from bench.simulator.simulation import Simulated
from ledger.reader import Reader
from ledger.tenants import operator_cause
from ledger.vault import Keys, Vault
from projections.entra_import import import_export
from tests.conftest import Database


@pytest.fixture
def reader(postgres: Database, keys: Keys, simulated: Simulated) -> Iterator[Reader]:
    """The simulated ledger, in a transaction that comes to nothing: others use it too."""
    with (
        psycopg.connect(postgres.owner_url, autocommit=True) as connection,
        connection.transaction(force_rollback=True),
    ):
        yield Reader(connection, simulated.tenant, Vault.load(connection, simulated.tenant.tenant_id, keys))


@pytest.mark.parametrize("form", ["json", "csv"])
@pytest.mark.parametrize("weeks", EXPORTED)
def test_rows_find_the_requests_they_tell_of_and_no_others(
    reader: Reader, simulated: Simulated, tmp_path: Path, weeks: tuple[datetime, datetime], form: str
) -> None:
    """By a clock some seconds off, with rows missing; what was skipped finds none, what is in doubt is left open."""
    rows = simulated.provisioning_log.exported(*weeks)
    write_json(rows, tmp_path / "log.json") if form == "json" else write_csv(rows, tmp_path)
    with ExitStack() as opened:
        files = [(path.name, opened.enter_context(path.open("rb"))) for path in sorted(tmp_path.iterdir())]
        import_export(reader, files, operator_cause)
    query = (
        "select r.row_id, t.request_id::text from entra_rows r left join trail t "
        "on t.tenant_id = r.tenant_id and t.first_position = r.first_position where r.tenant_id = %s"
    )
    found = dict(reader.connection.execute(query, (simulated.tenant.tenant_id,)).fetchall())
    open_ones = [row.document for row in rows if row.request_id and found[row.document["id"]] is None]
    assert len(rows) == len(found) > 100
    assert all(found[row.document["id"]] in (None, row.request_id or None) for row in rows)
    assert len(open_ones) < len(rows) / 20
    assert {(each["provisioningAction"], each["provisioningStatusInfo"]["status"]) for each in open_ones} <= {
        ("create", "failure")
    }
