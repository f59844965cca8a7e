"""What the ledger cannot know, where to look for it, and what to do next. Pure.

A SCIM request says what the identity provider wants, never why. Its own log may: Entra keeps that for 30 days, and
shows a row up to two hours late. Source: the facts on Entra's provisioning logs.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from projections.evidence import OPERATOR, Evidence, Step
from projections.inferences import is_burst
from projections.providers import of_software, provider
from projections.story import RequestTold, last_name

WINDOW = timedelta(minutes=10)  # Clocks differ, and a request may have been tried again.
CYCLE = timedelta(minutes=40)  # What Entra does for SCIM applications between two looks at its own directory.
KEPT_BY_ENTRA = timedelta(days=30)


class Search(Struct, frozen=True, omit_defaults=True):
    """What to enter into the identity provider's search.

    provider: Entra or Okta, by the client's software; empty when that does not say. since, until: in UTC.
    source_id: its own id of the person, if externalId holds that. target_id: ours. activity_ids: what it calls
    these requests. log: which log. also: what else to look at there.
    """

    provider: str
    log: str
    since: datetime
    until: datetime
    source_id: str = ""
    user_name: str = ""
    target_id: str = ""
    activity_ids: list[str] = []
    also: list[str] = []


class Guidance(Struct, frozen=True):
    """unknown: what cannot be known here. search: where it may be found. next_steps: how to undo, how to prevent."""

    unknown: list[str]
    search: Search | None
    next_steps: list[str]


def guide(evidence: Evidence) -> Guidance:
    """Return what to do with an explanation."""
    return Guidance(_unknown(evidence), _search(evidence), list(_next_steps(evidence)))


def search_for_absent(name: str, software: str, since: datetime, until: datetime) -> Search:
    """Return where to look for somebody who never came. software: of the client that would have sent it."""
    named = of_software(software)
    also = []
    if named == "Entra":
        also = [
            "rows with status Skipped: their step Scoping says whether the person is assigned, has a role and passes "
            "the filter, and SkipReason why nothing was sent",
            "Provision on demand with this person: it shows the same decision at once",
        ]
    return Search(named, _LOGS.get(named, _ANY_LOG), since, until, user_name=name, also=also)


_ANY_LOG = "the identity provider's provisioning log, or the log of whatever program holds the token"
_LOGS = {
    "Entra": "Entra admin center, Enterprise applications, this application, Provisioning logs",
    "Okta": "Okta admin console, Reports, System Log",
}


def _unknown(evidence: Evidence) -> list[str]:
    step = evidence.turns.decisive
    if step is None:
        meant, noun = ("delete", "group") if evidence.resource == "groups" else ("disable", "account")
        asked = f"Whether the identity provider ever meant to {meant} this {noun}: what it does not send is not here."
        return [asked, f"Who read the {noun}: a read that is answered leaves no entry."]
    if step.request is not None and step.request.token_id == OPERATOR:
        return ["Who sat at the command line: it knows the machine's account, not the person."]
    return [
        "Who or what made the client send this: a person, a rule, a source such as HR. No SCIM request says so.",
        "Whether it was meant: that takes the identity provider's log, or the person who decided.",
    ]


def _search(evidence: Evidence) -> Search | None:
    step = evidence.turns.decisive or evidence.turns.enabled
    if step is None or step.request is None or step.request.token_id == OPERATOR:
        return None
    named = provider(step.request)
    requests = [each.request for each in (evidence.turns.disabled, evidence.turns.deleted) if each is not None]
    return Search(
        provider=named,
        log=_LOGS.get(named, _ANY_LOG),
        since=step.at - WINDOW,
        until=step.at + WINDOW,
        source_id=evidence.external_id,
        user_name=last_name(evidence.names, evidence.resource),
        target_id=evidence.id,
        activity_ids=_activity_ids(requests),
        also=_also(evidence, named, step),
    )


def _activity_ids(requests: list[RequestTold | None]) -> list[str]:
    return [each.activity_id for each in requests if each is not None and each.activity_id]


def _also(evidence: Evidence, named: str, step: Step) -> list[str]:
    of_group = evidence.resource == "groups"
    if named == "Okta" and of_group:
        return ["what concerns the group, and its push to this application, just before"]
    if named == "Okta":
        return [
            'eventType eq "application.provision.user.deactivate", and what has the same transaction id',
            'eventType eq "application.user_membership.remove", or "user.lifecycle.deactivate", just before',
        ]
    if named != "Entra":
        return []
    changes = "the group and of its assignments" if of_group else "the person's groups, assignments and sign-in"
    also = [
        f"Entra's audit log from {CYCLE // timedelta(minutes=1)} minutes before on: changes of {changes}, and of the "
        "application's mappings or scope"
    ]
    if evidence.asked_at - step.at > KEPT_BY_ENTRA:
        also.append("Entra keeps these rows for 30 days: by now, look in Log Analytics or in an export")
    return also


def _next_steps(evidence: Evidence) -> list[str]:
    turns = evidence.turns
    endpoint = {"users": "Users", "groups": "Groups"}.get(evidence.resource, "…")
    path = f"/scim/{evidence.tenant}/v2/{endpoint}/{evidence.id}"
    if turns.deleted is not None:
        return _after_deletion(evidence)
    if turns.disabled is not None and turns.enabled is None:
        return _while_inactive(evidence, path)
    if evidence.resource == "groups":
        return [f"To change it here all the same: PATCH {path}."]
    steps = []
    if turns.enabled is not None and _lost_while_inactive(evidence):
        steps.append(
            "The memberships lost meanwhile do not come back by themselves, since Entra does not send them again after "
            "a return: take the person out of those groups and put them in again there, or add the member here."
        )
    steps.append(
        "If this person should have no access: see at the identity provider that the account is blocked or "
        "unassigned, that the next cycle has run, and that nothing keeps it from sending (quarantine, a deletion "
        "threshold, 'skip out of scope deletions')."
    )
    steps.append(f'To close it at once: PATCH {path} with {{"op":"replace","path":"active","value":false}}.')
    return steps


def _while_inactive(evidence: Evidence, path: str) -> list[str]:
    steps = [
        "To undo it: assign the person again, or allow the sign-in, at the identity provider; it then sends active "
        "true by itself. Whoever only changes it here is overruled by the next cycle that sees a difference.",
        f'At once, and here: PATCH {path} with {{"op":"replace","path":"active","value":true}}. It is the same '
        "account, with the memberships it still holds; those it lost have to be added again.",
    ]
    if is_burst(evidence.burst):
        steps.append(
            "To keep it from happening again: set the provider's threshold for accidental deletions (Entra: 500 unless "
            "changed), and try a change of scope with provisioning on demand first. Before undoing it, stop the job."
        )
    elif evidence.turns.disabled is not None and evidence.turns.disabled.event == "Deactivated":
        steps.append(
            "To keep it from happening again: see which assignment or scoping filter the person fell out of, and test "
            "the next change with provisioning on demand."
        )
    return steps


def _after_deletion(evidence: Evidence) -> list[str]:
    if evidence.resource == "groups":
        return ["A deleted group does not come back: the client creates another one, and its members are added again."]
    steps = [
        "A deleted account does not come back: when the person is assigned again, the client creates another one "
        "with another id. Groups have to be given again; history shows which."
    ]
    if is_burst(evidence.burst):
        steps.append("To keep it from happening again: set the provider's threshold for accidental deletions.")
    return steps


def _lost_while_inactive(evidence: Evidence) -> bool:
    disabled = evidence.turns.disabled
    return disabled is not None and any((each.to_position or 0) >= disabled.position for each in evidence.ended)
