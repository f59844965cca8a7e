"""What an explanation and its inferences rest on: facts about one resource, and what happened around them. Pure.

`gathering.py` reads it with bounded queries; a test writes it down.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from domain.events import AttributeChanged, Deactivated
from ledger.entry import Entry
from projections.entra import EntraRow
from projections.story import Change, GroupHeld, NameHeld, RequestTold
from projections.turns import CREATED_INACTIVE, DEACTIVATED, REACTIVATED, turn

BURST_WINDOW = timedelta(minutes=60)
BURST_SHARE = 0.05
BURST_IN_ANY_TENANT = 500  # Entra's own default for accidental deletions: a burst whatever the share.
BURST_MIN = 10  # Fewer users within the hour are no burst, however small the tenant.
OPERATOR = "operator"  # The token id of what was done on the command line.


class Step(Struct, frozen=True):
    """One turn of the story.

    event: Deactivated, Reactivated, UserDeleted, GroupDeleted, ResourceDeleted; UserCreated (or ResourceCreated)
    for somebody created inactive; AttributeChanged where taking `active` away ended a disable.
    explicit: whether the client said so. request: None when what it said was erased.
    """

    event: str
    position: int
    at: datetime
    explicit: bool
    request_id: str
    request: RequestTold | None


class Turns(Struct, frozen=True):
    """When a resource came, went and came back.

    created: its first entry. disabled, deleted, enabled: the last turn of each kind that the present state rests on,
    None without one. every: all of them from the first, oldest first.
    """

    created: Step
    disabled: Step | None = None
    enabled: Step | None = None
    deleted: Step | None = None
    every: list[Step] = []

    @property
    def decisive(self) -> Step | None:
        """What took the access away: the disable, or the deletion of somebody who was active."""
        return self.disabled or self.deleted


class Kin(Struct, frozen=True):
    """Another record that has or had a name of this one.

    kinds: which names: externalId, userName, mail. ended: when it was disabled or deleted, (event, position, time).
    """

    id: str
    kinds: list[str]
    created_position: int
    created_at: datetime
    ended: list[tuple[str, int, datetime]]


class Burst(Struct, frozen=True):
    """Users whom one client disabled or deleted within an hour that the decisive request lies in.

    count: how many, at least when `capped`. population: how many were active when the client's run began; 0 when
    that is not known. positions: of the first and the last.
    """

    count: int
    since: datetime
    until: datetime
    positions: tuple[int, int]
    population: int = 0
    capped: bool = False
    user_ids: list[str] = []


class RunSeen(Struct, frozen=True):
    """A run of the client of the decisive request, in brief. alone: it was about one user, and no group."""

    first_position: int
    last_position: int
    started: datetime
    ended: datetime
    alone: bool
    client_addresses: list[str]
    user_agents: list[str]


class ClientUse(Struct, frozen=True):
    """How the client of the decisive request behaves.

    first_at: when its first run began. runs: its last ones up to that with the decisive request, newest first.
    ledger_began: the ledger's first entry.
    """

    first_at: datetime
    ledger_began: datetime
    runs: list[RunSeen] = []


class Refusal(Struct, frozen=True, omit_defaults=True):
    """A refused request about somebody. repetitions: how many more like an earlier one this stands for; 0 is itself.

    at: when it was refused; of repetitions the last.
    named: it did not reach the resource, but what it sent had a name of it. attempt: it was to delete the resource or
    to set `active`, as far as its operations, or the body of the newest ones, tell.
    """

    position: int
    request_id: str
    at: datetime
    token_id: str
    token_label: str
    client_address: str
    user_agent: str
    method: str
    path: str
    operations: list[str]
    status: int
    scim_type: str
    detail: str
    repetitions: int = 0
    named: bool = False
    attempt: bool = False

    @property
    def requests(self) -> int:
        """How many requests it stands for."""
        return self.repetitions or 1


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything an explanation is made of, read up to a size of the ledger.

    own: changes of the resource, those that matter and the newest, oldest first. names: every one it ever had.
    held: open memberships; held_count: how many, should that be more than are listed. ended: memberships that
    ended, oldest first. refusals: newest first; refusals_capped: there are older ones. holder: who has the value that
    the newest uniqueness refusal was about. last: the newest request about it, whatever came of it.
    silent_put: a PUT that named no `active` and so left it alone. entra: what Entra's own log says.
    asked_at: now, for the one who asks.
    """

    id: str
    resource: str
    resource_type: str
    tenant: str
    size: int
    asked_at: datetime
    turns: Turns
    own: list[Change]
    names: list[NameHeld]
    held: list[GroupHeld] = []
    held_count: int = 0
    ended: list[GroupHeld] = []
    requests: Mapping[str, RequestTold] = {}
    refusals: list[Refusal] = []
    refusals_capped: bool = False
    holder: tuple[str, str] | None = None
    last: Change | None = None
    silent_put: Change | None = None
    burst: Burst | None = None
    use: ClientUse | None = None
    kin: list[Kin] = []
    entra: list[EntraRow] = []

    @property
    def external_id(self) -> str:
        """The last externalId: the id at the identity provider; empty without one."""
        return next((name.value for name in reversed(self.names) if name.kind == "externalId"), "")

    def client_of(self, request_id: str) -> str:
        """Return the token (or OAuth client) that sent a request; empty when that is not known."""
        request = self.requests.get(request_id)
        return request.token_id if request is not None else ""


def turns_of(own: Sequence[Entry], told: Mapping[str, RequestTold]) -> Turns:
    """Return the turns in a resource's entries, the first of which is its creation."""
    disabled = enabled = deleted = None
    every = []
    for entry in own:
        step, turned = _step(entry, told), turn(entry)
        if turned in (CREATED_INACTIVE, DEACTIVATED):
            disabled, enabled = step, None
        elif turned == REACTIVATED or (disabled and not enabled and _is_of_active(entry)):
            enabled = step  # Also by a later change, where the one that unassigned `active` was not opened.
        elif entry.event_type.endswith("Deleted"):
            deleted = step
        elif entry is not own[0]:
            continue
        every.append(step)
    if deleted and enabled:  # Who was re-enabled before a deletion was deleted while active.
        disabled = enabled = None
    return Turns(_step(own[0], told), disabled, enabled, deleted, every)


def _is_of_active(entry: Entry) -> bool:
    return isinstance(entry.event, AttributeChanged) and entry.event.attribute == "active"


def _step(entry: Entry, told: Mapping[str, RequestTold]) -> Step:
    explicit = entry.event.explicit if isinstance(entry.event, Deactivated) else True
    request_id = entry.request_id
    return Step(entry.event_type, entry.position, entry.recorded_at, explicit, request_id, told.get(request_id))


def ended_between(ended: Iterable[GroupHeld], since: datetime, until_position: int) -> list[GroupHeld]:
    """Return the memberships that ended at or after a time and before a position."""
    return [
        each
        for each in ended
        if each.to_at is not None
        and each.to_position is not None
        and each.to_at >= since
        and each.to_position < until_position
    ]
