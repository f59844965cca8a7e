"""What `serve` tells its workers. Apart from the worker, whose imports `serve` has no use for."""

import msgspec

from ledger.config import Config


class WorkerDescription(msgspec.Struct, frozen=True):
    """What a worker needs to know. database_url: for the service's role."""

    config: Config
    database_url: str


def describe(config: Config, database_url: str) -> bytes:
    """Return the line that a worker waits for."""
    return msgspec.json.encode(WorkerDescription(config, database_url), enc_hook=str) + b"\n"


def read_description(line: bytes) -> WorkerDescription:
    """Read that line."""
    return msgspec.json.decode(line, type=WorkerDescription, dec_hook=lambda kind, text: kind(text))
