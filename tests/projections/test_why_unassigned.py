"""Why, when `active` was taken away altogether: found by fuzzing, told as "deactivated" of somebody who was active."""

import pytest

from projections.whole import story
from tests.projections.peopling import Directory, Made
from tests.projections.telling import ADA, changed
from tests.projections.whying import Ask, Told


@pytest.mark.parametrize("changes", [0, 150])
def test_who_is_disabled_and_then_has_no_active_at_all_is_not_deprovisioned(ask: Ask, changes: int) -> None:
    """A missing `active` disables nobody; that it was given again later is no second turn. However long ago."""
    told = Told().hired().disabled()
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", False, None))
    for number in range(changes):
        told.request("PATCH", f"/Users/{ADA}", changed(ADA, "title", None, str(number)))
    told.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", None, True))
    Directory(ask.recording.tenant.tenant_id, [Made(ADA, {"userName": "ada", "active": True})]).put(
        ask.recording.connection
    )
    explained = ask.one(told)
    assert (explained.verdict, explained.state) == ("reactivated", "active")
    assert explained.enabled is not None and explained.enabled.position == 4
    assert "unassigned active, which disables nobody" in " ".join(story(ask(told)).split())
