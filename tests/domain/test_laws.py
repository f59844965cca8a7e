"""What holds for every resource, operation and filter, as far as hypothesis can think of them."""

import copy
import json
from contextlib import suppress
from typing import Any

from drawing import BODY, ELEMENTS, FILTER, OPERATIONS
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from vectors import Json, patch_body

from domain import users
from domain.errors import ScimError
from domain.events import Deactivated, UserCreated, UserEvent
from domain.expressions import And, Comparison, Expression, Not, Or, Present, Within, print_expression
from domain.filters import matches, parse_filter
from domain.matching import values
from domain.patches import apply_patch, read_patch
from domain.paths import parse_path
from domain.profiles import LENIENT, STRICT, Profile
from domain.resources import difference, read_resource, same, schemas_of
from domain.schemas import GROUP, RESOURCE_TYPES, USER
from domain.search import search_document, search_term, search_terms
from domain.users import User

PROFILES = st.sampled_from([LENIENT, STRICT])


def read(body: Json, profile: Profile = LENIENT) -> Json:
    return read_resource(body, USER, profile).resource


def is_same(before: Json, after: Json) -> bool:
    return difference(before, after, USER) == []


def folded(user: User | None, events: list[UserEvent]) -> User:
    for event in events:
        user = users.evolve(user, event)
    assert user is not None
    return user


# --- patch, difference, evolve


@settings(max_examples=250, deadline=None)
@given(BODY, OPERATIONS, PROFILES)
def test_patch_then_difference_then_evolve_is_the_patched_resource(
    body: Json, operations: list[Json], profile: Profile
) -> None:
    """And a second look finds nothing left to change; neither resource nor request were touched."""
    user = User("u", read(body), 1)
    before, asked = copy.deepcopy(user), copy.deepcopy(operations)
    with suppress(ScimError):
        patched = apply_patch(read_patch(patch_body(*operations), USER, profile), user.resource)
        events = users.change(user, patched, USER)
        after = folded(user, events)
        assert is_same(after.resource, patched.resource)
        assert is_same(patched.resource, after.resource)
        assert after.version == user.version + len(events)
        assert users.change(after, patched, USER) == []
        assert_canonical(patched.resource)
    assert (user, operations) == (before, asked)


def assert_canonical(resource: Json) -> None:
    """Nothing unassigned is kept, no value stands twice, one is primary at most."""
    assert resource["userName"]
    for value in resource.values():
        assert value is not None and value != [] and value != {}
        if isinstance(value, dict):
            assert None not in value.values()
    emails = resource.get("emails", [])
    assert all(element and None not in element.values() for element in emails)
    assert sum(element.get("primary") is True for element in emails) <= 1
    keys = [
        (e["value"].lower(), e.get("type", "").lower()) for e in emails if e.get("value", "").isascii() and "value" in e
    ]
    assert len(keys) == len(set(keys))


@settings(max_examples=150, deadline=None)
@given(BODY, OPERATIONS, PROFILES)
def test_operations_are_applied_one_after_the_other(body: Json, operations: list[Json], profile: Profile) -> None:
    """PA-05: one request of several operations equals as many requests; or all of it is refused (PA-06)."""
    resource = read(body)
    try:
        at_once = apply_patch(read_patch(patch_body(*operations), USER, profile), resource).resource
    except ScimError:
        assume(False)
    for operation in operations:
        resource = apply_patch(read_patch(patch_body(operation), USER, profile), resource).resource
    assert resource == at_once


@settings(max_examples=150, deadline=None)
@given(BODY, BODY)
def test_a_put_leaves_what_was_put(before: Json, after: Json) -> None:
    """Apart from `active`, which it keeps when the body is silent; the same PUT again is nothing."""
    user = User("u", read(before), 1)
    reading = read_resource(after, USER, LENIENT)
    events = users.replace(user, reading, USER)
    put = folded(user, events)
    wanted = {"active": before["active"]} if "active" in before else {}
    assert is_same(put.resource, wanted | read(after))
    assert users.replace(put, reading, USER) == []


@settings(max_examples=100, deadline=None)
@given(BODY, st.lists(OPERATIONS, max_size=4), st.data())
def test_folding_in_two_halves_equals_folding_once(body: Json, requests: list[list[Json]], data: st.DataObject) -> None:
    user = folded(None, [UserCreated("u", read(body))])
    history: list[UserEvent] = [UserCreated("u", user.resource)]
    for operations in requests:
        with suppress(ScimError):
            events = users.change(
                user, apply_patch(read_patch(patch_body(*operations), USER, LENIENT), user.resource), USER
            )
            user = folded(user, events)
            history += events
    cut = data.draw(st.integers(1, len(history)))
    assert folded(folded(None, history[:cut]), history[cut:]) == folded(None, history) == user
    assert user.version == len(history)


@settings(max_examples=150, deadline=None)
@given(BODY)
def test_reading_what_was_read_changes_nothing(body: Json) -> None:
    """PU-12: GET, then PUT of exactly that body; JSON in between."""
    resource = read(body)
    shown = {"schemas": schemas_of(resource, USER), "id": "u", "meta": {}, **resource}
    again = read_resource(json.loads(json.dumps(shown)), USER, STRICT)
    assert again.resource == resource
    assert again.quirks == ()


@settings(max_examples=100, deadline=None)
@given(ELEMENTS, st.randoms(use_true_random=False))
def test_elements_have_no_order(elements: list[Json], random: Any) -> None:
    """PD-11, and `primary: false` is no `primary`."""
    shuffled = [{**element} for element in elements]
    random.shuffle(shuffled)
    for element in shuffled:
        if element.get("primary") is False:
            del element["primary"]
    emails = USER.core["emails"]
    assert same(emails, elements, shuffled) and same(emails, shuffled, elements)
    assert not same(emails, elements, [*shuffled, {"value": "one more"}])


def test_deactivation_is_never_a_side_effect() -> None:
    """No PATCH without `active` in it deactivates, whatever else it says."""

    @settings(max_examples=100, deadline=None)
    @given(BODY, OPERATIONS)
    def holds(body: Json, operations: list[Json]) -> None:
        assume("active" not in json.dumps(operations))
        user = User("u", read(body), 1)
        with suppress(ScimError):
            events = users.change(
                user, apply_patch(read_patch(patch_body(*operations), USER, LENIENT), user.resource), USER
            )
            assert not any(isinstance(event, Deactivated) for event in events)

    holds()


# --- filters


@settings(max_examples=250, deadline=None)
@given(FILTER)
@example('not (emails[not (type eq "a") and (primary eq false or value pr)]) or title ne null and not (id pr)')
def test_a_printed_filter_is_the_filter(text: str) -> None:
    """parse(print(filter)) is the filter; so what diagnostics show is what was asked."""
    expression = parse_filter(text, (USER,)).of(USER)
    again = parse_filter(print_expression(expression), (USER,)).of(USER)
    assert flat(again) == flat(expression)
    assert print_expression(again) == print_expression(expression)


def flat(expression: Expression) -> Expression:
    """Parentheses around what is joined by the same word anyway do not matter."""
    match expression:
        case And(terms):
            parts = [flat(term) for term in terms]
            return And(tuple(p for part in parts for p in (part.terms if isinstance(part, And) else (part,))))
        case Or(terms):
            parts = [flat(term) for term in terms]
            return Or(tuple(p for part in parts for p in (part.terms if isinstance(part, Or) else (part,))))
        case Not(term):
            return Not(flat(term))
        case Within(place, inner):
            return Within(place, flat(inner))
        case _:
            return expression


@settings(max_examples=150, deadline=None)
@given(FILTER, FILTER, BODY)
def test_filters_follow_the_laws_of_logic(one: str, other: str, body: Json) -> None:
    resource = {**read(body), "id": "u", "meta": {"resourceType": "User", "created": "2024-01-01T01:00:00+01:00"}}

    def holds(text: str) -> bool:
        return matches(parse_filter(text, (USER,)), resource)

    first, second = holds(one), holds(other)
    assert holds(f"not ({one})") is not first
    assert holds(f"({one}) and ({other})") is (first and second)
    assert holds(f"({one}) or ({other})") is (first or second)
    # Over several types only the resource's own counts.
    assert matches(parse_filter(one, RESOURCE_TYPES), resource) is first


# --- search documents


@settings(max_examples=200, deadline=None)
@given(BODY, FILTER)
def test_what_a_filter_finds_by_eq_has_its_term(body: Json, text: str) -> None:
    """Otherwise the index would hide it."""
    resource = read(body)
    terms = search_terms(7, search_document(resource, USER))
    for comparison in comparisons(parse_filter(text, (USER,)).of(USER)):
        place, literal = comparison.place, comparison.literal
        if comparison.operator != "eq" or literal is None or place.path == "active":
            continue
        raw = [value for value in values(place, resource) if value is not None]
        if any(place.leaf.prepare(value) == literal for value in raw):
            path = place.path
            assert search_term(7, path, literal) in terms


def comparisons(expression: Expression) -> list[Comparison]:
    match expression:
        case Comparison():
            return [expression]
        case And(terms) | Or(terms):
            return [found for term in terms for found in comparisons(term)]
        case Not(inner) | Within(_, inner):
            return comparisons(inner)
        case Present():
            return []
        case _:
            raise AssertionError("every type here defines every attribute")


@settings(max_examples=150, deadline=None)
@given(BODY, st.randoms(use_true_random=False))
def test_a_search_document_follows_from_the_resource_alone(body: Json, random: Any) -> None:
    """Not from the order of members, from what was searched before, or from `active`."""
    resource = read(body)
    names = list(resource)
    random.shuffle(names)
    other = {name: resource[name] for name in names} | {"active": not resource.get("active")}
    document = search_document(resource, USER)
    assert search_document(other, USER) == document
    assert search_terms(3, search_document(other, USER)) == search_terms(3, document)
    assert search_document(document, USER) == document, "comparable values stay what they are"
    assert "active" not in document
    assert json.loads(json.dumps(document)) == document


# --- garbage

ALPHABET = st.text(st.sampled_from(' ()[]".,:\\$/-_eqandorntpTRue019éσ🦊\u0301\ud800\0\n'), max_size=24)
WORDS = st.lists(
    st.sampled_from(
        [
            *("userName", "emails", "emails[", "]", ".value", "(", ")", "not", "and", "or", "eq", "pr", "co", " ", " "),
            *(
                '"x"',
                '"',
                "5",
                "-1e9",
                "1e999",
                "null",
                "true",
                "members",
                "meta.created",
                "active",
                "urn:x:",
                "[0]",
                "\\",
            ),
        ]
    ),
    max_size=12,
)
GARBAGE = ALPHABET | WORDS.map("".join) | WORDS.map(" ".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | GARBAGE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            GARBAGE
            | st.sampled_from(
                ["userName", "emails", "value", "op", "path", "Operations", "members", "schemas", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=500, deadline=None)
@given(GARBAGE)
@example("(" * 10_000)
@example("not " * 10_000)
@example("emails[" * 5_000)
@example('title eq "' + "\\" * 9_999)
@example("title eq " + "9" * 5_000)
@example("a[" + '"' * 20_000)
def test_a_garbled_filter_is_refused_as_a_scim_error(text: str) -> None:
    for resource_types in (RESOURCE_TYPES, (USER,), (GROUP,)):
        with suppress(ScimError):
            parse_filter(text, resource_types)


@settings(max_examples=500, deadline=None)
@given(GARBAGE)
@example("emails[" + "(" * 5_000 + "]")
@example("x." * 4_000)
@example("urn:" + "a:" * 4_000 + "[")
@example('emails[value eq "' + "x" * 100_000)
def test_a_garbled_path_is_refused_as_a_scim_error(text: str) -> None:
    for resource_type in RESOURCE_TYPES:
        with suppress(ScimError):
            parse_path(text, resource_type)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["userName", "displayName", "emails", "name", "members", "active", *USER.containers]) | GARBAGE,
        JSON,
        max_size=5,
    ),
    PROFILES,
)
def test_a_garbled_body_is_refused_as_a_scim_error(body: Json, profile: Profile) -> None:
    for resource_type in RESOURCE_TYPES:
        with suppress(ScimError):
            resource = read_resource(body, resource_type, profile).resource
            search_document(resource, resource_type)


OPERATION = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "replace", "Remove"]) | JSON},
    optional={
        "path": st.sampled_from(
            ["emails", "members", "name", "active", 'emails[type eq "work"].value', *USER.containers]
        )
        | JSON,
        "value": JSON,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATION, max_size=3) | JSON, PROFILES, BODY)
def test_a_garbled_patch_is_refused_as_a_scim_error(operations: Any, profile: Profile, body: Json) -> None:
    for resource_type, resource in ((USER, read(body)), (GROUP, {"displayName": "Staff"})):
        with suppress(ScimError):
            patch = read_patch({"Operations": operations}, resource_type, profile)
            after = apply_patch(patch, resource).resource
            difference(resource, after, resource_type)
