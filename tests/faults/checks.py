"""After a fault: what clients were told, what the ledger holds, and what its projections show must be one."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from bench.service import Service
from ledger.entry import Entry
from ledger.reader import PAGE_ENTRIES, Reader
from ledger.tenants import find_tenant
from ledger.vault import Keys, Vault
from tests.faults.audit import check_everything
from tests.faults.writers import Crowd, Known, check_attempts

USERS_LOOKED_AT = 50


@contextmanager
def durable_folder() -> Iterator[Path]:
    """A folder on a disk, not in memory; the next test run sweeps it away should this one be killed."""
    folder = Path(tempfile.mkdtemp(prefix=f"scim-ledger-test-{os.getpid()}-", dir="/tmp"))
    folder.chmod(0o755)  # The database server may run as another account.
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_whole(service: Service, crowd: Crowd, slug: str, token: str) -> None:
    """Compare answers with the ledger, the ledger with itself, with the directory and with a replay."""
    unwanted = [text for writer in crowd.writers for text in writer.unwanted]
    assert not unwanted, unwanted[:5]
    assert not sum(writer.retry_after_missing for writer in crowd.writers), "a 503 without Retry-After"
    check_everything(service.database_url(), slug)
    check_attempts(crowd.attempts, all_entries(service, slug))
    check_known_users(service, crowd.known_users(), slug, token)
    service.command("replay")


def all_entries(service: Service, slug: str) -> list[Entry]:
    """Read the whole ledger, with the keys that lie in the data folder."""
    with psycopg.connect(service.database_url(), autocommit=True) as connection:
        tenant = find_tenant(connection, slug)
        assert tenant
        vault = Vault.load(connection, tenant.tenant_id, Keys.open(service.data / "keys"))
        reader, entries = Reader(connection, tenant, vault), list[Entry]()
        while page := reader.entries_after(len(entries), PAGE_ENTRIES):
            entries += page
        return entries


def check_known_users(service: Service, users: list[Known], slug: str, token: str) -> None:
    """Check over HTTP that users are as their writers were told, members of the group or not."""
    assert users
    base = f"{service.base_url}/scim/{slug}/v2"
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for user in random.Random(0).sample(users, min(USERS_LOOKED_AT, len(users))):
            found = client.get(f"{base}/Users/{user.id}").json()
            assert found["userName"] == user.user_name
            assert found.get("title", "") == found.get("nickName", "") == user.title
            assert bool(found.get("groups")) is user.in_group
