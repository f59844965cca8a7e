"""What hypothesis draws: resources, operations and filters that are mostly well-formed, from small alphabets."""

from typing import Any

from hypothesis import strategies as st
from vectors import Json

from domain.schemas import CORE_USER, ENTERPRISE_USER

# Few values, so that filters match and operations meet; with case, width, marks and both forms of é among them.
TEXTS = st.sampled_from(
    ["a", "A", "b", "work", "home", "é", "e\u0301", "É", "ß", "SS", "σ", "ς", "Ａ", "ｱ", "🦊", '"]', ""]
)
NAMES = st.sampled_from(["ada", "ADA", "bob", "Zoë", "zoe\u0308"])
BOOLEANS = st.booleans()
ELEMENT = st.fixed_dictionaries(
    {},
    optional={"value": TEXTS, "type": st.sampled_from(["work", "Work", "home"]), "display": TEXTS, "primary": BOOLEANS},
)
ELEMENTS = st.lists(ELEMENT, max_size=3).map(lambda elements: one_primary([e for e in elements if e]))
NAME = st.fixed_dictionaries({}, optional={"givenName": TEXTS, "familyName": TEXTS})
MANAGER = st.fixed_dictionaries({"value": st.sampled_from(["m1", "m2"])}, optional={"$ref": st.just("../Users/m1")})
EXTENSION = st.fixed_dictionaries({}, optional={"department": TEXTS, "manager": MANAGER})

ATTRIBUTES: dict[str, st.SearchStrategy[Any]] = {
    "externalId": TEXTS,
    "title": TEXTS,
    "profileUrl": TEXTS,
    "active": BOOLEANS,
    "name": NAME,
    "emails": ELEMENTS,
    ENTERPRISE_USER: EXTENSION,
}
BODY = st.fixed_dictionaries({"userName": NAMES}, optional=ATTRIBUTES)


def one_primary(elements: list[Json]) -> list[Json]:
    """At most the first marked element stays primary, so that both profiles read them."""
    seen = False
    for element in elements:
        if element.get("primary") is True and seen:
            element["primary"] = False
        seen = seen or element.get("primary") is True
    return elements


INSIDE = st.sampled_from(
    [
        'type eq "work"',
        'type eq "HOME"',
        "primary eq true",
        'value co "a"',
        'type eq "home" and value eq "b"',
        "value pr",
    ]
)
SUBS = st.sampled_from(["value", "type", "display"])


def _operation(name: str, path: str | None, value: Any) -> Json:
    operation: Json = {"op": name, "value": value} if name != "remove" else {"op": name}
    return operation | ({"path": path} if path is not None else {})


_SETS = st.sampled_from(["add", "replace"])
_ANY = st.sampled_from(["add", "replace", "remove"])
_VALUES = st.fixed_dictionaries(
    {}, optional=ATTRIBUTES | {"userName": NAMES, "name.givenName": TEXTS, f"{ENTERPRISE_USER}:department": TEXTS}
)
OPERATION = st.one_of(
    *(st.builds(_operation, _ANY, st.just(path), values) for path, values in ATTRIBUTES.items()),
    st.builds(_operation, _SETS, st.just("userName"), NAMES),
    st.builds(_operation, _SETS, st.none(), _VALUES),
    st.builds(
        _operation, _ANY, st.sampled_from(["name.givenName", "emails.type", "manager.value", "department"]), TEXTS
    ),
    st.builds(_operation, _ANY, st.builds("emails[{}].{}".format, INSIDE, SUBS), TEXTS),
    st.builds(_operation, _ANY, st.builds("emails[{}].primary".format, INSIDE), BOOLEANS),
    st.builds(_operation, _ANY, st.builds("emails[{}]".format, INSIDE), ELEMENT),
)
OPERATIONS = st.lists(OPERATION, max_size=4)

# --- filters

_LITERAL = TEXTS.map(lambda text: '"' + text.replace('"', '\\"') + '"')
_STRINGS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ"])
_EQUALITY = st.sampled_from(["eq", "ne"])
_PLACES = st.sampled_from(
    [
        *("userName", "title", "externalId", "profileUrl", "name.givenName", "emails", "emails.value", "emails.type"),
        *("department", f"{ENTERPRISE_USER}:manager", f"{CORE_USER}:displayName", "schemas", "id", "manager.$ref"),
    ]
)
_SPACED = "{} {} {}".format
_TERM = st.one_of(
    st.builds(_SPACED, _PLACES, _STRINGS, _LITERAL),
    st.builds(_SPACED, _PLACES, _EQUALITY, st.just("null")),
    st.builds("{} pr".format, _PLACES | st.sampled_from(["name", "active", "emails.primary"])),
    st.builds(
        _SPACED, st.sampled_from(["active", "emails.primary"]), _EQUALITY, st.sampled_from(["true", "false", '"True"'])
    ),
    st.builds(
        'meta.created {} "{}"'.format,
        _STRINGS.filter(lambda o: o not in ("co", "sw", "ew")),
        st.just("2024-01-01T00:00:00Z"),
    ),
)
_INNER_TERM = st.one_of(
    st.builds(_SPACED, SUBS, _STRINGS, _LITERAL),
    st.builds(_SPACED, st.just("primary"), _EQUALITY, st.sampled_from(["true", "false"])),
    st.builds("{} pr".format, SUBS),
)


def _joined(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(terms, min_size=2, max_size=3).map(" and ".join),
        st.lists(terms, min_size=2, max_size=3).map(" or ".join),
        st.builds("not ({})".format, terms),
        st.builds("({})".format, terms),
    )


_INNER = st.recursive(_INNER_TERM, _joined, max_leaves=4)
FILTER = st.recursive(
    st.one_of(
        _TERM,
        st.builds("emails[{}]".format, _INNER),
        st.builds("emails[{}].value eq {}".format, _INNER_TERM, _LITERAL),
    ),
    _joined,
    max_leaves=6,
)
