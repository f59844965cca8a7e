"""Postgres arrays in their binary form, packed without looking at each element's type.

The append passes some thirty arrays a batch; psycopg's own list dumper finds out what each element is, which costs
more than everything else the client does for a write. Source: array_recv in Postgres, types' binary forms.
"""

import struct
from collections.abc import Iterable, Sequence

from psycopg import adapt, pq
from psycopg.abc import Buffer

_HEADER = struct.Struct("!iiIii")
_NULL = b"\xff\xff\xff\xff"


class PackedArray(bytes):
    """A one-dimensional array, ready to be sent."""

    element_oid = 0
    array_oid = 0


class Int4Array(PackedArray):
    """integer[]"""

    element_oid, array_oid = 23, 1007


class UuidArray(PackedArray):
    """uuid[]"""

    element_oid, array_oid = 2950, 2951


class TextArray(PackedArray):
    """text[]"""

    element_oid, array_oid = 25, 1009


class ByteaArray(PackedArray):
    """bytea[]"""

    element_oid, array_oid = 17, 1001


class BoolArray(PackedArray):
    """boolean[]"""

    element_oid, array_oid = 16, 1000


def literal(values: Iterable[str]) -> str:
    """Values that need no quotes, such as ids, as an array in text: psycopg takes several times as long over a list."""
    return "{" + ",".join(values) + "}"


def _dumper(array_oid: int) -> type[adapt.Dumper]:
    class PackedDumper(adapt.Dumper):
        format = pq.Format.BINARY
        oid = array_oid

        def dump(self, obj: Buffer) -> Buffer:
            return obj

    return PackedDumper


def register(adapters: adapt.AdaptersMap) -> None:
    """Teach a connection to send packed arrays as they are."""
    for packed in (Int4Array, UuidArray, TextArray, ByteaArray, BoolArray):
        adapters.register_dumper(packed, _dumper(packed.array_oid))


def _header(packed: type[PackedArray], count: int) -> bytes:
    return _HEADER.pack(1, 1, packed.element_oid, count, 1)  # One dimension, may hold nulls, counts from 1.


def integers(values: Sequence[int | None]) -> Int4Array:
    """Pack 32-bit integers."""
    if None in values:
        parts = [_NULL if v is None else struct.pack("!ii", 4, v) for v in values]
        return Int4Array(_header(Int4Array, len(values)) + b"".join(parts))
    flat = [4] * (2 * len(values))
    flat[1::2] = values  # type: ignore[assignment]  # No None: asked above.
    return Int4Array(_header(Int4Array, len(values)) + struct.pack(f"!{len(flat)}i", *flat))


def uuids(values: Sequence[str]) -> UuidArray:
    """Pack canonical UUID texts; another text raises ValueError.

    A length that is wrong would shift all that follows: Postgres would take the whole message for a broken one.
    """
    parts = [b"\0\0\0\x10" + bytes.fromhex(v.replace("-", "")) for v in values]
    if set(map(len, parts)) != {20}:
        raise ValueError("not a UUID")
    return UuidArray(_header(UuidArray, len(values)) + b"".join(parts))


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """Pack byte strings."""
    return ByteaArray(_header(ByteaArray, len(values)) + _sized(values))


def texts(values: Sequence[str | None]) -> TextArray:
    """Pack texts; a lone surrogate raises UnicodeEncodeError: it is refused long before."""
    encoded = [None if v is None else v.encode() for v in values]
    return TextArray(_header(TextArray, len(values)) + _sized(encoded))


def _sized(values: Sequence[bytes | None]) -> bytes:
    return b"".join([_NULL if v is None else len(v).to_bytes(4, "big") + v for v in values])


def booleans(values: Sequence[bool | None]) -> BoolArray:
    """Pack booleans."""
    parts = [_NULL if v is None else b"\0\0\0\1\1" if v else b"\0\0\0\1\0" for v in values]
    return BoolArray(_header(BoolArray, len(values)) + b"".join(parts))
