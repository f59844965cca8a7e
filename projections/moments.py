"""A moment as people write it: a time, or a position."""

import re
from datetime import UTC, datetime

from domain.errors import InvalidValue

_POSITION = re.compile(r"-1|[0-9]{1,18}")  # Answers about a time before the first entry say -1: it can be asked again.


def moment(text: str | None, name: str = "asOf") -> datetime | int | None:
    """Read an RFC 3339 time, without zone in UTC, or a position, -1 before the first entry; None for nothing.

    Raises InvalidValue, with name.
    """
    if text is None or not text.strip():
        return None
    text = text.strip()
    if _POSITION.fullmatch(text):
        return int(text)
    try:
        # A plus sign that nobody percent-encoded arrives as a blank.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise InvalidValue(f"{name} is an RFC 3339 time, such as 2026-11-24T09:00:00Z, or a position") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def past_moment(text: str | None, name: str = "asOf") -> datetime | int:
    """Read a moment that has to be given. Raises InvalidValue."""
    found = moment(text, name)
    if found is None:
        raise InvalidValue(f"say which moment you mean: {name} is an RFC 3339 time or a position")
    return found


def period(
    since: str | None, until: str | None, since_name: str = "since", until_name: str = "until"
) -> tuple[datetime | int | None, datetime | int | None]:
    """Read both ends of a period, each of which may be left open. Raises InvalidValue, also when they are in disorder.

    A time and a position are not compared: which one comes first, only the ledger knows.
    """
    start, end = moment(since, since_name), moment(until, until_name)
    match start, end:
        case (datetime(), datetime()) | (int(), int()) if start > end:  # type: ignore[operator]
            raise InvalidValue(f"{since_name} comes after {until_name}")
    return start, end
