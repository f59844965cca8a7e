"""What the facts suggest, rule by rule: R1 to R13. Pure.

A rule looks at the evidence and says what usually lies behind it, how sure that is, which entries it rests on, and
what would prove it wrong. None of this is a fact, and nothing else in the product depends on it. The rule's docstring
says when it applies; its thresholds stand beside it.
Source: the facts on explanations (rules R1 to R13), and on what Entra does (life of one user).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from msgspec import Struct

from projections.evidence import (
    BURST_IN_ANY_TENANT,
    BURST_MIN,
    BURST_SHARE,
    OPERATOR,
    Burst,
    ClientUse,
    Evidence,
    Kin,
    Refusal,
    Step,
    ended_between,
)
from projections.providers import provider
from projections.story import GroupHeld

Confidence = Literal["fact", "high", "medium", "low"]


class Inference(Struct, frozen=True):
    """What a rule makes of the evidence.

    rule: R1 to R13. confidence: `fact` for what we did or saw ourselves. positions: of the entries it rests on.
    refuted_by: what would prove it wrong, and where that would be seen; empty for a fact.
    """

    rule: str
    title: str
    statement: str
    confidence: Confidence
    positions: list[int]
    refuted_by: str


GROUP_LOSS_BEFORE = timedelta(minutes=15)
HARD_DELETE_AFTER = (timedelta(days=29), timedelta(days=31))
DELETE_OVERDUE_AFTER = timedelta(days=32)
RECREATED_WITHIN = timedelta(hours=24)
FLAPPING_WITHIN = timedelta(days=7)
FIRST_SEEN_WITHIN = timedelta(hours=24)
REFUSED_BEFORE = timedelta(hours=3)
RHYTHM_RUNS_MIN = 6
RHYTHM_RUNS_MAX = 60
RHYTHM_TOLERANCE = 0.15
USUAL_MAX = 4  # A client with more addresses, or kinds of software, than these has no usual ones.


def individually_disabled(evidence: Evidence) -> Inference | None:
    """R1: `active` was set to false explicitly, for this user alone or for few, and no group was lost before."""
    step = evidence.turns.disabled
    if step is None or not step.explicit or step.request is None or _by_operator(step):
        return None
    if step.event != "Deactivated" or is_burst(evidence.burst) or _lost_before(evidence, GROUP_LOSS_BEFORE):
        return None
    others = evidence.burst.count - 1 if evidence.burst is not None else 0
    company = "nobody else" if others <= 0 else f"{others} other {'person' if others == 1 else 'people'}"
    return Inference(
        "R1",
        "individually disabled",
        f"It seems to have been meant for this person: the client disabled {company} within the hour. Usually "
        "somebody unassigned the person from the application, blocked the sign-in, or deleted the account in the "
        "identity provider, or the person left the scope of a filter. From here all four look the same.",
        "medium",
        [step.position],
        "a change of an assigned group, a scoping filter or a mapping at that time in the identity provider's log",
    )


def implied_by_omission(evidence: Evidence) -> Inference | None:
    """R2: something ended, or stayed, because a request left it out. How to read that is our decision."""
    step = evidence.turns.disabled
    if step is not None and step.event == "Deactivated" and not step.explicit:
        told = "The request did not name `active`; that the user is inactive since is how we read what it left out."
        return _fact("R2", "our reading", told, [step.position])
    lost = [each for each in _ended_around(evidence) if each.ended_by == "MembershipRemoved" and not each.explicit]
    lost = [each for each in lost if each.ended_in not in _deletions(evidence)]
    if lost:
        told = (
            f"{_groups(len(lost)).capitalize()} ended because a request gave the group a list of members without this "
            "one. That this removes whoever is left out is how we read such a list; no operation named "
            f"the {_noun(evidence)}."
        )
        return _fact("R2", "our reading", told, _positions(lost))
    if evidence.silent_put is not None:
        told = (
            f"The PUT at position {evidence.silent_put.position} did not name `active`. Here a missing `active` "
            "changes nothing: it neither disables nor enables anybody."
        )
        return _fact("R2", "our reading", told, [evidence.silent_put.position])
    return None


def lost_assigning_group(evidence: Evidence) -> Inference | None:
    """R3: the same client took a group from the user in the 15 minutes before it disabled the user."""
    step = evidence.turns.disabled
    lost = _lost_before(evidence, GROUP_LOSS_BEFORE)
    if step is None or not lost:
        return None
    names = _names(lost)
    return Inference(
        "R3",
        "lost the group that gave access",
        f"The same client took {_groups(len(lost))} away{f': {names}' if names else ''}, at most 15 minutes before "
        "the disable. Most likely one of them assigns the application, and leaving it ended the assignment.",
        "medium",
        [*_positions(lost), step.position],
        "the application being assigned to the person directly, or through a group that is still held",
    )


def deleted_for_good(evidence: Evidence) -> Inference | None:
    """R4: DELETE came 29 to 31 days after the disable, from an Entra-like client."""
    disabled, deleted = evidence.turns.disabled, evidence.turns.deleted
    if disabled is None or deleted is None or provider(deleted.request) != "Entra":
        return None
    if not HARD_DELETE_AFTER[0] <= deleted.at - disabled.at <= HARD_DELETE_AFTER[1]:
        return None
    return Inference(
        "R4",
        "deleted in the directory",
        f"The DELETE came {_days(deleted.at - disabled.at)} after the disable. Entra keeps a deleted user for 30 days "
        "and then sends DELETE: the account was most likely deleted in Entra on the day of the disable.",
        "high",
        [disabled.position, deleted.position],
        "Entra's audit log showing the deletion on another day, or an admin who removed the user permanently",
    )


def part_of_burst(evidence: Evidence) -> Inference | None:
    """R5: the client took access from at least 10 users and 5 % of the active ones, or 500, within an hour."""
    burst = evidence.burst
    if burst is None or not is_burst(burst):
        return None
    least = "at least " if burst.capped else ""
    share = f" ({_share(burst)} of the {burst.population:,} active users)" if burst.population else ""
    return Inference(
        "R5",
        "part of a mass change",
        f"This was no single case: the same client disabled or deleted {least}{burst.count:,} users within the "
        f"hour{share}. That it was one mass change is nearly certain; what caused it is not: a changed scope, mapping "
        "or group assignment, or a source that delivered too few people. It may be an accident.",
        "high",
        sorted({*burst.positions, *(_position(evidence.turns.decisive))}),
        "a list of leavers of that day that has all these people on it",
    )


def delete_overdue(evidence: Evidence) -> Inference | None:
    """R6: disabled more than 32 days ago, and no DELETE came."""
    step = evidence.turns.disabled
    if step is None or evidence.turns.deleted is not None or evidence.turns.enabled is not None:
        return None
    if step.event != "Deactivated" or evidence.asked_at - step.at <= DELETE_OVERDUE_AFTER:
        return None
    return Inference(
        "R6",
        "not deleted in the directory",
        f"No DELETE came in {_days(evidence.asked_at - step.at)}. That fits a person who was unassigned, left the "
        "scope or was blocked from signing in: Entra sends no DELETE for somebody it no longer manages, even when the "
        "account is deleted later.",
        "low",
        [step.position],
        "a DELETE that was refused here, or a client that has sent nothing since",
    )


def recreated(evidence: Evidence) -> Inference | None:
    """R7: a record with the same externalId, userName or mail came within 24 h of a disable or deletion."""
    links = [link for kin in evidence.kin if (link := linked(evidence, kin)) is not None]
    if not links:
        return None
    link = links[0]
    kin = next(each for each in evidence.kin if each.id in (link.older, link.newer))
    order = "seems to go on as" if link.newer == kin.id else "seems to have been, before,"
    more = f", and {len(links) - 1} more" if len(links) > 1 else ""
    return Inference(
        "R7",
        "one person, several records",
        f"This person {order} {kin.id}{more}: both have the same {_and(link.kinds)}, and one was created "
        f"{_span(link.gap)} {'before' if link.gap < timedelta() else 'after'} the other ended. To the application "
        "they are two accounts: groups and history do not pass from one to the other.",
        link.confidence,
        [link.ended_position, link.created_position],
        "two people who share the name: compare givenName, familyName and the id in the identity provider",
    )


def outside_rhythm(evidence: Evidence) -> Inference | None:
    """R8: the client comes at regular times, and this run of it came at another, about this user alone."""
    step, use = evidence.turns.decisive, evidence.use
    if step is None or use is None or len(use.runs) < 2 or is_burst(evidence.burst):
        return None
    run, before = use.runs[0], use.runs[1]
    beat = beat_of([each.started for each in reversed(use.runs[1 : 1 + RHYTHM_RUNS_MAX])])
    gap = run.started - before.started
    if not run.alone or beat is None or fits(gap, beat):
        return None
    return Inference(
        "R8",
        "by hand, or on demand",
        f"The client usually comes every {round(beat / timedelta(minutes=1))} minutes; this came "
        f"{_span(gap)} after its last run began, and was about this person alone. That fits provisioning on demand or "
        "an admin's single action.",
        "low",
        [step.position],
        "a run of the provisioning job at this minute in the identity provider's log",
    )


def flapping(evidence: Evidence) -> Inference | None:
    """R9: disabled at least twice within 7 days, with a return in between."""
    disables = [step for step in evidence.turns.every if step.event == "Deactivated"]
    pairs = [(a, b) for a, b in pairwise(disables) if b.at - a.at <= FLAPPING_WITHIN]
    if not pairs:
        return None
    first, last = pairs[-1]
    between = [step for step in evidence.turns.every if first.position <= step.position <= last.position]
    return Inference(
        "R9",
        "on and off",
        f"The account was disabled on {_date(first.at)} and again on {_date(last.at)}, with a return in between. "
        "Usually a rule of a dynamic group, or two sources that contradict each other, lies behind that.",
        "medium",
        [step.position for step in between],
        "two decisions of people, recorded in the identity provider's audit log",
    )


def collateral_of_group(evidence: Evidence) -> Inference | None:
    """R10: groups ended, or lists of members were replaced: the person lost what a change of the group took."""
    lost = [
        each
        for each in _ended_around(evidence)
        if each.ended_by == "GroupDeleted" or (not each.explicit and each.ended_in not in _deletions(evidence))
    ]
    if not lost:
        return None
    names, deleted = _names(lost), sum(each.ended_by == "GroupDeleted" for each in lost)
    how = "the group was deleted" if deleted == len(lost) else "its list of members was replaced by a shorter one"
    if 0 < deleted < len(lost):
        how = "a group was deleted, and another's list of members replaced"
    return Inference(
        "R10",
        "collateral of a group's change",
        f"{_groups(len(lost)).capitalize()}{f' ({names})' if names else ''} ended by a change that was about the "
        f"group, not about this {'one' if evidence.resource == 'groups' else 'person'}: {how}.",
        "high",
        _positions(lost),
        f"a request of the same minute that names this {_noun(evidence)}",
    )


def credential_first_seen(evidence: Evidence) -> Inference | None:
    """R11: the credential, the address or the software was first seen in the 24 hours before."""
    step, use = evidence.turns.decisive, evidence.use
    if step is None or step.request is None or use is None or step.at - use.ledger_began < FIRST_SEEN_WITHIN:
        return None
    if step.at - use.first_at < FIRST_SEEN_WITHIN:
        new = [f"the credential itself, first used on {_date(use.first_at)}"]
    else:
        new = _first_seen(use, step)
    if not new:
        return None
    return Inference(
        "R11",
        "a credential, address or software seen for the first time",
        f"In the 24 hours before, this was new: {_and(new)}. Check that first: it fits a rotated secret or a "
        "new version of the client, and it fits a secret in the wrong hands.",
        "low",
        [step.position],
        "a rotation, a move or an update that the client's administrator knows of",
    )


def person_at_console(evidence: Evidence) -> Inference | None:
    """R12: a person did it here, at the console or on the command line, not the identity provider."""
    steps = [step for step in (evidence.turns.disabled, evidence.turns.deleted) if step is not None]
    by_hand = [step for step in steps if _by_operator(step)]
    if not by_hand:
        return None
    told = "A person with access to this service did it, on its command line or console. No identity provider asked."
    return _fact("R12", "done here", told, [step.position for step in by_hand])


def refused_just_before(evidence: Evidence) -> Inference | None:
    """R13: in the three hours before, requests of the same client about the user were refused."""
    step = evidence.turns.decisive
    if step is None or step.request is None:
        return None
    before = _refused_before(evidence.refusals, step)
    if not before:
        return None
    count = sum(each.requests for each in before)
    requests, were = ("request", "was") if count == 1 else ("requests", "were")
    return Inference(
        "R13",
        "after refused requests",
        f"In the three hours before, {count} {requests} of the same client about this {_noun(evidence)} {were} "
        f"refused, the last with {before[0].status} {before[0].scim_type}".rstrip()
        + ". The client may have acted on an update that failed.",
        "low",
        sorted(each.position for each in before),
        "the identity provider's log giving another reason for the disable",
    )


RULES: tuple[Callable[[Evidence], Inference | None], ...] = (
    individually_disabled, implied_by_omission, lost_assigning_group, deleted_for_good, part_of_burst, delete_overdue,
    recreated, outside_rhythm, flapping, collateral_of_group, credential_first_seen, person_at_console,
    refused_just_before,
)  # fmt: skip


def infer(evidence: Evidence) -> list[Inference]:
    """Return what the rules make of the evidence, surest first."""
    found = [inference for rule in RULES if (inference := rule(evidence)) is not None]
    return sorted(found, key=lambda each: _ORDER.index(each.confidence))


_ORDER = ("fact", "high", "medium", "low")


class Link(Struct, frozen=True):
    """Two records of what seems one person.

    kinds: which names they share. gap: from the end of the older to the beginning of the newer; may be negative.
    """

    older: str
    newer: str
    kinds: list[str]
    rule: str
    confidence: Confidence
    gap: timedelta
    ended_position: int
    created_position: int


def linked(evidence: Evidence, kin: Kin) -> Link | None:
    """Return how another record is this one's past or future; None when nothing says so (R7)."""
    created = evidence.turns.created
    if kin.created_position < created.position:
        older, newer, born, began = kin.id, evidence.id, created.at, created.position
        ended = kin.ended
    else:
        older, newer, born, began = evidence.id, kin.id, kin.created_at, kin.created_position
        ended = [(s.event, s.position, s.at) for s in evidence.turns.every if s.event in ("Deactivated", "UserDeleted")]
    if not ended:
        return None
    _, position, at = min(ended, key=lambda each: abs(born - each[2]))
    if abs(born - at) > RECREATED_WITHIN:
        return None
    sure = "externalId" in kin.kinds or len(kin.kinds) > 1
    return Link(older, newer, kin.kinds, "R7", "high" if sure else "medium", born - at, position, began)


def is_burst(burst: Burst | None) -> bool:
    """Whether so many users are a mass change (R5)."""
    if burst is None or burst.count < BURST_MIN:
        return False
    if burst.count >= BURST_IN_ANY_TENANT:
        return True
    return burst.count >= BURST_SHARE * burst.population


def beat_of(starts: Sequence[datetime]) -> timedelta | None:
    """Return the interval at which a client comes; None while that is not regular.

    A cycle in which nothing changed leaves no entry, so that intervals are one beat or several.
    """
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    if len(gaps) < RHYTHM_RUNS_MIN - 1:
        return None
    shortest = sorted(gaps)[: len(gaps) // 2]
    beat = shortest[len(shortest) // 2]
    regular = sum(fits(gap, beat) for gap in gaps)
    return beat if regular >= 0.8 * len(gaps) else None


def fits(gap: timedelta, beat: timedelta) -> bool:
    """Whether an interval is one beat or several, give or take."""
    beats = max(1, round(gap / beat))
    return abs(gap - beats * beat) <= RHYTHM_TOLERANCE * beat


# What the rules share.


def _fact(rule: str, title: str, statement: str, positions: list[int]) -> Inference:
    return Inference(rule, title, statement, "fact", positions, "")


def _noun(evidence: Evidence) -> str:
    return "group" if evidence.resource == "groups" else "person"


def _by_operator(step: Step) -> bool:
    return step.request is not None and step.request.token_id == OPERATOR


def _lost_before(evidence: Evidence, within: timedelta) -> list[GroupHeld]:
    """Groups that the disabling client had taken away shortly before, naming the user."""
    step = evidence.turns.disabled
    if step is None or step.request is None or step.event != "Deactivated":
        return []
    lost = ended_between(evidence.ended, step.at - within, step.position)
    return [
        each
        for each in lost
        if each.ended_in != step.request_id and evidence.client_of(each.ended_in) == step.request.token_id
    ]


def _ended_around(evidence: Evidence) -> list[GroupHeld]:
    """Memberships that ended with the access, in the hour before, or until its return; an active user's last day's."""
    step, enabled = evidence.turns.decisive, evidence.turns.enabled
    if step is None:
        return ended_between(evidence.ended, evidence.asked_at - timedelta(days=1), evidence.size)
    until = enabled.position if enabled is not None else step.position + 1
    return ended_between(evidence.ended, step.at - timedelta(hours=1), until)


def _deletions(evidence: Evidence) -> set[str]:
    """The requests that deleted the user: they end every membership, and name none."""
    return {step.request_id for step in evidence.turns.every if step.event.endswith("Deleted")}


def _refused_before(refusals: Sequence[Refusal], step: Step) -> list[Refusal]:
    assert step.request is not None
    return [
        each
        for each in refusals
        if each.token_id == step.request.token_id
        and (each.at, each.position) < (step.at, step.position)  # Repetitions may be recorded after it.
        and step.at - each.at <= REFUSED_BEFORE
    ]


def _first_seen(use: ClientUse, step: Step) -> list[str]:
    """What of the decisive request none of the client's runs had that ended a day or more before."""
    assert step.request is not None
    earlier = [run for run in use.runs if step.at - run.ended >= FIRST_SEEN_WITHIN]
    if not earlier:
        return []
    new = []
    for what, value, before in (
        ("the address", step.request.client_address, {each for run in earlier for each in run.client_addresses}),
        ("the software", step.request.user_agent, {each for run in earlier for each in run.user_agents}),
    ):
        if value and value not in before and len(before) <= USUAL_MAX:
            new.append(f"{what} {value}")
    return new


def _position(step: Step | None) -> list[int]:
    return [] if step is None else [step.position]


def _positions(lost: Sequence[GroupHeld]) -> list[int]:
    return sorted({each.to_position for each in lost if each.to_position is not None})


def _groups(count: int) -> str:
    return "one group" if count == 1 else f"{count} groups"


def _names(lost: Sequence[GroupHeld]) -> str:
    return ", ".join(f'"{each.group_name}"' for each in lost[:5] if each.group_name)


def _share(burst: Burst) -> str:
    return f"{100 * burst.count / burst.population:.1f} %"


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _days(duration: timedelta) -> str:
    return f"{duration / timedelta(days=1):.0f} days"


def _span(duration: timedelta) -> str:
    minutes = round(abs(duration) / timedelta(minutes=1))
    return f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
