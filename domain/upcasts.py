"""Old revisions of events, read as the next: one step each, once, for ever."""

from collections.abc import Callable
from typing import Any

from domain.events import EVENT_BY_NAME

Body = dict[str, Any]
_STEPS: dict[tuple[str, int], Callable[[Body], Body]] = {}


def step(event_type: str, *, from_revision: int) -> Callable[[Callable[[Body], Body]], Callable[[Body], Body]]:
    """Register the reading of one revision as the next one."""

    def register(read: Callable[[Body], Body]) -> Callable[[Body], Body]:
        _STEPS[event_type, from_revision] = read
        return read

    return register


def upcast(event_type: str, revision: int, body: Body) -> Body:
    """Return the body at today's revision. Raises KeyError for a revision that this code has never known."""
    while revision < EVENT_BY_NAME[event_type].revision:
        body = _STEPS[event_type, revision](body)
        revision += 1
    return body


@step("TokenIssued", from_revision=1)
def _(body: Body) -> Body:
    """Revision 2 names the user that a token is bound to; before it, no token was."""
    return {**body, "user_id": None}
