"""Cursors of RFC 9865: where a walk through a list stands, sealed, and nothing kept here.

A cursor says which question it belongs to, behind which resource to go on and how long it may be used. It grants
nothing: every page is asked for with a token. It is sealed under a key of the tenant's, so any worker can go on from
it, another tenant's does not open, and a name that it holds can be read by nobody in a URL.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from msgspec import Struct

from domain.errors import ExpiredCursor, InvalidCursor
from ledger.vault import Vault
from projections.ordering import Mark

TIMEOUT_S = 3_600  # From one page to the next; a walk of any length stays alive.
_DIGEST_BYTES = 16
_CONTEXT = b"scim-ledger/cursor/v1"
_INVALID = "the cursor is not valid for this query; begin again with an empty one"


class Cursor(Struct, frozen=True, array_like=True):
    """What a client carries from page to page.

    question: digest of what was asked. mark: behind what to go on. count: resources a page. total: matches when the
    walk began. expires_at: seconds since 1970.
    """

    question: bytes
    mark: Mark
    count: int
    total: int
    expires_at: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Cursor).decode


def digest(*asked: str | None) -> bytes:
    """Return what tells one question from another."""
    return sha256(_encode(asked)).digest()[:_DIGEST_BYTES]


def seal(cursor: Cursor, vault: Vault) -> str:
    """Return the cursor as a client gets it: unreserved URI characters only (CU-04)."""
    return _text(vault.cursor_key.seal(_encode(cursor), _CONTEXT))


def unseal(text: str, vault: Vault, *, question: bytes, now_s: float) -> Cursor:
    """Read a cursor.

    Raises InvalidCursor, in the same words whether it is damaged, forged, another tenant's or another question's
    (CU-06), and ExpiredCursor.
    """
    try:
        sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        cursor = _decode(vault.cursor_key.open(sealed, _CONTEXT))
    except (ValueError, InvalidTag):  # msgspec's errors are ValueErrors.
        raise InvalidCursor(_INVALID) from None
    if text != _text(sealed) or cursor.question != question:  # Decoding forgives what encoding never writes.
        raise InvalidCursor(_INVALID)
    if cursor.expires_at <= now_s:
        raise ExpiredCursor(f"the cursor is older than {TIMEOUT_S} seconds; begin again with an empty one")
    return cursor


def _text(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()
