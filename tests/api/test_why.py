"""The audit API's answers to the phone: why not provisioned, why still active, why it keeps failing, what was sent."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from bulking import bulk, post, statuses
from issuing import token_with
from speaking import (
    PATCH_OP,
    SCIM_JSON,
    Json,
    Speaker,
    eventually,
    fresh,
    group_body,
    op,
    patch_body,
    refused,
    url_of,
    user_body,
)


@pytest.fixture(scope="module")
def entra(service: Any) -> Speaker:
    """A tenant that Entra provisions; the tests of this file use names of their own."""
    speaker = Speaker(service)
    speaker.scim.headers["User-Agent"] = "azure-ad-scim-provisioning/1.0"
    return speaker


def why(speaker: Speaker, subject: str, **more: str) -> Json:
    answer: Json = speaker.asked("/why", subject=subject, **more)
    return answer


def one(speaker: Speaker, subject: str, **more: str) -> Json:
    (only,) = why(speaker, subject, **more)["explanations"]
    return dict(only)


def rules(told: Json) -> dict[str, Json]:
    return {each["rule"]: each for each in told["inferences"]}


def test_why_was_she_not_provisioned(entra: Speaker) -> None:
    """POSTs that were refused name her, though nothing of hers exists: by userName and by externalId."""
    name, external = f"{fresh('carol')}@contoso.example", fresh("E")
    body = user_body(name, externalId=external, active="perhaps")
    refused(entra.send("POST", "/Users", body), 400)
    refused(entra.send("POST", "/Users", body | {"nickName": "c"}), 400)
    for subject in (name, name.upper(), external):
        told = why(entra, subject)
        assert told["explanations"] == []
        (trouble,) = told["absent"]["troubles"]
        assert (trouble["method"], trouble["status"], trouble["count"]) == ("POST", 400, 2)
        assert trouble["token_label"] == "tests"
        assert told["absent"]["search"]["provider"] == "Entra"
        assert "was never provisioned here: a client asked for it and was refused." in " ".join(told["text"].split())
        assert trouble["last"]["request_id"] in told["text"]


def test_who_was_refused_is_looked_for_ten_minutes_to_either_side(entra: Speaker) -> None:
    """Clocks differ: a window from the refusal to the refusal holds nothing."""
    name = f"{fresh('carol')}@contoso.example"
    refused(entra.send("POST", "/Users", user_body(name, active="perhaps")), 400)
    (trouble,) = (told := why(entra, name)["absent"])["troubles"]
    at = datetime.fromisoformat(trouble["last"]["at"])
    since, until = (datetime.fromisoformat(told["search"][each]) for each in ("since", "until"))
    assert (at - since, until - at) == (timedelta(minutes=10), timedelta(minutes=10))


def test_nobody_asked_for_her(entra: Speaker) -> None:
    """404, and where to look all the same."""
    name = fresh("nobody")
    response = entra.audit.get("/why", params={"subject": name})
    assert response.status_code == 404
    body = response.json()
    assert name in body["error"]
    assert body["absent"]["troubles"] == []
    assert "no request that names it is recorded" in " ".join(body["text"].split())
    assert "Provisioning logs" in body["text"]


def test_why_an_update_keeps_failing(entra: Speaker) -> None:
    """Since when, how often, the last detail, and who holds the name; and the holder is told who wanted it."""
    holder, other = entra.user(), entra.user(active=True)
    taken = op("Replace", "userName", holder["userName"])
    for title in ("a", "b", "c"):
        refused(entra.patch(other, taken, op("Replace", "title", title)), 409, "uniqueness")
    told = one(entra, other["id"])
    (trouble,) = told["troubles"]
    assert (trouble["count"], trouble["scim_type"], trouble["status"]) == (3, "uniqueness", 409)
    assert trouble["holder"] == [holder["userName"], holder["id"]]
    assert f"{holder['userName']} is held by {holder['id']}" in " ".join(why(entra, other["id"])["text"].split())
    (wanted,) = one(entra, holder["id"])["troubles"]
    assert wanted["named"] is True and wanted["count"] == 3


def test_why_does_he_still_have_access(entra: Speaker) -> None:
    """The disable was refused: who tried when, and what it was answered, comes first."""
    user = entra.user(active=True)
    refused(entra.patch(user, op("Replace", "active", "maybe")), 400)
    told = why(entra, user["userName"])
    text = " ".join(told["text"].split())
    assert text.startswith(f"{user['userName']} is not deprovisioned: active")
    assert "An attempt to change active was refused once, last on" in text
    (only,) = told["explanations"]
    assert only["troubles"][0]["attempt"] is True
    assert only["last"]["event"] == "RequestRefused"


def test_a_request_for_a_group_is_no_attempt_on_the_user_whose_id_it_had(entra: Speaker) -> None:
    """404: there is no such group, and nobody tried to delete her; nor, the other way round, to change the group."""
    user, group = entra.user(active=True), entra.group()
    refused(entra.send("DELETE", f"/Groups/{user['id']}"), 404)
    refused(entra.send("PATCH", f"/Users/{group['id']}", patch_body(op("Replace", "active", False))), 404)
    for resource, path in ((user, url_of(user)), (group, url_of(group))):
        told = one(entra, resource["id"])
        assert told.get("troubles", []) == [] and told["last"]["event"].endswith("Created")
        assert "attempt" not in why(entra, resource["id"])["text"]
        refused(entra.send("PATCH", path, patch_body(op("Replace", "externalId", 5))), 400)
        assert [each["status"] for each in one(entra, resource["id"])["troubles"]] == [400]


def test_what_a_missing_active_did(entra: Speaker) -> None:
    """Nothing: said as our reading, with the PUT it is about."""
    user = entra.user(active=True)
    entra.put(user, user_body(user["userName"], title="Clerk"))
    found = rules(one(entra, user["id"]))
    assert found["R2"]["confidence"] == "fact"
    assert "a missing `active` changes nothing" in found["R2"]["statement"]
    entra.put(user, user_body(user["userName"], title="Boss", active=True))
    assert "R2" not in rules(one(entra, user["id"]))


def test_two_records_of_one_person_are_one_story(entra: Speaker) -> None:
    """Deleted and created again under another userName: found by either, told together, or apart with an id."""
    external, old_name, new_name = fresh("E"), fresh("ada"), fresh("ada.new")
    old = entra.user(old_name, externalId=external, active=True)
    entra.changed(old, op("Replace", "active", "False"))
    entra.delete(old)
    new = entra.user(new_name, externalId=external, active=True)
    for subject in (old_name, new_name, external):
        told = why(entra, subject)
        assert {each["id"] for each in told["explanations"]} == {old["id"], new["id"]}
        (link,) = told["links"]
        assert (link["older"], link["newer"], link["confidence"]) == (old["id"], new["id"], "high")
        assert "seems to be" in told["text"]
    assert one(entra, external, id=old["id"])["verdict"] == "deactivated, then deleted"
    assert entra.audit.get("/why", params={"subject": external, "id": str(uuid4())}).status_code == 404


def test_a_leaver_lost_the_group_first(entra: Speaker) -> None:
    """R3, with the groups lost and held, and the ids to look for at Entra."""
    user = entra.user(active=True, externalId=fresh("E"))
    lost, held = entra.group(None, user["id"]), entra.group(None, user["id"])
    entra.changed(lost, op("Remove", "members", [{"value": user["id"]}]))
    activity = "a3f2b676-0000-4111-8222-000000000007"
    headers = {"ADSCIMVersion": f"Date:2026, ActivityId:{activity}"}
    assert entra.patch(user, op("Replace", "active", "False"), headers=headers).status_code == 200
    told = one(entra, user["id"])
    assert [each["group_name"] for each in told["lost_before"]] == [lost["displayName"]]
    assert [each["group_name"] for each in told["held"]] == [held["displayName"]]
    assert set(rules(told)) == {"R3"}
    search = told["search"]
    assert (search["provider"], search["source_id"], search["target_id"]) == ("Entra", user["externalId"], user["id"])
    assert search["activity_ids"] == [activity]


def test_a_shorter_list_of_members_is_a_groups_change(entra: Speaker) -> None:
    user, other = entra.user(active=True), entra.user()
    group = entra.group(None, user["id"], other["id"])
    entra.put(group, group_body(group["displayName"], other["id"]))
    found = rules(one(entra, user["id"]))
    assert {"R2", "R10"} <= set(found)
    (about,) = why(entra, user["id"], group=group["displayName"])["pointed"]
    (spell,) = about["spells"]
    assert spell["held"]["explicit"] is False
    assert about["requests"][spell["held"]["ended_in"]]["method"] == "PUT"


def test_a_sync_that_overwrites_a_manual_change_is_marked(entra: Speaker) -> None:
    """In history, and in the answer about the attribute."""
    user = entra.user(title="Clerk")
    label = fresh("admin")
    by_hand = {"Authorization": f"Bearer {token_with(entra, 'scim', label=label)}"}
    assert entra.patch(user, op("replace", "title", "Boss"), headers=by_hand).status_code == 200
    entra.changed(user, op("replace", "title", "Clerk"))
    marks = [change.get("overwrote", {}).get("token_label") for change in entra.history(user["id"])]
    assert marks == [None, "tests", label]
    (about,) = why(entra, user["id"], attribute="title")["pointed"]
    assert [each["overwrote"]["value"] for each in about["changes"]] == ["Clerk", "Boss"]


def test_what_exactly_was_sent_and_answered(entra: Speaker) -> None:
    """The body as received without passwords, headers, decisions, entries, the answer; also of a refusal."""
    user = entra.user(active=True)
    body = patch_body(op("Replace", "active", "False"), op("Replace", "password", "t0p-secret"))
    headers = {"client-request-id": "c-1", "Content-Type": SCIM_JSON}
    assert entra.send("PATCH", url_of(user), body, headers=headers).status_code == 200
    request_id = one(entra, user["id"])["disabled"]["request_id"]
    shown = entra.asked(f"/requests/{request_id}")
    assert shown["told"]["correlation"]["client-request-id"] == "c-1"
    assert shown["told"]["user_agent"] == "azure-ad-scim-provisioning/1.0"
    assert (shown["told"]["status"], shown["body_is"]) == (200, "as received, passwords struck out")
    assert PATCH_OP in shown["body"] and '"False"' in shown["body"]
    assert "t0p-secret" not in str(shown)
    assert {each["event"] for each in shown["changes"]} == {"AttributeChanged", "Deactivated"}
    assert "active: true → false, explicitly" in shown["text"]
    refused(entra.patch(user, op("Replace", "active", "maybe")), 400)
    last = eventually(lambda: one(entra, user["id"])["troubles"])[0]["last"]
    about = entra.asked(f"/requests/{last['request_id']}")
    assert about["told"]["status"] == 400 and "maybe" in about["body"]
    assert "What was answered" in about["text"]


@pytest.mark.parametrize(("request_id", "status"), [("x", 400), ("1f0b5a3e-6c1d-4f55-9d0a-7f6f2c1e9a77", 404)])
def test_a_request_that_is_not_there(entra: Speaker, request_id: str, status: int) -> None:
    response = entra.audit.get(f"/requests/{request_id}")
    assert response.status_code == status and response.json()["error"]


def test_another_tenants_request_is_not_there(service: Any, entra: Speaker) -> None:
    user = entra.user()
    request_id = one(entra, user["id"])["created"]["request_id"]
    stranger = Speaker(service)
    assert stranger.audit.get(f"/requests/{request_id}").status_code == 404
    refused(stranger.send("POST", "/Users", user_body(user["userName"], active="perhaps")), 400)
    assert one(entra, user["id"])["troubles"] == []


def test_wrong_questions_are_told_what_is_wrong(entra: Speaker) -> None:
    user = entra.user()

    def asked(**more: str) -> httpx.Response:
        return entra.audit.get("/why", params={"subject": user["id"], **more})

    assert asked(others="perhaps").status_code == 400
    assert asked(group="no such group").status_code == 404
    for attribute, said in (
        ("no.such.attribute", "'no.such.attribute' is no attribute of a User: "),
        ("name.givenname.x", "is no attribute of a User: "),
        ("emails[type eq", "is no attribute of a User: "),
        ("groups.display", "groups are memberships: ask about one group, or for the report group-changes"),
    ):
        answer = asked(attribute=attribute)
        assert answer.status_code == 400 and said in answer.json()["error"]
    assert asked(id="x").status_code == 404


def test_a_user_refused_under_a_name_of_her_own_is_told_so(entra: Speaker) -> None:
    """A client that does not know her record tries to create another one, every cycle."""
    user = entra.user(active=True)
    refused(entra.send("POST", "/Users", user_body(user["userName"], title="again")), 409, "uniqueness")
    told = why(entra, user["id"])
    (trouble,) = told["explanations"][0]["troubles"]
    assert (trouble["named"], trouble["method"], trouble["status"]) == (True, "POST", 409)
    assert "POST asked for somebody of this name" in told["text"]


def test_a_bulk_request_is_shown_whole_and_by_its_operations(entra: Speaker) -> None:
    """By the id of an operation, which why names, and by that of the request."""
    name = fresh("bulk")
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "a", "data": user_body(name, active=True)},
            {"method": "POST", "path": "/Users", "bulkId": "b", "data": user_body(fresh("b"), active="perhaps")},
        ],
    }
    assert entra.send("POST", "/Bulk", body).status_code == 200
    first = one(entra, name)["created"]
    shown = entra.asked(f"/requests/{first['request_id']}")
    assert shown["told"]["bulk"]["number"] == 1 and name in shown["body"]
    assert [change["event"] for change in shown["changes"]] == ["UserCreated"]
    whole = entra.asked(f"/requests/{shown['told']['bulk']['request_id']}")
    assert [each["status"] for each in whole["operations"]] == [201, 400]
    assert name in whole["body"] and "2 operations" in whole["text"]


@pytest.mark.parametrize(
    "others", [[], [post("/Users", "good", user_body(fresh("good")))]], ids=["alone", "among good"]
)
def test_a_refused_operation_of_a_bulk_request_is_found_by_the_names_it_wanted(
    entra: Speaker, others: list[Json]
) -> None:
    """Each by its own name, with what it sent; whatever became of the rest."""
    names = [f"{fresh('carol')}@contoso.example" for _ in range(2)]
    made = [post("/Users", each, user_body(each, active="perhaps", password="t0p-secret")) for each in names]
    assert statuses(bulk(entra, *made, *others))[:2] == ["400", "400"]
    shown = []
    for number, name in enumerate(names, 1):
        (trouble,) = why(entra, name)["absent"]["troubles"]
        assert (trouble["method"], trouble["status"], trouble["count"]) == ("POST", 400, 1)
        shown.append(entra.asked(f"/requests/{trouble['last']['request_id']}"))
        assert shown[-1]["told"]["bulk"]["number"] == number
    for name, other, told in zip(names, names[::-1], shown, strict=True):
        assert name in told["body"] and other not in told["body"] and "t0p-secret" not in told["body"]
    whole = entra.asked(f"/requests/{shown[0]['told']['bulk']['request_id']}")
    assert (whole["body"] is not None) is bool(others)
    assert whole["body_is"].startswith("as received" if others else "kept with each operation")


@pytest.mark.parametrize("subject", ["x" * 1_025, "ada\0"])
@pytest.mark.parametrize("path", ["/why", "/history", "/entra-log"])
def test_a_subject_that_cannot_be_one_is_told_apart_from_none(entra: Speaker, path: str, subject: str) -> None:
    """Too long, or with NUL in it: whoever sent one has said whom they mean."""
    refusal = entra.audit.get(path, params={"subject": subject})
    assert refusal.status_code == 400
    assert refusal.json() == {"error": "subject is a text of at most 1,024 characters, none of them NUL"}
    for nobody in ("", " "):
        assert "say whom you mean" in entra.audit.get(path, params={"subject": nobody}).json()["error"]
    assert entra.audit.get("/log", params={"subject": subject}).status_code in (400, 404)
