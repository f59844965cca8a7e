"""Which request a row of Entra's log is about: same subject, equal action, nearest in time; never a guess."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.entra import Recorded, Sent, joined

NOON = datetime(2026, 7, 17, 12, tzinfo=UTC)


def sent(row_id: str, seconds: float, action: str = "update", status: str = "success", *subjects: str) -> Sent:
    return Sent(row_id, NOON + timedelta(seconds=seconds), 0, action, status, frozenset(subjects or ("ada",)))


def recorded(
    position: int, seconds: float, action: str = "update", status: str = "success", subject: str | None = "ada"
) -> Recorded:  # fmt: skip
    return Recorded(position, NOON + timedelta(seconds=seconds), action, status, subject)


@pytest.mark.parametrize(
    ("rows", "records", "found"),
    [
        ([sent("a", 0)], [recorded(7, 1)], {"a": 7}),
        ([sent("a", 0)], [recorded(7, 10.1)], {}),
        ([sent("a", 0)], [recorded(7, 1, subject="bob")], {}),
        ([sent("a", 0)], [recorded(7, 6), recorded(8, -5), recorded(9, 9)], {"a": 8}),
        # Equal action before a nearer one.
        ([sent("a", 0, "disable")], [recorded(7, 1, "update", "failure"), recorded(8, 4, "disable")], {"a": 8}),
        # A refused PATCH is an update here, whatever it was to do; one without effect is `other`.
        ([sent("a", 0, "disable", "failure")], [recorded(7, 1, "update", "failure")], {"a": 7}),
        ([sent("a", 0, "disable")], [recorded(7, 1, "other", "skipped")], {"a": 7}),
        ([sent("a", 0, "update")], [recorded(7, 1, "enable")], {"a": 7}),
        # Nothing was sent.
        ([sent("a", 0, "update", "skipped")], [recorded(7, 0)], {}),
        ([sent("a", 0, "stageddelete")], [recorded(7, 0, "delete")], {}),
        # A clock that is late: the earlier row is about the earlier request.
        ([sent("a", 0.4), sent("b", 0.9)], [recorded(7, 0), recorded(8, 0.5)], {"a": 7, "b": 8}),
        # Whole seconds.
        ([sent("a", 0), sent("b", 0), sent("c", 1)], [recorded(p, p / 4) for p in (1, 2, 5)], {"a": 1, "b": 2, "c": 5}),
        # Repetitions of a refusal are recorded behind what came after them.
        ([sent("a", 1.2)], [recorded(7, 0), recorded(8, 20), recorded(9, 1)], {"a": 9}),
        ([sent("a", 0), sent("b", 1)], [recorded(7, 1), recorded(9, 0)], {"a": 9, "b": 7}),
        # A failed creation whose name somebody else has is not that one's change.
        ([sent("a", 0, "create", "failure")], [recorded(7, 0, "update")], {}),
    ],
)
def test_a_row_is_about_the_request_that_it_can_only_be(
    rows: list[Sent], records: list[Recorded], found: dict[str, int]
) -> None:
    assert joined(rows, records) == found


def test_a_failed_creation_is_the_refused_one_of_that_moment_or_nobodys() -> None:
    refused = recorded(7, 1, "create", "failure", None)
    failed = sent("a", 0, "create", "failure", "nobody")
    assert joined([failed], [refused]) == {"a": 7}
    assert joined([failed], [refused, recorded(8, 2, "create", "failure", None)]) == {}
    assert joined([failed, sent("b", 3, "create", "failure", "x")], [refused]) == {}
    assert joined([failed, sent("b", 60, "create", "failure", "x")], [refused]) == {"a": 7}


SECONDS = st.integers(0, 300).map(lambda tenths: tenths / 10)
ACTIONS = st.sampled_from(["create", "update", "disable", "other"])
STATUSES = st.sampled_from(["success", "failure", "skipped"])


@given(
    st.lists(st.tuples(SECONDS, ACTIONS, STATUSES, st.sampled_from(["ada", "bob"])), max_size=12),
    st.lists(st.tuples(SECONDS, ACTIONS, STATUSES, st.sampled_from(["ada", "bob", None])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_and_requests_does_not_matter(
    their: list[tuple[float, str, str, str]], our: list[tuple[float, str, str, str | None]], chance: random.Random
) -> None:
    """And no request is two rows', none of another subject, none out of reach."""
    rows = [sent(f"r{n}", *each[:3], each[3]) for n, each in enumerate(their)]
    records = [recorded(n, *each) for n, each in enumerate(sorted(our, key=lambda each: each[0]))]
    found = joined(rows, records)
    assert joined(chance.sample(rows, len(rows)), chance.sample(records, len(records))) == found
    assert len(set(found.values())) == len(found)
    by_row, by_position = {row.row_id: row for row in rows}, {record.first_position: record for record in records}
    for row_id, position in found.items():
        row, record = by_row[row_id], by_position[position]
        assert abs(row.at - record.at) <= timedelta(seconds=10)
        assert record.subject_id is None or record.subject_id in row.subject_ids
