"""Random bytes for keys, salts, nonces and ids, from the system a few thousand at a time.

A write takes ten draws; one system call each would be a tenth of what it costs.
"""

import os
import threading

_POOL_BYTES = 16_384


class _Pool(threading.local):
    """Bytes of the system's generator that nobody has had yet; each thread has its own."""

    bytes = b""
    at = 0

    def empty(self) -> None:
        """Forget what is left: a forked process must not hand out the same bytes as its parent."""
        self.bytes, self.at = b"", 0


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.empty)


def random_bytes(count: int) -> bytes:
    """Return up to 16 KiB of bytes fit for keys."""
    pool = _pool
    at = pool.at
    taken = pool.bytes[at : at + count]
    if len(taken) < count:
        pool.bytes, pool.at = os.urandom(_POOL_BYTES), count
        return pool.bytes[:count]
    pool.at = at + count
    return taken


def random_id() -> str:
    """Return a random UUID (version 4), in its canonical lower-case text."""
    digits = bytearray(random_bytes(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
