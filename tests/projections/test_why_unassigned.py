"""Why, when `active` was taken away altogether: found by fuzzing, told as "deactivated" of somebody who was active."""

from projections.why import explain
from projections.words import explanation
from tests.projections.telling import ADA, Telling, changed, created, deactivated


def test_who_is_disabled_and_then_has_no_active_at_all_is_not_deprovisioned() -> None:
    """A missing `active` disables nobody; that it was given again later is no second turn."""
    telling = Telling()
    telling.request("POST", "/Users", created(ADA, userName="ada", active=True))
    telling.request("PATCH", f"/Users/{ADA}", deactivated(ADA))
    telling.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", False, None))
    telling.request("PATCH", f"/Users/{ADA}", changed(ADA, "active", None, True))
    for size in (3, 4):
        told = explain("users", ADA, telling.entries[:size], size)
        assert (told.verdict, told.state) == ("reactivated", "active")
        assert told.enabled is not None and told.enabled.position == 2
        assert "unassigned active, which disables nobody" in explanation(told)
