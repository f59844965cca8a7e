"""What the framework refuses before a handler of ours is asked, beside SCIM: in the words of the endpoints there."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from issuing import token_with
from litestar import get
from litestar.testing import create_test_client
from speaking import ERROR, SCIM_JSON, Speaker, said

from api.framework import refusal
from tests.running import NO_TLS

LARGE = b"x" * (2 * 1024 * 1024)


@pytest.fixture(scope="module")
def web(service: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.base_url, timeout=30, verify=NO_TLS) as client:
        yield client


def allowed(response: httpx.Response) -> set[str]:
    return set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/acme", "/api/acme/nothing", "/schema/nothing", "/nothing"])
def test_a_path_that_is_not_there_is_one_sentence(web: httpx.Client, path: str) -> None:
    for method in ("GET", "POST", "PROPFIND"):
        response = web.request(method, path)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {"error": "there is nothing at this path"}


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("DELETE", "/api/acme/schemas", {"GET", "POST", "OPTIONS"}),
        ("POST", "/api/acme/schemas/urn:x", {"GET", "PUT", "OPTIONS"}),
        ("POST", "/api/acme/why", {"GET", "OPTIONS"}),
        ("PROPFIND", "/api/acme/entra-log", {"GET", "POST", "OPTIONS"}),
        ("POST", "/schema", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_there_is_405_with_those_that_are(
    web: httpx.Client, method: str, path: str, methods: set[str]
) -> None:
    response = web.request(method, path)
    assert response.status_code == 405
    assert allowed(response) == methods
    assert list(response.json()) == ["error"] and "Allow" in response.json()["error"]


def test_too_large_a_body_is_413(web: httpx.Client, lenient: Speaker) -> None:
    """With its length said before it, and without."""
    headers = {"Authorization": f"Bearer {token_with(lenient, 'admin')}"}
    for content in (LARGE, iter([LARGE])):
        response = web.post(f"/api/{lenient.slug}/schemas", content=content, headers=headers)
        assert response.status_code == 413
        assert response.json() == {"error": "the body is larger than this endpoint takes"}


def test_below_oauth_every_refusal_is_that_of_the_rfc(web: httpx.Client, lenient: Speaker) -> None:
    """RFC 6749 §5.2, and never kept by a cache (§5.1)."""
    token = f"/oauth/{lenient.slug}/token"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for response, status in (
        (web.get(token), 405),
        (web.put(token), 405),
        (web.get("/oauth"), 404),
        (web.post(f"/oauth/{lenient.slug}/nothing"), 404),
        (web.post(token, content=LARGE, headers=form), 413),
        (web.post(token, content=iter([LARGE]), headers=form), 413),
    ):
        assert response.status_code == status
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"] == "application/json"
        assert response.json().keys() == {"error", "error_description"}
        assert response.json()["error"] == "invalid_request"
        assert status != 405 or allowed(response) == {"POST", "OPTIONS"}


@pytest.mark.parametrize("bytes_over", [1, 2_000, 70_000])
def test_a_query_that_is_too_long_is_414_in_the_words_of_the_path(lenient: Speaker, bytes_over: int) -> None:
    """Also beyond what the parser can take apart; below httpx, whose own limit is less."""
    query = "x" * (8_192 + bytes_over)
    for path, said_by in (
        (f"/api/{lenient.slug}/log", {"error"}),
        (f"/oauth/{lenient.slug}/token", {"error", "error_description"}),
        ("/healthz", {"error"}),
        (f"{lenient.base}/Users", {"schemas", "status", "detail"}),
    ):
        method = "POST" if path.startswith("/oauth") else "GET"
        lines = [f"{method} {path}?{query} HTTP/1.1", "Host: x", f"Authorization: Bearer {lenient.token}", "", ""]
        (answer,) = said(lenient, "\r\n".join(lines).encode())
        assert answer.status in ((414,) if bytes_over < 60_000 else (414, 431))
        assert answer.json().keys() == said_by
        assert path.startswith("/oauth") is (answer.headers.get("cache-control") == "no-store")
    for path in (f"/api/{lenient.slug}/log", "/healthz"):
        (answer,) = said(lenient, f"GET {path}?{query[:8_192]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.status in (200, 401)


def test_a_defect_is_told_in_the_same_words_and_not_which() -> None:
    """In an application of two broken handlers, for the service has none to show."""

    @get(["/api/broken", "/oauth/broken"])
    async def broken() -> None:
        raise RuntimeError("geheim")

    sentence = "an internal error; the operator finds it in the log"
    with create_test_client(broken, exception_handlers={Exception: refusal}, raise_server_exceptions=False) as client:
        below_api, below_oauth = client.get("/api/broken"), client.get("/oauth/broken")
    assert (below_api.status_code, below_api.json()) == (500, {"error": sentence})
    assert below_oauth.json() == {"error": "server_error", "error_description": sentence}
    assert (below_oauth.status_code, below_oauth.headers["cache-control"]) == (500, "no-store")


def test_head_of_the_document_is_get_without_the_body(web: httpx.Client) -> None:
    head, get = web.head("/schema"), web.get("/schema")
    assert (head.status_code, get.status_code) == (200, 200)
    assert head.content == b"" and int(head.headers["content-length"]) == len(get.content)
    assert head.headers["content-type"] == get.headers["content-type"]
    assert "HEAD" in allowed(web.options("/schema"))


def test_scim_has_refusals_of_its_own(web: httpx.Client, lenient: Speaker) -> None:
    for path in (f"{lenient.base}/Nothing", "/scim", "/scim/"):
        response = web.get(path, headers={"Authorization": f"Bearer {lenient.token}"})
        assert response.headers["content-type"] == SCIM_JSON
        assert response.json()["schemas"] == [ERROR]
