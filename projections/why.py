"""Why somebody is deprovisioned, or not: the facts with positions and times, then what they suggest. Pure.

The answer names who asked for it (token and address), never the product itself: "deactivated by the service"
is an answer nobody can use. Facts are read off entries; whatever is inferred stands apart, rule by rule.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from projections.entra import EntraRow
from projections.evidence import Evidence, Refusal, Step, Turns, ended_between
from projections.guidance import Search, guide
from projections.inferences import Inference, infer
from projections.story import Change, GroupHeld, NameHeld, RequestTold, in_requests, last_name

LOOK_BACK = timedelta(hours=1)  # Group losses so long before the deprovisioning are told with it.

Verdict = Literal[
    "active", "reactivated", "deactivated", "created inactive", "deleted", "deactivated, then deleted",
    "created inactive, then deleted",
]  # fmt: skip
State = Literal["active", "inactive", "deleted"]


class Trouble(Struct, frozen=True, omit_defaults=True):
    """Refusals that say the same, told as one.

    token_label: of the newest; a client goes on under another when its secret is rotated.
    count: with repetitions; at least, when `capped`. attempt: it was to disable or delete. named: see Refusal.
    since: of the oldest one read. last: the newest. holder: who has the value that is not free: (name, id).
    """

    token_label: str
    method: str
    status: int
    scim_type: str
    detail: str
    count: int
    since: datetime
    since_position: int
    last: Refusal
    attempt: bool = False
    named: bool = False
    capped: bool = False
    holder: tuple[str, str] | None = None


class Explanation(Struct, frozen=True, kw_only=True):
    """The story of one user (or group, or resource of a tenant's own type), told up to a position.

    resource: the kind of its stream, such as users or groups. resource_type: its type's name.
    names: every name it ever had, oldest first. verdict: what is true at `size`.
    disabled, deleted, enabled: the last turn of each kind that the verdict rests on, None without one.
    facts: all of the below, and renames, in order. in_request: what else the deciding requests changed.
    lost_before: memberships that ended in the hour before, in other requests; lost_with: in the deciding ones;
    lost_after: between the disable and the return, or now; lost_active: of one that is active, the newest since its
    creation or return. held: memberships open at `size`, the first of `held_count`. last: the newest request about
    it, whatever came of it. troubles: refused requests about it.
    entra: what Entra's own log says. requests: those of every fact, by request id. inferences: no facts, but what
    the rules make of them. unknown, search, next_steps: where the ledger ends.
    """

    id: str
    resource: str
    resource_type: str
    size: int
    names: list[NameHeld]
    verdict: Verdict
    state: State
    state_since: datetime
    created: Step
    disabled: Step | None = None
    deleted: Step | None = None
    enabled: Step | None = None
    facts: list[Change] = []
    in_request: list[Change] = []
    lost_before: list[GroupHeld] = []
    lost_with: list[GroupHeld] = []
    lost_after: list[GroupHeld] = []
    lost_active: list[GroupHeld] = []
    held: list[GroupHeld] = []
    held_count: int = 0
    last: Change | None = None
    troubles: list[Trouble] = []
    entra: list[EntraRow] = []
    requests: dict[str, RequestTold] = {}
    inferences: list[Inference] = []
    unknown: list[str] = []
    search: Search | None = None
    next_steps: list[str] = []

    @property
    def called(self) -> str:
        """What people call it: the last userName, or a group's displayName; the id when all is erased."""
        return last_name(self.names, self.resource) or self.id


def explain(evidence: Evidence) -> Explanation:
    """Explain one resource's state."""
    turns = evidence.turns
    decisive = [step for step in (turns.disabled, turns.deleted) if step is not None]
    in_request = _in_requests(evidence, decisive)
    before, with_it, after = _lost(evidence, decisive)
    active = _lost_active(evidence)
    facts = _facts(evidence, in_request, [*before, *with_it, *after, *active])
    guidance = guide(evidence)
    mentioned = [*facts, *([evidence.last] if evidence.last is not None else [])]
    return Explanation(
        id=evidence.id,
        resource=evidence.resource,
        resource_type=evidence.resource_type,
        size=evidence.size,
        names=evidence.names,
        verdict=_verdict(turns),
        state="deleted" if turns.deleted else "inactive" if turns.disabled and not turns.enabled else "active",
        state_since=(turns.deleted or turns.enabled or turns.disabled or turns.created).at,
        created=turns.created,
        disabled=turns.disabled,
        deleted=turns.deleted,
        enabled=turns.enabled,
        facts=facts,
        in_request=in_request,
        lost_before=before,
        lost_with=with_it,
        lost_after=after,
        lost_active=active,
        held=evidence.held,
        held_count=evidence.held_count,
        last=evidence.last,
        troubles=troubles(evidence.refusals, capped=evidence.refusals_capped, holder=evidence.holder),
        entra=evidence.entra,
        requests=in_requests(mentioned, evidence.requests),
        inferences=infer(evidence),
        unknown=guidance.unknown,
        search=guidance.search,
        next_steps=guidance.next_steps,
    )


def troubles(
    refusals: Sequence[Refusal], *, capped: bool = False, holder: tuple[str, str] | None = None
) -> list[Trouble]:
    """Put refusals, newest first, together that say the same; the ones that came last first."""
    kinds: dict[tuple[object, ...], list[Refusal]] = {}
    for each in refusals:
        kind = (each.method, each.status, each.scim_type, each.detail, each.named)
        kinds.setdefault(kind, []).append(each)
    unique = next((each for each in refusals if each.scim_type == "uniqueness" and not each.named), None)
    return [
        Trouble(
            token_label=newest.token_label,
            method=newest.method,
            status=newest.status,
            scim_type=newest.scim_type,
            detail=newest.detail,
            count=sum(each.requests for each in same),
            since=same[-1].at,
            since_position=same[-1].position,
            last=newest,
            attempt=newest.attempt,
            named=newest.named,
            capped=capped,
            holder=holder if newest is unique else None,
        )
        for same in kinds.values()
        for newest in same[:1]
    ]


def _verdict(turns: Turns) -> Verdict:
    born_inactive = turns.disabled is not None and turns.disabled.event != "Deactivated"
    match turns.disabled, turns.enabled, turns.deleted:
        case None, _, None:
            return "active"
        case None, _, _:
            return "deleted"
        case _, None, None:
            return "created inactive" if born_inactive else "deactivated"
        case _, _, None:
            return "reactivated"
        case _:
            return "created inactive, then deleted" if born_inactive else "deactivated, then deleted"


def _in_requests(evidence: Evidence, decisive: Iterable[Step]) -> list[Change]:
    """What else the deciding requests changed about this resource; group losses are told apart."""
    positions = {step.position for step in decisive}
    request_ids = {step.request_id for step in decisive}
    return [
        change
        for change in evidence.own
        if change.request_id in request_ids
        and change.position not in positions
        and change.event not in ("RequestUnchanged", "RequestRefused")
    ]


def _lost(
    evidence: Evidence, decisive: Sequence[Step]
) -> tuple[list[GroupHeld], list[GroupHeld], list[GroupHeld]]:  # fmt: skip
    """Memberships that ended in the hour before a deciding request, in it, and between disable and return."""
    request_ids = {step.request_id for step in decisive}
    with_it = [each for each in evidence.ended if each.ended_in in request_ids]
    before: dict[int | None, GroupHeld] = {}
    for step in decisive:
        for each in ended_between(evidence.ended, step.at - LOOK_BACK, step.position):
            if each.ended_in not in request_ids:
                before[each.to_position] = each
    turns = evidence.turns
    after: list[GroupHeld] = []
    if turns.disabled is not None:
        until = turns.enabled.position if turns.enabled else evidence.size
        after = [
            each
            for each in ended_between(evidence.ended, turns.disabled.at, until)
            if (each.to_position or 0) > turns.disabled.position
            and each.ended_in not in request_ids
            and each.to_position not in before
        ]
    return list(before.values()), with_it, after


def _lost_active(evidence: Evidence) -> list[GroupHeld]:
    """The newest memberships that ended since somebody who is active came, or came back."""
    turns = evidence.turns
    if turns.deleted or (turns.disabled and not turns.enabled):
        return []
    since = (turns.enabled or turns.created).position
    return [each for each in evidence.ended if each.to_position is not None and each.to_position > since][-_LOST_TOLD:]


def _facts(evidence: Evidence, in_request: Iterable[Change], lost: Iterable[GroupHeld]) -> list[Change]:
    """Everything the story rests on, in the order in which it was recorded."""
    turns = evidence.turns
    steps = (turns.created, turns.disabled, turns.enabled, turns.deleted)
    positions = {step.position for step in steps if step is not None}
    positions |= {step.position for step in turns.every[-_TURNS_TOLD:]}
    positions |= {fact.position for fact in in_request}
    renames = [change.position for change in evidence.own if _renames(change, evidence.resource)]
    positions |= set(renames[-_TURNS_TOLD:])
    endings = {change.position: change for each in lost if (change := _ending(each, evidence.id)) is not None}
    own = {change.position: change for change in evidence.own if change.position in positions | endings.keys()}
    facts = endings | own
    return [facts[position] for position in sorted(facts)]


_TURNS_TOLD = 10
_LOST_TOLD = 10


def _renames(change: Change, resource: str) -> bool:
    named = ("displayName", "externalId") if resource == "groups" else ("userName", "externalId")
    return change.event == "AttributeChanged" and change.attribute in named


def _ending(membership: GroupHeld, member_id: str) -> Change | None:
    """The entry that ended a membership, as a fact: a group's deletion has none for each member."""
    if membership.to_position is None or membership.to_at is None:
        return None
    return Change(
        position=membership.to_position,
        at=membership.to_at,
        event=membership.ended_by,
        request_id=membership.ended_in,
        group_id=membership.group_id,
        group_name=membership.group_name,
        member_id=member_id,
        explicit=membership.explicit,
    )
