"""What is decided about users: every request to the facts it leaves, and to nothing when it changes nothing."""

import pytest
from deciding import ADA, ADA_ID, Decision, given, op, patch, put, read_user, user_body

from domain import users
from domain.errors import InvalidPath, InvalidValue, Mutability, NoSuchResource, NoTarget, ScimError
from domain.events import AttributeChanged, Deactivated, Event, Reactivated, UserCreated, UserDeleted, UserEvent
from domain.profiles import STRICT
from domain.schemas import ENTERPRISE_USER, USER
from domain.users import User


def delete(user: User | None) -> list[UserEvent]:
    """The decision of a DELETE."""
    return users.delete(user, USER)


AS_CREATED = user_body(**{name: value for name, value in ADA.resource.items() if name != "userName"})
PASSWORD_GIVEN = AttributeChanged("password", None, None)


# --- creation


def test_a_created_user_keeps_what_the_body_said() -> None:
    reading = read_user(user_body(displayName="Ada", roles=[], title=None))
    assert users.create(ADA_ID, reading, USER) == [
        UserCreated(ADA_ID, {"userName": "ada@contoso.example", "displayName": "Ada"})
    ]


def test_a_password_is_recorded_as_given_and_never_as_what() -> None:
    """SX-01."""
    events = users.create(ADA_ID, read_user(user_body(password="t0p-secret")), USER)
    assert events == [UserCreated(ADA_ID, {"userName": "ada@contoso.example"}), PASSWORD_GIVEN]
    assert "t0p-secret" not in repr(events)


def test_what_only_the_service_says_is_not_taken_from_a_body() -> None:
    """CR-02, RS-08: id, meta and groups (CR-02)."""
    body = user_body(id="mine", meta={"version": "x"}, groups=[{"value": "g"}])
    assert users.create(ADA_ID, read_user(body), USER) == [UserCreated(ADA_ID, {"userName": "ada@contoso.example"})]


# --- deactivation, whichever verb carries it


@pytest.mark.parametrize(
    "decide",
    [
        patch(op("Replace", "active", "False")),
        patch(op("replace", "active", False)),
        patch(op("replace", None, {"active": False})),
        patch(op("add", "active", "false")),
        patch(op("replace", "urn:ietf:params:scim:schemas:core:2.0:User:active", False)),
        put(AS_CREATED | {"active": False}),
        put(AS_CREATED | {"active": "FALSE"}),
    ],
)
def test_every_way_to_deactivate_is_the_same_fact(decide: Decision) -> None:
    """And asking twice is not a second one."""
    given(ADA).when(decide).then_again(Deactivated(before=True))


def test_a_user_that_never_was_active_can_be_deactivated() -> None:
    nobody_said = UserCreated(ADA_ID, {"userName": "ada@contoso.example"})
    given(nobody_said).when(patch(op("replace", "active", False))).then(Deactivated(before=None))


def test_reactivation_follows_deactivation_only() -> None:
    nobody_said = UserCreated(ADA_ID, {"userName": "ada@contoso.example"})
    given(ADA, Deactivated()).when(patch(op("Replace", "active", "True"))).then_again(Reactivated())
    given(nobody_said).when(patch(op("Replace", "active", True))).then(AttributeChanged("active", None, True))


@pytest.mark.parametrize("decide", [patch(op("remove", "active")), patch(op("replace", "active", None))])
def test_a_missing_active_deactivates_nobody(decide: Decision) -> None:
    given(ADA).when(decide).then_again(AttributeChanged("active", True, None))


def test_a_put_that_does_not_mention_active_leaves_it_alone() -> None:
    """PU-03, DEC-05: neither does it re-activate."""
    silent = {name: value for name, value in AS_CREATED.items() if name != "active"}
    given(ADA).when(put(silent)).then()
    given(ADA, Deactivated()).when(put(silent)).then()
    given(ADA).when(put(silent | {"active": None})).then(AttributeChanged("active", True, None))


def test_a_bundled_deactivation_survives_an_attribute_nobody_knows() -> None:
    """A refused bundle would leave her active for as long as the client retries (DEC-27)."""
    bundle = (op("Replace", "active", "False"), op("Replace", "shoeSize", "43"))
    given(ADA).when(patch(*bundle)).then(Deactivated())
    given(ADA).when(patch(*bundle, profile=STRICT)).refused(InvalidPath, "shoeSize")


def test_deactivating_and_reactivating_in_one_request_is_nothing() -> None:
    """PD-21, DEC-11."""
    given(ADA).when(patch(op("replace", "active", False), op("replace", "active", True))).then()


# --- change


def test_a_change_names_attribute_before_and_after() -> None:
    given(ADA).when(patch(op("replace", "name.givenName", "Augusta"))).then_again(
        AttributeChanged(
            "name",
            {"givenName": "Ada", "familyName": "Lovelace"},
            {"givenName": "Augusta", "familyName": "Lovelace"},
        )
    )


def test_an_extension_attribute_is_named_with_its_schema() -> None:
    given(ADA).when(patch(op("Replace", f"{ENTERPRISE_USER}:department", "Looms"))).then_again(
        AttributeChanged(f"{ENTERPRISE_USER}:department", "Engines", "Looms")
    )


def test_removing_an_extension_is_a_change_of_each_of_its_attributes() -> None:
    given(ADA).when(patch(op("remove", ENTERPRISE_USER))).then_again(
        AttributeChanged(f"{ENTERPRISE_USER}:department", "Engines", None),
        AttributeChanged(f"{ENTERPRISE_USER}:manager", {"value": "charles"}, None),
    )


def test_changes_come_in_the_order_of_the_schema() -> None:
    """Whatever order the client chose, so that two equal requests leave equal entries."""
    given(ADA).when(
        patch(op("add", "title", "Countess"), op("add", "displayName", "Ada"), op("replace", "externalId", "a"))
    ).then(
        AttributeChanged("externalId", "ada", "a"),
        AttributeChanged("displayName", None, "Ada"),
        AttributeChanged("title", None, "Countess"),
    )


@pytest.mark.parametrize(
    "decide",
    [
        patch(),
        patch(op("replace", "externalId", "ada")),
        patch(op("add", "emails", [{"value": "ada@contoso.example", "type": "work"}])),
        patch(op("remove", "title")),
        patch(op("remove", 'emails[type eq "home"]')),
        patch(op("add", "title", "x"), op("remove", "title")),
        put(AS_CREATED),
        put(AS_CREATED | {"emails": AS_CREATED["emails"][0]}),
    ],
)
def test_what_changes_nothing_records_nothing(decide: Decision) -> None:
    """PU-11, PA-09."""
    given(ADA).when(decide).then()


def test_the_order_of_values_is_no_change_and_neither_is_primary_false() -> None:
    two = AttributeChanged("emails", None, [{"value": "a"}, {"value": "b", "primary": True}])
    swapped = [{"value": "b", "primary": True}, {"value": "a", "primary": False}]
    given(ADA, two).when(patch(op("replace", "emails", swapped))).then()


def test_a_change_of_case_is_a_change() -> None:
    """PD-12: values are kept as sent, and shown as sent."""
    given(ADA).when(patch(op("replace", "userName", "ADA@contoso.example"))).then(
        AttributeChanged("userName", "ada@contoso.example", "ADA@contoso.example")
    )


def test_a_password_is_a_change_each_time() -> None:
    """Equality cannot be observed (PD-16)."""
    decide = patch(op("replace", "password", "new"))
    given(ADA).when(decide).then(PASSWORD_GIVEN)
    given(ADA, PASSWORD_GIVEN).when(decide).then(PASSWORD_GIVEN)


def test_a_put_clears_what_it_omits() -> None:
    """PU-03, PU-10."""
    given(ADA).when(put(user_body(externalId="ada", active=True))).then_again(
        AttributeChanged("name", ADA.resource["name"], None),
        AttributeChanged("emails", ADA.resource["emails"], None),
        AttributeChanged(f"{ENTERPRISE_USER}:department", "Engines", None),
        AttributeChanged(f"{ENTERPRISE_USER}:manager", {"value": "charles"}, None),
    )


# --- refusals


@pytest.mark.parametrize(
    ("decide", "refusal"),
    [
        (patch(op("replace", "id", "x")), Mutability),
        (patch(op("remove", "userName")), Mutability),
        (patch(op("replace", "userName", "")), InvalidValue),
        (patch(op("replace", "groups", [])), Mutability),
        (patch(op("replace", "active", "maybe")), InvalidValue),
        (patch(op("remove")), NoTarget),
        (patch(op("replace", 'emails[type eq "home"]', {"value": "x"})), NoTarget),
        (put({"schemas": user_body()["schemas"]}), InvalidValue),
    ],
)
def test_what_cannot_be_is_refused(decide: Decision, refusal: type[ScimError]) -> None:
    given(ADA).when(decide).refused(refusal)


def test_one_wrong_operation_refuses_all_of_them() -> None:
    """PA-06: the first would have been fine."""
    given(ADA).when(patch(op("add", "title", "x"), op("replace", "id", "y"))).refused(Mutability)


@pytest.mark.parametrize("decide", [patch(op("add", "title", "x")), put(user_body()), delete])
@pytest.mark.parametrize("events", [(), (ADA, UserDeleted())])
def test_who_is_not_there_cannot_be_changed(decide: Decision, events: tuple[Event, ...]) -> None:
    """Neither before nor after; a PUT never creates (EP-12)."""
    given(*events).when(decide).refused(NoSuchResource)


def test_deletion_is_one_fact() -> None:
    given(ADA).when(delete).then(UserDeleted())
    given(ADA, Deactivated()).when(delete).then(UserDeleted())


# --- evolution


def test_a_user_is_what_its_events_made_of_it() -> None:
    state = given(
        ADA,
        AttributeChanged("title", None, "Countess"),
        AttributeChanged(f"{ENTERPRISE_USER}:department", "Engines", None),
        AttributeChanged(f"{ENTERPRISE_USER}:manager", {"value": "charles"}, None),
        Deactivated(),
        PASSWORD_GIVEN,
    ).state
    assert isinstance(state, User)
    assert (state.version, state.active) == (6, False)
    assert state.resource["title"] == "Countess"
    assert ENTERPRISE_USER not in state.resource, "a container goes with its last attribute"
    assert "password" not in state.resource
    assert ADA.resource["active"] is True, "an event is a fact and stays what it was"


def test_active_is_unknown_until_somebody_says() -> None:
    state = given(UserCreated(ADA_ID, {"userName": "ada"})).state
    assert isinstance(state, User)
    assert state.active is None
