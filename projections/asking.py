"""*Why*, put to the ledger: everybody the name means or ever meant, records of one person as one story.

Somebody who never came to be has a story too: the requests that were refused.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import Struct

from domain.declarations import resource_types
from domain.errors import InvalidValue
from ledger.declarations import present_declarations
from ledger.reader import Reader
from projections.answers import candidates_for, read_up_to
from projections.directory import resource_of
from projections.entra import EntraRow, entra_told_of
from projections.evidence import Evidence
from projections.gathering import BURST_MAX, gather, refused_by_name
from projections.guidance import WINDOW, Search, search_for_absent
from projections.inferences import Link, is_burst, linked
from projections.parts import Part, parts_asked
from projections.pointed import Pointed, about_attribute, about_group
from projections.subjects import Candidate, Match, NoSuchSubject, name_keys
from projections.trail import HAPPENED_AT
from projections.why import Explanation, Trouble, explain, troubles

_TOLD_MAX = 10  # Records; a name that more had in turn is told of the latest.
_OTHERS_MAX = 100_000
_ENTRA_MAX = 10
_LATEST_SOFTWARE = f"""
select t.user_agent,
       {HAPPENED_AT}
  from trail t
 where t.tenant_id = %(tenant)s
 order by t.first_position desc
 limit 1
"""  # noqa: S608  # Columns of ours.
_OTHERS = """
select u.id::text, u.document, u.active is distinct from false
  from users u
 where u.tenant_id = %(tenant)s
   and u.id = any(%(ids)s::uuid[])
"""


class Absent(Struct, frozen=True):
    """Nobody is or ever was called so: what was refused that would have made it so, and where to look.

    troubles: empty when nothing was asked for. entra: what Entra's own log says of the name.
    recorded_until: the time of the newest request, whatever it was about.
    """

    troubles: list[Trouble]
    entra: list[EntraRow]
    recorded_until: datetime | None
    unknown: list[str]
    search: Search
    next_steps: list[str]

    @property
    def is_told_of(self) -> bool:
        """Whether anything at all is known of the name."""
        return bool(self.troubles or self.entra)


class Other(Struct, frozen=True):
    """Somebody else whom the same mass change took. user_name: empty for who is gone. active: again, by now."""

    id: str
    user_name: str
    active: bool


class Why(Struct, frozen=True, kw_only=True):
    """The story of everybody the name means or ever meant, the present or latest holder first.

    subject: as asked. size: how many entries the answer has read; the last is at `size - 1`.
    links: which of the records seem one person's. more: how many records are not told of.
    absent: instead of explanations, for somebody who never was here. pointed: instead of them, when one group or
    attribute was asked about. others: whom else the mass change took, when asked for.
    """

    subject: str
    size: int
    explanations: list[Explanation] = []
    links: list[Link] = []
    more: int = 0
    absent: Absent | None = None
    pointed: list[Pointed] = []
    others: list[Other] = []


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked besides *why*.

    record: the id of the only record to tell of. group, attribute: to tell of nothing else. others: also name the
    others of a mass change.
    """

    record: str = ""
    group: str = ""
    attribute: str = ""
    others: bool = False


def why(reader: Reader, subject: str, asked: Asked | None = None, *, now: datetime | None = None) -> Why:
    """Explain. now: for whom time stands still.

    Raises NoSuchSubject, also of a record or group that is not there; InvalidValue for what can be no attribute.
    """
    asked = asked or Asked()
    try:
        candidates = _meant(reader, subject, asked)
    except NoSuchSubject:
        if asked.record or asked.group or asked.attribute:
            raise
        size = read_up_to(reader, "trail")
        return Why(subject=subject, size=size, absent=_absent(reader, subject, size, now or datetime.now(UTC)))
    size = read_up_to(reader, "trail")  # After that, so that whoever was found is below it.
    read_up_to(reader, "runs")
    told = candidates[:_TOLD_MAX]
    more = len(candidates) - len(told)
    if asked.group:
        return Why(subject=subject, size=size, more=more, pointed=_about_group(reader, told, asked.group, size))
    if asked.attribute:
        about = _about_attribute(reader, told, asked.attribute, size)
        return Why(subject=subject, size=size, more=more, pointed=about)
    burst_max = _OTHERS_MAX if asked.others else BURST_MAX
    gathered = [gather(reader, each, size, now or datetime.now(UTC), burst_max) for each in told]
    links: list[Link] = []
    if not asked.record:
        gathered, links = _with_kin(reader, gathered, size)
    return Why(
        subject=subject,
        size=size,
        explanations=[explain(evidence) for evidence in gathered],
        links=links,
        more=more,
        others=_others(reader, gathered) if asked.others else [],
    )


def _meant(reader: Reader, subject: str, asked: Asked) -> list[Candidate]:
    _, candidates = candidates_for(reader, subject)
    if not asked.record:
        return candidates
    chosen = [each for each in candidates if each.id == asked.record.strip().lower()]
    if not chosen:
        raise NoSuchSubject(reader.tenant, f"{subject} with the id {asked.record}")
    return chosen


def _about_group(reader: Reader, candidates: list[Candidate], name: str, size: int) -> list[Pointed]:
    return [about_group(reader, each, name, size) for each in candidates]


def _about_attribute(reader: Reader, candidates: list[Candidate], name: str, size: int) -> list[Pointed]:
    """Tell of the records whose type has the attribute. Raises InvalidValue when none has."""
    types = resource_types(present_declarations(reader.connection, reader.tenant.tenant_id)).by_stream
    having: list[tuple[Candidate, list[Part]]] = []
    refusals: list[InvalidValue] = []
    for each in candidates:
        try:
            having.append((each, parts_asked(name, types[each.resource])))
        except InvalidValue as refusal:
            refusals.append(refusal)
    if not having:
        raise refusals[0]
    return [about_attribute(reader, each, name, parts, size) for each, parts in having]


def _with_kin(reader: Reader, gathered: list[Evidence], size: int) -> tuple[list[Evidence], list[Link]]:
    """Add the records that seem to be the same person's under another name."""
    links: dict[tuple[str, str], Link] = {}
    gathered = [*gathered]
    known = {evidence.id for evidence in gathered}
    for evidence in gathered:  # Grows while it is walked: a record's past may have one of its own.
        for kin in evidence.kin:
            link = linked(evidence, kin)
            if link is None:
                continue
            links[link.older, link.newer] = link
            if kin.id not in known and len(gathered) < _TOLD_MAX:
                known.add(kin.id)
                candidate = Candidate("users", kin.id, False, [Match("id")])
                gathered.append(gather(reader, candidate, size, evidence.asked_at))
    return gathered, sorted(links.values(), key=lambda link: link.created_position)


def _absent(reader: Reader, subject: str, size: int, now: datetime) -> Absent:
    refusals = refused_by_name(reader, subject, size)
    latest = reader.found(_LATEST_SOFTWARE)
    software, recorded_until = latest[0] if latest else ("", None)
    if refusals:
        software = refusals[0].user_agent
        since, until = refusals[-1].at - WINDOW, refusals[0].at + WINDOW
    else:
        since, until = now - timedelta(days=1), now
    told = entra_told_of(reader.connection, reader.tenant, name_keys(subject), count=_ENTRA_MAX)
    if not refusals and not told and _is_id(subject):
        raise NoSuchSubject(reader.tenant, subject)
    return Absent(
        troubles=troubles(refusals),
        entra=told,
        recorded_until=recorded_until,
        unknown=[
            "Whether a client looked for this name, as most do before they create: reads that succeed leave no entry.",
            "Whether the identity provider ever meant to provision this person.",
        ],
        search=search_for_absent(subject, software, since, until),
        next_steps=[
            "Correct what the refusals name at the identity provider, then let it try again."
            if refusals
            else "See at the identity provider that the person is assigned, in scope, and has the name it is to be "
            "known by here. If it says that it provisioned the person, compare the name and the Tenant URL it uses."
        ],
    )


def _is_id(subject: str) -> bool:
    try:
        UUID(subject.strip())
    except ValueError:
        return False
    return True


def _others(reader: Reader, gathered: list[Evidence]) -> list[Other]:
    """Name whom else the mass changes took: by their present names, for who is still there."""
    ids = [
        user_id
        for evidence in gathered
        if evidence.burst is not None and is_burst(evidence.burst)
        for user_id in evidence.burst.user_ids
        if user_id != evidence.id
    ][:_OTHERS_MAX]
    rows = reader.found(_OTHERS, ids=ids) if ids else []
    there = {row[0]: Other(row[0], str(resource_of(bytes(row[1])).get("userName", "")), row[2]) for row in rows}
    return [there.get(user_id, Other(user_id, "", False)) for user_id in dict.fromkeys(ids)]
