"""What an entry means for being active: one answer for the log, for runs, for reports and for *why*."""

from domain.events import AttributeChanged, ResourceCreated, UserCreated
from ledger.entry import Entry

CREATED, CREATED_INACTIVE = "created", "created inactive"
DEACTIVATED, REACTIVATED, DELETED = "deactivated", "reactivated", "deleted"

_TURNS = {
    "UserCreated": CREATED,
    "ResourceCreated": CREATED,
    "Deactivated": DEACTIVATED,
    "Reactivated": REACTIVATED,
    "UserDeleted": DELETED,
    "ResourceDeleted": DELETED,
}


def turn(entry: Entry) -> str:
    """Return what an entry means for being active, empty for nothing; whose `active` nobody assigned is active.

    So whoever was disabled and has `active` taken away is active again, though that is an AttributeChanged.
    """
    event = entry.event
    if isinstance(event, AttributeChanged):
        return REACTIVATED if event.attribute == "active" and event.before is False else ""
    if isinstance(event, UserCreated | ResourceCreated) and event.resource.get("active") is False:
        return CREATED_INACTIVE
    return _TURNS.get(entry.event_type, "")  # By type: the event may be erased.
