"""Media types, sizes, headers, framing and pace: what goes wrong below SCIM."""

import gzip
import json
import socket
import time
import uuid
from contextlib import suppress

import pytest
from refusing import missing_from_the_log, note, noted
from speaking import (
    BODY_BYTES_MAX,
    SCIM_JSON,
    Json,
    Speaker,
    answers,
    checked,
    eq,
    eventually,
    fresh,
    head,
    op,
    patch_body,
    refused,
    said,
    url_of,
    user_body,
    where,
    wire,
)

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/scim", "application/jsonx", ";;;", "text/json", "application/octet-stream",
     "application/scim+json; charset=utf-16"],
)  # fmt: skip
def test_another_content_type_is_415(lenient: Speaker, ana: Json, content_type: str) -> None:
    """MT-07: also when the body would be fine."""
    for method, path, body in (
        ("POST", "/Users", user_body()),
        ("PUT", url_of(ana), user_body(ana["userName"])),
        ("PATCH", url_of(ana), patch_body(op("replace", "title", "x"))),
    ):
        noted(lenient, lenient.send(method, path, body, headers={"Content-Type": content_type}), 415, None)


def test_form_data_is_no_user(lenient: Speaker) -> None:
    """MT-07: as a browser would post it."""
    for form in ({"data": {"userName": "a"}}, {"files": {"userName": b"a"}}):
        headers = {"Authorization": f"Bearer {lenient.token}"}
        with type(lenient.scim)(base_url=lenient.service.base_url, timeout=20) as browser:
            refused(browser.post(f"{lenient.base}/Users", headers=headers, **form), 415, None)


@pytest.mark.parametrize(
    "content_type",
    [None, "application/json", "APPLICATION/SCIM+JSON; Charset=UTF-8", 'application/json;charset="utf-8"',
     "application/scim+json;version=2"],
)  # fmt: skip
def test_the_content_types_that_clients_send(lenient: Speaker, content_type: str | None) -> None:
    """MT-01, MT-02, MT-06, RX-16: accepted, also none at all."""
    body = json.dumps(user_body()).encode()
    lines = [f"Content-Length: {len(body)}"] + ([f"Content-Type: {content_type}"] if content_type else [])
    (answer,) = said(lenient, head(lenient, "POST", "/Users", *lines) + body)
    assert answer.status == 201, answer.body
    lenient.delete(answer.json())


def test_a_compressed_body_is_not_taken_for_text(lenient: Speaker) -> None:
    """A Content-Encoding we do not undo: 415 or 400."""
    body = gzip.compress(json.dumps(user_body()).encode())
    response = lenient.send("POST", "/Users", body, headers={"Content-Encoding": "gzip"})
    noted(lenient, response, (400, 415))


def padded(body: Json, size: int) -> bytes:
    text = json.dumps(body).encode()
    return text + b" " * (size - len(text))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_one_mebibyte_is_413(lenient: Speaker, ana: Json, method: str, framing: str) -> None:
    """MT-16: with and without Content-Length; one byte too many is too many."""
    path = "/Users" if method == "POST" else url_of(ana)
    body = padded(user_body(), BODY_BYTES_MAX + 1)
    if framing == "length":
        raw = head(lenient, method, path, f"Content-Length: {len(body)}") + body
    else:
        chunk = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        raw = head(lenient, method, path, "Transfer-Encoding: chunked") + chunk
    (answer,) = said(lenient, raw)
    assert answer.status == 413, answer.body
    assert (answer.json()["status"], answer.headers["content-type"]) == ("413", SCIM_JSON)
    note(lenient, 413, None, path)


def test_a_declared_size_is_enough_to_refuse(lenient: Speaker) -> None:
    """MT-16: 10 GB announced, nothing sent: refused at once."""
    (answer,) = said(lenient, head(lenient, "POST", "/Users", "Content-Length: 10000000000"))
    assert answer.status == 413


def test_a_body_of_exactly_one_mebibyte_is_read(lenient: Speaker) -> None:
    """The limit itself is allowed."""
    response = lenient.send("POST", "/Users", padded(user_body(), BODY_BYTES_MAX))
    assert response.status_code == 201
    lenient.delete(response.json())


@pytest.mark.parametrize("attribute", ["userName", "displayName", "externalId"])
def test_a_very_long_value_is_kept_or_refused(lenient: Speaker, attribute: str) -> None:
    """300,000 characters: what an index cannot hold never becomes a 500."""
    body = user_body() | {attribute: "ü" * 300_000}
    response = lenient.send("POST", "/Users", body)
    if response.status_code == 201:
        assert lenient.show(response.json())[attribute] == body[attribute]
        lenient.delete(response.json())
    else:
        noted(lenient, response, (400, 413))


def test_very_many_elements_are_kept_or_refused(lenient: Speaker) -> None:
    """10,000 e-mails."""
    body = user_body(emails=[{"value": f"a{n}@b.example", "type": "work"} for n in range(10_000)])
    response = lenient.send("POST", "/Users", body)
    if response.status_code == 201:
        lenient.delete(response.json())
    else:
        noted(lenient, response, (400, 413))


def test_a_body_on_a_get_is_ignored(lenient: Speaker, ana: Json) -> None:
    """Also a broken one, of any type."""
    for body in (b"{", json.dumps(user_body()).encode()):
        response = checked(
            lenient.scim.request("GET", url_of(ana), content=body, headers={"Content-Type": "text/plain"})
        )
        assert response.json()["id"] == ana["id"]


@pytest.mark.parametrize(
    "text",
    [
        "Robert'); drop table users; --",
        "' or '1'='1",
        '" or "1"="1',
        "%",
        "_",
        "a%b_c",
        "\\",
        "$1",
        "%s",
        "%(tenant)s",
        "{0}",
        "${jndi:ldap://x}",
        "\u202e right to left",
        "\ufeffbom",
        "\U0001f98a",
        "a\u0301",
        "<script>",
        "\t",
    ],
)
def test_text_is_text(lenient: Speaker, text: str) -> None:
    """FI-40, SX-07: stored, found and returned as it is; wildcards of SQL match only themselves."""
    tag = uuid.uuid4().hex
    user = lenient.user(f"{tag}@x.example", title=text + tag, externalId=text + tag)
    decoy = lenient.user(f"decoy{tag}@x.example", title="ab" + tag, externalId="ab" + tag)
    assert lenient.show(user)["title"] == text + tag
    for attribute, operator in (("title", "eq"), ("externalId", "eq"), ("title", "sw"), ("title", "co")):
        query = where(f"{attribute} {operator} {json.dumps(text + tag)}")
        assert [found["id"] for found in lenient.found("/Users", query)] == [user["id"]], operator
    lenient.delete(user)
    lenient.delete(decoy)


def still_answers(speaker: Speaker) -> None:
    assert speaker.get("/ServiceProviderConfig").status_code == 200


@pytest.mark.parametrize("size", [8_000, 60_000, 1_000_000])
def test_a_huge_header(lenient: Speaker, size: int) -> None:
    """Answered, refused or hung up on; never a 500, and the others are served."""
    for answer in said(lenient, head(lenient, "GET", "/Users?count=0", f"X-Junk: {'x' * size}")):
        assert answer.status in (200, 400, 413, 431)
    still_answers(lenient)


def test_very_many_headers(lenient: Speaker) -> None:
    lines = [f"X-Junk-{number}: {number}" for number in range(2_000)]
    for answer in said(lenient, head(lenient, "GET", "/Users?count=0", *lines)):
        assert answer.status in (200, 400, 431)
    still_answers(lenient)


@pytest.mark.parametrize(
    "line",
    [
        "User-Agent: \xff\xfe\x80",
        "User-Agent: ",
        "ADSCIMVersion: Dat\xe9",
        "X-Request-Id: " + "a" * 5_000,
        "traceparent: '; drop table entries; --",
        "x-ms-control: a\x01b",
        "X-Forwarded-For: not an address",
    ],
)
def test_header_values_of_any_bytes(lenient: Speaker, line: str) -> None:
    """They are recorded with the request: one that changes something is answered, or refused as no HTTP."""
    body = json.dumps(user_body()).encode()
    (answer,) = said(lenient, head(lenient, "POST", "/Users", f"Content-Length: {len(body)}", line) + body)
    assert answer.status in (201, 400), answer.body
    if answer.status == 201:
        assert lenient.history(answer.json()["id"])
        lenient.delete(answer.json())
    still_answers(lenient)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n" * 100,
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http(lenient: Speaker, raw: bytes) -> None:
    """Refused or hung up on; the others are served."""
    with wire(lenient.service, timeout_s=2) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError, ConnectionResetError):
            assert all(answer.status < 500 for answer in answers(connection))
    still_answers(lenient)


def test_pipelined_requests_are_answered_in_order(lenient: Speaker, ana: Json) -> None:
    """Four requests in one packet on one connection: a write between reads is seen by the later ones."""
    body = json.dumps(user_body()).encode()
    post = head(lenient, "POST", "/Users", f"Content-Length: {len(body)}") + body
    total = head(lenient, "GET", "/Users?count=0")
    found = said(lenient, total + post + total + head(lenient, "GET", url_of(ana)), count=4)
    assert [answer.status for answer in found] == [200, 201, 200, 200]
    assert found[2].json()["totalResults"] == found[0].json()["totalResults"] + 1
    assert found[3].json()["id"] == ana["id"]
    lenient.delete(found[1].json())


def test_a_refused_body_does_not_spoil_the_next_request(lenient: Speaker, ana: Json) -> None:
    """A request refused before its body was read, and the next one on the same connection."""
    body = json.dumps(user_body()).encode()
    lines = (f"Content-Length: {len(body)}", f"Content-Type: {SCIM_JSON}")
    refused_first = head(lenient, "POST", "/Users", *lines, token="slt_" + "B" * 43) + body
    found = said(lenient, refused_first + head(lenient, "GET", url_of(ana)), count=2)
    assert found[0].status == 401
    assert [answer.status for answer in found[1:]] in ([200], [])  # Hanging up after a refusal is fine too.


def test_a_body_that_trickles_in_is_waited_for(lenient: Speaker) -> None:
    """Sixteen pieces in a second; others are served meanwhile."""
    body = json.dumps(user_body()).encode()
    with wire(lenient.service) as connection:
        connection.sendall(head(lenient, "POST", "/Users", f"Content-Length: {len(body)}"))
        step = len(body) // 16 + 1
        for start in range(0, len(body), step):
            connection.sendall(body[start : start + step])
            still_answers(lenient)
            time.sleep(0.05)
        (answer,) = answers(connection)
    assert answer.status == 201
    lenient.delete(answer.json())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_connection_dropped_in_mid_body_writes_nothing(lenient: Speaker, framing: str) -> None:
    """What arrived looked complete; the client had promised more."""
    name, body = fresh("dropped"), b""
    body = json.dumps(user_body(name)).encode()
    with wire(lenient.service) as connection:
        if framing == "length":
            connection.sendall(head(lenient, "POST", "/Users", f"Content-Length: {len(body) + 10}") + body)
        else:
            chunk = b"%x\r\n" % len(body) + body + b"\r\n"
            connection.sendall(head(lenient, "POST", "/Users", "Transfer-Encoding: chunked") + chunk)
        time.sleep(0.1)
    time.sleep(0.2)
    assert lenient.found("/Users", eq("userName", name)) == []


def test_a_client_that_leaves_before_the_answer(lenient: Speaker) -> None:
    """The request was complete: it is done, and recorded, once."""
    name = fresh("hurried")
    body = json.dumps(user_body(name)).encode()
    with wire(lenient.service) as connection:
        connection.sendall(head(lenient, "POST", "/Users", f"Content-Length: {len(body)}") + body)
    found = eventually(lambda: lenient.found("/Users", eq("userName", name)), seconds=2)
    # A service that notices the closed connection before it began may as well have done nothing.
    if found:
        assert len(lenient.history(found[0]["id"])) == 1
        lenient.delete(found[0])


def test_zz_every_refusal_of_this_file_is_in_the_log(lenient: Speaker) -> None:
    """What was refused above to an authenticated request that could have changed something is recorded."""
    assert missing_from_the_log(lenient) == []
