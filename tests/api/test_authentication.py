"""Who may ask (section 3): missing, bad, expired and revoked tokens, other tenants, scopes.

AU-01, TLS, is the proxy's in front of the service: README. AU-13, rate limits, has a file of its own.
"""

import json
import time
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from issuing import expired_token, revoke, token_with
from speaking import Json, Speaker, checked, eq, refused, url_of, user_body

pytestmark = pytest.mark.usefixtures("untouched")


def stranger_asks(speaker: Speaker, authorization: str | None, path: str = "/Users", **more: Any) -> Any:
    headers = {"Authorization": authorization} if authorization is not None else {}
    with type(speaker.scim)(base_url=speaker.service.base_url, timeout=20) as stranger:
        method = more.pop("method", "GET")
        return checked(stranger.request(method, f"{speaker.base}{path}", headers=headers, **more))


NO_CREDENTIALS = [None, "", "Bearer", "Basic YTpi", "Negotiate x"]
BAD_CREDENTIALS = ["Bearer x", "Bearer slt_" + "A" * 43, "Bearer slt_" + "A" * 42, "Bearer " + "é" * 47,
                   "Bearer slt_" + "'" * 43, "Bearer " + "x" * 10_000]  # fmt: skip


@pytest.mark.parametrize("authorization", NO_CREDENTIALS + BAD_CREDENTIALS, ids=lambda a: (a or "none")[:20])
def test_without_a_valid_token_401(lenient: Speaker, authorization: str | None) -> None:
    """AU-02, AU-03, AU-10, AU-12: a challenge, invalid_token when one was presented; before the body is read."""
    encoded: Any = authorization.encode("latin-1") if authorization else authorization
    for more in ({}, {"method": "POST", "content": b"{broken"}):
        response = stranger_asks(lenient, encoded, **more)
        refused(response, 401, None)
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith("Bearer")
        assert ("invalid_token" in challenge) is (authorization in BAD_CREDENTIALS)


def test_the_scheme_is_read_in_any_case(lenient: Speaker) -> None:
    """RFC 9110 §11.1."""
    for scheme in ("bearer", "BEARER"):
        assert stranger_asks(lenient, f"{scheme} {lenient.token}").status_code == 200


def test_an_expired_token_is_no_token(lenient: Speaker) -> None:
    response = stranger_asks(lenient, f"Bearer {expired_token(lenient)}")
    refused(response, 401, None)
    assert "invalid_token" in response.headers["www-authenticate"]


def test_a_token_is_good_for_its_time_and_no_longer(lenient: Speaker) -> None:
    """AU-08: nobody has to take it back, and a service that knows it already sees it end."""
    ends = datetime.now(UTC) + timedelta(seconds=2)
    bearer = f"Bearer {token_with(lenient, 'scim', expires_at=ends)}"
    while datetime.now(UTC) < ends - timedelta(seconds=0.5):
        assert stranger_asks(lenient, bearer).status_code == 200
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 1.0)
    refused(stranger_asks(lenient, bearer), 401, None)


def test_a_revoked_token_ends_within_a_second(lenient: Speaker) -> None:
    """It worked, it was taken back, and a second later it does not work."""
    secret = token_with(lenient, "scim", label="to be revoked")
    assert stranger_asks(lenient, f"Bearer {secret}").status_code == 200
    revoke(lenient, "to be revoked")
    time.sleep(1.0)
    refused(stranger_asks(lenient, f"Bearer {secret}"), 401, None)


def test_a_token_of_another_tenant_reveals_nothing(lenient: Speaker, strict: Speaker, ana: Json) -> None:
    """AU-07, VT-04, VT-05: 401 or 404, word for word the same for a tenant that is there and one that is not."""
    for path in ("/Users", url_of(ana), f"/Users{eq('userName', ana['userName'])}"):
        asked = [
            checked(strict.scim.get(f"{strict.service.base_url}/scim/{slug}/v2{path}"))
            for slug in (lenient.slug, "t-nobody")
        ]
        assert asked[0].status_code in (401, 404)
        assert asked[0].status_code == asked[1].status_code
        assert asked[0].content == asked[1].content
    response = strict.scim.post(f"{strict.service.base_url}{lenient.base}/Users", content=json.dumps(user_body()))
    assert response.status_code in (401, 404)


def test_a_token_in_the_query_is_not_read(lenient: Speaker) -> None:
    """AU-09."""
    for name in ("access_token", "token", "Authorization"):
        refused(stranger_asks(lenient, None, f"/Users?{name}={lenient.token}"), 401, None)


def test_a_token_does_what_its_scope_says(lenient: Speaker, ana: Json) -> None:
    """AU-04, AU-05: audit cannot provision, provisioning cannot audit: 403."""
    audit = token_with(lenient, "audit")
    refused(stranger_asks(lenient, f"Bearer {audit}"), 403, None)
    body = json.dumps(user_body()).encode()
    refused(stranger_asks(lenient, f"Bearer {audit}", method="POST", content=body), 403, None)
    for path in ("why", "history"):
        url = f"{lenient.service.base_url}/api/{lenient.slug}/{path}?subject={ana['id']}"
        assert lenient.scim.get(url).status_code == 403
        assert lenient.audit.get(url, headers={"Authorization": ""}).status_code == 401


EVERYWHERE = [
    ("GET", "/Users"), ("POST", "/Users/.search"), ("POST", "/.search"), ("GET", "/"), ("GET", "/Groups"),
    ("POST", "/Groups"), ("POST", "/Bulk"), ("GET", "/Me"), ("GET", "/Schemas"), ("GET", "/ResourceTypes"),
    ("GET", "/Users?cursor=x"), ("GET", "/nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
def test_every_endpoint_asks_who_it_is_and_whether_it_may(lenient: Speaker, method: str, path: str) -> None:
    """AU-06, AU-11: nobody creates or reads without a token, and none does more than its scope, by no detour."""
    content = b"{}" if method == "POST" else None
    refused(stranger_asks(lenient, None, path, method=method, content=content), 401, None)
    audit = f"Bearer {token_with(lenient, 'audit')}"
    refused(stranger_asks(lenient, audit, path, method=method, content=content), 403, None)


def test_a_secret_cannot_be_guessed(lenient: Speaker) -> None:
    """AU-08: 256 random bits, of which the database has a hash."""
    secrets = {token_with(lenient, "audit") for _ in range(3)}
    assert len(secrets) == 3
    assert all(len(urlsafe_b64decode(secret.removeprefix("slt_") + "=")) == 32 for secret in secrets)
