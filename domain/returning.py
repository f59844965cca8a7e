"""A POST of somebody who is there already, but inactive: refused, or the user comes back (tenant setting).

Two people must never become one silently. So a user comes back only when everything the body says about who is
meant, userName and externalId, is about that one user and about nobody else.
"""

from collections.abc import Sequence

from domain.errors import NotUnique
from domain.resources import Reading
from domain.users import User


def returning(
    reading: Reading, by_name: Sequence[User], by_external_id: Sequence[User], *, reactivates: bool
) -> User | None:
    """The inactive user that a POST brings back; None when the POST is about a new one.

    by_name, by_external_id: who holds the body's userName, and its externalId.
    reactivates: the tenant's choice. Raises NotUnique, with the ids of those who are in the way.
    """
    if any(user.active is not False for user in by_name):
        raise NotUnique("userName")
    # An active user may share an externalId with a new one (RS-07): only who left is asked about.
    left = by_name or [user for user in by_external_id if user.active is False]
    if not left:
        return None
    attribute = "userName" if by_name else "externalId"
    if not reactivates:
        raise NotUnique(
            attribute, f"{attribute} belongs to the inactive user {left[0].id}; set its active to true instead"
        )
    meant = {user.id: user for user in (*by_name, *by_external_id)}
    if len(meant) > 1:
        raise NotUnique(attribute, f"userName and externalId belong to different users: {', '.join(meant)}")
    (user,) = meant.values()
    known, given = user.resource.get("externalId"), reading.resource.get("externalId")
    if known is not None and given is not None and known != given:
        raise NotUnique(attribute, f"{attribute} belongs to the inactive user {user.id}, who has another externalId")
    return user
