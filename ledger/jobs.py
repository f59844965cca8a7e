"""What one request wants written: entries, the directory rows they make, and what the decision rested on.

A job's preconditions are checked under the tenant's lock by `ledger_append`; until then they are only claims. The
same claims tell which jobs may share a batch: those that could not decide differently for each other's sake.
"""

from collections.abc import Iterator
from enum import Enum

from msgspec import Struct

from domain.events import Event


class UserRow(Struct):
    """A row of `users`, but for what the append fills in (positions, times).

    name_key: of users only; resources of a tenant's own type have none.
    search, terms: None where a change leaves all that filters and names go by as it is; then the keys are None as well.
    """

    id: str
    version: int
    name_key: bytes | None
    external_id_key: bytes | None
    active: bool | None
    document: bytes
    search: str | None
    terms: str | None  # A Postgres array literal.
    resource_type: str = "User"


class GroupRow(Struct):
    """A row of `groups`, but for what the append fills in (positions, times, the version of a changed one)."""

    id: str
    version: int
    name_key: bytes
    unique_name_key: bytes | None
    external_id_key: bytes | None
    document: bytes
    search: str
    terms: str
    member_count: int = 0  # Of a new one.
    attribute_version: int = 1  # Of a new one: an operation of the same request may have changed it since.


class NewEntry(Struct):
    """An entry to be. `version` is absolute, or counts from the group's version when `bumps` is set.

    request_id: of an operation of a bulk request; empty for the job's own.
    """

    stream: str
    version: int
    event: Event
    subject_id: str
    commitment: bytes
    payload: bytes
    key_id: str
    bumps: bool = False
    request_id: str = ""

    @property
    def event_type(self) -> str:
        """Its short name, as stored."""
        return type(self.event).__name__


class SubjectKey(Struct):
    """A new person's wrapped key."""

    subject_id: str
    key_id: str
    wrapped: bytes


class ReceivedRequest(Struct):
    """A request's body, sealed under a key of its own, and whom it names."""

    request_id: str
    wrapped: bytes
    sealed: bytes
    subjects: list[str]


class Membership(Struct):
    """An edge to open or close, made by the entry with this index in the job.

    until: of an edge to open, the entry of the same job that closes it again.
    """

    group_id: str
    member_id: str
    member_type: str
    entry: int
    until: int | None = None


class Job:
    """One request's write. All of it is committed, or none."""

    __slots__ = (
        "actor", "changed_groups", "changed_users", "closed", "edges", "entries", "existing", "gone_groups",
        "gone_users", "groups_at", "held", "left", "names", "new_groups", "new_users", "opened", "received", "released",
        "request_id", "status", "streams_at", "subject_keys", "tenant_id", "users_at", "vacating", "values",
    )  # fmt: skip

    def __init__(self, tenant_id: int, request_id: str, actor: str) -> None:
        self.tenant_id = tenant_id
        self.request_id = request_id
        self.actor = actor  # Token id, or "operator": opaque, it goes into the leaf.
        self.status = 0  # What the request is answered, where it is one.
        self.entries: list[NewEntry] = []
        self.subject_keys: list[SubjectKey] = []
        self.received: tuple[ReceivedRequest, ...] = ()  # Several of a bulk request: refused operations have their own.
        # What the decision rested on.
        self.users_at: list[tuple[str, int]] = []  # (id, version)
        self.groups_at: list[tuple[str, int, int | None]] = []  # (id, attribute version, exact version)
        self.existing: list[tuple[str, bool]] = []  # (id, is a group)
        self.edges: list[tuple[str, str, bool]] = []  # (group, member, open)
        self.held: list[tuple[str, int]] = []  # (member, how many open memberships)
        self.names: list[tuple[bytes, str, bool]] = []  # (key, who may hold it, is a group's)
        self.left: list[bytes] = []  # Keys of externalIds that no inactive user may have.
        self.values: list[tuple[bytes, str]] = []  # (key of a unique value, who holds it from then on)
        self.streams_at: list[tuple[str, int]] = []  # (stream, version)
        # Directory rows; the numbers are indexes into `entries`.
        self.released: list[bytes] = []  # Keys of unique values that nobody holds any longer.
        self.new_users: list[tuple[UserRow, int, int]] = []  # (row, created by, last changed by)
        self.changed_users: list[tuple[UserRow, int]] = []
        self.gone_users: list[str] = []
        self.new_groups: list[tuple[GroupRow, int, int]] = []
        self.changed_groups: list[tuple[GroupRow, int]] = []  # (row, its attribute version from the group's base)
        self.gone_groups: list[tuple[str, int]] = []
        self.opened: list[Membership] = []
        self.closed: list[Membership] = []
        # Changed resources whose name another changed one of this job takes: no order of updates suits a swap.
        self.vacating: list[str] = []

    def touches(self) -> Iterator[tuple[object, "Touch"]]:
        """What this job's decision read and what its rows change, for choosing a batch's jobs."""
        for user_id, _ in self.users_at:
            yield ("attributes", user_id), Touch.CHANGES
        for group_id, _, exact in self.groups_at:
            yield ("existence", group_id), Touch.READS
            yield ("attributes", group_id), Touch.CHANGES
            if exact is not None:
                yield ("members", group_id), Touch.CHANGES
        for resource_id, _ in self.existing:
            yield ("existence", resource_id), Touch.READS
        for resource_id in self.gone_users:
            yield ("existence", resource_id), Touch.CHANGES
        for resource_id, _ in self.gone_groups:
            yield ("existence", resource_id), Touch.CHANGES
        for group_id, member_id, _ in self.edges:
            yield ("edge", group_id, member_id), Touch.CHANGES
        for edge in (*self.opened, *self.closed):
            yield ("existence", edge.group_id), Touch.READS
            yield ("members", edge.group_id), Touch.ADDS
            yield ("held", edge.member_id), Touch.ADDS
        for member_id, _ in self.held:
            yield ("held", member_id), Touch.CHANGES
        for key, _, is_group in self.names:
            yield ("name", key, is_group), Touch.CHANGES
        for key, _ in self.values:
            yield ("value", key), Touch.CHANGES
        for key in self.released:
            yield ("value", key), Touch.CHANGES
        for stream, _ in self.streams_at:
            yield ("stream", stream), Touch.CHANGES


class Touch(Enum):
    """How a job touches a thing. Two jobs share a batch if for each thing both read it or both add to it."""

    READS = "reads"
    ADDS = "adds"
    CHANGES = "changes"


def batch_of(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """Split waiting jobs, in order, into those that can be one batch and those that wait for the next.

    Jobs that were decided on the same state of a thing cannot both hold; the later one would fail under the
    lock anyhow, and fail the batch's call with it. In the next batch it is checked against what is then true.
    """
    touched: dict[object, Touch] = {}
    together, later = [], []
    for job in jobs:
        touches = list(job.touches())
        mine: dict[object, Touch] = {}
        for thing, touch in touches:  # Within a job the strongest touch of a thing counts.
            known = mine.get(thing)
            mine[thing] = touch if known is None or known is touch else Touch.CHANGES
        if any(
            (other := touched.get(thing)) is not None and (other is not touch or touch is Touch.CHANGES)
            for thing, touch in mine.items()
        ):
            later.append(job)
            continue
        touched.update(mine)
        together.append(job)
    return together, later
