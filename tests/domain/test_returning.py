"""Who is meant by a POST of somebody who is there: pure, so that every combination is looked at."""

from itertools import product

import pytest
from deciding import ADA, ADA_ID, folded, given, read_user, user_body

from domain import users
from domain.errors import NotUnique
from domain.events import AttributeChanged, Deactivated, Reactivated
from domain.returning import returning
from domain.schemas import USER
from domain.users import User

BOB_ID = "11111111-2222-4333-8444-555555555555"


def holder(user_id: str, *, active: bool | None, external_id: str | None) -> User:
    resource = {"userName": "x", "active": active, "externalId": external_id}
    return User(user_id, {name: value for name, value in resource.items() if value is not None}, 1)


@pytest.mark.parametrize(
    ("name_active", "same", "others_active"), list(product([True, False, None], [True, False], [True, False]))
)
def test_a_user_comes_back_only_when_name_and_external_id_mean_one_inactive_user(
    name_active: bool | None, same: bool, others_active: bool
) -> None:
    by_name = [holder(ADA_ID, active=name_active, external_id="e")]
    by_external_id = by_name if same else [*by_name, holder(BOB_ID, active=others_active, external_id="e")]
    reading = read_user(user_body(externalId="e"))
    if name_active is False and same:
        assert returning(reading, by_name, by_external_id, reactivates=True) is by_name[0]
    else:
        with pytest.raises(NotUnique):
            returning(reading, by_name, by_external_id, reactivates=True)
    with pytest.raises(NotUnique):
        returning(reading, by_name, by_external_id, reactivates=False)


@pytest.mark.parametrize("reactivates", [True, False])
def test_nobody_and_active_namesakes_of_an_external_id_are_no_obstacle(reactivates: bool) -> None:
    reading = read_user(user_body(externalId="e"))
    active = [holder(ADA_ID, active=True, external_id="e"), holder(BOB_ID, active=None, external_id="e")]
    assert returning(reading, [], [], reactivates=reactivates) is None
    assert returning(reading, [], active, reactivates=reactivates) is None


@pytest.mark.parametrize(
    ("known", "said", "back"), [("e", "e", True), ("e", None, True), (None, "e", True), ("e", "f", False)]
)
def test_a_name_that_comes_with_another_external_id_is_somebody_else(
    known: str | None, said: str | None, back: bool
) -> None:
    gone = holder(ADA_ID, active=False, external_id=known)
    reading = read_user(user_body(externalId=said))
    by_external_id = [gone] if said == known else []
    if back:
        assert returning(reading, [gone], by_external_id, reactivates=True) is gone
    else:
        with pytest.raises(NotUnique, match=ADA_ID):
            returning(reading, [gone], by_external_id, reactivates=True)


def test_coming_back_is_reactivation_and_what_else_changed() -> None:
    """As after a PUT; silence and null about `active` mean that the user is wanted."""
    body = user_body(externalId="ada", displayName="Ada", name=ADA.resource["name"], emails=ADA.resource["emails"])
    body |= {urn: part for urn, part in ADA.resource.items() if ":" in urn}
    for silence in ({}, {"active": None}, {"active": True}):
        reading = read_user(body | silence)
        given(ADA, Deactivated()).when(lambda user, said=reading: users.come_back(user, said, USER)).then(
            AttributeChanged("displayName", None, "Ada"), Reactivated()
        )
    inactive = folded([ADA, Deactivated()])
    assert isinstance(inactive, User)
    assert users.come_back(inactive, read_user(body | {"active": False, "displayName": None}), USER) == []
