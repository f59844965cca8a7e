"""A POST of somebody who is there already, but inactive: refused, or the user comes back (tenant setting).

Two people must never become one silently. So a user comes back only when everything the body says about who is
meant, userName and externalId, is about that one user and about nobody else.
"""

from collections.abc import Iterable, Sequence

from domain.errors import NotUnique
from domain.resources import Reading
from domain.users import User


def returning(
    reading: Reading, by_name: Sequence[User], by_external_id: Sequence[User], *, reactivates: bool
) -> User | None:
    """The inactive user that a POST brings back; None when the POST is about a new one.

    by_name, by_external_id: who holds the body's userName, and its externalId; nobody holds an empty one (`named`).
    reactivates: the tenant's choice. Raises NotUnique, with the ids of those who are in the way.
    """
    left = [user for user in by_external_id if user.active is False]
    if any(user.active is not False for user in by_name):
        also = f"userName is already in use; externalId belongs to the inactive user {_ids(left)}" if left else None
        raise NotUnique("userName", also)
    # An active user may share an externalId with a new one (RS-07): only who left is asked about.
    if not by_name and not left:
        return None
    attribute = "userName" if by_name else "externalId"
    meant = {user.id: user for user in (*(by_name or left), *(by_external_id if reactivates else left))}
    if len(meant) > 1:
        raise NotUnique(attribute, f"userName and externalId belong to different users: {_ids(meant.values())}")
    (user,) = meant.values()
    if not reactivates:
        raise NotUnique(
            attribute, f"{attribute} belongs to the inactive user {user.id}; set its active to true instead"
        )
    known, given = user.resource.get("externalId"), reading.resource.get("externalId")
    if named(known) and named(given) and known != given:
        raise NotUnique(attribute, f"{attribute} belongs to the inactive user {user.id}, who has another externalId")
    return user


def named(external_id: str | None) -> bool:
    """Whether an externalId says who somebody is: an empty one is nobody's, and many may have it."""
    return bool(external_id and external_id.strip())


def _ids(users: Iterable[User]) -> str:
    return ", ".join(user.id for user in users)
