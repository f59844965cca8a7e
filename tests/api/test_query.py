"""Query strings are read as the standard library reads forms, which is slower."""

from urllib.parse import parse_qsl, quote_from_bytes, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.query import parameters
from domain.errors import InvalidSyntax

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
RAW = st.text(st.sampled_from("abF=&+%20é \"'/"), max_size=30)
ENCODED = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(
    lambda pairs: "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
)


@given(st.one_of(RAW, ENCODED))
@example("&=0")
def test_a_query_is_read_as_a_form(query: str) -> None:
    """Names without letter case, the first of two counts, what has no value is empty."""
    wanted: dict[str, str] = {}
    try:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="strict"):
            wanted.setdefault(name.lower(), value)
    except UnicodeDecodeError:
        with pytest.raises(InvalidSyntax):
            parameters(query.encode())
        return
    found = parameters(query.encode())
    assert {name: value for name, value in found.items() if name or value} == {
        name: value for name, value in wanted.items() if name or value
    }


@pytest.mark.parametrize(
    "query", [b"a=%ff", b"%c3=1", "é".encode("latin-1"), quote_from_bytes(b"\xed\xa0\x80").encode()]
)
def test_what_is_not_utf_8_is_refused(query: bytes) -> None:
    """Encoded or not, in a name or in a value."""
    with pytest.raises(InvalidSyntax):
        parameters(query)


def test_the_parameters_are_limited() -> None:
    """A client has a dozen to choose from."""
    assert len(parameters(b"&".join(b"p%d=1" % number for number in range(64)))) == 64
    with pytest.raises(InvalidSyntax, match="64 parameters"):
        parameters(b"&" * 64)
