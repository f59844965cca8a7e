"""Keys: one for the deployment, one a tenant, one a person, one a received request; seal, open, wrap.

The master key and the signing key live in a folder outside the database; everything else is wrapped by the key
above it and stored beside what it protects. Whoever loses the folder loses every payload: back it up.
"""

import contextlib
import hmac
import os
import secrets
import stat
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.entry import TenantId
from ledger.randomness import random_bytes, random_id

KEY_BYTES = 32
SALT_BYTES = 32
_NONCE_BYTES = 12
_ENVELOPE = b"\x01\x01"  # Envelope version 1, algorithm 1: AES-256-GCM with a random nonce.
_CURSORS = b"scim-ledger/cursors/v1"
_COMMITMENT_TAG = b"scim-ledger/payload/v1\n"


class KeysMissing(Exception):
    """The key folder does not hold the keys of this ledger; nothing may be served or written."""


class Sealer:
    """One symmetric key in use. `key_id` names it in entries; `wrapped` is what the database may hold."""

    __slots__ = ("_cipher", "key_id")

    def __init__(self, key_id: str, key: bytes) -> None:
        self.key_id = key_id
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt; `context` binds the result to its place and has to be given again to open it."""
        nonce = random_bytes(_NONCE_BYTES)
        return _ENVELOPE + nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt; raises InvalidTag when key, context or bytes are not those of `seal`."""
        if sealed[:2] != _ENVELOPE:
            raise InvalidTag
        return self._cipher.decrypt(sealed[2:14], sealed[14:], context)


def commit(salt: bytes, payload: bytes) -> bytes:
    """Return the 32-byte salted commitment that stands for a payload in its leaf.

    Source: facts on the leaf record: SHA-256 over a domain tag, 32 random bytes and the payload.
    """
    return sha256(_COMMITMENT_TAG + salt + payload).digest()


class Keys:
    """The key folder: `master.key` wraps tenants' keys, `signing.key` is the Ed25519 seed of checkpoints."""

    def __init__(self, folder: Path, master: bytes) -> None:
        self.folder = folder
        self.master = Sealer("master", master)

    @classmethod
    def open(cls, folder: Path) -> "Keys":
        """Read an existing folder. Raises KeysMissing with what to do."""
        try:
            master = bytes.fromhex((folder / "master.key").read_text().strip())
        except (OSError, ValueError):
            raise KeysMissing(
                f"no usable master.key in {folder}: this ledger's keys are elsewhere; "
                "point --keys (or SCIM_LEDGER_KEYS) at their folder or restore it from your backup"
            ) from None
        if len(master) != KEY_BYTES:
            raise KeysMissing(f"master.key in {folder} is damaged: restore it from your backup")
        return cls(folder, master)

    @classmethod
    def make(cls, folder: Path) -> "Keys":
        """Make the folder's keys; only ever called on an empty ledger. Existing files are kept. Raises KeysMissing."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in ("master.key", "signing.key"):
                _write_secret(folder / name, secrets.token_hex(KEY_BYTES))
        except OSError as failure:
            raise KeysMissing(f"cannot make the keys in {folder}: {failure.strerror}") from None
        return cls.open(folder)


def _write_secret(path: Path, text: str) -> None:
    """Create a file of mode 0600, whole or not at all, and wait until the disk has it; leave an existing one alone."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)  # Unlike a rename this replaces nothing.
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder: a key that a power cut takes away opens no payload."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Vault:
    """A tenant's key, and through it the keys of its people and requests.

    cursor_key: derived from the tenant's, for what clients carry from one page of a list to the next.
    """

    def __init__(self, tenant_id: TenantId, key_id: str, key: bytes) -> None:
        self.tenant_id = tenant_id
        self.tenant_key = Sealer(key_id, key)
        self.cursor_key = Sealer("cursors", hmac.digest(key, _CURSORS, "sha256"))

    @staticmethod
    def make_tenant_key(tenant_id: TenantId, keys: Keys) -> tuple[str, bytes]:
        """Return (key id, wrapped key) for a new tenant."""
        key_id = random_id()
        return key_id, keys.master.seal(random_bytes(KEY_BYTES), _tenant_context(tenant_id, key_id))

    @classmethod
    def open(cls, tenant_id: TenantId, key_id: str, wrapped: bytes, keys: Keys) -> "Vault":
        """Unwrap a tenant's key. Raises KeysMissing when the folder holds another ledger's keys."""
        try:
            key = keys.master.open(wrapped, _tenant_context(tenant_id, key_id))
        except InvalidTag:
            raise KeysMissing(
                f"the keys in {keys.folder} do not open this ledger: they belong to another one; "
                "point --keys (or SCIM_LEDGER_KEYS) at the right folder"
            ) from None
        return cls(tenant_id, key_id, key)

    @classmethod
    def load(cls, connection: psycopg.Connection[tuple[object, ...]], tenant_id: TenantId, keys: Keys) -> "Vault":
        """Read and unwrap a tenant's key."""
        row = connection.execute(
            "select key_id::text, wrapped from tenant_keys where tenant_id = %s", (tenant_id,)
        ).fetchone()
        if row is None:
            raise KeysMissing(f"tenant {tenant_id} has no key in the database: restore it from your backup")
        return cls.open(tenant_id, str(row[0]), bytes(row[1]), keys)  # type: ignore[call-overload]

    def new_key(self, owner: str) -> tuple[Sealer, bytes]:
        """Make a key for a person or a request; returns it and its wrapped form.

        owner: the id of the subject or request, which the wrapping is bound to.
        """
        key = random_bytes(KEY_BYTES)
        key_id = random_id()
        return Sealer(key_id, key), self.tenant_key.seal(key, owner.encode())

    def request_key(self, request_id: str) -> tuple[Sealer, bytes]:
        """Make the key of a received request; its id is the request's."""
        key = random_bytes(KEY_BYTES)
        return Sealer(request_id, key), self.tenant_key.seal(key, request_id.encode())

    def unwrap(self, owner: str, key_id: str, wrapped: bytes) -> Sealer:
        """Bring a wrapped key back into use."""
        return Sealer(key_id, self.tenant_key.open(wrapped, owner.encode()))


def _tenant_context(tenant_id: TenantId, key_id: str) -> bytes:
    return f"tenant {tenant_id} {key_id}".encode()


def receive(body: bytes, sealer: Sealer, request_id: str) -> tuple[str, bytes]:
    """Seal a request's body as it was received; returns (base64 commitment, sealed salt and body)."""
    salt = random_bytes(SALT_BYTES)
    return b64encode(commit(salt, body)).decode(), sealer.seal(salt + body, request_id.encode())


def open_received(sealed: bytes, sealer: Sealer, request_id: str) -> tuple[bytes, bytes]:
    """Return (salt, body) of a sealed received request."""
    plain = sealer.open(sealed, request_id.encode())
    return plain[:SALT_BYTES], plain[SALT_BYTES:]
