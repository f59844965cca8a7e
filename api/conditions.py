"""If-Match and If-None-Match (RFC 7644 §3.14, RFC 9110 §13.1)."""

from api.answers import etag
from api.exchange import Answer, Exchange
from domain.errors import PreconditionFailed


def check_conditions(exchange: Exchange, version: int) -> None:
    """Raise PreconditionFailed when the client wants to change another version than the present one.

    Compared weakly: the strong comparison of RFC 9110 could never match the weak tags SCIM itself shows.
    """
    _check_if_match(exchange, version)
    unwanted = exchange.headers.get(b"if-none-match")
    if unwanted is not None and _names(unwanted, version):
        raise PreconditionFailed("the resource is at a version that If-None-Match rules out")


def wants_exact_version(exchange: Exchange) -> bool:
    """Whether the client insists on the version it saw, so that even a change that commutes must not slip in."""
    headers = exchange.headers
    return any(headers.get(name, b"*").strip() != b"*" for name in (b"if-match", b"if-none-match"))


def not_modified(exchange: Exchange, version: int | str) -> Answer | None:
    """Return 304 when If-None-Match of a read names the present version. Raises PreconditionFailed for If-Match."""
    _check_if_match(exchange, version)
    header = exchange.headers.get(b"if-none-match")
    if header is None or not _names(header, version):
        return None
    return Answer(304, headers=[(b"etag", etag(version).encode())])


def _check_if_match(exchange: Exchange, version: int | str) -> None:
    header = exchange.headers.get(b"if-match")
    if header is not None and not _names(header, version):
        raise PreconditionFailed


def _names(header: bytes, version: int | str) -> bool:
    if header.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix(b"W/").strip(b'"') for tag in header.split(b","))
    return str(version).encode() in tags
