"""If-Match and If-None-Match (RFC 7644 §3.14, RFC 9110 §13.1)."""

from api.answers import etag
from api.exchange import Answer, Exchange
from domain.errors import PreconditionFailed


def check_if_match(exchange: Exchange, version: int) -> None:
    """Raise PreconditionFailed when If-Match names other versions only.

    Compared weakly: the strong comparison of RFC 9110 could never match the weak tags SCIM itself shows.
    """
    header = exchange.headers.get(b"if-match")
    if header is not None and not _names(header, version):
        raise PreconditionFailed


def wants_exact_version(exchange: Exchange) -> bool:
    """Whether the client insists on the version it saw."""
    header = exchange.headers.get(b"if-match")
    return header is not None and header.strip() != b"*"


def not_modified(exchange: Exchange, version: int | str) -> Answer | None:
    """Return 304 when If-None-Match names the present version."""
    header = exchange.headers.get(b"if-none-match")
    if header is None or not _names(header, version):
        return None
    return Answer(304, headers=[(b"etag", etag(version).encode())])


def _names(header: bytes, version: int | str) -> bool:
    if header.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix(b"W/").strip(b'"') for tag in header.split(b","))
    return str(version).encode() in tags
