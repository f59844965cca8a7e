"""What only some clients need, and what their tenant therefore has to ask for."""

from typing import Any

import pytest
from issuing import setting
from speaking import ENTERPRISE, Json, Speaker, op, refused


@pytest.fixture(scope="module")
def obliging(service: Any) -> Speaker:
    """A tenant that asked for both."""
    speaker = Speaker(service)
    setting(speaker, "manager_id_as_value", True)
    setting(speaker, "endpoints_any_case", True)
    return speaker


def managed(speaker: Speaker, **manager: str) -> Json:
    """A new user with such a manager."""
    return speaker.user(enterprise={"department": "Sales", "manager": manager})


def test_a_manager_by_the_name_of_scim_1(obliging: Speaker) -> None:
    """RX-15: managerId is the manager's value where the tenant wants that; what has today's name counts."""
    boss = obliging.user()["id"]
    user = managed(obliging, managerId=boss, displayName="Bo")
    assert user[ENTERPRISE]["manager"]["value"] == boss
    assert user[ENTERPRISE]["manager"]["$ref"].endswith(f"/Users/{boss}")
    assert managed(obliging, managerId="old", value=boss)[ENTERPRISE]["manager"]["value"] == boss
    changed = obliging.changed(user, op("replace", f"{ENTERPRISE}:manager", {"managerId": "other"}))
    assert changed[ENTERPRISE]["manager"]["value"] == "other"


def test_otherwise_it_is_a_name_like_any_other(lenient: Speaker) -> None:
    """RX-15: nobody is made a manager by a name that SCIM 2.0 does not know."""
    assert "manager" not in managed(lenient, managerId="4711")[ENTERPRISE]


@pytest.mark.parametrize("path", ["/users", "/USERS?count=0", "/groups", "/schemas", "/serviceproviderconfig"])
def test_endpoints_in_any_case(lenient: Speaker, obliging: Speaker, path: str) -> None:
    """RX-33: where the tenant wants that; elsewhere a path means what it says."""
    refused(lenient.send("GET", path), 404)
    assert obliging.send("GET", path).status_code == 200
    refused(obliging.send("GET", "/userz"), 404)
