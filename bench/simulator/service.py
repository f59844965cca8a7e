"""The service without HTTP and database: what a request means is decided by the domain, on state kept in memory.

It stands for api/ only in what is no decision: which resource, which names are taken, which edges are open. What
follows from a request, and every refusal, comes from the domain's own functions.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct

from bench.simulator.company import uuid_text
from bench.simulator.writing import Filling, Happened, IssuedToken
from domain import groups, users
from domain.errors import NoSuchResource, NotUnique, ScimError
from domain.events import (
    Event,
    GroupDeleted,
    MembershipAdded,
    MembershipRemoved,
    RequestRefused,
    RequestUnchanged,
    SettingChanged,
    TokenIssued,
    TokenRevoked,
)
from domain.groups import Group
from domain.members import MemberChange, replaced_by
from domain.patches import apply_patch, read_patch
from domain.profiles import LENIENT
from domain.resources import display_name_key, name_key, read_resource
from domain.schemas import GROUP, USER
from domain.users import User
from ledger.entry import Cause
from ledger.tenants import OPERATOR, opaque_id
from ledger.vault import Sealer
from projections.wanted import name_ids

KEPT_OF = 50  # Of so many requests that nothing is planted in, the body of one is kept.
_encode = msgspec.json.Encoder().encode


class Request(Struct):
    """A request as it arrives. path: below the SCIM base. planted: its body is kept in any case."""

    at: datetime
    token: IssuedToken
    method: str
    path: str
    body: dict[str, Any] | None
    address: str
    user_agent: str
    correlation: dict[str, str] = {}
    planted: bool = False


class Answer(Struct, frozen=True):
    """What became of a request: status, the resource's id, and the entries it left."""

    status: int
    resource_id: str
    request_id: str
    at: datetime
    position: int
    events: tuple[Event, ...]


class _Outcome(Struct):
    """What a request comes to, before it is written."""

    status: int
    resource_id: str
    happened: list[Happened] = []
    state_version: int = 0
    quirks: Sequence[str] = ()
    ignored: Sequence[str] = ()
    subjects: list[str] = []


class Counts(Struct):
    """How many events of each type, and what the directory holds, at a moment."""

    at: datetime
    size: int
    active: int
    inactive: int
    groups: int
    memberships: int
    events: dict[str, int]


class Service:
    """One tenant. clock: of the newest entry; no request is answered before it."""

    def __init__(self, filling: Filling, clock: datetime, seed: int) -> None:
        self.filling, self.clock = filling, clock
        self._chance = random.Random(f"{seed} service")
        self._users: dict[str, User] = {}
        self._sealers: dict[str, Sealer] = {}
        self._names: dict[bytes, str] = {}
        self._groups: dict[str, Group] = {}
        self._group_names: dict[bytes, str] = {}
        self._members: dict[str, dict[str, bool]] = {}
        self._held: dict[str, dict[str, bool]] = {}
        self._counted: Counter[str] = Counter()
        self._operations: list[str] = []  # Of the PATCH at hand, also when it is refused.
        self._settings_changed = 0
        self._requests = 0

    # What clients ask first, as GET.

    def find_user(self, user_name: str) -> str:
        """Return the id of the user with this userName; empty when there is none."""
        return self._names.get(name_key(user_name), "")

    def find_group(self, name: str) -> str:
        """Return the id of the group of this name; empty when there is none."""
        return self._group_names.get(display_name_key(name), "")

    def user(self, user_id: str) -> User:
        """Return a user that is there."""
        return self._users[user_id]

    def members(self, group_id: str) -> list[str]:
        """Return a group's members, in the order in which they came."""
        return list(self._members[group_id])

    def counts(self) -> Counts:
        """Count what is there now."""
        inactive = sum(user.active is False for user in self._users.values())
        return Counts(
            self.clock, self.filling.position, len(self._users) - inactive, inactive, len(self._groups),
            sum(map(len, self._members.values())), dict(self._counted),
        )  # fmt: skip

    # What operators do.

    def issue_token(self, label: str, at: datetime) -> IssuedToken:
        """Issue a token on the command line."""
        token = IssuedToken(self._new_id(), label, at)
        event = TokenIssued(token.token_id, label, ["scim"], "lenient")
        token.created_at = self._operate(at, event, f"tokens/{token.token_id}", 1, token.token_id).at
        self.filling.tokens[label] = token
        return token

    def revoke_token(self, label: str, at: datetime) -> Answer:
        """Revoke it again."""
        token = self.filling.tokens[label]
        stream = f"tokens/{token.token_id}"
        answer = self._operate(at, TokenRevoked(token.token_id), stream, 2, token.token_id)
        token.revoked_at = answer.at
        return answer

    def change_setting(self, setting: str, value: Any, at: datetime) -> Answer:
        """Change a setting of the tenant."""
        event = SettingChanged(setting, getattr(self.filling.settings, setting), value)
        self.filling.settings = msgspec.structs.replace(self.filling.settings, **{setting: value})
        self._settings_changed += 1
        return self._operate(at, event, "tenant", self._settings_changed, opaque_id(self.filling.tenant))

    def _operate(self, at: datetime, event: Event, stream: str, version: int, subject_id: str) -> Answer:
        at = self._tick(at)
        cause = Cause(request_id=self._new_id(), token_id=OPERATOR, received_at=at.isoformat())
        return self._written(OPERATOR, at, cause, 0, "", [Happened(event, stream, version, subject_id)])

    # What clients send.

    def handle(self, request: Request) -> Answer:
        """Decide, write, answer."""
        at = self._tick(request.at)
        elapsed_us = 1_500 + int(self._chance.random() * 4_000)
        received = at - timedelta(microseconds=elapsed_us)
        request_id = self._request_id(received)
        kind, _, resource_id = request.path.partition("/")
        refusal: ScimError | None = None
        self._operations = []
        try:
            outcome = self._DECIDE[request.method, kind](self, resource_id, request.body or {})
            if not outcome.happened:
                event: Event = RequestUnchanged()
                outcome.happened = [Happened(event, f"requests/{request_id}", 1, resource_id)]
        except ScimError as error:
            refusal = error.with_traceback(None)  # Which would keep this frame alive, and itself with it.
            subject_id = resource_id or request_id
            happened = [Happened(RequestRefused(), f"requests/{request_id}", 1, subject_id)]
            outcome = _Outcome(error.status, resource_id, happened)
        request.token.last_used_at = at
        cause = self._cause(request, request_id, received, elapsed_us, outcome, refusal)
        return self._written(
            request.token.token_id, at, cause, outcome.status, outcome.resource_id, outcome.happened
        )  # fmt: skip

    def _cause(
        self, request: Request, request_id: str, received: datetime, elapsed_us: int, outcome: _Outcome,
        refusal: ScimError | None,
    ) -> Cause:  # fmt: skip
        body = None
        if request.body is not None:
            self._requests += 1
            sent, told = _encode(request.body), {each.subject_id for each in outcome.happened}
            subjects = [each for each in outcome.subjects if each not in told]
            if refusal is not None:
                subjects += name_ids(self.filling.tenant.origin, sent)
            kept = request.planted or self._requests % KEPT_OF == 0
            body = self.filling.receive(request_id, sent, subjects, kept=kept)
        return Cause(
            request_id=request_id,
            count=len(outcome.happened),
            token_id=request.token.token_id,
            token_label=request.token.label,
            profile=LENIENT.name,
            client_address=request.address,
            user_agent=request.user_agent,
            correlation=request.correlation,
            method=request.method,
            path=f"/scim/{self.filling.tenant.slug}/v2/{request.path}",
            operations=list(self._operations),
            received_at=received.isoformat(),
            elapsed_us=elapsed_us,
            status=outcome.status,
            scim_type=(refusal.scim_type or "") if refusal else "",
            detail=refusal.detail if refusal else "",
            quirks=list(outcome.quirks),
            ignored=list(outcome.ignored),
            state_version=outcome.state_version,
            received=body,
        )

    def _written(
        self, actor: str, at: datetime, cause: Cause, status: int, resource_id: str, happened: list[Happened]
    ) -> Answer:
        position = self.filling.add(actor, at, cause, happened)
        events = tuple(each.event for each in happened)
        self._counted.update(type(event).__name__ for event in events)
        return Answer(status, resource_id, cause.request_id, at, position, events)

    def _tick(self, at: datetime) -> datetime:
        self.clock = max(self.clock, at.replace(microsecond=at.microsecond // 1_000 * 1_000))
        return self.clock

    def _new_id(self) -> str:
        return uuid_text(self._chance)

    def _request_id(self, at: datetime) -> str:
        value = int(at.timestamp() * 1_000) << 80 | 0x7 << 76 | self._chance.getrandbits(12) << 64
        digits = f"{value | 0b10 << 62 | self._chance.getrandbits(62):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    # Users.

    def _create_user(self, _: str, body: dict[str, Any]) -> _Outcome:
        reading = read_resource(body, USER, LENIENT)
        key = name_key(reading.resource["userName"])
        if key in self._names:
            raise NotUnique("userName")
        user_id = self._new_id()
        events = users.create(user_id, reading, USER)
        self._sealers[user_id] = self.filling.new_subject(user_id)
        self._names[key] = user_id
        happened = self._user_changed(None, user_id, events)
        return _Outcome(201, user_id, happened, 0, reading.quirks, reading.ignored)

    def _replace_user(self, user_id: str, body: dict[str, Any]) -> _Outcome:
        user = self._present(user_id)
        reading = read_resource(body, USER, LENIENT)
        happened = self._user_changed(user, user_id, users.replace(user, reading, USER))
        return _Outcome(200, user_id, happened, user.version, reading.quirks, reading.ignored)

    def _patch_user(self, user_id: str, body: dict[str, Any]) -> _Outcome:
        user = self._present(user_id)
        asked = read_patch(body, USER, LENIENT)
        self._operations = asked.operations_text
        patched = apply_patch(asked, user.resource)
        happened = self._user_changed(user, user_id, users.change(user, patched, USER))
        return _Outcome(200, user_id, happened, user.version, patched.quirks, asked.ignored)

    def _delete_user(self, user_id: str, _: dict[str, Any]) -> _Outcome:
        user = self._present(user_id)
        held = list(self._held.pop(user_id, ()))
        happened = self._user_changed(user, user_id, users.delete(user, USER))
        for group_id in held:
            happened += self._group_changed(group_id, [MembershipRemoved(user_id, explicit=False)])
        return _Outcome(204, user_id, happened, user.version)

    def _present(self, user_id: str) -> User:
        if user_id not in self._users:
            raise NoSuchResource
        return self._users[user_id]

    def _user_changed(self, before: User | None, user_id: str, events: Sequence[Any]) -> list[Happened]:
        """Take the events into the state. Raises NotUnique when a new userName is somebody else's."""
        after, version, happened = before, before.version if before else 0, []
        sealer = self._sealers[user_id]
        for event in events:
            after, version = users.evolve(after, event), version + 1
            happened.append(Happened(event, f"users/{user_id}", version, user_id, sealer))
        if before is not None and (after is None or after.resource["userName"] != before.resource["userName"]):
            self._rename(before, after)
        if after is None:
            del self._users[user_id], self._sealers[user_id]
        else:
            self._users[user_id] = after
        return happened

    def _rename(self, before: User, after: User | None) -> None:
        if after is not None:
            key = name_key(after.resource["userName"])
            if self._names.get(key, after.id) != after.id:
                raise NotUnique("userName")
        del self._names[name_key(before.resource["userName"])]
        if after is not None:
            self._names[key] = after.id

    # Groups.

    def _create_group(self, _: str, body: dict[str, Any]) -> _Outcome:
        reading = read_resource(body, GROUP, LENIENT)
        key = display_name_key(reading.resource["displayName"])
        if key in self._group_names:
            raise NotUnique("displayName")
        group_id = self._new_id()
        self._group_names[key] = group_id
        self._members[group_id] = {}
        happened = self._group_changed(group_id, groups.create(group_id, reading))
        happened += self._edges_changed(group_id, replaced_by(reading.members or ()))
        return _Outcome(201, group_id, happened, 0, reading.quirks, reading.ignored, list(reading.members or ()))

    def _replace_group(self, group_id: str, body: dict[str, Any]) -> _Outcome:
        group = self._present_group(group_id)
        reading = read_resource(body, GROUP, LENIENT)
        happened = self._group_changed(group_id, groups.replace(group, reading, GROUP))
        happened += self._edges_changed(group_id, replaced_by(reading.members or ()))
        return _Outcome(
            self._group_status(group_id), group_id, happened, group.version, reading.quirks, reading.ignored,
            list(reading.members or ()),
        )  # fmt: skip

    def _patch_group(self, group_id: str, body: dict[str, Any]) -> _Outcome:
        group = self._present_group(group_id)
        asked = read_patch(body, GROUP, LENIENT)
        self._operations = asked.operations_text
        patched = apply_patch(asked, group.resource)
        happened = self._group_changed(group_id, groups.change(group, patched, GROUP))
        if patched.members is not None:
            happened += self._edges_changed(group_id, patched.members)
        subjects = list(patched.members.present) if patched.members else []
        return _Outcome(
            self._group_status(group_id), group_id, happened, group.version, patched.quirks,
            asked.ignored, subjects,
        )  # fmt: skip

    def _delete_group(self, group_id: str, _: dict[str, Any]) -> _Outcome:
        group = self._present_group(group_id)
        happened = self._group_changed(group_id, [GroupDeleted()])
        del self._group_names[display_name_key(group.resource["displayName"])]
        for member_id in self._members.pop(group_id):
            del self._held[member_id][group_id]
        return _Outcome(204, group_id, happened, group.version)

    def _present_group(self, group_id: str) -> Group:
        if group_id not in self._groups:
            raise NoSuchResource
        return self._groups[group_id]

    def _group_status(self, group_id: str) -> int:
        return 204 if len(self._members[group_id]) > self.filling.settings.group_answer_members_max else 200

    def _edges_changed(self, group_id: str, change: MemberChange) -> list[Happened]:
        types = {member_id: "User" for member_id in change.wanted if member_id in self._users}
        return self._group_changed(group_id, groups.member_events(change, self._members[group_id], types))

    def _group_changed(self, group_id: str, events: Iterable[Any]) -> list[Happened]:
        happened = []
        for event in events:
            before = self._groups.get(group_id)
            after = groups.evolve(before, event)
            subject_id = group_id
            match event:
                case MembershipAdded(member_id):
                    self._members[group_id][member_id] = True
                    self._held.setdefault(member_id, {})[group_id] = True
                    subject_id = member_id
                case MembershipRemoved(member_id):
                    del self._members[group_id][member_id]
                    self._held.get(member_id, {}).pop(group_id, None)
                    subject_id = member_id
            if after is None:
                del self._groups[group_id]
            else:
                self._groups[group_id] = after
            version = after.version if after else before.version + 1 if before else 1
            happened.append(Happened(event, f"groups/{group_id}", version, subject_id))
        return happened

    _DECIDE: dict[tuple[str, str], Callable[["Service", str, dict[str, Any]], _Outcome]] = {  # noqa: RUF012
        ("POST", "Users"): _create_user,
        ("PUT", "Users"): _replace_user,
        ("PATCH", "Users"): _patch_user,
        ("DELETE", "Users"): _delete_user,
        ("POST", "Groups"): _create_group,
        ("PUT", "Groups"): _replace_group,
        ("PATCH", "Groups"): _patch_group,
        ("DELETE", "Groups"): _delete_group,
    }
