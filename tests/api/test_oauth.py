"""OAuth 2.0 client credentials: what the token endpoint gives, to whom, for how long, and what it never tells."""

import time
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest
from issuing import Registered, client_with
from speaking import Speaker, checked, of_type, refused, user_body

from api.oauth import OAuthError, network, read_form, read_request
from ledger.clients import CLIENT_SECRET_PREFIX, issue_secret, revoke_client, revoke_secret
from ledger.connections import Connection
from tests.running import NO_TLS

NOBODY = "0b5c9b0e-7c4b-4f0e-9a51-3b7a4c1f6d01"
WRONG_SECRET = CLIENT_SECRET_PREFIX + "A" * 43
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def entra(lenient: Speaker) -> Registered:
    """A gallery application's client."""
    return client_with(lenient, "scim")


@pytest.fixture(scope="module")
def web(service: Any) -> Iterator[httpx.Client]:
    """A client without any token, from an address of its own: what these tests get wrong hinders nobody else."""
    with coming_from("127.0.0.2", service) as client:
        yield client


def coming_from(address: str, service: Any) -> httpx.Client:
    """A client whose requests come from this address of the machine itself."""
    return httpx.Client(
        base_url=service.base_url, timeout=20, transport=httpx.HTTPTransport(verify=NO_TLS, local_address=address)
    )


def posted(web: httpx.Client, slug: str, client: Registered, **form: str) -> httpx.Response:
    """Ask with the secret in the form (client_secret_post), as Entra does."""
    whole = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.secret}
    return web.post(f"/oauth/{slug}/token", data={**whole, **form})


def basic(web: httpx.Client, slug: str, client_id: str, secret: str) -> httpx.Response:
    """Ask with the secret in the Authorization header (client_secret_basic)."""
    credentials = b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()
    form = {"grant_type": "client_credentials"}
    return web.post(f"/oauth/{slug}/token", data=form, headers={"Authorization": f"Basic {credentials}"})


def given(response: httpx.Response) -> str:
    """The access token of an answer that must be one."""
    assert response.status_code == 200, response.text
    return str(response.json()["access_token"])


def failed(response: httpx.Response, status: int, code: str) -> str:
    """Assert a refusal in the shape of RFC 6749 §5.2; returns its description."""
    assert response.status_code == status, response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["error"] == code
    assert (response.headers.get("www-authenticate", "").partition(" ")[0] == "Basic") is (status == 401)
    return str(body["error_description"])


def asks(speaker: Speaker, secret: str, path: str = "/Users?count=0", method: str = "GET", **more: Any) -> Any:
    """One request with an access token."""
    with httpx.Client(base_url=speaker.service.base_url, timeout=20) as client:
        headers = {"Authorization": f"Bearer {secret}"}
        return checked(client.request(method, f"{speaker.base}{path}", headers=headers, **more))


def test_a_secret_is_good_for_an_access_token_of_an_hour(
    web: httpx.Client, lenient: Speaker, entra: Registered
) -> None:
    """AU-08; RFC 6749 §4.4, §5.1; 60 minutes as Entra's checklist asks; both ways of authenticating."""
    for response in (posted(web, lenient.slug, entra), basic(web, lenient.slug, entra.client_id, entra.secret)):
        secret = given(response)
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["pragma"] == "no-cache"
        body = response.json()
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
        assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3_600, "scim")
        assert secret.startswith("slt_") and len(secret) == 47
        assert asks(lenient, secret).status_code == 200


def test_what_an_access_token_did_names_its_client(web: httpx.Client, lenient: Speaker, entra: Registered) -> None:
    """The actor in the ledger is the registered client, not a token that is gone in an hour."""
    secret = given(posted(web, lenient.slug, entra))
    response = asks(lenient, secret, "/Users", "POST", json=user_body())
    assert response.status_code == 201
    (created,) = of_type(lenient.history(response.json()["id"]), "UserCreated")
    assert created["request"]["token_id"] == entra.client_id
    assert created["request"]["token_label"].startswith("client.")


def test_registering_issuing_and_revoking_are_entries(lenient: Speaker) -> None:
    """And no secret is in them, nor in the tables."""
    client = client_with(lenient, "scim")
    with lenient.service.opened(lenient.slug) as (connection, tenant, vault):
        _, second = issue_secret(connection, tenant, vault, client.client_id)
        revoke_secret(connection, tenant, vault, client.client_id, client.secret_id)
        revoke_client(connection, tenant, vault, client.client_id)
        types = connection.execute(
            "select event_type from entries where tenant_id = %s and stream = %s order by stream_version",
            (tenant.tenant_id, f"clients/{client.client_id}"),
        ).fetchall()
        assert [each for (each,) in types] == [
            "ClientRegistered", "ClientSecretIssued", "ClientSecretIssued", "ClientSecretRevoked", "ClientRevoked",
        ]  # fmt: skip
        for table in ("entries", "client_secrets", "clients", "tokens"):
            dump = connection.execute(f"select string_agg(t::text, '') from {table} t".encode()).fetchone()
            assert dump is not None and client.secret not in dump[0] and second not in dump[0]
    records = [each for each in lenient.log()["records"] if each["target_id"] == client.client_id]
    assert {each["resource_type"] for each in records} == {"Client"}


def test_scopes_are_narrowed_never_widened(web: httpx.Client, lenient: Speaker) -> None:
    """RFC 6749 §3.3: what the client may not have is left out; when nothing is left, invalid_scope."""
    both = client_with(lenient, "scim", "audit")
    assert posted(web, lenient.slug, both).json()["scope"] == "scim audit"
    assert posted(web, lenient.slug, both, scope="").json()["scope"] == "scim audit"
    assert posted(web, lenient.slug, both, scope="openid audit admin").json()["scope"] == "audit"
    narrowed = given(posted(web, lenient.slug, both, scope="audit"))
    refused(asks(lenient, narrowed), 403, None)
    failed(posted(web, lenient.slug, both, scope="admin"), 400, "invalid_scope")


def test_nothing_tells_a_missing_tenant_from_a_wrong_secret(
    web: httpx.Client, lenient: Speaker, strict: Speaker, entra: Registered
) -> None:
    """AU-07: word for word the same, headers included, whatever is wrong."""
    elsewhere = client_with(strict, "scim")
    wrong = Registered(entra.client_id, "", WRONG_SECRET)
    answers = [
        posted(web, lenient.slug, wrong),
        posted(web, "t-nobody", wrong),
        posted(web, "T--", wrong),
        posted(web, "t-nobody", entra),
        posted(web, strict.slug, entra),
        posted(web, lenient.slug, elsewhere),
        posted(web, lenient.slug, Registered(NOBODY, "", entra.secret)),
        posted(web, lenient.slug, Registered(elsewhere.client_id, "", entra.secret)),
        posted(web, lenient.slug, Registered("entra\0", "", "é" * 500)),
        basic(web, lenient.slug, entra.client_id, WRONG_SECRET),
        basic(web, lenient.slug, NOBODY, ":"),
    ]
    for answer in answers:
        failed(answer, 401, "invalid_client")
        assert answer.content == answers[0].content
        assert answer.headers.keys() == answers[0].headers.keys()


READ_REFUSED: list[tuple[str, bytes, str]] = [
    (FORM, b"client_id=a&client_secret=b", "invalid_request"),
    (FORM, b"grant_type=&client_id=a&client_secret=b", "invalid_request"),
    (FORM, b"grant_type=password&username=a&password=b", "unsupported_grant_type"),
    (FORM, b"grant_type=authorization_code&code=x", "unsupported_grant_type"),
    (FORM, b"grant_type=client_credentials", "invalid_client"),
    (FORM, b"grant_type=client_credentials&client_id=a", "invalid_client"),
    (FORM, b"grant_type=client_credentials&client_secret=b", "invalid_client"),
    (FORM, b"grant_type=client_credentials&client_id=a&client_id=b&client_secret=c", "invalid_request"),
    (FORM, b"grant_type=client_credentials&client_id=%ff&client_secret=c", "invalid_request"),
    (FORM, b"\xff\xfe", "invalid_request"),
    (FORM, b"&".join(b"a%d=1" % n for n in range(50)), "invalid_request"),
    (FORM, b"a=" + b"x" * 20_000, "invalid_request"),
    ("application/json", b'{"grant_type":"client_credentials"}', "invalid_request"),
    ("", b"grant_type=client_credentials&client_id=a&client_secret=b", "invalid_request"),
]


@pytest.mark.parametrize(("media_type", "body", "code"), READ_REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_read_is_told_so(media_type: str, body: bytes, code: str) -> None:
    """RFC 6749 §5.2, without the database being asked."""
    with pytest.raises(OAuthError) as error:
        read_request("acme", None, read_form(media_type, body))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("authorization", "form", "code"),
    [
        ("Basic YTpi", {"client_secret": "b"}, "invalid_request"),
        ("Basic YTpi", {"client_id": "other"}, "invalid_request"),
        ("Bearer x", {}, "invalid_client"),
        ("Basic ???", {}, "invalid_client"),
        ("Basic /////w==", {}, "invalid_client"),
        ("Basic YQ==", {}, "invalid_client"),
        ("Basic", {}, "invalid_client"),
    ],
)
def test_one_way_of_authenticating_and_a_readable_one(authorization: str, form: dict[str, str], code: str) -> None:
    """RFC 6749 §2.3."""
    with pytest.raises(OAuthError) as error:
        read_request("acme", authorization, {"grant_type": "client_credentials", **form})
    assert error.value.code == code


def test_basic_credentials_are_form_encoded_inside() -> None:
    """RFC 6749 §2.3.1: also when a client leaves the encoding out, which our ids and secrets never need."""
    encoded = b64encode(b"a%20b+c:d%3Ae").decode()
    asked = read_request("acme", f"basic {encoded}", {"grant_type": "client_credentials", "client_id": "a b c"})
    assert (asked.client_id, asked.secret, asked.scopes) == ("a b c", "d:e", None)


def test_a_refusal_over_http(web: httpx.Client, lenient: Speaker) -> None:
    """A form only; credentials in the URL are not read; GET is not offered."""
    path = f"/oauth/{lenient.slug}/token"
    failed(web.post(path, json={"grant_type": "client_credentials"}), 400, "invalid_request")
    failed(web.post(path, content=b"x" * 20_000, headers={"Content-Type": FORM}), 413, "invalid_request")
    failed(web.post(f"{path}?grant_type=client_credentials", data={}), 400, "invalid_request")
    assert web.get(path).status_code == 405


def test_secrets_are_rotated_without_a_gap(web: httpx.Client, lenient: Speaker) -> None:
    """Two live at once; the old one goes, and with it within a second the access tokens it was good for."""
    client = client_with(lenient, "scim")
    old = given(posted(web, lenient.slug, client))
    with lenient.service.opened(lenient.slug) as (connection, tenant, vault):
        second = Registered(client.client_id, *issue_secret(connection, tenant, vault, client.client_id))
        new = given(posted(web, lenient.slug, second))
        assert {asks(lenient, secret).status_code for secret in (old, new)} == {200}
        revoke_secret(connection, tenant, vault, client.client_id, client.secret_id)
    failed(posted(web, lenient.slug, client), 401, "invalid_client")
    time.sleep(1.0)
    refused(asks(lenient, old), 401, None)
    assert asks(lenient, new).status_code == 200
    given(posted(web, lenient.slug, second))


def test_a_revoked_client_ends_within_a_second(web: httpx.Client, lenient: Speaker) -> None:
    """With all its secrets and access tokens."""
    client = client_with(lenient, "scim")
    secret = given(posted(web, lenient.slug, client))
    assert asks(lenient, secret).status_code == 200
    with lenient.service.opened(lenient.slug) as (connection, tenant, vault):
        revoke_client(connection, tenant, vault, client.client_id)
    failed(posted(web, lenient.slug, client), 401, "invalid_client")
    time.sleep(1.0)
    refused(asks(lenient, secret), 401, None)


def test_an_expired_secret_is_none(web: httpx.Client, lenient: Speaker) -> None:
    """And an access token does not outlive the secret it was given for."""
    expired = client_with(lenient, "scim", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    failed(posted(web, lenient.slug, expired), 401, "invalid_client")
    ending = client_with(lenient, "scim", expires_at=datetime.now(UTC) + timedelta(minutes=10))
    assert 590 <= posted(web, lenient.slug, ending).json()["expires_in"] <= 600


def test_expired_access_tokens_are_swept_by_the_next_grant(
    web: httpx.Client, lenient: Speaker, entra: Registered
) -> None:
    """What expired opens nothing, and a client leaves no more rows than an hour's tokens."""
    secret = given(posted(web, lenient.slug, entra))
    with lenient.service.opened(lenient.slug) as (connection, tenant, _):
        mine = (tenant.tenant_id, entra.client_id)
        connection.execute(
            "update tokens set expires_at = now() - interval '1 second' where tenant_id = %s and client_id = %s", mine
        )
        refused(asks(lenient, secret), 401, None)
        given(posted(web, lenient.slug, entra))
        assert _rows(connection, mine) == 1


def _rows(connection: Connection, of_client: tuple[int, str]) -> int:
    query = "select count(*)::int from tokens where tenant_id = %s and client_id = %s"
    row = connection.execute(query, of_client).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::9", "2001:0db8:0001:0002"),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, counted_as: str) -> None:
    """Everybody has 2^64 of them; an IPv4 address that is written as one stays itself."""
    assert network(address) == counted_as


def test_a_guesser_is_slowed_down(service: Any, web: httpx.Client, lenient: Speaker) -> None:
    """An address gets a few wrong, then waits; the client itself is served meanwhile."""
    client = client_with(lenient, "scim")
    with coming_from("127.0.0.3", service) as guesser:
        wrong = Registered(client.client_id, "", WRONG_SECRET)
        statuses = [posted(guesser, lenient.slug, wrong).status_code for _ in range(30)]
        assert set(statuses) == {401, 429}
        assert statuses.index(429) <= 20
        last = posted(guesser, lenient.slug, wrong)
        failed(last, 429, "temporarily_unavailable")
        assert 1 <= int(last.headers["retry-after"]) <= 6
        unknown = posted(guesser, "t-nobody", wrong)
        assert unknown.status_code == 429, "the limit tells nothing either"
        assert unknown.content == last.content
    given(posted(web, lenient.slug, client))
