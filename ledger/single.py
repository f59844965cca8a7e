"""One job, one call, on a plain connection: for commands, and inside a transaction with other rows."""

from datetime import UTC, datetime
from typing import Any

import psycopg

from ledger import arrays
from ledger.batch import CALL, Appended, Batch
from ledger.jobs import Job
from ledger.writer import Conflict


def append(connection: psycopg.Connection[Any], job: Job) -> Appended:
    """Write one job now. Raises Conflict when a precondition does not hold."""
    arrays.register(connection.adapters)
    batch = Batch([job])
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(CALL, batch.arguments(datetime.now(UTC)), binary=True)
        row = cursor.fetchone()
    assert row is not None
    size, recorded_at, failed, base = row
    if failed is not None:
        raise Conflict
    return batch.result(0, size, recorded_at, base)
