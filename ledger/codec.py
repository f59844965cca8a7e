"""Event and cause ⇄ sealed payload ⇄ entry.

A payload is the UTF-8 JSON object {"type", "revision", "event", "cause"}; sealed together with its salt under the
key of the person it is about, else under the tenant's. The leaf holds its commitment, never the ciphertext: a
ciphertext can be re-made under another key, what was said cannot.
"""

from base64 import b64encode
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from msgspec import Raw, Struct

from domain.events import EVENT_BY_NAME, Event
from domain.upcasts import upcast
from ledger.entry import Cause, Erased
from ledger.randomness import random_bytes
from ledger.vault import SALT_BYTES, Sealer, commit

_encode = msgspec.json.Encoder().encode
_PREFIX = {
    name: f'{{"type":"{name}","revision":{event.revision},"event":'.encode() for name, event in EVENT_BY_NAME.items()
}


class Payload(Struct, frozen=True):
    """A payload as it is read back, its event still to be read by type and revision."""

    type: str
    revision: int
    event: Raw
    cause: Cause


class _AnyEvent(Struct, frozen=True):
    event: dict[str, Any]


_decode_payload = msgspec.json.Decoder(Payload).decode
_decode_event = {name: msgspec.json.Decoder(event).decode for name, event in EVENT_BY_NAME.items()}


class Tampered(Exception):
    """Stored bytes are not what was sealed. Whoever sees this stops."""


def encode_cause(cause: Cause) -> bytes:
    """Encode a cause once for the payloads that carry it."""
    return _encode(cause)


def encode_payload(event: Event, cause: bytes) -> bytes:
    """Return the payload's bytes."""
    return _PREFIX[type(event).__name__] + _encode(event) + b',"cause":' + cause + b"}"


def seal_payload(payload: bytes, sealer: Sealer, origin: str, stream: str) -> tuple[bytes, bytes]:
    """Return (commitment, sealed payload)."""
    salt = random_bytes(SALT_BYTES)
    return commit(salt, payload), sealer.seal(salt + payload, _context(origin, stream))


def open_payload(sealed: bytes, sealer: Sealer, origin: str, stream: str) -> tuple[bytes, bytes]:
    """Return (salt, payload). Raises Tampered when the bytes are not what was sealed for this stream."""
    try:
        plain = sealer.open(sealed, _context(origin, stream))
    except InvalidTag:
        raise Tampered(f"a payload of {stream} does not open with its key") from None
    return plain[:SALT_BYTES], plain[SALT_BYTES:]


def _context(origin: str, stream: str) -> bytes:
    # Binds a ciphertext to its ledger and stream: a row copied elsewhere does not open.
    return f"{origin} {stream}".encode()


def decode_payload(payload: bytes) -> tuple[Event, Cause]:
    """Read a payload's event, at today's revision, and its cause."""
    read = _decode_payload(payload)
    current = EVENT_BY_NAME[read.type]
    if read.revision == current.revision:
        return _decode_event[read.type](read.event), read.cause
    body = upcast(read.type, read.revision, msgspec.json.decode(read.event))
    return msgspec.convert(body, current), read.cause


def read_payload(event_type: str, payload: bytes) -> tuple[Event | Erased, Cause | None]:
    """Read an opened payload; where nothing could be opened, the event comes back as `Erased`, without its cause."""
    return decode_payload(payload) if payload else (Erased(event_type), None)


def text_of(digest: bytes) -> str:
    """Base64, as in leaves and causes."""
    return b64encode(digest).decode()
