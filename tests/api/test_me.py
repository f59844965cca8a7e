"""/Me (section 19): the user that the token is bound to, under every verb that its permanent URI has."""

from collections.abc import Iterator

import httpx
import pytest
from issuing import token_with
from speaking import GROUP, PATCH_OP, SCIM_JSON, USER, Json, Speaker, checked, fresh, of_type, op, patch_body, refused

from ledger.tenants import TenantRefused, issue_token
from tests.running import NO_TLS

SELF = ("GET", "HEAD", "PUT", "PATCH", "DELETE")


class Person:
    """A user, and requests with a token that is bound to it."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker
        self.user = speaker.user(f"{fresh('ada')}@contoso.example", active=True, title="Engineer")
        self.id = self.user["id"]
        self.location = self.user["meta"]["location"]
        self.secret = token_with(speaker, "scim", user_id=self.id)
        self.client = httpx.Client(
            base_url=f"{speaker.service.base_url}{speaker.base}",
            headers={"Authorization": f"Bearer {self.secret}", "Content-Type": SCIM_JSON},
            timeout=20,
            verify=NO_TLS,
        )

    def send(self, method: str, path: str = "/Me", body: Json | None = None, **headers: str) -> httpx.Response:
        """One request of the person."""
        return checked(self.client.request(method, path, json=body, headers=headers))


@pytest.fixture
def ada(lenient: Speaker) -> Iterator[Person]:
    """Somebody of her own for each test."""
    person = Person(lenient)
    yield person
    person.client.close()


def test_me_is_the_user_under_its_permanent_uri(ada: Person, lenient: Speaker) -> None:
    """EP-06, ME-02, ME-04: processed directly; Location and meta.location never say /Me; the same answer as by id."""
    response = ada.send("GET")
    assert response.status_code == 200
    assert response.json() == lenient.show(ada.user)
    assert response.headers["location"] == response.json()["meta"]["location"] == ada.location
    assert response.headers["etag"] == response.json()["meta"]["version"]
    assert ada.send("GET", "/Me/").json() == response.json()
    head = ada.send("HEAD")
    assert (head.status_code, head.headers["location"]) == (200, ada.location)


def test_me_takes_what_a_user_takes(ada: Person) -> None:
    """Projection and conditions are those of the user's own URI."""
    assert ada.send("GET", "/Me?attributes=title").json().keys() == {"schemas", "id", "title"}
    assert "title" not in ada.send("GET", "/Me?excludedAttributes=title").json()
    tag = ada.user["meta"]["version"]
    assert ada.send("GET", **{"If-None-Match": tag}).status_code == 304
    stale = ada.send("PATCH", body=patch_body(op("replace", "title", "X")), **{"If-Match": 'W/"99"'})
    refused(stale, 412, None)


def test_me_is_changed_and_replaced(ada: Person, lenient: Speaker) -> None:
    """PATCH and PUT: the answer, and what everybody else sees then."""
    patched = ada.send("PATCH", body=patch_body(op("replace", "title", "Countess")))
    assert (patched.status_code, patched.headers["location"]) == (200, ada.location)
    assert lenient.show(ada.user)["title"] == "Countess"
    body = {"schemas": [USER], "userName": ada.user["userName"], "displayName": "Ada"}
    replaced = ada.send("PUT", body=body)
    assert (replaced.status_code, replaced.headers["location"]) == (200, ada.location)
    assert replaced.json() == lenient.show(ada.user)
    assert "title" not in replaced.json()
    changes = of_type(lenient.history(ada.id), "AttributeChanged")
    assert {change["request"]["path"] for change in changes} == {f"{lenient.base}/Me"}


def test_a_change_of_me_is_about_the_user_in_the_log(ada: Person, lenient: Speaker) -> None:
    """Also one that changes nothing, and one that is refused."""
    ada.send("PATCH", body=patch_body(op("replace", "title", "Engineer")))
    refused(ada.send("PATCH", body=patch_body(op("replace", "active", "perhaps"))), 400)
    records = [each for each in lenient.log(subject=ada.id)["records"] if each["path"].endswith("/Me")]
    assert {each["status"] for each in records} == {"skipped", "failure"}
    assert {(each["resource_type"], each["target_id"]) for each in records} == {("User", ada.id)}


def test_me_is_deleted_and_then_there_is_nobody(ada: Person, lenient: Speaker) -> None:
    """ME-03: the token is still one, but of nobody: 404, and so is everything after it."""
    assert ada.send("DELETE").status_code == 204
    refused(lenient.get(f"/Users/{ada.id}"), 404, None)
    for method in SELF:
        body = patch_body(op("replace", "title", "X")) if method in ("PUT", "PATCH") else None
        assert ada.send(method, body=body).status_code == 404
    assert ada.send("GET", "/Users?count=0").status_code == 200


def test_nobody_registers_by_me(ada: Person, lenient: Speaker) -> None:
    """AU-11, EP-09: POST would create the one who asks, who is there already: 405 with what /Me has."""
    response = ada.send("POST", body={"schemas": [USER], "userName": fresh("new")})
    refused(response, 405, None)
    assert {name.strip() for name in response.headers["allow"].split(",")} == set(SELF)


@pytest.mark.parametrize("method", [*SELF, "POST"])
def test_a_token_of_nobody_has_no_me(lenient: Speaker, method: str) -> None:
    """ME-03: a machine's token, whatever it asks: 404."""
    body = None if method in ("GET", "HEAD", "DELETE") else {"schemas": [PATCH_OP], "Operations": []}
    response = lenient.send(method, "/Me", body)
    assert response.status_code == 404
    if method != "HEAD":
        assert "bound to no user" in response.json()["detail"]


def test_me_is_one_name(ada: Person) -> None:
    """EP-11: nothing below it, and no other spelling."""
    for path in ("/me", "/Me/x", "/Me/.search", "/Me/emails"):
        refused(ada.send("GET", path), 404, None)


def test_a_bound_token_is_bounded_by_its_scopes_only(ada: Person, lenient: Speaker) -> None:
    """AU-05: binding says who /Me is, and neither adds nor takes away."""
    assert ada.send("GET", "/Users?count=0").status_code == 200
    audit = token_with(lenient, "audit", user_id=ada.id)
    refused(checked(httpx.get(f"{lenient.service.base_url}{lenient.base}/Me", headers=_bearer(audit))), 403, None)


def test_a_token_is_bound_to_a_user_who_is_there(lenient: Speaker, strict: Speaker, ada: Person) -> None:
    """VT-05: of this tenant, not deleted, and a user."""
    foreign, group = strict.user(), lenient.post("/Groups", {"schemas": [GROUP], "displayName": fresh("Team")})
    gone = lenient.user()
    lenient.delete(gone)
    with lenient.service.opened(lenient.slug) as (connection, tenant, vault):
        for each in (foreign, group, gone):
            with pytest.raises(TenantRefused, match=f"has no user {each['id']}"):
                issue_token(connection, tenant, vault, label="x", scopes=["scim"], user_id=each["id"])


def _bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
