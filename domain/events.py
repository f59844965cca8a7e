"""Every event ever recorded, with its revision; nothing else.

Names and shapes are storage: a change means a new revision here and an upcast in `upcasts.py`, and every
revision ever written has a golden file in tests/golden/events. Times, versions and causes are not part of an
event: they belong to the entry that records it.
"""

from typing import Any, ClassVar

from msgspec import Struct


class Event(Struct, frozen=True, forbid_unknown_fields=True):
    """A fact of the domain, past tense. `revision` is the shape in which it is written today."""

    revision: ClassVar[int] = 1


class UserCreated(Event, frozen=True):
    """A user exists from here on, with these attributes.

    resource: attributes by canonical name, extension attributes below their schema URI (RFC 7643 §3.3);
    without id, schemas, meta, groups and password.
    """

    user_id: str
    resource: dict[str, Any]


class GroupCreated(Event, frozen=True):
    """A group exists from here on; its members follow as `MembershipAdded`.

    resource: as in `UserCreated`, and without members.
    """

    group_id: str
    resource: dict[str, Any]


class ResourceCreated(Event, frozen=True):
    """A resource of a type that its tenant declared exists from here on.

    resource_type: the type's name. resource: as in `UserCreated`.
    """

    resource_type: str
    resource_id: str
    resource: dict[str, Any]


class AttributeChanged(Event, frozen=True):
    """One attribute of a resource took a new value.

    attribute: the canonical top-level name, or schema URI, colon and name for an extension attribute.
    before, after: whole values; None while unassigned. Of what is never returned, such as `password`, both are
    None: it is a receipt.
    Source: RFC 7643 §2.1 (names), §2.5 (unassigned values).
    """

    attribute: str
    before: Any
    after: Any


class Deactivated(Event, frozen=True):
    """`active` became false.

    before: True, or None when it was unassigned.
    explicit: whether the client said so. A missing `active` never deactivates.
    """

    before: bool | None = True
    explicit: bool = True


class Reactivated(Event, frozen=True):
    """`active` became true after it was false."""


class UserDeleted(Event, frozen=True):
    """The user is gone from SCIM. Its memberships end with `MembershipRemoved` of the same request."""


class ResourceDeleted(Event, frozen=True):
    """A resource of a type that its tenant declared is gone from SCIM."""


class GroupDeleted(Event, frozen=True):
    """The group is gone from SCIM, and every open membership with it: no event for each."""


class MembershipAdded(Event, frozen=True):
    """A user or group became a direct member of the group whose stream this is.

    member_type: "User" or "Group".
    """

    member_id: str
    member_type: str


class MembershipRemoved(Event, frozen=True):
    """A direct member left the group whose stream this is.

    explicit: False when no operation named the member: a PUT or a replaced list that left it out, a
    remove-all, or the deletion of the member itself.
    """

    member_id: str
    explicit: bool = True


class RequestUnchanged(Event, frozen=True):
    """A well-formed request changed nothing: Entra repeats such a PATCH every cycle."""


class RequestRefused(Event, frozen=True):
    """A request that reached its tenant was refused; status, scimType and detail are in the cause.

    repetitions: how many further identical refusals this entry stands for; 0 for the first one.
    """

    repetitions: int = 0


class TokenIssued(Event, frozen=True):
    """A bearer token became valid. The secret is never recorded.

    expires_at: RFC 3339 UTC, or None when it does not expire. user_id: whose `/Me` it is, or None.
    """

    revision: ClassVar[int] = 2

    token_id: str
    label: str
    scopes: list[str]
    profile: str
    expires_at: str | None = None
    user_id: str | None = None


class TokenRevoked(Event, frozen=True):
    """A bearer token stopped being valid before its expiry."""

    token_id: str


class ClientRegistered(Event, frozen=True):
    """An OAuth client may exist: with a secret it is given access tokens of these scopes (RFC 6749 §4.4)."""

    client_id: str
    label: str
    scopes: list[str]
    profile: str


class ClientSecretIssued(Event, frozen=True):
    """A secret of the client whose stream this is became valid. The secret is never recorded.

    expires_at: RFC 3339 UTC, or None when it does not expire.
    """

    secret_id: str
    expires_at: str | None = None


class ClientSecretRevoked(Event, frozen=True):
    """A secret stopped being valid before its expiry, and every access token that was given for it."""

    secret_id: str


class ClientRevoked(Event, frozen=True):
    """The client whose stream this is may do nothing any more: its secrets and access tokens end here."""


class SettingChanged(Event, frozen=True):
    """A tenant setting took a new value."""

    setting: str
    before: Any
    after: Any


class SchemaDeclared(Event, frozen=True):
    """The tenant has a schema of its own, or another revision of one.

    schema: as /Schemas publishes it (RFC 7643 §7), without meta.
    """

    schema: dict[str, Any]


class ResourceTypeDeclared(Event, frozen=True):
    """The tenant has a resource type of its own, or a type has further extensions.

    resource_type: as /ResourceTypes publishes it (RFC 7643 §6), without meta.
    """

    resource_type: dict[str, Any]


class ProvisioningLogImported(Event, frozen=True):
    """Rows of an identity provider's own provisioning log were taken in. What they say is not part of the ledger.

    sha256: of each file, in hex, in the order given. rows: in the files, each id once. rows_new: not known before.
    from_at, to_at: RFC 3339 UTC, of the first and last row by the identity provider's clock; None without rows.
    """

    import_id: str
    sha256: list[str]
    rows: int
    rows_new: int
    from_at: str | None = None
    to_at: str | None = None


class ReportMade(Event, frozen=True):
    """A report was given out, or begun and broken off: who took which list, and what it was.

    report, report_version: which kind, and the version of its columns and rules. parameters: as asked, people by id.
    first_position, last_position: what happened is of entries behind the first (-1: from the beginning), and all is as
    after the last. rows_*: how many were looked at, fitted, and were put out. sha256: in hex, of the rows as they were
    put out (of a workbook, of its rows as CSV). complete: False when it broke off. reconciled: whether its figures
    agreed with each other.
    """

    report_id: str
    report: str
    report_version: int
    parameters: dict[str, Any]
    format: str
    first_position: int
    last_position: int
    rows_scanned: int
    rows_matched: int
    rows_output: int
    sha256: str
    complete: bool = True
    reconciled: bool = True


UserEvent = UserCreated | ResourceCreated | AttributeChanged | Deactivated | Reactivated | UserDeleted | ResourceDeleted
GroupEvent = GroupCreated | AttributeChanged | MembershipAdded | MembershipRemoved | GroupDeleted
RequestEvent = RequestUnchanged | RequestRefused
ClientEvent = ClientRegistered | ClientSecretIssued | ClientSecretRevoked | ClientRevoked
Declared = SchemaDeclared | ResourceTypeDeclared
TenantEvent = (
    TokenIssued | TokenRevoked | SettingChanged | ClientEvent | Declared | ProvisioningLogImported | ReportMade
)

EVENTS: tuple[type[Event], ...] = (
    UserCreated,
    GroupCreated,
    AttributeChanged,
    Deactivated,
    Reactivated,
    UserDeleted,
    GroupDeleted,
    MembershipAdded,
    MembershipRemoved,
    RequestUnchanged,
    RequestRefused,
    TokenIssued,
    TokenRevoked,
    SettingChanged,
    ClientRegistered,
    ClientSecretIssued,
    ClientSecretRevoked,
    ClientRevoked,
    ResourceCreated,
    ResourceDeleted,
    SchemaDeclared,
    ResourceTypeDeclared,
    ProvisioningLogImported,
    ReportMade,
)
EVENT_BY_NAME: dict[str, type[Event]] = {event.__name__: event for event in EVENTS}
