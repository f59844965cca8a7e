"""The leaf: the bounded JSON record that stands for an entry in the Merkle tree.

`ledger_append` builds it in SQL, because position, time and version exist only under the tenant's lock. Whoever
writes or checks entries by other means builds the same bytes here; a test holds the two together.
Source: facts on the leaf record; keys in their order, no white space, ASCII.
"""

from base64 import b64encode
from datetime import datetime


def leaf_bytes(
    *, origin: str, position: int, recorded_at: datetime, stream: str, version: int, event_type: str, actor: str,
    commitment: bytes,
) -> bytes:  # fmt: skip
    """Return an entry's leaf.

    recorded_at: in UTC, whole milliseconds. actor: a token's id, or operator. commitment: of the payload.
    """
    at = recorded_at.isoformat(timespec="milliseconds")[:23]
    return (
        f'{{"act":"{actor}","at":"{at}Z","log":"{origin}","pc":"{b64encode(commitment).decode()}","seq":{position},'
        f'"sub":"{stream[:1].upper()}{stream[1:]}","sv":{version},"typ":"{event_type}","v":1}}'
    ).encode()
