"""A class per refusal: status, scimType, paragraph. Raised where it is known, answered in one place.

`str(error)` is the `detail` for the client's administrator: it names attributes and positions, never values
(RFC 7644 §3.12; the detail is recorded with the cause of a refusal, and that holds no personal data).
"""

from typing import ClassVar


class ScimError(Exception):
    """A request that is refused. Everything a client may do wrong ends in one of the classes below.

    status: of the HTTP answer. scim_type: the keyword of RFC 7644 table 9, or None where it has none.
    headers: what the answer carries besides the error body, such as Allow or Retry-After.
    """

    status: ClassVar[int] = 400
    scim_type: ClassVar[str | None] = None

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.headers: dict[str, str] = headers or {}

    @property
    def detail(self) -> str:
        """What the client's administrator reads."""
        return str(self)


class InvalidSyntax(ScimError):
    """The body is not JSON, or not the message the endpoint expects (RFC 7644 §3.12, table 9)."""

    scim_type = "invalidSyntax"


class InvalidValue(ScimError):
    """A required value is missing, or a value does not fit its attribute (RFC 7644 §3.12, table 9)."""

    scim_type = "invalidValue"


class InvalidFilter(ScimError):
    """The filter is malformed, or compares what cannot be compared (RFC 7644 §3.4.2.2, table 9)."""

    scim_type = "invalidFilter"


class InvalidPath(ScimError):
    """A PATCH path is malformed or leads nowhere (RFC 7644 §3.5.2, table 9)."""

    scim_type = "invalidPath"


class UnknownAttribute(InvalidPath):
    """A well-formed path names an attribute that no schema of the resource type defines.

    A class of its own because the lenient profile ignores such an operation (DEC-27).
    """


class UnknownSubAttribute(InvalidPath):
    """Behind a filter that can be read stands a sub-attribute that the attribute does not have.

    path: what was named, without the filter. A class of its own because the lenient profile ignores it as the key of a
    value without path (RX-03); as a path it is refused.
    """

    def __init__(self, detail: str, path: str) -> None:
        super().__init__(detail)
        self.path = path


class NoTarget(ScimError):
    """A path matches nothing that could be changed, or `remove` has no path (RFC 7644 §3.5.2, table 9)."""

    scim_type = "noTarget"


class Mutability(ScimError):
    """A readOnly or immutable attribute, or the loss of a required one (RFC 7644 §3.5.2, table 9)."""

    scim_type = "mutability"


class TooMany(ScimError):
    """The query would return more than we are willing to read (RFC 7644 §3.4.2.1, table 9)."""

    scim_type = "tooMany"


class InvalidCursor(ScimError):
    """The cursor is malformed, forged, or belongs to another query (RFC 9865 §2.1)."""

    scim_type = "invalidCursor"


class ExpiredCursor(ScimError):
    """The cursor is older than `cursorTimeout` (RFC 9865 §2.1)."""

    scim_type = "expiredCursor"


class InvalidCount(ScimError):
    """`count` is no number, or changed between two pages of one cursor (RFC 9865 §2.1)."""

    scim_type = "invalidCount"


class UnsupportedVersion(ScimError):
    """The URL asks for a protocol version we do not speak (RFC 7644 §3.13, table 9)."""

    scim_type = "invalidVers"

    def __init__(self, detail: str = "only SCIM protocol version v2 is offered") -> None:
        super().__init__(detail)


class Unauthenticated(ScimError):
    """No valid bearer token (RFC 7644 §2; RFC 6750 §3).

    presented: whether there was a token at all; only then the challenge says why it failed.
    """

    status = 401

    def __init__(self, detail: str = "a valid bearer token is required", *, presented: bool = False) -> None:
        challenge = 'Bearer realm="scim-ledger"' + (', error="invalid_token"' if presented else "")
        super().__init__(detail, {"WWW-Authenticate": challenge})


class Forbidden(ScimError):
    """Authenticated, but the token's scopes do not allow it (RFC 7644 §3.12)."""

    status = 403

    def __init__(self, detail: str = "the token does not allow this") -> None:
        super().__init__(detail)


class Sensitive(Forbidden):
    """Sensitive data in a request URI (RFC 7644 §7.5.2, erratum 6893)."""

    scim_type = "sensitive"


class NoSuchResource(ScimError):
    """Nothing is there: never was, is deleted, or belongs to another tenant (RFC 7644 §3.6, §3.12)."""

    status = 404

    def __init__(self, detail: str = "there is no such resource") -> None:
        super().__init__(detail)


class MethodNotAllowed(ScimError):
    """The endpoint does not have this method (RFC 9110 §15.5.6).

    allow: the methods it has, in the order in which the Allow header lists them.
    """

    status = 405

    def __init__(self, *allow: str) -> None:
        super().__init__("this endpoint offers " + ", ".join(allow), {"Allow": ", ".join(allow)})


class NotUnique(ScimError):
    """Another resource of this tenant already holds the value (RFC 7644 §3.12, table 9)."""

    status = 409
    scim_type = "uniqueness"

    def __init__(self, attribute: str, detail: str | None = None) -> None:
        super().__init__(detail or f"{attribute} is already in use")
        self.attribute = attribute


class Conflict(ScimError):
    """The request contradicts the present state in another way than uniqueness (RFC 7644 §3.7.1)."""

    status = 409


class PreconditionFailed(ScimError):
    """If-Match names another version than the present one (RFC 7644 §3.14)."""

    status = 412

    def __init__(self, detail: str = "the resource has changed since that version") -> None:
        super().__init__(detail)


class PayloadTooLarge(ScimError):
    """The body exceeds the limit, which the detail names (RFC 7644 §3.7.4)."""

    status = 413


class UriTooLong(ScimError):
    """The request URI exceeds the limit; `.search` takes long filters (RFC 9110 §15.5.15)."""

    status = 414


class UnsupportedMediaType(ScimError):
    """The body is neither application/scim+json nor application/json (RFC 7644 §3.8)."""

    status = 415

    def __init__(self, detail: str = "send application/scim+json") -> None:
        super().__init__(detail)


class TooManyRequests(ScimError):
    """The client sends faster than it may (RFC 6585 §4). retry_after_s: seconds to wait."""

    status = 429

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests, try again later", {"Retry-After": str(retry_after_s)})


class HeadTooLarge(ScimError):
    """The request line and headers exceed the limit (RFC 6585 §5)."""

    status = 431

    def __init__(self, detail: str = "the headers of the request are too large") -> None:
        super().__init__(detail)


class NotOffered(ScimError):
    """A SCIM feature that is switched off here (RFC 7644 §3.12)."""

    status = 501


class Unavailable(ScimError):
    """The service cannot answer now and says when to ask again. retry_after_s: seconds to wait."""

    status = 503

    def __init__(self, retry_after_s: int = 5, detail: str = "temporarily unavailable, try again") -> None:
        super().__init__(detail, {"Retry-After": str(retry_after_s)})


class OutdatedSchema(Unavailable):
    """What is stored has an attribute that this process does not know yet: its tenant has just declared it."""

    def __init__(self) -> None:
        super().__init__(1, "the schemas of the tenant have just changed, try again")
