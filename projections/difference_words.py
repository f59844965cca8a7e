"""Differences between two moments as text for people and as one JSON document; both are made line by line."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec

from projections.attributes import short
from projections.differences import (
    CAME,
    CHANGED,
    GAINED,
    LEFT,
    Differences,
    MembershipDiffers,
    ResourceDiffers,
    Standing,
)
from projections.words import group, plain, value, when

_SIGNS = {CAME: "+", LEFT: "-", CHANGED: "~"}
_WAYS = ("renamed", "deactivated", "reactivated")
_encode = msgspec.json.Encoder().encode


def as_text(slug: str, told: Differences) -> Iterator[str]:
    """Lines for people: each resource with what differs, each group with who joined and left, and the totals."""
    yield f"What is different in {slug}, from {_standing(told.first)} to {_standing(told.last)}"
    yield ""
    for resource in told.resources():
        yield from _resource(resource)
    for (group_id, name), members in groupby(told.memberships(), lambda each: (each.group_id, each.group)):
        yield ""
        yield f"Group {group(group_id, name)}"
        for each in members:
            yield f"  {'+' if each.change == GAINED else '-'} {each.member_type} {_called(each.member, each.member_id)}"
    yield ""
    yield from _totals(told)


def _standing(told: Standing) -> str:
    if told.recorded_at is None:
        return "the beginning"
    return f"position {told.position} ({when(told.recorded_at)})"


def _resource(told: ResourceDiffers) -> Iterator[str]:
    yield f"{_SIGNS[told.change]} {told.type} {_called(told.name, told.id)} {told.change}"
    if told.change == CHANGED:
        for each in told.attributes:
            yield f"    {short(each.attribute)}: {value(each.before)} → {value(each.after)}"
        if told.activity:
            yield f"    {told.activity}"
    elif told.change == CAME and any(each.attribute == "active" and each.after is False for each in told.attributes):
        yield "    inactive"
    for membership in told.groups:
        verb = "joined" if membership.change == GAINED else "left"
        yield f"    {verb} the group {group(membership.group_id, membership.group)}"


def _called(name: str, id: str) -> str:
    return f"{plain(name)} ({id})" if name else id


def _totals(told: Differences) -> Iterator[str]:
    for kind, words in told.totals.resources.items():
        yield f"{kind}: " + _counts(words, CAME, LEFT, CHANGED) + _within(_counts(words, *_WAYS))
    memberships = told.totals.memberships
    if any(memberships.values()):
        yield "Memberships: " + ", ".join(f"{count:,} {word}" for word, count in memberships.items())
    if not told.totals.resources and not any(memberships.values()):
        yield "Nothing is different."


def _counts(words: dict[str, int], *shown: str) -> str:
    return ", ".join(f"{words[word]:,} {word}" for word in shown if word in words)


def _within(ways: str) -> str:
    return f" ({ways})" if ways else ""


def as_json(slug: str, told: Differences) -> Iterator[bytes]:
    """One JSON object in pieces: tenant, from, to, resources, memberships, totals."""
    yield b'{"tenant":' + _encode(slug) + b',"from":' + _encode(told.first) + b',"to":' + _encode(told.last)
    yield b',"resources":['
    yield from _listed(told.resources())
    yield b'],"memberships":['
    yield from _listed(told.memberships())
    yield b'],"totals":' + _encode(told.totals) + b"}"


def _listed(told: Iterable[ResourceDiffers | MembershipDiffers | dict[str, Any]]) -> Iterator[bytes]:
    comma = b"\n"
    for each in told:
        yield comma + _encode(each)
        comma = b",\n"
