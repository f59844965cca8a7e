"""Reports on a large ledger: the first byte comes soon, and memory does not grow with the rows."""

import time
import tracemalloc
from collections.abc import Iterator

import psycopg
import pytest

from bench.simulator.simulation import Simulated
from ledger.reader import Reader
from ledger.tenants import operator_cause
from ledger.vault import Keys, Vault
from projections.reports.catalog import FORMATS, REPORTS
from projections.reports.frame import Asked
from projections.reports.making import Making
from projections.runner import catch_up
from tests.conftest import Database

MEMORY_BYTES = 64 << 20
FIRST_BYTE_S = 2.0


@pytest.fixture
def reader(large: Simulated, postgres: Database, keys: Keys) -> Iterator[Reader]:
    """The large ledger, for reading."""
    with psycopg.connect(postgres.app_url, autocommit=True, options="-c timezone=UTC") as connection:
        yield Reader(connection, large.tenant, Vault.load(connection, large.tenant.tenant_id, keys))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("format", ["csv", "xlsx"])
@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_large_report_begins_at_once_and_takes_little_memory(
    large: Simulated, reader: Reader, name: str, format: str
) -> None:
    """Every report is made whole, and adds up; times are printed, and only the first byte's has a bound."""
    parameters = {"subject": [large.truth.ids[5][-1]]} if name == "changes" else {}
    asked = Asked(**{"until" if REPORTS[name].of_period else "as_of": large.size - 1}, parameters=parameters)
    catch_up(reader)  # The report before left an entry, and no service runs here that reads it.
    started = time.monotonic()
    making = Making(reader, REPORTS[name], asked, FORMATS[format](), operator_cause)
    pieces = making.pieces()
    sent = 0
    while not sent:
        sent += len(next(pieces))
    first_byte_s = time.monotonic() - started
    tracemalloc.start()
    try:
        sent += sum(map(len, pieces))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    whole_s = time.monotonic() - started
    told = f"{making.output} rows, {sent} bytes, {whole_s:.1f} s traced, {peak} bytes of memory"
    print(f"{name}.{format}: first byte {first_byte_s:.2f} s, {told}")  # noqa: T201
    assert making.footer is not None and making.footer.reconciled
    assert first_byte_s < FIRST_BYTE_S
    assert peak < MEMORY_BYTES
