"""Bodies that are wrong: a SCIM error with the right status and scimType, nothing half-written."""

from typing import Any

import pytest
from refusing import missing_from_the_log, noted
from speaking import ENTERPRISE, GROUP, PATCH_OP, USER, Json, Speaker, fresh, url_of, user_body

pytestmark = pytest.mark.usefixtures("untouched")


def nested(depth: int, kind: str) -> bytes:
    opening, closing = {"list": (b"[", b"]"), "object": (b'{"a":', b"}")}[kind]
    return b'{"userName":"deep","emails":' + opening * depth + b"1" + closing * depth + b"}"


NO_JSON = {
    "empty": b"",
    "blank": b"  \r\n",
    "truncated": b'{"userName": "a"',
    "trailing-comma": b'{"userName": "a",}',
    "trailing-text": b'{"userName": "a"} x',
    "two-objects": b'{"userName": "a"}{"userName": "b"}',
    "comment": b'{"userName": "a" /* b */}',
    "single-quotes": b"{'userName': 'a'}",
    "not-a-number": b'{"userName": "a", "title": NaN}',
    "infinity": b'{"userName": "a", "title": -Infinity}',
    "array": b"[]",
    "array-of-user": b'[{"userName": "a"}]',
    "string": b'"userName"',
    "number": b"5",
    "null": b"null",
    "true": b"true",
    "invalid-utf-8": b'{"userName": "\xff\xfe"}',
    "latin-1": '{"userName": "é"}'.encode("latin-1"),
    "utf-16": '{"userName": "a"}'.encode("utf-16"),
    "overlong-utf-8": b'{"userName": "\xc0\xaf"}',
    "encoded-surrogate": b'{"userName": "\xed\xa0\x80"}',
    "raw-nul": b'{"userName": "a\x00b"}',
    "raw-newline": b'{"userName": "a\nb"}',
    "bad-escape": rb'{"userName": "\x41"}',
    "5000-deep-list": nested(5_000, "list"),
    "5000-deep-object": nested(5_000, "object"),
    "100-deep-list": nested(100, "list"),
    "100-deep-object": nested(100, "object"),
    "deep-and-unclosed": b"[" * 500_000,
    "duplicate-name": b'{"userName": "a", "userName": "b"}',
    "duplicate-in-other-case": b'{"userName": "a", "USERNAME": "b"}',
    "duplicate-inside": b'{"userName": "a", "name": {"givenName": "x", "givenname": "y"}}',
    "duplicate-in-list": b'{"userName": "a", "emails": [{"value": "x", "value": "y"}]}',
    "xml": b"<user><userName>a</userName></user>",
    "form": b"userName=a&active=true",
}


@pytest.mark.parametrize("raw", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("line", ["POST /Users", "POST /Groups", "PUT user", "PATCH user", "PATCH group"])
def test_what_is_no_json_is_invalid_syntax(lenient: Speaker, ana: Json, team: Json, line: str, raw: bytes) -> None:
    """MT-08 to MT-12: 400 invalidSyntax wherever a body is read."""
    method, target = line.split()
    path = {"user": url_of(ana), "group": url_of(team)}.get(target, target)
    noted(lenient, lenient.send(method, path, raw), 400, "invalidSyntax")


WRONG_USERS: dict[str, Any] = {
    "name-number": {"userName": 5},
    "name-boolean": {"userName": True},
    "name-list": {"userName": ["a"]},
    "name-object": {"userName": {"value": "a"}},
    "name-empty": {"userName": ""},
    "name-null": {"userName": None},
    "name-nul": {"userName": "a\u0000b"},
    "name-control": {"userName": "a\u0007b"},
    "title-nul": {"title": "a\u0000b"},
    "nul-inside": {"emails": [{"value": "a\u0000"}]},
    "title-number": {"title": 5},
    "title-list": {"title": ["a"]},
    "title-object": {"title": {"a": "b"}},
    "title-huge-number": {"title": 10**400},
    "external-id-number": {"externalId": 7},
    "external-id-object": {"externalId": {"value": "a"}},
    "active-text": {"active": "maybe"},
    "active-one": {"active": 1},
    "active-list": {"active": [True]},
    "active-huge": {"active": 10**30},
    "complex-as-string": {"name": "Ana"},
    "complex-as-list": {"name": ["Ana"]},
    "sub-attribute-number": {"name": {"givenName": 5}},
    "sub-attribute-list": {"name": {"givenName": ["Ana"]}},
    "sub-attribute-object": {"name": {"givenName": {"value": "Ana"}}},
    "list-as-string": {"emails": "a@b.example"},
    "list-of-strings": {"emails": ["a@b.example"]},
    "list-of-numbers": {"emails": [5]},
    "list-of-lists": {"emails": [["a@b.example"]]},
    "element-number": {"emails": [{"value": 5}]},
    "element-primary": {"emails": [{"value": "a", "primary": "maybe"}]},
    "element-type": {"phoneNumbers": [{"value": "1", "type": 5}]},
    "addresses-string": {"addresses": "Main St"},
    "address-number": {"addresses": [{"postalCode": 12345}]},
    "certificate": {"x509Certificates": [{"value": "not base64 !"}]},
    "roles-number": {"roles": 5},
    "extension-string": {ENTERPRISE: "Sales"},
    "extension-list": {ENTERPRISE: [{"department": "Sales"}]},
    "extension-number-inside": {ENTERPRISE: {"department": 5}},
    "manager-number": {ENTERPRISE: {"manager": 5}},
    "manager-two": {ENTERPRISE: {"manager": [{"value": "a"}, {"value": "b"}]}},
    "manager-value-number": {ENTERPRISE: {"manager": {"value": 5}}},
    "password-number": {"password": 12345678},
}


@pytest.mark.parametrize("attributes", WRONG_USERS.values(), ids=WRONG_USERS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_value_of_the_wrong_kind_is_refused(lenient: Speaker, ana: Json, method: str, attributes: Json) -> None:
    """RS-29, MT-13 to MT-18: 400 invalidValue, never silently dropped, on POST and on PUT."""
    name = fresh("wrong") if method == "POST" else ana["userName"]
    body = user_body(name) | attributes
    path = "/Users" if method == "POST" else url_of(ana)
    noted(lenient, lenient.send(method, path, body), 400, "invalidValue")


@pytest.mark.parametrize("kind", [kind for kind in WRONG_USERS if kind != "name-null"])
def test_a_value_of_the_wrong_kind_is_refused_in_a_patch(lenient: Speaker, ana: Json, kind: str) -> None:
    """PD-17: the same values by path-less PATCH."""
    response = lenient.patch(ana, {"op": "replace", "value": WRONG_USERS[kind]})
    noted(lenient, response, 400, "invalidValue", "invalidSyntax")


RAW_VALUES = {
    "lone-surrogate": rb'"title": "\ud800"',
    "lone-low-surrogate": rb'"title": "a\udc00b"',
    "surrogate-in-list": rb'"emails": [{"value": "\udfff"}]',
    "reversed-pair": rb'"title": "\udc00\ud800"',
    "overflowing": b'"title": 1e999',
    "overflowing-boolean": b'"active": 1e999',
    "beyond-64-bit": b'"active": 123456789012345678901234567890',
    "escaped-nul": rb'"title": "a\u0000"',
}


@pytest.mark.parametrize("raw", RAW_VALUES.values(), ids=RAW_VALUES)
def test_what_no_store_can_keep_is_refused(lenient: Speaker, ana: Json, raw: bytes) -> None:
    """MT-13 to MT-15: 400 invalidValue."""
    body = b'{"userName": "' + fresh("raw").encode() + b'", ' + raw + b"}"
    noted(lenient, lenient.send("POST", "/Users", body), 400, "invalidValue")
    noted(lenient, lenient.send("PUT", url_of(ana), body), 400, "invalidValue")
    operation = b'{"Operations": [{"op": "add", "value": {' + raw + b"}}]}"
    noted(lenient, lenient.send("PATCH", url_of(ana), operation), 400, "invalidValue", "invalidSyntax")


@pytest.mark.parametrize("raw", [rb'"\ud800": "x"', rb'"a\u0000": "x"', b'"": "x"', b'"shoeSize": 1e999'])
def test_a_strange_attribute_name_never_breaks_anything(lenient: Speaker, raw: bytes) -> None:
    """An unknown attribute is ignored or the request refused; either way in SCIM's words."""
    body = b'{"userName": "' + fresh("name").encode() + b'", ' + raw + b"}"
    response = lenient.send("POST", "/Users", body)
    if response.status_code == 201:
        assert "x" not in response.json().values()
        lenient.delete(response.json())
    else:
        noted(lenient, response, 400, "invalidSyntax", "invalidValue")


WRONG_SCHEMAS = {
    "string": USER,
    "number": 5,
    "other-type": [GROUP],
    "message": [PATCH_OP],
    "extension-only": [ENTERPRISE],
    "numbers": [5],
    "nested": [[USER]],
}


@pytest.mark.parametrize("schemas", WRONG_SCHEMAS.values(), ids=WRONG_SCHEMAS)
def test_schemas_must_name_the_endpoints_type(lenient: Speaker, ana: Json, schemas: Any) -> None:
    """RS-04, PU-14, CR-09: 400 invalidSyntax (invalidValue for what is no list of texts)."""
    for method, path in (("POST", "/Users"), ("PUT", url_of(ana))):
        response = lenient.send(method, path, user_body(fresh("schemas"), schemas=schemas))
        noted(lenient, response, 400, "invalidSyntax", "invalidValue")


def test_zz_every_refusal_of_this_file_is_in_the_log(lenient: Speaker) -> None:
    """What was refused above to an authenticated request that could have changed something is recorded."""
    assert missing_from_the_log(lenient) == []
