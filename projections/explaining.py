"""An explanation in plain words, the most important first: verdict, facts, then what is inferred, then where to look.

Pure. Reads aloud: somebody may be on the phone.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from projections.entra import EntraRow
from projections.evidence import Step
from projections.guidance import Search
from projections.inferences import Inference
from projections.pointed import GroupSpell, Pointed
from projections.story import Change, GroupHeld, RequestTold
from projections.why import Explanation, Trouble
from projections.words import (
    change,
    counted,
    group,
    initiator,
    overwrote,
    plain,
    request_details,
    request_line,
    when,
    wrap,
)

Section = tuple[str, list[str]]


def explanation(told: Explanation, *, further: bool = False) -> str:
    """The whole answer to *why*, for one user or group.

    further: of records told of together, not the first: what was said there is not said again.
    """
    sections: list[Section] = [
        ("", verdict(told)),
        ("What is meant" if told.resource == "groups" else "Who is meant", [*_names(told)]),
        ("What happened, in order", [*_facts(told)]),
        ("Access", [*_access(told)]),
        ("Refused requests", [*trouble_lines(told.troubles, "a group" if told.resource == "groups" else "somebody")]),
        ("What Entra's own log says", [*entra_lines(told.entra)]),
        ("What may lie behind it (inferred, not recorded)", [*_inferences(told.inferences, further)]),
        ("What cannot be known here", [] if further else [*_unknown(told)]),
        ("What to do next", [] if further else [*_steps(told.next_steps)]),
        ("State now", [f"  {_state(told)}"]),
    ]
    return sectioned(sections)


def sectioned(sections: Iterable[Section]) -> str:
    """Put sections that say something under their titles."""
    shown = ["\n".join([title, *lines] if title else lines) for title, lines in sections if lines]
    return "\n\n".join(shown) + "\n"


def verdict(told: Explanation) -> list[str]:
    """The answer in a few sentences: what is true, who asked for it and when."""
    noun = told.resource_type.lower() if told.resource in ("users", "groups") else told.resource_type
    verdicts = _VERDICTS | (_VERDICTS_OF_GROUPS if told.resource == "groups" else {})
    sentences = [f"{plain(told.called)} {verdicts[told.verdict]}."]
    if told.disabled is not None:
        sentences.append(_disabled(told.disabled, noun))
    if told.enabled is not None:
        how = "set active to true again"
        if told.enabled.event != "Reactivated":
            how = "unassigned active, which disables nobody"
        sentences.append(f"{_who(told.enabled)} {how}.")
    if told.deleted is not None:
        sentences.append(f"{_who(told.deleted)} deleted the {noun}.")
    if told.verdict == "active":
        sentences.append(f"{_who(told.created)} created it.")
    if told.state == "active":
        sentences += _still_active(told)
    return wrap(" ".join(sentences))


_VERDICTS = {
    "active": "is not deprovisioned: active, and never was anything else",
    "reactivated": "is not deprovisioned: active again after having been deactivated",
    "deactivated": "is deprovisioned: deactivated, not deleted",
    "created inactive": "was never active: created inactive, not deleted",
    "deleted": "is deprovisioned: deleted",
    "deactivated, then deleted": "is deprovisioned: deactivated, then deleted",
    "created inactive, then deleted": "was never active: created inactive, then deleted",
}


_VERDICTS_OF_GROUPS = {"active": "is there, and never was deleted", "deleted": "is deleted"}


def _who(step: Step) -> str:
    """`On 1 Dec 2026 17:40:10 UTC the client "Entra" (from 20.1.2.3, request 0193…)`."""
    parts = [f"position {step.position}", f"request {step.request_id}"]
    if step.request is not None and step.request.client_address:
        parts.insert(0, f"from {plain(step.request.client_address)}")
    return f"On {when(step.at)} {initiator(step.request)} ({', '.join(parts)})"


def _disabled(step: Step, noun: str) -> str:
    if step.event != "Deactivated":
        return f"{_who(step)} created the {noun} with active set to false."
    if step.request is None:
        return f"{_who(step)} set active to false."
    return f"{_who(step)} set active to false, {'explicitly' if step.explicit else 'implied by what was sent'}."


def _still_active(told: Explanation) -> Iterator[str]:
    """Who touched it last, and whether somebody tried to end the access."""
    for trouble in told.troubles:
        if trouble.attempt and not trouble.named:
            times = "once" if trouble.count == 1 else f"{_count(trouble)} times"
            last = trouble.last
            what = "delete it" if trouble.method == "DELETE" else "change active"
            answer = f"{_answer(trouble)}: {_sentence(trouble.detail)}"
            yield f"An attempt to {what} was refused {times}, last on {when(last.at)} with {answer}"
            break
    else:
        if told.resource == "users":
            yield "No request to disable or delete it was ever refused, as far as is recorded."
    turns = {step.request_id for step in (told.created, told.enabled) if step is not None}
    if told.last is not None and told.last.request_id not in turns:
        asked = told.requests.get(told.last.request_id)
        yield f"The last request about it came on {when(told.last.at)} from {initiator(asked)}: {change(told.last)}."


def _names(told: Explanation) -> Iterator[str]:
    yield f"  {'id':<12}{told.id}"
    for name in told.names:
        if name.kind == "displayName" and told.resource == "users":
            continue  # Nobody is found by it.
        since = f"since {when(name.from_at)} (position {name.from_position})"
        until = f" until {when(name.to_at)} (position {name.to_position})" if name.to_at else ""
        yield from wrap(f"{name.kind:<12}{plain(name.value)}, {since}{until}", "  ", "  ")


def _facts(told: Explanation) -> Iterator[str]:
    """The facts request by request; of the deciding ones everything that helps to find them again."""
    deciding = {step.request_id for step in (told.disabled, told.enabled, told.deleted) if step is not None}
    seen = ""
    for fact in told.facts:
        if fact.request_id != seen:
            seen = fact.request_id
            request = told.requests.get(seen)
            asked = request_line(request) if request is not None else f"{initiator(None)}, request {seen}"
            yield from wrap(f"{when(fact.at)}, {asked}", "  ", "  ")
            if seen in deciding and request is not None:
                yield from (line for detail in request_details(request) for line in wrap(detail, "      "))
        yield from wrap(f"position {fact.position}: {change(fact)}", "    ", "  ")


def _access(told: Explanation) -> Iterator[str]:
    if told.resource == "groups":
        return
    lost = [
        ("lost in the hour before", told.lost_before),
        ("lost with it", told.lost_with),
        ("lost after it, until the return" if told.enabled else "lost after it", told.lost_after),
        ("lost while active", told.lost_active),
    ]
    for what, memberships in lost:
        if memberships:
            yield from wrap(f"{what}: {_groups(memberships)}", "  ", "  ")
    if not any(memberships for _, memberships in lost) and told.state != "active":
        yield "  lost in the hour before, or with it: no group"
    more = f", and {told.held_count - _LISTED} more" if told.held_count > _LISTED else ""
    yield from wrap(f"still held: {_groups(told.held[:_LISTED]) or 'no group'}{more}", "  ", "  ")


_LISTED = 20


def _groups(memberships: Sequence[GroupHeld]) -> str:
    """Groups by name, with the position at which each was left or joined, and whether the group's end was its own."""
    shown = (
        f"{_quoted(each.group_name) if each.group_name else each.group_id} "
        f"(position {each.to_position if each.to_position is not None else each.from_position}"
        f"{', the group was deleted' if each.ended_by == 'GroupDeleted' else ''})"
        for each in memberships
    )
    return ", ".join(shown)


def _quoted(name: str) -> str:
    return f'"{plain(name)}"'


def _how(explicit: bool) -> str:
    return "named in the request" if explicit else "implied, not named in the request"


def trouble_lines(told: Sequence[Trouble], sought: str = "somebody") -> Iterator[str]:
    """Refused requests: how often since when, the last one, why, and who holds what is not free.

    sought: what is called so.
    """
    for trouble in told[:_TROUBLES]:
        about = f"asked for {sought} of this name" if trouble.named else "about it"
        times = "once" if trouble.count == 1 else f"{_count(trouble)} times since {when(trouble.since)}"
        last = f"last on {when(trouble.last.at)} (position {trouble.last.position}, request {trouble.last.request_id})"
        who = f'the client "{plain(trouble.token_label)}"' if trouble.token_label else "a client without a label"
        yield from wrap(f"{trouble.method} {about} by {who}, {times}, {last}:", "  ", "    ")
        yield from wrap(f"{_answer(trouble)}: {_sentence(trouble.detail)}", "    ")
        if trouble.holder is not None:
            name, holder = trouble.holder
            yield from wrap(f"{plain(name)} is held by {holder}: ./scim-ledger why … {holder} tells more.", "    ")
    if len(told) > _TROUBLES:
        more = counted(len(told) - _TROUBLES, "more kind")
        yield f"  and {more} of refusals: ./scim-ledger log … --status failure --subject …"


_TROUBLES = 5


def _count(trouble: Trouble) -> str:
    return f"at least {trouble.count}" if trouble.capped else str(trouble.count)


def _answer(trouble: Trouble) -> str:
    return f"{trouble.status} {trouble.scim_type}".rstrip()


def _sentence(detail: str) -> str:
    return f"{plain(detail).rstrip('.') or 'no detail'}."


def entra_lines(told: Sequence[EntraRow]) -> Iterator[str]:
    """Rows of Entra's own log, as imported: what it did, by whose hand, and why it skipped."""
    for row in told:
        by = f" by {plain(row.initiated_by)} ({row.initiator_type})" if row.initiated_by else ""
        yield from wrap(f"{when(row.at)}: {row.action}, {row.status}{by}", "  ", "    ")
        named = (
            ("error", f"{row.error_code} {row.error_reason}".strip()),
            ("skipped because", row.skip_reason),
            *row.scoping.items(),
            ("cycle", row.cycle_id),
            ("change", row.change_id),
        )
        yield from wrap("; ".join(f"{plain(name)}: {plain(held)}" for name, held in named if held), "    ", "  ")


def _inferences(told: Sequence[Inference], further: bool) -> Iterator[str]:
    for inference in told:
        if further and inference.rule == "R7":
            continue
        sure = "a fact of ours" if inference.confidence == "fact" else f"confidence {inference.confidence}"
        yield f"  {inference.rule}, {inference.title} ({sure})"
        yield from wrap(plain(inference.statement), "    ")
        yield from wrap(f"Rests on {positions(inference.positions)}.", "    ")
        if inference.refuted_by:
            yield from wrap(f"Refuted by {plain(inference.refuted_by)}.", "    ")


def positions(held: Sequence[int]) -> str:
    """Positions as people read them; of many the first ones."""
    shown = ", ".join(str(position) for position in held[:_POSITIONS])
    more = f" and {len(held) - _POSITIONS} more" if len(held) > _POSITIONS else ""
    return f"{'position' if len(held) == 1 else 'positions'} {shown}{more}"


_POSITIONS = 8


def _unknown(told: Explanation) -> Iterator[str]:
    for sentence in told.unknown:
        yield from wrap(sentence, "  ", "  ")
    if told.search is not None:
        yield from searching(told.search)


def searching(search: Search) -> Iterator[str]:
    """Where to look, and for what."""
    yield f"  Look in: {search.log}"
    yield f"    {'time':<14}{_span(search.since, search.until)}"
    named = (
        ("source id", search.source_id),
        ("target id", search.target_id),
        ("name", search.user_name),
        ("ActivityId", ", ".join(search.activity_ids)),
    )
    yield from (f"    {name:<14}{plain(held)}" for name, held in named if held)
    for also in search.also:
        yield from wrap(f"also: {also}", "    ", "  ")


def _span(since: datetime, until: datetime) -> str:
    if since.date() == until.date():
        return f"{when(since).removesuffix(' UTC')} to {when(until).split(' ', 3)[3]}"
    return f"{when(since)} to {when(until)}"


def _steps(told: Sequence[str]) -> Iterator[str]:
    for step in told:
        yield from wrap(step, "  ", "  ")


def _state(told: Explanation) -> str:
    state, within = str(told.state), f", in {counted(told.held_count, 'group')}"
    if told.resource == "groups":  # None is active, and few are in others.
        state, within = "deleted" if told.deleted else "there", within if told.held_count else ""
    return f"{state} since {when(told.state_since)}{within}; read up to entry {told.size - 1}"


# One group, one attribute.


def pointed(told: Pointed) -> str:
    """The answer about one group or one attribute of somebody."""
    lines = [line for spell in told.spells for line in _spell(spell, told)]
    lines += [line for each in told.changes for line in _changed(each, told)]
    heading = f"{plain(told.called)} ({told.id})"
    if not lines:
        never = "never was in such a group" if told.group else "never had such an attribute changed"
        return f"{heading} {never}, as far as is recorded.\n"
    return "\n".join([heading, *lines]) + "\n"


def _spell(spell: GroupSpell, told: Pointed) -> Iterator[str]:
    held = spell.held
    name = group(held.group_id, held.group_name)
    yield from wrap(f"joined {name} on {_by(held.from_at, spell.joined_by, held.from_position, told)}", "  ", "    ")
    if held.to_at is None:
        yield "  and is in it still"
        return
    how = "the group was deleted" if held.ended_by == "GroupDeleted" else _how(held.explicit)
    left = _by(held.to_at, held.ended_in, held.to_position, told)
    yield from wrap(f"left it on {left}; {how}", "  ", "    ")
    if spell.joined_client and spell.left_client and spell.joined_client != spell.left_client:
        yield from wrap("Another client put the person in than took the person out.", "    ")


def _changed(each: Change, told: Pointed) -> Iterator[str]:
    yield from wrap(f"{_by(each.at, each.request_id, each.position, told)}: {change(each)}", "  ", "    ")
    if each.overwrote is not None:
        yield from wrap(overwrote(each.overwrote), "    ")


def _by(at: datetime, request_id: str, position: int | None, told: Pointed) -> str:
    request: RequestTold | None = told.requests.get(request_id)
    asked = request_line(request) if request is not None else f"{initiator(None)}, request {request_id}"
    return f"{when(at)} (position {position}) by {asked}"
