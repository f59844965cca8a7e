"""Keys: what they seal opens with them and in its place only; the folder they live in, whole, damaged and missing."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from cli.opening import prepare
from ledger.codec import Tampered, open_payload, seal_payload
from ledger.config import Config
from ledger.entry import TenantId
from ledger.tenants import create_tenant
from ledger.vault import Keys, KeysMissing, Sealer, Vault, commit, open_received, receive
from tests.conftest import Database

KEY = bytes(range(32))


def test_what_was_sealed_opens_with_its_key_in_its_place() -> None:
    sealer = Sealer("key", KEY)
    sealed = sealer.seal(b"what was said", b"place")
    assert sealer.open(sealed, b"place") == b"what was said"
    assert b"said" not in sealed
    assert sealer.seal(b"what was said", b"place") != sealed


@pytest.mark.parametrize(
    "broken",
    [
        lambda sealed: sealed[:-1],
        lambda sealed: sealed + b"\0",
        lambda sealed: b"",
        lambda sealed: sealed[:14],
        lambda sealed: b"\x02" + sealed[1:],
        *(
            lambda sealed, n=n: sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
            for n in (0, 1, 2, 13, 14, 30, -17)
        ),
    ],
)
def test_changed_bytes_do_not_open(broken: Callable[[bytes], bytes]) -> None:
    """Too short, too long, of another envelope, or one bit flipped anywhere."""
    sealer = Sealer("key", KEY)
    sealed = sealer.seal(b"what was said", b"place")
    with pytest.raises(InvalidTag):
        sealer.open(broken(sealed), b"place")


def test_neither_another_place_nor_another_key_opens_it() -> None:
    sealed = Sealer("key", KEY).seal(b"what was said", b"place")
    with pytest.raises(InvalidTag):
        Sealer("key", KEY).open(sealed, b"elsewhere")
    with pytest.raises(InvalidTag):
        Sealer("key", KEY[::-1]).open(sealed, b"place")


def test_a_payload_is_bound_to_its_ledger_and_stream() -> None:
    sealer = Sealer("key", KEY)
    commitment, sealed = seal_payload(b"{}", sealer, "scim.example.com/t/1", "users/7")
    salt, payload = open_payload(sealed, sealer, "scim.example.com/t/1", "users/7")
    assert payload == b"{}" and commit(salt, payload) == commitment
    for origin, stream in (("scim.example.com/t/1", "users/8"), ("scim.example.com/t/2", "users/7")):
        with pytest.raises(Tampered):
            open_payload(sealed, sealer, origin, stream)


def test_a_wrapped_key_is_bound_to_whom_it_belongs(keys: Keys) -> None:
    vault = vault_of(TenantId(1), keys)
    sealer, wrapped = vault.new_key("ada")
    sealed = sealer.seal(b"what was said", b"place")
    assert vault.unwrap("ada", sealer.key_id, wrapped).open(sealed, b"place") == b"what was said"
    with pytest.raises(InvalidTag):
        vault.unwrap("bob", sealer.key_id, wrapped)
    with pytest.raises(InvalidTag):
        vault_of(TenantId(2), keys).unwrap("ada", sealer.key_id, wrapped)


def test_a_tenants_key_is_bound_to_the_tenant_and_its_id(keys: Keys) -> None:
    """A row of `tenant_keys` put in the place of another does not let one tenant's key seal for the other."""
    key_id, wrapped = Vault.make_tenant_key(TenantId(1), keys)
    for tenant_id, other_id in ((TenantId(2), key_id), (TenantId(1), "0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d01")):
        with pytest.raises(KeysMissing):
            Vault.open(tenant_id, other_id, wrapped, keys)


def vault_of(tenant_id: TenantId, keys: Keys) -> Vault:
    """A new tenant's vault."""
    key_id, wrapped = Vault.make_tenant_key(tenant_id, keys)
    return Vault.open(tenant_id, key_id, wrapped, keys)


def test_a_received_request_opens_with_its_own_key_only(keys: Keys) -> None:
    vault = vault_of(TenantId(1), keys)
    sealer, wrapped = vault.request_key("one")
    commitment, sealed = receive(b'{"userName":"ada"}', sealer, "one")
    salt, body = open_received(sealed, vault.unwrap("one", "one", wrapped), "one")
    assert body == b'{"userName":"ada"}'
    assert commitment and len(salt) == 32
    with pytest.raises(InvalidTag):
        open_received(sealed, sealer, "another")


# --- the folder


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask of whoever starts the service."""
    before = os.umask(0)
    try:
        Keys.make(tmp_path / "deep" / "keys")
    finally:
        os.umask(before)
    folder = tmp_path / "deep" / "keys"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == {"master.key": 0o600, "signing.key": 0o600}


def test_keys_that_are_there_are_kept(tmp_path: Path) -> None:
    """Also one of the two alone: it was restored from a backup, or a start was interrupted."""
    Keys.make(tmp_path)
    master = (tmp_path / "master.key").read_text()
    (tmp_path / "signing.key").unlink()
    Keys.make(tmp_path)
    assert (tmp_path / "master.key").read_text() == master
    assert len(bytes.fromhex((tmp_path / "signing.key").read_text())) == 32


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_text("")


def shorten(path: Path) -> None:
    path.write_text(path.read_text()[:40])


def garble(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0 not hexadecimal")


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


ELSEWHERE = "no usable master.key in {}: this ledger's keys are elsewhere; point --keys (or SCIM_LEDGER_KEYS) at their "
ELSEWHERE += "folder or restore it from your backup"
DAMAGED = "master.key in {} is damaged: restore it from your backup"


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [(remove, ELSEWHERE), (garble, ELSEWHERE), (make_a_folder, ELSEWHERE), (empty, DAMAGED), (shorten, DAMAGED)],
)
def test_a_key_that_cannot_be_used_is_told_in_one_sentence(
    damage: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    Keys.make(tmp_path)
    damage(tmp_path / "master.key")
    with pytest.raises(KeysMissing) as told:
        Keys.open(tmp_path)
    assert str(told.value) == sentence.format(tmp_path)


def test_a_place_where_no_keys_can_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(KeysMissing, match=r"^cannot make the keys in .*/keys: File exists$"):
        Keys.make(tmp_path / "keys")


def test_a_process_whose_keys_are_not_this_ledgers_does_not_start(fresh_database: Database, tmp_path: Path) -> None:
    """Nothing may be written that its owner could not read; and no key is made where a ledger has some already."""
    right, wrong, none = (tmp_path / name for name in ("right", "wrong", "none"))
    url = fresh_database.app_url
    prepare(Config(data=tmp_path, keys=right), url)
    Keys.make(wrong)
    with pytest.raises(
        KeysMissing, match=r"^the keys in .*/wrong do not open this ledger: they belong to another one;"
    ):
        prepare(Config(data=tmp_path, keys=wrong), url)
    with pytest.raises(KeysMissing, match=r"^no usable master.key in .*/none: this ledger's keys are elsewhere;"):
        prepare(Config(data=tmp_path, keys=none), url)
    assert not none.exists()
    _, first = prepare(Config(data=tmp_path, keys=right), url)
    assert first is None


def test_a_tenant_without_its_key_is_told_in_one_sentence(fresh_database: Database, keys: Keys) -> None:
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        tenant = create_tenant(connection, "keyless", authority="scim.example.com", keys=keys)
        connection.execute("delete from tenant_keys where tenant_id = %s", (tenant.tenant_id,))
        with pytest.raises(KeysMissing, match=r"^tenant \d+ has no key in the database: restore it from your backup$"):
            Vault.load(connection, tenant.tenant_id, keys)


def test_no_tenant_is_made_with_keys_that_do_not_open_the_others(
    fresh_database: Database, keys: Keys, tmp_path: Path
) -> None:
    """Of two key folders neither would open the whole ledger, and the service would not start again."""
    with psycopg.connect(fresh_database.owner_url, autocommit=True) as connection:
        create_tenant(connection, "first", authority="scim.example.com", keys=keys)
        with pytest.raises(KeysMissing, match="belong to another one"):
            create_tenant(connection, "second", authority="scim.example.com", keys=Keys.make(tmp_path))
        create_tenant(connection, "second", authority="scim.example.com", keys=keys)
