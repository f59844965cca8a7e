"""Pointed questions about one person: who took this group away, who changed this attribute. Bounded like *why*."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from ledger.reader import Reader
from projections.parts import Part, narrowed
from projections.story import (
    Change,
    GroupHeld,
    GroupNames,
    RequestTold,
    change,
    first_position,
    in_requests,
    last_name,
    marked,
    names_held,
    requests_told,
)
from projections.subjects import Candidate, NoSuchSubject, find_subjects, names_of

_NEWEST = 500

_SPELLS = """
select m.group_id::text, m.from_position, m.to_position
  from memberships m
 where m.tenant_id = %(tenant)s
   and m.group_id = any(%(groups)s::uuid[])
   and m.member_id = %(id)s::uuid
   and m.from_position < %(size)s
 order by m.from_position desc
 limit %(count)s
"""


class GroupSpell(Struct, frozen=True):
    """One time in a group. joined_by: the request's id. joined_client, left_client: who sent it."""

    held: GroupHeld
    joined_by: str
    joined_client: str = ""
    left_client: str = ""


class Pointed(Struct, frozen=True):
    """The answer about one group or attribute of one record. group, attribute: which was asked about, or empty."""

    id: str
    called: str
    group: str
    attribute: str
    spells: list[GroupSpell]
    changes: list[Change]
    requests: dict[str, RequestTold]


def about_group(reader: Reader, candidate: Candidate, asked: str, size: int) -> Pointed:
    """Tell every time that somebody was in a group. Raises NoSuchSubject when no group is or was called so."""
    found = find_subjects(reader.connection, reader.tenant, asked)
    group_ids = [each.id for each in found if each.resource == "groups"]
    if not group_ids:
        raise NoSuchSubject(reader.tenant, asked)
    parameters = {"groups": group_ids, "id": candidate.id, "size": size, "count": _NEWEST}
    rows = reader.found(_SPELLS, **parameters)[::-1]
    named = {row[2] for row in names_of(reader.connection, reader.tenant, [*group_ids, candidate.id])}
    ends = {position for row in rows for position in row[1:] if position is not None and position < size}
    entries = {entry.position: entry for entry in reader.at(ends | named)}
    entries |= {e.position: e for e in reader.at({first_position(e) for e in entries.values()} - entries.keys())}
    told = requests_told(entries[position] for position in sorted(entries))
    names = GroupNames(entries[position] for position in sorted(entries))
    spells = []
    for group_id, since, until in rows:
        joined, left = entries[since], entries.get(until) if until is not None else None
        held = GroupHeld(
            group_id, names.at(group_id, size if until is None else until), since, joined.recorded_at,
            *(
                (until, left.recorded_at, left.event_type, getattr(left.event, "explicit", False), left.request_id)
                if left is not None
                else ()
            ),
        )  # fmt: skip
        clients = [told[e.request_id].token_id if e and e.request_id in told else "" for e in (joined, left)]
        spells.append(GroupSpell(held, joined.request_id, *clients))
    wanted = {each for spell in spells for each in (spell.joined_by, spell.held.ended_in)}
    requests = {request_id: request for request_id, request in told.items() if request_id in wanted}
    own = [entries[position] for position in sorted(entries)]
    return Pointed(candidate.id, _called(own, candidate), asked, "", spells, [], requests)


def about_attribute(reader: Reader, candidate: Candidate, asked: str, parts: Iterable[Part], size: int) -> Pointed:
    """Tell every change of an attribute, or of a part of one, and whose value each put aside. parts: what is asked."""
    where = "tenant_id = %s and stream = %s and position < %s and not starts_with(event_type, 'Membership')"
    newest = reader.selected(f"{where} order by stream_version desc limit %s", candidate.stream, size, _NEWEST)
    first = reader.selected("tenant_id = %s and stream = %s and stream_version = 1", candidate.stream)
    entries = {entry.position: entry for entry in (*first, *newest)}
    firsts = reader.at({first_position(entry) for entry in entries.values()} - entries.keys())
    told = requests_told(sorted((*entries.values(), *firsts), key=lambda entry: entry.position))
    own = [entries[position] for position in sorted(entries)]
    names = GroupNames(own)
    changed = marked(narrowed([change(entry, names) for entry in own], parts), told)
    changes = [each for each in changed if each.attribute]  # A creation gives a value; it changes none.
    return Pointed(candidate.id, _called(own, candidate), "", asked, [], changes, in_requests(changes, told))


def _called(own: Sequence[Any], candidate: Candidate) -> str:
    return last_name(names_held(own, candidate.id), candidate.resource) or candidate.id
