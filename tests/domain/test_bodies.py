"""From bytes to JSON: what is no body is refused by name, and nothing ever fails in another way."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.bodies import DEPTH_MAX, STRUCK, parse_json, strike_out
from domain.errors import InvalidSyntax, InvalidValue, ScimError
from domain.schemas import CORE_USER, STANDARD

NESTED = 5_000

NOT_A_BODY = {
    "nothing": b"",
    "blanks": b" \n ",
    "no_json": b"userName=ada",
    "cut_off": b'{"userName": "ada"',
    "twice": b"{} {}",
    "comment": b'{"a": 1} // really',
    "trailing_comma": b'{"a": 1,}',
    "single_quotes": b"{'a': 1}",
    "bare_names": b"{a: 1}",
    "leading_zero": b'{"a": 01}',
    "plus": b'{"a": +1}',
    "fraction_without_digits": b'{"a": 1.}',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "minus_infinity": b'{"a": [-Infinity]}',
    "raw_control_character": b'{"a": "x\x01y"}',
    "raw_newline": b'{"a": "x\ny"}',
    "wrong_escape": rb'{"a": "\x41"}',
    "latin_1": '{"a": "é"}'.encode("latin-1"),
    "surrogate_in_utf_8": b'{"a": "\xed\xa0\x80"}',
    "overlong_utf_8": b'{"a": "\xc0\xaf"}',
    "utf_16": '{"a": 1}'.encode("utf-16"),
    "byte_order_mark": b'\xef\xbb\xbf{"a": 1}',
    "nul_behind": b'{"a": 1}\x00',
    "array": b'[{"a": 1}]',
    "string": b'"a"',
    "number": b"1",
    "null": b"null",
    "same_name_twice": b'{"a": 1, "a": 1}',
    "same_name_in_other_case": b'{"userName": "a", "USERNAME": "b"}',
    "same_name_deep_inside": b'{"a": [{"b": {"c": 1, "C": 2}}]}',
    "same_name_escaped": rb'{"active": true, "\u0061ctive": false}',
    "same_name_with_colons": rb'{"urn:a:b": "c:d", "urn\u003aa:b": "e"}',
    "same_name_and_a_colon_to_make_up_for_it": rb'{"a": 1, "a": 2, "b": "\u003a"}',
    "too_deep": b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1),
    "much_too_deep": b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    "much_too_deep_arrays": b'{"a":' + b"[" * NESTED + b"]" * NESTED + b"}",
    "deep_and_never_closed": b"[" * 200_000,
}

NO_VALUE = {
    "half_a_surrogate_pair": rb'{"a": "\ud83e"}',
    "other_half": rb'{"a": ["\uDD8A"]}',
    "pair_the_wrong_way_round": rb'{"a": "\udd8a\ud83e"}',
    "half_in_a_name": rb'{"\ud800": 1}',
    "nul": rb'{"a": "x\u0000"}',
    "nul_in_a_name": rb'{"a\u0000": "x"}',
    "nul_deep_inside": rb'{"a": [{"b": "\u0000"}]}',
    "just_beyond_64_bit": b'{"a": 9223372036854775808}',
    "just_below_64_bit": b'{"a": -9223372036854775809}',
    "unsigned_64_bit": b'{"a": 18446744073709551615}',
    "thousands_of_digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "thousands_of_negative_digits": b'{"a": [-' + b"9" * 10_000 + b"]}",
    "no_double": b'{"a": 1e999}',
    "no_negative_double": b'{"a": -1e999}',
}


@pytest.mark.parametrize("raw", NOT_A_BODY.values(), ids=NOT_A_BODY)
def test_what_is_no_body_is_invalid_syntax(raw: bytes) -> None:
    with pytest.raises(InvalidSyntax) as refusal:
        parse_json(raw)
    assert refusal.value.status == 400


@pytest.mark.parametrize("raw", NO_VALUE.values(), ids=NO_VALUE)
def test_what_no_store_can_keep_is_an_invalid_value(raw: bytes) -> None:
    with pytest.raises(InvalidValue):
        parse_json(raw)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a" : [ ] } ', {"a": []}),
        (rb'{"a": "\ud83e\udd8a \u00e9 \u003a \/"}', {"a": "🦊 é : /"}),
        (b'{"a": "x\x7f"}', {"a": "x\x7f"}),
        (rb'{"a": "\u0001"}', {"a": "\x01"}),
        (rb'{"a": "\\u0000 is only text"}', {"a": "\\u0000 is only text"}),
        (rb'{"a": "\\ud800"}', {"a": "\\ud800"}),
        (b'{"a": [9223372036854775807, -9223372036854775808, 1.5e308, -0.0]}', None),
        (b'{"a": {"b": 1}, "b": {"B": {"b": 1}}}', {"a": {"b": 1}, "b": {"B": {"b": 1}}}),
        (b'{"urn:a:2.0:User": {"x": "::"}, "z": ":"}', {"urn:a:2.0:User": {"x": "::"}, "z": ":"}),
    ],
)
def test_what_is_a_body_is_read(raw: bytes, body: Any) -> None:
    assert parse_json(raw) == (json.loads(raw) if body is None else body)


def test_the_deepest_body_is_read() -> None:
    body: Any = parse_json(b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX)
    for _ in range(DEPTH_MAX):
        body = body["a"]
    assert body == 1


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    """ER-04: the detail is recorded, and that must hold no personal data."""
    for raw in (b'{"a": "ada@contoso.example", "a": 1}', b'{"ada lovelace": 1, "ada lovelace": 2}', b'{"ada": }'):
        with pytest.raises(InvalidSyntax) as refusal:
            parse_json(raw)
        assert "ada" not in refusal.value.detail


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.text(st.sampled_from('aB:"\\ué🦊. '), max_size=4)
    return st.lists(st.tuples(names, values), max_size=4, unique_by=lambda pair: pair[0].lower()).map(dict)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | objects(inner),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(objects(JSON), st.booleans(), st.sampled_from([None, 2]))
def test_every_json_object_is_read_as_what_it_is(body: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    assert parse_json(json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()) == body


@settings(max_examples=200, deadline=None)
@given(objects(JSON).filter(bool), st.data())
def test_a_lost_member_is_always_noticed(body: dict[str, Any], data: st.DataObject) -> None:
    """Whatever colons stand in names and strings: a name given twice is refused."""
    name = data.draw(st.sampled_from(sorted(body)))
    members = [(key, json.dumps(value)) for key, value in body.items()]
    members.insert(data.draw(st.integers(0, len(members))), (name, json.dumps(data.draw(JSON))))
    raw = "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"
    with pytest.raises(InvalidSyntax):
        parse_json(raw.encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]:,"\\ud0a1e9-. nulltrefs', max_size=40).map(str.encode))
def test_garbage_is_refused_as_a_scim_error(raw: bytes) -> None:
    try:
        assert isinstance(parse_json(raw), dict)
    except ScimError as refusal:
        assert refusal.status == 400


# --- what must not be sealed


SECRET = "s3cret-"
HIDING_PLACES: list[Any] = [
    {"password": SECRET},
    {"PassWord": SECRET},
    {"password": [SECRET, {"x": SECRET}]},
    {f"{CORE_USER}:password": SECRET},
    {"Operations": [{"op": "replace", "path": "password", "value": SECRET}]},
    {"operations": [{"OP": "Add", "VALUE": SECRET, "PATH": "PASSWORD"}]},
    {"Operations": [{"op": "replace", "path": f"{CORE_USER}:password", "value": {"value": SECRET}}]},
    {"Operations": [{"op": "replace", "value": {"password": SECRET, "title": "x"}}]},
    {"Operations": [{"op": "replace", "value": {f"{CORE_USER}.password": SECRET}}]},
    {"Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": {"password": SECRET}}]},
    {"Operations": [{"method": "PATCH", "data": {"Operations": [{"path": "password", "value": SECRET}]}}]},
    {"filter": f'password eq "{SECRET}"'},
    {"Operations": [{"op": "replace", "path": f'emails[password eq "{SECRET}"].value', "value": "x"}]},
    {"Operations": [{"op": "replace", "value": {f'x[password eq "{SECRET}"]': "x"}}]},
    {"Operations": [{"op": "replace", "value": json.dumps({"password": SECRET})}]},
    {"urn:x:unknown": {"deep": [{"password": SECRET}]}},
]


@pytest.mark.parametrize("body", HIDING_PLACES)
def test_a_password_is_struck_out_wherever_it_stands(body: Any) -> None:
    struck = strike_out(body, STANDARD.never_returned)
    assert SECRET not in json.dumps(struck)
    assert STRUCK in json.dumps(struck)
    assert SECRET in json.dumps(body), "the request itself is still to be read"


def test_everything_else_is_sealed_as_it_was_sent() -> None:
    body = {
        "schemas": [CORE_USER],
        "userName": "ada",
        "title": "resets the password of others",
        "emails": [{"value": "a", "primary": True}, None],
        "Operations": [{"op": "replace", "path": "title", "value": "x"}],
        "n": 1.5,
    }
    assert strike_out(body, STANDARD.never_returned) == body
    assert strike_out(body, frozenset()) is body
