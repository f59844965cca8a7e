"""Every public filter vector in memory: matched against resources, and against their search documents' terms."""

import pytest
from vectors import ASKED, Json, fixture, lines

from domain.attributes import ResourceType
from domain.errors import InvalidFilter
from domain.expressions import print_expression
from domain.filters import matches, parse_filter
from domain.schemas import RESOURCE_TYPES

FIXTURE = fixture()
EVERYBODY = FIXTURE["Users"] + FIXTURE["Groups"]
VECTORS = lines("filters.jsonl")
ANSWERED = [vector for vector in VECTORS if not vector["error"]]


def found(vector: Json, text: str) -> set[str]:
    """The ids of the fixture's resources that the filter finds."""
    asked = parse_filter(text, ASKED[vector["type"]])
    names = {resource_type.name for resource_type, _ in asked.expressions}
    candidates = [resource for resource in EVERYBODY if resource["meta"]["resourceType"] in names]
    return {resource["id"] for resource in candidates if matches(asked, resource)}


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_a_filter_finds_what_its_vector_says(vector: Json) -> None:
    """FI-17 and the rows that test_vectors.py names; or it is refused with the vector's scimType."""
    if vector["error"]:
        with pytest.raises(InvalidFilter) as refusal:
            parse_filter(vector["filter"], ASKED[vector["type"]])
        assert refusal.value.scim_type == vector["error"]
        return
    assert found(vector, vector["filter"]) == set(vector["resources"])


@pytest.mark.parametrize("vector", ANSWERED, ids=[vector["id"] for vector in ANSWERED])
def test_a_printed_filter_is_the_filter(vector: Json) -> None:
    """Printing gives the canonical form; it is read as the same expression again."""
    for resource_type, expression in parse_filter(vector["filter"], ASKED[vector["type"]]).expressions:
        if len(ASKED[vector["type"]]) == 1:  # Elsewhere constants stand for what the type does not define.
            again = parse_filter(print_expression(expression), (resource_type,))
            assert again.of(resource_type) == expression


TEXTS = (
    "x",
    "",
    "é",
    "a b) or c",
    "True",
    "2026-01-01T00:00:00Z",
    "not",
    "\0",
    "\ud800",
    "7f3a0000-0000-4000-8000-000000000000",
)


@pytest.mark.parametrize("resource_type", RESOURCE_TYPES, ids=[each.name for each in RESOURCE_TYPES])
def test_what_is_read_at_a_glance_is_read_as_the_grammar_reads_it(resource_type: ResourceType) -> None:
    """`attribute eq "text"`, in every spelling of every place; a blank behind it takes the long way."""

    def read(text: str) -> object:
        try:
            return parse_filter(text, (resource_type,))
        except InvalidFilter as refusal:
            return refusal.detail

    for name in [*resource_type.places, "USERNAME", "nickNames", "not", "x.y"]:
        for text in TEXTS:
            asked = f'{name} eq "{text}"'
            assert read(asked) == read(asked + " "), asked
