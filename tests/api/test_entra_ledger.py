"""What Entra's behaviour asks of the ledger: rows L1 to L7 of the client's test catalogue.

Facts are searched in the answers of the audit API by what they say; how an answer is laid out is tested
where it is made.
"""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from speaking import (
    ENTERPRISE,
    Json,
    Speaker,
    comparable,
    entries,
    eventually,
    fresh,
    mentions,
    of_type,
    op,
    patch_body,
    refused,
    resource_in,
    url_of,
    user_body,
    value_of,
    walk,
)

ACTIVITY = "a3f2b676-0000-4111-8222-{:012x}"


@pytest.fixture(scope="module")
def entra(service: Any) -> Speaker:
    """A tenant that Entra provisions; the tests of this file share it and use names of their own."""
    return Speaker(service)


def as_of(speaker: Speaker, user: Json, moment: Any) -> Json:
    """The user as the ledger tells it for a time or a position."""
    return resource_in(speaker.asked(f"/users/{user['id']}", asOf=moment))


DISABLED = {
    "without the flag": op("Replace", "active", "False"),
    "boolean": op("Replace", "active", False),
    "path-less": {"op": "Replace", "value": {"active": False}},
    "with the flag": op("replace", "active", False),
    "path-less string": {"op": "replace", "value": {"active": "False"}},
}


@pytest.mark.parametrize("operation", DISABLED.values(), ids=DISABLED)
def test_l1_every_way_to_disable_is_the_same_event(entra: Speaker, operation: Json) -> None:
    """L1: one `Deactivated`, nothing else; the request as received is kept with it."""
    user = entra.user(active=True)
    before = len(entra.history(user["id"]))
    entra.changed(user, operation)
    (entry,) = entra.history(user["id"])[before:]
    assert of_type([entry], "Deactivated")
    assert value_of(entry, "kept") is True, "the request as received is not kept"
    assert (value_of(entry, "body_bytes") or 0) > 60


def test_l1_put_and_patch_disable_alike(entra: Speaker) -> None:
    """L1, the verb of Okta: a PUT with `active: false` is the same event."""
    user = entra.user(active=True)
    entra.put(user, user_body(user["userName"], active=False))
    assert of_type(entra.history(user["id"])[-1:], "Deactivated")


def test_l2_a_patch_that_changes_nothing_leaves_a_trace_only(entra: Speaker) -> None:
    """L2: seen, yet no change: a `RequestUnchanged`, no event of the user, the version stays."""
    user = entra.user(displayName="Ana")
    entra.changed(user, op("Replace", "displayName", "Eve"))
    changes = of_type(entra.history(user["id"]), "AttributeChanged", "UserCreated")
    shown = entra.show(user)
    correlation = str(uuid.uuid4())
    response = entra.patch(user, op("Replace", "displayName", "Eve"), headers={"client-request-id": correlation})
    assert response.status_code == 200
    assert entra.show(user) == shown
    history = entra.history(user["id"])
    assert of_type(history, "AttributeChanged", "UserCreated") == changes
    traces = of_type(history, "RequestUnchanged") or of_type(entries(entra.log()), "RequestUnchanged")
    assert traces or eventually(lambda: "skipped" in _of_subject(entra, user["id"])), "no trace of the request"


def _of_subject(speaker: Speaker, subject: str) -> set[str]:
    """Every text in the log records about one subject."""
    return {leaf for leaf in walk(speaker.log(subject=subject)) if isinstance(leaf, str)}


def test_l3_one_question_tells_who_when_what_and_through_which_request(entra: Speaker) -> None:
    """L3: time, operation, old and new value, token, ActivityId and request id, in one answer."""
    user = entra.user(active=True)
    activity = ACTIVITY.format(uuid.uuid4().int % (1 << 48))
    sent = datetime.now(UTC)
    headers = {
        "ADSCIMVersion": f"Date:{sent:%Y-%m-%d}, ActivityId:{activity}",
        "User-Agent": "azure-ad-scim-provisioning/1.0",
    }
    assert entra.patch(user, op("Replace", "active", "False"), headers=headers).status_code == 200
    answer = entra.asked("/why", subject=user["userName"])
    assert mentions(answer, user["id"], activity, "azure-ad-scim-provisioning/1.0"), answer
    assert mentions(answer, "PATCH", "replace active", url_of(user)), answer
    assert value_of(answer, "before") is True or mentions(answer, True), "the old value"
    assert mentions(answer, False) or value_of(answer, "after") is False, "the new value"
    assert value_of(answer, "request_id") or value_of(answer, "request"), answer
    assert value_of(answer, "token_label") or value_of(answer, "token"), answer
    assert mentions(answer, f"{sent:%Y-%m-%d}"), "the time"


@pytest.mark.parametrize("name_of", [lambda u: u["userName"], lambda u: u["externalId"], lambda u: u["id"]])
def test_l4_disabled_and_later_deleted_is_one_story(entra: Speaker, name_of: Any) -> None:
    """L4: one answer holds both, in their order, by any name the person had."""
    user = entra.user(active=True, externalId=fresh("ext"))
    entra.changed(user, op("Replace", "active", "False"))
    entra.delete(user)
    answer = entra.asked("/why", subject=name_of(user))
    told = entries(answer)
    (disabled,) = of_type(told, "Deactivated")[:1]
    (deleted,) = of_type(told, "UserDeleted")[:1]
    assert disabled["position"] < deleted["position"]
    assert mentions(answer, user["id"])


def test_l4_nobody_of_that_name_has_no_story(entra: Speaker) -> None:
    """L4: an unknown subject is 404, as JSON with one sentence."""
    response = entra.audit.get("/why", params={"subject": fresh("nobody")})
    assert response.status_code == 404
    assert response.json()["error"]


def story(speaker: Speaker) -> tuple[Json, list[Json]]:
    """A user's life, and what a GET showed after each change."""
    chief = speaker.user()["id"]
    user = speaker.user(active=True, displayName="Ana", emails=[{"type": "work", "value": "a@b.example"}])
    group = speaker.group()
    shown = [speaker.show(user)]
    for operations in (
        [op("Replace", "displayName", "Ana Soto"), op("Add", f"{ENTERPRISE}:department", "Sales")],
        [op("Replace", 'emails[type eq "work"].value', "s@b.example")],
        [op("Add", f"{ENTERPRISE}:manager", chief), op("Replace", "userName", fresh("renamed"))],
        [op("Replace", "active", "False")],
        [op("Remove", f"{ENTERPRISE}:manager"), op("Remove", "emails")],
        [op("Replace", "active", "True")],
    ):
        time.sleep(0.005)  # The ledger counts milliseconds; two changes in one could not be told apart.
        shown.append(speaker.changed(user, *operations))
        speaker.changed(group, op("Add", "members", [{"value": user["id"]}]))
        speaker.changed(group, op("Remove", "members"))
    return user, shown


def test_l5_any_time_shows_what_a_get_would_have_shown(entra: Speaker) -> None:
    """L5: for each moment and each position, equal to the GET of that time."""
    user, shown = story(entra)
    for state in shown:
        told = as_of(entra, user, state["meta"]["lastModified"])
        assert comparable(told) == comparable(state)
    entra.delete(user)
    assert comparable(as_of(entra, user, shown[2]["meta"]["lastModified"])) == comparable(shown[2])
    by_position = [
        entry["position"] for entry in entra.history(user["id"]) if of_type([entry], "Deactivated", "UserCreated")
    ]
    for position, state in zip(by_position, (shown[0], shown[4]), strict=True):
        assert comparable(as_of(entra, user, position)) == comparable(state)


def test_l5_before_the_beginning_and_after_the_end_there_is_nobody(entra: Speaker) -> None:
    """L5: a time before the user's creation, and the present of a deleted user, show no resource."""
    user = entra.user()
    created = user["meta"]["created"]
    entra.delete(user)
    for moment in ("2001-01-01T00:00:00Z", datetime.now(UTC).isoformat().replace("+00:00", "Z")):
        response = entra.audit.get(f"/users/{user['id']}", params={"asOf": moment})
        assert response.status_code == 404 or not _has_resource(response.json()), moment
    assert comparable(as_of(entra, user, created)) == comparable(user)


def _has_resource(answer: Any) -> bool:
    return any(isinstance(value, dict) and "userName" in value for value in walk(answer))


def test_l6_both_dialects_lead_to_the_same_state(entra: Speaker) -> None:
    """L6: one user told in each dialect; GET and replay of both agree."""
    name, mail = "Ana Soto", "s@b.example"
    first, second = (entra.user(active=True, name={"givenName": "A", "familyName": "R"}) for _ in range(2))
    entra.changed(
        first,
        op("Replace", "displayName", name),
        op("Replace", "name.givenName", "Ana"),
        op("Add", 'emails[type eq "work"].value', mail),
        op("Add", f"{ENTERPRISE}:employeeNumber", "7"),
    )
    entra.changed(first, op("Replace", "active", "False"))
    value = {"displayName": name, "name.givenName": "Ana", f"{ENTERPRISE}:employeeNumber": "7"}
    entra.changed(second, op("replace", 'emails[type eq "work"].value', mail), {"op": "replace", "value": value})
    entra.changed(second, op("replace", "active", False))
    states = [comparable(entra.show(user)) | {"userName": "-"} for user in (first, second)]
    assert states[0] == states[1]
    for user in (first, second):
        shown = entra.show(user)
        assert comparable(as_of(entra, user, shown["meta"]["lastModified"])) == comparable(shown)
    changes = [of_type(entra.history(user["id"]), "AttributeChanged") for user in (first, second)]
    attributes = [sorted(value_of(entry, "attribute") or "" for entry in told) for told in changes]
    assert attributes[0] == attributes[1]


SECRET = "Tr0ub4dor&3-l7"

REFUSED = {
    "clash": ("POST", "/Users", lambda u: user_body(u["userName"], password=SECRET), 409, "uniqueness"),
    "bad value": ("PATCH", None, lambda _: patch_body(op("Replace", "active", "maybe")), 400, "invalidValue"),
    "secret": ("POST", "/Users", lambda _: {"password": SECRET}, 400, "invalidValue"),
    "broken": ("POST", "/Groups", lambda _: b'{"displayName"', 400, "invalidSyntax"),
    "unknown": ("DELETE", f"/Users/{uuid.UUID(int=7)}", lambda _: None, 404, None),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_l7_a_refused_request_is_in_the_trail_with_its_reason(entra: Speaker, case: Any) -> None:
    """L7: status, scimType and detail; no secrets; nothing changed."""
    method, path, body, status, scim_type = case
    user = entra.user(active=True)
    error = refused(entra.send(method, path or url_of(user), body(user)), status, scim_type)
    wanted = [error["detail"], path or url_of(user)] + ([scim_type] if scim_type else [])

    def recorded() -> bool:
        return any(
            mentions(record, *wanted) and (mentions(record, status) or mentions(record, str(status)))
            for record in walk(entra.log())
            if isinstance(record, dict)
        )

    assert eventually(recorded), wanted
    assert entra.show(user) == user
    told = str(entra.log()) + str(entra.history(user["id"]))
    assert SECRET not in told
    assert entra.token not in told
