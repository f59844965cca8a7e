"""What a request wants with the members of a group, without having loaded a single one of them.

A group may have 100,000 members, so they are edges and no list. The operations of a PATCH, or the list in a
POST or PUT, become one `MemberChange`; together with the present state of just the edges it names it becomes
the ids that were added and removed.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from domain.attributes import JsonObject
from domain.errors import NoTarget
from domain.expressions import Comparison, Expression, Or
from domain.matching import holds_within


class MemberStep(Struct, frozen=True):
    """One operation on `members`.

    action: add, remove, replace (the list becomes exactly `ids`), or expect (a `replace` that changes nothing
    an immutable member has, but needs its target to be there).
    ids: the members named; for remove and expect None when a filter selects them, or all are meant.
    expression: the filter on elements, None without one.
    """

    action: str
    ids: tuple[str, ...] | None
    expression: Expression | None = None


class MemberChange(Struct, frozen=True):
    """The operations of a request on `members`, added up.

    clear: start from no members (replaced list, remove all); the writer then needs every open edge.
    present: then, id -> whether it shall be a member afterwards; the writer needs these edges.
    explicit: ids that an operation removed by name.
    expected: ids that have to be members already, else noTarget.
    steps: empty, unless an operation selects members by more than their id. Then the rest is empty, and
    `selected` turns this into a change without steps, given the elements of the group.
    """

    clear: bool = False
    present: dict[str, bool] = {}
    explicit: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    steps: tuple[MemberStep, ...] = ()

    @property
    def selects(self) -> bool:
        """Whether the group's elements have to be loaded first, for `selected`."""
        return bool(self.steps)

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is asked of the members."""
        return not (self.clear or self.present or self.expected or self.steps)

    @property
    def wanted(self) -> list[str]:
        """Ids that shall be members afterwards, in the order the request gave them."""
        return [member_id for member_id, wanted in self.present.items() if wanted]


def member_change(steps: Sequence[MemberStep]) -> MemberChange:
    """Add the steps up, in their order. Raises NoTarget when one expects a member another just removed."""
    if any(step.expression is not None for step in steps):
        return MemberChange(steps=tuple(steps))
    clear = False
    present: dict[str, bool] = {}
    explicit: set[str] = set()
    expected: set[str] = set()
    for step in steps:
        ids = step.ids or ()
        if step.action == "expect":
            expected.update(_still_expected(ids, present, clear))
            continue
        if step.action == "replace" or (step.action == "remove" and step.ids is None):
            clear, present = True, {}
        wanted = step.action != "remove"
        present.update(dict.fromkeys(ids, wanted))
        if not wanted:
            explicit.update(ids)
    return MemberChange(clear, present, frozenset(explicit), frozenset(expected))


def _still_expected(ids: Iterable[str], present: dict[str, bool], clear: bool) -> Iterable[str]:
    for member_id in ids:
        if member_id not in present and not clear:
            yield member_id
        elif not present.get(member_id):
            raise NoTarget("the path matches no member")


def replaced_by(ids: Iterable[str]) -> MemberChange:
    """The change of a PUT: exactly these members. For a POST it is the same on an empty group."""
    return member_change([MemberStep("replace", tuple(ids))])


def selected(change: MemberChange, elements: Iterable[JsonObject]) -> MemberChange:
    """The same change with its filters resolved.

    elements: every member of the group as SCIM shows it (value, type, display, $ref). A filter sees the
    result of the steps before it. Members found by a filter were not named: their removal is not explicit.
    """
    if not change.steps:
        return change
    state = {element["value"]: element for element in elements}
    plain: list[MemberStep] = []
    unnamed: set[str] = set()
    named: set[str] = set()
    for step in change.steps:
        found = step.ids
        if step.expression is not None:
            found = tuple(key for key, element in state.items() if holds_within(step.expression, element))
            if step.action == "expect" and not found:
                raise NoTarget("the path matches no member")
            unnamed.update(found)
        elif step.action == "remove":
            named.update(found or ())
        _advance(state, step.action, found)
        plain.append(MemberStep(step.action, found))
    result = member_change(plain)
    return MemberChange(result.clear, result.present, result.explicit - (unnamed - named), result.expected, ())


def _advance(state: dict[str, JsonObject], action: str, ids: tuple[str, ...] | None) -> None:
    """Bring the elements to what they are after one step; of a new member only the id is known."""
    if action == "remove" and ids is not None:
        for member_id in ids:
            state.pop(member_id, None)
        return
    if action in ("remove", "replace"):
        kept = {key: state[key] for key in ids or () if key in state}
        state.clear()
        state.update(kept)
    if action in ("add", "replace"):
        for member_id in ids or ():
            state.setdefault(member_id, {"value": member_id})


def resolve(change: MemberChange, open_members: Mapping[str, bool]) -> tuple[list[str], list[tuple[str, bool]]]:
    """Which edges open, and which close with whether an operation named the member.

    change: without steps, see `selected`. open_members: id -> whether it is a member now, for every id in
    `present` and `expected`, and for every member at all if the change clears; others count as no members.
    Raises NoTarget when an expected member is none.
    """
    assert not change.steps, "filters are resolved first"
    if not all(open_members.get(member_id) for member_id in change.expected):
        raise NoTarget("the path matches no member")
    added = [member_id for member_id in change.wanted if not open_members.get(member_id)]
    leaving: Iterable[str] = open_members if change.clear else change.present
    removed = [
        (member_id, member_id in change.explicit)
        for member_id in leaving
        if open_members.get(member_id) and not change.present.get(member_id)
    ]
    return added, removed


def named_ids(expression: Expression) -> tuple[str, ...] | None:
    """The ids of `value eq "a"`, also several joined by `or`; None for every other filter."""
    terms = expression.terms if isinstance(expression, Or) else (expression,)
    ids = []
    for term in terms:
        if not (isinstance(term, Comparison) and term.operator == "eq" and isinstance(term.literal, str)):
            return None
        if term.place.leaf.name != "value":
            return None
        ids.append(term.literal)
    return tuple(dict.fromkeys(ids))
