"""What the ledger is made of: tenants, streams, entries and their cause."""

from datetime import datetime
from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Struct, field

from domain.events import Event

TenantId = NewType("TenantId", int)
Stream = NewType("Stream", str)  # "users/7f3a…", "groups/…", "requests/…", "tokens/…", "imports/…", "tenant"
Version = NewType("Version", int)  # Of a stream, from 1.
Position = NewType("Position", int)  # Of an entry in its tenant's order, from 0 without gaps; the leaf index.


TOKEN_RATE_MIN = 25  # Requests a second that identity providers are promised (Entra's gallery rule).
TOKEN_RATE_MAX = 1_000_000


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """What a tenant may choose; every change is a `SettingChanged` entry."""

    group_names_unique: bool = True  # GR-09: Entra matches groups by displayName.
    group_answer_members_max: Annotated[int, Meta(ge=0, le=100_000)] = (
        100  # DEC-20: a PATCHed group with more members is answered 204.
    )
    repost_inactive: Literal["refuse", "reactivate"] = "refuse"  # A POST of somebody who is there, but inactive.
    manager_id_as_value: bool = False  # RX-15: SCIM 1.1's managerId in templates that were never renewed.
    endpoints_any_case: bool = False  # RX-33: /users for /Users.
    token_requests_per_second: Annotated[int, Meta(ge=0, le=TOKEN_RATE_MAX)] = 0  # Of each token; 0 is no limit.

    def __post_init__(self) -> None:
        if 0 < self.token_requests_per_second < TOKEN_RATE_MIN:
            raise ValueError(f"a limit is at least {TOKEN_RATE_MIN} requests a second, or 0 for none")


class Tenant(Struct, frozen=True):
    """One customer's directory and one ledger.

    slug: its name in URLs and commands. origin: `<authority>/t/<opaque id>`, fixed for ever, in every leaf.
    """

    tenant_id: TenantId
    slug: str
    origin: str
    settings: Settings = Settings()


class Received(Struct, frozen=True, omit_defaults=True):
    """The commitment to a request's body as it was received, passwords struck out.

    body_bytes: its size. commitment: base64 of SHA-256 over tag, salt and body; empty without a body.
    kept: whether the body itself is stored, sealed (64 KiB at most; 4 KiB for refusals).
    """

    body_bytes: int
    commitment: str = ""
    kept: bool = False


class BulkOperation(Struct, frozen=True):
    """Which operation of which bulk request: number `number`, from 1, of the `count` it had."""

    request_id: str
    number: int
    count: int


class Cause(Struct, frozen=True, omit_defaults=True):
    """Who, through which request, with what reason. Holds no attribute values.

    The first entry of a request carries all of it, the others request_id, index and count only.
    index, count: which entry of the request's entries this is, from 0, and how many there are.
    bulk: set when the request is an operation of a bulk request; method, path and status are the operation's then,
    its request_id is the bulk request's but for the last four digits, which are its number.
    received_at: RFC 3339 UTC by the service's clock. elapsed_us: from receipt to append.
    operations: for a PATCH, "op path" of each operation in its order, without values.
    state_version: the version of the resource that the decision saw.
    """

    request_id: str
    index: int = 0
    count: int = 1
    token_id: str = ""
    token_label: str = ""
    profile: str = ""
    client_address: str = ""
    user_agent: str = ""
    correlation: dict[str, str] = field(default_factory=dict)
    method: str = ""
    path: str = ""
    operations: list[str] = field(default_factory=list)
    received_at: str = ""
    elapsed_us: int = 0
    status: int = 0
    scim_type: str = ""
    detail: str = ""
    quirks: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    state_version: int = 0
    received: Received | None = None
    bulk: BulkOperation | None = None


class Erased(Struct, frozen=True):
    """Stands for an event whose key was destroyed: what it said is gone, that it happened is not."""

    event_type: str


class Entry(Struct, frozen=True):
    """An event as recorded.

    subject_id: the person or group it is about (for memberships the member); always an id we issued.
    recorded_at: UTC, whole milliseconds, never decreasing within a tenant.
    """

    tenant_id: TenantId
    position: Position
    stream: Stream
    version: Version
    event_type: str
    subject_id: str
    request_id: str
    recorded_at: datetime
    event: Event | Erased
    cause: Cause | None


Json = dict[str, Any]
