"""What is told to be different between two moments is exactly what leads from the one to the other."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from living import FULL_LIFE, LIFE, Living, Step, added_up
from peopling import Directory, Json

from domain.changes import assigned
from domain.resources import difference
from domain.schemas import GROUP, STANDARD, USER
from ledger.reader import Reader
from ledger.vault import Keys
from projections.differences import Differences, MembershipDiffers, ResourceDiffers, Standing
from tests.conftest import Database
from tests.ledger.desk import Connection, Desk, Offices
from tests.projections.test_asof import read_all

RANDOM = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Edge = tuple[str, str]  # group, member


class State:
    """Everybody at a moment, by id, and who belongs to which group."""

    def __init__(self, directory: Directory) -> None:
        self.resources: dict[str, tuple[str, Json]] = {
            **{made.id: (USER.name, made.resource) for made in directory.users},
            **{made.id: (GROUP.name, made.resource) for made in directory.groups},
        }
        self.edges: set[Edge] = {(made.id, member) for made in directory.groups for member, _ in made.members}

    def apply(self, resources: list[ResourceDiffers], memberships: list[MembershipDiffers]) -> None:
        """Do what differences say."""
        for told in resources:
            _, resource = self.resources.pop(told.id, (told.type, {}))
            for each in told.attributes:
                resource = assigned(resource, each.attribute, each.after)
            if told.change != "left":
                self.resources[told.id] = (told.type, resource)
        for membership in memberships:
            edge = (membership.group_id, membership.member_id)
            assert (edge in self.edges) is (membership.change == "lost")
            self.edges ^= {edge}

    def is_same(self, other: "State") -> bool:
        """Whether nobody and nothing differs; elements of lists have no order."""
        kinds = {kind.name: kind for kind in STANDARD.types}
        return (
            self.edges == other.edges
            and self.resources.keys() == other.resources.keys()
            and all(
                kind == other.resources[each][0] and not difference(old, other.resources[each][1], kinds[kind])
                for each, (kind, old) in self.resources.items()
            )
        )


def state(reader: Reader, at: int) -> State:
    return State(added_up(reader.tenant.tenant_id, reader.entries_after(0, at + 1) if at >= 0 else []))


def told(reader: Reader, first: int, last: int) -> tuple[list[ResourceDiffers], list[MembershipDiffers]]:
    with Differences(reader, STANDARD, Standing(first, None), Standing(last, None)).opened() as differences:
        return list(differences.resources()), list(differences.memberships())


def net(resources: list[ResourceDiffers], memberships: list[MembershipDiffers]) -> dict[Any, Any]:
    """Differences by what they are about: what was, and what is."""
    found: dict[Any, Any] = {}
    for each in resources:
        found[each.id] = (each.change != "came", each.change != "left")
        found |= {(each.id, one.attribute): (one.before, one.after) for one in each.attributes}
    for membership in memberships:
        gained = membership.change == "gained"
        found[membership.group_id, membership.member_id, ""] = (not gained, gained)
    return found


def one_after_the_other(first: dict[Any, Any], second: dict[Any, Any]) -> dict[Any, Any]:
    """The net of two nets: what was before both, and what is after both, unless that is the same."""
    both = {key: (first.get(key, change)[0], change[1]) for key, change in {**first, **second}.items()}
    return {key: change for key, change in both.items() if isinstance(key, str) or not equal(*key[1:2], *change)}


def equal(attribute: str, before: Any, after: Any) -> bool:
    if isinstance(before, list) and isinstance(after, list):
        return not difference({attribute: before}, {attribute: after}, USER)
    return bool(before == after)


def check(reader: Reader, first: int, middle: int, last: int) -> None:
    """The laws, for three positions in order."""
    whole = told(reader, first, last)
    then = state(reader, first)
    then.apply(*whole)
    assert then.is_same(state(reader, last))
    composed = one_after_the_other(net(*told(reader, first, middle)), net(*told(reader, middle, last)))
    expected = net(*whole)
    present = {key: change for key, change in composed.items() if not (isinstance(key, str) and key not in expected)}
    assert present == expected
    for key in composed.keys() - expected.keys():  # Who came and left again, or changed back.
        assert composed[key][0] == composed[key][1]


async def test_the_laws_hold_between_any_positions_of_a_full_life(desk: Desk, auditor: Connection, keys: Keys) -> None:
    """Applied to the first state they give the second one; one stretch of time is the net of its halves."""
    await Living(desk).take(FULL_LIFE)
    reader = read_all(desk, auditor, keys)
    end = reader.size() - 1
    for first in range(-1, end, 3):
        for last in range(first, end + 1, 4):
            check(reader, first, (first + last) // 2, last)


@RANDOM
@given(st.data(), LIFE)
def test_the_laws_hold_between_any_positions_of_any_ledger(
    loop: asyncio.Runner, offices: Offices, database: Database, auditor: Connection, keys: Keys, data: st.DataObject,
    life: list[Step],
) -> None:  # fmt: skip
    desk = Desk.new(offices, database, keys)
    loop.run(Living(desk).take(life))
    reader = read_all(desk, auditor, keys)
    positions = st.integers(-1, reader.size() - 1)
    check(reader, *sorted(data.draw(st.tuples(positions, positions, positions))))
