"""Tenants for the tests of wrong input: two profiles, a user and a group that nobody manages to change."""

from collections.abc import Iterator
from typing import Any

import pytest
from speaking import Json, Speaker


@pytest.fixture(scope="module")
def lenient(service: Any) -> Speaker:
    """A tenant whose token has the lenient profile, one for each file."""
    return Speaker(service, "lenient")


@pytest.fixture(scope="module")
def strict(service: Any) -> Speaker:
    """A tenant whose token has the strict profile, one for each file."""
    return Speaker(service, "strict")


@pytest.fixture(scope="module", params=["lenient", "strict"])
def either(service: Any, request: pytest.FixtureRequest) -> Speaker:
    """A tenant of each profile in turn, one for each file: for what both owe their clients."""
    return Speaker(service, request.param)


@pytest.fixture(scope="module")
def ana(lenient: Speaker) -> Json:
    """A user of the lenient tenant."""
    return lenient.user("ana@contoso.example", title="Guide", active=True, externalId="Ana-1")


@pytest.fixture(scope="module")
def team(lenient: Speaker, ana: Json) -> Json:
    """A group of the lenient tenant, with Ana in it."""
    return lenient.group("Team", ana["id"])


@pytest.fixture
def untouched(lenient: Speaker, ana: Json, team: Json) -> Iterator[None]:
    """Nothing is half-written: the same totals, the same user, the same group as before the test."""
    user, group = lenient.show(ana), lenient.show(team)
    before = [lenient.total(endpoint) for endpoint in ("/Users", "/Groups")]
    yield
    assert [lenient.total(endpoint) for endpoint in ("/Users", "/Groups")] == before
    assert lenient.show(ana) == user
    assert lenient.show(team) == group
