"""The whole answer to *why* in plain words: every record the name means, as one story where they are one person's."""

from collections.abc import Iterator

from projections.asking import Absent, Why
from projections.explaining import entra_lines, explanation, pointed, searching, sectioned, trouble_lines
from projections.inferences import Link
from projections.words import counted, plain, when, wrap

_RULE = "\n" + "-" * 72 + "\n\n"


def story(told: Why) -> str:
    """The whole answer, as text."""
    if told.absent is not None:
        return _absent(told.subject, told.absent)
    if told.pointed:
        return "\n".join(pointed(each) for each in told.pointed) + _more(told)
    linked = {each for link in told.links for each in (link.older, link.newer)}
    parts = [
        explanation(each, further=number > 0 and each.id in linked) for number, each in enumerate(told.explanations)
    ]
    if len(parts) > 1:
        parts.insert(0, "\n".join(_records(told)) + "\n")
    if told.others:
        parts.append("\n".join(_others(told)) + "\n")
    return _RULE.join(parts) + _more(told)


def _records(told: Why) -> Iterator[str]:
    """Which records the answer tells of, oldest first, and what makes them one person's."""
    yield from wrap(f"{len(told.explanations)} records have or had a part in this; each is told of below.")
    for each in sorted(told.explanations, key=lambda each: each.created.position):
        until = f" to {when(each.deleted.at)}" if each.deleted is not None else ""
        yield from wrap(
            f"{each.id}  {plain(each.called)}: {each.state}, from {when(each.created.at)}{until}", "  ", "  "
        )
    if not told.links:
        one = "group" if all(each.resource == "groups" for each in told.explanations) else "person"
        yield from wrap(f"Nothing says that they are one {one}: the name was held by one after the other.", "  ")
    for link in told.links:
        yield from wrap(_link(link), "  ", "  ")


def _link(link: Link) -> str:
    return (
        f"{link.newer} seems to be {link.older} again: same {' and '.join(link.kinds)}, within 24 hours "
        f"({link.rule}, confidence {link.confidence}; positions {link.ended_position} and {link.created_position})."
    )


def _others(told: Why) -> Iterator[str]:
    yield f"The others of the mass change ({len(told.others):,})"
    for other in told.others:
        now = "active again" if other.active else "not active" if other.user_name else "gone"
        yield f"  {other.id}  {plain(other.user_name)}".rstrip() + f", {now}"


def _more(told: Why) -> str:
    return f"\nAnd {counted(told.more, 'more record')} had that name: ask for one by its id.\n" if told.more else ""


def _absent(subject: str, told: Absent) -> str:
    name = plain(subject)
    if told.troubles:
        verdict = f"{name} was never provisioned here: a client asked for it and was refused."
    else:
        verdict = f"{name} was never provisioned here: no request that names it is recorded."
    unknown = [line for sentence in told.unknown for line in wrap(sentence, "  ", "  ")]
    read = f"  Recorded until {when(told.recorded_until)}." if told.recorded_until else "  Nothing is recorded yet."
    return sectioned(
        [
            ("", wrap(verdict)),
            ("Refused requests", [*trouble_lines(told.troubles)]),
            ("What Entra's own log says", [*entra_lines(told.entra)]),
            ("What cannot be known here", [*unknown, *searching(told.search)]),
            ("What to do next", [line for step in told.next_steps for line in wrap(step, "  ", "  ")]),
            ("State now", [read]),
        ]
    )
