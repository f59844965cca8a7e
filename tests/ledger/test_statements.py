"""A statement's answer, and the end of its connection, reach whoever asked."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import uvloop

from ledger.connections import KeptConnection
from ledger.statements import Statement
from tests.conftest import Database

WITHIN_S = 30.0  # Never needed: the line breaks before.
NOTICED_S = 5.0


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("size", [1, 100_000], ids=["short", "long"])
def test_last_words_end_a_question_that_was_not_read(database: Database, run: Callable[[Any], None], size: int) -> None:
    """A server that goes says so, and leaves unread what it was asked: data and an error on one line.

    The loop of libuv tells of such an error once, and then listens no longer.
    """

    async def ask_whoever_goes() -> None:
        kept = KeptConnection(database.app_url, "scim-ledger test")
        statement = Statement(kept, "select length($1::bytea)")
        assert await statement.ask([b"x"], WITHIN_S) == [(1,)]
        os.kill(kept.backend_pid, signal.SIGSTOP)
        asked = asyncio.create_task(statement.ask([b"x" * size], WITHIN_S))
        await asyncio.sleep(0.05)
        os.kill(kept.backend_pid, signal.SIGTERM)
        os.kill(kept.backend_pid, signal.SIGCONT)
        with pytest.raises(psycopg.OperationalError):
            await asyncio.wait_for(asked, NOTICED_S)
        await kept.drop()

    run(ask_whoever_goes())
